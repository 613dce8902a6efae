"""docs/commands.md says what the commands say; no page names a command, option or setting that is not there."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from written import PAGES, ROOT, commands_of, inline_code, shell_blocks

from bonanza.settings import CompareSettings, EvaluateSettings, RunSettings, SelectSettings, TrainSettings

OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SETTING = re.compile(r"--set ([\w.]+)=")
OURS = re.compile(r"\bbonanza (?P<command>[a-z]+)(?P<rest>[^|&;]*)")
ALWAYS, OTHERS = {"--help"}, {"--api-key": "vLLM's"}


def load_reference() -> Any:
    """The module docs/command_reference.py, which is part of no package."""
    place = importlib.util.spec_from_file_location("command_reference", ROOT / "docs" / "command_reference.py")
    module = importlib.util.module_from_spec(place)
    sys.modules[place.name] = module  # where its dataclasses look for themselves
    place.loader.exec_module(module)
    return module


REFERENCE = load_reference()
KNOWN = {
    command: {name for one in REFERENCE.parameters(function) if one.is_option for name in one.names} | ALWAYS
    for command, function in REFERENCE.commands().items()
}


def settings_of(kind: type, prefix: str = "") -> set[str]:
    """Names as `--set` takes them."""
    nested = [(one.name, one.default_factory) for one in fields(kind) if is_dataclass(one.default_factory)]
    inner = (settings_of(factory, f"{prefix}{name}.") for name, factory in nested)
    return {prefix + one.name for one in fields(kind)}.union(*inner)


def test_the_command_reference_is_what_the_commands_say():
    told = REFERENCE.PAGE.read_text(encoding="utf-8")
    assert told == REFERENCE.reference(), "docs/commands.md is out of date: run `python docs/command_reference.py`"


def test_the_command_reference_has_every_option_of_a_command():
    section = REFERENCE.reference().partition("## bonanza extract\n")[2].partition("\n## ")[0]
    assert set(OPTION.findall(section)) - {"--no-model"} >= {"--target", "--budget", "--batch", "--set"}
    assert "Default: adaptive" in section
    assert "--no-batch" not in section


def mentions(page) -> list[tuple[str, str]]:
    """Each command that a page names with what follows it; an empty name for options that stand alone."""
    typed = [command for block in shell_blocks(page) for command in commands_of(block)]
    found = [(ours["command"], ours["rest"]) for text in typed + inline_code(page) for ours in OURS.finditer(text)]
    for code in inline_code(page):
        command = code.partition(" ")[0]
        if command in KNOWN or code.startswith("--"):
            found.append((command if command in KNOWN else "", code))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_only_commands_and_options_that_exist(page):
    everywhere = set().union(*KNOWN.values(), OTHERS)
    for command, rest in mentions(page):
        assert not command or command in KNOWN, f"bonanza {command}: there is no such command"
        unknown = set(OPTION.findall(rest)) - (KNOWN[command] if command else everywhere)
        assert not unknown, f"bonanza {command} {rest.strip()}: there is no {', '.join(sorted(unknown))}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_name_only_settings_that_exist(page):
    kinds = (RunSettings, CompareSettings, SelectSettings, TrainSettings, EvaluateSettings)
    unknown = set(SETTING.findall(page.read_text(encoding="utf-8"))) - set().union(*map(settings_of, kinds))
    assert not unknown, f"--set knows no {', '.join(sorted(unknown))}"
