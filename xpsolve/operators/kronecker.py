"""Kronecker products, and orthonormal bases for them: cosines and Haar wavelets (Mallat 2009, §7.7 and §8.3).

(A ⊗ B) x is A X Bᵀ for x with the entries of X row after row: a basis of pictures costs one product along each axis,
and no matrix of the picture's size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpsolve.arrays import (
    Array,
    adjoint,
    cast,
    check_count,
    device_of,
    enter,
    enter_numbers,
    is_complex,
    largest_singular_value,
    namespace_of,
)
from xpsolve.operators.base import LinearOperator
from xpsolve.operators.wavelet import Wavelet, halvings


class Kronecker(LinearOperator):
    """A_1 ⊗ … ⊗ A_d: each matrix along its own axis of an array that is flattened row after row.

    Parameters
    ----------
    *matrices : array, shape (n_i, p_i)
        One for each axis.

    Raises
    ------
    TypeError
        If one is not an array, or libraries are mixed.
    ValueError
        If there is none, or one is not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, B = np.asarray([[1.0, 1.0], [0.0, 1.0]]), np.asarray([[1.0, 2.0]])
    >>> xs.Kronecker(A, B) @ np.asarray([1.0, 2.0, 3.0, 4.0])
    array([16., 11.])
    >>> np.kron(A, B) @ np.asarray([1.0, 2.0, 3.0, 4.0])
    array([16., 11.])
    """

    def __init__(self, *matrices: Array) -> None:
        if not matrices:
            message = "matrices: expected at least one."
            raise ValueError(message)
        _, arrays = enter_numbers(**{f"matrices[{i}]": A for i, A in enumerate(matrices)})
        for i, A in enumerate(arrays):
            if A.ndim != 2:
                message = f"matrices[{i}]: expected a matrix (n, p), got shape {tuple(A.shape)}."
                raise ValueError(message)
        self.matrices = tuple(arrays)
        super().__init__((math.prod(A.shape[0] for A in arrays), math.prod(A.shape[1] for A in arrays)))

    @property
    def like(self) -> Array:
        """The first matrix."""
        return self.matrices[0]

    def exact_norm(self) -> Array:
        """The product of the norms of the matrices."""
        return reduce(lambda a, b: a * b, map(largest_singular_value, self.matrices))

    def _matvec(self, x: Array) -> Array:
        return _along_axes(self.matrices, x)

    def _rmatvec(self, y: Array) -> Array:
        return _along_axes(tuple(adjoint(A) for A in self.matrices), y)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Kronecker:
        return Kronecker(*map(function, self.matrices))


def _along_axes(matrices: tuple[Array, ...], x: Array) -> Array:
    """The first axis is multiplied and goes to the end, d times; then the columns of x are first.

    ZᵀAᵀ lies in memory as the next product reads it, which (AZ)ᵀ does not.
    """
    xp = namespace_of(x)
    Z = cast(x, xp.result_type(matrices[0].dtype, x.dtype)) if is_complex(matrices[0]) else x
    for A in matrices:
        A = cast(A, Z.dtype) if is_complex(Z) else A
        Z = xp.reshape(Z, (A.shape[1], -1)).T @ A.T
    return xp.reshape(Z, (-1,)) if x.ndim == 1 else xp.reshape(Z, (x.shape[1], -1)).T


def cosine_basis(n: int, *, block: int | None = None, like: Array | None = None) -> Array:
    """Cosines cos(πk(j + ½)/n), normalised: the inverse of the discrete cosine transform.

    Parameters
    ----------
    n : int
        Length of the signals.
    block : int, optional
        Length of the blocks that have cosines each of their own; it divides n.  One block if None.
    like : array, optional
        Shows library, device and dtype; a NumPy array of float64 if None.

    Returns
    -------
    array, shape (n, n)
        Orthonormal; column k is the cosine of frequency k, block after block.

    Raises
    ------
    TypeError
        If a length is not an integer, or like no real array.
    ValueError
        If a length is less than 1, or blocks do not fill n.

    Examples
    --------
    >>> from xpsolve.operators import cosine_basis
    >>> cosine_basis(2).round(4)
    array([[ 0.7071,  0.7071],
           [ 0.7071, -0.7071]])
    """
    n = check_count(n, "n", 1)
    length = n if block is None else block
    check_count(length, "block", 1)
    if n % length:
        message = f"block: expected a divisor of n = {n}, got {block}."
        raise ValueError(message)
    j = np.arange(length)
    C = np.cos(np.pi * np.outer(j + 0.5, j) / length) * np.sqrt(2 / length)
    C[:, 0] /= np.sqrt(2)
    return _placed(np.kron(np.eye(n // length), C), like)


def haar_basis(n: int, *, levels: int | None = None, like: Array | None = None) -> Array:
    """Haar's wavelets, normalised: steps from + to − at places and widths that halve, and means.

    It is the matrix of ``Wavelet(n, 1, levels).T``, for `Kronecker`.

    Parameters
    ----------
    n : int
        Length of the signals.
    levels : int, optional
        How often widths halve; 2**levels divides n.  As often as n can be halved if None.
    like : array, optional
        Shows library, device and dtype; a NumPy array of float64 if None.

    Returns
    -------
    array, shape (n, n)
        Orthonormal; means come first, then wavelets from wide to narrow.

    Raises
    ------
    TypeError
        If n or levels is not an integer, or like no real array.
    ValueError
        If n is less than 1, or cannot be halved so often.

    Examples
    --------
    >>> from xpsolve.operators import haar_basis
    >>> haar_basis(4).round(4)[:, :3] + 0.0
    array([[ 0.5   ,  0.5   ,  0.7071],
           [ 0.5   ,  0.5   , -0.7071],
           [ 0.5   , -0.5   ,  0.    ],
           [ 0.5   , -0.5   ,  0.    ]])
    """
    n = check_count(n, "n", 1)
    W = Wavelet(n, 1, halvings(n) if levels is None else levels)
    return _placed(W.rmatvec(np.eye(n)), like)


def _placed(host: NDArray[np.float64], like: Array | None) -> Array:
    if like is None:
        return host
    _, (like,) = enter(like=like)
    return namespace_of(like).asarray(host, dtype=like.dtype, device=device_of(like))
