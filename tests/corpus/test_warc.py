import gzip
import json
import sys

import pytest

import bonanza
from bonanza.corpus.joined import open_parts
from bonanza.corpus.readers import Fields, open_corpus, warc
from bonanza.corpus.targets import read_target
from bonanza.errors import CorpusError, MissingExtraError, UsageError
from bonanza.records import Document, Skipped
from web_archives import SAILS, answer, crawl, page, record, write_archive

pytest.importorskip("fastwarc")
# Without lxml_html_clean, which some installers leave out, trafilatura cannot be imported.
pytest.importorskip("trafilatura", exc_type=ImportError)
TWO = {"http://a.example/jib": SAILS * 2, "http://a.example/keel": "A keel is what a ship stands on. " * 9}
FIRST = "http://a.example/jib"


def read(path, fields=None):
    return list(open_corpus([str(path)], fields or Fields()).read())


def only(path):
    (found,) = read(path)
    return found


def of_record(tmp_path, *contents, **about):
    return only(write_archive(tmp_path / "one.warc", *(record(content, **about) for content in contents)))


@pytest.mark.parametrize("name", ["crawl.warc", "crawl.warc.gz", "CRAWL.WARC.GZ"])
def test_pages_are_read_by_address_without_navigation_and_footer(tmp_path, name):
    path = write_archive(tmp_path / name, *crawl(TWO))
    documents = read(path)
    assert [one.id for one in documents] == list(TWO)
    assert documents[0].origin == f"{path}, record 3"
    for document, text in zip(documents, TWO.values(), strict=True):
        assert text.strip() in document.text
        assert not any(other in document.text for other in ("Home", "Shop", "Copyright", "alert"))


def test_an_archive_is_extracted_from_end_to_end(tmp_path, small_corpus):
    pages = {f"http://pages.example/{one['id']}": one["text"] for one in small_corpus.records}
    write_archive(tmp_path / "crawl.warc.gz", *crawl(pages), record(answer("gone", "404 Not Found")))
    result = bonanza.extract(
        tmp_path / "crawl.warc.gz", small_corpus.target, budget="20docs", llm="rules", out=tmp_path / "run"
    )
    assert result.summary["documents_total"] == len(pages)
    assert result.summary["pairs_kept"] > 0
    assert {pair.document_id for pair in result.pairs} <= pages.keys()
    assert {"corpus: status is not 200": 1}.items() <= result.summary["left_out"].items()


def test_the_store_gives_what_was_read(tmp_path):
    path = write_archive(tmp_path / "crawl.warc.gz", *crawl(TWO))
    store = open_parts(open_corpus([str(path)], Fields()), tmp_path / "cache")
    path.unlink()  # texts are copied
    assert store.fetch([1])[0].id == list(TWO)[1]
    assert [text for batch in store.texts(1) for text in batch] == [one.text for one in store.fetch([0, 1])]


def test_conversions_are_read_as_they_stand(tmp_path):
    path = write_archive(tmp_path / "a.warc.wet.gz", record("Wörter\nund Zeilen".encode(), "http://x/", "conversion"))
    assert only(path) == Document("http://x/", "Wörter\nund Zeilen", f"{path}, record 1")


def many(attribute):
    return "".join(attribute.format(number) for number in range(49_000))


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (answer("gone", "404 Not Found"), "status is not 200", "404"),
        (answer("x", "301 Moved", Location="http://elsewhere.example/"), "status is not 200", "301"),
        (answer(b"%PDF", kind="application/pdf"), "not HTML", "application/pdf"),
        (answer("<html><body></body></html>"), "no main text", ""),
        (answer(""), "no main text", ""),
        (b"no answer of a server", "broken record", "no HTTP answer"),
        (b"", "broken record", "no HTTP answer"),
        (answer("x", **{f"X-{n}": "y" for n in range(200)}), "broken record", "got more than 100 headers"),
        (answer("x", X="y" * 100_000), "broken record", "got more than 65536 bytes when reading header line"),
        (answer(b"\x1f\x8b\x08broken", Content_Encoding="gzip"), "broken record", ""),
        (answer(b"\x83packed", Content_Encoding="br"), "packed with brotli", ""),
        (answer("<p>" * 50_001), "page too intricate", "50,001 tags"),
        (answer(f"<p {many(' a{}=1')}>"), "page too intricate", "a tag of over 5,000"),
        (answer(f"<p {many('a{}=`<>`').replace('`', chr(34))}>"), "page too intricate", "a tag of over 5,000"),
        (answer(f"<p x=y' {many(' a{}')}'>"), "page too intricate", "a tag of over 5,000"),
    ],
)
def test_what_gives_no_page_is_counted_by_reason(tmp_path, content, reason, detail):
    found = of_record(tmp_path, content)
    assert (found.reason, found.origin) == (reason, f"{tmp_path / 'one.warc'}, record 1")
    assert detail in found.detail


