"""Bytes of files, compressed or not, and what goes wrong with them."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from bonanza.errors import CorpusError
from bonanza.records import content_id

COMPRESSED = (".gz", ".zst")
BUFFER_BYTES = 1 << 20
GZIP = 31  # zlib's number for gzip with its header
LARGEST_ZSTD_WINDOW = 1 << 31  # what `zstd --long=31` writes; many published dumps do
PIECE_BYTES = 1 << 13  # decompressed at once: a piece of hostile data becomes a few hundred MiB at most
LONGEST_LINE = 1 << 26  # bytes; a longer one is no document but another format, read into memory


class BrokenFileError(Exception):
    """The rest of a file cannot be read, because of what it holds. Never leaves the readers."""


class _Frames(io.RawIOBase):
    """The content of a file of one or many compressed frames; raises EOFError where the file ends inside one.

    What stands before damage is given before the damage is told. Zeros between frames are passed over.
    """

    def __init__(self, file: BinaryIO, new_frame: Callable[[], Any]) -> None:
        self._file = file
        self._new_frame = new_frame
        self._frame: Any = None  # the frame being read; None before the first and between two
        self._compressed = b""
        self._content = memoryview(b"")
        self._given = 0  # bytes

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as what is decompressed goes; 0 at the end."""
        while not self._content and self._fill():
            pass
        size = min(len(buffer), len(self._content))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        self._given += size
        return size

    def tell(self) -> int:
        """Bytes of content that were given."""
        return self._given

    def _fill(self) -> bool:
        """Decompress the next piece; False at the end of the file."""
        compressed = self._compressed or self._file.read(PIECE_BYTES)
        if not compressed:
            if self._frame is not None:
                raise EOFError("the file ends before the compressed data does")
            return False
        if self._frame is None:
            compressed, self._compressed = compressed.lstrip(b"\0"), b""
            if not compressed:
                return True
        self._frame = self._frame or self._new_frame()
        self._content = memoryview(self._frame.decompress(compressed))
        self._compressed = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return True

    def close(self) -> None:
        """Close the file beneath."""
        self._file.close()
        super().close()


def open_stream(path: Path) -> BinaryIO:
    """Open a file for reading its content, decompressed by the ending of its name."""
    if path.suffix.lower() == ".gz":
        return io.BufferedReader(gzip.GzipFile(path, "rb"), BUFFER_BYTES)
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(_Frames(path.open("rb"), _zstd_frame()), BUFFER_BYTES)
    return path.open("rb", buffering=BUFFER_BYTES)


def open_members(path: Path) -> BinaryIO:
    """Open a .gz file, or one that is not compressed, so that all that stands before damage can be read."""
    if path.suffix.lower() == ".gz":
        return cast("BinaryIO", _Frames(path.open("rb"), lambda: zlib.decompressobj(wbits=GZIP)))
    return path.open("rb", buffering=BUFFER_BYTES)


def _zstd_frame() -> Callable[[], Any]:
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=LARGEST_ZSTD_WINDOW).decompressobj


def lines_of(stream: BinaryIO) -> Iterator[bytes | None]:
    """Yield each line; None for one that is longer than LONGEST_LINE."""
    while line := stream.readline(LONGEST_LINE):
        is_whole = len(line) < LONGEST_LINE or line.endswith(b"\n")
        yield line if is_whole else None
        while not is_whole:
            rest = stream.readline(LONGEST_LINE)
            is_whole = len(rest) < LONGEST_LINE or rest.endswith(b"\n")


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Tell what a file does wrong (BrokenFileError) from what the machine does (CorpusError: nothing may be kept)."""
    import zstandard

    try:
        yield
    except (EOFError, zlib.error, zstandard.ZstdError) as error:
        raise BrokenFileError(str(error)) from error
    except OSError as error:
        if error.errno is None:  # raised by a decoder: gzip's BadGzipFile, Arrow's corrupt pages
            raise BrokenFileError(str(error)) from error
        raise CorpusError(
            f"{shown(path)}: cannot be read ({os.strerror(error.errno)}). Check that it is there and yours to read."
        ) from error


def ending_of(path: Path) -> str:
    """What names the format: ".jsonl", or ".jsonl.gz" of a compressed file."""
    ending = path.suffix.lower()
    return Path(path.stem).suffix.lower() + ending if ending in COMPRESSED else ending


def file_fingerprint(path: Path) -> str:
    """Hash of a file's bytes and of its format."""
    with reading(path), path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return content_id(ending_of(path), digest.hexdigest())


def size_of(path: Path) -> int:
    """Bytes of a file."""
    with reading(path):
        return path.stat().st_size


def shown(path: Path) -> str:
    """The path as text that can be printed and stored, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "replace")
