"""Facts about `select`: what it writes, what it counts, what it refuses."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bonanza.build import METHODS
from bonanza.errors import BonanzaError, CorpusError, FolderError, SettingsError
from bonanza.selecting import KEPT, OUTRANKED, count_of, select
from bonanza.selectors.entropies import NO_SCORE
from bonanza.selectors.recost import DEGENERATE
from bonanza.settings import select_settings_from

TOPICS = ("lake", "bread", "clock", "knot")


def question(number: int) -> str:
    return f"What of {TOPICS[number % 4]} {number}?"


def answer(number: int) -> str:
    return f"The {TOPICS[number % 4]} is {number * 37 % 101} old, {'deep ' * (number % 3)}and in the north."


def alpaca(number: int) -> dict[str, Any]:
    return {"source": f"page {number}", "instruction": question(number), "input": "", "output": answer(number)}


def share_gpt(number: int) -> dict[str, Any]:
    said = [("human", question(number)), ("gpt", answer(number)), ("human", "And?"), ("gpt", "No more.")]
    return {"id": number, "conversations": [{"from": who, "value": text} for who, text in said]}


def messages(number: int) -> dict[str, Any]:
    said = [("system", "Be brief."), ("user", question(number)), ("assistant", answer(number))]
    return {"messages": [{"role": role, "content": text} for role, text in said], "n": number}


def completion(number: int) -> dict[str, Any]:
    return {"completion": answer(number), "prompt": question(number), "quality": number / 7}


def stored(path: Path, rows: list[dict[str, Any]]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows, indent=1))
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
        case ".csv":
            with open(path, "w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    match path.suffix:
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case ".json":
            return json.loads(path.read_text())
        case ".parquet":
            return pq.read_table(path).to_pylist()
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def data(tmp_path) -> Path:
    return stored(tmp_path / "data.jsonl", [alpaca(number) for number in range(16)])


@pytest.fixture
def knowledge(tmp_path) -> Path:
    return stored(tmp_path / "knowledge.jsonl", [alpaca(number) for number in range(100, 124)])


@pytest.fixture
def made(data, tmp_path, tiny_models):
    """Select by some settings; the scores come back beside the result."""

    def call(out="out.jsonl", scores="scores.parquet", **settings):
        given = {"data": str(data), "keep": "4", "lm": f"hf:{tiny_models / 'llama'}", **settings}
        place = tmp_path / scores
        result = select(select_settings_from(given, "test"), tmp_path / out if out else None, place, tmp_path / "cache")
        return result, pq.read_table(place).to_pylist() if place.suffix == ".parquet" else rows_of(place)

    return call


def needed(method: str, knowledge: Path) -> dict[str, str]:
    return {"recost": {"knowledge": str(knowledge)}, "nearest": {"target": str(knowledge)}}.get(method, {})


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_as_many_as_asked_for_in_the_datas_order(made, data, knowledge, tmp_path, method):
    result, table = made(method=method, **needed(method, knowledge))
    written, given = rows_of(tmp_path / "out.jsonl"), rows_of(data)
    assert [given[row] for row in result.rows] == written
    assert result.rows == sorted(set(result.rows))
    assert len(written) == result.summary["kept"] <= 4
    assert [row["row"] for row in table] == list(range(16))
    assert [row["row"] for row in table if row["kept"]] == result.rows
    assert sorted(row["place"] for row in table if row["kept"]) == list(range(1, len(written) + 1))
    assert all((row["reason"] == KEPT) == row["kept"] for row in table)
    assert method == "ifd" or len(written) == 4  # a model of random weights finds few below 1


@pytest.mark.parametrize("method", METHODS)
def test_equal_inputs_and_seed_give_equal_output(made, knowledge, tmp_path, method):
    first, table = made(method=method, **needed(method, knowledge))
    content = (tmp_path / "out.jsonl").read_bytes()
    second, again = made(method=method, **needed(method, knowledge))
    assert list(second.selection.kept) == list(first.selection.kept)
    assert (tmp_path / "out.jsonl").read_bytes() == content
    assert repr(again) == repr(table)  # nan is never equal to nan


@pytest.mark.parametrize("make", [alpaca, share_gpt, messages, completion])
@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "csv"])
def test_format_columns_and_order_are_those_of_the_data(made, tmp_path, make, kind):
    if kind == "csv" and make in (share_gpt, messages):
        pytest.skip("nested")
    rows = [make(number) for number in range(12)]
    data = stored(tmp_path / f"rows.{kind}", rows)
    result, _ = made(f"out.{kind}", data=str(data), method="length", keep="5")
    written = rows_of(tmp_path / f"out.{kind}")
    assert [list(row) for row in written] == [list(rows[0])] * 5
    assert written == [rows_of(data)[row] for row in result.rows]


def test_all_turns_of_a_conversation_are_scored(made, tmp_path, tiny_models):
    data = stored(tmp_path / "talk.json", [share_gpt(number) for number in range(4)])
    result, table = made("out.json", data=str(data), method="perplexity", keep="50%")
    assert [len(sample.turns) for sample in result.data.samples] == [4] * 4
    assert all(row["entropy"] > 0 for row in table)
    assert len(rows_of(tmp_path / "out.json")) == 2


def test_the_scores_tell_of_every_sample_why_it_was_kept_or_not(made, tmp_path, knowledge):
    rows = [alpaca(number) for number in range(6)]
    rows += [alpaca(6) | {"output": "very " * 60}, alpaca(7) | {"output": " ".join(map(str, range(400)))}]
    data = stored(tmp_path / "odd.jsonl", rows)
    result, table = made(data=str(data), knowledge=str(knowledge), keep="3")
    assert [row["reason"] for row in table][6:] == [DEGENERATE, NO_SCORE]
    assert sorted(row["reason"] for row in table) == sorted([DEGENERATE, NO_SCORE] + [KEPT] * 3 + [OUTRANKED] * 3)
    assert result.summary["left_out"] == {DEGENERATE: 1, NO_SCORE: 1}
    assert [row["id"] for row in table] == [sample.id for sample in result.data.samples]
    for row in table[:6]:
        assert len(row["knowledge"]) == 5
        assert all(name.startswith(f"{knowledge}, row ") for name in row["knowledge"])
        assert row["relative_entropy"] == pytest.approx(row["entropy"] - row["entropy_with_knowledge"])
    assert sorted(row["rank"] for row in table[:6]) == [1, 2, 3, 4, 5, 6]
    assert math.isnan(table[7]["entropy"])
    assert table[7]["rank"] is None


def test_the_scores_may_be_json_lines_too(made, tmp_path):
    rows = [alpaca(0), alpaca(1) | {"output": " ".join(map(str, range(400)))}]
    made(data=str(stored(tmp_path / "two.jsonl", rows)), method="perplexity", keep="1", scores="scores.jsonl")
    table = [
        json.loads(line, parse_constant=pytest.fail) for line in (tmp_path / "scores.jsonl").read_text().splitlines()
    ]
    assert [row["entropy"] is None for row in table] == [False, True]


def test_knowledge_that_holds_the_data_itself_never_shows_a_sample_its_own_answer(made, data):
    _, table = made(knowledge=str(data))
    for row in table:
        assert len(row["knowledge"]) == 5
        assert f"{data}, row {row['row']}" not in row["knowledge"]


def test_documents_may_be_knowledge(made, tmp_path):
    pages = [{"id": f"page {number}", "text": f"Of {topic} much is known. {'It is old. ' * number}"}
             for number, topic in enumerate(TOPICS)]  # fmt: skip
    path = stored(tmp_path / "pages.jsonl", pages)
    _, table = made(knowledge=str(path))
    assert {name for row in table for name in row["knowledge"]} == {page["id"] for page in pages}


def test_rows_without_an_answer_are_counted_and_never_kept(made, tmp_path):
    rows = [alpaca(0), alpaca(1) | {"output": ""}, alpaca(2), {"other": 1}, alpaca(4) | {"output": None}]
    data = stored(tmp_path / "holes.jsonl", rows)
    result, table = made(data=str(data), method="random", keep="100%")
    assert (result.summary["rows"], result.summary["samples"], result.rows) == (5, 2, [0, 2])
    assert sum(result.summary["skipped"].values()) == 3
    assert result.summary["skipped"]["empty answer"] == 1
    assert [row["row"] for row in table] == [0, 2]


def test_fewer_are_kept_only_where_no_more_can_be_ranked(made, tmp_path):
    rows = [alpaca(0), alpaca(1), alpaca(2) | {"output": " ".join(map(str, range(400)))}]
    result, _ = made(data=str(stored(tmp_path / "three.jsonl", rows)), method="perplexity", keep="100%")
    assert (result.summary["asked_for"], result.summary["kept"], result.rows) == (3, 2, [0, 1])


def test_without_an_output_nothing_is_written(made, tmp_path):
    result, _ = made(out=None, method="random")
    assert len(result.samples) == 4
    assert not (tmp_path / "out.jsonl").exists()


def test_the_result_goes_on_as_a_table_or_a_dataset(made):
    result, table = made(method="length")
    assert result.to_pandas()["length"].tolist() == [row["length"] for row in table]
    kept = result.to_dataset()
    assert kept.column_names == ["messages"]
    assert [row["messages"][1]["content"] for row in kept] == [sample.response for sample in result.samples]


@pytest.mark.parametrize(
    ("keep", "count"),
    [("1", 1), ("200", 200), ("1%", 2), ("100%", 200), (" 12.5 % ", 25), ("1e2", 100), ("0.5%", 1)],
)
def test_how_many_are_kept(keep, count):
    assert count_of(keep, 200) == count


def test_large_numbers_may_have_commas():
    assert count_of("1,500", 2_000) == 1_500


@pytest.mark.parametrize("keep", ["abc", "", "%", "1.5", "nan", "inf", "nan%", "5%%", "five", "-1", "-5%"])
def test_a_number_that_is_none_is_refused(keep):
    with pytest.raises(SettingsError, match=r"is no number of samples to keep\. Write \"1%\" or \"500\"\."):
        count_of(keep, 200)


@pytest.mark.parametrize("keep", ["0", "0%", "101%", "100.1%", "201", "0.1%"])
def test_none_or_more_than_all_are_refused(keep):
    with pytest.raises(SettingsError, match=r"that is \d+ of 200 samples. Keep at least one, at most all"):
        count_of(keep, 200)


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({"method": "best"}, SettingsError, "method 'best' is not known. There are: recost, ifd"),
        ({}, SettingsError, "--method recost needs --knowledge: a file of instruction data or documents"),
        ({"method": "nearest"}, SettingsError, "--method nearest needs --target: a reference set"),
        ({"method": "ifd", "lm": "gpt-9"}, SettingsError, "lm 'gpt-9' is not known. There are: local, hf:PATH"),
        ({"method": "ifd", "lm": "hf:no-such"}, SettingsError, "'hf:no-such' cannot be opened: .*Give 'local'"),
        ({"method": "random", "data": "no/such.jsonl"}, CorpusError, "no/such.jsonl: there is no such file"),
        ({"knowledge": "no/such.jsonl"}, CorpusError, "no/such.jsonl"),
        ({"method": "nearest", "target": "no/such.jsonl"}, BonanzaError, "no/such.jsonl"),
        ({"method": "random", "keep": "17"}, SettingsError, "17 of 16 samples"),
        ({"method": "random", "out": "out.csv"}, SettingsError, "out.csv: .* ends in one of: .jsonl"),
        ({"method": "random", "out": "no/out.jsonl"}, FolderError, "there is no folder"),
        ({"method": "random", "out": "data.jsonl"}, SettingsError, "is the data itself"),
        ({"method": "random", "scores": "no/s.parquet"}, FolderError, "s.parquet: there is no folder"),
        ({"method": "random", "scores": "out.jsonl"}, SettingsError, "out.jsonl: is the data or the output"),
        ({"method": "random", "scores": "data.jsonl"}, SettingsError, "data.jsonl: is the data or the output"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_written(made, data, tmp_path, monkeypatch, settings, kind, said):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    before = data.read_bytes()
    with pytest.raises(kind, match=said):
        made(**settings)
    assert data.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"data.jsonl", "cache"}


def test_data_or_knowledge_in_no_known_format_is_refused_with_what_was_found(made, tmp_path, data):
    odd = stored(tmp_path / "odd.jsonl", [{"alpha": 1, "beta": 2}])
    with pytest.raises(CorpusError, match=r"odd.jsonl: no record is a sample.*alpha, beta"):
        made(data=str(odd), method="random")
    with pytest.raises(CorpusError, match=r"odd.jsonl: .*alpha, beta"):
        made(knowledge=str(odd))


def test_what_was_scored_before_is_not_scored_again(made, knowledge, monkeypatch):
    _, first = made(knowledge=str(knowledge))
    monkeypatch.setattr("bonanza.scorers.transformers.TransformersScorer._losses", None)  # no pass can be made
    _, second = made(knowledge=str(knowledge), keep="2")
    assert [row["entropy"] for row in second] == [row["entropy"] for row in first]
