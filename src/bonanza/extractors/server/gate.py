"""The pace of calls: as many at a time as the server bears, within the user's limits, and an end when it is gone.

The limit climbs by one with every answer until the server pushes back, then falls by a third and climbs slowly:
additive increase, multiplicative decrease (Chiu and Jain 1989), as TCP does.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from bonanza.errors import EndpointError
from bonanza.extractors.server.faults import Fault
from bonanza.settings import ConnectionSettings

if TYPE_CHECKING:
    from aiolimiter import AsyncLimiter

FIRST_LIMIT = 8.0  # [ours] calls at a time to begin with
SECONDS_PER_STEP = 2.0  # [ours] until one call more at a time is tried, once the server has pushed back
FALL = 0.7  # [ours] of the limit when the server pushes back
SECONDS_BETWEEN_FALLS = 1.0  # [ours] one overload answers many calls; it counts once
ROW_OF_FAILURES = 10  # [ours] after which calls go one at a time, until one succeeds
FIRST_PATIENCE = 20.0  # [ours] seconds of failures after which a server that has never answered is given up
LONGEST_PAUSE = 30.0  # [ours] seconds between tries when everything fails
TOKEN_WINDOW = 10.0  # seconds over which tokens per minute are evened out


class Gate:
    """Lets calls through."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._limit = min(FIRST_LIMIT, float(settings.concurrency))
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._climbing = True  # the server has not pushed back yet
        self._fell_at = self._climbed_at = self._resume_at = 0.0
        self._ever = False  # something succeeded
        self._row, self._row_began = 0, 0.0  # of failures without any success between
        self._requests = _requests_per_minute(settings.rpm)
        self._tokens = _tokens_per_minute(settings.tpm)

    @property
    def everything_fails(self) -> bool:
        """No call has succeeded for a while: what fails now is the server, not the call."""
        return self._row >= ROW_OF_FAILURES

    @asynccontextmanager
    async def slot(self, tokens: int) -> AsyncIterator[None]:
        """Wait for the turn of a call of so many tokens."""
        await self._enter()
        try:
            while (pause := self._resume_at - time.monotonic()) > 0:
                await asyncio.sleep(pause)
            await self._paced(tokens)
            yield
        finally:
            self._in_flight -= 1
            self._wake()

    async def _enter(self) -> None:
        """Wait until fewer calls than the limit are under way; first come, first served."""
        if self._in_flight < int(self._limit) and not self._waiting:
            self._in_flight += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # woken and cancelled at once: the turn goes to the next
                self._in_flight -= 1
                self._wake()
            raise

    def _wake(self) -> None:
        while self._waiting and self._in_flight < int(self._limit):
            if not (turn := self._waiting.popleft()).done():
                self._in_flight += 1
                turn.set_result(None)

    async def _paced(self, tokens: int) -> None:
        if self._requests is not None:
            await self._requests.acquire()
        while self._tokens is not None and tokens > 0:
            some = min(tokens, self._tokens.max_rate)
            await self._tokens.acquire(some)
            tokens -= int(some) or 1

    def succeeded(self, headers: Mapping[str, str]) -> None:
        """An answer came: climb, and keep to what its headers say of limits."""
        self._ever, self._row = True, 0
        now = time.monotonic()
        step = 1.0 if self._climbing else min((now - self._climbed_at) / SECONDS_PER_STEP, 1.0)
        self._limit, self._climbed_at = min(self._limit + step, self._settings.concurrency), now
        for what in ("requests", "tokens"):
            if headers.get(f"x-ratelimit-remaining-{what}") == "0":
                self._pause(seconds_of(headers.get(f"x-ratelimit-reset-{what}", "")) or 1.0)
        self._wake()

    def failed(self, fault: Fault) -> None:
        """No answer came.

        Raises
        ------
        EndpointError
            If nothing has come for so long that the server counts as gone, or it wants a longer wait than that.
        """
        now = time.monotonic()
        if self._row == 0:
            self._row_began = now
        self._row += 1
        patience = self._settings.give_up_after if self._ever else min(self._settings.give_up_after, FIRST_PATIENCE)
        if (fault.wait or 0.0) > patience:
            raise EndpointError(f"{fault.cause}; it asks to wait {fault.wait:.0f} s. {_RESUMES}")
        if self._row > 1 and now - self._row_began > patience:
            raise EndpointError(
                f"{fault.cause}; {self._row} calls in a row failed in {now - self._row_began:.0f} s. {_RESUMES}"
            )
        if fault.kind == "busy":
            self._fall(now)
            self._pause(fault.wait or backoff(min(self._row, 6)))
        if self.everything_fails:
            self._limit = 1.0
            self._pause(min(backoff(self._row - ROW_OF_FAILURES), LONGEST_PAUSE))

    def _fall(self, now: float) -> None:
        if now - self._fell_at > SECONDS_BETWEEN_FALLS:
            self._fell_at = self._climbed_at = now
            self._climbing = False
            self._limit = max(1.0, self._limit * FALL)

    def _pause(self, seconds: float) -> None:
        self._resume_at = max(self._resume_at, time.monotonic() + min(seconds, self._settings.give_up_after))


_RESUMES = "The same command resumes when it is back."


def _requests_per_minute(rpm: int | None) -> AsyncLimiter | None:
    """At most a second's worth at once: a full minute's worth at once would make two in the first minute."""
    if rpm is None:
        return None
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(rpm / 60, 1.0) if rpm >= 60 else AsyncLimiter(1, 60 / rpm)


def _tokens_per_minute(tpm: int | None) -> AsyncLimiter | None:
    if tpm is None:
        return None
    from aiolimiter import AsyncLimiter

    return AsyncLimiter(tpm * TOKEN_WINDOW / 60, TOKEN_WINDOW)


def backoff(tries: int) -> float:
    """Seconds to wait before another try: half a second, doubled with each, up or down by half at random."""
    return float(min(0.5 * 2.0 ** min(tries, 10), LONGEST_PAUSE)) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret


def seconds_of(text: str) -> float | None:
    """Seconds of a duration in a rate-limit header.

    >>> seconds_of("1s"), seconds_of("6m0s"), seconds_of("20ms"), seconds_of("1.5"), seconds_of("soon")
    (1.0, 360.0, 0.02, 1.5, None)
    """
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "": 1.0}
    if not re.fullmatch(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[hms])?)+", text.strip()):
        return None
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[hms])?", text)
    return sum(float(number) * units[unit] for number, unit in parts)
