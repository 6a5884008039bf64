"""Orthogonal wavelets of Daubechies on periodic signals, pictures and volumes (Mallat 2009, §7.3 and §7.7).

One level splits an axis of n = 2h places into h means and h details by a low-pass filter h_m and its mirror
g_m = (−1)ᵐ h_{2N−1−m}:

    a[k] = Σ_m h_m x[2k + m mod n],      d[k] = Σ_m g_m x[2k + m mod n]

which is an orthogonal matrix for every even n.  The next level splits the means alone, of all axes.  The transform and
its inverse are the same computation: shifted copies of pairs, multiplied by a matrix (2, 2N).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpsolve.arrays import Array, Namespace, check_count, device_of, namespace_of
from xpsolve.operators._daubechies import MOST_MOMENTS, daubechies
from xpsolve.operators._sides import sides
from xpsolve.operators.base import LinearOperator, as_floating


class Wavelet(LinearOperator):
    """The orthogonal wavelet transform of a picture: W x are its coefficients, and Wᵀ, the inverse, is synthesis.

    x is the picture flattened row after row, periodic along each axis.  ``reshape(W @ x, shape)`` has the means of the
    coarsest level in its first corner, of sides ``n / 2**levels``, and around it the details from coarse to fine
    (Mallat's layout).  Columns of a matrix (p, k) are k pictures.  The operator has no array of its own and computes in
    the library, on the device and in the dtype of x; integers become real numbers.

    A picture x = Wᵀc with few coefficients c is found by ``xs.lasso(A @ W.T, y, lam)``.

    Parameters
    ----------
    shape : int or tuple of int
        Sides of the signal, picture or volume; 2**levels divides each.
    order : int
        Vanishing moments N: details of polynomials of degree below N are 0, away from the boundary.  1 is Haar.
        Filters have 2N coefficients.  At most 20.
    levels : int, optional
        How often the means are split.  As often as the sides can be halved if None.

    Raises
    ------
    TypeError
        If a side, `order` or `levels` is not an integer.
    ValueError
        If they are out of range, or the sides cannot be halved so often.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> W = xs.operators.Wavelet(8)
    >>> (W @ np.asarray([1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0])).round(6) + 0.0
    array([ 8.485281, -5.656854,  0.      ,  0.      ,  0.      ,  0.      ,
            0.      ,  0.      ])
    >>> W = xs.operators.Wavelet((4, 8), order=2, levels=1)
    >>> x = np.arange(32.0)
    >>> bool(np.allclose(W.T @ (W @ x), x))
    True
    """

    def __init__(self, shape: int | tuple[int, ...], order: int = 1, levels: int | None = None) -> None:
        self.space = sides(shape)
        self.order = check_count(order, "order", 1, MOST_MOMENTS)
        most = min(halvings(n) for n in self.space)
        if levels is None and most == 0:
            message = (
                f"shape: expected even sides, got {self.space}. Cut or extend the picture, or give levels=0 for the "
                f"identity."
            )
            raise ValueError(message)
        self.levels = most if levels is None else check_count(levels, "levels", 0)
        if self.levels > most:
            message = f"levels: expected at most {most}, as often as {self.space} can be halved, got {levels}."
            raise ValueError(message)
        p = math.prod(self.space)
        super().__init__((p, p))

    def exact_norm(self) -> float:
        """1, as the transform is orthogonal."""
        return 1.0

    def _matvec(self, x: Array) -> Array:
        x = as_floating(x, "x")
        xp, dim = namespace_of(x), len(self.space)
        F = _placed(_analysis(self.order), x)
        block = xp.reshape(x, (*self.space, *x.shape[1:]))
        done: list[Array] = []
        for level in range(self.levels):
            if level:
                done.append(block)
                block = block[_corner(block, dim)]
            for axis in range(dim):
                block = _one_level(xp, block, axis, F)
        for outer in reversed(done):
            block = _with_corner(xp, outer, block, dim)
        return xp.reshape(block, x.shape)

    def _rmatvec(self, y: Array) -> Array:
        y = as_floating(y, "y")
        xp, dim = namespace_of(y), len(self.space)
        F = _placed(_synthesis(self.order), y)
        blocks = [xp.reshape(y, (*self.space, *y.shape[1:]))]
        for _ in range(1, self.levels):
            blocks.append(blocks[-1][_corner(blocks[-1], dim)])
        block = blocks[-1]
        for level in reversed(range(self.levels)):
            if block is not blocks[level]:
                block = _with_corner(xp, blocks[level], block, dim)
            for axis in range(dim):
                block = _one_level(xp, block, axis, F, back=True)
        return xp.reshape(block, y.shape)


def halvings(n: int) -> int:
    """How often n can be halved."""
    return (n & -n).bit_length() - 1


_Filters = NDArray[np.float64]


def _analysis(order: int) -> _Filters:
    """Rows h and g, (2, 2N)."""
    h = daubechies(order)
    g = h[::-1] * (-1.0) ** np.arange(2 * order)
    return np.stack([h, g])


def _synthesis(order: int) -> _Filters:
    """Its adjoint: from means and details at k − N + 1, …, k to both places of the pair k, (2, 2N)."""
    F = _analysis(order).reshape(2, order, 2)
    return F[:, ::-1, :].transpose(2, 1, 0).reshape(2, -1)


def _placed(host: _Filters, like: Array) -> Array:
    return namespace_of(like).asarray(host, dtype=like.dtype, device=device_of(like))


def _one_level(xp: Namespace, T: Array, axis: int, F: Array, *, back: bool = False) -> Array:
    """One axis of T split into means and details, means first; or `back`."""
    shape, N = tuple(T.shape), F.shape[1] // 2
    before, h, after = math.prod(shape[:axis]), shape[axis] // 2, math.prod(shape[axis + 1 :])
    if back:
        pairs = xp.permute_dims(xp.reshape(T, (before, 2, h, after)), (0, 2, 1, 3))
    else:
        pairs = xp.reshape(T, (before, h, 2, after))
    if N > 1:
        pairs = xp.concat(_round(pairs, h, N - 1, back=back), axis=1)
    shifted = xp.stack([pairs[:, s : s + h, r, :] for s in range(N) for r in range(2)])
    split = xp.reshape(F @ xp.reshape(shifted, (2 * N, -1)), (2, before, h, after))
    return xp.reshape(xp.permute_dims(split, (1, 2, 0, 3) if back else (1, 0, 2, 3)), shape)


def _round(pairs: Array, h: int, more: int, *, back: bool) -> list[Array]:
    """The h pairs and some more, continued periodically at the end, or before the beginning."""
    times, rest = divmod(more, h)
    whole = [pairs] * (times + 1)
    if rest == 0:
        return whole
    return [pairs[:, h - rest :, ...], *whole] if back else [*whole, pairs[:, :rest, ...]]


def _corner(block: Array, dim: int) -> tuple[Any, ...]:
    """The index of its first half along each axis of the picture."""
    return (*(slice(0, n // 2) for n in block.shape[:dim]), ...)


def _with_corner(xp: Namespace, block: Array, corner: Array, dim: int) -> Array:
    """The block with another first corner."""
    halves = tuple(n // 2 for n in block.shape[:dim])
    for axis in reversed(range(dim)):
        index = (*(slice(0, n) for n in halves[:axis]), slice(halves[axis], None), ...)
        corner = xp.concat([corner, block[index]], axis=axis)
    return corner
