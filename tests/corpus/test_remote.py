import gzip
import importlib
import io
import json
import pickle
import re
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import bonanza
from bonanza.corpus.joined import open_parts
from bonanza.corpus.readers import Fields, open_corpus, remote
from bonanza.errors import CorpusError, MissingExtraError
from bonanza.records import Document, Skipped
from web_archives import SAILS, crawl, write_archive

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
pytest.importorskip("fastwarc")
# Without lxml_html_clean, which some installers leave out, trafilatura cannot be imported.
pytest.importorskip("trafilatura", exc_type=ImportError)
PAGES = [{"id": f"page-{number}", "text": f"What stands on page {number}, in words."} for number in range(6)]


def lines(pages):
    return "".join(json.dumps(page) + "\n" for page in pages).encode()


def parquet(pages):
    import pyarrow
    import pyarrow.parquet

    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(pages), file)
    return file.getvalue()


def zstd(content):
    import zstandard

    return zstandard.compress(content)


def archive(folder, pages):
    return write_archive(folder / "pages.warc.gz", *crawl(pages)).read_bytes()


def read(*sources, fields=None, limit=None):
    return list(open_corpus([str(source) for source in sources], fields or Fields(), limit).read())


def ids(records):
    return [one.id for one in records if isinstance(one, Document)]


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Copies lie in a folder of the test's own, no time is lost between tries, and no proxy is asked."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(remote, "PAUSE", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


class Web:
    """A server of files; `rude` are paths and what is done there."""

    def __init__(self):
        self.files, self.rude, self.asked = {}, {}, []
        self.tags = True  # whether files have ETags
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                path = self.path.partition("?")[0]
                site.asked.append((self.command, path))
                if path in site.rude:
                    site.rude[path](self, body)
                elif path in site.files:
                    site.send(self, site.files[path], body)
                else:
                    self.send_error(404)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def send(self, handler, content, body, length=None, kind="application/octet-stream"):
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(content) if length is None else length))
        if self.tags:
            handler.send_header("ETag", f'"{hash(content):x}"')
        handler.end_headers()
        if body:
            handler.wfile.write(content)

    def times(self, path, method="GET"):
        return self.asked.count((method, path))


@pytest.fixture
def web():
    site = Web()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.jsonl", bytes), ("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstd), ("a.ndjson", bytes)],
)
def test_lines_are_read_from_the_web(web, name, pack):
    web.files[f"/data/{name}"] = pack(lines(PAGES))
    records = read(f"{web.url}/data/{name}")
    assert ids(records) == [page["id"] for page in PAGES]
    assert records[0].origin == f"{web.url}/data/{name}, line 1"


def test_every_other_format_is_read_from_the_web(web, tmp_path):
    web.files["/a.parquet"] = parquet(PAGES[:1])
    web.files["/b.csv"] = b"id,text\nb,from csv\n"
    web.files["/c.json"] = json.dumps(PAGES[1:2]).encode()
    web.files["/d.md"] = b"# Title\n"
    web.files["/e.warc.gz"] = archive(tmp_path, {"http://x.example/": SAILS * 2})
    found = [read(f"{web.url}{path}")[0] for path in web.files]
    assert ids(found) == ["page-0", "b", "page-1", "d.md", "http://x.example/"]
    assert [one.origin.removeprefix(web.url) for one in found] == [
        "/a.parquet, row 1", "/b.csv, line 2", "/c.json, record 1", "/d.md", "/e.warc.gz, record 3",
    ]  # fmt: skip


@pytest.mark.parametrize("tags", [True, False])
def test_a_file_is_downloaded_once_and_its_copy_is_deleted(web, tmp_path, temporary, tags):
    web.tags, web.files["/a.jsonl"] = tags, lines(PAGES)
    store = open_parts(open_corpus([f"{web.url}/a.jsonl"], Fields()), tmp_path / "cache")
    assert web.times("/a.jsonl") == 1
    assert list(temporary.iterdir()) == []
    web.files.clear()  # texts are copied
    assert store.fetch([2])[0].text == PAGES[2]["text"]
    assert [text for batch in store.texts(2) for text in batch] == [page["text"] for page in PAGES]


