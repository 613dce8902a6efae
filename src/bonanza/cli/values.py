"""Settings of a command: those of a YAML file, overridden by options, overridden by --set."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def merged(config: Path | None, given: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """Settings of the file, overridden by those of the command line."""
    values = _read_config(config) if config else {}
    for key, value in [*given.items(), *(_assignment(text) for text in assignments)]:
        place = values
        *outer, last = key.split(".")
        for name in outer:
            place = _inside(place, name, key)
        place[last] = value
    return values


def _inside(place: dict[str, Any], name: str, key: str) -> dict[str, Any]:
    """The nested settings of that name; new ones where there are none."""
    from bonanza.errors import SettingsError

    inner = place.get(name)
    if inner is None:
        inner = place[name] = {}
    if not isinstance(inner, dict):
        raise SettingsError(f"setting {name!r} is {inner!r}: it must hold settings, one of them {key!r}.")
    return inner


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    from bonanza.errors import SettingsError

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). Check the path after --config.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise SettingsError(f"{path}: must hold settings, one 'name: value' per line.")
    if isinstance(values.get("corpus"), str):
        values["corpus"] = (values["corpus"],)
    return values


def _assignment(text: str) -> tuple[str, Any]:
    import yaml

    from bonanza.errors import SettingsError

    key, equals, value = text.partition("=")
    try:
        if equals and key.strip():
            return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        pass
    raise SettingsError(f"--set {text!r}: write NAME=VALUE, e.g. --set equal.clusters=100.")
