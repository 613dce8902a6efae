import csv
import gzip
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonanza.corpus.instructions import InstructionData, read_samples, require_same_format, write_rows
from bonanza.corpus.readers import streams
from bonanza.errors import CorpusError, FolderError, SettingsError
from bonanza.records import Sample, Turn

INSTRUCTIONS = Path(__file__).parents[3] / "shared" / "data" / "instructions"
TYPES = ["jsonl", "jsonl.gz", "jsonl.zst", "ndjson", "json", "json.gz", "json.zst"]
TABLES = ["csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "parquet"]
UNPACK = {".gz": gzip.decompress, ".zst": lambda packed: zstandard.ZstdDecompressor().stream_reader(packed).read()}
PACK = {".gz": gzip.compress, ".zst": zstandard.compress}
many = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
# What can stand in a field: all that line ends, quotes and delimiters of some format could be taken for.
fields = st.text(st.sampled_from("ab \t,\"'\n\r\\|\u2028\u0085\x0b\x0c\x1e\ufeffé😀"), max_size=6)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["user", "gpt"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "text", "type"]), inner, max_size=3)
    ),
    max_leaves=8,
)
columns = ["question", "answer", "instruction", "input", "output", "messages", "conversations", "prompt", "completion"]


def content_of(file: Path) -> bytes:
    return UNPACK.get(file.suffix, bytes)(file.read_bytes())


def stored(file: Path, content: bytes) -> Path:
    file.write_bytes(PACK.get(file.suffix, bytes)(content))
    return file


