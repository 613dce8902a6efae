from bonanza.cleaning.exact import ExactCleaner
from bonanza.records import Pair, Reading


def statuses(*pairs: Pair) -> list[str]:
    return [pair.status for pair in ExactCleaner().clean(Reading("page", "ok", pairs)).pairs]


def test_a_pair_that_stands_twice_in_one_document_is_kept_once():
    first, second = (Pair("Who sails?", "The crew.", "page", start, start + 9) for start in (0, 40))
    assert first.id != second.id
    assert statuses(first, second) == ["kept", "duplicate"]
    assert statuses(first, first) == ["kept", "duplicate"]


def test_case_and_white_space_make_no_other_pair():
    assert statuses(Pair("Who sails?", "The crew.", "a"), Pair("who  SAILS?", "the crew.\n", "b")) == [
        "kept",
        "duplicate",
    ]


def test_the_same_question_with_another_answer_is_another_pair():
    assert statuses(Pair("Who sails?", "The crew.", "a"), Pair("Who sails?", "Nobody.", "a")) == ["kept", "kept"]


def test_a_pair_with_an_empty_side_is_malformed_and_not_remembered():
    assert statuses(Pair(" ", "The crew.", "a"), Pair("Who?", "", "a")) == ["malformed", "malformed"]
