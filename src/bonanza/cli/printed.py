"""What `--json` prints: one document on standard output, and nothing else."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any

import typer

from bonanza.errors import BonanzaError, EndpointError, EndpointRefusedError

WRONG_USE, EARLY = 2, 3  # exit statuses
JSON_HELP = "Print the summary as one JSON document on standard output, and nothing else there."


def print_json(document: Mapping[str, Any]) -> None:
    """Print it; numbers that JSON does not know become null."""
    typer.echo(json.dumps(finite(document), indent=1, allow_nan=False))


def finite(value: Any) -> Any:
    """A value in which every number that is not finite is None.

    >>> finite({"loss": float("nan"), "losses": [1.0, float("inf")]})
    {'loss': None, 'losses': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@contextmanager
def kept_free(wanted: bool) -> Iterator[None]:
    """While the block runs, what libraries print goes to standard error, if standard output is wanted for JSON.

    Where it ends in an error and can be resumed, the document says so: it has the one key "error".
    """
    if not wanted:
        yield
        return
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (BonanzaError, OSError) as error:
        if status_of(error) == EARLY:
            print_json({"error": str(error)})
        raise


def status_of(error: BonanzaError | OSError) -> int:
    """The exit status that an error ends a command with."""
    resumes = isinstance(error, OSError | EndpointError) and not isinstance(error, EndpointRefusedError)
    return EARLY if resumes else WRONG_USE
