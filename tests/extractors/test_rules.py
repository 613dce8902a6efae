"""Facts about reading pages by rules; every page here was written for this file."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.extractors.prices import PROMPT_TOKENS
from bonanza.extractors.rules import LEAST_OUTPUT, OUTPUT_PER_TOKEN, RulesExtractor
from bonanza.records import Document, Question, Reading, Usage, estimated_tokens

LINES = (
    "", "", "# Boats FAQ", "Knot exercises with solutions", "### What holds a boat in place?",
    "**Why does it float?**", "An anchor does.", "Input: 3", "```", "x = 1", "Q: Who steers it?",
    "A: The helmsman.", "Answer: B", "Answer:", "Answer", "A) Oslo; B) Rome", "A. Oslo", "B. Rome *",
    "Which town lies on the Tiber?", "1. Which town is in Norway?", "Answer key", "1. A",
    "In the following exercises, add.", "Problem. 1 + 1", "Example 2", "Solution. It is 2.", "Solution", "Question",
    "knot", "- Tie a bowline:", "    knot --bowline", "`knot -b`", "sea.depth(place)",
    "Measure the depth of the sea.", "Examples", "--------", ">>> depth()", "4", "2 answers", "Accepted answer",
    "$x$", "\u24d0", "\u24d1 4", "----", "\t", "\r",
)  # fmt: skip

texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from(LINES)).map("\n".join),
    st.lists(st.one_of(st.sampled_from(LINES), st.text(max_size=20))).map("\n".join),
)


def read(text: str) -> Reading:
    return RulesExtractor().read(Document("page", text))


def pairs(text: str) -> list[Question]:
    return [Question(pair.question, pair.answer) for pair in read(text).pairs]


PROSE = """A short history of the harbour

The harbour was dug in three winters. Why so slowly? Nobody could say. "Question the mason," said the mayor: he had
no answer. For example, the second winter brought no stone at all, and the problem was not the frost.

1. The first quay was of wood.
2. The second was of stone.

- The crane:
  a gift of the town.

