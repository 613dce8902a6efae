"""Facts about policies and extractors of one's own: they choose and read, bear a name, and are checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

import bonanza
from bonanza.errors import (
    BonanzaError,
    CorpusError,
    EndpointError,
    ExtractionError,
    FolderError,
    PartError,
    SettingsError,
)
from bonanza.records import Document, Pair, Reading, Usage

TEXTS = [f"The lighthouse of cape {n} is {10 + n} metres high. It was built in {1800 + n}." for n in range(30)]
MOST = Usage(200, 100)
TARGET = [(f"How high is tower {n}?", f"It is {n} metres high.") for n in range(5)]


@dataclass
class Shortest:
    """Chooses the shortest documents first, and keeps what it was told."""

    name: str = "shortest"
    clusters: Any = None
    report_: Any = None

    def start(self, pool, target, rng) -> None:
        self.order, self.learned = np.argsort(pool.lengths, kind="stable"), []

    def choose(self, count: int) -> Sequence[int]:
        chosen, self.order = self.order[:count], self.order[count:]
        return chosen

    def learn(self, readings) -> None:
        self.learned += readings

    def report(self) -> Any:
        return {} if self.report_ is None else self.report_


@dataclass
class Heights:
    """Asks for the height that a text tells."""

    name: str = "heights"
    most: Any = MOST
    tokens: Any = 100
    change: Callable[[Reading], Any] = lambda reading: reading

    def worst_case(self, document: Document) -> Usage:
        return self.most

    def prompt_tokens(self, document: Document) -> int:
        return self.tokens

    def read(self, document: Document) -> Reading:
        sentence = document.text.partition(".")[0] + "."
        question = sentence.replace("The", "How high is the", 1).partition(" is ")[2]
        pair = Pair(f"How high is {question}?", sentence, document.id, 0, len(sentence), sentence)
        return self.change(Reading(document.id, "ok", (pair,), Usage(100, 20)))


def extracted(out: Path, **changed: Any) -> bonanza.ExtractResult:
    arguments: dict[str, Any] = {"budget": "2400", "llm": Heights(), "policy": Shortest(), "round_size": 4}
    return bonanza.extract(bonanza.documents(TEXTS), TARGET, out=out, **arguments | changed)


def read(out: Path) -> list[str]:
    return pq.read_table(out / "documents.parquet")["document_id"].to_pylist()


def test_an_extractor_and_a_policy_of_ones_own_make_a_run(tmp_path):
    policy = Shortest()
    result = extracted(tmp_path / "run", policy=policy)
    shortest = sorted(bonanza.documents(TEXTS), key=lambda document: len(document.text))
    assert read(tmp_path / "run") == [document.id for document in shortest[:18]]
    assert [reading.document_id for reading in policy.learned] == read(tmp_path / "run")
    assert result.summary["documents_read"] == len(result.pairs) == 18  # they leave 240, and another might take 300


def test_the_budget_is_kept_by_the_worst_case(tmp_path):
    for budget, documents in (("2400", 18), ("7docs", 7), ("300", 1)):
        result = extracted(tmp_path / budget, budget=budget)
        assert result.summary["documents_read"] == documents
        assert result.summary["budget"]["spent"] <= result.summary["budget"]["limit"]
    assert extracted(tmp_path / "small", budget="299").summary["stop_reason"] == "budget too small"


def test_a_budget_in_dollars_takes_prices_and_is_refused_without(tmp_path):
    paid = extracted(tmp_path / "paid", budget="$0.001", prices={"input": 1.0, "output": 2.0})
    assert paid.summary["cost_usd"] == pytest.approx(paid.summary["documents_read"] * 140e-6)
    with pytest.raises(SettingsError, match="a budget in dollars needs the LLM's prices"):
        extracted(tmp_path / "free", budget="$0.001")


def test_names_stand_in_settings_and_summary(tmp_path):
    result = extracted(tmp_path / "run")
    settings = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())
    assert (settings["policy"], settings["llm"]) == ("custom:shortest", "custom:heights")
    assert (result.summary["policy"], result.summary["llm"]) == ("custom:shortest", "custom:heights")


def test_a_policy_without_a_name_is_called_by_its_class(tmp_path):
    class Nameless(Shortest):
        name = ""

    result = extracted(tmp_path / "run", policy=Nameless(name=""))
    assert result.summary["policy"].startswith("custom:test_custom.test_a_policy_without_a_name")
    assert result.summary["policy"].endswith("Nameless")


def test_a_run_is_resumed_and_reads_nothing_twice(tmp_path):
    counted: list[str] = []

    def stops_at_ten(reading: Reading) -> Reading:
        counted.append(reading.document_id)
        if len(counted) == 10:
            raise EndpointError("The dictation machine is out of paper.")
        return reading

    early = extracted(tmp_path / "run", llm=Heights(change=stops_at_ten))
    assert (early.summary["stop_reason"], early.summary["documents_read"]) == ("endpoint gone", 9)
    assert early.summary["stop_detail"] == "The dictation machine is out of paper."
    resumed = extracted(tmp_path / "run", llm=Heights(change=stops_at_ten))
    assert resumed.summary["documents_read"] == 18
    assert sorted(counted) == sorted([*read(tmp_path / "run"), counted[9]])
    straight = extracted(tmp_path / "straight")
    assert (tmp_path / "run" / "train.jsonl").read_bytes() == (tmp_path / "straight" / "train.jsonl").read_bytes()
    assert straight.pairs == resumed.pairs


def test_the_same_object_may_be_used_again(tmp_path):
    parts = {"policy": Shortest(), "llm": Heights()}
    assert extracted(tmp_path / "a", **parts).pairs == extracted(tmp_path / "b", **parts).pairs
    assert extracted(tmp_path / "a", **parts).pairs == extracted(tmp_path / "b", **parts).pairs


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"policy": Shortest("longest")}, "settings.policy: 'custom:longest', there 'custom:shortest'"),
        ({"policy": "random"}, "settings.policy: 'random', there 'custom:shortest'"),
        ({"llm": Heights("depths")}, "settings.llm: 'custom:depths', there 'custom:heights'"),
        ({"llm": "rules"}, "settings.llm: 'rules', there 'custom:heights'"),
    ],
)
def test_a_folder_of_other_parts_is_refused_with_the_difference(tmp_path, changed, said):
    extracted(tmp_path / "run")
    with pytest.raises(FolderError, match="belongs to a run with other settings") as refused:
        extracted(tmp_path / "run", **changed)
    assert said in str(refused.value)


def test_the_command_cannot_take_an_object_and_says_so(bonanza, tmp_path):
    extracted(tmp_path / "run")
    outcome = bonanza("extract", "--config", tmp_path / "run" / "settings.yaml", "--out", tmp_path / "run")
    assert outcome.status == 2
    assert "policy 'custom:shortest' is an object of Python code, which no settings can hold" in outcome.err
    assert "bonanza.extract(..., policy=...)" in outcome.err


def test_a_journal_of_an_extractor_of_ones_own_can_be_replayed(tmp_path):
    extracted(tmp_path / "run")
    again = extracted(tmp_path / "again", llm=f"recorded:journal={tmp_path / 'run'}", policy="random", budget="5docs")
    assert again.summary["documents_read"] == 5


# Policies that go wrong


def choosing(*rounds: Sequence[Any]) -> Shortest:
    """A policy that names these rows, round by round."""
    policy, left = Shortest(), list(rounds)
    policy.choose = lambda count: left.pop(0) if left else []
    return policy


def refusal(out: Path, kind: type[BonanzaError] = PartError, **changed: Any) -> str:
    with pytest.raises(kind) as refused:
        extracted(out, **changed)
    return str(refused.value)


@pytest.mark.parametrize(
    ("rounds", "said"),
    [
        ([[]], "'custom:shortest' named no row at all; expected: rows to read next, best first"),
        ([[30]], "named row 30; expected: rows are whole numbers from 0 to 29"),
        ([[-1]], "named row -1; expected"),
        ([["page-7"]], "named row 'page-7'; expected"),
        ([[1.5]], "named row 1.5; expected"),
        ([[0, 1, 2, 3, 4]], "named 5 rows; expected: at most the 4 that it was asked for"),
        ([[3, 4, 3]], "named row 3 ('"),
        ([[3], [5], [3]], "') twice; expected: each row once"),
    ],
)
def test_a_policy_that_names_what_it_must_not_is_told_so(tmp_path, rounds, said):
    error = refusal(tmp_path / "run", policy=choosing(*rounds))
    assert said in error
    assert error.endswith("Mend it: bonanza.interfaces.Policy.")


def test_a_policy_may_choose_no_more_and_the_run_says_so(tmp_path):
    result = extracted(tmp_path / "run", policy=choosing([np.int64(3), 4], [5]))
    assert (result.summary["stop_reason"], result.summary["documents_read"]) == ("policy chose no more", 3)
    assert not result.ended_early


def test_a_policy_that_reads_everything_has_read_all(tmp_path):
    assert extracted(tmp_path / "run", budget="1m").summary["stop_reason"] == "all documents read"


def test_a_policy_that_chooses_otherwise_on_the_second_try_is_stopped_before_it_pays(tmp_path):
    extracted(tmp_path / "run", policy=choosing([0, 1, 2]))
    error = refusal(tmp_path / "run", FolderError, policy=choosing([7, 8, 9]))
    assert "The journal holds 3 readings that this run would not choose" in error


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (Shortest, "is a class, not an object of it. See bonanza.interfaces.Policy"),
        (object(), "has no clusters, start, choose, learn, report. See bonanza.interfaces.Policy"),
        (None, "has no clusters, start"),
        (Shortest(clusters=np.zeros(3)), "has clusters of shape (3,); expected: (30,) or None"),
        (Shortest(report_={"best": np.float32(1)}), "expected: a mapping of JSON values"),
        (Shortest(report_={"best": float("nan")}), "expected: a mapping of JSON values"),
        (Shortest(report_=["best"]), "reports ['best']; expected: a mapping"),
    ],
)
def test_what_is_no_policy_is_refused(tmp_path, policy, said):
    assert said in refusal(tmp_path / "run", policy=policy)


def test_clusters_of_a_policy_stand_in_the_tables(tmp_path):
    extracted(tmp_path / "run", policy=Shortest(clusters=np.arange(30) // 10))
    assert set(pq.read_table(tmp_path / "run" / "documents.parquet")["cluster"].to_pylist()) == {0, 1}


# Extractors that go wrong


def test_an_extractor_that_raises_names_the_document_and_keeps_what_was_read(tmp_path):
    seen: list[str] = []

    def breaks(reading: Reading) -> Reading:
        seen.append(reading.document_id)
        if len(seen) == 3:
            raise KeyError("height")
        return reading

    error = refusal(tmp_path / "run", ExtractionError, llm=Heights(change=breaks))
    assert error.startswith(f"extractor 'custom:heights' raised KeyError on document {seen[2]!r}: 'height'. What was")
    assert "the same call resumes" in error
    assert extracted(tmp_path / "run", llm=Heights(change=breaks)).summary["documents_read"] == 18
    assert seen.count(seen[0]) == seen.count(seen[1]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda reading: None, "gave NoneType of document '"),
        (lambda reading: replace(reading, document_id="other"), "that names another; expected: reading and pairs with"),
        (lambda reading: replace(reading, pairs=(replace(reading.pairs[0], document_id="x"),)), "that names another"),
        (lambda reading: replace(reading, pairs=(("Q", "A"),)), "gave the pair ('Q', 'A')"),
        (lambda reading: replace(reading, pairs=(replace(reading.pairs[0], answer=None),)), "expected: a Pair with"),
        (lambda reading: replace(reading, status="fine"), "gave the status 'fine'"),
        (lambda reading: replace(reading, usage=Usage(100, 101)), "took 100 + 101 tokens"),
        (lambda reading: replace(reading, usage=Usage(100, 101)), "expected: at most its worst_case, 200 + 100 tokens"),
        (lambda reading: replace(reading, usage=Usage(-1, 0)), "gave the usage Usage(input_tokens=-1"),
    ],
)
def test_a_reading_that_cannot_be_is_refused(tmp_path, change, said):
    error = refusal(tmp_path / "run", llm=Heights(change=change))
    assert said in error
    assert error.startswith("extractor 'custom:heights' ")


@pytest.mark.parametrize(
    ("extractor", "said"),
    [
        (Heights, "is a class, not an object of it. See bonanza.interfaces.Extractor"),
        (lambda document: None, "has no name, worst_case, prompt_tokens, read"),
        (Heights(name=""), "has no name; expected: text that names model and prompt"),
        (Heights(most=300), "foresees 300 at most; expected: a Usage"),
        (Heights(most=Usage(-5, 0)), "expected: a Usage of whole numbers, 0 or more"),
        (Heights(tokens=1.5), "foresees 1.5 prompt tokens; expected: a whole number"),
    ],
)
def test_what_is_no_extractor_is_refused(tmp_path, extractor, said):
    assert said in refusal(tmp_path / "run", llm=extractor)


def test_an_asynchronous_extractor_is_refused(tmp_path):
    class Waiting(Heights):
        async def read(self, document: Document) -> Reading:
            return super().read(document)

    assert "has an asynchronous read; expected: one that returns a Reading" in refusal(tmp_path, llm=Waiting())


# Texts in memory


def test_texts_are_documents_named_by_their_content(tmp_path):
    texts = ["One.", "Two.", "", "One."]
    assert [document.id for document in bonanza.documents(texts)][:2] == [
        document.id for document in bonanza.documents(("One.", "Two."))
    ]
    result = bonanza.extract(bonanza.documents(texts), TARGET, budget="100%", llm="rules", out=tmp_path / "run")
    assert result.summary["documents_total"] == 2
    listed = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert [(row["origin"], row["reason"]) for row in listed] == [("text 3", "empty text"), ("text 4", "repeated text")]


def test_a_text_in_place_of_a_path_is_told_apart(tmp_path):
    for corpus in (["README.md", "Lakes\nare deep."], "Lakes\nare deep.", ["deep " * 1000]):
        with pytest.raises(CorpusError, match=r"is a text, not a path. Give texts as bonanza.documents"):
            bonanza.extract(corpus, TARGET, budget="100%", llm="rules", out=tmp_path / "run")


def test_what_is_no_text_is_refused():
    with pytest.raises(CorpusError, match=r"text 2 is int: 7\. Give texts"):
        bonanza.documents(["One.", 7])
    assert len(bonanza.documents("One text alone.")) == 1
