"""The maximum smoothed at temperature ε, and its gradient (Boyd & Vandenberghe 2004, §3.1.5).

    LSE_ε(x) = ε log Σ_k exp(x_k/ε) → max_k x_k,     SM_ε(x) = ∇LSE_ε(x) → the indicator of the largest      (ε → 0)

Both are computed with the maximum subtracted, which changes neither and prevents overflow (Blanchard,
Higham & Higham 2021).
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, Namespace, cast, check_axis, check_positive, enter, is_array, lift
from xpsolve.capabilities import capabilities

_NOTHING = 1000.0  # exp(−1000) is 0 in every dtype; cutting there keeps (x − max)/ε from overflowing


@capabilities(batch="all other axes", grad="forward, reverse", numbers=("eps",))
def logsumexp(x: Array, *, eps: float = 1.0, axis: int = -1) -> Array:
    """ε log Σ exp(x/ε), the maximum along an axis smoothed at temperature ε.

    It lies between max(x) and max(x) + ε log n.

    Parameters
    ----------
    x : array
        Any shape; −∞ takes an entry out.
    eps : float
        Temperature ε > 0.
    axis : int
        The axis to sum along, which the result no longer has.

    Returns
    -------
    array
        In the dtype of x; −∞ where all entries are.

    Raises
    ------
    TypeError
        If x is not a real array, or eps not a number.
    ValueError
        If ε is not positive, or x has no such axis.

    See Also
    --------
    softmax : Its gradient.

    References
    ----------
    P. Blanchard, D. J. Higham & N. J. Higham, Accurately computing the log-sum-exp and softmax functions, IMA
    Journal of Numerical Analysis 41 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> round(float(xs.logsumexp(np.asarray([1000.0, 1000.0]))) - 1000, 6)
    0.693147
    >>> float(xs.logsumexp(np.asarray([1.0, 3.0, 2.0]), eps=1e-3))
    3.0
    """
    xp, x, scale = _enter(x, eps, axis)
    top = xp.max(x, axis=axis, keepdims=True)
    finite = xp.isfinite(top)
    terms = _exponentials(xp, x, xp.where(finite, top, xp.zeros_like(top)), scale)
    total = xp.sum(terms, axis=axis, keepdims=True)
    smooth = xp.log(xp.where(finite, total, xp.ones_like(total)))
    return xp.squeeze((smooth if scale is None else scale * smooth) + top, axis=axis)


@capabilities(batch="all other axes", grad="forward, reverse", numbers=("eps",))
def softmax(x: Array, *, eps: float = 1.0, axis: int = -1) -> Array:
    """exp(x/ε) / Σ exp(x/ε), the gradient of `logsumexp`: positive weights that sum to 1 along an axis.

    Parameters
    ----------
    x : array
        Any shape; −∞ gives the weight 0.
    eps : float
        Temperature ε > 0; towards 0 all weight goes to the largest entry.
    axis : int
        The axis along which weights sum to 1.

    Returns
    -------
    array
        In the shape and dtype of x.

    Raises
    ------
    TypeError
        If x is not a real array, or eps not a number.
    ValueError
        If ε is not positive, or x has no such axis.

    See Also
    --------
    logsumexp : The function whose gradient it is.

    References
    ----------
    P. Blanchard, D. J. Higham & N. J. Higham, Accurately computing the log-sum-exp and softmax functions, IMA
    Journal of Numerical Analysis 41 (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.softmax(np.asarray([0.0, 0.0, -1e4]))
    array([0.5, 0.5, 0. ])
    >>> xs.softmax(np.asarray([1.0, 3.0, 2.0]), eps=1e-3)
    array([0., 1., 0.])
    """
    xp, x, scale = _enter(x, eps, axis)
    weights = _exponentials(xp, x, xp.max(x, axis=axis, keepdims=True), scale)
    return weights / xp.sum(weights, axis=axis, keepdims=True)


def _enter(x: Array, eps: Any, axis: int) -> tuple[Namespace, Array, Any]:
    """ε is None for 1, with which nothing is multiplied, and a 0-d array where ``jax.jit`` traces it."""
    xp, (x,) = enter(x=x)
    eps = check_positive(eps, "eps", traced=True)
    check_axis(axis, "axis", x, "x")
    if is_array(eps):
        return xp, x, lift(xp, cast(eps, x.dtype))
    above = max(eps, float(xp.finfo(x.dtype).smallest_normal))
    return xp, x, None if eps == 1 else check_positive(above, "eps", dtype=x.dtype)


def _exponentials(xp: Namespace, x: Array, top: Array, eps: Any) -> Array:
    least = -_NOTHING if eps is None else -_NOTHING * eps
    below = xp.maximum(x - top, least if is_array(least) else xp.full_like(top, least))
    return xp.exp(below if eps is None else below / eps)
