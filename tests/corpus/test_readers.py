import csv
import gzip
import io
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bonanza.corpus.readers import Fields, MemoryReader, open_corpus, streams
from bonanza.errors import CorpusError, SettingsError
from bonanza.records import Document, Question, Skipped, content_id

PLAIN = Fields()
Written = Sequence[tuple[str, str]]  # id and text

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters, min_size=1).filter(lambda text: text.strip() and not text.startswith("\ufeff"))
written_documents = st.lists(
    st.tuples(st.text(characters, min_size=1), texts), min_size=1, max_size=8, unique_by=lambda d: d[0]
)
real_files = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def json_lines(documents: Written) -> bytes:
    return b"".join(json.dumps({"id": name, "text": text}).encode() + b"\n" for name, text in documents)


def delimited(documents: Written, delimiter: str) -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerows([("id", "text"), *documents])
    return file.getvalue().encode()


def parquet(documents: Written) -> bytes:
    file = io.BytesIO()
    pq.write_table(
        pa.table({"id": [d[0] for d in documents], "text": [d[1] for d in documents]}), file, row_group_size=3
    )
    return file.getvalue()


FORMATS: dict[str, Callable[[Written], bytes]] = {
    "pages.jsonl": json_lines,
    "pages.jsonl.gz": lambda documents: gzip.compress(json_lines(documents)),
    "pages.jsonl.zst": lambda documents: zstandard.compress(json_lines(documents)),
    "pages.json": lambda documents: json.dumps([{"id": name, "text": text} for name, text in documents]).encode(),
    "pages.csv": lambda documents: delimited(documents, ","),
    "pages.tsv": lambda documents: delimited(documents, "\t"),
    "pages.csv.gz": lambda documents: gzip.compress(delimited(documents, ",")),
    "pages.parquet": parquet,
}


def read(*sources: Path | str, fields: Fields = PLAIN, limit: int | None = None) -> list[Document | Skipped]:
    return list(open_corpus([str(source) for source in sources], fields, limit).read())


def documents_of(records: Sequence[Document | Skipped]) -> list[tuple[str, str]]:
    return [(record.id, record.text) for record in records if isinstance(record, Document)]


def reasons_of(records: Sequence[Document | Skipped]) -> Counter[str]:
    return Counter(record.reason for record in records if isinstance(record, Skipped))


def written(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", FORMATS)
@real_files
@given(documents=written_documents)
def test_what_is_written_is_read_again(name, tmp_path, documents):
    file = written(tmp_path / name, FORMATS[name](documents))
    records = read(file)
    assert documents_of(records) == documents
    assert reasons_of(records) == {}


@real_files
@given(contents=st.lists(texts, min_size=1, max_size=5, unique=True))
def test_text_files_are_read_as_they_are_and_named_by_their_path(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("notes")
    for number, text in enumerate(contents):
        written(folder / f"part{number % 2}" / f"{number}.{'md' if number % 3 else 'txt'}", text)
    expected = {f"part{n % 2}/{n}.{'md' if n % 3 else 'txt'}": text for n, text in enumerate(contents)}
    assert documents_of(read(folder)) == sorted(expected.items())


@real_files
@given(
    documents=written_documents,
    broken=st.lists(
        st.sampled_from([b'{"id": "x", "te', b"\xff\xfe", b"[1, 2]", b"null", b'{"text": "a\x00b"}', b"[" * 9999])
    ),
    seed=st.integers(),
)
def test_broken_lines_anywhere_are_counted_and_cost_nothing_else(tmp_path, documents, broken, seed):
    lines = json_lines(documents).splitlines()
    place = random.Random(seed)
    for line in broken:
        lines.insert(place.randint(0, len(lines)), line)
    records = read(written(tmp_path / "pages.jsonl", b"\n".join(lines)))
    assert documents_of(records) == documents
    assert reasons_of(records).total() == len(broken)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": ', "broken line"),
        (b"[1]", "not an object"),
        (b'{"id": "2", "text": "  \\n"}', "empty text"),
        (b'{"id": "2", "text": null}', "empty text"),
        (b'{"id": "2", "text": 7}', "not text"),
        (b'{"id": "2", "body": "b"}', "no text field"),
        (b'{"id": "2", "text": "\xff"}', "not UTF-8"),
        (b'{"id": "2", "text": "a\\u0000b"}', "NUL character"),
        (b'{"id": "1", "text": "first"}', "repeated document"),
        (b'{"id": ["2"], "text": "b"}', "not an id"),
    ],
)
def test_a_record_that_cannot_be_used_is_skipped_with_line_and_reason(tmp_path, line, reason):
    file = written(
        tmp_path / "pages.jsonl", b'{"id": "1", "text": "first"}\n' + line + b'\n{"id": "3", "text": "last"}\n'
    )
    first, skipped, last = read(file)
    assert (skipped.origin, skipped.reason) == (f"{file}, line 2", reason)
    assert documents_of([first, last]) == [("1", "first"), ("3", "last")]


