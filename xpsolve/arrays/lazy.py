"""Lazy libraries, which plan operations and compute later, and when the plan is computed.

Every operation of such a library adds tasks to a plan, which costs far more than the arithmetic on small arrays does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays.namespace import Array, is_array, namespace_of
from xpsolve.arrays.native import native


@native
def settled(x: Array, *others: Array) -> tuple[Array, ...]:
    """The arrays themselves; a lazy library computes them here, once, for all later reads."""
    return (x, *others)


@settled.register("dask")
def _settled_dask(*arrays: Array) -> tuple[Array, ...]:
    import dask

    return tuple(dask.persist(*arrays))


def in_memory(solve: Callable[..., tuple[Any, ...]], *arrays: Array | None) -> tuple[Any, ...]:
    """``solve(*arrays)`` for a small problem of many steps: a lazy library computes the arrays first, all at once.

    Parameters
    ----------
    solve : callable
        Pure; takes arrays of any library and returns a tuple of arrays and numbers.  On Dask it gets NumPy arrays.
    *arrays : array or None
        Its arguments, not inside containers.  The first is an array.

    Returns
    -------
    tuple
        The result of `solve`, with arrays of the library of the arguments.

    Notes
    -----
    Arrays that wrap arrays are passed on as they are, so that every operation on them is counted and differentiated.

    Examples
    --------
    >>> import dask.array as da
    >>> from xpsolve.arrays import in_memory
    >>> half, kind = in_memory(lambda x: (x / 2, type(x).__module__), da.ones(3))
    >>> type(half).__module__, kind
    ('dask.array.core', 'numpy')
    """
    if type(arrays[0]) is np.ndarray or hasattr(namespace_of(arrays[0]), "inside"):
        return solve(*arrays)
    return _solved(*arrays, solve=solve)  # type: ignore[no-any-return]


@native
def _solved(*arrays: Array | None, solve: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
    return solve(*arrays)


@_solved.register("dask")
def _solved_dask(*arrays: Array | None, solve: Callable[..., tuple[Any, ...]]) -> tuple[Any, ...]:
    import dask
    import dask.array
    import numpy as np

    values = (np.asarray(x) if isinstance(x, np.generic) else x for x in dask.compute(*arrays))
    found = solve(*values)
    return tuple(dask.array.asarray(x) if is_array(x) or isinstance(x, np.generic) else x for x in found)
