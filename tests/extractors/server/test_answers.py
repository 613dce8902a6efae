"""Facts about reading a model's answer: which texts give which pairs, and that no text does harm."""

from __future__ import annotations

import json
import re
import time

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from bonanza.extractors.server import answers
from bonanza.extractors.server.answers import FoundPair, Parsed, parse_answer

ONE = {"question": "Who sails?", "answer": "The crew."}
TIDE, QUOTE = "At dawn, [see 3] {tide}.", "The crew sails at dawn."
TWO = {"question": "When?", "answer": TIDE, "evidence": QUOTE}
FOUND = (FoundPair("Who sails?", "The crew.", ""), FoundPair("When?", TIDE, QUOTE))
WISHED = json.dumps({"pairs": [ONE, TWO]})
BROKEN = '{"question": "Who says "go"?", "answer": "He says "go", and went.",}'
MENDED = FoundPair('Who says "go"?', 'He says "go", and went.', "")


def answered(written: str) -> str:
    """What becomes of an answer that stands in JSON as written here."""
    (pair,) = parse_answer(f'{{"pairs": [{{"question": "Q?", "answer": "{written}"}}]}}').pairs
    return pair.answer


@pytest.mark.parametrize(
    "text",
    [
        WISHED,
        json.dumps([ONE, TWO], indent=2),
        f"{json.dumps(ONE)}\n{json.dumps(TWO)}\n",
        f'{{"pairs": [{json.dumps(ONE)}]}}\n{{"pairs": [{json.dumps(TWO)}]}}',
        json.dumps({"note": "two", "qa_pairs": [ONE, TWO]}),
        json.dumps({"questions": [ONE, TWO]}),
        json.dumps({"items": [ONE, TWO]}),
        json.dumps({"data": [ONE, TWO]}),
        json.dumps([{"q": "Who sails?", "a": "The crew."}, {"Q": "When?", "a": TIDE, "quote": QUOTE}]),
        json.dumps([{"Question": ONE["question"], "Answer": ONE["answer"]}, {**TWO, "source": "not this one"}]),
        json.dumps([{"id": i, "level": "easy", **pair} for i, pair in enumerate([ONE, TWO])]),
        "\n".join(json.dumps({"id": i, "level": "{easy}", **pair}) for i, pair in enumerate([ONE, TWO])),
        "\n".join(json.dumps(dict(reversed(pair.items()))) for pair in [ONE, TWO]),
        json.dumps([{**ONE, "evidence": None}, ONE, TWO, TWO, ONE]),
    ],
)  # fmt: skip
def test_usual_forms_give_the_same_pairs(text):
    assert parse_answer(text) == Parsed(FOUND)
    assert parse_answer(text, cut_off=True) == Parsed(FOUND)


@pytest.mark.parametrize(
    "around",
    [
        "```json\n{}\n```",
        "```\n{}\n```\nI hope this helps {{smile}}!",
        "Here are [two] pairs from {{page}}:\n\n```json\n{}\n```\nMore?",
        "\ufeff  {}\x00",
        "<think>Perhaps [x] or {{\"question\": \"no\", \"answer\": \"no\"}}?</think>{}",
        "<THINKING>a</THINKING>\n<reasoning>[1]</reasoning>```json\n{}```",
        'I might say {{"question": "no", "answer": "no"}}</think>\n\n{}',
        "Sure!<think>[x]</think>{}<think>And now {{",
    ],
)  # fmt: skip
def test_what_stands_around_the_json_changes_nothing(around):
    assert parse_answer(around.format(WISHED)) == Parsed(FOUND)


@pytest.mark.parametrize(
    "text", ["<think>" + WISHED, "So: " + WISHED + "</think>Sorry.", "Well...\n<reasoning>" + WISHED]
)
def test_thoughts_give_no_pairs(text):
    assert parse_answer(text) == Parsed((), "no JSON found")


