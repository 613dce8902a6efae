"""EQUAL (arXiv 2505.12250): warm-up, alignment, clusters, and a bandit over them whose reward is optimal transport.

`variant` switches between the paper's description and the authors' released code; which constant is whose stands
beside each setting, the differences in docs/papers.md. Against both, the warm-up counts against the budget here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.bandit import best_arms, paper_exploration, ucb_scores
from bonanza.algorithms.clustering import assign, cluster_moments, elbow, fit_centroids, gaussian_distances
from bonanza.algorithms.similarity import similarity_to_references
from bonanza.interfaces import Aligned, Aligner, Pool
from bonanza.policies.equal_arms import Arms, Reward
from bonanza.records import Pair, Question, Reading, Target, pair_text
from bonanza.settings import EqualSettings

Rows = NDArray[np.int64]

DOCUMENTS_PER_ARM = 5  # [ours] half of the code's 10: smaller steps for smaller budgets
VISITS_PER_ARM = 4  # [ours] the budget pays for this many pulls of every arm
DOCUMENTS_PER_CLUSTER = 20  # [ours] fewer documents than this make no cluster
ROUNDS_PER_SWEEP = 20  # [code] 1,000 clusters / 50 arms per round
WARMUP_SHARE = 0.05  # [paper] of the pool; of the affordable documents in the scaled preset [ours]
LEAST_WARMUP = 20  # [ours] documents
MOST_CLUSTERS = 1_000  # [code]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How EQUAL spends its budget."""

    warmup: int  # documents
    clusters: int
    arms_per_round: int
    documents_per_arm: int


