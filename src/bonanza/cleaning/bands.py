"""Signatures that are found again by any of their bands: locality-sensitive hashing that grows entry by entry.

An entry's signature is cut into bands; entries with an equal band are candidates (Leskovec, Rajaraman and Ullman,
Mining of Massive Datasets, section 3.4). Candidates are followed through linked lists in arrays: 4 bytes for a band and
an entry, where dicts of lists take 100.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FIRST_CAPACITY = 1_024
MOST_FOLLOWED = 64  # [ours] latest entries with an equal band that are looked at: one band that all share costs no more


class BandIndex:
    """Signatures of equal length, numbered from 0 as they are added.

    Parameters
    ----------
    length : number of values of a signature
    bands : how many bands it is cut into; divides `length`
    """

    def __init__(self, length: int, bands: int, dtype: type[np.generic]) -> None:
        self._bands = np.arange(bands)
        self._factors = np.random.default_rng(0).integers(1, 2**63, size=(bands, length // bands), dtype=np.uint64) | 1
        self._signatures: NDArray[Any] = np.zeros((FIRST_CAPACITY, length), dtype)
        self._size = 0
        self._empty()

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, numbers: NDArray[np.int64]) -> NDArray[Any]:
        """Signatures of some entries."""
        return self._signatures[numbers]

    def candidates(self, signature: NDArray[Any]) -> list[int]:
        """Entries with an equal band, each once, in order; a few more whose bands share a slot of the table."""
        bands, slots = self._bands, self._slots(signature)
        current, found = self._heads[bands, slots], list[int]()
        for _ in range(MOST_FOLLOWED):
            alive = current >= 0
            current, bands = current[alive], bands[alive]
            if not current.size:
                break
            found += current.tolist()
            current = self._next[current, bands]
        return sorted(set(found))

    def add(self, signature: NDArray[Any]) -> int:
        """Remember a signature; its number."""
        if self._size == len(self._signatures):
            self._grow()
        number, slots = self._size, self._slots(signature)
        self._signatures[number] = signature
        self._next[number] = self._heads[self._bands, slots]
        self._heads[self._bands, slots] = number
        self._size += 1
        return number

    def _slots(self, signatures: NDArray[Any]) -> NDArray[np.int64]:
        """Slot of each band: int64 array, shape (..., bands), by multiplying and adding modulo 2**64."""
        parts = signatures.reshape(*signatures.shape[:-1], *self._factors.shape).astype(np.uint64)
        mixed = (parts * self._factors).sum(axis=-1, dtype=np.uint64)
        return np.asarray((mixed >> np.uint64(40)) & np.uint64(self._heads.shape[1] - 1), dtype=np.int64)

    def _empty(self) -> None:
        capacity = len(self._signatures)
        self._heads = np.full((len(self._bands), min(2 * capacity, 2**24)), -1, np.int32)
        self._next = np.full((capacity, len(self._bands)), -1, np.int32)

    def _grow(self) -> None:
        """Twice the room, and all lists anew."""
        old = self._signatures
        self._signatures = np.zeros((2 * len(old), old.shape[1]), old.dtype)
        self._signatures[: len(old)] = old
        del old
        self._empty()
        for start in range(0, self._size, 2**16):
            self._link(start, min(start + 2**16, self._size))

    def _link(self, start: int, end: int) -> None:
        """Add entries to their lists, in order."""
        slots = self._slots(self._signatures[start:end])  # (entries, bands)
        for band in self._bands:
            order = np.argsort(slots[:, band], kind="stable")
            sorted_slots, numbers = slots[order, band], (order + start).astype(np.int32)
            first = np.r_[True, sorted_slots[1:] != sorted_slots[:-1]]
            previous = np.r_[np.int32(-1), numbers[:-1]]
            self._next[numbers, band] = np.where(first, self._heads[band, sorted_slots], previous)
            self._heads[band, sorted_slots[np.r_[first[1:], True]]] = numbers[np.r_[first[1:], True]]
