"""Workers of a Ray cluster: processes on its nodes that do one piece of work after another.

What a worker had when it was lost is done again by another. The work is our own computation, so that nothing is paid
for twice; and nothing counts as done before its result is here. Ray itself restarts nothing: this module sees each
loss, and tells a lost node from a piece of work that no worker survives.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from bonanza.errors import BonanzaError, EndpointError, ExtractionError
from bonanza.settings import RaySettings
from bonanza.version import __version__

AT_A_WORKER = 2  # [ours] pieces: one under way, one waiting, so that no worker waits for the network
AHEAD = 2  # [ours] times as many pieces as are under way, which may be begun before the oldest is done
MOST_DEATHS = 3  # [ours] of workers at one piece, after which it is given up
MOST_STILLBORN = 10  # [ours] workers in a row, for each that is wanted, that died before they were ready
LOOK_SECONDS = 0.1  # how often a stop that was asked for is looked for while nothing arrives
COUNT_SECONDS = 1.0  # how often the processors of the cluster are counted
QUIET_SECONDS = 10.0  # without any worker, after which that is said

ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}  # as the commands have it: idle threads sleep

Item = TypeVar("Item")
Result = TypeVar("Result")
Make = Callable[[], Callable[[Item], Result]]


@dataclass(eq=False, slots=True)
class Piece(Generic[Item]):
    """One piece of work."""

    number: int  # in the order in which they were given
    item: Item
    died_on: list[str] = field(default_factory=list)  # nodes that outlived a worker that seemed to have it under way


@dataclass(frozen=True, slots=True)
class Done(Generic[Item, Result]):
    """What came of a piece of work."""

    number: int
    item: Item
    result: Result | None  # None: as many workers as may died of it


class Worker:
    """What runs on a node, in a process of its own."""

    def begin(self, make: Make[Any, Any], version: str) -> str:
        """Get ready; the name of the node.

        Raises
        ------
        ExtractionError
            If this node cannot do the work, for a reason that will not go away by itself.
        """
        import ray

        node: str = ray.get_runtime_context().get_node_id()
        if version != __version__:
            raise ExtractionError(f"Ray node {node} has bonanza {__version__}, here is {version}. Install the same.")
        try:
            self._do = make()
        except BonanzaError as error:
            raise ExtractionError(f"Ray node {node}: {error}") from None
        return node

    def do(self, item: Any) -> Any:
        """Do one piece of work."""
        return self._do(item)


@dataclass(eq=False, slots=True)
class _Member:
    """A worker, seen from here."""

    handle: Any
    begun: Any  # reference to the name of its node; None when that is here
    node: str = ""
    pieces: dict[Any, Piece[Any]] = field(default_factory=dict)  # by reference to the result; the first is under way

    @property
    def has_room(self) -> bool:
        suspected = any(piece.died_on for piece in self.pieces.values())
        return bool(self.node) and len(self.pieces) < AT_A_WORKER and not suspected

    @property
    def awaited(self) -> list[Any]:
        return list(self.pieces) if self.begun is None else [self.begun]


class _Job(Generic[Item]):
    """Pieces that wait: those that were lost first, then fresh ones."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._fresh = (Piece(number, item) for number, item in enumerate(items))
        self._next = next(self._fresh, None)
        self.lost: deque[Piece[Item]] = deque()
        self.open: set[int] = set()  # numbers of those that were taken, and are not done

    def __bool__(self) -> bool:
        return bool(self._next or self.open)

    def take(self, member: _Member, nodes: set[str], ahead: float) -> Piece[Item] | None:
        """The next one for a worker on one of these nodes; None if there is none.

        One that a worker died of goes to another node, as long as there is one that has not tried it: the node may be
        to blame. And it goes to a worker that has no other, and gets none: a worker's last answer may be lost with it,
        so only what was alone is surely what it died of. None is so far ahead of the oldest that is not done.
        """
        for lost in self.lost:
            if member.node not in lost.died_on or nodes <= set(lost.died_on):
                if lost.died_on and member.pieces:
                    return None  # until it has no other
                self.lost.remove(lost)
                return lost
        piece = self._next
        if piece is None or (self.open and piece.number >= min(self.open) + ahead):
            return None
        self.open.add(piece.number)
        self._next = next(self._fresh, None)
        return piece


