import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonanza.cleaning import bands
from bonanza.cleaning.bands import BandIndex
from bonanza.cleaning.near_duplicates import NearDuplicateCleaner, exact_values
from bonanza.embedders.static import fit_static
from bonanza.records import Pair, Reading
from bonanza.settings import NearDuplicateSettings

QUESTION = "Which ship carried the expedition of Roald Amundsen from Oslo to the Bay of Whales?"
ANSWER = "The Fram, which had been built for Fridtjof Nansen, carried him and his crew there in 1911."
KEPT = Pair(QUESTION, ANSWER, "page")


def second(question: str = QUESTION, answer: str = ANSWER, chosen: NearDuplicateSettings | None = None) -> Pair:
    cleaner = NearDuplicateCleaner(chosen or NearDuplicateSettings())
    return cleaner.clean(Reading("page", "ok", (KEPT, Pair(question, answer, "other")))).pairs[1]


def test_the_reason_names_the_pair_that_is_repeated():
    assert second(QUESTION.upper()).reason == f"same as {KEPT.id}"
    near = second(answer=ANSWER.replace("carried him", "brought him"))
    assert near.status == "duplicate"
    assert near.reason.startswith(f"wording like {KEPT.id} (0.")


@pytest.mark.parametrize(
    "answer",
    [ANSWER.replace("1911", "1912"), ANSWER.replace("carried", "not carried"), "The Terra Nova did, under Scott."],
)
def test_another_number_a_negation_or_another_answer_make_another_pair(answer: str):
    assert second(answer=answer).status == "kept"


def test_exact_values_may_be_left_out_of_account():
    chosen = NearDuplicateSettings(exact_values=False)
    assert second(answer=ANSWER.replace("1911", "1912"), chosen=chosen).status == "duplicate"
    assert exact_values("use `a`") != exact_values("use `b`")


def test_pairs_that_were_not_kept_are_neither_marked_nor_remembered():
    dropped = Pair(QUESTION, ANSWER, "page", status="malformed", reason="not self-contained")
    cleaned = NearDuplicateCleaner(NearDuplicateSettings()).clean(Reading("page", "ok", (dropped, KEPT)))
    assert cleaned.pairs == (dropped, KEPT)


def test_a_pair_in_other_words_is_found_by_its_embedding():
    embedder = fit_static([QUESTION, ANSWER, "The crew built a hut.", "Four men reached the pole."] * 3)
    swapped = " ".join(reversed(QUESTION.rstrip("?").split()))
    assert second(swapped).status == "kept"
    cleaner = NearDuplicateCleaner(NearDuplicateSettings(semantic=0.9), embedder)
    cleaned = cleaner.clean(Reading("page", "ok", (KEPT, Pair(swapped, ANSWER, "other"))))
    assert cleaned.pairs[1].reason.startswith(f"meaning like {KEPT.id} (")


TEXTS = st.text(st.sampled_from("ab 1"), max_size=12)


@given(st.lists(st.lists(st.tuples(TEXTS, TEXTS), max_size=4), max_size=6))
@settings(max_examples=40, deadline=None)
def test_the_same_readings_in_the_same_order_give_the_same(texts):
    readings = [
        Reading(str(number), "ok", tuple(Pair(question, answer, str(number)) for question, answer in pairs))
        for number, pairs in enumerate(texts)
    ]
    first, again = (NearDuplicateCleaner(NearDuplicateSettings()) for _ in range(2))
    assert [first.clean(reading) for reading in readings] == [again.clean(reading) for reading in readings]


@given(st.lists(st.lists(st.integers(0, 2), min_size=4, max_size=4), max_size=40), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_candidates_are_all_entries_with_an_equal_band_however_often_the_index_grew(signatures, capacity):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bands, "FIRST_CAPACITY", capacity)
        index = BandIndex(4, 2, np.uint32)
    for number, signature in enumerate(signatures):
        found = set(index.candidates(np.array(signature, np.uint32)))
        equal = {
            other
            for other, known in enumerate(signatures[:number])
            if known[:2] == signature[:2] or known[2:] == signature[2:]
        }
        assert equal <= found <= set(range(number))
        assert index.add(np.array(signature, np.uint32)) == number
