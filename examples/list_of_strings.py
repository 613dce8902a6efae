"""Question-answer pairs from a list of strings: what is in memory needs no files, and no id of its own.

python examples/list_of_strings.py [FOLDER]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import bonanza

HERBS = ("basil", "thyme", "sage", "dill", "mint", "chervil", "lovage", "savory", "rue", "tansy")
ROOMS = ("hall", "attic", "cellar", "study", "pantry", "porch", "loft", "den", "nursery", "foyer")


def texts() -> list[str]:
    """Forty pages, a quarter of them on growing herbs."""
    pages = []
    for number, (herb, room) in enumerate(zip(HERBS, ROOMS, strict=True), start=2):
        pages += [
            f"Q: How often does {herb} need water in summer?\nA: {herb.title()} wants water every {number} days.",
            f"Q: How many lamps light the {room}?\nA: The {room} has {number} lamps on two switches.",
            f"The {room} was painted {number} years ago and nobody has asked anything about it since.",
            f"Minutes of meeting {number}: the chair thanked the caretaker of the {room}, and all went home.",
        ]
    return pages


def main(folder: Path) -> None:
    """Spend the budget on a quarter of the pages: those that are like the examples."""
    examples = [
        ("How deep are seeds of parsley sown?", "Parsley is sown one centimetre deep."),
        ("When is rosemary cut back?", "Rosemary is cut back in spring, after it has flowered."),
        ("Does tarragon need water in winter?", "Tarragon in a pot wants a little water every three weeks."),
    ]
    pages = bonanza.documents(texts())
    result = bonanza.extract(
        pages, examples, budget="25%", llm="rules", policy="nearest", out=folder / "run", cache=folder / "cache"
    )
    summary = result.summary
    print(f"{summary['documents_read']} of {summary['documents_total']} texts were read:")
    for pair in result.pairs:
        print(f"  {pair.question} {pair.answer}")
    on_herbs = sum(any(herb in pair.question for herb in HERBS) for pair in result.pairs)
    print(f"{on_herbs} of {len(result.pairs)} pairs are on herbs; all of it is in {result.folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="bonanza-")))
