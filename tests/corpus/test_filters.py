import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bonanza as package
from bonanza import build
from bonanza.corpus.joined import open_parts
from bonanza.corpus.readers import Corpus, Fields, MemoryReader, documents, open_corpus
from bonanza.errors import SettingsError
from bonanza.records import Document, Skipped
from bonanza.settings import FilterSettings, compare_settings_from

ENGLISH = "The ship that is built for the sea has a keel, and it is the keel that it is named for. "
GERMAN = "Das Schiff ist nicht für die See gebaut, und der Kiel, auf dem es steht, ist nicht aus dem Holz der Eiche. "
RUSSIAN = "Кто плывёт на рассвете по морю, тот видит остров и не знает страха. "
UNCLEAR = "x = 1; y = 2; z = x ** y; print(z)"
TEXTS = {"en": ENGLISH, "de": GERMAN, "ru": RUSSIAN, "code": UNCLEAR, "short": "Ahoy!", "long": ENGLISH * 40}


def lines(path, texts):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"id": name, "text": text}) + "\n" for name, text in texts.items()))
    return path


def read(path, limit=None, **filters):
    return list(open_corpus([str(path)], Fields(), limit, FilterSettings(**filters)).read())


def names(records):
    return [one.id for one in records if isinstance(one, Document)]


def reasons(records):
    return [one.reason for one in records if isinstance(one, Skipped)]


def test_short_and_long_documents_are_left_out_by_name(tmp_path):
    records = read(lines(tmp_path / "a.jsonl", TEXTS), least_characters=10, most_characters=1_000)
    assert names(records) == ["en", "de", "ru", "code"]
    assert reasons(records) == ["shorter than 10 characters", "longer than 1000 characters"]


def test_limits_are_inclusive(tmp_path):
    path = lines(tmp_path / "a.jsonl", {"five": "12345"})
    assert names(read(path, least_characters=5, most_characters=5)) == ["five"]


@pytest.mark.parametrize(
    ("languages", "kept", "left_out"),
    [
        ("en", ["en", "code", "short", "long"], ["de", "Cyrillic"]),
        ("de, ru", ["de", "ru", "code", "short"], ["en", "en"]),
        ("UK,EN", ["en", "ru", "code", "short", "long"], ["de"]),  # Ukrainian is written in the same script
    ],
)
def test_other_languages_are_left_out_and_unclear_ones_stay(tmp_path, languages, kept, left_out):
    records = read(lines(tmp_path / "a.jsonl", TEXTS), languages=languages)
    assert names(records) == kept
    assert reasons(records) == [f"language: {name}" for name in left_out]


@given(
    st.lists(st.sampled_from([*TEXTS.values(), " ", "one more"]) | st.text(max_size=40), max_size=12),
    st.none() | st.integers(1, 200),
    st.none() | st.integers(200, 2_000),
    st.sampled_from([None, "en", "de,ru", "ja"]),
)
def test_filters_part_the_corpus(texts, least, most, languages):
    """Every document is kept or counted; those kept are as without filters; what is counted deserves it."""
    everything = [Document(str(number), text) for number, text in enumerate(texts)]
    filters = FilterSettings(least, most, languages)
    plain, some = (list(MemoryReader(everything, filters=one).read()) for one in (FilterSettings(), filters))
    assert len(some) == len(everything)
    for document, before, after in zip(everything, plain, some, strict=True):
        if isinstance(after, Document):
            assert after == before
            assert (least or 0) <= len(document.text) <= (most or len(document.text))
        elif isinstance(before, Document):
            assert after.reason.startswith(("shorter than", "longer than", "language: "))


def test_a_limit_counts_documents_that_take_part(tmp_path):
    records = read(lines(tmp_path / "a.jsonl", TEXTS), limit=2, languages="de,ru")
    assert names(records) == ["de", "ru"]
    memory = MemoryReader([Document(name, text) for name, text in TEXTS.items()], 2, FilterSettings(languages="de,ru"))
    assert names(memory.read()) == ["de", "ru"]