def test_tags_inside_an_answer_that_begins_with_json_are_text():
    text = json.dumps([{"question": "What is <think>?", "answer": "It ends with </think>."}, ONE])
    for cut in (text, "```json\n" + text, text[:-20]):
        assert parse_answer(cut, cut_off=True).pairs[0] == FoundPair("What is <think>?", "It ends with </think>.", "")


@pytest.mark.parametrize("text", ['{"pairs": []}', "[]", "```json\n[]\n```", 'None [1].\n{"pairs": []} ({sorry})'])
def test_an_explicit_empty_list_is_usable(text):
    assert parse_answer(text) == Parsed(())


@pytest.mark.parametrize("text", ["", " \n", "I cannot.", "```json\n```", '"pairs"', "null", "[", '{"pairs": [', "]}"])
def test_a_text_without_json_has_a_problem(text):
    assert parse_answer(text) == Parsed((), "no JSON found")


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"question": "Q?"}, "pairs[0].answer is missing"),
        ({"question": None, "answer": "A"}, "pairs[0].question is not a string"),
        ({"question": 5, "answer": "A"}, "pairs[0].question is not a string"),
        ({"question": "Q?", "answer": ["A"]}, "pairs[0].answer is not a string"),
        ({"question": "Q?", "answer": {"A": 1}}, "pairs[0].answer is not a string"),
        ({"question": "Q?", "answer": None}, "pairs[0].answer is not a string"),
        ({"q": "Q?", "a": " \n\x00"}, "pairs[0].answer is blank"),
        ({"question": "Q" * 2001, "answer": "A"}, "pairs[0].question has more than 2,000 characters"),
        ({"question": "Q", "answer": "A" * 20_001}, "pairs[0].answer has more than 20,000 characters"),
        ({**ONE, "evidence": "E" * 5001}, "pairs[0].evidence has more than 5,000 characters"),
        ({**ONE, "evidence": ["E"]}, "pairs[0].evidence is not a string"),
        ("Q? A.", "pairs[0] is not a JSON object"),
    ],
)
def test_a_faulty_pair_is_named_or_left_out(item, problem):
    assert parse_answer(json.dumps({"pairs": [item]})) == Parsed((), problem, 1)
    assert parse_answer(json.dumps({"pairs": [ONE, item, TWO]})) == Parsed(FOUND, left_out=1)


@pytest.mark.parametrize(
    "written",
    ["3.10", "-7", "true", "1e999", "-Infinity", "9" * 5000],
)
def test_a_number_or_truth_value_as_answer_is_its_text(written):
    assert parse_answer(f'[{{"question": "How much?", "answer": {written}}}]').pairs[0].answer == written


def test_numbers_that_json_does_not_know_do_no_harm_elsewhere():
    text = f'{{"score": NaN, "pairs": [{json.dumps(ONE)[:-1]}, "score": Infinity}}, {json.dumps(TWO)}]}}'
    assert parse_answer(text) == Parsed(FOUND)


def test_only_the_first_64_pairs_are_taken():
    parsed = parse_answer(json.dumps([{**ONE, "question": f"Q{i}?"} for i in range(70)] + [{}]))
    assert [pair.question for pair in parsed.pairs] == [f"Q{i}?" for i in range(64)]
    assert parsed.left_out == 7


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (r"$\frac{1}{2}$ and \frac12", r"$\frac{1}{2}$ and \frac12"),
        (r"\forall x \beta \begin{a} \bar x \binom{n}{k} \boldsymbol b", None),
        (r"\right) \rho \rightarrow \rangle", None),
        (r"\text{if} \times \theta_1 \tan x \tau \to \tfrac12 \textbf{b}", None),
        (r"\nabla f \neq 0 \not\in S \notin S", None),
        (r"a \ne b, $\nu$, h\nu_0, (\nu + 1), A^\top", None),
        (r"\alpha \(x\) \[y\] \s+\d \underline{u} \upsilon C:\Users \{z\} 5\%", None),
        (r"\bword\b", None),
        (r"\\frac{1}{2} \\alpha \\nabla \\( \\b", r"\frac{1}{2} \alpha \nabla \( \b"),
        (r"\\\frac", r"\\frac"),
        (r"first\nsecond\note that\notice\ne.g. this\nu = 3", "first\nsecond\note that\notice\ne.g. this\nu = 3"),
        (r"if x:\n\treturn x\n\n\ttotal\tan apple\text\ttop", "if x:\n\treturn x\n\n\ttotal\tan apple\text\ttop"),
        (r"a\r\nb\u0000c\u001bd\u0085e\/\"", 'a\nbcde/"'),
        (r"caf\u00e9 \ud83d\ude00", "café \U0001f600"),
        (r"half \ud83d of one", "half \ufffd of one"),
    ],
)  # fmt: skip
def test_escapes_become_what_the_model_meant(written, text):
    assert answered(written) == (written if text is None else text)