def test_records_that_are_no_pages_are_counted_or_passed_over(tmp_path):
    kinds = ["warcinfo", "request", "metadata", "revisit", "resource", "unheard-of"]
    path = write_archive(tmp_path / "a.warc", *(record(b"x", kind=kind) for kind in kinds))
    assert [(one.reason, one.detail) for one in read(path)] == [("not a page", kind) for kind in kinds[3:]]


def test_a_page_without_address_is_named_by_its_record(tmp_path):
    assert of_record(tmp_path, answer(page(SAILS)), address="").id.startswith("urn:uuid:")


def test_packed_and_chunked_pages_are_unpacked_and_those_already_unpacked_stay(tmp_path):
    html = page(SAILS * 2).encode()
    packed = gzip.compress(html)
    chunks = b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in (packed[:99], packed[99:])) + b"0\r\n\r\n"
    forms = [
        answer(packed, Content_Encoding="gzip"),
        answer(html, Content_Encoding="gzip"),
        answer(chunks, Content_Encoding="gzip", Transfer_Encoding="chunked"),
        answer(html, Transfer_Encoding="chunked"),
    ]
    path = write_archive(tmp_path / "a.warc", *(record(form, f"http://x/{n}") for n, form in enumerate(forms)))
    records = read(path)
    assert SAILS.strip() in records[0].text
    assert [one.text for one in records[1:]] == [records[0].text] * 3


def test_a_small_record_that_unpacks_to_a_large_page_is_left_out(tmp_path):
    bomb = gzip.compress(b"<p>" + b"a" * 30_000_000)
    found = of_record(tmp_path, answer(bomb, Content_Encoding="gzip"))
    assert (found.reason, found.detail) == ("page too large", "unpacked")


def test_a_large_record_is_left_out_and_reading_goes_on(tmp_path):
    large = record(answer(b"<p>" + b"a" * 100_000_000), "http://x/large")
    path = write_archive(tmp_path / "a.warc", large, *crawl(TWO))
    first, *others = read(path)
    assert first.reason == "page too large"
    assert [one.id for one in others] == list(TWO)


@pytest.mark.parametrize(
    ("kind", "coded", "meta"),
    [
        ("text/html; charset=iso-8859-1", "cp1252", ""),  # the web's meaning of the name
        ("text/html; charset=utf-8", "cp1252", ""),  # a lie
        ("text/html; charset=iso-8859-5", "utf-8", ""),  # another
        ("text/html; charset=zlib", "utf-8", ""),  # Python's own codecs are no charsets
        ("text/html; charset=nonsense", "utf-16", ""),
        ("text/html", "iso-8859-15", "<meta charset='iso-8859-15'>"),
        ("text/html", "utf-8", "<meta http-equiv='Content-Type' content='text/html; charset=shift_jis'>"),
    ],
)
def test_text_is_decoded_whatever_is_declared(tmp_path, kind, coded, meta):
    html = page("Größe, Änderung und Übermaß: ein schöner Satz, der lang genug ist, um gelesen zu werden. " * 5)
    content = html.replace("<head>", f"<head>{meta}").encode(coded)
    assert "Größe, Änderung und Übermaß" in of_record(tmp_path, answer(content, kind=kind)).text


def test_declared_eastern_charsets_are_used(tmp_path):
    text = "船の帆は風を受けて船を進める。三角形の帆は前に張る。" * 8
    for name in ("shift_jis", "euc_jp", "iso-2022-jp"):
        content = answer(page(text).encode(name), kind=f"text/html; charset={name}")
        assert text[:20] in of_record(tmp_path, content).text


def test_nul_characters_do_not_cost_the_page(tmp_path):
    found = of_record(tmp_path, answer(page(SAILS * 2).replace("jib", "j\0ib")))
    assert "The jib is" in found.text