def test_what_is_left_out_takes_no_name_from_others(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": "x", "text": "ab"}\n{"id": "x", "text": "abcdef"}\n')
    assert names(read(tmp_path / "a.jsonl", least_characters=3)) == ["x"]


def test_parts_and_places_leave_out_the_same(tmp_path, monkeypatch):
    for number in range(12):
        lines(
            tmp_path / "pages" / f"{number}.jsonl",
            {f"{name}{number}": f"{text}{number}" for name, text in TEXTS.items()},
        )
    corpus = open_corpus([str(tmp_path / "pages")], Fields(), filters=FilterSettings(10, 1_000, "en"))
    whole = names(corpus.read())
    monkeypatch.setattr(documents, "LARGE", 1)
    parts = corpus.parts()
    assert len(parts) == 12
    assert [name for part in parts for name in names(part.read())] == whole
    assert all(place is not None for record, place in corpus.placed() if isinstance(record, Document))
    store = open_parts(corpus, tmp_path / "cache")
    assert store.ids == whole
    assert [one.id for one in store.fetch(range(len(store)))] == whole
    assert len(store.skipped) == 12 * len(TEXTS) - len(whole)


def test_filters_are_part_of_the_fingerprint_and_none_are_not(tmp_path):
    path = str(lines(tmp_path / "a.jsonl", TEXTS))
    filters = [FilterSettings(), FilterSettings(5), FilterSettings(None, 5), FilterSettings(languages="en")]
    corpora = [open_corpus([path], Fields(), filters=one) for one in filters]
    assert len({corpus.fingerprint() for corpus in corpora}) == len(filters)
    assert Corpus(corpora[0].tables, Fields()).fingerprint() == corpora[0].fingerprint()
    some = [Document("a", "text")]
    assert len({MemoryReader(some, filters=one).fingerprint() for one in filters}) == len(filters)
    assert len({MemoryReader(some, limit).fingerprint() for limit in (None, 1, 2)}) == 3


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"languages": "en,xx"}, "languages 'en,xx': not told is xx. Give one or more of: ar, be, bg, cs"),
        ({"languages": " , "}, "not told is which"),
        ({"least_characters": 9, "most_characters": 8}, "9 is more than most_characters 8"),
    ],
)
def test_filters_that_cannot_be_are_refused(tmp_path, filters, message):
    with pytest.raises(SettingsError, match=message):
        read(lines(tmp_path / "a.jsonl", TEXTS), **filters)
    with pytest.raises(SettingsError, match=message):
        MemoryReader([], filters=FilterSettings(**filters))


def test_a_run_counts_what_was_left_out_under_its_names(tmp_path, small_corpus, bonanza):
    """And belongs to its filters."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "a.jsonl").write_text(small_corpus.path.read_text())
    lines(pages / "b.jsonl", {"kurz": "Kurz.", "deutsch": GERMAN * 3, "russian": RUSSIAN * 5})
    filters = {"least_characters": 60, "most_characters": 5_000, "languages": "en"}
    run = {"budget": "5docs", "llm": "rules", "out": tmp_path / "run"}
    package.extract(pages, small_corpus.target, filters=filters, **run)
    left_out = json.loads((tmp_path / "run" / "summary.json").read_text())["left_out"]
    assert left_out["corpus: language: de"] == 1
    assert left_out["corpus: language: Cyrillic"] == 1
    assert left_out["corpus: shorter than 60 characters"] >= 1
    options = ["--min-chars", "61", "--max-chars", "5000", "--language", "en"]
    given = [text for name, value in run.items() for text in (f"--{name}", value)]
    again = bonanza("extract", pages, "--target", small_corpus.target, *given, *options)
    assert (again.status, "filters.least_characters: 61, there 60" in again.err) == (2, True)


def test_an_index_takes_the_filters(tmp_path, bonanza):
    path = lines(tmp_path / "a.jsonl", TEXTS)
    outcome = bonanza("index", path, "--out", tmp_path / "index", "--language", "en", "--min-chars", "10", "--json")
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out)["skipped"] == {
        "language: de": 1, "language: Cyrillic": 1, "shorter than 10 characters": 1,
    }  # fmt: skip


def test_a_comparison_takes_the_filters():
    given = {"corpus": ("a",), "target": "b", "test": "c", "filters": {"languages": "en"}}
    assert build.compared(compare_settings_from(given, "a test"), "random").filters == FilterSettings(languages="en")


def test_documents_in_memory_are_filtered_too(tmp_path, small_corpus):
    texts = [*(one["text"] for one in small_corpus.records), GERMAN * 3]
    result = package.extract(
        package.documents(texts), small_corpus.target, budget="3docs", llm="rules", out=tmp_path / "run",
        filters={"languages": "en"},
    )  # fmt: skip
    assert result.summary["left_out"]["corpus: language: de"] == 1
