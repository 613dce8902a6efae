"""Python documentation: a qualified name, its docstring, and examples at the interpreter's prompt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import dedent

from bonanza.extractors.rules.pages import Found, Line, joined, lines_of, paragraphs

SIGNATURE = re.compile(r"([A-Za-z_]\w*(?:\.\w+)+|[A-Za-z_]\w*(?=\())(\(.*)?")
UNDERLINE = re.compile(r"-{3,}|={3,}")
PROMPT = ">>>"
LONGEST_HEAD = 40  # lines in which name and summary stand
SHORTEST_PROSE = 18  # characters; "See `sum`." says nothing
MARKUP = (".. ", "- ", "* ", ":", "|")  # directives, list entries, fields and tables: not what an example is about
LEANS_BACK = re.compile(
    r"(?:now|then|further|furthermore|here|this|these|that|those|it|its|they|however|but|also|again|similarly|likewise|"
    r"alternatively|as (?:before|expected|above)|note|next|finally|thus|so|and|or|otherwise|in contrast|instead|"
    r"we can (?:also|now)|the (?:same|above|result))\b",
    re.IGNORECASE,
)  # openings of prose that is about the example before it


def find(text: str) -> list[Found]:
    r"""Read a page "package.name(signature)", blank line, docstring: what it does, and its examples.

    The summary, its first paragraph, answers what the name does. Prose right above a `>>>` block says what the code
    is for; a block that opens the examples without prose is about the summary. Code keeps its prompts and output.

    >>> page = "sea.depth(place)\n\nMeasure the water at a place.\n\nIn metres, by name:\n\n>>> depth('X')\n4"
    >>> for found in find(page):
    ...     print(found.question, "|", found.answer.splitlines())
    What does `sea.depth` do? | ['Measure the water at a place.']
    Write an example that uses `sea.depth`. In metres, by name: | [">>> depth('X')", '4']
    """
    lines = lines_of(text)
    groups = paragraphs(lines[:LONGEST_HEAD])
    name = _documented_name(groups, lines)
    if not name:
        return []
    summary = joined(groups[1]) if _says_something(groups[1]) else ""
    found = list(_examples(lines, name, summary))
    if summary:
        found.insert(0, Found(f"What does `{name}` do?", summary, lines[0].start, groups[1][-1].end))
    return found


def _documented_name(groups: Sequence[Sequence[Line]], lines: Sequence[Line]) -> str:
    """Return the name on the first line: one with a signature, or one above an underlined section or an example."""
    if len(groups) < 2 or len(groups[0]) > 1 or not (match := SIGNATURE.fullmatch(groups[0][0].content)):
        return ""
    documented = any(UNDERLINE.fullmatch(line.content) or _is_prompt(line) for line in lines)
    return match[1] if match[2] or documented else ""


def _is_prompt(line: Line) -> bool:
    return line.content.lstrip().startswith(PROMPT)


def _says_something(prose: Sequence[Line]) -> bool:
    text = joined(prose)
    whole = len(text) >= SHORTEST_PROSE and text.endswith((".", ":"))
    return whole and not text.startswith(MARKUP) and not any(_is_prompt(line) for line in prose)


def _examples(lines: Sequence[Line], name: str, summary: str) -> Iterator[Found]:
    """Pair each run of code with the paragraph above it; a run that opens a section is about the summary."""
    previous = 0
    for start, end in _code_runs(lines):
        about = _prose_above(lines[previous:start])
        stated = _says_something(about) and not LEANS_BACK.match(joined(about).lstrip())
        subject = joined(about) if stated else summary if not about else ""
        if subject:
            first = about[0] if stated else lines[start]
            code = dedent(joined(lines[start:end]))
            question = f"Write an example that uses `{name}`. {' '.join(subject.split())}"
            yield Found(question, code, first.start, lines[end - 1].end)
        previous = end


def _code_runs(lines: Sequence[Line]) -> Iterator[tuple[int, int]]:
    """Find code with its output: from a prompt to a blank line, and on if the next thing is a prompt again."""
    start, end, blank = None, 0, True
    for index, line in enumerate(lines):
        if start is None and _is_prompt(line):
            start = index
        elif start is not None and blank and line.content and not _is_prompt(line):
            yield start, end
            start = None
        blank = not line.content
        end = end if blank else index + 1
    if start is not None:
        yield start, end


def _prose_above(lines: Sequence[Line]) -> Sequence[Line]:
    """Return the last paragraph, without the title of a section; nothing if the section has just begun."""
    groups = paragraphs(lines)
    last = groups[-1] if groups else []
    underlines = [index for index, line in enumerate(last) if UNDERLINE.fullmatch(line.content)]
    return last[underlines[-1] + 1 :] if underlines else last
