"""WARC files (.warc, .warc.gz; .wet, .wet.gz): what crawlers write, and the main text of the pages in them.

A page is a `response` with status 200 that holds HTML, of which trafilatura takes the main text, or a `conversion`,
which is text already. Records about other records (warcinfo, request, metadata) are passed over; every other one
that gives no page is skipped and counted. Nothing that a page says is run or fetched.

Work and memory for a page have a bound that does not depend on the clock, so that the same file gives the same
documents everywhere: a page over `LARGEST_PAGE`, `MOST_TAGS` or `MOST_ATTRIBUTES` is skipped. Not covered: brotli
inside records.
"""

from __future__ import annotations

import codecs
import http.client
import importlib.metadata
import io
import logging
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, BinaryIO

from bonanza.corpus.readers.rows import Fields, Row
from bonanza.corpus.readers.streams import (
    BrokenFileError,
    file_fingerprint,
    open_members,
    reading,
    shown,
    size_of,
)
from bonanza.errors import MissingExtraError
from bonanza.records import Skipped, content_id

VERSION = "warc-1"  # part of the fingerprint: raise it when the same files would give other documents
LARGEST_PAGE = 1 << 20  # [ours] bytes, as Common Crawl kept for years
MOST_TAGS = 50_000  # [ours] time can grow with their square: 7 s for so many table cells
MOST_ATTRIBUTES = 5_000  # [ours] of one tag; time grows with their square too
LONG_TAG = 1 << 14  # [ours] characters from which a tag's attributes are counted
DECLARATION_BYTES = 1 << 12  # [ours] at the beginning of a page, where its charset is looked for
ENDINGS = (".warc", ".warc.gz", ".wet", ".wet.gz")
PASSED_OVER = frozenset({"warcinfo", "request", "metadata"})
_DECLARED = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_ATTRIBUTE = r"""[^\s/>=]++(?>\s*+=\s*+(?>"[^"]*+"|'[^']*+'|[^\s>]*+))?+"""  # as HTML's standard splits a tag
_TAG = re.compile(rf"<[A-Za-z](?>[\s/=]++|{_ATTRIBUTE})*+")
_ATTRIBUTES = re.compile(_ATTRIBUTE)
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_SEVEN_BIT = ("iso2022", "hz")  # codecs whose bytes can be taken for UTF-8
_WIDE = ("utf-16", "utf-32")  # a declaration that was read byte by byte is not true, unless there are NULs
_WESTERN = frozenset({"iso-8859-1", "latin-1", "latin1", "us-ascii"})  # browsers read all as cp1252
_NO_CHARSETS = ("idna", "punycode", "unicode", "raw")  # codecs of Python's own that are none of the web's

ToText = Callable[[str], str | None]


class NoPageError(Exception):
    """A record that gives no page. Never leaves this module."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class WarcFile:
    """One row per page; its id is the page's address, or that of the record. Needs the extra `web`.

    Rows have no places: to fetch one, its main text would have to be taken from the HTML again.
    """

    path: Path

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield each page under the names that are asked for."""
        fields = fields or Fields()
        fields.require((fields.text, fields.id), shown(self.path))
        to_text = _main_text_of(self.path)
        try:
            with reading(self.path), open_members(self.path) as stream:
                for number, record in _records(stream):
                    yield _row(record, f"{shown(self.path)}, record {number}", fields, to_text)
        except BrokenFileError as error:
            yield Skipped(shown(self.path), "broken file", str(error))

    def fingerprint(self) -> str:
        """Hash of the file, and of what takes text from it."""
        return content_id(recipe(self.path), file_fingerprint(self.path))

    def size(self) -> int:
        """Bytes of the file."""
        return size_of(self.path)


def recipe(path: Path) -> str:
    """Names what makes text of HTML: another version may give another text."""
    try:
        return f"{VERSION} trafilatura {importlib.metadata.version('trafilatura')}"
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtraError(f"Reading {shown(path)}", "web") from None


def _main_text_of(path: Path) -> ToText:
    try:
        import fastwarc  # noqa: F401
        import trafilatura
    except ImportError:
        raise MissingExtraError(f"Reading {shown(path)}", "web") from None
    logging.getLogger("trafilatura").addHandler(logging.NullHandler())  # what has no text is counted here, not printed
    # "fast": no second opinion by other libraries; what remembers earlier pages (deduplicate) would depend on order.
    return lambda page: trafilatura.extract(page, fast=True, include_comments=False, deduplicate=False)


def _records(stream: BinaryIO) -> Iterator[tuple[int, Any]]:
    """Records that may hold a page, with their numbers in the file."""
    from fastwarc.warc import ArchiveIterator

    for number, record in enumerate(ArchiveIterator(stream, parse_http=False), start=1):
        if _kind(record) not in PASSED_OVER:
            yield number, record


def _kind(record: Any) -> str:
    return str(record.headers.get("WARC-Type") or "").strip().lower()


def _row(record: Any, origin: str, fields: Fields, to_text: ToText) -> Row | Skipped:
    try:
        text = _text(record, to_text)
    except NoPageError as error:
        return Skipped(origin, error.reason, error.detail)
    name = str(record.headers.get("WARC-Target-URI") or record.headers.get("WARC-Record-ID") or "")
    return Row(origin, {fields.text: text, fields.id: name.strip().strip("<>")})


