"""Which documents of a corpus take no part, as named steps: what each leaves out is counted under its name."""

from __future__ import annotations

from functools import lru_cache

from bonanza.algorithms.language import CODES, KNOWN_CODES, told
from bonanza.errors import SettingsError
from bonanza.records import Document, Skipped
from bonanza.settings import FilterSettings

LANGUAGE_SAMPLE = 20_000  # [ours] characters at the beginning of a text that tell its language


def check_filters(filters: FilterSettings) -> None:
    """Refuse languages that are not told apart, and lengths that no text has."""
    unknown = sorted(_codes(filters.languages or "") - KNOWN_CODES)
    if unknown or (filters.languages is not None and not _codes(filters.languages)):
        raise SettingsError(
            f"languages {filters.languages!r}: not told is {', '.join(unknown) or 'which'}. Give one or more of: "
            f"{', '.join(sorted(KNOWN_CODES))}."
        )
    least, most = filters.least_characters, filters.most_characters
    if least is not None and most is not None and least > most:
        raise SettingsError(f"least_characters {least} is more than most_characters {most}: no document has both.")


def filtered(record: Document | Skipped, filters: FilterSettings) -> Document | Skipped:
    """The document, or the first reason for which it takes no part. One whose language cannot be told stays."""
    reason = _reason(record.text, filters) if isinstance(record, Document) else ""
    return Skipped(record.origin, reason) if reason else record


def _reason(text: str, filters: FilterSettings) -> str:
    if filters.least_characters is not None and len(text) < filters.least_characters:
        return f"shorter than {filters.least_characters} characters"
    if filters.most_characters is not None and len(text) > filters.most_characters:
        return f"longer than {filters.most_characters} characters"
    if filters.languages is None:
        return ""
    name = told(text[:LANGUAGE_SAMPLE])
    if name is None or not _codes(filters.languages).isdisjoint(CODES[name]):
        return ""
    return f"language: {name if len(CODES[name]) > 1 else CODES[name][0]}"


@lru_cache(maxsize=16)
def _codes(languages: str) -> frozenset[str]:
    """The codes in "en,de"."""
    return frozenset(code.strip().lower() for code in languages.split(",") if code.strip())