def test_the_first_record_without_the_text_field_is_refused_with_what_it_has(tmp_path):
    file = written(tmp_path / "pages.jsonl", '{"url": "u", "body": "b"}')
    with pytest.raises(CorpusError) as error:
        read(file)
    assert str(error.value) == (
        f"{file}, line 1: no text in field 'text'. The record has: body, url. Choose one with --text-field."
    )


@pytest.mark.parametrize("name", ["pages.parquet", "pages.csv", "pages.json", "pages.jsonl.gz"])
def test_every_format_refuses_a_text_field_it_lacks(tmp_path, name):
    file = written(tmp_path / name, FORMATS[name]([("1", "a")]))
    with pytest.raises(
        CorpusError, match=r"no text in field 'body'. The record has: id, text. Choose one with --text-field"
    ):
        read(file, fields=Fields(text="body"))


@pytest.mark.parametrize("name", ["pages.parquet", "pages.csv", "pages.jsonl"])
def test_a_recorded_field_or_id_field_that_is_not_there_is_refused(tmp_path, name):
    file = written(tmp_path / name, FORMATS[name]([("1", "a")]))
    with pytest.raises(CorpusError, match=r"no recorded pairs in field 'qa'. The record has: id, text"):
        read(file, fields=Fields(recorded="qa"))
    with pytest.raises(CorpusError, match=r"no id in field 'key'. The record has: id, text"):
        read(file, fields=Fields(id="key"))


def test_a_document_without_id_is_named_by_its_text_and_its_repetition_is_counted(tmp_path):
    file = written(tmp_path / "pages.jsonl", '{"text": "a"}\n{"text": "b", "id": ""}\n{"text": "a"}\n')
    records = read(file)
    assert documents_of(records) == [(content_id("a"), "a"), (content_id("b"), "b")]
    assert reasons_of(records) == {"repeated text": 1}


def test_numbers_are_ids_too(tmp_path):
    assert documents_of(read(written(tmp_path / "p.jsonl", '{"id": 7, "text": "a"}'))) == [("7", "a")]


def test_byte_order_marks_are_taken_off_and_nothing_else(tmp_path):
    mark = b"\xef\xbb\xbf"
    written(tmp_path / "a.jsonl", mark + b'{"id": "a", "text": " x \\r\\n"}')
    written(tmp_path / "b.csv", mark + b'id,text\nb," x \r\n"\n')
    written(tmp_path / "c.txt", mark + b" x \r\n")
    assert documents_of(read(tmp_path)) == [("a", " x \r\n"), ("b", " x \r\n"), ("c.txt", " x \r\n")]


def test_unpaired_surrogates_are_replaced_and_the_origin_says_so(tmp_path):
    file = written(tmp_path / "pages.jsonl", r'{"id": "\udc00", "text": "a\ud800b \ud83d\ude00"}')
    (document,) = read(file)
    assert document == Document("�", "a�b 😀", f"{file}, line 1 (unpaired surrogates replaced)")


