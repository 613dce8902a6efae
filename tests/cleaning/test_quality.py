import pytest

from bonanza.algorithms.language import differ, language
from bonanza.cleaning.quality import FLAGS, QualityCleaner, flags_of, latex_balances, points_elsewhere, python_parses
from bonanza.errors import SettingsError
from bonanza.records import Pair, Reading
from bonanza.settings import QualitySettings

PAGE = "The crew of the ship sails with the tide, and it is not the first that does so in this bay."


def flags(question: str, answer: str, document: str = PAGE) -> list[str]:
    return list(flags_of(Pair(question, answer, "page"), document, QualitySettings()))


@pytest.mark.parametrize(
    "question",
    [
        "What does the passage say about tides?",
        "According to the text, who sails?",
        "What is shown in Figure 3?",
        "Which of the above is right?",
        "Who wrote this article?",
        "What is meant by the previous section?",
    ],
)
def test_a_question_that_needs_its_page_is_flagged(question: str):
    assert points_elsewhere(question)


@pytest.mark.parametrize(
    "question",
    [
        "How do I search for a text in a file?",
        "Who is the author of Moby Dick?",
        "What is the passage of time called in physics?",
        "Figure out the sum of 3 and 4.",
        "How many players are on the table in snooker?",
        "Write a document class in Java.",
    ],
)
def test_a_question_that_stands_alone_is_not(question: str):
    assert not points_elsewhere(question)


def test_python_is_parsed_where_it_is_fenced_as_python_and_never_run(tmp_path):
    assert python_parses(f"```python\nopen({str(tmp_path / 'made')!r}, 'w')\n```")
    assert not list(tmp_path.iterdir())
    assert not python_parses("Try:\n```py\nfor x in range(3) print(x)\n```")
    assert not python_parses("```python\n" + "(" * 5_000 + "\n```")
    assert python_parses("```c\nint x = ;\n```")


@pytest.mark.parametrize(
    ("text", "balances"),
    [
        (r"$\frac{1}{2}$", True),
        (r"\begin{cases} x \\[2pt] y \end{cases}", True),
        (r"\[ x \]", True),
        ("It costs $5 or $6.50.", True),
        ("It costs $5, $x$ of them $9", True),
        ("if (x) { return y; }", True),
        (r"\{1, 2\} and $\{$", True),
        (r"$\frac{1}{2$", False),
        (r"\begin{cases} x", False),
        (r"\[ x", False),
        ("$x and", False),
        (r"\begin{a}\begin{b}\end{a}\end{b}", False),
    ],
)
def test_latex_that_does_not_end_is_seen(text: str, balances: bool):
    assert latex_balances(text) is balances


def test_a_language_is_told_from_a_sentence_and_not_from_a_word():
    assert language(PAGE) == "English"
    assert language("Der Wind ist nicht mit den Schiffen, die auf das Meer fahren.") == "German"
    assert language("Fram") is None
    assert differ(PAGE, "Команда выходит в море на рассвете")
    assert not differ(PAGE, "x = 42")


def test_flags_are_named():
    assert flags("", "x") == ["empty question"]
    assert flags("Who sails at dawn?", " ") == ["empty answer"]
    assert flags("Who sails at dawn?", "who  SAILS at dawn?") == ["answer repeats question"]
    assert flags("Who?", "x" * 40_000) == ["question too short", "answer too long"]
    assert flags("Wer ist auf dem Schiff?", "Das ist die Frau, die nicht mit der Flut kam.") == ["other language"]
    assert flags("Who sails at dawn?", "The crew.") == []


def test_a_flag_drops_a_pair_only_where_settings_say_so():
    pair = Pair("Who sails in Figure 2?", "The crew.", "page")
    noting = QualityCleaner(lambda _: PAGE, QualitySettings(dropped=()))
    assert noting.clean(Reading("page", "ok", (pair,))).pairs == (pair,)
    assert noting.flags == {pair.id: ("not self-contained",)}
    (dropped,) = QualityCleaner(lambda _: PAGE, QualitySettings()).clean(Reading("page", "ok", (pair,))).pairs
    assert (dropped.status, dropped.reason) == ("malformed", "not self-contained")


def test_an_unknown_flag_is_refused_and_the_default_ones_are_known():
    assert set(QualitySettings().dropped) <= set(FLAGS)
    with pytest.raises(SettingsError, match="no flag 'too boring'"):
        QualityCleaner(lambda _: PAGE, QualitySettings(dropped=("too boring",)))