def test_an_escaped_apostrophe_is_an_apostrophe():
    assert answered(r"it\'s") == "it's"


@pytest.mark.parametrize(
    "text",
    [
        f'{{"pairs": [{json.dumps(ONE)}, {BROKEN}, {json.dumps(TWO)}]}}',
        f'{{"pairs": [{json.dumps(ONE)} {BROKEN} {json.dumps(TWO)}',
        f"<think>[x]</think>{json.dumps(ONE)}\n{BROKEN}\n{json.dumps(TWO)}",
        f"```json\n[{json.dumps(ONE)},\n{BROKEN}\n```\nand\n```json\n{json.dumps(TWO)}]\n```\n{{bye}}",
    ],
)
def test_a_broken_pair_is_repaired_and_spoils_no_other(text):
    assert parse_answer(text) == Parsed((FOUND[0], MENDED, FOUND[1]))


@pytest.mark.parametrize(
    "text",
    [
        "{'pairs': [{'question': 'Who sails?', 'answer': 'The crew.'}]}",
        '{pairs: [{question: "Who sails?", answer: "The crew."}]}',
        '{“pairs”: [{“question”: “Who sails?”, “answer”: “The crew.”}]}',
        '[{"question": "Who sails?", "answer": "The crew."',
        '["question": "Who sails?", "answer": "The crew."]',
        '{"pairs": [{"answer": "The crew.", "question": "Who sails?",}]} Done.',
    ],
)  # fmt: skip
def test_other_broken_json_is_repaired(text):
    assert parse_answer(text) == Parsed(FOUND[:1])


@pytest.mark.parametrize(
    "whole", [WISHED, f"{json.dumps(ONE)}\n{json.dumps(TWO)}", "```json\n" + json.dumps([ONE, TWO])]
)
def test_no_cut_gives_half_a_pair(whole):
    for end in range(len(whole) + 1):
        parsed = parse_answer(whole[:end], cut_off=True)
        closed = whole[:end].count('"}')
        assert parsed.pairs == FOUND[:closed]
        assert bool(parsed.problem) == (closed == 0)


def test_a_pair_that_was_cut_off_is_counted():
    assert parse_answer(WISHED[:-30], cut_off=True) == Parsed(FOUND[:1], left_out=1)
    assert parse_answer(f"{json.dumps(ONE)}\n" + '{"ques', cut_off=True) == Parsed(FOUND[:1], left_out=1)
    half = Parsed((), "the answer was cut off before its first pair was whole", 1)
    assert parse_answer(WISHED[:40], cut_off=True) == half
    assert parse_answer('{"pairs": [', cut_off=True) == half


def test_too_long_a_text_is_not_read():
    parsed = parse_answer(WISHED + " " * 2_000_000)
    assert parsed == Parsed((), "the answer has 2,000,162 characters; at most 2,000,000 are read")


