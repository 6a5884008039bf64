"""Gradient descent and Newton's method on few numbers in compiled loops, for NumPy arrays.

A step on few samples is some dozen calls, each of which takes longer than what it computes.  The steps are those of
`gradient_descent` and `newton`, to rounding, for the losses with one margin a sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays import limits_of
from xpsolve.arrays.numba_loop import can_compile_small, fixed, numba_loop
from xpsolve.operators import Dense
from xpsolve.stochastic.compiled_steps import loss_of, why_not
from xpsolve.stochastic.linear_model import LinearModel

_MOST = 1 << 14  # entries of A up to which its products in a loop take less time than calls
_MOST_HESSIAN = 1 << 18  # np² up to which AᵀDA does

_MOMENTA = {None: 0, "heavy_ball": 1, "nesterov": 2}

Several = Callable[[Any, int], Any]


def several_descents(f: Any, first: Any, momentum: str | None, tau: Any, beta: Any) -> Several | None:
    """``several(state, n)`` for n steps of gradient descent at once; None where no loop takes them, or not faster.

    In the state that it returns g is ∇f(x), also for Nesterov's momentum.

    Parameters
    ----------
    f : LinearModel
        The objective.
    first : tuple
        The first state, with x, g, z and t.
    momentum : {None, "heavy_ball", "nesterov"}
        As in `gradient_descent`.
    tau, beta : array, 0-d
        The step; β of the heavy ball, or q of Nesterov's momentum.
    """
    model = _model(f, first, _MOST, tau, beta)
    if model is None:
        return None
    given = (*model, tau[()], beta[()], _MOMENTA[momentum])

    def several(s: Any, steps: int) -> Any:
        x, g, z = (np.array(part) for part in (s.x, s.g, s.z))
        t = _descend(*given, x, g, z, s.t[()], steps)
        return s._replace(x=x, g=g, z=z, t=np.asarray(t, x.dtype))

    return several


def several_newtons(f: Any, first: Any) -> Several | None:
    """The same for steps of Newton's method with a Cholesky factor, on states with x, g, value and t."""
    model = _model(f, first, min(_MOST, _MOST_HESSIAN // first.x.shape[0]))
    if model is None:
        return None
    eps = limits_of(f.y).eps
    given = (*model, *map(f.y.dtype.type, (10 * f.shape[0] * eps, 8 * eps)))

    def several(s: Any, steps: int) -> Any:
        x, g = np.array(s.x), np.array(s.g)
        numbers = _newton(*given, x, g, s.value[()], s.t[()], steps)
        value, t = (np.asarray(number, x.dtype) for number in numbers)
        return s._replace(x=x, g=g, value=value, t=t)

    return several


def _model(f: Any, first: Any, most: int, *others: Any) -> tuple[Any, ...] | None:
    """Aᵀ, y, weights, loss and λ for a loop, where A has at most so many entries and all are plain NumPy arrays."""
    A: Any = getattr(f, "operator", None)
    plain = isinstance(f, LinearModel) and isinstance(A, Dense) and f.y.ndim == 1 and f.lam.ndim == 0
    if not plain or A.shape[1] > A.shape[0] or A.shape[0] * A.shape[1] > most:
        return None
    if not all(isinstance(x, np.ndarray | np.generic) for x in (first.x, f.lam, *others)):
        return None  # another library, or followed by a derivative
    if not can_compile_small() or why_not(f):
        return None
    weights = f.y[:0] if f.weights is None else f.weights
    return (*(fixed(np.ascontiguousarray(x)) for x in (A.A.T, f.y, weights)), *loss_of(f), f.lam[()])


# --- the loops: `columns` is Aᵀ (p, n), y (n,), w (n,) or empty, and s room for n numbers


def _slope(s: Any, y: Any, loss: Any, delta: Any, largest: Any) -> Any:
    """ℓ′ at the margin s of a sample."""
    if loss == 2:
        margin = y * s
        return y / (-(delta * 0 + 1) - math.exp(largest if margin > largest else margin))
    r = s - y
    if loss == 1:
        r = delta if r > delta else -delta if r < -delta else r
    return r


def _curvature(s: Any, y: Any, loss: Any, delta: Any) -> Any:
    """ℓ″ at the margin s of a sample."""
    one = delta * 0 + 1
    if loss == 2:
        e = math.exp(-abs(s))
        return e / ((1 + e) * (1 + e))
    return one if loss == 0 or abs(s - y) <= delta else 0 * one


def _loss(s: Any, y: Any, loss: Any, delta: Any) -> Any:
    """ℓ at the margin s of a sample."""
    if loss == 2:
        size = abs(y * s)
        return (size - y * s) / 2 + math.log1p(math.exp(-size))
    r = abs(s - y)
    d = delta if loss == 1 and r > delta else r
    return d * (r - d / 2)


def _margins(columns: Any, x: Any, s: Any) -> None:
    """s = Ax."""
    s[:] = 0
    for j in range(x.shape[0]):
        for i in range(s.shape[0]):
            s[i] += x[j] * columns[j, i]


def _gradient(
    columns: Any, y: Any, w: Any, loss: Any, delta: Any, largest: Any, lam: Any, x: Any, s: Any, g: Any
) -> None:
    """g = ∇f(x) of the margins s, which become derivatives."""
    for i in range(s.shape[0]):
        s[i] = _slope(s[i], y[i], loss, delta, largest)
        if w.size > 0:
            s[i] *= w[i]
    for j in range(x.shape[0]):
        total = delta * 0
        for i in range(s.shape[0]):
            total += s[i] * columns[j, i]
        g[j] = total / s.shape[0] + lam * x[j]


@numba_loop(_slope, _margins, _gradient)
def _descend(
    columns: Any,
    y: Any,
    w: Any,
    loss: Any,
    delta: Any,
    largest: Any,
    lam: Any,
    tau: Any,
    beta: Any,
    momentum: Any,
    x: Any,
    g: Any,
    z: Any,
    t: Any,
    steps: Any,
) -> Any:
    """The steps, in place, and the last t."""
    s = np.empty(columns.shape[1], x.dtype)
    for _ in range(steps):
        if momentum < 2:
            for j in range(x.shape[0]):
                before = x[j]
                x[j] -= tau * g[j]
                if momentum == 1:
                    x[j] += beta * (before - z[j])
                    z[j] = before
        at = z if momentum == 2 else x
        _margins(columns, at, s)
        _gradient(columns, y, w, loss, delta, largest, lam, at, s, g)
        if momentum == 2:
            a = 1 - beta * t * t
            later = (a + math.sqrt(a * a + 4 * t * t)) / 2
            part = (t - 1) * (1 - beta * later) / (later * (1 - beta))
            for j in range(x.shape[0]):
                new = z[j] - tau * g[j]
                z[j] = new + part * (new - x[j])
                x[j] = new
            t = later
    if momentum == 2:
        _margins(columns, x, s)
        _gradient(columns, y, w, loss, delta, largest, lam, x, s, g)
    return t


def _direction(H: Any, g: Any, v: Any) -> None:
    """v = −H⁻¹g by a Cholesky factor, which overwrites H; NaN where H is not positive definite."""
    p = g.shape[0]
    for j in range(p):
        for k in range(j + 1):
            total = H[j, k]
            for l in range(k):
                total -= H[j, l] * H[k, l]
            H[j, k] = math.sqrt(total) if k == j else total / H[k, k]  # a NaN of a negative pivot is passed on
    for j in range(p):
        total = -g[j]
        for k in range(j):
            total -= H[j, k] * v[k]
        v[j] = total / H[j, j]
    for j in range(p - 1, -1, -1):
        total = v[j]
        for k in range(j + 1, p):
            total -= H[k, j] * v[k]
        v[j] = total / H[j, j]


@numba_loop(_slope, _curvature, _loss, _margins, _gradient, _direction)
def _newton(
    columns: Any,
    y: Any,
    w: Any,
    loss: Any,
    delta: Any,
    largest: Any,
    lam: Any,
    raised: Any,
    rounding: Any,
    x: Any,
    g: Any,
    value: Any,
    t: Any,
    steps: Any,
) -> Any:
    """The steps, in place, and the last value and t; `raised` is added to the diagonal, relative to it."""
    p, n = columns.shape
    s, weighted = np.empty(n, x.dtype), np.empty(n, x.dtype)
    v, trial, after = np.empty(p, x.dtype), np.empty(p, x.dtype), np.empty(p, x.dtype)
    H = np.empty((p, p), x.dtype)
    for _ in range(steps):
        _margins(columns, x, s)
        for i in range(n):
            s[i] = _curvature(s[i], y[i], loss, delta) / n
            if w.size > 0:
                s[i] *= w[i]
        for j in range(p):
            for i in range(n):
                weighted[i] = s[i] * columns[j, i]
            for k in range(j + 1):
                total = delta * 0
                for i in range(n):
                    total += weighted[i] * columns[k, i]
                H[j, k] = total
            d = H[j, j] + lam
            H[j, j] = d + raised * d if d > 0 else d + 1
        _direction(H, g, v)
        for j in range(p):
            trial[j] = x[j] + t * v[j]
        _margins(columns, trial, s)
        new = delta * 0
        for i in range(n):
            new += _loss(s[i], y[i], loss, delta) * (w[i] if w.size > 0 else 1)
        new /= n
        for j in range(p):
            new += lam * trial[j] * trial[j] / 2
        _gradient(columns, y, w, loss, delta, largest, lam, trial, s, after)
        promised, slope = delta * 0, delta * 0
        for j in range(p):
            promised -= t * g[j] * v[j]
            slope += t * after[j] * v[j]
        flat = abs(new - value) <= rounding * abs(value) and slope <= promised / 2
        if new <= value - 1e-4 * promised or flat:
            x[:], g[:] = trial, after
            value, t = new, 1.0
        else:
            t /= 4
    return value, t