class Workers(Generic[Item, Result]):
    """Has pieces of work done on the nodes of the cluster that this process is connected to.

    Parameters
    ----------
    make : makes what does the work, on the worker; a function of a module that is installed there, with plain values
    processors : that each worker takes
    tell : hears of it when there is no worker for a while
    """

    def __init__(
        self, make: Make[Item, Result], processors: float, settings: RaySettings, tell: Callable[[str], None]
    ) -> None:
        import ray

        self._make, self._processors, self._settings, self._tell = make, processors, settings, tell
        takes = {"num_cpus": processors, "num_gpus": settings.gpus}
        kind = ray.remote(**takes, max_restarts=0, scheduling_strategy="SPREAD")(Worker)
        hidden = {} if settings.gpus else {"CUDA_VISIBLE_DEVICES": ""}  # Ray shows all to whoever takes none
        self._kind = kind.options(runtime_env={"env_vars": ENVIRONMENT | hidden})
        self._members: list[_Member] = []
        self._counted, self._wanted, self._stillborn = float("-inf"), 1, 0
        self._none_since, self._told = time.monotonic(), False

    def work(
        self, items: Iterable[Item], stopping: Callable[[], bool], in_order: bool = False
    ) -> Iterator[list[Done[Item, Result]]]:
        """Yield what is done as soon as it is here; ends early when `stopping` says so.

        Parameters
        ----------
        in_order : whoever takes the results needs them in the order of the items: none is begun that is far ahead of
            the oldest that is not done, so that few have to wait for it

        Raises
        ------
        EndpointError
            If there is no worker any more, and none comes.
        ExtractionError
            If a node cannot do this work.
        """
        from ray.exceptions import RaySystemError, RpcError

        job = _Job(items)
        self._none_since = time.monotonic()
        try:
            while job and not stopping():
                self._recruit()
                self._hand_out(job, AHEAD * AT_A_WORKER * self._wanted if in_order else float("inf"))
                if done := self._arrived(job):
                    yield done
        except (RaySystemError, RpcError, ConnectionError) as error:
            raise EndpointError(f"The Ray cluster is gone ({_first_line(error)}). The same command resumes.") from None

    def close(self) -> None:
        """End all workers."""
        for member in self._members:
            _end(member)
        self._members = []

    def _recruit(self) -> None:
        """Ask for workers, as many as are wanted; say so, and at last give up, while there are none."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._counted, self._wanted = time.monotonic(), self._settings.workers or max(self._room(), 1)
        while len(self._members) < self._wanted:
            handle = self._kind.remote()
            self._members.append(_Member(handle, handle.begin.remote(self._make, __version__)))
        if any(member.node for member in self._members):
            self._none_since, self._told = time.monotonic(), False
        else:
            self._wait_for_one(time.monotonic() - self._none_since)

    def _room(self) -> int:
        """How many workers all nodes have room for."""
        import ray

        there, gpus = ray.cluster_resources(), self._settings.gpus
        by_processors = int(there.get("CPU", 0) / self._processors)
        return min(by_processors, int(there.get("GPU", 0) / gpus)) if gpus else by_processors

    def _wait_for_one(self, seconds: float) -> None:
        gpus = f" and {self._settings.gpus:g} GPU" if self._settings.gpus else ""
        wants = f"a node with {self._processors:g} free processors{gpus} for a worker"
        if seconds > QUIET_SECONDS and not self._told:
            self._told = True
            self._tell(f"waiting for the Ray cluster: {wants}")
        if seconds > self._settings.give_up_after:
            raise EndpointError(
                f"The Ray cluster has had no worker for {seconds:.0f} seconds; it needs {wants}. See `ray status`. The "
                "same command resumes; --set ray.give_up_after=SECONDS waits longer."
            )

    def _hand_out(self, job: _Job[Item], ahead: float) -> None:
        """Give each worker as many pieces as it may have, those with the fewest first."""
        nodes = {member.node for member in self._members if member.node}
        for _ in range(AT_A_WORKER):
            for member in sorted(self._members, key=lambda member: len(member.pieces)):
                if member.has_room and (piece := job.take(member, nodes, ahead)):
                    member.pieces[member.handle.do.remote(piece.item)] = piece

    def _arrived(self, job: _Job[Item]) -> list[Done[Item, Result]]:
        """All that is here, after a moment's wait."""
        import ray

        awaited = {reference: member for member in self._members for reference in member.awaited}
        ready, _ = ray.wait(list(awaited), num_returns=1, timeout=LOOK_SECONDS)
        if ready:
            ready, _ = ray.wait(list(awaited), num_returns=len(awaited), timeout=0)
        done, lost = [], []
        for reference in ready:
            member = awaited[reference]
            if (found := _fetched(reference)) is None:
                lost.append(member)
            elif reference == member.begun:
                member.node, member.begun, self._stillborn = found[0], None, 0
            else:
                done.append(_done(job, member.pieces.pop(reference), found[0]))
        return [*done, *(given_up for member in dict.fromkeys(lost) for given_up in self._bury(member, job))]

    def _bury(self, member: _Member, job: _Job[Item]) -> list[Done[Item, Result]]:
        """Another does what a lost worker had; what it had under way may be what it died of, if its node lives on."""
        self._members.remove(member)
        _end(member)
        self._stillborn += not member.node
        if self._stillborn > MOST_STILLBORN * self._wanted:
            raise EndpointError(
                f"{self._stillborn} Ray workers died one after the other before they were ready. See the logs of Ray "
                "on its nodes (memory?). The same command resumes."
            )
        pieces = list(member.pieces.values())
        if pieces and _lives(member.node):
            pieces[0].died_on.append(member.node)
        hopeless = [piece for piece in pieces if len(piece.died_on) >= MOST_DEATHS]
        job.lost.extend(piece for piece in pieces if piece not in hopeless)
        return [_done(job, piece, None) for piece in hopeless]