@pytest.mark.parametrize("name", ["pages.jsonl.gz", "pages.jsonl.zst"])
def test_of_a_truncated_file_what_could_be_read_stays(tmp_path, name):
    noise = random.Random(0)
    documents = [(str(number), noise.randbytes(500).hex()) for number in range(2000)]
    whole = FORMATS[name](documents)
    records = read(written(tmp_path / name, whole[: len(whole) * 2 // 3]))
    found = documents_of(records)
    assert 500 < len(found) < 2000
    assert found == documents[: len(found)]
    assert [(records[-1].origin, records[-1].reason)] == [(str(tmp_path / name), "broken file")]


@pytest.mark.parametrize("name", ["pages.jsonl.gz", "pages.jsonl.zst", "pages.parquet", "pages.json"])
def test_a_file_that_is_not_what_its_name_says_is_a_broken_file(tmp_path, name):
    records = read(written(tmp_path / name, b"[" + b"no such thing" * 20))
    assert reasons_of(records) == {"broken file": 1}
    assert documents_of(records) == []


def test_a_zst_file_of_several_frames_is_read_to_its_end(tmp_path):
    frames = [zstandard.compress(json_lines([(str(number), "text " * 9999)])) for number in range(5)]
    assert len(documents_of(read(written(tmp_path / "pages.jsonl.zst", b"".join(frames))))) == 5


@pytest.mark.parametrize("beyond", [-1, 0, 1, 99, 100, 101, 5000])
def test_a_line_too_long_for_memory_is_skipped_as_one_record(tmp_path, monkeypatch, beyond):
    monkeypatch.setattr(streams, "LONGEST_LINE", 100)
    empty = len(json_lines([("2", "")]))
    file = written(tmp_path / "pages.jsonl", json_lines([("1", "a"), ("2", "b" * (100 - empty + beyond)), ("3", "c")]))
    first, second, last = read(file)
    assert documents_of([first, last]) == [("1", "a"), ("3", "c")]
    expected = Skipped(f"{file}, line 2", "line too long") if beyond > 0 else None
    assert second == expected or (expected is None and isinstance(second, Document))


def test_linked_folders_are_counted_and_never_followed(tmp_path):
    written(tmp_path / "corpus" / "a.txt", "a")
    (tmp_path / "corpus" / "circle.txt").symlink_to(tmp_path / "corpus", target_is_directory=True)
    records = read(tmp_path / "corpus")
    assert documents_of(records) == [("a.txt", "a")]
    assert reasons_of(records) == {"linked folder": 1}


def test_a_json_file_that_holds_lines_is_read_as_lines(tmp_path):
    assert documents_of(read(written(tmp_path / "pages.json", FORMATS["pages.jsonl"]([("1", "a"), ("2", "b")])))) == [
        ("1", "a"),
        ("2", "b"),
    ]


def test_csv_records_that_do_not_fit_are_skipped_and_reading_goes_on(tmp_path):
    content = b'id,text\n1,"two\nlines"\n2\n3,a,b\n4,"x"y\n5,\xff\n\n6,last\n'
    file = written(tmp_path / "pages.csv", content)
    records = read(file)
    assert documents_of(records) == [("1", "two\nlines"), ("6", "last")]
    assert [(record.origin, record.reason) for record in records if isinstance(record, Skipped)] == [
        (f"{file}, line 4", "broken line"),
        (f"{file}, line 5", "broken line"),
        (f"{file}, line 6", "broken line"),
        (f"{file}, line 7", "not UTF-8"),
    ]


def test_long_csv_values_are_read(tmp_path):
    long = "long " * 100_000
    assert documents_of(read(written(tmp_path / "pages.csv", delimited([("1", long)], ",")))) == [("1", long)]


def test_parquet_strings_that_are_no_utf8_cost_one_row(tmp_path):
    column = pa.array([b"a", b"\xff", b"c"]).view(pa.string())
    pq.write_table(pa.table({"id": ["1", "2", "3"], "text": column}), tmp_path / "pages.parquet")
    records = read(tmp_path / "pages.parquet")
    assert documents_of(records) == [("1", "a"), ("3", "c")]
    assert (records[1].origin, records[1].reason) == (f"{tmp_path / 'pages.parquet'}, row 2", "not UTF-8")


@pytest.mark.parametrize("kind", [pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.string_view()])
def test_parquet_strings_of_other_layouts_are_texts(tmp_path, kind):
    pq.write_table(pa.table({"text": pa.array(["a", None, "c"]).cast(kind)}), tmp_path / "pages.parquet")
    records = read(tmp_path / "pages.parquet")
    assert [text for _, text in documents_of(records)] == ["a", "c"]
    assert reasons_of(records) == {"empty text": 1}


def test_recorded_pairs_are_read_only_when_asked_for(tmp_path):
    rows = [
        {"text": "a", "qa": [{"question": "q", "answer": "r", "more": 1}]},
        {"text": "b", "qa": []},
        {"text": "c", "qa": None},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "pages.parquet")
    written(tmp_path / "pages.jsonl", "\n".join(map(json.dumps, rows)))
    for file in (tmp_path / "pages.parquet", tmp_path / "pages.jsonl"):
        assert [document.recorded for document in read(file)] == [None, None, None]
        with_pairs = read(file, fields=Fields(recorded="qa"))
        assert [document.recorded for document in with_pairs] == [(Question("q", "r"),), (), ()]


@pytest.mark.parametrize("value", ['[{"question": "q", "answer": "r"}]', {"question": ["q"], "answer": ["r"]}])
def test_recorded_pairs_may_be_json_or_columns(tmp_path, value):
    file = written(tmp_path / "pages.jsonl", json.dumps({"text": "a", "qa": value}))
    (document,) = read(file, fields=Fields(recorded="qa"))
    assert document.recorded == (Question("q", "r"),)


@pytest.mark.parametrize(
    "value", [7, "no json", "[" * 99_999, {"q": 1}, ["q"], [{"question": "q"}], [{"question": 1, "answer": "r"}]]
)
def test_recorded_pairs_that_are_none_skip_the_record(tmp_path, value):
    file = written(tmp_path / "pages.jsonl", json.dumps({"text": "a", "qa": value}))
    assert reasons_of(read(file, fields=Fields(recorded="qa"))) == {"not recorded pairs": 1}


def test_a_folder_is_read_in_sorted_order_and_foreign_files_are_counted(tmp_path):
    written(tmp_path / "b.jsonl", FORMATS["pages.jsonl"]([("2", "b")]))
    written(tmp_path / "a" / "z.csv", FORMATS["pages.csv"]([("1", "a")]))
    written(tmp_path / "c.md", "c")
    written(tmp_path / "photo.png", b"\x89PNG")
    written(tmp_path / ".git" / "notes.txt", "hidden")
    written(tmp_path / ".hidden.txt", "hidden")
    records = read(tmp_path)
    assert documents_of(records) == [("1", "a"), ("2", "b"), ("c.md", "c")]
    assert records[-1] == Skipped(str(tmp_path / "photo.png"), "unknown file type", ".png")


def test_patterns_name_files_and_folders_sorted(tmp_path, monkeypatch):
    for number in (3, 1, 2):
        written(tmp_path / f"part{number}" / "page.txt", f"text {number}")
    monkeypatch.chdir(tmp_path)
    expected = [(f"part{number}/page.txt", f"text {number}") for number in (1, 2, 3)]
    assert documents_of(read("part*/page.txt")) == expected
    assert documents_of(read(f"{tmp_path}/part*/*.txt")) == expected
    assert documents_of(read("part*")) == expected
    assert documents_of(read("part1*/*.txt")) == expected[:1]
    assert documents_of(read("part1/*.txt")) == [("page.txt", "text 1")]
    assert documents_of(read("**/*.txt")) == expected
    assert documents_of(read("**")) == expected
    assert documents_of(read("part[12]/*.txt")) == [("part1/page.txt", "text 1"), ("part2/page.txt", "text 2")]


def test_a_file_with_magic_characters_in_its_name_is_a_file(tmp_path):
    file = written(tmp_path / "pages[1].jsonl", FORMATS["pages.jsonl"]([("1", "a")]))
    assert documents_of(read(file)) == [("1", "a")]


def test_file_names_that_are_no_utf8_give_ids_that_are(tmp_path):
    written(tmp_path / "bad\udcff.txt", "a")
    assert documents_of(read(tmp_path)) == [("bad�.txt", "a")]


def test_ids_are_unique_over_all_sources(tmp_path):
    one = written(tmp_path / "1.jsonl", FORMATS["pages.jsonl"]([("1", "a"), ("2", "b")]))
    two = written(tmp_path / "2.jsonl", FORMATS["pages.jsonl"]([("2", "c"), ("3", "d")]))
    records = read(one, two)
    assert documents_of(records) == [("1", "a"), ("2", "b"), (f"2#{content_id('c')}", "c"), ("3", "d")]
    assert reasons_of(records) == {}


def test_folders_with_files_of_one_name_lose_none(tmp_path):
    one, two, three = (tmp_path / name for name in ("one", "two", "three"))
    for folder, text in ((one, "a"), (two, "b"), (three, "a")):
        folder.mkdir()
        written(folder / "README.md", text)
    records = read(one, two, three)
    assert documents_of(records) == [("README.md", "a"), (f"README.md#{content_id('b')}", "b")]
    assert reasons_of(records) == {"repeated document": 1}


def test_the_limit_counts_usable_documents_over_all_sources(tmp_path):
    one = written(tmp_path / "1.jsonl", b'{"id": "1", "text": "a"}\nbroken\n{"id": "2", "text": "b"}\n')
    two = written(tmp_path / "2.jsonl", FORMATS["pages.jsonl"]([("3", "c"), ("4", "d")]))
    assert [name for name, _ in documents_of(read(one, two, limit=3))] == ["1", "2", "3"]
    assert len(documents_of(read(one, two, limit=99))) == 4
    with pytest.raises(SettingsError, match="--limit 0"):
        read(one, limit=0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere.jsonl", "nowhere.jsonl: there is no such file or folder. Check the path; here is "),
        ("slides.pptx", "slides.pptx: not a type of file that can be read. Give one of: jsonl, json, csv or tsv"),
        ("pages.parquet.gz", "pages.parquet.gz: not a type of file that can be read"),
        ("empty", "empty: the folder holds nothing. Put there, or name, files of type jsonl"),
        ("foreign", "foreign: the folder holds 1 files of other types"),
        ("*.jsonl", "*.jsonl: the pattern holds nothing"),
    ],
)
def test_sources_that_cannot_be_read_are_refused_with_what_to_do(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for name in ("slides.pptx", "pages.parquet.gz", "foreign/a.bin"):
        written(tmp_path / name, b"x")
    with pytest.raises(CorpusError) as error:
        open_corpus([source], Fields())
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("name", [*FORMATS, "page.txt"])
def test_a_file_that_disappears_is_refused_and_not_taken_for_empty(tmp_path, name):
    file = written(tmp_path / name, "")
    corpus = open_corpus([str(file)], Fields())
    file.unlink()
    for use in (lambda: list(corpus.read()), corpus.fingerprint):
        with pytest.raises(CorpusError, match=r"cannot be read .No such file or directory.. Check that it is there"):
            use()


def test_the_fingerprint_follows_content_and_settings_and_not_the_place(tmp_path):
    def fingerprint(path: Path, fields: Fields = PLAIN, limit: int | None = None) -> str:
        return open_corpus([str(path)], fields, limit).fingerprint()

    first = written(tmp_path / "a" / "pages.jsonl", FORMATS["pages.jsonl"]([("1", "a")]))
    copy = written(tmp_path / "b" / "copy.jsonl", first.read_bytes())
    other = written(tmp_path / "c" / "pages.jsonl", FORMATS["pages.jsonl"]([("1", "b")]))
    assert fingerprint(first) == fingerprint(copy) == fingerprint(first.parent)
    different = [fingerprint(other), fingerprint(first, limit=1), fingerprint(first, Fields(text="id"))]
    assert len({fingerprint(first), *different}) == 4


def test_the_same_bytes_in_another_format_have_another_fingerprint(tmp_path):
    names = ["a.csv", "a.tsv", "a.jsonl", "a.jsonl.gz", "a.json", "a.txt", "a.parquet"]
    files = [written(tmp_path / name, "id,text\n1,a\n") for name in names]
    assert len({open_corpus([str(file)], Fields()).fingerprint() for file in files}) == len(names)


def test_text_files_of_another_name_have_another_fingerprint(tmp_path):
    one, two = written(tmp_path / "1.txt", "a"), written(tmp_path / "2.txt", "a")
    assert open_corpus([str(one)], Fields()).fingerprint() != open_corpus([str(two)], Fields()).fingerprint()


def test_documents_in_memory_are_checked_like_those_of_files():
    documents = [Document("1", "a"), Document("1", "b"), Document("2", " "), Document("", "c"), Document("3", "\ud800")]
    records = list(MemoryReader(documents).read())
    expected = [("1", "a"), (f"1#{content_id('b')}", "b"), (content_id("c"), "c"), ("3", "�")]
    assert documents_of(records) == expected
    assert reasons_of(records) == {"empty text": 1}
    assert MemoryReader(documents).fingerprint() == MemoryReader(list(documents)).fingerprint()
    assert MemoryReader(documents).fingerprint() != MemoryReader(documents[:-1]).fingerprint()


def test_not_a_number_is_no_id(tmp_path):
    pq.write_table(pa.table({"id": [1.0, math.nan, math.nan], "text": ["a", "b", "c"]}), tmp_path / "pages.parquet")
    assert documents_of(read(tmp_path / "pages.parquet")) == [
        ("1", "a"),
        (content_id("b"), "b"),
        (content_id("c"), "c"),
    ]
