"""A reader of your own under bonanza's budget, journal and cleaning: here one for glossaries, by a line's form.

    python examples/custom_extractor.py [FOLDER]

Put a call of your own model in `read` in the same way: what it says it may take at most is reserved first.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import bonanza
from bonanza.records import Document, Pair, Reading, Usage, estimated_tokens

TERMS = {
    "Sailing": {"jib": "a triangular sail before the mast", "sheet": "a rope that trims a sail", "helm": "the wheel"},
    "Baking": {"crumb": "the inside of a loaf", "proof": "the last rise of shaped dough", "poolish": "a wet starter"},
    "Printing": {"quire": "a set of 24 sheets", "galley": "a tray for set type", "serif": "a stroke that ends a line"},
    "Weaving": {"warp": "the threads that are held", "weft": "the threads that cross", "heddle": "an eye for a thread"},
}


class GlossaryExtractor:
    """Asks for every term of a page of lines such as "jib: a triangular sail"."""

    name = "glossary-1"  # stands in the run's settings; give it another when it reads otherwise

    _entry = re.compile(r"^(\w+): (.+)$", re.MULTILINE)

    def prompt_tokens(self, document: Document) -> int:
        """What a reading is likely to take."""
        return estimated_tokens(document.text)

    def worst_case(self, document: Document) -> Usage:
        """What it can take at most: reserved before the reading, so that the budget is never passed."""
        return Usage(self.prompt_tokens(document), 2 * self.prompt_tokens(document))

    def read(self, document: Document) -> Reading:
        """The pairs, each with its place in the document, and what they took."""
        trade = document.text.partition("\n")[0].lower()
        pairs = tuple(
            Pair(f"What is a {entry[1]} in {trade}?", entry[2], document.id, *entry.span(2), entry[2])
            for entry in self._entry.finditer(document.text)
        )
        usage = Usage(self.prompt_tokens(document), sum(estimated_tokens(pair.answer) for pair in pairs))
        return Reading(document.id, "ok" if pairs else "empty", pairs, usage)


def main(folder: Path) -> None:
    """Read glossaries and other pages, within 200 tokens."""
    pages = ["\n".join([trade, *(f"{term}: {what}" for term, what in terms.items())]) for trade, terms in TERMS.items()]
    pages += [f"Notice {number}: the reading room of floor {number} is closed for repairs." for number in range(6)]
    result = bonanza.extract(
        bonanza.documents(pages), [("What is a mizzen?", "The sail behind the main mast.")],
        budget="200", llm=GlossaryExtractor(), policy="nearest", out=folder / "run", cache=folder / "cache",
    )  # fmt: skip
    for pair in result.pairs:
        print(f"{pair.question:32} {pair.answer}")
    summary = result.summary
    print(f"{summary['documents_read']} of {summary['documents_total']} pages read by {summary['llm']}")
    spent, limit = summary["budget"]["spent"], summary["budget"]["limit"]
    print(f"{spent} of {limit} tokens spent: {summary['stop_reason']}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="bonanza-")))
