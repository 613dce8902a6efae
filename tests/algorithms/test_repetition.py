import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.algorithms.repetition import LEAST_WORDS, repeats_itself

ANSWERS = [
    "Paris.",
    "no no no no no no no no no no no",
    "The three primary colours are red, blue, and yellow. They cannot be made by mixing others, but all others can be "
    "made from them, which is why painters begin with them and why printers use close relatives of the three.",
    "1. Eat a balanced diet and make sure to include plenty of fruits and vegetables.\n2. Exercise regularly to keep "
    "your body active and strong.\n3. Get enough sleep and maintain a consistent sleep schedule.",
    "def add(x, y):\n    return x + y\n\n\ndef subtract(x, y):\n    return x - y\n",
    "北京是中国的首都、位于华北平原的北部、有三千多年的历史、是全国的政治、文化中心、也是世界著名的古都。",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_ordinary_answers_do_not_repeat_themselves(answer):
    assert not repeats_itself(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "the " * 50,
        "The lake is deep. " * 20,
        "I do not know the answer to that question, sorry. " * 5,
        "Ja, das ist so. Ja, das ist so. Ja, das ist so. Ja, das ist so.",
        ANSWERS[2] + " and so on" * 60,
        "好" * 100,
        "哈哈、真好。" * 30,
        "=" * 300,
    ],
)
def test_texts_that_say_the_same_again_do(answer):
    assert repeats_itself(answer)


@given(st.lists(st.sampled_from("abc"), max_size=LEAST_WORDS - 1))
def test_in_a_few_words_a_repeated_one_says_nothing(words):
    assert not repeats_itself(" ".join(words))


@given(st.text())
def test_any_text_has_an_answer(text):
    assert repeats_itself(text) in (True, False)


def test_broken_characters_are_no_obstacle():
    assert repeats_itself("\ud800 " * 200)


def test_a_text_repeated_often_enough_repeats_itself():
    words = [str(number) for number in random.Random(0).sample(range(1000), 40)]
    assert not repeats_itself(" ".join(words))
    assert repeats_itself(" ".join(words * 4))
