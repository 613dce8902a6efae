"""Files on other machines, by fsspec: s3://, gs://, http:// and https://; files, folders and patterns.

Each file is copied to the folder for temporary files (TMPDIR), checked for its size, read there by the reader of its
format, and deleted: one file at a time, however large the corpus. Its texts are copied into the document store, since
to fetch single documents again over a network would be slow, and is paid for on object stores.

A file is told from others by the hash or ETag that its server has of it, together with its size and address. Where the
server has none, the file is downloaded to be hashed, and that copy is kept until it is read.

Credentials and other options come from where each library looks for them: AWS_PROFILE, AWS_ACCESS_KEY_ID,
AWS_ENDPOINT_URL, ~/.aws; GOOGLE_APPLICATION_CREDENTIALS; ~/.netrc; and fsspec's own configuration, such as
FSSPEC_S3_ANON=true for public buckets. They are never shown or stored; neither are user, password and query of an
address. A folder on the web is the page of links that its server makes of it; folders below it are not visited.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from bonanza.addresses import message_without_secrets, without_secrets
from bonanza.corpus.readers import warc
from bonanza.corpus.readers.rows import Fields, Row, Table
from bonanza.corpus.readers.streams import ending_of, shown
from bonanza.errors import CorpusError, MissingExtraError
from bonanza.records import Skipped, content_id

EXTRAS = {"s3": "s3", "gs": "gs", "http": "web", "https": "web"}  # by protocol, what has to be installed
WEB = ("http", "https")
SILENCE = 60.0  # [ours] seconds without a byte after which a web server counts as gone
TRIES = 3  # [ours] of a transfer that breaks; clients of object stores try again by themselves too
PAUSE = 1.0  # [ours] seconds before the second try, twice as many before the third
HASHES = ("ETag", "etag", "md5Hash", "md5", "crc32c", "sha256", "content_md5", "Content-MD5", "Digest", "checksum")
DENIED, GONE, BUSY = (401, 403), (404, 410), (408, 429)  # HTTP's numbers
LONGEST_REASON = 300  # characters of an error that are shown

OpenTable = Callable[[Path, str], Table | None]
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class RemoteFile:
    """The table in a file that lies elsewhere."""

    filesystem: Any
    path: str  # as the file system has it; may hold secrets
    shown: str  # its address, without them
    name: str  # its path below the folder or pattern that was asked for
    details: Mapping[str, Any]  # what the file system knows of it
    open_table: OpenTable  # of the copy

    def rows(self, fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield the rows of the file under its address."""
        copy = self._copies.pop() if self._copies else self._copied()
        try:
            for row in self._table(copy).rows(fields):
                yield _moved(row, shown(copy), self.shown)
        except CorpusError as error:
            raise CorpusError(str(error).replace(shown(copy), self.shown)) from None
        finally:
            shutil.rmtree(copy.parent, ignore_errors=True)

    def fingerprint(self) -> str:
        """Hash of address, name and what the server has as a hash; or of the file."""
        if (version := self._version(self.details)) is not None:
            made_by = warc.recipe(Path(self.name)) if ending_of(Path(self.name)) in warc.ENDINGS else ""
            return content_id("remote", self.shown, self.name, version, made_by)
        self._copies.append(self._copied())
        return self._table(self._copies[-1]).fingerprint()

    def size(self) -> int:
        """Bytes of the file; 0 where its server does not tell."""
        return int(self.details.get("size") or 0)

    @cached_property
    def _copies(self) -> list[Path]:
        """The copy that was hashed, until it is read."""
        return []

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_copies"}  # they are on this machine

    def _table(self, copy: Path) -> Table:
        table = self.open_table(copy, self.name)
        assert table is not None, "files of unknown types are not copied"
        return table

    def _copied(self) -> Path:
        """The whole file on this machine, unchanged since it was listed; deleted with this object at the latest."""
        folder = Path(tempfile.mkdtemp(prefix="bonanza-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = folder / f"copy{ending_of(Path(self.name))}"
        try:
            _tried(lambda: self._transfer(copy), self.shown)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return copy

    def _transfer(self, copy: Path) -> None:
        self.filesystem.get_file(self.path, str(copy))
        size, there = self.details.get("size"), copy.stat().st_size
        if size is not None and there != size:
            raise OSError(f"{there:,} of {size:,} bytes came")
        self.filesystem.invalidate_cache()
        if self._version(self.details) != self._version(self.filesystem.info(self.path)):
            raise CorpusError(f"{self.shown}: was changed while it was read. Run again.")

    @staticmethod
    def _version(details: Mapping[str, Any]) -> str | None:
        """The hashes that a server has, and the size; None without one. A weak ETag says too little."""
        found = [f"{name} {details[name]}" for name in HASHES if details.get(name)]
        strong = [one for one in found if not one.partition(" ")[2].startswith("W/")]
        return "; ".join([*strong, str(details.get("size"))]) if strong else None


@dataclass(frozen=True, slots=True)
class UnknownRemoteFile:
    """What a remote folder holds beside files of a type we read: counted, not downloaded."""

    shown: str

    def rows(self, _fields: Fields | None) -> Iterator[Row | Skipped]:
        """Yield that it is skipped."""
        yield Skipped(self.shown, "unknown file type", Path(self.shown).suffix)

    def fingerprint(self) -> str:
        """Hash of its address."""
        return content_id("unknown", self.shown)

    def size(self) -> int:
        """Nothing is read."""
        return 0


def is_remote(source: str) -> bool:
    """Whether a source is an address of another machine, of a protocol that is read or not."""
    return "://" in source


def remote_tables(source: str, open_table: OpenTable, known: str) -> list[Table]:
    """The tables in the file, folder or pattern at an address; `known` are the types of files that are read."""
    filesystem = _filesystem(source)
    is_pattern, base = _pattern(source)
    files = sorted(_tried(lambda: _listed(filesystem, source, is_pattern), without_secrets(source)).items())
    tables = [table for path, details in files if (table := _table(filesystem, path, details, base, open_table))]
    if any(isinstance(table, RemoteFile) for table in tables):
        return tables
    found = f"{len(tables)} files of types that cannot be read" if tables else "nothing"
    raise CorpusError(f"{without_secrets(source)}: found was {found}. Name, or put there, files of type {known}.")


def _filesystem(source: str) -> Any:
    protocol = source.partition("://")[0].lower()
    if protocol not in EXTRAS:
        raise CorpusError(
            f"{without_secrets(source)}: {protocol}:// is not read. Known are: hf://, file://, "
            f"{', '.join(f'{name}://' for name in EXTRAS)}."
        )
    try:
        import fsspec

        found = fsspec.filesystem(protocol, **_options(protocol))
    except ImportError:
        raise MissingExtraError(f"Reading {without_secrets(source)}", EXTRAS[protocol]) from None
    except Exception as error:  # some look for credentials at once
        raise _unreadable(without_secrets(source), error) from None
    found.invalidate_cache()  # file systems are kept for the whole process, with what they once listed
    return found


def _options(protocol: str) -> dict[str, Any]:
    if protocol not in WEB:
        return {}
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    # What is compressed stays so: the ending of its name says how it is read.
    return {
        "headers": {"Accept-Encoding": "identity"},
        "client_kwargs": {"timeout": timeout, "auto_decompress": False, "trust_env": True},
    }


def _pattern(source: str) -> tuple[bool, str]:
    """Whether a source is a pattern, and the folder whose files it names."""
    magic = "*[" if source.partition("://")[0].lower() in WEB else "*?["  # on the web "?" begins a query
    plain = without_secrets(source)
    first = min((plain.find(sign) for sign in magic if sign in plain), default=-1)
    if first >= 0:
        return True, plain[:first].rpartition("/")[0] + "/"
    return False, plain.rstrip("/") + "/"


def _listed(filesystem: Any, source: str, is_pattern: bool) -> dict[str, Mapping[str, Any]]:
    """Every file that is meant, by its path, with what is known of it."""
    on_the_web = source.partition("://")[0].lower() in WEB
    if is_pattern:
        found = filesystem.glob(source, detail=True)
    elif on_the_web and source.endswith("/"):
        found = {one["name"]: one for one in filesystem.ls(source, detail=True) if "?" not in one["name"]}
    else:
        one = filesystem.info(source)
        found = filesystem.find(source, detail=True) if one["type"] == "directory" else {one["name"]: one}
    return {path: details for path, details in found.items() if details["type"] == "file"}


def _table(filesystem: Any, path: str, details: Mapping[str, Any], base: str, open_table: OpenTable) -> Table | None:
    """The table at a path; None for a hidden file."""
    address = without_secrets(path if "://" in path else filesystem.unstrip_protocol(path))
    name = address.removeprefix(base) if address.startswith(base) else address.rpartition("/")[2]
    if any(part.startswith(".") for part in name.split("/")):
        return None
    if open_table(Path(name), name) is None:
        return UnknownRemoteFile(address)
    if "url" not in details and "://" in path:  # a link of a web page says nothing of what it leads to
        details = _tried(lambda: filesystem.info(path), address)
    return RemoteFile(filesystem, path, address, name, details, open_table)


def _moved(row: Row | Skipped, here: str, there: str) -> Row | Skipped:
    """A row of a copy as one of what was copied."""
    origin = row.origin.replace(here, there)
    if isinstance(row, Row):
        return replace(row, origin=origin, place=None)
    return replace(row, origin=origin, detail=row.detail.replace(here, there))


def _tried(step: Callable[[], Value], shown_address: str) -> Value:
    """What a step gives, tried again where that may help; CorpusError where it does not."""
    for attempt in range(1, TRIES + 1):
        try:
            return step()
        except CorpusError:
            raise
        except Exception as error:  # each file system has errors of its own
            if attempt == TRIES or not _may_pass(error):
                raise _unreadable(shown_address, error) from None  # the chain could show what is secret
            time.sleep(PAUSE * attempt)
    raise AssertionError("the last try returns or raises")


def _may_pass(error: BaseException) -> bool:
    status = _status(error)
    if status is not None:
        return status >= 500 or status in BUSY
    final = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | ImportError | ValueError)
    return not final and getattr(error, "errno", None) not in (errno.ENOSPC, errno.EDQUOT)


def _status(error: BaseException) -> int | None:
    """HTTP's number for what went wrong."""
    for one in (error, error.__cause__):
        match getattr(one, "response", None), getattr(one, "status", None):
            case {"ResponseMetadata": {"HTTPStatusCode": int(status)}}, _:  # botocore
                return status
            case _, int(status):  # aiohttp
                return status
    return None


def _unreadable(address: str, error: BaseException) -> CorpusError:
    cause = error.__cause__ or error
    lines = message_without_secrets(str(cause)).strip().splitlines() or [type(cause).__name__]
    return CorpusError(f"{address}: cannot be read ({lines[0][:LONGEST_REASON]}). {_advice(error)}")


def _advice(error: BaseException) -> str:
    status = _status(error)
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return f"Make room in {tempfile.gettempdir()}, or name another folder in TMPDIR."
    if isinstance(error, PermissionError) or status in DENIED or "Credentials" in type(error).__name__:
        return (
            "Check your credentials where its client looks for them, e.g. AWS_PROFILE or AWS_ACCESS_KEY_ID; "
            "for a public bucket set FSSPEC_S3_ANON=true."
        )
    if status in GONE or (isinstance(error, FileNotFoundError) and error.__cause__ is None):
        return "Check the address."
    return "Check address and connection, and run again: files that were read whole are not read again."