def test_with_tags_a_corpus_that_is_stored_is_not_downloaded_again(web, tmp_path):
    web.files["/a.jsonl"] = lines(PAGES)
    for _ in range(2):
        open_parts(open_corpus([f"{web.url}/a.jsonl"], Fields()), tmp_path / "cache")
    assert web.times("/a.jsonl") == 1


@pytest.mark.parametrize("tags", [True, False])
def test_other_content_is_another_corpus(web, tags):
    web.tags, prints = tags, []
    for content in (lines(PAGES), lines(PAGES), lines(PAGES[:-1])):
        web.files["/a.jsonl"] = content
        prints.append(open_corpus([f"{web.url}/a.jsonl"], Fields()).fingerprint())
    assert prints[0] == prints[1] != prints[2]


def test_a_corpus_can_be_read_in_another_process(web):
    web.tags, web.files["/a.jsonl"] = False, lines(PAGES)
    corpus = open_corpus([f"{web.url}/a.jsonl"], Fields())
    corpus.fingerprint()
    assert list(pickle.loads(pickle.dumps(corpus)).read()) == list(corpus.read())


def test_a_weak_tag_names_no_content():
    assert remote.RemoteFile._version({"ETag": 'W/"1"', "size": 5}) is None
    assert remote.RemoteFile._version({"ETag": '"1"', "size": 5}) == 'ETag "1"; 5'


def test_a_limit_ends_the_downloads(web, temporary):
    web.files |= {"/a.jsonl": lines(PAGES[:3]), "/b.jsonl": lines(PAGES[3:])}
    assert len(read(f"{web.url}/a.jsonl", f"{web.url}/b.jsonl", limit=2)) == 2
    assert web.times("/b.jsonl") == 0
    assert list(temporary.iterdir()) == []


def index_of(names):
    return "".join(f"<a href='{name}'>{name}</a>" for name in names).encode()


def test_folders_and_patterns_of_the_web_are_the_links_on_their_page(web):
    links = [
        "../",
        "?C=N;O=D",
        "b.jsonl",
        "a.jsonl",
        "notes.pdf",
        ".hidden.jsonl",
        "below/",
        "http://evil.invalid/x.jsonl",
    ]
    web.rude["/data/"] = lambda handler, body: web.send(handler, index_of(links), body, kind="text/html")
    web.files |= {"/data/a.jsonl": lines(PAGES[:2]), "/data/b.jsonl": lines(PAGES[2:]), "/data/notes.pdf": b"%PDF"}
    records = read(f"{web.url}/data/")
    assert ids(records) == [page["id"] for page in PAGES]
    assert [(one.reason, one.detail) for one in records if isinstance(one, Skipped)] == [("unknown file type", ".pdf")]
    assert ids(read(f"{web.url}/data/b*.jsonl")) == [page["id"] for page in PAGES[2:]]
    with pytest.raises(CorpusError, match=r"data/\*.csv: found was nothing. Name, or put there, files of type jsonl"):
        read(f"{web.url}/data/*.csv")


def test_texts_are_named_by_their_path_below_what_was_asked_for(web):
    web.files["/deep/down/page.txt"] = b"a text"
    assert ids(read(f"{web.url}/deep/down/page.txt")) == ["page.txt"]


def refused(url):
    with pytest.raises(CorpusError) as raised:
        read(url)
    assert raised.value.__context__ is None or raised.value.__suppress_context__  # a trace shows no secret either
    return str(raised.value)


def test_what_is_not_there_is_said(web):
    message = refused(f"{web.url}/nothing.jsonl")
    assert message.startswith(f"{web.url}/nothing.jsonl: cannot be read (404")
    assert message.endswith("Check the address.")


def test_what_is_forbidden_is_said(web):
    web.rude["/a.jsonl"] = lambda handler, _: handler.send_error(403)
    assert "Check your credentials" in refused(f"{web.url}/a.jsonl")


