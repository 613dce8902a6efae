"""Why a call gave no answer, and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# busy: wait and try again. broken: try again a few times. rejected: this request cannot be answered, others can.
# fatal: no request can be answered.
Kind = Literal["busy", "broken", "rejected", "fatal"]
# What the call must be taken to have cost: a request that was turned away is free everywhere; a server error may have
# cost the prompt; what broke off or took too long may have been written to the end.
Charged = Literal["nothing", "prompt", "all"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One call without an answer."""

    kind: Kind
    cause: str  # for people; never with the key in it
    charged: Charged = "nothing"
    status: int | None = None  # of HTTP, if there was one
    wait: float | None = None  # seconds that the server asks for
