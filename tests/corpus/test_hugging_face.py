import json
import sys

import pytest

from bonanza.corpus.readers import Fields, open_corpus
from bonanza.corpus.targets import read_target
from bonanza.errors import CorpusError, MissingExtraError
from bonanza.records import Document, Question

datasets = pytest.importorskip("datasets")

PLAIN = Fields()
ROWS = [
    {"id": "1", "text": "one", "qa": [{"question": "q", "answer": "r"}], "extra": 1},
    {"id": "2", "text": "zwölf", "qa": [], "extra": 2},
]


@pytest.fixture(autouse=True)
def offline_in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    datasets.disable_progress_bars()


def read(source, fields=PLAIN):
    return list(open_corpus([source], fields).read())


def pages(records):
    return [(record.id, record.text) for record in records]


BOTH = [("1", "one"), ("2", "zwölf")]


def test_a_dataset_saved_to_disk_is_read(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    for source in (f"hf://{tmp_path}/saved", "hf://./saved", "hf://./saved:train"):
        assert pages(read(source)) == BOTH


def test_a_split_is_chosen_by_name_and_train_is_taken_without_one(tmp_path):
    parts = {"test": datasets.Dataset.from_list(ROWS[1:]), "train": datasets.Dataset.from_list(ROWS[:1])}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    assert pages(read("hf://./saved:test")) == BOTH[1:]
    assert pages(read("hf://./saved")) == BOTH[:1]
    with pytest.raises(
        CorpusError, match=r"there is no split 'dev'. It has: test, train. Name one: hf://./saved:SPLIT"
    ):
        read("hf://./saved:dev")


def test_the_only_split_is_taken_whatever_its_name(tmp_path):
    datasets.DatasetDict({"test": datasets.Dataset.from_list(ROWS)}).save_to_disk(tmp_path / "saved")
    assert pages(read("hf://./saved")) == BOTH


def test_a_folder_of_data_files_is_read(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert pages(read("hf://./data")) == BOTH


def test_recorded_pairs_and_origins_are_read(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    assert read("hf://./saved", Fields(recorded="qa")) == [
        Document("1", "one", "hf://./saved, row 1", (Question("q", "r"),)),
        Document("2", "zwölf", "hf://./saved, row 2", ()),
    ]


def test_a_missing_column_is_refused_with_those_there_are(tmp_path):
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    with pytest.raises(CorpusError, match=r"no text in field 'body'. The record has: extra, id, qa, text"):
        read("hf://./saved", Fields(text="body"))


def test_the_fingerprint_follows_content_and_not_the_place(tmp_path):
    for name, rows in (("one", ROWS), ("same", ROWS), ("other", [*ROWS, {**ROWS[0], "id": "3"}])):
        datasets.Dataset.from_list(rows).save_to_disk(tmp_path / name)
    one, same, other = (open_corpus([f"hf://./{name}"], Fields()).fingerprint() for name in ("one", "same", "other"))
    assert one == same != other


def test_rows_chosen_before_saving_are_the_rows_read(tmp_path):
    datasets.Dataset.from_list(ROWS * 700).select(range(1, 1400, 2)).save_to_disk(tmp_path / "saved")
    records = read("hf://./saved")
    assert len(records) == 700
    assert pages(records[:1]) == BOTH[1:]


@pytest.mark.parametrize("source", ["hf://", "hf://datasets/", "hf://owner/name", "hf://./a:b:c:d"])
def test_a_name_that_names_nothing_is_refused(source):
    with pytest.raises(CorpusError, match=r"not a dataset's name. Write hf://datasets/OWNER/NAME:SPLIT"):
        read(source)


@pytest.mark.parametrize("source", ["hf://datasets/nobody/nothing", "hf://./nowhere"])
def test_a_dataset_that_cannot_be_loaded_is_refused_with_the_cause(source):
    with pytest.raises(CorpusError, match=f"{source}: the dataset cannot be loaded. ."):
        read(source)


def test_data_files_that_cannot_be_parsed_are_refused_with_the_cause(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.parquet").write_bytes(b"no parquet")
    with pytest.raises(CorpusError, match=r"hf://./data: the dataset cannot be loaded. Parquet"):
        read("hf://./data")


def test_without_the_library_the_install_line_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"Reading hf:// corpora needs .* pip install 'bonanza\[hf\]'"):
        read("hf://./saved")


def test_a_dataset_may_be_a_reference_set(tmp_path):
    datasets.Dataset.from_list([{"question": "q", "answer": "r"}]).save_to_disk(tmp_path / "saved")
    assert read_target("hf://./saved").pairs == (Question("q", "r"),)