HOSTILE = {
    "nesting": "<div>" * 49_000,
    "tables": "<table><tr><td>" * 16_000,
    "angles": "<" * 50_000,
    "comment": "<!--" * 49_000,
    "long value": f"<p data-all='{'{a} ' * 200_000}'>",
    "unclosed": "<p a='" + '<p a="' * 49_000,
    "entities": "<p>" + "&amp;" * 200_000,
    "blanks": "<p>" + " " * 1_000_000 + "x",
    "binary": bytes(range(256)).decode("latin-1") * 4_000,
    "surrogates": "<p>&#xD800;&#55357; " + SAILS * 3,
    "declaration": "<?xml version='1.0' encoding='utf-16'?><html><body><p>" + SAILS * 3,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pages_stop_nothing(tmp_path, kind):
    path = write_archive(tmp_path / "a.warc", record(answer(HOSTILE[kind].encode()), "http://x/"), *crawl(TWO))
    assert [one.id for one in read(path)[1:]] == list(TWO)


def test_a_parser_that_gives_up_costs_one_page(tmp_path, monkeypatch):
    import trafilatura

    real = trafilatura.extract
    calls = iter([RecursionError("too deep")])

    def extract(text, **options):
        for error in calls:
            raise error
        return real(text, **options)

    monkeypatch.setattr(trafilatura, "extract", extract)
    first, second = read(write_archive(tmp_path / "a.warc", *crawl(TWO)))
    assert (first.reason, first.detail) == ("cannot be parsed", "RecursionError")
    assert second.id == list(TWO)[1]


def test_a_file_that_ends_early_keeps_what_was_read(tmp_path):
    whole = write_archive(tmp_path / "a.warc.gz", *crawl(TWO)).read_bytes()
    path = tmp_path / "cut.warc.gz"
    path.write_bytes(whole[:-40])
    first, last = read(path)
    assert first.id == FIRST
    assert (last.reason, last.origin) == ("broken file", str(path))


def test_an_archive_that_is_not_compressed_and_ends_early_keeps_what_was_read(tmp_path):
    whole = write_archive(tmp_path / "a.warc", *crawl(TWO)).read_bytes()
    path = tmp_path / "cut.warc"
    path.write_bytes(whole[:-100])
    first, last = read(path)
    assert first.id == FIRST
    assert last.reason == "broken record"


@pytest.mark.parametrize("damage", [b"\xff" * 40, b"\0" * 40])
def test_damage_inside_costs_the_rest_and_is_counted(tmp_path, damage):
    records = [gzip.compress(one) for one in crawl(TWO)]
    middle = sum(map(len, records[:4])) + 200
    whole = b"".join(records)
    path = tmp_path / "a.warc.gz"
    path.write_bytes(whole[:middle] + damage + whole[middle + len(damage) :])
    found = read(path)
    assert found[0].id == FIRST
    assert [one.reason for one in found[1:]] == ["broken file"]


@pytest.mark.parametrize("content", [b"no archive at all\n" * 50, b"WARC/1.0\r\nX: " + b"y" * 9_000_000])
def test_what_is_no_archive_is_a_broken_file(tmp_path, content):
    (tmp_path / "a.warc").write_bytes(content)
    assert only(tmp_path / "a.warc").reason == "broken file"


def test_lengths_that_lie_stop_nothing(tmp_path):
    long = record(answer("x"), length=10**15)
    assert only(write_archive(tmp_path / "long.warc", long)).reason == "page too large"
    negative = write_archive(tmp_path / "negative.warc", record(answer("x"), length=-5), *crawl(TWO))
    assert {one.reason for one in read(negative) if isinstance(one, Skipped)} <= {"broken record", "broken file"}


def test_an_empty_archive_holds_nothing(tmp_path):
    (tmp_path / "a.warc").write_bytes(b"")
    assert read(tmp_path / "a.warc") == []


def test_the_fingerprint_names_content_and_what_takes_the_text(tmp_path, monkeypatch):
    one = write_archive(tmp_path / "one.warc.gz", *crawl(TWO))
    same = write_archive(tmp_path / "same.warc.gz", *crawl(TWO))
    prints = [open_corpus([str(path)], Fields()).fingerprint() for path in (one, same)]
    assert prints[0] == prints[1]
    monkeypatch.setattr(warc.importlib.metadata, "version", lambda _: "999")
    assert open_corpus([str(one)], Fields()).fingerprint() != prints[0]


def test_an_archive_holds_no_pairs(tmp_path):
    path = write_archive(tmp_path / "a.warc.gz", *crawl(TWO))
    with pytest.raises(UsageError, match="not a type of file that can hold pairs"):
        read_target(str(path))


def test_texts_go_under_the_names_that_are_asked_for(tmp_path):
    path = write_archive(tmp_path / "a.warc", *crawl(TWO))
    assert [one.id for one in read(path, Fields(text="body", id="url"))] == list(TWO)
    with pytest.raises(CorpusError, match="no recorded pairs in field 'qa'"):
        read(path, Fields(recorded="qa"))


@pytest.mark.parametrize("package", ["fastwarc", "trafilatura"])
def test_a_missing_package_names_the_install_line(tmp_path, monkeypatch, package):
    path = write_archive(tmp_path / "a.warc", *crawl(TWO))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"a.warc needs packages .* pip install 'bonanza\[web\]'"):
        read(path)


def test_a_folder_of_archives_and_lines_is_one_corpus(tmp_path):
    write_archive(tmp_path / "a.warc.gz", *crawl(TWO))
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "b", "text": "a line"}) + "\n")
    assert [one.id for one in read(tmp_path)] == [*TWO, "b"]
