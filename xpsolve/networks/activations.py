"""Pointwise nonlinearities x = ρ(a), whose derivatives are found from x alone, and maps to and on the simplex.

    relu max(a, 0)    leaky_relu max(a, a/100)    sigmoid 1/(1 + e^−a)    tanh    softplus log(1 + e^a)    identity

ρ′(a) from x: [x > 0], [x > 0] + [x ≤ 0]/100, x(1 − x), 1 − x², 1 − e^−x and 1, so that backpropagation keeps the
outputs and nothing else (Peyré 2020, §14.3.6).  At its kink a rectifier has the derivative from the left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import (
    MOST,
    Array,
    Namespace,
    check_axis,
    check_count,
    check_flag,
    check_option,
    check_positive,
    common_namespace,
    device_of,
    enter,
    holds,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.smooth_max import softmax

LEAK = 0.01  # the slope of leaky_relu below 0


@dataclass(frozen=True)
class Activation:
    """ρ and the transpose of its derivative, the latter from the output.

    Parameters
    ----------
    value : callable
        ``value(xp, a)`` is ρ(a).
    pull : callable
        ``pull(xp, x, g)`` is ρ′(a) ⊙ g, where x = ρ(a).  It may write to g, since fresh memory is what costs.
    """

    value: Callable[[Namespace, Array], Array]
    pull: Callable[[Namespace, Array, Array], Array]


def _relu(xp: Namespace, a: Array) -> Array:
    return xp.where(a <= 0, xp.zeros_like(a), a)  # a NaN stays a NaN


def _sigmoid(xp: Namespace, a: Array) -> Array:
    return xp.exp(xp.minimum(a, xp.zeros_like(a))) / (1 + xp.exp(-xp.abs(a)))  # no exponential overflows


def _pull_sigmoid(xp: Namespace, x: Array, g: Array) -> Array:
    g *= x
    g *= 1 - x
    return g


def _pull_tanh(xp: Namespace, x: Array, g: Array) -> Array:
    steep = g * x
    steep *= x
    g -= steep
    return g


def _pull_softplus(xp: Namespace, x: Array, g: Array) -> Array:
    g *= -xp.expm1(-x)
    return g


ACTIVATIONS = {
    "relu": Activation(_relu, lambda xp, x, g: xp.where(x > 0, g, xp.zeros_like(g))),
    "leaky_relu": Activation(lambda xp, a: xp.where(a > 0, a, LEAK * a), lambda xp, x, g: xp.where(x > 0, g, LEAK * g)),
    "sigmoid": Activation(_sigmoid, _pull_sigmoid),
    "tanh": Activation(lambda xp, a: xp.tanh(a), _pull_tanh),
    "softplus": Activation(lambda xp, a: xp.logaddexp(a, xp.zeros_like(a)), _pull_softplus),
    "identity": Activation(lambda xp, a: a, lambda xp, x, g: g),
}
"""By name, for `mlp_forward` and `mlp_backward`."""


def _apply(name: str, x: Array) -> Array:
    xp, (x,) = enter(x=x)
    return ACTIVATIONS[name].value(xp, x)


@capabilities(batch="entries", grad="forward, reverse")
def relu(x: Array) -> Array:
    """max(x, 0), with the derivative 0 at 0.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        Like x.

    Raises
    ------
    TypeError
        If x is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.relu(np.asarray([-1.0, 2.0]))
    array([0., 2.])
    """
    return _apply("relu", x)


@capabilities(batch="entries", grad="forward, reverse")
def leaky_relu(x: Array) -> Array:
    """max(x, x/100), with the derivative 1/100 at 0.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        Like x.

    Raises
    ------
    TypeError
        If x is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.leaky_relu(np.asarray([-1.0, 2.0]))
    array([-0.01,  2.  ])
    """
    return _apply("leaky_relu", x)


@capabilities(batch="entries", grad="forward, reverse")
def sigmoid(x: Array) -> Array:
    """1/(1 + e^−x), to full relative accuracy on both sides.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        Like x.

    Raises
    ------
    TypeError
        If x is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.sigmoid(np.asarray([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    return _apply("sigmoid", x)


@capabilities(batch="entries", grad="forward, reverse")
def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        Like x.

    Raises
    ------
    TypeError
        If x is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.tanh(np.asarray([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    return _apply("tanh", x)


@capabilities(batch="entries", grad="forward, reverse")
def softplus(x: Array) -> Array:
    """log(1 + e^x), a smooth max(x, 0).

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        Like x.

    Raises
    ------
    TypeError
        If x is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.softplus(np.asarray([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """
    return _apply("softplus", x)


@capabilities(batch="entries", grad="forward, reverse")
def identity(x: Array) -> Array:
    """x itself, for layers that are linear.

    Parameters
    ----------
    x : array
        Any shape.

    Returns
    -------
    array
        x, in the default real dtype where its own is not real floating.

    Raises
    ------
    TypeError
        If x is not a real array.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.identity(np.asarray([-1.0, 2.0]))
    array([-1.,  2.])
    """
    return _apply("identity", x)


@capabilities(batch="leading axes")
def softmax_jacobian(x: Array) -> Array:
    """diag(p) − ppᵀ, the derivative of p = softmax(x): dense, where that of an activation is diagonal.

    Parameters
    ----------
    x : array, shape (…, m)
        Where to take it.

    Returns
    -------
    array, shape (…, m, m)
        Symmetric and positive semidefinite; its rows sum to 0.

    Raises
    ------
    TypeError
        If x is not a real array.
    ValueError
        If x has no axis, or its last one is empty.

    See Also
    --------
    xpsolve.networks.softmax_vjp : Its product with vectors, without the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.softmax_jacobian(np.asarray([0.0, 0.0]))
    array([[ 0.25, -0.25],
           [-0.25,  0.25]])
    """
    xp, (x,) = enter(x=x)
    _check_last_axis(x)
    p = softmax(x)
    eye = xp.eye(x.shape[-1], dtype=x.dtype, device=device_of(x))
    column = xp.expand_dims(p, axis=-1)
    return column * (eye - xp.expand_dims(p, axis=-2))


@capabilities(batch="leading axes")
def softmax_vjp(x: Array, g: Array) -> Array:
    """(diag(p) − ppᵀ)g = p ⊙ (g − ⟨p, g⟩) with p = softmax(x), in O(m) instead of O(m²).

    Parameters
    ----------
    x : array, shape (…, m)
        Where to take the derivative.
    g : array, shape (…, m)
        The vectors; the matrix is symmetric, so that this is its transpose too.

    Returns
    -------
    array, shape (…, m)
        The product.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes differ, or devices are mixed.

    See Also
    --------
    softmax_jacobian : The matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.softmax_vjp(np.asarray([0.0, 0.0]), np.asarray([4.0, 0.0]))
    array([ 1., -1.])
    """
    xp, (x, g) = enter(x=x, g=g)
    if g.shape != x.shape:
        message = f"g: expected the shape of x, {tuple(x.shape)}, got {tuple(g.shape)}."
        raise ValueError(message)
    _check_last_axis(x)
    p = softmax(x)
    return p * (g - xp.sum(p * g, axis=-1, keepdims=True))


def _check_last_axis(x: Array) -> None:
    if not x.ndim or not x.shape[-1]:
        message = f"x: expected shape (…, m) with m at least 1, got shape {tuple(x.shape)}."
        raise ValueError(message)


@capabilities(syncs=1, batch="entries")
def one_hot(labels: Array, m: int, *, check_labels: bool = True) -> Array:
    """Class k as the unit vector e_k, a corner of the simplex in m dimensions.

    Parameters
    ----------
    labels : array of integers, shape (…)
        Classes in 0 … m − 1.
    m : int
        How many there are.
    check_labels : bool
        Whether to check for other numbers first, which costs one host read; without it they give zeros.

    Returns
    -------
    array, shape (…, m)
        In the default real dtype.

    Raises
    ------
    TypeError
        If labels are not an array of integers, or m is not an integer.
    ValueError
        If m is not positive, or a label is outside 0 … m − 1.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.one_hot(np.asarray([2, 0]), 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    xp = common_namespace(labels=labels)
    check_flag(check_labels, "check_labels")
    if not xp.isdtype(labels.dtype, "integral"):
        message = f"labels: expected an array of integers, got dtype {labels.dtype}. Convert it with astype."
        raise TypeError(message)
    check_count(m, "m", 1, MOST)
    most = int(xp.iinfo(labels.dtype).max)
    if m - 1 > most:
        message = f"m: expected at most {most + 1}, since labels are of dtype {labels.dtype}, got {m}."
        raise ValueError(message)
    if check_labels and not holds(xp.all((labels >= 0) & (labels < m))):
        message = (
            f"labels: expected classes in 0 … {m - 1}, got one outside. Number classes from 0 on, or raise m = {m}."
        )
        raise ValueError(message)
    device = device_of(labels)
    dtype = xp.__array_namespace_info__().default_dtypes(device=device)["real floating"]
    classes = xp.arange(m, dtype=labels.dtype, device=device)
    return xp.astype(xp.expand_dims(labels, axis=-1) == classes, dtype)


@capabilities(backends=EAGER, batch="all other axes", numbers=("total",))
def project_simplex(x: Array, *, total: float = 1.0, axis: int = -1) -> Array:
    """The nearest point of the simplex {p ≥ 0, Σp = total}: max(x − θ, 0) for the right θ.

    With x sorted downwards, θ = max_k (x_(1) + … + x_(k) − total)/k, where other texts search the last k with
    x_(k) > θ_k: θ_k rises up to there and falls beyond.

    Parameters
    ----------
    x : array
        Any shape.
    total : float
        The sum of the entries, > 0.
    axis : int
        The axis of the sum.

    Returns
    -------
    array
        In the shape and dtype of x.

    Raises
    ------
    TypeError
        If x is not a real array, or total not a number.
    ValueError
        If total is not positive, or x has no such axis.

    References
    ----------
    J. Duchi, S. Shalev-Shwartz, Y. Singer & T. Chandra, Efficient projections onto the ℓ1-ball for learning in high
    dimensions, ICML (2008).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> xs.networks.project_simplex(np.asarray([1.5, 1.0, -3.0]))
    array([0.75, 0.25, 0.  ])
    """
    xp, (x,) = enter(x=x)
    total = check_positive(total, "total", dtype=x.dtype, traced=True)
    check_axis(axis, "axis", x, "x")
    x = xp.moveaxis(x, axis, -1)
    x = x - xp.max(x, axis=-1, keepdims=True)  # a shift along (1, …, 1) changes no projection and saves digits
    k = xp.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=device_of(x))
    sums = xp.cumulative_sum(xp.sort(x, axis=-1, descending=True), axis=-1)
    theta = xp.max((sums - total) / k, axis=-1, keepdims=True)
    return xp.moveaxis(xp.maximum(x - theta, xp.zeros_like(x)), -1, axis)


def activation_of(name: Any, argument: str) -> Activation:
    """The activation called `name`."""
    check_option(name, argument, tuple(ACTIVATIONS))
    return ACTIVATIONS[name]
