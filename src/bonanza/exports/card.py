"""The dataset card of a run's folder: how these pairs were made, in words and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_CARD = """\
# Instruction-tuning pairs chosen by bonanza

{pairs_kept:,} question-answer pairs from {documents_read:,} of {documents_total:,} documents, chosen by the policy
`{policy}` for the target `{target}` and read by `{llm}`.

| | |
|---|---|
| budget | {limit:,} {unit}, {spent:,} spent ({stop_reason}) |
| tokens | {input:,} prompt + {output:,} completion |
| cost | ${cost_usd:,.4f} |
| pairs extracted / kept | {pairs_extracted:,} / {pairs_kept:,} |
| transport cost to the target, first 100 pairs -> all | {start} -> {end} |
| seed | {seed} |

- `train.jsonl`: the kept pairs, one `messages` conversation per line, provenance under `metadata`.
- `pairs.parquet`: every pair, kept or not, with the reason and its place in its document.
- `documents.parquet`: every document read, with status and cost. `skipped.jsonl`: every record left out, and why.
- `settings.yaml`: the settings; `journal.sqlite`: every answer paid for; `summary.json`: the figures above and more.

The licences of the documents apply to the pairs. Pairs written by a language model can be wrong.
"""


def card(summary: Mapping[str, Any], target: str) -> str:
    """The card's text (Markdown)."""
    cost = {name: "none" if value is None else f"{value:.4f}" for name, value in summary["transport_cost"].items()}
    budget = {
        "limit": summary["budget"]["limit"],
        "spent": summary["budget"]["spent"],
        "unit": summary["budget"]["kind"],
    }
    return _CARD.format(**{**summary, **summary["tokens"], **budget, **cost, "target": target.replace("`", "'")})
