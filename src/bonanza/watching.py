"""Who looks on while something takes long, and hears which stage it is in."""

from __future__ import annotations

from typing import Protocol


class Watcher(Protocol):
    """Looks on."""

    def stage(self, text: str) -> None:
        """A long step begins, or goes on."""
        ...


class Silent:
    """Looks away."""

    def stage(self, text: str) -> None:
        """Say nothing."""
