"""Command references: a line that says what is done, then the command that does it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from bonanza.extractors.rules.pages import SENTENCE_ENDS, Found, Line, lines_of, paragraphs

TASK = re.compile(r"[-*][ \t]+(\S.{2,300}):")
LONGEST_COMMAND_NAME = 60  # characters


def find(text: str) -> list[Found]:
    r"""Read entries "- Do this:" followed by a command, indented or in backticks, below the name of the command.

    An entry counts only if the name that stands over it is used in one of the commands below that name, so lists
    in prose are left alone.

    >>> page = "tar\n\nArchive files.\n\n- List an archive:\n\n    tar tf file.tar"
    >>> [(found.question, found.answer) for found in find(page)]
    [('How do I list an archive using `tar`?', 'tar tf file.tar')]
    """
    found: list[Found] = []
    for name, group in _sections(paragraphs(lines_of(text))):
        entries = [entry for entry in _entries(group, name) if entry]
        called = name.split()[0] if name else ""
        if called and any(called in entry.answer for entry in entries):
            found.extend(entries)
    return found


def _sections(groups: Sequence[Sequence[Line]]) -> Iterator[tuple[str, list[Sequence[Line]]]]:
    """Divide a page at the names of commands: short lines alone that do not end like a sentence."""
    name, section = "", list[Sequence[Line]]()
    for group in groups:
        if own := _command_name(group):
            yield name, section
            name, section = own, []
        else:
            section.append(group)
    yield name, section


def _command_name(group: Sequence[Line]) -> str:
    line = group[0].content
    plain = len(group) == 1 and not line[0].isspace() and not line.startswith(("-", "*", "`", ">"))
    short = len(line) <= LONGEST_COMMAND_NAME and not line.endswith(SENTENCE_ENDS)
    return line.lstrip("# ").strip("`") if plain and short else ""


def _entries(section: Sequence[Sequence[Line]], name: str) -> Iterator[Found | None]:
    """Pair each task with the command below it, in the same paragraph or in the next."""
    for index, group in enumerate(section):
        task = TASK.fullmatch(group[0].content)
        if not task:
            continue
        below = group[1:] or (section[index + 1] if index + 1 < len(section) else ())
        if command := _command(below):
            question = f"How do I {_uncapitalised(task[1])} using `{name}`?"
            yield Found(question, command, group[0].start, below[-1].end)


def _command(lines: Sequence[Line]) -> str:
    """Return the command on lines that are indented or in backticks, otherwise nothing.

    >>> _command(lines_of("`ls -a`")), _command(lines_of("    ls")), _command(lines_of("then see"))
    ('ls -a', 'ls', '')
    """
    contents = [line.content for line in lines]
    if all(content.startswith(("    ", "\t")) for content in contents):
        return "\n".join(content.strip() for content in contents)
    quoted = len(contents) == 1 and len(contents[0]) > 2 and contents[0][0] == contents[0][-1] == "`"
    return contents[0].strip("`") if quoted else ""


def _uncapitalised(task: str) -> str:
    """Make a sentence's start fit after "How do I", abbreviations aside.

    >>> _uncapitalised("List files"), _uncapitalised("SSH into a host")
    ('list files', 'SSH into a host')
    """
    return task if task[:2].isupper() else task[0].lower() + task[1:]