A. North mole
B. South mole
"""


def test_plain_prose_is_empty():
    reading = read(PROSE)
    assert (reading.status, reading.pairs, reading.detail) == ("empty", (), "")
    assert reading.usage == Usage(PROMPT_TOKENS + estimated_tokens(PROSE), 0)


def test_the_empty_page_is_empty():
    assert read("").status == "empty"


def test_a_reading_costs_what_a_model_would_have_charged():
    text = "Q: Who steers a ship?\nA: The helmsman."
    written = estimated_tokens("Who steers a ship?") + estimated_tokens("The helmsman.")
    assert read(text).usage == Usage(350 + estimated_tokens(text), written)


def test_pairs_come_in_the_order_of_the_page_with_their_place():
    text = "Before.\n\nQ: One of two?\nA: Yes.\n\nQ: Two of two?\nA: Yes, too."
    first, second = read(text).pairs
    assert first.evidence == "Q: One of two?\nA: Yes."
    assert second.evidence == "Q: Two of two?\nA: Yes, too."


# Headings


def test_headings_with_a_question_mark_are_questions_on_any_page():
    text = "# Moorings\n\nHi.\n\n## How is a boat made fast to a floating buoy?\n\nWith a line.\n\n## Prices\n\nLow."
    assert pairs(text) == [Question("How is a boat made fast to a floating buoy?", "With a line.")]


def test_bold_lines_can_be_the_questions():
    text = "**How is a boat made fast to a floating buoy?**\n\nWith a line.\n\nOr two."
    assert pairs(text) == [Question("How is a boat made fast to a floating buoy?", "With a line.\n\nOr two.")]


def test_every_heading_counts_where_the_title_announces_questions():
    text = "# Rope interview questions\n\n## 1. Describe three ways to splice a rope\n\nThe short, the long, the eye."
    assert pairs(text) == [Question("Describe three ways to splice a rope", "The short, the long, the eye.")]


def test_headings_below_the_questions_belong_to_the_answer():
    text = (
        "Rope interview questions\n\n### Name the two kinds of splice in use\n\nLong, short.\n\n#### Long\n\nThin.\n\n"
        "### Name the tool that opens the strands\n\nThe fid."
    )
    assert [pair.answer for pair in pairs(text)] == ["Long, short.\n\n#### Long\n\nThin.", "The fid."]


def test_comments_in_code_are_no_headings():
    text = "### How do I count the boats in port?\n\n```sh\n# What is this?\nwc -l boats\n```"
    assert pairs(text) == [Question("How do I count the boats in port?", "# What is this?\nwc -l boats")]


def test_a_short_question_gets_the_topic():
    text = "Sailing interview questions and answers\n\n### What is luff?\n\nAn edge.\n\n### What is sailing?\n\nA joy."
    assert [pair.question for pair in pairs(text)] == ["Sailing: What is luff?", "What is sailing?"]


@pytest.mark.parametrize("heading", ["Need help?", "Do you have questions about it?", "What's next for you?", "Setup"])
def test_words_to_the_reader_are_no_questions(heading):
    assert pairs(f"# Harbour\n\n## {heading}\n\nWrite to the harbour master.") == []


def test_a_faq_may_leave_out_question_marks():
    text = "# Harbour FAQ\n\n## How long may I stay in the guest harbour\n\nA week.\n\n## Contact\n\nBy phone."
    assert pairs(text) == [Question("How long may I stay in the guest harbour", "A week.")]


def test_the_input_of_a_task_belongs_to_the_question():
    text = (
        "Python exercises with solutions\n\n### Sum the numbers of a list.\nInput: [1,\n\n2]\n\n```python\nsum(x)\n```"
    )
    assert pairs(text) == [Question("Sum the numbers of a list.\nInput: [1,\n\n2]", "sum(x)")]


# Labels


@pytest.mark.parametrize(
    "text",
    [
        "Q: Who steers a ship?\nA: The helmsman.",
        "Q1. Who steers a ship?\nA1. The helmsman.",
        "**Q:** Who steers a ship?\n\n**A:** The helmsman.",
        "Question 7: Who steers a ship?\nAnswer: The helmsman.",
        "### Question 2:\nWho steers a ship?\n\n### Answer:\nThe helmsman.",
        "Exercise 3. Who steers a ship?\nSolution: The helmsman.",
        "## Exercise 3\n\nWho steers a ship?\n\n## Solution\n\nThe helmsman.",
        "Example\nNaming the Helmsman\nWho steers a ship?\nSolution. The helmsman.",
        "**Problem 1.2:** Who steers a ship?\n**Answer:** The helmsman.",
        "1. Who steers a ship?\nA) The cook\nB) The helmsman\nCorrect answer: B",
        "1. Who steers a ship?\n- [ ] A. The cook\n- [x] B. The helmsman",
        "1. Who steers a ship?\n(a) The cook\n(b) The helmsman (correct)",
        "1. Who steers a ship?\na) The cook\nb) The helmsman\n\nAnswer key\n1. b",
        "Who steers a ship?\nAnswer: The helmsman.",
        "# Who steers a ship?\n\n## 1 Answer\n\n## Answer 1\n\nThe helmsman.",
        "Question\n\nWho steers a ship?\n\n2 Answers\n\nAnswer 1\n\nNobody.\n\nAccepted answer\n\nThe helmsman.",
    ],
)
def test_many_ways_to_write_a_question_are_read(text):
    (pair,) = pairs(text)
    assert (pair.question, pair.answer.rstrip(".")) == ("Who steers a ship?", "The helmsman")


def test_an_answer_may_have_paragraphs():
    text = "Q: Who steers?\n\nA: The helmsman.\n\nOr the captain.\n\nQ: Who cooks?\nA: The cook.\n\n---\n\nCopyright"
    assert [pair.answer for pair in pairs(text)] == ["The helmsman.\n\nOr the captain.", "The cook."]


def test_a_letter_is_spelled_out():
    text = "Question 1. Which town is on the Tiber?\nA. Oslo\nB. Rome\nAnswer: B"
    assert pairs(text) == [Question("Which town is on the Tiber?\nA. Oslo\nB. Rome", "Rome")]


# Exercises


def test_the_instruction_of_a_group_is_put_in_front_of_each_task():
    text = (
        "In the following exercises, add.\n\nProblem. 1 + 1\n\nProblem. 2 + 2\nAnswer: 4\n\nProblem. 3 + 3\nAnswer: 6"
    )
    assert pairs(text) == [
        Question("In the following exercises, add. 2 + 2", "4"),
        Question("In the following exercises, add. 3 + 3", "6"),
    ]


def test_an_instruction_ends_with_its_group():
    text = "In the following exercises, add.\n\nProblem. 1 + 1\nAnswer: 2\n\nEnough.\n\nProblem. Halve 8.\nAnswer: 4"
    assert pairs(text)[1] == Question("Halve 8.", "4")


def test_text_after_a_solution_is_not_part_of_it():
    assert pairs("Problem. Halve 8.\nAnswer: 4\n\nIn what follows we halve no more.") == [Question("Halve 8.", "4")]


def test_the_parts_of_a_solution_stay_together():
    text = "Problem. Halve both: \u24d0 8 \u24d1 6\nAnswer: \u24d0 4\n\n\u24d1 3\n\nMore text."
    assert [pair.answer for pair in pairs(text)] == ["\u24d0 4\n\n\u24d1 3"]


@pytest.mark.parametrize(
    "text",
    [
        "Problem. Find the height of the mast in the figure.\nAnswer: 12",
        "Problem. Repeat the previous exercise with 7.\nAnswer: 12",
        "Problem. Explain how you halve.\nAnswer: Answers will vary.",
        "Problem. Graph \u24d0 y = x and \u24d1 its slope.\nAnswer: \u24d0\n\n\u24d1 1",
        "Problem. $x^2 = 4$\nAnswer: 2",
        "Problem. Halve 8.",
    ],
)
def test_exercises_that_cannot_be_understood_or_have_no_answer_are_left_out(text):
    assert read(text).status == "empty"


# Quizzes


def test_options_are_added_where_the_question_needs_them():
    text = "Which of these is a knot?\nA) Bend; B) Boom\nAnswer: Bend\n\nTar is sticky.\nA) True; B) False\nAnswer: A"
    assert pairs(text) == [
        Question("Which of these is a knot? Options: Bend, Boom.", "Bend"),
        Question("Tar is sticky. Options: True, False.", "True"),
    ]


def test_options_without_an_answer_give_nothing():
    assert pairs("Which of these is a knot?\nA) Bowline\nB) Boom") == []


# Command references


def test_commands_are_asked_for_by_what_they_do():
    text = "# knot\n\n> Tie knots.\n\n- Tie a bowline:\n\n`knot --bowline`\n\n- SSH to a buoy:\n\n    knot ssh buoy"
    assert pairs(text) == [
        Question("How do I tie a bowline using `knot`?", "knot --bowline"),
        Question("How do I SSH to a buoy using `knot`?", "knot ssh buoy"),
    ]


def test_each_command_of_a_page_has_its_own_entries():
    text = "knot\n\nTie.\n\n- Tie a bowline:\n\n    knot -b\n\nrope\n\nCut.\n\n- Cut a rope:\n\n    rope -c"
    assert [pair.question for pair in pairs(text)] == [
        "How do I tie a bowline using `knot`?",
        "How do I cut a rope using `rope`?",
    ]


def test_lists_with_code_in_prose_are_no_command_reference():
    assert pairs("Installation\n\n- Fetch the sources:\n\n    git clone\n\n- Build them:\n\n    make") == []


# Python documentation

DOCSTRING = """sea.depth(place, unit='m')

