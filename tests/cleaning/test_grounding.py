import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.cleaning.folding import FoldedText, folded_quote
from bonanza.cleaning.grounding import GroundingCleaner, find_alike, find_quote, grounding_score
from bonanza.records import Pair, Reading
from bonanza.settings import GroundingSettings

PAGE = (
    "The Fram left Oslo in 1910.\n\nRoald Amundsen\u2019s crew of 19 reached the Bay of Whales in January 1911, "
    "and built a hut.\nFour men reached the South Pole with him on 14 December 1911; they left a tent behind."
)
DEFAULTS = GroundingSettings()
TEXTS = st.text(st.sampled_from("abcdeéßİ \u2019“-.,\n\t1234ABC\u00a0ﬁ"), min_size=0, max_size=200)


def placed(pair: Pair, text: str = PAGE, chosen: GroundingSettings = DEFAULTS) -> Pair:
    return GroundingCleaner(lambda _: text, chosen).clean(Reading("page", "ok", (pair,))).pairs[0]


def found(quote: str, text: str = PAGE) -> str | None:
    place = find_quote(FoldedText(text), quote, DEFAULTS)
    return text[slice(*place)] if place else None


@pytest.mark.parametrize(
    "quote",
    [
        "built a hut.",
        "BUILT  a\nhut",
        "“built a hut”",
        "amundsen's crew",
        "Four men reached the South Pole with him at 14 December 1911",
    ],
)
def test_a_quote_is_found_whatever_its_white_space_case_and_typography_and_with_small_errors(quote: str):
    assert found(quote) in (
        "built a hut.",
        "built a hut",
        "Amundsen\u2019s crew",
        "Four men reached the South Pole with him on 14 December 1911",
        "Four men reached the South Pole with him on 14 December 1911;",
    )


@pytest.mark.parametrize("quote", ["The crew sailed back to Tasmania in March 1912.", "hat", "  ", ""])
def test_what_does_not_stand_there_is_not_found(quote: str):
    assert found(quote) is None


def test_a_pair_without_its_evidence_in_the_document_is_ungrounded():
    pair = placed(Pair("Where did they go?", "To Tasmania.", "page", evidence="They went on to Tasmania at once."))
    assert (pair.status, pair.reason) == ("ungrounded", "evidence not in the document")
    assert (pair.char_start, pair.char_end) == (None, None)


def test_a_span_that_cuts_out_the_evidence_stays():
    start = PAGE.rindex("1911")
    pair = Pair("When?", "1911", "page", start, start + 4, "1911")
    assert placed(pair) == pair


def test_a_span_that_does_not_is_looked_for():
    pair = placed(Pair("What did they build?", "A hut", "page", 3, 9, "built a hut"))
    assert PAGE[pair.char_start : pair.char_end] == pair.evidence == "built a hut"


def test_an_answer_without_evidence_is_found_behind_its_question_and_not_inside_other_words():
    text = "4 of 14 men went. How many stayed? 4. How many went? 10 did."
    pair = placed(Pair("How many stayed?", "4", "page"), text)
    assert (pair.char_start, pair.evidence) == (35, "4")
    assert placed(Pair("How many came?", "1", "page"), text).status == "ungrounded"


def test_numbers_and_names_of_the_answer_that_are_not_there_lower_the_score():
    text = FoldedText(PAGE)
    assert grounding_score("He left in 1910 with nineteen men.", text) == 1.0
    assert grounding_score("It was in 1910 that Scott and Amundsen left", text) == pytest.approx(2 / 3)
    assert grounding_score("Scott", text) == 0.0
    assert grounding_score("Nobody knows.", text) == 1.0


def test_a_low_score_is_noted_and_makes_a_pair_ungrounded_only_where_settings_say_so():
    pair = Pair("Who left?", "Scott, in 1910", "page", evidence="left Oslo in 1910")
    cleaner = GroundingCleaner(lambda _: PAGE, DEFAULTS)
    (kept,) = cleaner.clean(Reading("page", "ok", (pair,))).pairs
    assert (kept.status, cleaner.scores) == ("kept", {kept.id: pytest.approx(0.5)})
    strict = placed(pair, chosen=GroundingSettings(least_score=0.6))
    assert strict.reason == "of the numbers and names in the answer 50% stand in the document"


@given(TEXTS, st.data())
@settings(max_examples=150, deadline=None)
def test_a_part_of_a_text_with_other_white_space_and_case_is_found_at_a_place_that_says_the_same(text, data):
    words = text.split()
    first = data.draw(st.integers(0, max(len(words) - 1, 0)))
    last = data.draw(st.integers(first, len(words)))
    quote = data.draw(st.sampled_from([" ", "\n ", "\t"])).join(words[first:last])
    quote = data.draw(st.sampled_from([str.upper, str.lower, str]))(quote)
    place = find_quote(FoldedText(text), quote, DEFAULTS)
    if not folded_quote(quote) or folded_quote(quote) not in FoldedText(text).folded:
        return  # nothing left of it, or a letter that changes with its case
    assert place is not None
    start, end = place
    assert 0 <= start < end <= len(text)
    assert folded_quote(quote) in FoldedText(text[start:end]).folded


@given(TEXTS, TEXTS)
@settings(max_examples=100, deadline=None)
def test_every_place_is_inside_the_text_and_not_empty(text, quote):
    for place in (find_quote(FoldedText(text), quote, DEFAULTS), find_alike(FoldedText(text), quote, DEFAULTS)):
        assert place is None or 0 <= place[0] < place[1] <= len(text)


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("a " * 50_000, "a " * 1_900 + "b"),
        ("a" * 100_000, "a" * 3_000 + "b"),
        (" " * 100_000, "x y" * 300),
        ("the crew sails " * 6_000, "the crew sails not " * 100),
        ("".join(f"word{number % 977} " for number in range(12_000)), "word5 word7 wird9 " * 200),
        ("(" * 100_000, "((((x" * 500),
        ("ab " * 33_000, "ab ab ba ab xyz" * 17),
    ],
)
def test_long_and_odd_texts_take_no_long_time(text: str, quote: str):
    folded = FoldedText(text)
    assert folded.occurrences is not None
    started = time.process_time()
    find_quote(folded, quote, DEFAULTS)
    assert time.process_time() - started < 0.3  # 0.05 s on a quiet machine
