"""The card of a dataset folder (README.md): a header for the Hugging Face hub, and how the pairs were made.

The header's keys: huggingface/hub-docs, datasetcard.md and docs/hub/repositories-licenses.md. Texts of the corpus and
of settings are dumped as YAML or shown as code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonanza.exports.formats import LICENCE
from bonanza.exports.guide import how_split
from bonanza.exports.markdown import code, table
from bonanza.exports.splits import Side, Split
from bonanza.version import __version__

UNKNOWN, OTHER = "unknown", "other"
# The hub's identifiers that a corpus of texts or code is likely to name.
KNOWN_LICENCES = frozenset({
    "apache-2.0", "mit", "afl-3.0", "artistic-2.0", "bsl-1.0", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "c-uda", "cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0",
    "cc-by-sa-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cdla-sharing-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "wtfpl", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1",
    "agpl-3.0", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "lgpl", "lgpl-2.1", "lgpl-3.0", "isc", "ms-pl", "mpl-2.0",
    "odc-by", "odbl", "osl-3.0", "postgresql", "ofl-1.1", "ncsa", "unlicense", "zlib", "pddl", "unknown", "other",
})  # fmt: skip
ALIASES = {"odc-by-1.0": "odc-by", "odbl-1.0": "odbl", "pddl-1.0": "pddl", "cc0": "cc0-1.0"}  # SPDX's names
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

_TEXT = """\
# Instruction-tuning pairs chosen by bonanza

{pairs} question-answer pairs, each with the place in the document that it was extracted from.

{sides}

{how}

## Columns

| column | content |
| --- | --- |
| `messages` | the question (`user`) and the answer (`assistant`) |
| `id` | hash of document, place, question and answer |
| `document_id` | the source document |
| `char_start`, `char_end` | the span of the source text, in characters; empty if it is not known |
| `evidence` | the text quoted from the source |
| `scores` | `reference_similarity` to the reference set (cosine), `utility` for it (0 to 1), and others if there are |
| `flags` | doubts about the pair's quality, by name |
{licence_column}
## Method

bonanza {version} chose which documents of a corpus are worth reading for a task, had a language model or a rule read
those alone, and kept the pairs that passed its checks.

{method}

## What was left out

{left_out}

## Licences of the sources

{licences}

Pairs written by a language model can be wrong.
"""


@dataclass(frozen=True, slots=True)
class Licences:
    """Licences of the documents that gave the pairs."""

    counts: Mapping[str, int]  # how many documents have which; "unknown" is one of them
    by_document: Mapping[str, str]  # as the corpus says
    given: bool = False  # by the user, for all of them

    @property
    def is_known(self) -> bool:
        """The licence of every document is known."""
        return UNKNOWN not in self.counts


def dataset_card(
    summary: Mapping[str, Any], settings: Mapping[str, Any], sides: Mapping[str, Side], split: Split, licences: Licences
) -> str:
    """The card's text."""
    import yaml

    pairs = sum(side.pairs for side in sides.values())
    header = {
        "pretty_name": "Instruction-tuning pairs chosen by bonanza",
        "license": _identifiers(licences),
        "task_categories": ["question-answering", "text-generation"],
        "tags": ["instruction-tuning", "bonanza"],
        "size_categories": [next((name for size, name in SIZES if pairs < size), "1M<n<10M")],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": side, "path": f"data/{side}-*"} for side in sides],
            }
        ],
    }
    rows = [(name, f"{side.documents:,}", f"{side.pairs:,}") for name, side in sides.items()]
    text = _TEXT.format(
        pairs=f"{pairs:,}", sides=table(("set", "documents", "pairs"), rows), how=how_split(split), version=__version__,
        method=table(("", ""), _method(summary, settings)), left_out=_left_out(summary),
        licences=_licence_text(licences),
        licence_column=f"| `{LICENCE}` | the licence of the source document |\n" if licences.by_document else "",
    )  # fmt: skip
    return f"---\n{yaml.safe_dump(header, sort_keys=False)}---\n\n{text}"


def identifier(licence: str) -> str:
    """The hub's identifier of a licence: "CC-BY-SA-3.0 (Wikipedia)" is cc-by-sa-3.0; other for what it has none for.

    >>> identifier("CC-BY-SA-3.0 (Wikipedia)"), identifier("MIT"), identifier("ask us"), identifier("")
    ('cc-by-sa-3.0', 'mit', 'other', 'other')
    """
    first = licence.lower().split(" ")[0]
    name = ALIASES.get(first, first)
    return name if name in KNOWN_LICENCES else OTHER


def _identifiers(licences: Licences) -> str | list[str]:
    names = sorted({identifier(licence) for licence in licences.counts})
    return names[0] if len(names) == 1 else names


def _method(summary: Mapping[str, Any], settings: Mapping[str, Any]) -> list[tuple[str, ...]]:
    budget, tokens = summary["budget"], summary["tokens"]
    sources = ", ".join(_public(str(source)) for source in settings.get("corpus") or ())
    return [
        ("corpus", f"{code(sources)}, {summary['documents_total']:,} documents"),
        ("reference set", code(_public(str(settings.get("target", ""))))),
        ("documents chosen by", f"policy {code(str(summary['policy']))}, embedder {code(str(summary['embedder']))}"),
        ("read by", code(str(summary["llm"]))),
        ("documents read", f"{summary['documents_read']:,}"),
        ("pairs extracted / kept", f"{summary['pairs_extracted']:,} / {summary['pairs_kept']:,}"),
        ("budget", f"{budget['limit']:,} {code(str(budget['kind']))}, {budget['spent']:,} spent"),
        ("ended because", code(str(summary["stop_reason"]))),
        ("tokens", f"{tokens['input']:,} prompt + {tokens['output']:,} completion"),
        ("cost", f"${summary['cost_usd']:,.4f}"),
        ("seed", f"{summary['seed']}"),
    ]


def _public(source: str) -> str:
    """A file's name without its folders, which say who ran this; the address of a dataset whole."""
    return source if source.startswith("hf://") else Path(source).name


def _left_out(summary: Mapping[str, Any]) -> str:
    counts = [
        *((f"document: {reason}", count) for reason, count in summary["statuses"].items() if reason != "ok"),
        *((f"pair: {reason}", count) for reason, count in summary["pair_statuses"].items() if reason != "kept"),
        *summary["left_out"].items(),
    ]
    if not counts:
        return "Nothing: every record was usable and every pair was kept."
    return table(("reason", "count"), [(code(str(reason)), f"{count:,}") for reason, count in counts])


def _licence_text(licences: Licences) -> str:
    if licences.given:
        return f"As stated by whoever exported this: {', '.join(map(code, licences.counts))}."
    rows = [(code(name), f"{count:,}") for name, count in licences.counts.items()]
    counted = f"The licences of the documents apply to the pairs.\n\n{table(('licence', 'documents'), rows)}"
    if licences.is_known:
        return counted
    return f"The licence of some or all of the sources is unknown: find it out before you pass this on. {counted}"