def stored_records(file: Path, records: Sequence[dict]) -> Path:
    """The records as a file of the type that its name says; what is nested as JSON in csv."""
    kind = file.name.split(".")[1]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(list(records)), file)
        return file
    if kind in ("csv", "tsv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(records[0]), delimiter="\t" if kind == "tsv" else ",")
        writer.writeheader()
        for record in records:
            cells = {key: value if isinstance(value, str) else json.dumps(value) for key, value in record.items()}
            writer.writerow(cells)
        return stored(file, text.getvalue().encode())
    if kind == "json":
        return stored(file, json.dumps(records, indent=2).encode())
    return stored(file, "".join(json.dumps(record) + "\n" for record in records).encode())


def samples_of(folder: Path, *records: object) -> InstructionData:
    return read_samples(str(stored_records(folder / "data.jsonl", records)))


def turns_of(data: InstructionData) -> list[tuple[Turn, ...]]:
    return [sample.turns for sample in data.samples]


def rewritten(file: Path, rows: Sequence[int], name: str | None = None) -> Path:
    out = file.with_name(name or f"chosen-{file.name}")
    write_rows(str(file), rows, out)
    return out


def said(role: str, content: object) -> dict[str, object]:
    return {"role": role, "content": content}


def shared(speaker: str, value: object) -> dict[str, object]:
    return {"from": speaker, "value": value}


SYSTEM, USER, ASSISTANT = said("system", "Be brief."), said("user", "2+2?"), said("assistant", "4")
ONE_TURN = (Turn("user", "2+2?"), Turn("assistant", "4"))
INSTRUCTED = (Turn("system", "Be brief."), *ONE_TURN)
MANY_TURNS = (*INSTRUCTED, Turn("user", "Sure?"), Turn("assistant", "Yes."))
DIALOGUE = [SYSTEM, USER, ASSISTANT, said("user", "Sure?"), said("assistant", "Yes.")]
SHARED = [shared("system", "Be brief."), shared("human", "2+2?"), shared("gpt", "4"), shared("human", "Sure?"),
          shared("gpt", "Yes.")]  # fmt: skip
FORMATS = [
    ({"question": "2+2?", "answer": "4", "id": "x"}, ONE_TURN),
    ({"instruction": "2+2?", "input": "", "output": "4"}, ONE_TURN),
    ({"instruction": "2+2?", "output": "4"}, ONE_TURN),
    ({"prompt": "2+2?", "completion": "4"}, ONE_TURN),
    ({"id": "x", "messages": DIALOGUE}, MANY_TURNS),
    ({"conversations": SHARED}, MANY_TURNS),
]


@pytest.mark.parametrize("ending", [*TYPES, *TABLES])
@pytest.mark.parametrize(("record", "turns"), FORMATS)
def test_every_format_is_read_from_every_type_of_file_and_written_to_it(tmp_path, ending, record, turns):
    file = stored_records(tmp_path / f"data.{ending}", [record] * 3)
    data = read_samples(str(file))
    assert data == InstructionData(str(file), 3, tuple(Sample(row, turns) for row in range(3)), ())
    assert turns_of(read_samples(str(rewritten(file, [2, 0])))) == [turns] * 2


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
def test_prompt_and_completion_may_be_messages(tmp_path, ending):
    record = {"prompt": DIALOGUE[:4], "completion": DIALOGUE[4:]}
    assert turns_of(read_samples(str(stored_records(tmp_path / f"d.{ending}", [record])))) == [MANY_TURNS]


@pytest.mark.parametrize(
    ("record", "turns"),
    [
        ({"instruction": "2+", "input": "2?", "output": "4"}, (Turn("user", "2+\n\n2?"), Turn("assistant", "4"))),
        ({"instruction": "2+2?", "input": float("nan"), "output": 4}, ONE_TURN),
        ({"messages": [said("developer", "Be brief."), USER, ASSISTANT]}, INSTRUCTED),
        ({"messages": [said("system", ""), USER, said("assistant", None), ASSISTANT, said("user", " ")]}, ONE_TURN),
        ({"messages": [ASSISTANT, USER, ASSISTANT]}, (Turn("assistant", "4"), *ONE_TURN)),
        ({"messages": [said("user", [{"type": "text", "text": "2+"}, {"text": "2?"}]), ASSISTANT]}, ONE_TURN),
        ({"prompt": "2+2?", "completion": [ASSISTANT]}, ONE_TURN),
        ({"question": "a\ud800", "answer": "b\udfff"}, (Turn("user", "a�"), Turn("assistant", "b�"))),
    ],
)
def test_what_is_said_is_kept_in_its_order(tmp_path, record, turns):
    assert turns_of(samples_of(tmp_path, record)) == [turns]


def test_all_that_the_assistant_says_is_the_response(tmp_path):
    sample = samples_of(tmp_path, {"messages": DIALOGUE}).samples[0]
    assert (sample.prompt, sample.response) == ("Be brief.\n\n2+2?\n\nSure?", "4\n\nYes.")


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        ({"question": "q", "answer": " "}, "empty answer", ""),
        ({"instruction": "", "input": "", "output": "a"}, "empty question", ""),
        ({"question": "q", "answer": None}, "unknown format", "question"),
        ({"question": "q", "answer": float("nan")}, "unknown format", "question"),
        ({"question": {"text": "q"}, "answer": "a"}, "not text", ""),
        ({"messages": [USER]}, "no answered question", ""),
        ({"messages": [SYSTEM, ASSISTANT, USER]}, "no answered question", ""),
        ({"messages": []}, "no answered question", ""),
        ({"messages": [USER, said("tool", "4.0"), ASSISTANT]}, "unknown role", "tool"),
        ({"conversations": [*SHARED, shared("\ud800" + "x" * 99, "")]}, "unknown role", "�" + "x" * 79),
        ({"messages": 7}, "broken dialogue", ""),
        ({"messages": "no json"}, "broken dialogue", ""),
        ({"messages": [{"role": ["user"], "content": "q"}]}, "broken dialogue", ""),
        ({"messages": [{"role": "user"}]}, "broken dialogue", ""),
        (["no", "object"], "not an object", "list"),
    ],
)
def test_a_row_that_is_no_sample_is_skipped_with_its_reason_and_keeps_its_place(tmp_path, record, reason, detail):
    good = {"question": "2+2?", "answer": "4"}
    data = samples_of(tmp_path, good, record, good)
    assert data.samples == (Sample(0, ONE_TURN), Sample(2, ONE_TURN))
    assert data.rows == 3
    skip = data.skipped[0]
    assert (skip.origin, skip.reason, skip.detail) == (f"{tmp_path / 'data.jsonl'}, line 2", reason, detail)


@given(records=st.lists(st.dictionaries(st.sampled_from(columns), junk, max_size=5) | junk, max_size=6))
@many
def test_no_value_crashes_the_reader(tmp_path, records):
    data = samples_of(tmp_path, {"question": "2+2?", "answer": "4"}, *records)
    assert len(data.samples) + len(data.skipped) == data.rows == len(records) + 1
    json.dumps([[skip.reason, skip.detail] for skip in data.skipped], ensure_ascii=False).encode()


