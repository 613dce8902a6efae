"""Addresses of corpora as they may be shown and stored: without what lets anyone in."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
_WEB = ("http", "https")


def without_secrets(source: str) -> str:
    """An address without user, password and, on the web, query (where signatures stand); a path as it is.

    >>> without_secrets("https://me:secret@host/pages.jsonl?X-Amz-Signature=1")
    'https://host/pages.jsonl'
    >>> without_secrets("s3://bucket/page?.jsonl"), without_secrets("pages/")
    ('s3://bucket/page?.jsonl', 'pages/')
    """
    protocol, mark, rest = source.partition("://")
    if not mark:
        return source
    if protocol.lower() in _WEB:
        rest = re.split("[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    return protocol + mark + authority.rpartition("@")[2] + slash + path


def message_without_secrets(message: str) -> str:
    """A message in which every address is without secrets.

    >>> message_without_secrets("403, url='https://host/x?token=1'")
    "403, url='https://host/x'"
    """
    return _ADDRESS.sub(lambda found: without_secrets(found[0]), message)
