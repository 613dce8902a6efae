"""Pages whose headings are the questions: FAQs, interview questions, exercises under their task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bonanza.extractors.rules.pages import (
    FENCES,
    Found,
    Line,
    heading,
    is_question,
    joined,
    lines_of,
    opens_a_question,
    page_title,
    trimmed,
    without_fence,
)

# Ends of titles that announce that every heading below is a question or a task; before them stands the topic.
ANNOUNCEMENT = re.compile(
    r"\b(interview questions|(interview |common |top )?questions (and|&|with) answers|q ?& ?a|"
    r"(exercises|problems|tasks|challenges) (with|and|&) (solutions|answers))(,? (part|page) \d{1,4})?$",
    re.IGNORECASE,
)
# Titles below which a heading that begins like a question is one, even without its mark.
FAQ = re.compile(r"\b(faqs?|frequently asked( questions)?)\b", re.IGNORECASE)
BOLD = re.compile(r"\*\*([^*]{3,300})\*\*:?")
NUMBER = re.compile(r"^(?:question |q)?\d{1,3}[.):][ \t]+", re.IGNORECASE)
NEEDS_TOPIC = 25  # characters; "What is Kudu?" is not understood off its page
NEEDS_TOPIC_ELSEWHERE = 40  # characters; on a page that was not written as questions, headings lean on it more
BOLD_LEVEL = 7  # below every markdown heading


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading or bold line; index is its position among the lines."""

    index: int
    level: int
    text: str


def find(text: str) -> list[Found]:
    r"""Read headings that are questions, each with what stands below it, up to the next heading of its rank.

    On a page whose title announces questions every heading of the commonest rank is one; elsewhere only full
    questions are, and in a FAQ those that lack the mark. What a task gives ("Input: ...") belongs to the question.
    Short questions get the topic, the page's title.

    >>> page = "Sailing interview questions\n\n### What is a jib?\n\nA sail before the mast."
    >>> [(found.question, found.answer) for found in find(page)]
    [('Sailing: What is a jib?', 'A sail before the mast.')]
    """
    lines = lines_of(text)
    title = page_title(lines)
    headings = _headings(lines)
    announced, faq = ANNOUNCEMENT.search(title), FAQ.search(title)
    named = announced or faq
    topic = (title[: named.start()] if named else title).strip(" -\u2013\u2014:|#(")
    shortest = NEEDS_TOPIC if named else NEEDS_TOPIC_ELSEWHERE
    chosen = _announced(headings) if announced else _questions(headings, faq is not None)
    ends = _ends(headings, chosen, len(lines))
    pairs = (_pair(lines[this.index : end], this, topic, shortest) for this, end in zip(chosen, ends, strict=True))
    return [pair for pair in pairs if pair]


def _headings(lines: Sequence[Line]) -> list[Heading]:
    found = []
    for index, line in enumerate(lines):
        if marked := heading(line):
            found.append(Heading(index, marked[0], NUMBER.sub("", marked[1], count=1)))
        elif not line.fenced and (bold := BOLD.fullmatch(line.content)):
            found.append(Heading(index, BOLD_LEVEL, NUMBER.sub("", bold[1], count=1).strip()))
    return found


def _announced(headings: Sequence[Heading]) -> list[Heading]:
    """Headings of the commonest rank, the page's own title aside; bold lines only if nothing else is there."""
    below_title = [found for found in headings if found.index > 0]
    marked = [found for found in below_title if found.level < BOLD_LEVEL] or below_title
    ranks = Counter(found.level for found in marked).most_common(1)
    return [found for found in marked if found.level == ranks[0][0]]


def _questions(headings: Sequence[Heading], faq: bool) -> list[Heading]:
    return [found for found in headings if is_question(found.text) or (faq and opens_a_question(found.text))]


def _ends(headings: Sequence[Heading], chosen: Sequence[Heading], length: int) -> list[int]:
    """Where each answer ends: at the next chosen heading, or at one that is not below its own.

    A first-rank heading ends no answer when the questions are of a lower rank: it is a comment in unfenced code.
    """
    wanted = set(chosen)
    ends: list[int] = []
    following = length
    nearest: dict[int, int] = {}  # rank -> the next heading of that rank
    for this in reversed(headings):
        if this in wanted:
            ranks = (rank for rank in nearest if rank <= this.level and (rank > 1 or this.level == 1))
            ends.append(min([following, *(nearest[rank] for rank in ranks)]))
            following = this.index
        nearest[this.level] = this.index
    return ends[::-1]


def _pair(section: Sequence[Line], this: Heading, topic: str, shortest: int) -> Found | None:
    body = 1 + _given_lines(section)
    answer = without_fence(joined(section[body:]))
    if not answer:
        return None
    title = _with_topic(this.text, topic) if len(this.text) <= shortest else this.text
    question = f"{title}\n{joined(section[1:body])}".rstrip()
    return Found(question, answer, section[0].start, trimmed(section)[-1].end)


def _given_lines(section: Sequence[Line]) -> int:
    r"""Count the lines that give a task its input: up to the fenced block that ends it, else up to a blank line.

    A heading that ends with a colon gives something too, if a fenced block at the end tells where that stops.

    >>> _given_lines(lines_of("# Add\nInput: 1\n\n2")), _given_lines(lines_of("# Mend:\n\nx +\n\n```\nx\n```"))
    (1, 3)
    """
    labelled = len(section) > 1 and section[1].content.startswith("Input:")
    if not labelled and not section[0].content.endswith(":"):
        return 0
    fences = [index for index, line in enumerate(section) if line.content.startswith(FENCES)]
    if len(fences) == 2 and fences[1] == section.index(trimmed(section)[-1]) and joined(section[1 : fences[0]]):
        return fences[0] - 1
    blank = next((index for index, line in enumerate(section) if not line.content), len(section))
    return blank - 1 if labelled else 0


def _with_topic(question: str, topic: str) -> str:
    return f"{topic}: {question}" if topic and topic.casefold() not in question.casefold() else question