Measure the depth of the water at a place.

Parameters
----------
place : str
    Where.

Examples
--------
>>> depth("Oslo")
12

Other units are converted from metres:

>>> depth("Oslo", unit="ft")
39.4

>>> depth("Rome", unit="ft")
0.0

Here nothing changed:

>>> depth("Oslo")
12
"""


def test_a_docstring_gives_its_summary_and_its_examples():
    summary = "Measure the depth of the water at a place."
    assert pairs(DOCSTRING) == [
        Question("What does `sea.depth` do?", summary),
        Question(f"Write an example that uses `sea.depth`. {summary}", '>>> depth("Oslo")\n12'),
        Question(
            "Write an example that uses `sea.depth`. Other units are converted from metres:",
            '>>> depth("Oslo", unit="ft")\n39.4\n\n>>> depth("Rome", unit="ft")\n0.0',
        ),
    ]


def test_a_dotted_name_alone_makes_no_docstring():
    assert pairs("README.md\n\nThis file describes the depth of the sea near Oslo.") == []


# Whatever the page


@given(texts)
def test_the_evidence_is_a_slice_of_the_page(text):
    for pair in read(text).pairs:
        assert pair.char_start is not None
        assert pair.char_end is not None
        assert 0 <= pair.char_start < pair.char_end <= len(text)
        assert pair.evidence == text[pair.char_start : pair.char_end]


@given(texts)
def test_pairs_have_words_and_do_not_overlap(text):
    found = read(text).pairs
    assert all(pair.question.strip() and pair.answer.strip() for pair in found)
    assert all(one.char_end <= other.char_start for one, other in pairwise(found))


@given(texts)
def test_no_reading_costs_more_than_its_worst_case(text):
    extractor, document = RulesExtractor(), Document("page", text)
    reading, most = extractor.read(document), extractor.worst_case(document)
    assert reading.usage.input_tokens == most.input_tokens
    assert reading.usage.output_tokens <= most.output_tokens
    assert reading.status == ("ok" if reading.pairs else "empty")


def test_pairs_beyond_the_most_that_is_written_are_left_out_and_counted():
    instruction = "In the following exercises, " + "carefully " * 50 + "add.\n\n"
    text = instruction + "Problem. 1 + 1\nAnswer: 2\n\n" * 100
    reading = read(text)
    most = LEAST_OUTPUT + OUTPUT_PER_TOKEN * estimated_tokens(text)
    assert 0 < len(reading.pairs) < 100
    assert reading.usage.output_tokens <= most
    assert reading.detail == f"{100 - len(reading.pairs)} pairs left out beyond {most} output tokens"


def test_reading_twice_gives_the_same():
    assert read(DOCSTRING) == read(DOCSTRING)


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        *"#*`->a\n",
        "a ",
        "$ ",
        "(\n\n",
        "A) a; ",
        "A) a\n\n",
        "Q:\n",
        "**A:**\n",
        "Problem.\n",
        "### Is it so?\n",
        ">>> x\n",
    ],
)
@pytest.mark.parametrize("start", ["", "sea.depth(x)\n\n"])
def test_time_grows_with_length_only(unit, start):
    text = start + unit * (80_000 // len(unit)) + "\nAnswer: B"
    started = time.process_time()
    read(text)
    assert time.process_time() - started < 5  # seconds; it takes less than one, quadratic time at least ten