def test_what_is_nested_too_deep_is_skipped(tmp_path):
    deep = [
        '{"question": ' + '[{"text": ' * depth + '"x"' + "}]" * depth + ', "answer": "a"}\n'
        for depth in (*range(400, 500, 4), 90_000)
    ]
    file = stored(tmp_path / "d.jsonl", "".join([*deep, '{"question": "2+2?", "answer": "4"}\n']).encode())
    found = read_samples(str(file))
    assert found.samples[-1] == Sample(len(deep), ONE_TURN)
    assert {skip.reason for skip in found.skipped} <= {"nested too deep", "broken line"}
    assert found.skipped[-1].reason == "broken line"


def test_a_line_that_is_too_long_keeps_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "LONGEST_LINE", 64)
    records = [{"question": "2+2?", "answer": answer} for answer in ("4", "4" * 99, "4")]
    file = stored_records(tmp_path / "d.jsonl", records)
    found = read_samples(str(file))
    assert [sample.row for sample in found.samples] == [0, 2]
    assert turns_of(read_samples(str(rewritten(file, [2])))) == [ONE_TURN]
    with pytest.raises(CorpusError, match="not all chosen rows can be found"):
        rewritten(file, [1])


def test_hugging_face_datasets_are_read_but_not_written(tmp_path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list([{"messages": DIALOGUE}] * 2).save_to_disk(tmp_path / "set")
    source = f"hf://{tmp_path / 'set'}"
    assert turns_of(read_samples(source)) == [MANY_TURNS] * 2
    with pytest.raises(SettingsError, match="cannot be written in its own format"):
        write_rows(source, [0], tmp_path / "out.parquet")


def test_data_without_a_sample_says_what_it_has_and_what_is_understood(tmp_path):
    with pytest.raises(CorpusError) as error:
        samples_of(tmp_path, {"text": "once"}, {"text": "upon", "\ud800": 1})
    assert str(error.value) == (
        f"{tmp_path / 'data.jsonl'}: no record is a sample. Found were: text, �. "
        "Understood are: question + answer; instruction (+ input) + output; messages (role, content); "
        "conversations (from, value); prompt + completion."
    )
    with pytest.raises(
        CorpusError, match=r"no sample with an answer \(empty answer: 1, unknown format: 1\). Found were"
    ):
        samples_of(tmp_path, {"question": "q", "answer": ""}, {"text": "once"})
    with pytest.raises(CorpusError, match=r"\(the file holds no record\). Understood"):
        samples_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.jsonl", "there is no such file"), ("x.txt", "not a type of file that can hold samples"), ("x.gz", "type")],
)
def test_what_is_no_data_is_refused(tmp_path, name, message):
    for existing in ("x.txt", "x.gz"):
        (tmp_path / existing).write_text("x")
    with pytest.raises(CorpusError, match=message):
        read_samples(str(tmp_path / name))


def test_a_parquet_value_that_python_cannot_hold_is_refused(tmp_path):
    when = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"question": ["q"], "answer": ["a"], "when": when}), tmp_path / "d.parquet")
    with pytest.raises(CorpusError, match="a column holds values that cannot be read"):
        read_samples(str(tmp_path / "d.parquet"))


def test_a_file_that_breaks_off_gives_the_rows_before_and_they_can_be_written(tmp_path):
    lines = [json.dumps({"question": f"q{n}", "answer": os.urandom(400).hex()}).encode() + b"\n" for n in range(5000)]
    file = tmp_path / "d.jsonl.gz"
    file.write_bytes(gzip.compress(b"".join(lines))[:-100_000])
    data = read_samples(str(file))
    assert 0 < data.rows == len(data.samples) < 5000
    assert [skip.reason for skip in data.skipped] == ["broken file"]
    assert content_of(rewritten(file, [data.rows - 1, 0])) == lines[0] + lines[data.rows - 1]
    with pytest.raises(CorpusError, match="It has changed since it was read"):
        rewritten(file, [4999])


