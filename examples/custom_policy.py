"""A policy of your own, held against random at equal spend: here one that goes where the last pages paid.

python examples/custom_policy.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import bonanza
from bonanza.interfaces import Policy, Pool
from bonanza.records import Reading, Target

SITES = {"forum": 0.8, "news": 0.15, "shop": 0.02}  # the share of each site's pages that hold a pair


class BySite:
    """Reads from the site with the most pairs per page so far; ids of documents are "site/page"."""

    name = "by-site"  # stands in the run's settings; give it another when it chooses otherwise
    clusters = None

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Sort the pages by site, each site's in random order. Called again, it begins anew."""
        self._ids, self._left = pool.ids, dict[str, list[int]]()
        for row in rng.permutation(len(pool)):
            self._left.setdefault(_site(pool.ids[row]), []).append(int(row))
        self._pages, self._pairs = Counter[str](), Counter[str]()

    def choose(self, count: int) -> Sequence[int]:
        """Five pages of the best site; one pair more than was found, so that each is tried."""
        worth = lambda site: (self._pairs[site] + 1) / (self._pages[site] + 1)
        best = max((site for site, rows in self._left.items() if rows), key=worth, default=None)
        return [self._left[best].pop() for _ in range(min(count, 5, len(self._left[best])))] if best else []

    def learn(self, readings: Sequence[Reading]) -> None:
        """Count pages and kept pairs."""
        for reading in readings:
            self._pages[_site(reading.document_id)] += 1
            self._pairs[_site(reading.document_id)] += len(reading.kept)

    def report(self) -> Mapping[str, Any]:
        """What stands in summary.json and the report."""
        return {"pages_by_site": dict(self._pages)}


def _site(document_id: str) -> str:
    return document_id.partition("/")[0]


def write_corpus(path: Path) -> None:
    """Three hundred pages of three sites, most of which hold nothing."""
    random = Random(0)
    with path.open("w", encoding="utf-8") as lines:
        for number in range(300):
            site = random.choices(list(SITES), weights=[1, 3, 3])[0]
            text = f"Q: Who mended bicycle {number}?\nA: The workshop at number {number} mended it, for free."
            if random.random() > SITES[site]:
                text = f"Page {number} of the {site} is about bicycles too, but nobody asks anything here."
            lines.write(json.dumps({"id": f"{site}/{number}", "text": text}) + "\n")


def main(folder: Path) -> None:
    """Spend the same with both policies."""
    folder.mkdir(parents=True, exist_ok=True)
    write_corpus(folder / "pages.jsonl")
    target = [("Who mends a bicycle?", "The workshop in the yard mends it.")]
    policies: Mapping[str, str | Policy] = {"random": "random", "by-site": BySite()}
    for name, policy in policies.items():
        result = bonanza.extract(
            folder / "pages.jsonl", target, budget="60docs", llm="rules", policy=policy, out=folder / name,
            cache=folder / "cache",
        )  # fmt: skip
        sites = result.summary["policy_report"].get("pages_by_site", "")
        print(f"{name:8} {result.summary['pairs_kept']:3} pairs from 60 pages  {sites}")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="bonanza-")))
