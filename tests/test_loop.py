"""Facts about the loop: never over the budget, the right reason for stopping, and nothing paid for twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonanza.budget import Account, Budget, Prices
from bonanza.cleaning.exact import ExactCleaner
from bonanza.errors import FolderError
from bonanza.executors.local import LocalExecutor
from bonanza.extractors.recorded import RecordedExtractor
from bonanza.interfaces import Executor, Extractor, Pool
from bonanza.journal import Journal
from bonanza.loop import PASSED_OVER_IN_A_ROW, Parts, Progress, rounds
from bonanza.policies.random import RandomPolicy
from bonanza.records import Document, Question, Reading, Target, Usage

PRICES = Prices(input=100.0, output=400.0)


@dataclass
class MeteredExtractor:
    """Costs at most and in fact what it is told per document, and counts its readings."""

    worst: dict[str, Usage]
    actual: dict[str, Usage]
    calls: list[str] = field(default_factory=list)
    name: str = "metered"

    def worst_case(self, document: Document) -> Usage:
        return self.worst[document.id]

    def prompt_tokens(self, document: Document) -> int:
        return self.worst[document.id].input_tokens

    def read(self, document: Document) -> Reading:
        self.calls.append(document.id)
        return Reading(document.id, "empty", (), self.actual[document.id])


@dataclass
class CountingRecorded(RecordedExtractor):
    """Reveals recorded pairs, and counts its readings."""

    calls: list[str] = field(default_factory=list)

    def read(self, document: Document) -> Reading:
        self.calls.append(document.id)
        return super().read(document)

    def worst_case(self, document: Document) -> Usage:
        return super().read(document).usage


@dataclass
class ShufflingExecutor:
    """Answers arrive in any order, as from many workers."""

    extractor: Extractor
    seed: int

    def read(self, documents: Sequence[Document], stopping: Callable[[], bool]) -> Iterator[Sequence[Reading]]:
        for row in np.random.default_rng(self.seed).permutation(len(documents)):
            if stopping():
                return
            yield [self.extractor.read(documents[row])]

    def close(self) -> None:
        pass


def pages(count: int) -> list[Document]:
    """Every third page repeats the pair of the page before."""
    return [
        Document(f"page {n}", f"text {n} " * (1 + n % 7), recorded=(Question(f"Why {n - (n % 3 == 2)}?", "So."),))
        for n in range(count)
    ]


def run(
    folder: Path, documents: Sequence[Document], extractor: Extractor, budget: Budget, *,
    executor: Executor | None = None, round_size: int = 7, patience: int = 0,
    stopping: Callable[[], bool] = lambda: False, seed: int = 0,
) -> Progress:  # fmt: skip
    pool = Pool(
        ids=[document.id for document in documents],
        lengths=np.array([len(document.text) for document in documents], dtype=np.int64),
        vectors=np.zeros((len(documents), 2), dtype=np.float16),
        affordable=len(documents),
        fetch=lambda rows: [documents[row] for row in rows],
        costs=np.ones(len(documents)),
    )
    policy = RandomPolicy()
    policy.start(pool, Target(()), np.random.default_rng(seed))
    with Journal(folder) as journal:
        parts = Parts(
            pool,
            policy,
            extractor,
            executor or LocalExecutor(extractor),
            ExactCleaner(),
            journal,
            Account(budget, PRICES),
        )
        states = rounds(parts, round_size, patience, stopping)
        return [checked(progress, parts.account) for progress in states][-1]


def checked(progress: Progress, account: Account) -> Progress:
    """After any round nothing is over the limit."""
    assert account.spent <= account.budget.limit
    assert account.left >= 0
    return progress


def spent(progress: Progress, budget: Budget) -> float:
    """What the readings took, added up by hand."""
    usages = [item.reading.usage for item in progress.read]
    match budget.kind:
        case "tokens":
            return sum(usage.input_tokens + usage.output_tokens for usage in usages)
        case "dollars":
            return (sum(u.input_tokens for u in usages) * 100 + sum(u.output_tokens for u in usages) * 400) / 1e6
    return len(usages)


def outcome(progress: Progress) -> tuple[object, ...]:
    """All that must not depend on how a run came to its end."""
    return [item.row for item in progress.read], [item.reading for item in progress.read], progress.passed_over


costs = st.lists(
    st.tuples(st.integers(1, 500), st.integers(0, 500), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=40
)
budgets = st.one_of(
    st.builds(Budget, st.just("tokens"), st.integers(1, 8_000)),
    st.builds(Budget, st.just("documents"), st.integers(1, 45)),
    st.builds(Budget, st.just("dollars"), st.floats(0.001, 3.0)),
)


def metered(costs: Sequence[tuple[int, int, float, float]]) -> tuple[list[Document], MeteredExtractor]:
    documents = [Document(f"page {number}", "text") for number in range(len(costs))]
    worst = {page.id: Usage(prompt, answer) for page, (prompt, answer, _, _) in zip(documents, costs, strict=True)}
    actual = {
        page.id: Usage(int(prompt * used), int(answer * written))
        for page, (prompt, answer, used, written) in zip(documents, costs, strict=True)
    }
    return documents, MeteredExtractor(worst, actual)


@given(costs, budgets, st.integers(1, 50), st.integers(0, 9))
def test_the_budget_is_never_passed_whatever_reading_costs(tmp_path_factory, costs, budget, round_size, seed):
    documents, extractor = metered(costs)
    folder = tmp_path_factory.mktemp("run")
    progress = run(
        folder, documents, extractor, budget, round_size=round_size, executor=ShufflingExecutor(extractor, seed)
    )
    assert spent(progress, budget) <= budget.limit
    assert len(set(extractor.calls)) == len(extractor.calls) == len(progress.read)
    assert {item.row for item in progress.read} | {int(note.origin.split()[1]) for note in progress.passed_over} <= set(
        range(len(documents))
    )


@given(costs, budgets, st.lists(st.integers(1, 50), min_size=2, max_size=2), st.integers(0, 9))
def test_neither_the_size_of_rounds_nor_the_order_of_answers_changes_the_outcome(
    tmp_path_factory, costs, budget, sizes, seed
):
    documents, extractor = metered(costs)
    first = run(tmp_path_factory.mktemp("run"), documents, extractor, budget, round_size=sizes[0])
    shuffling = ShufflingExecutor(extractor, seed)
    second = run(tmp_path_factory.mktemp("run"), documents, extractor, budget, round_size=sizes[1], executor=shuffling)
    assert outcome(first) == outcome(second)


@given(costs, budgets)
def test_a_document_is_read_exactly_if_its_worst_case_fits_what_those_before_it_left(tmp_path_factory, costs, budget):
    documents, extractor = metered(costs)
    progress = run(tmp_path_factory.mktemp("run"), documents, extractor, budget)
    account, expected = Account(budget, PRICES), []
    for row in np.random.default_rng(0).permutation(len(documents)):
        worst = extractor.worst[documents[row].id]
        if account.left > 1e-9 and account.reserve(documents[row].id, worst):
            account.settle(documents[row].id, extractor.actual[documents[row].id])
            expected.append(row)
    assert [item.row for item in progress.read] == expected


@given(st.lists(st.integers(1, 30), max_size=4), st.integers(0, 9), st.integers(20, 9_000))
def test_stopping_at_any_moment_and_running_again_changes_nothing(tmp_path_factory, moments, seed, limit):
    documents, budget = pages(30), Budget("tokens", limit)
    straight = run(tmp_path_factory.mktemp("straight"), documents, RecordedExtractor(), budget, seed=seed)
    folder, extractor = tmp_path_factory.mktemp("stopped"), CountingRecorded()
    for moment in moments:
        end = len(extractor.calls) + moment
        run(folder, documents, extractor, budget, stopping=lambda end=end: len(extractor.calls) >= end, seed=seed)
    resumed = run(folder, documents, extractor, budget, executor=ShufflingExecutor(extractor, seed), seed=seed)
    assert outcome(resumed) == outcome(straight)
    assert resumed.stop_reason == straight.stop_reason
    assert len(set(extractor.calls)) == len(extractor.calls) == len(straight.read)


def test_nothing_in_the_ledger_is_read_again(tmp_path):
    extractor = CountingRecorded()
    first = run(tmp_path, pages(20), extractor, Budget("documents", 20))
    assert len(extractor.calls) == 20
    again = run(tmp_path, pages(20), extractor, Budget("documents", 20))
    assert len(extractor.calls) == 20
    assert outcome(first) == outcome(again)


def test_nothing_is_paid_for_while_the_ledger_holds_readings_of_another_run(tmp_path):
    run(tmp_path, pages(20), CountingRecorded(), Budget("documents", 5), seed=1)
    extractor = CountingRecorded()
    with pytest.raises(FolderError, match=r"The journal holds \d readings that this run would not choose"):
        run(tmp_path, pages(20), extractor, Budget("documents", 6), seed=2, round_size=1)
    assert extractor.calls == []


def test_a_stop_during_the_replay_loses_nothing_of_it(tmp_path):
    whole = run(tmp_path, pages(20), CountingRecorded(), Budget("documents", 20))
    again = run(tmp_path, pages(20), CountingRecorded(), Budget("documents", 20), stopping=lambda: True)
    assert outcome(again) == outcome(whole)
    assert again.stop_reason == whole.stop_reason


def test_a_larger_budget_goes_on_where_a_smaller_one_ended(tmp_path):
    extractor = CountingRecorded()
    small = run(tmp_path, pages(20), extractor, Budget("documents", 8))
    large = run(tmp_path, pages(20), extractor, Budget("documents", 20))
    assert len(extractor.calls) == 20
    assert large.read[:8] == [*small.read]


def test_readings_are_priced_before_they_are_kept(tmp_path):
    progress = run(tmp_path, pages(3), RecordedExtractor(), Budget("tokens", 5_000))
    with Journal(tmp_path) as journal:
        kept = journal.find(["page 0", "page 1", "page 2"])
    for item in progress.read:
        usage = item.reading.usage
        assert item.reading.cost_usd == pytest.approx((usage.input_tokens * 100 + usage.output_tokens * 400) / 1e6)
        assert kept[item.reading.document_id].cost_usd == item.reading.cost_usd > 0


def test_repeated_pairs_are_marked_in_the_order_of_choice_not_of_arrival(tmp_path):
    for seed in range(4):
        progress = run(
            tmp_path / str(seed),
            pages(30),
            RecordedExtractor(),
            Budget("documents", 30),
            executor=ShufflingExecutor(RecordedExtractor(), seed),
        )
        status = {item.reading.document_id: item.reading.pairs[0].status for item in progress.read}
        order = [item.reading.document_id for item in progress.read]
        for number in range(1, 30, 3):
            twins = sorted((f"page {number}", f"page {number + 1}"), key=order.index)
            assert [status[twin] for twin in twins] == ["kept", "duplicate"]


def flat(count: int, tokens: int = 100) -> tuple[list[Document], MeteredExtractor]:
    return metered([(tokens, 0, 1.0, 1.0)] * count)


def test_a_run_that_reads_everything_says_so(tmp_path):
    progress = run(tmp_path, *flat(20), Budget("tokens", 10_000))
    assert (progress.stop_reason, len(progress.read), progress.passed_over) == ("all documents read", 20, [])


def test_a_run_that_spends_its_budget_says_so(tmp_path):
    progress = run(tmp_path, *flat(20), Budget("tokens", 500))
    assert (progress.stop_reason, len(progress.read)) == ("budget spent", 5)


def test_a_budget_that_ends_between_documents_counts_as_spent(tmp_path):
    progress = run(tmp_path, *flat(20), Budget("tokens", 550))
    assert (progress.stop_reason, len(progress.read), len(progress.passed_over)) == ("budget spent", 5, 15)


def test_a_budget_too_small_for_every_document_says_so_and_reads_none(tmp_path):
    documents, extractor = flat(20)
    progress = run(tmp_path, documents, extractor, Budget("tokens", 99))
    assert (progress.stop_reason, progress.read, extractor.calls) == ("budget too small", [], [])
    assert len(progress.passed_over) == 20


def test_documents_without_any_pair_end_a_run_at_its_patience(tmp_path):
    progress = run(tmp_path, *flat(40), Budget("tokens", 10_000), round_size=5, patience=15)
    assert (progress.stop_reason, len(progress.read)) == ("no more pairs", 15)


def test_one_pair_within_the_patience_keeps_a_run_going(tmp_path):
    documents = [Document(f"{n}", "text", recorded=(Question(f"{n}?", "So."),) * (n % 5 == 0)) for n in range(40)]
    progress = run(tmp_path, documents, RecordedExtractor(), Budget("documents", 40), round_size=5, patience=35)
    assert len(progress.read) == 40


def test_a_stop_between_readings_ends_the_run_with_what_it_has(tmp_path):
    documents, extractor = flat(20)
    progress = run(
        tmp_path, documents, extractor, Budget("tokens", 10_000), stopping=lambda: len(extractor.calls) == 10
    )
    assert (progress.stop_reason, len(progress.read), len(extractor.calls)) == ("interrupted", 10, 10)


def test_a_stop_before_the_first_reading_reads_nothing(tmp_path):
    documents, extractor = flat(20)
    progress = run(tmp_path, documents, extractor, Budget("tokens", 10_000), stopping=lambda: True)
    assert (progress.stop_reason, progress.read, extractor.calls) == ("interrupted", [], [])


def test_an_oversize_document_is_passed_over_with_its_reason_and_later_ones_are_read(tmp_path):
    documents, extractor = metered([(9_000 if n in (3, 11) else 100, 0, 1.0, 1.0) for n in range(20)])
    progress = run(tmp_path, documents, extractor, Budget("tokens", 5_000))
    assert {item.row for item in progress.read} == set(range(20)) - {3, 11}
    assert {note.origin for note in progress.passed_over} == {"page 3", "page 11"}
    assert {note.reason for note in progress.passed_over} == {"over what was left of the budget"}
    assert progress.passed_over[0].detail.startswith("may take 9000 tokens, more than was left")


@pytest.mark.parametrize("round_size", [1, 30, 1_000])
def test_a_long_row_of_documents_that_do_not_fit_counts_as_a_spent_budget(tmp_path, round_size):
    documents, extractor = flat(PASSED_OVER_IN_A_ROW + 60)
    progress = run(tmp_path, documents, extractor, Budget("tokens", 550), round_size=round_size)
    assert (progress.stop_reason, len(progress.read)) == ("budget spent", 5)
    assert len(progress.passed_over) == PASSED_OVER_IN_A_ROW
