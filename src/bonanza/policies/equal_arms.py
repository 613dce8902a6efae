"""The arms of EQUAL's bandit: which documents each cluster still holds, what it gave, and what that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonanza.algorithms.transport import Metric, Solver, cost_matrix, fixed_size_cost, transport_cost
from bonanza.settings import EqualSettings

Matrix = NDArray[np.float32]
Costs = NDArray[np.float64]


class Reward:
    """Worth of pairs: 1 - transport cost to the references - offset. Higher is better."""

    def __init__(self, settings: EqualSettings, references: Matrix, rng: np.random.Generator) -> None:
        code = settings.variant == "code"
        transport = settings.transport
        self._references, self._rng = references, rng
        self._solver: Solver = transport.solver or ("ipot" if code else "exact")
        self._metric: Metric = transport.metric or ("euclidean" if code else "cosine")
        self._offset = transport.offset if transport.offset is not None else (0.12 if code else 0.0)
        size = transport.pairs_per_comparison
        self._size = (0 if code else 16) if size is None else size
        self._regularisation = transport.regularisation
        unrelated = 1.0 if self._metric == "cosine" else 2**0.5
        self._nothing = unrelated if transport.cost_of_nothing is None else transport.cost_of_nothing
        self.pools = settings.value == "pooled" if settings.value else not code
        self._counts_empty = not code

    def costs(self, vectors: Matrix) -> Costs:
        """Cost of moving each pair to each reference: shape (pairs, references)."""
        return cost_matrix(vectors, self._references, self._metric)

    def with_empty(self, costs: Costs, empty: int) -> Costs:
        """Costs of a pull, and of its documents without any pair.

        Such a document counts as one pair unlike everything [ours; paper variant only], so that a cluster of which
        most pages give nothing is not judged by the few that do.
        """
        phantoms = np.full((empty if self._counts_empty else 0, costs.shape[1]), self._nothing)
        return np.concatenate([costs, phantoms])

    def of(self, costs: Costs) -> float:
        """Reward of pairs with these costs."""
        if not len(costs):
            return 1.0 - self._nothing - self._offset
        if self._size:
            cost = fixed_size_cost(costs, self._size, self._rng, self._solver, self._regularisation)
        else:
            cost = transport_cost(costs, solver=self._solver, regularisation=self._regularisation)
        return 1.0 - cost - self._offset


class Arms:
    """State of all arms. Arrays have one entry per cluster."""

    def __init__(
        self, reward: Reward, clusters: NDArray[np.int64], order: NDArray[np.int64], neighbours: NDArray[np.bool_],
        closeness: NDArray[np.float64],
    ) -> None:  # fmt: skip
        """`order`: all documents in the order in which clusters give them out; `neighbours`: who shares with whom."""
        count = len(neighbours)
        by_cluster = order[np.argsort(clusters[order], kind="stable")]
        self._documents = np.split(by_cluster, np.cumsum(np.bincount(clusters, minlength=count))[:-1])
        self._clusters = clusters
        self._reward = reward
        self._neighbours = neighbours
        self._costs: list[list[Costs]] = [[] for _ in range(count)]  # of every pull that an arm shares in
        self._batch_rewards: list[list[float]] = [[] for _ in range(count)]
        self._changed: set[int] = set()
        self.closeness = closeness  # of the centroid to the references: order of first visits
        self.pulls = np.zeros(count)
        self.values = np.zeros(count)
        self.sizes = np.array([len(documents) for documents in self._documents])

    @property
    def remaining(self) -> NDArray[np.int64]:
        """Documents that each arm still holds."""
        return np.array([len(documents) for documents in self._documents])

    def take_out(self, rows: NDArray[np.int64]) -> None:
        """Remove documents that have been read otherwise."""
        for arm in np.unique(self._clusters[rows]):
            documents = self._documents[arm]
            self._documents[arm] = documents[~np.isin(documents, rows)]

    def draw(self, arm: int, count: int) -> Sequence[int]:
        """Take the next documents of an arm."""
        drawn, self._documents[arm] = self._documents[arm][:count], self._documents[arm][count:]
        return [int(row) for row in drawn]

    def costs(self, vectors: Matrix) -> Costs:
        """Costs of pairs against the references, for `give`; in one product for all arms of a round."""
        return self._reward.costs(vectors)

    def give(self, arm: int, pair_costs: Costs, empty: int, weight: float) -> None:
        """Credit one pull, to the arm and its neighbours: costs of its pairs, and number of documents without any."""
        costs = self._reward.with_empty(pair_costs, empty)
        sharing = np.flatnonzero(self._neighbours[arm])
        self.pulls[sharing] += weight
        if not self._reward.pools:
            value = self._reward.of(costs)
        for neighbour in sharing.tolist():
            self._changed.add(neighbour)
            if self._reward.pools:
                self._costs[neighbour].append(costs)
            else:
                self._batch_rewards[neighbour].append(value)

    def revalue(self) -> None:
        """Reckon the value of every arm that was given something."""
        for arm in sorted(self._changed):
            if self._reward.pools:
                self._costs[arm] = [np.concatenate(self._costs[arm])]
                self.values[arm] = self._reward.of(self._costs[arm][0])
            else:
                self.values[arm] = float(np.mean(self._batch_rewards[arm]))
        self._changed.clear()

    def best(self, count: int) -> list[dict[str, Any]]:
        """The arms of highest value, for people."""
        pulled = np.flatnonzero(self.pulls > 0)
        best = pulled[np.argsort(-self.values[pulled], kind="stable")][:count]
        remaining = self.remaining
        return [
            {
                "cluster": int(arm),
                "reward": round(float(self.values[arm]), 4),
                "pulls": round(float(self.pulls[arm]), 2),
                "documents": int(self.sizes[arm]),
                "unread": int(remaining[arm]),
            }
            for arm in best
        ]
