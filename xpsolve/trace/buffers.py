"""Which values of a program share a place in memory: one is free again after the last read of what lies in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from xpsolve.arrays import Array
from xpsolve.trace.passes import last_reads
from xpsolve.trace.program import Operation, Value

_ALIGNED = 64  # bytes: a line of the cache


class Plan:
    """Places for values, found in one pass over the operations.

    Parameters
    ----------
    operations : sequence of Operation
        In the order in which they run.
    written : set of Value
        The values that an operation writes to a given array, and that do not leave the program.
    over : mapping of Value to tuple of Value
        Arguments that such an operation may overwrite with its result: it reads each number before it writes there.
    shows : mapping of Value to iterable of Value
        In whose memory a value may lie, where it is not in memory of its own.
    """

    def __init__(
        self,
        operations: Iterable[Operation],
        written: set[Value],
        over: Mapping[Value, tuple[Value, ...]],
        shows: Mapping[Value, Iterable[Value]],
    ) -> None:
        operations = list(operations)
        self.place: dict[Value, int] = {}
        self.sizes: list[int] = []
        self._free: list[int] = []
        last = self._last_uses(operations, written, shows)
        ends: dict[int, list[Value]] = {}
        for value, i in last.items():
            ends.setdefault(i, []).append(value)
        for i, operation in enumerate(operations):
            ending = ends.get(i, [])
            for value in operation.makes():
                if value in written:
                    self._settle(value, [x for x in over.get(value, ()) if x in ending])
            taken = {self.place[value] for value in operation.makes() if value in self.place}
            self._free.extend({self.place[value] for value in ending} - taken)
            self._free.extend(self.place[v] for v in operation.makes() if v in self.place and v not in last)

    @staticmethod
    def _last_uses(
        operations: list[Operation], written: set[Value], shows: Mapping[Value, Iterable[Value]]
    ) -> dict[Value, int]:
        """The last read of each written value, by itself or by a value that lies in its memory."""
        owners: dict[Value, set[Value]] = {value: {value} for value in written}
        for operation in operations:
            for value in operation.makes():
                if value not in owners:
                    owners[value] = set().union(*(owners.get(x, set()) for x in shows.get(value, ())))
        found: dict[Value, int] = {}
        for value, i in last_reads(operations).items():
            for owner in owners.get(value, ()):
                found[owner] = max(i, found.get(owner, i))
        return found

    def _settle(self, value: Value, ending: list[Value]) -> None:
        for other in ending:
            if alike(other, value) and other in self.place:
                self.place[value] = self.place[other]
                return
        self.place[value] = self._taken(nbytes(value))

    def _taken(self, size: int) -> int:
        fitting = [place for place in self._free if self.sizes[place] >= size]
        if self._free:
            place = min(fitting, key=self.sizes.__getitem__) if fitting else max(self._free, key=self.sizes.__getitem__)
            self._free.remove(place)
            self.sizes[place] = max(size, self.sizes[place])
            return place
        self.sizes.append(size)
        return len(self.sizes) - 1

    def arrays(self) -> dict[Value, Array]:
        """The memory, as arrays of NumPy by the values that lie there."""
        places = [_reserved(size) for size in self.sizes]
        return {value: _as_array(places[place], value) for value, place in self.place.items()}


def nbytes(value: Value) -> int:
    """Bytes of the numbers of an array of NumPy."""
    return int(np.prod(value.shape, dtype=np.int64)) * int(value.dtype.itemsize)


def alike(a: Value, b: Value) -> bool:
    """Whether the numbers of both lie in memory in the same way."""
    return a.shape == b.shape and a.dtype.itemsize == b.dtype.itemsize and _strides(a) == _strides(b)


def _reserved(size: int) -> Array:
    raw = np.empty(size + _ALIGNED, np.uint8)
    start = -raw.ctypes.data % _ALIGNED
    return raw[start : start + size]


def _as_array(place: Array, value: Value) -> Array:
    return np.ndarray(value.shape, value.dtype, place, 0, tuple(s * value.dtype.itemsize for s in _strides(value)))


def _strides(value: Value) -> tuple[int, ...]:
    """Those that the library had chosen, where all numbers lie together; otherwise row by row."""
    given = value.strides
    if given is not None:
        expected = 1
        for stride, length in sorted((s, n) for s, n in zip(given, value.shape, strict=True) if n != 1):
            if stride != expected:
                break
            expected *= length
        else:
            return given
    return _by_rows(value.shape)


def lies_by_rows(value: Value) -> bool:
    """Whether the last axis is the fastest, and all numbers lie together."""
    return value.strides is None or _strides(value) == _by_rows(value.shape)


def is_matrix_for_blas(value: Value) -> bool:
    """Whether a matrix or vector lies row by row, or column by column."""
    strides = _strides(value) if value.strides is None else value.strides
    return strides in (_by_rows(value.shape), _by_rows(value.shape[::-1])[::-1])


def _by_rows(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= max(length, 1)
    return tuple(reversed(strides))