# Where records stand: lines between which there are blank and broken ones, under every line end.
@given(
    records=st.lists(st.tuples(fields, fields) | st.sampled_from([b"", b" ", b"{", b"[1]", b"\xff"]), max_size=8),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
    marked=st.booleans(),
    ends=st.booleans(),
    data=st.data(),
)
@many
def test_lines_are_copied_byte_by_byte(tmp_path, records, line_end, marked, ends, data):
    lines = [
        record if isinstance(record, bytes) else json.dumps({"q": record}, ensure_ascii=False).encode()
        for record in [*records, ("x", "y")]
    ]
    last = json.dumps({"question": "2+2?", "answer": "4"}).encode()
    content = b"\xef\xbb\xbf" * marked + line_end.join([*lines, last]) + line_end * ends
    file = stored(tmp_path / "d.jsonl", content)
    pieces = [line for line in io.BytesIO(content) if not line.isspace()]
    found = read_samples(str(file))
    assert found.rows == len(pieces)
    assert found.samples[-1] == Sample(len(pieces) - 1, ONE_TURN)
    rows = data.draw(st.lists(st.sampled_from(range(len(pieces))), unique=True))
    assert content_of(rewritten(file, rows)) == b"".join(pieces[row] for row in sorted(rows))
    assert rewritten(file, range(len(pieces))).read_bytes() == b"".join(pieces)


tables = st.lists(st.tuples(fields, fields, fields), min_size=1, max_size=8)


@given(
    records=tables,
    ending=st.sampled_from(["csv", "tsv"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    all_quoted=st.booleans(),
    blank=st.booleans(),
    marked=st.booleans(),
    ends=st.booleans(),
    data=st.data(),
)
@many
def test_records_of_tables_are_copied_byte_by_byte(
    tmp_path, records, ending, line_end, all_quoted, blank, marked, ends, data
):
    delimiter = "\t" if ending == "tsv" else ","

    def written(record: Sequence[str]) -> str:
        quoted = [f'"{field.replace(chr(34), chr(34) * 2)}"' for field in record]
        plain = [
            field if field.isalnum() and not all_quoted else quote for field, quote in zip(record, quoted, strict=True)
        ]
        return delimiter.join(plain) + line_end

    header = "\ufeff" * marked + line_end * (blank and not marked) + written(["note", "question", "answer"])
    lines = [written(record) for record in [*records, ("", "2+2?", "4")]]
    lines[-1] = lines[-1].removesuffix("" if ends else line_end)
    file = stored(tmp_path / f"d.{ending}", (header + (line_end * blank).join(lines)).encode())
    found = read_samples(str(file))
    assert found.rows == len(lines)
    assert found.samples[-1] == Sample(len(lines) - 1, ONE_TURN)
    rows = data.draw(st.lists(st.sampled_from(range(len(lines))), unique=True))
    expected = header.removeprefix(line_end) + "".join(lines[row] for row in sorted(rows))
    assert rewritten(file, rows).read_bytes() == expected.encode()


@given(content=st.text(st.sampled_from('qa,"\n\r \ufeff'), max_size=40), data=st.data())
@many
def test_reader_and_writer_count_the_same_records_of_a_broken_table(tmp_path, content, data):
    file = stored(tmp_path / "d.csv", f'question,answer\n{content}\n"2+2?",4\n2+2?,4\n'.encode())
    try:
        found = read_samples(str(file))
    except CorpusError:
        return
    rows = data.draw(st.lists(st.sampled_from(found.samples), unique=True, min_size=1))
    chosen = {sample.row for sample in rows}
    expected = [sample.turns for sample in found.samples if sample.row in chosen]
    assert turns_of(read_samples(str(rewritten(file, sorted(chosen))))) == expected


def test_records_that_are_broken_or_no_utf8_keep_their_place_in_a_table(tmp_path):
    content = b'"a"b,c\nquestion,answer\nx,y,z\n\n"\xff",y\n"u"v,w\nq,"a\nb"\n'
    file = stored(tmp_path / "d.csv", content)
    found = read_samples(str(file))
    assert [skip.reason for skip in found.skipped] == ["broken line", "broken line", "not UTF-8", "broken line"]
    assert found.samples == (Sample(4, (Turn("user", "q"), Turn("assistant", "a\nb"))),)
    assert rewritten(file, [4]).read_bytes() == b'question,answer\nq,"a\nb"\n'
    assert rewritten(file, [2, 1]).read_bytes() == b'question,answer\nx,y,z\n"\xff",y\n'


@given(
    records=st.lists(st.dictionaries(texts, junk, max_size=3), min_size=1, max_size=6),
    indent=st.sampled_from([None, 0, 2, "\t"]),
    ascii_only=st.booleans(),
    data=st.data(),
)
@many
def test_a_list_keeps_its_items_and_its_layout(tmp_path, records, indent, ascii_only, data):
    records = [{"question": "2+2?", "answer": "4", "kept": record} for record in records]
    written = json.dumps(records, indent=indent, ensure_ascii=ascii_only)
    file = stored(tmp_path / "d.json", written.encode("utf-8", "replace"))
    rows = data.draw(st.lists(st.sampled_from(range(len(records))), unique=True, min_size=1))
    expected = json.dumps([records[row] for row in sorted(rows)], indent=indent, ensure_ascii=ascii_only)
    assert rewritten(file, rows).read_bytes() == expected.encode("utf-8", "replace")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'\xef\xbb\xbf [ {"n": 1.10} ,\r\n  2, "\\ud800" ]\r\n', b'\xef\xbb\xbf [ {"n": 1.10} ,\r\n  "\\ud800" ]\r\n'),
        (b'[{"a":[1,2]},{"b":"],["},3]', b'[{"a":[1,2]},3]'),
        (b'{"a": 1}\n\n[2]\n{"c": 3}', b'{"a": 1}\n{"c": 3}'),
    ],
)  # fmt: skip
def test_json_is_copied_byte_by_byte(tmp_path, content, expected):
    assert rewritten(stored(tmp_path / "d.json", content), [2, 0]).read_bytes() == expected