def _text(record: Any, to_text: ToText) -> str:
    """The text of a page. Raises NoPageError."""
    kind = _kind(record)
    if kind not in ("response", "conversion"):
        raise NoPageError("not a page", kind[:40])
    content = _content(record)
    if kind == "conversion":
        return _decoded(content, None)
    return _main_text(_decoded(*_html(content)), to_text)


def _content(record: Any) -> bytes:
    if record.content_length > LARGEST_PAGE:
        raise NoPageError("page too large", f"{record.content_length:,} bytes")
    content = bytes(record.reader.read(record.content_length)) if record.content_length else b""
    if len(content) < record.content_length:
        raise NoPageError("broken record", f"{len(content):,} of {record.content_length:,} bytes")
    return content


def _html(content: bytes) -> tuple[bytes, str | None]:
    """The body of an HTTP answer with HTML, and the charset that its header declares."""
    answer = io.BytesIO(content)
    version, _, status = answer.readline(1 << 16).decode("latin-1").partition(" ")
    try:
        headers: Message = http.client.parse_headers(answer)
    except http.client.HTTPException as error:
        raise NoPageError("broken record", str(error)) from None
    if not version.startswith("HTTP/"):
        raise NoPageError("broken record", "no HTTP answer")
    if not status.startswith("200"):
        raise NoPageError("status is not 200", status[:3])
    if "html" not in headers.get_content_type():
        raise NoPageError("not HTML", headers.get_content_type())
    return _unpacked(answer.read(), headers), headers.get_content_charset()


def _unpacked(body: bytes, headers: Message) -> bytes:
    """The page itself. Crawlers often unpack it and leave the headers as they were, so what is not packed stays."""
    if "chunked" in headers.get("Transfer-Encoding", "").lower():
        body = _joined(body)
    if not body.startswith(b"\x1f\x8b"):
        if "br" in headers.get("Content-Encoding", "").lower().split(","):
            raise NoPageError("packed with brotli")
        return body
    decompressor = zlib.decompressobj(wbits=31)
    try:
        unpacked = decompressor.decompress(body, LARGEST_PAGE + 1)
    except zlib.error as error:
        raise NoPageError("broken record", str(error)) from None
    if len(unpacked) > LARGEST_PAGE:
        raise NoPageError("page too large", "unpacked")
    return unpacked


def _joined(body: bytes) -> bytes:
    """What HTTP's chunks hold together; the body as it is where it is not in chunks."""
    parts, rest = list[bytes](), body
    while True:
        line, mark, rest = rest.partition(b"\r\n")
        if not mark or not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size := line.partition(b";")[0].strip()):
            return b"".join(parts) or body
        if (count := int(size, 16)) == 0:
            return b"".join(parts)
        parts.append(rest[:count])
        rest = rest[count:].removeprefix(b"\r\n")


def _main_text(page: str, to_text: ToText) -> str:
    if (tags := page.count("<")) > MOST_TAGS:
        raise NoPageError("page too intricate", f"{tags:,} tags")
    long_tags = (tag[0] for tag in _TAG.finditer(page) if len(tag[0]) > LONG_TAG)
    if any(len(_ATTRIBUTES.findall(tag)) > MOST_ATTRIBUTES for tag in long_tags):
        raise NoPageError("page too intricate", f"a tag of over {MOST_ATTRIBUTES:,} attributes")
    try:
        text = to_text(page)
    except Exception as error:  # whatever a parser of other people's HTML stumbles over: a page less, not a build
        raise NoPageError("cannot be parsed", type(error).__name__) from None
    if not text:
        raise NoPageError("no main text")
    return text


def _decoded(content: bytes, declared: str | None) -> str:
    """A page as text, without NUL.

    By its byte order mark; as UTF-8 where it is valid, whatever is declared; by the charset of header or page; as UTF-8
    where most of it is valid; by the web's usual charset of western languages. What is no character becomes U+FFFD.
    """
    for mark, charset in _MARKS:
        if content.startswith(mark):
            return content.decode(charset, "replace").replace("\0", "")
    in_page = _DECLARED.search(content[:DECLARATION_BYTES])
    names = [declared, in_page[1].decode("ascii") if in_page else None]
    known = [codec for name in names if name and (codec := _codec(name))]
    named = [codec for codec in known if b"\0" in content or not codec.startswith(_WIDE)]
    first = [codec for codec in named if codec.startswith(_SEVEN_BIT)]
    for codec in (*first, "utf-8", *named):
        try:
            return content.decode(codec).replace("\0", "")
        except ValueError:
            continue
    others = [codec for codec in named if codec != "utf-8"]
    return content.decode("utf-8" if _mostly_utf_8(content) else (*others, "cp1252")[0], "replace").replace("\0", "")


def _mostly_utf_8(content: bytes) -> bool:
    text = content.decode("utf-8", "replace")
    beyond_ascii = len(text) - len(text.encode("ascii", "ignore"))
    return text.count("\ufffd") * 2 <= beyond_ascii


def _codec(charset: str) -> str | None:
    """Python's name of a charset; None for one that it does not know."""
    try:
        found = codecs.lookup("cp1252" if charset.lower() in _WESTERN else charset)
    except (LookupError, ValueError):
        return None
    is_charset = found._is_text_encoding and not found.name.startswith(_NO_CHARSETS)
    return found.name if is_charset else None
