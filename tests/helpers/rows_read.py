"""Rows of data in chunks of Dask that are made anew whenever they are read, which is counted."""

import dask.array as da
import numpy as np


class Source:
    """The rows of `values` as an array of Dask.

    Parameters
    ----------
    values : array, shape (n, q)
        Rows.
    rows : int
        In each chunk; a divisor of n.
    """

    def __init__(self, values, rows):
        self.values = values
        self._chunks = len(values) // rows
        index = da.from_array(np.arange(len(values)), chunks=rows)
        chunks = (index.chunks[0], (values.shape[1],))
        self.array = index.map_blocks(self.read, new_axis=1, chunks=chunks, dtype=values.dtype)
        self.calls = 0

    def read(self, index):
        if not len(index):  # Dask asks for the kind of a chunk
            return self.values[:0]
        self.calls += 1
        return self.values[index]

    @property
    def passes(self):
        """How often all rows were read since `calls` was 0."""
        found = self.calls / self._chunks
        assert found == int(found)
        return int(found)