def test_a_server_that_is_not_there_is_said():
    assert re.match(
        r"http://127.0.0.1:9/a.jsonl: cannot be read \(.*\). Check address and conn",
        refused("http://127.0.0.1:9/a.jsonl"),
    )


def test_types_that_are_not_read_are_refused_before_they_are_downloaded(web):
    web.files["/a.pdf"] = b"%PDF"
    assert "1 files of types that cannot be read" in refused(f"{web.url}/a.pdf")
    assert web.times("/a.pdf") == 0


@pytest.mark.parametrize("source", ["ftp://host/a.jsonl", "memory://a.jsonl", "simplecache::s3://b/a.jsonl", "://x"])
def test_other_protocols_are_refused(source):
    assert "is not read. Known are: hf://, file://, s3://, gs://, http://, https://." in refused(source)


def cut_off(web, content, times):
    """A server that ends a transfer in its middle, so many times."""
    left = iter(range(times))

    def answer(handler, body):
        part = content[: len(content) // 2] if body and next(left, None) is not None else content
        web.send(handler, part, body, length=len(content))

    return answer


def test_a_transfer_that_ends_early_is_tried_again(web):
    web.rude["/a.jsonl"] = cut_off(web, lines(PAGES), times=2)
    assert ids(read(f"{web.url}/a.jsonl")) == [page["id"] for page in PAGES]


def test_a_server_that_is_busy_is_asked_again(web):
    web.files["/a.jsonl"], busy = lines(PAGES), iter([503, 429, 500, 503])

    def answer(handler, body):
        status = next(busy, None)
        handler.send_error(status) if status else web.send(handler, lines(PAGES), body)

    web.rude["/a.jsonl"] = answer
    assert ids(read(f"{web.url}/a.jsonl")) == [page["id"] for page in PAGES]


def test_a_transfer_that_always_ends_early_is_no_corpus(web, temporary):
    web.rude["/a.jsonl"] = cut_off(web, lines(PAGES), times=99)
    message = refused(f"{web.url}/a.jsonl")
    assert f"{web.url}/a.jsonl: cannot be read" in message
    assert message.endswith("run again: files that were read whole are not read again.")
    assert web.times("/a.jsonl") == remote.TRIES
    assert list(temporary.iterdir()) == []


def test_a_server_that_falls_silent_is_given_up(web, monkeypatch):
    monkeypatch.setattr(remote, "SILENCE", 0.2)
    monkeypatch.setattr(remote, "TRIES", 1)
    over = threading.Event()

    def silent(handler, body):
        web.send(handler, b"{", body, length=1_000)
        over.wait(10) if body else None

    web.rude["/a.jsonl"] = silent
    began = time.monotonic()
    refused(f"{web.url}/a.jsonl")
    over.set()
    assert time.monotonic() - began < 9


def test_a_file_that_changes_while_it_is_read_is_no_corpus(web):
    web.files["/a.jsonl"] = lines(PAGES)
    corpus = open_corpus([f"{web.url}/a.jsonl"], Fields())
    web.files["/a.jsonl"] = lines(PAGES).replace(b"words", b"WORDS")
    with pytest.raises(CorpusError, match=r"a.jsonl: was changed while it was read. Run again."):
        list(corpus.read())


def test_a_file_that_vanishes_is_said(web):
    web.files["/a.jsonl"] = lines(PAGES)
    corpus = open_corpus([f"{web.url}/a.jsonl"], Fields())
    web.files.clear()
    with pytest.raises(CorpusError, match=r"a.jsonl: cannot be read .*Check the address"):
        list(corpus.read())


def redirect(to):
    def answer(handler, _):
        handler.send_response(302)
        handler.send_header("Location", to)
        handler.end_headers()

    return answer


def test_a_redirect_is_followed_and_the_address_stays_the_users(web):
    web.files["/b/real.jsonl"] = lines(PAGES[:1])
    web.rude["/a.jsonl"] = redirect("/b/real.jsonl")
    assert read(f"{web.url}/a.jsonl")[0].origin == f"{web.url}/a.jsonl, line 1"


def test_a_redirect_to_a_host_that_is_not_there_is_said(web):
    web.rude["/a.jsonl"] = redirect("http://127.0.0.1:9/elsewhere.jsonl?token=secret")
    message = refused(f"{web.url}/a.jsonl")
    assert message.startswith(f"{web.url}/a.jsonl: cannot be read")
    assert "secret" not in message


def test_redirects_without_end_are_said(web):
    web.rude["/a.jsonl"] = redirect("/a.jsonl")
    assert refused(f"{web.url}/a.jsonl").startswith(f"{web.url}/a.jsonl: cannot be read")


def test_broken_content_is_counted_under_its_address(web, temporary):
    web.files["/a.jsonl.gz"] = gzip.compress(lines(PAGES))[:-9]
    web.files["/b.parquet"] = b"no parquet"
    for path in web.files:
        (*_, last) = read(f"{web.url}{path}")
        assert (last.reason, last.origin) == ("broken file", f"{web.url}{path}")
        assert str(temporary) not in last.detail


def test_a_missing_column_is_refused_under_its_address(web, temporary):
    web.files["/a.parquet"] = parquet(PAGES)
    with pytest.raises(CorpusError, match=r"a.parquet: no text in field 'body'. The record has: id, text") as raised:
        read(f"{web.url}/a.parquet", fields=Fields(text="body"))
    assert str(temporary) not in str(raised.value)


def test_secrets_of_an_address_are_neither_shown_nor_stored(web, tmp_path, small_corpus):
    web.files["/pages.jsonl"] = small_corpus.path.read_bytes()
    address = web.url.replace("http://", "http://me:hunter2@") + "/pages.jsonl?X-Amz-Signature=hunter3"
    arguments = {"budget": "5docs", "llm": "rules", "out": tmp_path / "run", "cache": tmp_path / "cache"}
    bonanza.extract(address, small_corpus.target, **arguments)
    newer = address.replace("hunter3", "hunter4")  # a new signature is not another run
    bonanza.extract(newer, small_corpus.target, **arguments)
    assert web.times("/pages.jsonl") == 1
    for path in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert b"hunter" not in path.read_bytes(), path
    web.files.clear()
    assert "hunter" not in refused(address)


def test_a_missing_package_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    for protocol in ("s3", "gs"):
        monkeypatch.delitem(importlib.import_module("fsspec.registry")._registry, protocol, raising=False)
        with pytest.raises(MissingExtraError, match=rf"bucket/a.jsonl needs .* pip install 'bonanza\[{protocol}\]'"):
            read(f"{protocol}://bucket/a.jsonl")


def test_file_addresses_are_files_of_this_machine(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(PAGES))
    assert ids(read(f"file://{tmp_path}/a.jsonl")) == ids(read(f"file://{tmp_path}/*.jsonl")) == ids(read(tmp_path))


@pytest.fixture(scope="module")
def moto():
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(moto, monkeypatch, tmp_path):
    """A bucket of web data, reached as users reach theirs: by the environment."""
    import s3fs

    values = {
        "ENDPOINT_URL": moto,
        "ACCESS_KEY_ID": "testing",
        "SECRET_ACCESS_KEY": "testing-secret",
        "DEFAULT_REGION": "us-east-1",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("CONFIG_FILE", "SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(f"AWS_{name}", str(tmp_path / "none"))
    s3fs.S3FileSystem.clear_instance_cache()
    files = s3fs.S3FileSystem()
    if not files.exists("crawl"):
        files.mkdir("crawl")
        folder = Path(tempfile.mkdtemp())
        contents = {
            "lines/a.jsonl.gz": gzip.compress(lines(PAGES[:1])), "lines/b.jsonl.zst": zstd(lines(PAGES[1:2])),
            "shards/part-0.parquet": parquet(PAGES[2:4]), "shards/part-1.parquet": parquet(PAGES[4:]),
            "shards/_SUCCESS": b"", "web/pages.warc.gz": archive(folder, {"http://x.example/": SAILS * 2}),
        }  # fmt: skip
        for path, content in contents.items():
            files.pipe_file(f"crawl/{path}", content)
    yield files
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("s3://crawl/", ["page-0", "page-1", "page-2", "page-3", "page-4", "page-5", "http://x.example/"]),
        ("s3://crawl", ["page-0", "page-1", "page-2", "page-3", "page-4", "page-5", "http://x.example/"]),
        ("s3://crawl/shards", ["page-2", "page-3", "page-4", "page-5"]),
        ("s3://crawl/shards/part-?.parquet", ["page-2", "page-3", "page-4", "page-5"]),
        ("s3://crawl/*/*.jsonl.*", ["page-0", "page-1"]),
        ("s3://crawl/lines/b.jsonl.zst", ["page-1"]),
        ("s3://crawl/web/pages.warc.gz", ["http://x.example/"]),
    ],
)
def test_files_folders_and_patterns_of_a_bucket_are_read(bucket, source, found):
    assert ids(read(source)) == found


def test_a_bucket_is_stored_part_by_part_and_not_read_twice(bucket, tmp_path, monkeypatch):
    first = open_parts(open_corpus(["s3://crawl/"], Fields()), tmp_path / "cache")
    assert first.fetch([0])[0].origin == "s3://crawl/lines/a.jsonl.gz, line 1"
    assert [one.reason for one in first.skipped] == ["unknown file type"]
    monkeypatch.setattr(remote.RemoteFile, "_copied", None)  # nothing is downloaded any more
    assert open_parts(open_corpus(["s3://crawl/"], Fields()), tmp_path / "cache").ids == first.ids


def test_a_bucket_is_extracted_from_end_to_end(bucket, tmp_path, small_corpus):
    half = len(small_corpus.records) // 2
    with bucket.open("crawl/run/a.jsonl.gz", "wb") as file:
        file.write(gzip.compress(lines(small_corpus.records[:half])))
    with bucket.open("crawl/run/b.parquet", "wb") as file:
        file.write(parquet(small_corpus.records[half:]))
    arguments = {"budget": "10docs", "llm": "rules"}
    try:
        there = bonanza.extract("s3://crawl/run/", small_corpus.target, out=tmp_path / "there", **arguments)
    finally:
        bucket.rm("crawl/run", recursive=True)
    here = bonanza.extract(small_corpus.path, small_corpus.target, out=tmp_path / "here", **arguments)
    assert there.summary["documents_total"] == len(small_corpus.records)
    assert [pair.question for pair in there.pairs] == [pair.question for pair in here.pairs]


def test_a_new_object_of_equal_length_is_other_content(bucket):
    prints = []
    for content in (lines(PAGES[:1]), lines(PAGES[:1]).replace(b"words", b"WORDS")):
        bucket.pipe_file("crawl-changing/a.jsonl", content) if bucket.exists("crawl-changing") else (
            bucket.mkdir("crawl-changing"), bucket.pipe_file("crawl-changing/a.jsonl", content),
        )  # fmt: skip
        prints.append(open_corpus(["s3://crawl-changing/"], Fields()).fingerprint())
    assert prints[0] != prints[1]


@pytest.mark.parametrize("source", ["s3://no-such-bucket/", "s3://crawl/none.jsonl", "s3://crawl/none/"])
def test_what_is_not_in_a_bucket_is_said(bucket, source):
    message = refused(source)
    assert message.startswith(f"{source}: cannot be read (")
    assert message.endswith("Check the address.")
    assert "testing" not in message


def test_a_bucket_without_a_server_is_said(bucket, monkeypatch):
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(remote, "TRIES", 1)
    s3fs.S3FileSystem.clear_instance_cache()
    assert "s3://crawl/: cannot be read" in refused("s3://crawl/")


def test_an_object_that_vanishes_is_said(bucket):
    bucket.pipe_file("crawl/gone/a.jsonl", lines(PAGES))
    corpus = open_corpus(["s3://crawl/gone/"], Fields())
    bucket.rm("crawl/gone", recursive=True)
    with pytest.raises(CorpusError, match=r"s3://crawl/gone/a.jsonl: cannot be read"):
        list(corpus.read())
