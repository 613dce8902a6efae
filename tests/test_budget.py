"""Facts about budgets: what a user may type, and that the limit is never passed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.budget import Account, Budget, Prices, parse_budget
from bonanza.errors import SettingsError
from bonanza.records import Usage

PRICES = Prices(input=0.15, output=0.60)


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [
        ("200k", "tokens", 200_000),
        ("200 K tokens", "tokens", 200_000),
        ("1.5M", "tokens", 1_500_000),
        ("2b", "tokens", 2_000_000_000),
        ("5000", "tokens", 5_000),
        ("5,000", "tokens", 5_000),
        ("5_000", "tokens", 5_000),
        ("0.29k", "tokens", 290),
        ("1token", "tokens", 1),
        ("300docs", "documents", 300),
        ("300 documents", "documents", 300),
        ("1 doc", "documents", 1),
        ("2k docs", "documents", 2_000),
        ("5%", "documents", 50),
        (" 0.1 % ", "documents", 1),
        ("100%", "documents", 1_000),
        ("12.59%", "documents", 125),
        ("$12.50", "dollars", 12.5),
        ("$ .5", "dollars", 0.5),
        ("$1,250.75", "dollars", 1_250.75),
    ],
)
def test_every_form_of_a_budget_is_understood(text, kind, limit):
    assert parse_budget(text, documents=1_000) == Budget(kind, limit)


@pytest.mark.parametrize(
    "text",
    ["", "many", "-5k", "5kk", "12.50$", "5%%", "1e5", "nan", "inf", "$", "%", "5 % docs", "k", "1.2.3", "9" * 400],
)
def test_what_is_no_budget_is_refused_with_the_forms_that_are(text):
    with pytest.raises(SettingsError, match=r'is not understood. Write "200k" \(tokens\), "5%"') as error:
        parse_budget(text, documents=1_000)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("text", ["$12,50", "1,5k", "12,5%", "1,0000", ",500", "1,00"])
def test_a_decimal_comma_is_refused_rather_than_read_as_a_hundred_times_as_much(text):
    with pytest.raises(SettingsError, match="is not understood"):
        parse_budget(text, documents=1_000)


@pytest.mark.parametrize("text", ["0", "0docs", "$0", "0%", "0.05%", "0.4docs"])
def test_a_budget_below_one_document_is_refused(text):
    with pytest.raises(SettingsError, match=r"is less than one document \(the corpus has 1,000\)"):
        parse_budget(text, documents=1_000)


def test_more_than_the_whole_corpus_is_refused():
    with pytest.raises(SettingsError, match="'101%' is more than the whole corpus"):
        parse_budget("101%", documents=1_000)


def test_a_budget_in_dollars_needs_prices():
    with pytest.raises(SettingsError, match=r"needs the LLM's prices.*Give --input-price and --output-price"):
        Account(Budget("dollars", 5.0), Prices())


@pytest.mark.parametrize("kind", ["tokens", "documents", "dollars"])
@pytest.mark.parametrize("price", [-0.5, float("nan"), float("inf")])
def test_a_price_that_is_no_price_is_refused(kind, price):
    with pytest.raises(SettingsError, match=rf"prices are input 1\.0, output {price} .*: give finite numbers, zero or"):
        Account(Budget(kind, 5), Prices(input=1.0, output=price))


def test_dollars_are_tokens_times_prices_per_million():
    assert Account(Budget("dollars", 1.0), PRICES).cost(Usage(2_000_000, 500_000)) == pytest.approx(0.60)


@pytest.mark.parametrize(("kind", "amount"), [("tokens", 30), ("documents", 1), ("dollars", (1.5 + 12) / 1e6)])
def test_a_reading_takes_its_tokens_its_price_or_one_document(kind, amount):
    account = Account(Budget(kind, 1_000), PRICES)
    assert account.reserve("page", Usage(100, 200))
    account.settle("page", Usage(10, 20))
    assert account.spent == pytest.approx(amount) == account.amount(Usage(10, 20))
    assert account.left == pytest.approx(1_000 - amount)


def test_a_reservation_refused_sets_nothing_aside():
    account = Account(Budget("tokens", 100), Prices())
    assert account.reserve("first", Usage(60, 0))
    assert not account.reserve("second", Usage(41, 0))
    assert account.left == 40
    assert account.reserve("second", Usage(30, 10))
    assert account.left == 0


def test_ten_tenths_of_a_dollar_fit_a_dollar():
    account = Account(Budget("dollars", 1.0), Prices(input=0.1))
    assert all(account.reserve(f"page {number}", Usage(1_000_000, 0)) for number in range(10))
    assert not account.reserve("one more", Usage(1, 0))


def test_another_try_reserves_beyond_the_first_and_settling_frees_both():
    account = Account(Budget("tokens", 100), Prices())
    assert account.reserve("page", Usage(40, 0))
    assert account.reserve_more("page", Usage(50, 0))
    assert not account.reserve_more("page", Usage(11, 0))
    assert account.left == 10
    account.settle("page", Usage(70, 0))
    assert (account.spent, account.left) == (70, 30)


def test_what_was_paid_before_is_held_until_it_is_settled_and_what_is_lost_is_spent():
    account = Account(Budget("tokens", 100), Prices())
    account.owe(Usage(10, 0), {"read": Usage(20, 0), "begun": Usage(5, 0)})
    assert (account.spent, account.left) == (10, 65)
    account.settle("read", Usage(20, 0))
    assert not account.reserve("begun", Usage(71, 0))
    assert account.reserve("begun", Usage(70, 0))
    assert (account.spent, account.left) == (30, 0)


def test_a_journal_may_hold_more_than_the_limit_and_then_nothing_more_fits():
    account = Account(Budget("tokens", 100), Prices())
    account.owe(Usage(90, 0), {"read": Usage(20, 0)})
    assert account.left == -10
    assert not account.reserve("page", Usage(0, 0))


counts = st.integers(0, 100_000)
readings = st.tuples(counts, counts, st.floats(0, 1), st.floats(0, 1), st.booleans())
limits = st.one_of(
    st.builds(Budget, st.just("tokens"), st.integers(1, 1_000_000)),
    st.builds(Budget, st.just("documents"), st.integers(1, 20)),
    st.builds(Budget, st.just("dollars"), st.floats(1e-6, 0.5)),
)
prices = st.builds(Prices, st.floats(1e-3, 75), st.floats(1e-3, 75))


@given(limits, prices, st.lists(readings, max_size=40))
def test_spent_and_reserved_never_pass_the_limit(budget, prices, readings):
    account = Account(budget, prices)
    open_: list[tuple[str, Usage]] = []
    for number, (prompt, answer, prompt_share, answer_share, settle_now) in enumerate(readings):
        if account.reserve(str(number), Usage(prompt, answer)):
            open_.append((str(number), Usage(int(prompt * prompt_share), int(answer * answer_share))))
        assert account.left >= 0
        if settle_now and open_:
            account.settle(*open_.pop(0))
        assert account.left >= 0
        assert account.spent <= budget.limit
    for document_id, actual in open_:
        account.settle(document_id, actual)
    assert account.left == pytest.approx(budget.limit - account.spent, abs=1e-12)
    assert account.spent <= budget.limit


@given(st.lists(st.builds(Usage, counts, counts), max_size=20), st.randoms())
def test_the_order_of_settling_does_not_matter(usages, random):
    shuffled = random.sample(usages, len(usages))
    spent = []
    for order in (usages, shuffled):
        account = Account(Budget("dollars", 1e6), PRICES)
        for usage in order:
            account.settle("page", usage)
        spent.append(account.spent)
    assert spent[0] == spent[1]