def test_no_row_leaves_an_empty_file_of_the_format(tmp_path):
    record = {"question": "q", "answer": "a"}
    expected = {"jsonl": b"", "csv": b"question,answer\r\n"}
    for ending, content in expected.items():
        assert rewritten(stored_records(tmp_path / f"d.{ending}", [record]), []).read_bytes() == content
    assert json.loads(rewritten(stored_records(tmp_path / "d.json", [record]), []).read_bytes()) == []
    assert rewritten(stored(tmp_path / "d.json", b"[ ]"), []).read_bytes() == b"[ ]"
    assert pq.read_table(rewritten(stored_records(tmp_path / "d.parquet", [record]), [])).num_rows == 0


SCHEMA = pa.schema(
    [
        pa.field("id", pa.int32(), nullable=False, metadata={"unit": "none"}),
        ("messages", pa.large_list(pa.struct([("role", pa.string()), ("content", pa.large_string())]))),
        ("tags", pa.map_(pa.string(), pa.list_(pa.float32(), 2))),
        ("split", pa.dictionary(pa.int8(), pa.string())),
        ("when", pa.timestamp("ms", tz="UTC")),
        ("blob", pa.large_binary()),
    ],
    metadata={"huggingface": '{"info": {}}', "own": "x"},
)  # fmt: skip


@given(groups=st.integers(1, 4), data=st.data())
@settings(parent=many, max_examples=15)
def test_parquet_keeps_schema_metadata_and_order(tmp_path, groups, data):
    tags = [("k", [1.5, 2.5])]
    rows = [
        {
            "id": n,
            "messages": [USER, ASSISTANT] if n % 3 else None,
            "tags": tags,
            "split": "ab"[n % 2],
            "when": n,
            "blob": b"\xff",
        }
        for n in range(7)
    ]
    table = pa.Table.from_pylist(rows, SCHEMA)
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=groups)
    found = read_samples(str(tmp_path / "d.parquet"))
    assert [sample.row for sample in found.samples] == [1, 2, 4, 5]
    chosen = data.draw(st.lists(st.sampled_from(range(7)), unique=True))
    out = pq.read_table(rewritten(tmp_path / "d.parquet", chosen))
    assert out.schema.equals(pq.read_schema(tmp_path / "d.parquet"), check_metadata=True)
    assert out.to_pylist() == table.take(pa.array(sorted(chosen), pa.int64())).to_pylist()


