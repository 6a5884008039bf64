"""Derivatives by differences: p + 1 evaluations of f, and half of the digits (Peyré 2020, §14.3.1)."""

from __future__ import annotations

from typing import Any

import array_api_extra as xpx

from xpsolve.arrays import Array, check_option, check_positive, is_array, namespace_of
from xpsolve.autodiff.arguments import Function, check_function, floating_arrays, single, with_numbers


def finite_difference(f: Function, x: Array, *, eps: float | None = None, scheme: str = "forward") -> Array:
    """The Jacobian of f by differences along each coordinate.

    Parameters
    ----------
    f : callable
        Array to array.
    x : array
        Where; floating.
    eps : float, optional
        Step relative to max(|x_j|, 1).  None balances truncation and rounding: the square root of the dtype's eps
        for "forward", its cube root for "central".
    scheme : str
        "forward" is (f(x + h e_j) − f(x))/h, p + 1 evaluations and an error of order h; "central" is
        (f(x + h e_j) − f(x − h e_j))/2h, 2p evaluations and h².

    Returns
    -------
    array
        The shape of f(x), then that of x: a gradient where f returns one number.

    Raises
    ------
    TypeError
        If x is not a floating array, or f returns none.
    ValueError
        If `eps` is not positive, or the scheme is unknown.

    See Also
    --------
    grad, jacfwd, jacrev : Exact derivatives.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.finite_difference(lambda x: x @ x, np.asarray([1.0, 2.0]), scheme="central").round(6)
    array([2., 4.])
    """
    check_option(scheme, "scheme", ("forward", "central"))
    check_function(f)
    (x,) = with_numbers([x], (0,))
    floating_arrays(single(x, "x"), "x", real=True)
    xp = namespace_of(x)
    if eps is None:
        eps = float(xp.finfo(x.dtype).eps) ** (1 / 2 if scheme == "forward" else 1 / 3)
    check_positive(eps, "eps")
    flat = xp.reshape(x, (-1,))
    size = xp.abs(flat)
    steps = eps * xp.maximum(size, xp.ones_like(size))
    above = flat + steps  # h is the difference that the sum really has
    below = flat - steps if scheme == "central" else flat
    start = None if scheme == "central" else _value(f, x)

    def at(j: int, moved: Array) -> Any:
        return _value(f, xp.reshape(xpx.at(flat)[j].set(moved[j], copy=True), x.shape))

    columns = [
        (at(j, above) - (at(j, below) if start is None else start)) / (above[j] - below[j])
        for j in range(flat.shape[0])
    ]
    out = columns[0]
    return xp.reshape(xp.stack(columns, axis=-1), (*out.shape, *x.shape))


def _value(f: Function, x: Array) -> Array:
    y = f(x)
    if is_array(y):
        return y
    xp = namespace_of(x)
    if hasattr(y, "dtype"):  # NumPy converted it to a scalar
        return xp.asarray(y)
    return single(y, "the result of f")
