"""Facts about comparing answers."""

from __future__ import annotations

import pytest

from bonanza.evaluation.matching import last_number, matches


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("16 - 3 - 4 = 9, and 9 * 2 = 18.\n#### 18", "She makes $<<9*2=18>>18.\n#### 18"),
        ("So it is $1,250.00.", "1250"),
        ("Therefore $\\boxed{0.5}$.", "we get $\\boxed{\\frac{1}{2}}$"),
        ("The answer is  paris.", "Paris"),
        ("Answer: (B)", "B"),
        ("-3 degrees", "\N{MINUS SIGN}3"),
        ("return  x + 1", "return x + 1"),
        ("$\\boxed{\\frac{x}{2}}$", "It is $\\boxed{\\frac{x}{2}}$."),
        ("1.50", "3/2"),
        ("75%", "75"),
    ],
)
def test_equal_final_answers_match(answer, reference):
    assert matches(answer, reference)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("#### 19", "#### 18"),
        ("18 is wrong, it is 17", "18"),
        ("", "18"),
        ("", "Paris"),
        ("x-1", "x+1"),
        ("12", "1/2"),
        ("118", "18"),
        ("The capital is Paris", "London"),
        ("1/0", "1"),
    ],
)
def test_different_final_answers_do_not(answer, reference):
    assert not matches(answer, reference)


def test_a_hyphen_in_a_word_is_no_minus():
    assert last_number("covid-19") == 19
    assert last_number("from 3-4") == 4
