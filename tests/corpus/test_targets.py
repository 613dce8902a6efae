import csv
import gzip
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonanza.corpus.targets import read_target, target_from
from bonanza.errors import TargetError
from bonanza.records import Question, Target

said = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
exchanges = st.lists(st.tuples(said, said), min_size=1, max_size=5, unique=True)


def target_of(folder: Path, *records: object) -> Target:
    file = folder / "target.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_target(str(file))


def reasons_of(target: Target) -> Counter[str]:
    return Counter(skipped.reason for skipped in target.skipped)


def message(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


SYSTEM, USER, ASSISTANT = message("system", "Be brief."), message("user", "2+2?"), message("assistant", "4")


@pytest.mark.parametrize(
    "record",
    [
        {"question": "2+2?", "answer": "4", "id": 1},
        {"question": "2+2?", "answer": 4},
        {"instruction": "2+2?", "output": "4"},
        {"instruction": "2+2?", "input": "", "output": "4"},
        {"instruction": "2+2?", "input": None, "output": "4"},
        {"messages": [SYSTEM, USER, ASSISTANT]},
        {"messages": json.dumps([USER, ASSISTANT])},
        {"messages": [message("user", [{"type": "text", "text": "2+"}, {"type": "text", "text": "2?"}]), ASSISTANT]},
        {"messages": [USER, message("assistant", None), message("tool", "4.0"), ASSISTANT]},
        {"messages": [message("user", "Hi"), USER, ASSISTANT, message("assistant", "Anything else?")]},
        {
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "human", "value": "2+2?"},
                {"from": "gpt", "value": "4"},
            ]
        },
        {"prompt": "2+2?", "completion": "4"},
        {"prompt": [SYSTEM, USER], "completion": [ASSISTANT]},
        {"prompt": "2+2?", "completion": [ASSISTANT]},
        {"prompt": "2+2?", "completion": "4", "question": None, "answer": None},
    ],
)
def test_every_format_gives_the_same_pair(tmp_path, record):
    target = target_of(tmp_path, record)
    assert target.pairs == (Question("2+2?", "4"),)
    assert target.skipped == ()
    assert target.origin == str(tmp_path / "target.jsonl")


def test_an_input_follows_its_instruction_after_a_blank_line(tmp_path):
    target = target_of(tmp_path, {"instruction": "Translate.", "input": "cat", "output": "chat"})
    assert target.pairs == (Question("Translate.\n\ncat", "chat"),)


@given(turns=exchanges)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_exchange_of_a_dialogue_is_a_pair(tmp_path, turns):
    messages = [message(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]
    shared = [{"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)]
    expected = tuple(Question(*turn) for turn in turns)
    assert target_of(tmp_path, {"messages": [SYSTEM, *messages]}).pairs == expected
    assert target_of(tmp_path, {"conversations": shared}).pairs == expected
    assert target_from(turns).pairs == expected


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"question": "q", "answer": " "}, "empty answer"),
        ({"question": "", "answer": "a"}, "empty question"),
        ({"question": {"text": "q"}, "answer": "a"}, "not text"),
        ({"question": ["q"], "answer": "a"}, "not text"),
        ({"question": True, "answer": "a"}, "not text"),
        ({"messages": [SYSTEM, USER]}, "no answered question"),
        ({"messages": []}, "no answered question"),
        ({"messages": [ASSISTANT, USER]}, "no answered question"),
        ({"messages": [message("user", [{"type": "image"}]), ASSISTANT]}, "not text"),
        ({"messages": "no json"}, "broken dialogue"),
        ({"messages": 7}, "broken dialogue"),
        ({"messages": ["2+2?", "4"]}, "broken dialogue"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "broken dialogue"),
        ({"messages": [{"role": "user"}]}, "broken dialogue"),
        ({"question": "2+2?", "answer": None}, "unknown format"),
        ({"question": "2+2?", "answer": "4"}, "repeated pair"),
        ([1, 2], "not an object"),
    ],
)
def test_a_record_that_is_no_pair_is_skipped_with_its_reason(tmp_path, record, reason):
    target = target_of(tmp_path, {"question": "2+2?", "answer": "4"}, record, {"question": "last", "answer": "yes"})
    assert [pair.question for pair in target.pairs] == ["2+2?", "last"]
    assert [(skipped.origin, skipped.reason) for skipped in target.skipped] == [
        (f"{tmp_path / 'target.jsonl'}, line 2", reason)
    ]


def test_every_type_of_file_gives_the_same_pairs(tmp_path):
    records = [{"question": f"question {number}", "answer": f"answer\n{number}"} for number in range(5)]
    lines = "".join(json.dumps(record) + "\n" for record in records).encode()
    (tmp_path / "t.jsonl").write_bytes(lines)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "t.jsonl.zst").write_bytes(zstandard.compress(lines))
    (tmp_path / "t.json").write_text(json.dumps(records))
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "t.parquet")
    with (tmp_path / "t.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["question", "answer"])
        writer.writeheader()
        writer.writerows(records)
    expected = tuple(Question(**record) for record in records)
    assert {read_target(str(file)).pairs for file in tmp_path.iterdir()} == {expected}


def test_messages_in_parquet_are_understood(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"messages": [USER, ASSISTANT]}]), tmp_path / "t.parquet")
    assert read_target(str(tmp_path / "t.parquet")).pairs == (Question("2+2?", "4"),)


def test_a_file_of_no_known_format_is_refused_with_what_it_has_and_what_is_understood(tmp_path):
    with pytest.raises(TargetError) as error:
        target_of(tmp_path, {"problem": "2+2?", "solution": "4"}, {"problem": "q", "level": 1})
    assert str(error.value) == (
        f"{tmp_path / 'target.jsonl'}: no record is a pair. Found were: level, problem, solution. "
        "Understood are: question + answer; instruction (+ input) + output; messages (role, content); "
        "conversations (from, value); prompt + completion."
    )


def test_a_file_without_an_answer_is_refused_with_the_reasons(tmp_path):
    with pytest.raises(TargetError, match=r"no pair with an answer \(empty answer: 2, no answered question: 1\)"):
        target_of(tmp_path, *[{"question": str(n), "answer": ""} for n in range(2)], {"messages": [USER]})
    with pytest.raises(TargetError, match=r"no pair with an answer .the file holds no record"):
        target_of(tmp_path)
    with pytest.raises(TargetError, match="memory: no pair with an answer"):
        target_from([])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none.jsonl", "there is no such file"),
        ("t.txt", "not a type of file that can hold pairs"),
        ("t.docx", "not a type"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, name, message):
    for existing in ("t.txt", "t.docx"):
        (tmp_path / existing).write_text("x")
    with pytest.raises(TargetError, match=message):
        read_target(str(tmp_path / name))


def test_a_broken_file_is_said(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"no parquet")
    with pytest.raises(TargetError, match="broken file: 1"):
        read_target(str(tmp_path / "t.parquet"))


def test_unpaired_surrogates_are_replaced(tmp_path):
    assert target_of(tmp_path, {"question": "a\ud800", "answer": "b"}).pairs == (Question("a�", "b"),)