def equal_sizes(settings: EqualSettings, documents: int, affordable: int) -> Sizes:
    """Fill in what the settings leave open, from the size of pool and budget.

    "scaled" [ours]: the warm-up takes 5% of the budget instead of 5% of the pool, and there are as many clusters as
    the rest of the budget can visit four times.

    >>> equal_sizes(EqualSettings(), documents=20_000, affordable=2_000)
    Sizes(warmup=100, clusters=95, arms_per_round=4, documents_per_arm=5)
    >>> equal_sizes(EqualSettings(preset="released"), documents=1_459_288, affordable=150_000)
    Sizes(warmup=72964, clusters=1000, arms_per_round=50, documents_per_arm=10)
    """
    released = settings.preset == "released"
    share = settings.warmup_share
    if share is None:
        share = WARMUP_SHARE if released else max(WARMUP_SHARE * affordable, LEAST_WARMUP) / documents
    warmup = min(round(share * documents), max(affordable // 2, 1), documents)
    per_arm = settings.documents_per_arm or (10 if released else DOCUMENTS_PER_ARM)
    most = min(MOST_CLUSTERS, documents // DOCUMENTS_PER_CLUSTER, (affordable - warmup) // (per_arm * VISITS_PER_ARM))
    wanted = settings.clusters or (MOST_CLUSTERS if released else "auto")
    clusters = min(wanted, documents) if isinstance(wanted, int) else most
    arms = settings.arms_per_round or (50 if released else clusters // ROUNDS_PER_SWEEP)
    return Sizes(warmup, max(clusters, 1), max(arms, 1), per_arm)


class EqualPolicy:
    """EQUAL as a policy: first the warm-up's documents, then those of the clusters of highest score."""

    def __init__(self, settings: EqualSettings, unaligned: Aligned, aligner: Aligner) -> None:
        self._settings = settings
        self._aligned = unaligned
        self._aligner = aligner
        self._arms: Arms | None = None
        self._queue: list[int] = []  # chosen for the current plan, not yet handed out
        self._batch: dict[str, Reading] = {}  # readings of the current plan
        self.clusters: NDArray[np.int64] | None = None

    def start(self, pool: Pool, target: Target, rng: np.random.Generator) -> None:
        """Draw the warm-up sample."""
        self._pool, self._target, self._rng = pool, target, rng
        self._sizes = equal_sizes(self._settings, len(pool), pool.affordable)
        self._plan = np.sort(rng.choice(len(pool), self._sizes.warmup, replace=False))
        self._queue = [int(row) for row in rng.permutation(self._plan)]

    def choose(self, count: int) -> Sequence[int]:
        """The rest of the current plan; when that is handed out, the next round's."""
        if not self._queue:
            self._take_in_plan()
            self._queue = self._next_plan()
        chosen, self._queue = self._queue[:count], self._queue[count:]
        return chosen

    def learn(self, readings: Sequence[Reading]) -> None:
        """Collect the readings of the plan; rewards are reckoned when all of it is read."""
        self._batch |= {reading.document_id: reading for reading in readings}

    def report(self) -> Mapping[str, Any]:
        """Sizes, alignment, and the clusters of highest value."""
        sizes = {name: getattr(self._sizes, name) for name in Sizes.__slots__}
        common = {"variant": self._settings.variant, "preset": self._settings.preset, **sizes}
        if self._arms is None:
            return common | {"phase": "warm-up"}
        report = self._aligned.report
        alignment = {name: getattr(report, name) for name in type(report).__slots__}
        return common | {"phase": "bandit", "alignment": alignment, "best_clusters": self._arms.best(5)}

    def _take_in_plan(self) -> None:
        """Learn from the plan that has been read: the warm-up sets up the arms, a round rewards them."""
        if self._arms is None:
            warmup = [self._batch[id_] for id_ in (self._pool.ids[row] for row in self._plan) if id_ in self._batch]
            self._set_up(warmup)
        else:
            labels = self._labels()
            pulled = {arm: self._plan[labels[self._plan] == arm] for arm in dict.fromkeys(labels[self._plan].tolist())}
            self._reward(self._arms, pulled, 1.0)
        self._batch = {}

    def _set_up(self, warmup: Sequence[Reading]) -> None:
        """Align, cluster, and give the arms what the warm-up has already shown."""
        if self._settings.align:
            self._aligned = self._align(warmup)
        vectors = self._aligned.embed_pool(self._pool)
        centroids = fit_centroids(vectors, self._cluster_count(vectors), self._rng)
        self.clusters = assign(vectors, centroids)
        references = self._references()
        reward = Reward(self._settings, references, self._rng)
        order = self._order_within(vectors, references)
        neighbours = self._neighbours(vectors, len(centroids))
        closeness = (centroids @ references.mean(axis=0)).astype(np.float64)
        self._arms = Arms(reward, self.clusters, order, neighbours, closeness)
        self._arms.take_out(self._plan)
        if self._counts_warmup():
            labels = self.clusters[self._plan]
            pulled = {int(arm): self._plan[labels == arm] for arm in np.unique(labels)}
            self._reward(self._arms, pulled, None)

    def _align(self, warmup: Sequence[Reading]) -> Aligned:
        documents = self._pool.fetch([int(row) for row in self._plan if self._pool.ids[row] in self._batch])
        pairs = [self._text(pair) for reading in warmup for pair in reading.kept]
        owners = np.repeat(np.arange(len(warmup)), [len(reading.kept) for reading in warmup]).astype(np.int64)
        return self._aligner.align([document.text for document in documents], pairs, owners, self._rng)

    def _cluster_count(self, vectors: NDArray[np.float16]) -> int:
        if self._settings.clusters != "elbow":
            return self._sizes.clusters
        candidates = np.unique(np.geomspace(min(8, self._sizes.clusters), self._sizes.clusters, 8).astype(int))
        return elbow(vectors, candidates.tolist(), self._rng)

    def _references(self) -> NDArray[np.float32]:
        """Embeddings of the references compared with, drawn once."""
        count = min(self._settings.transport.reference_pairs, len(self._target.pairs))
        drawn = np.sort(self._rng.choice(len(self._target.pairs), count, replace=False))
        return self._aligned.embed([self._text(self._target.pairs[i]) for i in drawn])

    def _order_within(self, vectors: NDArray[np.float16], references: NDArray[np.float32]) -> Rows:
        """All rows in the order in which clusters give them out."""
        if self._settings.within_cluster == "random":
            return self._rng.permutation(len(self._pool)).astype(np.int64)
        return np.argsort(-similarity_to_references(vectors, references, "mean"), kind="stable").astype(np.int64)

    def _neighbours(self, vectors: NDArray[np.float16], clusters: int) -> NDArray[np.bool_]:
        """Which clusters share rewards and counts: bool array, shape (clusters, clusters); each with itself."""
        limit = self._settings.neighbour_distance
        if limit is None:
            limit = 0.2 if self._settings.variant == "code" else 0.0
        if limit <= 0:
            return np.eye(clusters, dtype=np.bool_)
        mean, deviation = cluster_moments(vectors, self._labels(), clusters)
        return np.asarray(gaussian_distances(mean, deviation) < limit) | np.eye(clusters, dtype=np.bool_)

    def _next_plan(self) -> list[int]:
        """Documents of the arms of highest score, arm by arm."""
        arms = self._arms
        assert arms is not None
        total = float(arms.pulls.sum())
        exploration = self._settings.exploration
        if exploration is None:
            exploration = 0.001 if self._settings.variant == "code" else paper_exploration(total)
        scores = ucb_scores(arms.values, arms.pulls, exploration, self._unpulled())
        ties = arms.closeness if self._visits_nearest_first() else None
        pulled = best_arms(scores, arms.remaining > 0, self._sizes.arms_per_round, ties)
        plan = [row for arm in pulled for row in arms.draw(int(arm), self._sizes.documents_per_arm)]
        self._plan = np.array(plan, dtype=np.int64)
        return plan

    def _reward(self, arms: Arms, pulled: Mapping[int, Rows], weight: float | None) -> None:
        """Give each arm what its documents gave. weight None: a pull counts by its share of a full one (warm-up)."""
        readings = {
            arm: [self._batch[id_] for id_ in self._ids(rows) if id_ in self._batch] for arm, rows in pulled.items()
        }
        pairs = [pair for given in readings.values() for reading in given for pair in reading.kept]
        costs = arms.costs(self._aligned.embed([self._text(pair) for pair in pairs]))
        taken = 0
        for arm, given in readings.items():
            if not given:
                continue  # none of its documents fitted the budget
            count = sum(len(reading.kept) for reading in given)
            empty = sum(not reading.kept for reading in given)
            share = len(given) / self._sizes.documents_per_arm if weight is None else weight
            arms.give(arm, costs[taken : taken + count], empty, share)
            taken += count
        arms.revalue()

    def _ids(self, rows: Rows) -> list[str]:
        return [self._pool.ids[row] for row in rows]

    def _labels(self) -> NDArray[np.int64]:
        assert self.clusters is not None
        return self.clusters

    def _unpulled(self) -> Literal["first", "zero"]:
        return self._settings.unpulled or ("zero" if self._settings.variant == "code" else "first")

    def _visits_nearest_first(self) -> bool:
        default = "number" if self._settings.variant == "code" else "nearest"
        return (self._settings.first_visits or default) == "nearest"

    def _counts_warmup(self) -> bool:
        counts = self._settings.count_warmup
        return self._settings.variant == "paper" if counts is None else counts

    def _text(self, pair: Question | Pair) -> str:
        form = self._settings.pair_format or ("chat" if self._settings.variant == "code" else "plain")
        if form == "chat":
            return f"<|user|>\n{pair.question}\n\n<|assistant|>\n{pair.answer}"  # [code]
        return pair_text(pair.question, pair.answer)
