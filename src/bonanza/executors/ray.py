"""Reading, embedding and scoring on the nodes of a Ray cluster.

The journal and the files of embeddings and scores are written here, by one process: a node that is lost loses nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TypeVar

from bonanza.errors import EndpointError, ExtractionError, MissingExtraError, SettingsError
from bonanza.executors.ray_workers import MOST_DEATHS, Done, Make, Workers
from bonanza.interfaces import Matrix, Passage, Score
from bonanza.records import Document, Reading
from bonanza.settings import RaySettings

PREFIX = "ray"
CLIENT = "ray://"
AUTO = "auto"
LOOPBACK = "127.0.0.1"
STORE_BYTES = 256 * 2**20  # [ours] of a cluster that is started here: documents and readings are small
CONNECT_SECONDS = 10.0

Item = TypeVar("Item")
Result = TypeVar("Result")


class RayExecutor:
    """Has documents read by workers, at most two at a worker at a time."""

    def __init__(
        self, make: Make[Document, Reading], processors: float, settings: RaySettings, tell: Callable[[str], None]
    ) -> None:
        self._workers = Workers(make, processors, settings, tell)

    def read(self, documents: Sequence[Document], stopping: Callable[[], bool]) -> Iterator[Sequence[Reading]]:
        """Yield readings as soon as they are here; when stopped, those that are under way are given up."""
        for done in self._workers.work(documents, stopping):
            yield [_reading(one) for one in done]

    def close(self) -> None:
        """End the workers."""
        self._workers.close()


def _reading(done: Done[Document, Reading]) -> Reading:
    detail = f"{MOST_DEATHS} Ray workers died while they read it"
    return done.result or Reading(done.item.id, "failed", detail=detail)


class RayEmbedding:
    """Embeds batches of texts by workers, which live as long as there are batches."""

    def __init__(
        self, make: Make[list[str], Matrix], processors: float, settings: RaySettings, tell: Callable[[str], None]
    ) -> None:
        self._workers = partial(Workers[list[str], Matrix], make, processors, settings, tell)

    def __call__(self, batches: Iterable[list[str]]) -> Iterator[Matrix]:
        """Yield the vectors of each batch, in the order of the batches.

        Raises
        ------
        ExtractionError
            If the workers die of a batch.
        """
        with closing(self._workers()) as workers:
            ready: dict[int, Matrix] = {}
            following = 0
            for done in workers.work(batches, stopping=lambda: False, in_order=True):
                ready |= {one.number: _result(one, "embedded", "texts") for one in done}
                while following in ready:
                    yield ready.pop(following)
                    following += 1


class RayScoring:
    """Scores batches of passages by workers, which live as long as there are batches."""

    def __init__(
        self, make: Make[list[Passage], list[Score]], processors: float, settings: RaySettings,
        tell: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._workers = partial(Workers[list[Passage], list[Score]], make, processors, settings, tell)

    def __call__(self, batches: Iterable[list[Passage]]) -> Iterator[tuple[int, list[Score]]]:
        """Yield the number of each batch and its scores, as soon as they are here.

        Raises
        ------
        ExtractionError
            If the workers die of a batch.
        """
        with closing(self._workers()) as workers:
            for done in workers.work(batches, stopping=lambda: False):
                yield from ((one.number, _result(one, "scored", "passages")) for one in done)


def _result(done: Done[list[Item], Result], worked: str, items: str) -> Result:
    if done.result is None:
        raise ExtractionError(
            f"{MOST_DEATHS} Ray workers died while they {worked} a batch of {len(done.item):,} {items} (memory?). Give "
            "each more of its node: --set ray.processors=4."
        )
    return done.result


def check_executor(executor: str) -> None:
    """Refuse what names no executor.

    Raises
    ------
    SettingsError
        Naming what there is.

    Examples
    --------
    >>> check_executor("ray:auto")
    """
    kind, colon, address = executor.partition(":")
    if executor == "local" or (kind == PREFIX and (not colon or _is_address(address))):
        return
    raise SettingsError(
        f"executor {executor!r} is not known. There are: local; ray (started on this machine); ray:auto (the cluster "
        "that this machine is part of); ray:HOST:PORT; ray:ray://HOST:PORT (from outside the cluster)."
    )


def _is_address(address: str) -> bool:
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    return address == AUTO or bool(host and colon and port.isdecimal() and 0 < int(port) < 2**16)


@contextmanager
def connected(executor: str) -> Iterator[None]:
    """Be connected to the cluster that an executor's name stands for; one that was started for it ends with it.

    A connection that the caller's own code has made already is used as it is, and left open.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    EndpointError
        If the cluster does not answer.
    """
    if find_spec("ray") is None:
        raise MissingExtraError(f"--executor {executor}", "ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    import ray

    if ray.is_initialized():
        yield
        return
    with _handlers_kept():
        _connect(executor.partition(":")[2])
    try:
        yield
    finally:
        ray.shutdown()


def _connect(address: str) -> None:
    import ray

    _silence()
    quiet = partial(ray.init, configure_logging=False, log_to_driver=False)
    if not address:
        quiet(address="local", include_dashboard=False, object_store_memory=STORE_BYTES, _node_ip_address=LOOPBACK)
        return
    try:
        if address != AUTO:
            _knock(address)
        quiet(address=address)
    except (OSError, RuntimeError, ValueError, ImportError) as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise EndpointError(
            f"--executor ray:{address}: no Ray cluster answers there ({why}). Check the address with `ray status "
            "--address HOST:PORT`, and that both sides have one version of Ray and of Python."
        ) from None


def _silence() -> None:
    """The terminal is ours. Ray prints what its nodes say of losses whatever it is asked; we say what matters."""
    import ray._private.worker

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    ray._private.worker._worker_logs_enabled = False  # the only switch for messages of nodes, as of Ray 2.60


def _knock(address: str) -> None:
    """See that somebody answers: Ray itself would try for minutes, and then end this process."""
    host, _, port = address.removeprefix(CLIENT).rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS):
        return


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; give it back."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
