"""Which parameters a server understands: found out from its complaints, once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Format = Literal["schema", "object with schema", "object", "text"]

FORMATS: tuple[Format, ...] = ("schema", "object with schema", "object", "text")  # tried in this order
_ABOUT_FORMAT = ("response_format", "response format", "json_schema", "json_object", "schema", "grammar", "structured")

_PAIR = {name: {"type": "string"} for name in ("question", "answer", "evidence")}
_OBJECT = {"type": "object", "additionalProperties": False}
_ITEM = _OBJECT | {"properties": _PAIR, "required": list(_PAIR)}
_LIST = {"type": "array", "items": _ITEM}
SCHEMA: Mapping[str, Any] = _OBJECT | {"properties": {"pairs": _LIST}, "required": ["pairs"]}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a request is put."""

    format: Format = "schema"
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: bool = True  # some models accept only their own

    def parameters(self, answer_tokens: int, temperature: float) -> dict[str, Any]:
        """What a request says beside model and messages."""
        given: dict[str, Any] = {self.limit: answer_tokens}
        if self.temperature:
            given["temperature"] = temperature
        if self.format != "text":
            given["response_format"] = _response_format(self.format)
        return given

    def after(self, complaint: str) -> Dialect | None:
        """What to try when the server rejected a request; None if it does not complain about a parameter of ours."""
        words = complaint.lower()
        if "max_completion_tokens" in words and self.limit == "max_tokens":
            return replace(self, limit="max_completion_tokens")
        if "temperature" in words and self.temperature:
            return replace(self, temperature=False)
        return self.plainer() if any(word in words for word in _ABOUT_FORMAT) else None

    def plainer(self) -> Dialect | None:
        """The next looser way to ask for JSON; None after the last."""
        rest = FORMATS[FORMATS.index(self.format) + 1 :]
        return replace(self, format=rest[0]) if rest else None


def _response_format(format_: Format) -> dict[str, Any]:
    if format_ == "schema":
        return {"type": "json_schema", "json_schema": {"name": "pairs", "strict": True, "schema": SCHEMA}}
    return {"type": "json_object"} | ({"schema": SCHEMA} if format_ == "object with schema" else {})
