"""Weighted means of rows, found block by block, and sums of products about them.

Of parts k of the rows with the sums of weights W_k and the means ā_k, b̄_k it is

    Σ w(a − ā)(b − b̄)ᵀ  =  Σ_k Σ_{i in k} w_i(a_i − ā_k)(b_i − b̄_k)ᵀ  +  Σ_k W_k(ā_k − ā)(b̄_k − b̄)ᵀ,

(Chan, Golub & LeVeque 1983): one pass finds it, and loses no digit where means are large beside the spread, as
Σ w a bᵀ − W ā b̄ᵀ would.
"""

from __future__ import annotations

from collections.abc import Sequence

from xpsolve.arrays.complex import real_dtype
from xpsolve.arrays.namespace import Array, namespace_of

Parts = tuple[Array, ...]


def row_means(weights: Array | None, *rows: Array) -> Parts:
    """W = Σ w, 0-d, and the weighted means of the rows of some arrays (n,) or (n, k); without weights these are 1.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import row_means
    >>> row_means(np.asarray([1.0, 3.0]), np.asarray([[0.0, 8.0], [4.0, 8.0]]))
    (array(4.), array([3., 8.]))
    """
    xp, like = namespace_of(rows[0]), rows[0]
    if weights is None:
        weights = xp.ones(like.shape[0], dtype=real_dtype(like))
    total = xp.asarray(xp.sum(weights))
    share = weights / xp.where(total > 0, total, xp.ones_like(total))
    return total, *(xp.asarray(share @ x) for x in rows)


def joined_means(parts: Sequence[Parts], rests: Sequence[Parts] | None = None) -> tuple[Parts, Parts, Parts]:
    """What `row_means` is of all rows, from that of parts of them; of each array √W_k(ā_k − ā), (K, p); and its rest.

    Rounding leaves a rest Σ w(a − ā)/W of a mean, which matters beside a small spread.  `rests` are those of the parts.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import joined_means, row_means
    >>> parts = [row_means(None, np.asarray([[1.0], [3.0]])), row_means(None, np.asarray([[8.0]]))]
    >>> (total, mean), (away,), _ = joined_means(parts)
    >>> float(total), mean, float((away * away).sum())  # of the squares about the mean, 26, these two have 2 within
    (3.0, array([4.]), 24.0)
    """
    xp = namespace_of(parts[0][0])
    totals, *means = (xp.stack(some) for some in zip(*parts, strict=True))
    left = [xp.zeros_like(each) for each in means] if rests is None else [xp.stack(e) for e in zip(*rests, strict=True)]
    total = xp.sum(totals)
    shares, roots = totals / xp.where(total > 0, total, xp.ones_like(total)), xp.sqrt(totals)
    found, away, rest = [xp.asarray(total)], [], []
    for each, more in zip(means, left, strict=True):
        m, e = (xp.reshape(x, (x.shape[0], -1)) for x in (each, more))
        mean = m[0, :] + shares @ (m - m[:1, :] + e)
        d = (m - mean) + e
        found.append(xp.reshape(mean, each.shape[1:]))
        away.append(roots[:, None] * d)
        rest.append(xp.reshape(shares @ d, each.shape[1:]))
    return tuple(found), tuple(away), tuple(rest)