def test_more_broken_text_than_can_be_repaired_is_left_out():
    broken = "".join('{"question": "Q?", "answer": "' + "word " * 300 + f'{i}",}},' for i in range(70))
    parsed = parse_answer(broken)
    assert parsed == Parsed(parsed.pairs, left_out=6)
    assert parse_answer('{"question": "' + "word " * 20_000) == Parsed((), "pairs[0] is not a JSON object", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed",
    [
        *('[', '{"a":', '{"', '[{"question":"', '(', '{"question":"a" b", ', '["}', "\\", "<think>", "</think>", "```"),
        *('{"a":"b",', "true}1 ", '"pairs": [ ', '"pairs":  ', "{ ", "1{", "}/*", "[0,", "\\ne ", "$\\n"),
    ],
)  # fmt: skip
def test_endless_repetition_ends_soon(seed):
    for text in (seed * (900 // len(seed)), seed * (400_000 // len(seed)), seed * 20 + "word " * 1_000):
        for whole in (text, '{"question": "Q?", "answer": ' + text, '{"question": "Q?", "answer": "' + text):
            start = time.process_time()
            parse_answer(whole)
            assert time.process_time() - start < 20, whole[:50]


plain = st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=30).map(str.strip)
words = st.lists(st.sampled_from(["word", "\\", '"', "{", "}", "[1]", "\n", "```", "</think>", "\\alpha", ",", ":"]))
texts = (plain | words.map(" ".join)).map(str.strip).filter(bool)
pairs_given = st.lists(st.builds(FoundPair, texts, texts, texts | st.just("")), max_size=6)


def as_json(pairs: list[FoundPair], **style: object) -> str:
    rows = [{"question": pair.question, "answer": pair.answer, "evidence": pair.evidence} for pair in pairs]
    return json.dumps({"pairs": rows}, **style)


@given(pairs_given, st.booleans(), st.sampled_from([None, 2]), st.booleans())
def test_valid_answers_come_back_exactly(pairs, ascii_only, indent, cut_off):
    text = as_json(pairs, ensure_ascii=ascii_only, indent=indent)
    assume(not re.search(r"(?<!\\)(?:\\\\)*\\[nt][a-z]", text))  # may be taken for LaTeX
    assert parse_answer(text, cut_off) == Parsed(tuple(dict.fromkeys(pairs)))


def sound(parsed: Parsed) -> None:
    assert len(parsed.pairs) <= answers.MOST_PAIRS
    assert not (parsed.pairs and parsed.problem)
    assert "\n" not in parsed.problem
    for pair in parsed.pairs:
        assert pair.question.strip() == pair.question != ""
        assert pair.answer.strip() == pair.answer != ""
        assert not answers.CONTROL.search(pair.question + pair.answer + pair.evidence)
        (pair.question + pair.answer + pair.evidence).encode()


WORDS = ("question", '"question":', '"answer": "', "<think>", "</think>", "\\u12", "//", "NaN", '{"q":', '{"pairs": []')
marks = st.lists(st.sampled_from([*"{}[]()\"',:\\ \n`1a“”", *WORDS]), max_size=60).map("".join)
changes_made = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), marks | st.text(max_size=5)), max_size=5)


@given(st.text() | st.text(st.characters()) | marks, st.booleans())
@example('{"question": "a", "answer": "\ud83d"}', False)
@example("[" * 100_000, False)
@example('{"question": [' + "[" * 2000, False)
@example('{"question": ' * 2000, True)
def test_no_text_does_harm(text, cut_off):
    sound(parse_answer(text, cut_off))


@given(pairs_given, changes_made, st.booleans())
def test_mangled_answers_do_no_harm(pairs, changes, cut_off):
    text = as_json(pairs)
    for place, removed, inserted in changes:
        position = int(place * len(text))
        text = text[:position] + inserted + text[position + removed :]
    sound(parse_answer(text, cut_off))


@given(pairs_given, st.floats(0, 1))
def test_a_truncated_answer_gives_the_first_pairs_whole(pairs, share):
    text = as_json(pairs)
    assume(not re.search(r"(?<!\\)(?:\\\\)*\\[nt][a-z]", text))
    parsed = parse_answer(text[: int(share * len(text))], cut_off=True)
    distinct = tuple(dict.fromkeys(pairs))
    assert parsed.pairs == distinct[: len(parsed.pairs)]
