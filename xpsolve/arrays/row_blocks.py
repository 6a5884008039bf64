"""Sums over the rows of a tall matrix, in one pass and in blocks of rows, so that nothing of its size is made.

Σ_i f(A_i, y_i) over blocks of rows is all that a least-squares problem with many more rows than columns needs of its
data: the Gram matrix is Σ A_iᵀA_i, a gradient Σ A_iᵀ(A_i x − y_i).  So is the triangular factor R of A = QR, which
is that of the factors of the blocks, one below the other (TSQR: Demmel, Grigori, Hoemmen & Langou 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xpsolve.arrays.linalg import gram
from xpsolve.arrays.namespace import Array, namespace_of
from xpsolve.arrays.native import composed

_BLOCK = 2**24  # bytes of a block of a NumPy array

Parts = tuple[Array, ...]


def row_sums(f: Callable[..., Parts], A: Array, *rows: Array, small: Sequence[Array] = ()) -> Parts:
    """Σ_i f(A_i, *rows_i, *small) over blocks i of rows, in one pass over A.

    NumPy goes in a loop over blocks of 16 MB, so that an A on a disk (``np.memmap``) is never in memory as a whole.
    What has ``row_blocks()``, as `xpsolve.Rows` has, is gone through once, in the blocks that this yields.
    Dask calls f once for each chunk of rows, in one task with what makes the chunk, adds the results as a tree, and
    computes the sums at once.  Other libraries call f once with the whole.

    Parameters
    ----------
    f : callable
        Pure, and additive in the rows: its sum over blocks does not depend on the blocks.  It takes a block of A, the
        same rows of `rows`, and `small`, and returns a tuple of arrays.  On Dask it gets what the chunks are, mostly
        NumPy arrays, and for a cluster it must be picklable.
    A : array, shape (n, p)
        The matrix.
    *rows : array, shape (n,) or (n, k)
        What has as many rows.
    small : sequence of array
        What every block needs: arrays of the library of A; beside an A of Dask NumPy arrays.

    Returns
    -------
    tuple of array
        The sums; of Dask arrays in memory, as NumPy arrays.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import row_sums
    >>> row_sums(lambda A, y: (A.T @ A, A.T @ y), np.eye(3)[:, :2], np.ones(3))
    (array([[1., 0.],
           [0., 1.]]), array([1., 1.]))
    """
    return row_reduce(f, _added, A, *rows, small=small)


def row_reduce(
    f: Callable[..., Parts],
    merged: Callable[[Sequence[Parts]], Parts],
    A: Array,
    *rows: Array,
    small: Sequence[Array] = (),
) -> Parts:
    """The same where `merged` says what becomes of the tuples of some blocks: a tuple of the same kind.

    In both NumPy does not warn of overflow, in whatever thread they run: what is not finite is seen in the result.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import row_reduce
    >>> row_reduce(lambda A: (A.max(),), lambda parts: (max(x for (x,) in parts),), np.eye(2))
    (np.float64(1.0),)
    """
    small = tuple(small)
    f, merged = partial(_quietly, f), partial(_quietly, merged)
    if hasattr(A, "row_blocks"):
        return _over(A.row_blocks(), rows, small, f, merged)
    found: Parts = _by_blocks(A, rows, small, f, merged)
    return found


def row_triangle(A: Array, *rows: Array, made: Callable[..., Parts] | None = None) -> Array:
    """The upper triangular R of [A Y] = QR, (min(n, p + k), p + k), in one pass; its first p columns hold that of A.

    Y is `rows`, or not there.  With R = [[R_A, QᵀY], [0, …]] the problem min ‖R_A x − QᵀY‖ has the answer of
    min ‖Ax − Y‖, without squares of small singular values.  Of Dask arrays it is in memory, as a NumPy array.  Blocks
    are those of A and `rows`, or what `made` makes of them.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import row_triangle
    >>> abs(row_triangle(np.asarray([[3.0], [4.0]]), np.asarray([[3.0], [4.0]]))[0, :])
    array([5., 5.])
    """
    triangle = _triangle if made is None else partial(_triangle_of_made, made)
    (R,) = row_reduce(triangle, _triangle_of_triangles, A, *rows)
    return R


@composed
def weighted_gram(A: Array, roots: Array, made: Callable[[Array], Array] | None = None) -> Array:
    """AᴴWA with W = diag(roots²), roots (n,), of A or what `made` makes of its rows; NumPy goes block by block."""
    return gram(roots[:, None] * (A if made is None else made(A)))


@weighted_gram.register("numpy")
def _weighted_gram_numpy(A: Array, roots: Array, made: Callable[[Array], Array] | None = None) -> Array:
    (G,) = row_sums(lambda A, roots: (weighted_gram.standard(A, roots, made),), A, roots)
    return G


def _quietly(f: Callable[..., Parts], *args: Any) -> Parts:
    with np.errstate(over="ignore", invalid="ignore"):
        return f(*args)


def _added(parts: Sequence[Parts]) -> Parts:
    return tuple(sum(terms[1:], terms[0]) for terms in zip(*parts, strict=True))


def _triangle(*blocks: Array) -> Parts:
    return (_factor(namespace_of(blocks[0]).concat(blocks, axis=1)),)


def _triangle_of_made(made: Callable[..., Parts], *blocks: Array) -> Parts:
    return _triangle(*made(*blocks))


def _triangle_of_triangles(parts: Sequence[Parts]) -> Parts:
    return (_factor(namespace_of(parts[0][0]).concat([R for (R,) in parts], axis=0)),)


def _factor(A: Array) -> Array:
    return np.linalg.qr(A, mode="r") if type(A) is np.ndarray else namespace_of(A).linalg.qr(A)[1]


@composed
def _by_blocks(A: Array, rows: Parts, small: Parts, f: Callable[..., Parts], merged: Callable[..., Parts]) -> Parts:
    """f of every block of rows, merged; the libraries not named below have one block."""
    return f(A, *rows, *small)


@_by_blocks.register("numpy")
def _by_blocks_numpy(
    A: Array, rows: Parts, small: Parts, f: Callable[..., Parts], merged: Callable[..., Parts]
) -> Parts:
    if A.nbytes <= _BLOCK:
        return f(A, *rows, *small)
    n = A.shape[0]
    step = max(1, n * _BLOCK // A.nbytes)
    return _over((A[i : i + step] for i in range(0, n, step)), rows, small, f, merged)


def _over(
    blocks: Iterable[Array], rows: Parts, small: Parts, f: Callable[..., Parts], merged: Callable[..., Parts]
) -> Parts:
    """The blocks one after another, with the rows beside them."""
    total, start = None, 0
    for block in blocks:
        stop = start + block.shape[0]
        part = f(block, *(y[start:stop, ...] for y in rows), *small)
        total, start = part if total is None else merged([total, part]), stop
    assert total is not None
    return total


@_by_blocks.register("dask")
def _by_blocks_dask(
    A: Array, rows: Parts, small: Parts, f: Callable[..., Parts], merged: Callable[..., Parts]
) -> Parts:
    from xpsolve.arrays.dask_rows import reduced

    return reduced(A, rows, small, f, merged)
