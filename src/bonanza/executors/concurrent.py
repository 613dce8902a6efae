"""Reading many documents at a time: an event loop in a thread of its own waits for the server."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from bonanza.interfaces import AsyncExtractor
from bonanza.records import Document, Reading

LOOK_SECONDS = 0.1  # how often a stop that was asked for is looked for while nothing arrives

_Arrived = queue.SimpleQueue["asyncio.Task[Reading]"]


class ConcurrentExecutor:
    """Has all documents that it is given read at once; how many calls run at a time is the extractor's to say."""

    def __init__(self, extractor: AsyncExtractor) -> None:
        self._extractor = extractor
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="bonanza-reading", daemon=True)
        self._thread.start()

    def read(self, documents: Sequence[Document], stopping: Callable[[], bool]) -> Iterator[Sequence[Reading]]:
        """Yield readings as soon as they are there; when stopped, those that are not finished are given up."""
        arrived: _Arrived = queue.SimpleQueue()
        tasks = self._await(self._begin(documents, arrived))
        missing = len(tasks)
        try:
            while missing and not stopping():
                some = _next(arrived)
                missing -= len(some)
                yield [task.result() for task in some if task.exception() is None]
                for task in some:
                    task.result()  # raises what has gone wrong
        finally:
            if missing:
                self._await(self._give_up(tasks))

    async def _begin(self, documents: Sequence[Document], arrived: _Arrived) -> list[asyncio.Task[Reading]]:
        tasks = [asyncio.ensure_future(_reading(self._extractor, document)) for document in documents]
        for task in tasks:
            task.add_done_callback(arrived.put)
        return tasks

    async def _give_up(self, tasks: Sequence[asyncio.Task[Reading]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._extractor.settle()

    def _await(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """Close connections, and end the thread."""
        self._await(self._extractor.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _reading(extractor: AsyncExtractor, document: Document) -> Reading:
    return await extractor.read(document)


def _next(arrived: _Arrived) -> list[asyncio.Task[Reading]]:
    """All that have arrived; none after a moment without any."""
    some = []
    try:
        some.append(arrived.get(timeout=LOOK_SECONDS))
        while True:
            some.append(arrived.get_nowait())
    except queue.Empty:
        return some