def _done(job: _Job[Item], piece: Piece[Item], result: Result | None) -> Done[Item, Result]:
    job.open.remove(piece.number)
    return Done(piece.number, piece.item, result)


def _fetched(reference: Any) -> tuple[Any] | None:
    """The value; None if the worker or node that had it is lost.

    Raises
    ------
    ExtractionError
        Or whatever else the work raised on the worker.
    """
    import ray
    from ray.exceptions import (
        NodeDiedError,
        ObjectLostError,
        OutOfMemoryError,
        RayActorError,
        RayTaskError,
        WorkerCrashedError,
    )

    try:
        return (ray.get(reference),)
    except (RayActorError, WorkerCrashedError, NodeDiedError, ObjectLostError, OutOfMemoryError):
        return None
    except RayTaskError as error:
        if isinstance(error.cause, BonanzaError):
            raise error.cause from None
        raise ExtractionError(f"A Ray worker failed: {_last_line(error)}. All nodes need bonanza {__version__}.") from (
            error
        )


def _lives(node: str) -> bool:
    import ray

    return any(one["NodeID"] == node and one["Alive"] for one in ray.nodes())


def _end(member: _Member) -> None:
    """End a worker, whatever state it is in."""
    import ray

    ray.kill(member.handle)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _last_line(error: Exception) -> str:
    return next(iter(reversed(str(error).strip().splitlines())), type(error).__name__)
