"""WARC files for tests, written record by record as crawlers write them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from html import escape
from pathlib import Path

SAILS = "The jib is a triangular sail that is set ahead of the foremast. Its tack is made fast to the bowsprit, and "
SAILS += "its sheets lead aft on both sides, so that it can be trimmed from the cockpit on either tack. "


def page(*paragraphs: str, title: str = "Sails") -> str:
    """A page with navigation and a footer, which are not its main text."""
    body = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    return (
        f"<!DOCTYPE html><html><head><title>{title}</title><script>alert('no text')</script></head><body>"
        "<nav><ul><li><a href='/'>Home</a></li><li><a href='/shop'>Shop</a></li></ul></nav>"
        f"<article><h1>{title}</h1>{body}</article><footer><p>Copyright, all rights reserved</p></footer></body></html>"
    )


def answer(body: str | bytes, status: str = "200 OK", kind: str = "text/html; charset=utf-8", **headers: str) -> bytes:
    """What a web server sends."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def record(
    content: bytes, address: str = "http://pages.example/", kind: str = "response", length: int | None = None
) -> bytes:
    """A record of an archive; `length` is what it says of its length, if that is not the truth."""
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{len(content):032x}>\r\n"
        f"{f'WARC-Target-URI: {address}' if address else 'X-Nothing: 1'}\r\nWARC-Date: 2024-01-01T00:00:00Z\r\n"
        f"Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(content) if length is None else length}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n\r\n"


def write_archive(path: Path, *records: bytes) -> Path:
    """A file of records, each compressed by itself where the name says so."""
    path.write_bytes(b"".join(map(gzip.compress, records) if path.suffix.lower() == ".gz" else records))
    return path


def crawl(texts: Mapping[str, str]) -> list[bytes]:
    """What a crawler writes of some pages by address: about itself, then request and answer of each."""
    records = [record(b"software: a test\r\n", "", "warcinfo")]
    for address, text in texts.items():
        records.append(record(b"GET / HTTP/1.1\r\n\r\n", address, "request"))
        records.append(record(answer(page(*text.split("\n"))), address))
    return records
