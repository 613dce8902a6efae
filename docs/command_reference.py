"""Writes docs/commands.md from the commands themselves: `python docs/command_reference.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from bonanza.cli import app, main

PAGE = Path(__file__).with_name("commands.md")
BEGINNING = """\
# Commands

Written by `python docs/command_reference.py` from the commands themselves. `bonanza COMMAND --help` says the same.
"""
TYPES = {"str": "TEXT", "Path": "PATH", "int": "INTEGER", "float": "NUMBER"}
DEFAULT = re.compile(
    r"\[default: (?P<default>.+)\](?P<rest>.*)$"
)  # in a help text; names may hold brackets of their own


@dataclass(frozen=True)
class Parameter:
    """An argument or option of a command."""

    name: str  # of the function's parameter
    info: ArgumentInfo | OptionInfo
    type: str  # as it is printed
    default: Any

    @property
    def is_option(self) -> bool:
        """Written with dashes."""
        return isinstance(self.info, OptionInfo)

    @property
    def is_required(self) -> bool:
        """Must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def names(self) -> tuple[str, ...]:
        """How it is written: an option with its dashes."""
        if not self.is_option:
            return (self.info.metavar or self.name.upper(),)
        # In Annotated, typer puts the first name among the defaults.
        given = [name for name in (self.info.default, *(self.info.param_decls or ())) if str(name).startswith("--")]
        option = self.name.strip("_").replace("_", "-")
        usual = (f"--{option}", f"--no-{option}") if self.is_flag else (f"--{option}",)
        return tuple(given) or usual

    @property
    def is_flag(self) -> bool:
        """Takes nothing."""
        return self.is_option and self.type == "<class 'bool'>"

    @property
    def may_be_repeated(self) -> bool:
        """Several may be given."""
        return self.type.startswith("list")

    @property
    def takes(self) -> str:
        """What stands behind an option's name, with the blank before it."""
        if not self.is_option or self.is_flag:
            return ""
        return f" {self.info.metavar or next(word for kind, word in TYPES.items() if kind in self.type)}"


def commands() -> dict[str, Callable[..., Any]]:
    """The functions behind the commands, in the order of `bonanza --help`."""
    found = [(command.name, command.callback) for command in app.registered_commands]
    return {name or function.__name__: function for name, function in found if function}


def parameters(function: Callable[..., Any]) -> list[Parameter]:
    """What a command takes, in its order; what `--help` hides is left out."""
    types = get_type_hints(function, include_extras=True)
    found = [
        Parameter(name, types[name].__metadata__[0], str(types[name].__origin__), parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
    ]
    return [one for one in found if not one.info.hidden]


def reference() -> str:
    """The page, as it should be."""
    statuses = (main.__doc__ or "").partition(". ")[2].strip()
    sections = [_section(name, function) for name, function in commands().items()]
    return "\n".join([BEGINNING, f"{statuses}\n", *sections])


def _section(name: str, function: Callable[..., Any]) -> str:
    """One command: what it does, how it is called, what it takes."""
    taken = parameters(function)
    usage = " ".join([f"bonanza {name}", *_usage(taken)])
    table = ["| argument, option | |", "|---|---|", *map(_row, taken)] if taken else []
    return "\n".join([f"## bonanza {name}", "", inspect.getdoc(function) or "", "", f"    {usage}", "", *table, ""])


def _usage(taken: list[Parameter]) -> Iterator[str]:
    """Arguments first, then the options that must be given."""
    for one in taken:
        if not one.is_option:
            yield (one.names[0] if one.is_required else f"[{one.names[0]}]") + "..." * one.may_be_repeated
    yield from (f"{one.names[0]}{one.takes}" for one in taken if one.is_option and one.is_required)
    if any(one.is_option and not one.is_required for one in taken):
        yield "[OPTIONS]"


def _row(one: Parameter) -> str:
    written = ", ".join(f"`{name}{one.takes}`" for name in one.names)
    default, meaning = _default_and_meaning(one)
    told = [meaning if meaning.endswith(".") or not meaning else f"{meaning}."]
    told += ["Several may be given."] if one.is_option and one.may_be_repeated else []
    told += [f"Default: {default}."] if default else []
    return f"| {written} | {' '.join(filter(None, told))} |"


def _default_and_meaning(one: Parameter) -> tuple[str, str]:
    """The default that the help text names, or else the parameter's own; the help text without it."""
    told = _plain(one.info.help or "")
    if found := DEFAULT.search(told):
        return found["default"] + found["rest"].rstrip("."), told[: found.start()].strip()
    if one.is_flag:
        return (f"`{one.names[0]}`" if one.default else ""), told
    return ("" if one.is_required or one.default is None else _plain(str(one.default))), told


def _plain(text: str) -> str:
    r"""A help text on one line, with nothing in it that a table or Markdown would take for its own.

    >>> _plain("a | b <c>")
    'a \\| b &lt;c>'
    """
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