def test_the_output_is_compressed_as_its_own_name_says_and_always_alike(tmp_path):
    file = stored_records(tmp_path / "d.jsonl.zst", [{"question": "q", "answer": str(n)} for n in range(9)])
    lines = content_of(file).splitlines(keepends=True)
    for name in ("out.ndjson", "out.jsonl.gz", "OUT.JSONL.ZST"):
        out = tmp_path / name
        write_rows(str(file), [7, 3], out)
        unpack = UNPACK.get(out.suffix.lower(), bytes)
        first = out.read_bytes()
        assert unpack(first) == lines[3] + lines[7]
        write_rows(str(file), (3, 7), out)
        assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("data", "out", "endings"),
    [
        ("d.jsonl", "o.json", ".jsonl, .jsonl.gz, .jsonl.zst, .ndjson, .ndjson.gz, .ndjson.zst."),
        ("d.csv.gz", "o.tsv", ".csv, .csv.gz, .csv.zst."),
        ("d.parquet", "o.parquet.gz", ".parquet."),
        ("d.json", "o", ".json, .json.gz, .json.zst."),
    ],
)
def test_an_output_of_another_format_is_refused(tmp_path, data, out, endings):
    stored(tmp_path / data, b"")
    with pytest.raises(SettingsError) as error:
        require_same_format(str(tmp_path / data), tmp_path / out)
    assert str(error.value).endswith(
        f"what is chosen from {tmp_path / data} has its format. Give a name that ends in one of: {endings}"
    )
    assert str(error.value).startswith(str(tmp_path / out))


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    file = stored_records(tmp_path / "d.jsonl", [{"question": "q", "answer": "a"}])
    before = file.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(file)
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(SettingsError, match="is the data itself"):
        write_rows(str(file), [0], tmp_path / "link.jsonl")
    with pytest.raises(FolderError, match="there is no folder"):
        write_rows(str(file), [0], tmp_path / "none" / "o.jsonl")
    with pytest.raises(FolderError, match=r"cannot be written \(Is a directory\)"):
        write_rows(str(file), [0], tmp_path / "folder.jsonl")
    with pytest.raises(FolderError, match=r"cannot be written \(File name too long\)"):
        write_rows(str(file), [0], tmp_path / ("x" * 300 + ".jsonl"))
    assert file.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"d.jsonl", "link.jsonl", "folder.jsonl"}


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "tsv.gz", "parquet"])
def test_data_that_has_changed_leaves_the_output_as_it_was(tmp_path, ending):
    file = stored_records(tmp_path / f"d.{ending}", [{"question": "q", "answer": "a"}] * 3)
    out = tmp_path / f"o.{ending}"
    out.write_bytes(b"before")
    with pytest.raises(CorpusError, match=r"not all chosen rows can be found. It has changed since it was read"):
        write_rows(str(file), [1, 3], out)
    stored(file, b"broken [")
    with pytest.raises(CorpusError, match="It has changed since it was read"):
        write_rows(str(file), [1, 2], out)
    file.unlink()
    with pytest.raises(CorpusError, match="there is no such file"):
        write_rows(str(file), [1], out)
    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]


def test_a_row_chosen_twice_is_our_mistake(tmp_path):
    file = stored_records(tmp_path / "d.jsonl", [{"question": "q", "answer": "a"}])
    with pytest.raises(AssertionError, match="a row is chosen twice"):
        rewritten(file, [0, 0])


@pytest.mark.skipif(not INSTRUCTIONS.is_dir(), reason="the instruction data is not here")
@pytest.mark.parametrize(
    ("name", "rows"),
    [("alpaca", 10000), ("alpaca_gpt4", 734), ("codealpaca_2k", 2015), ("dolly", 2981), ("selfinstruct_seed", 175)],
)
def test_real_data_is_read_whole_and_written_unchanged(tmp_path, name, rows):
    file = INSTRUCTIONS / f"{name}.jsonl.gz"
    data = read_samples(str(file))
    assert data.rows == len(data.samples) + len(data.skipped) == rows
    assert set(Counter(skip.reason for skip in data.skipped)) <= {"empty answer"}
    chosen = [sample.row for sample in data.samples[::7]]
    write_rows(str(file), chosen[::-1], tmp_path / "out.jsonl")
    lines = content_of(file).splitlines(keepends=True)
    assert (tmp_path / "out.jsonl").read_bytes() == b"".join(lines[row] for row in chosen)
    assert turns_of(read_samples(str(tmp_path / "out.jsonl"))) == [sample.turns for sample in data.samples[::7]]
