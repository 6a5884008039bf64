"""Single steps of the stochastic methods in a compiled loop over the samples, for NumPy arrays.

A step is a few operations on numbers and two passes over one row of A, which no call on whole arrays serves: without
compilation steps are taken in blocks (`xpsolve.stochastic.block`).  Samples, steps and so the iterates are the same, to
rounding.  For a sparse A a step takes as many operations as its row has stored numbers, also with a penalty.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays.numba_loop import can_compile, fixed, numba_loop
from xpsolve.operators import Dense, Sparse
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.multinomial import Multinomial
from xpsolve.stochastic.objectives import Huber, LeastSquares, Logistic

_LOSSES = {LeastSquares: 0, Huber: 1, Logistic: 2, Multinomial: 3}  # no subclasses, which may have other derivatives

_SMALL = 1e-3  # to which the penalty may shrink a factor of a sparse x before x takes it over

Host = np.ndarray[Any, Any]


def why_not(f: LinearModel) -> str:
    """Why there is no such loop for this objective, "" where there is."""
    A: Any = f.operator
    numbers = A.A if isinstance(A, Dense) else A.like if isinstance(A, Sparse) else None
    if type(f.y) is not np.ndarray or type(numbers) is not np.ndarray:
        return f"is for plain NumPy arrays and a dense A, or a sparse one without intercept, not {A!r}"
    if type(f) not in _LOSSES:
        return f"does not know the derivative of {type(f).__qualname__}"
    return "" if can_compile() else "needs Numba, which is not there, does not work with this NumPy, or is switched off"


def loss_of(f: LinearModel) -> tuple[Any, ...]:
    """What a loop has to know of the loss: which it is, δ, and the largest number with an exponential."""
    number = f.y.dtype.type
    delta = number(f.delta if isinstance(f, Huber) else 0)
    return _LOSSES[type(f)], delta, number(math.floor(math.log(np.finfo(f.y.dtype).max)))


class Walk(NamedTuple):
    """What changes along the steps: x, the sum of all x, Σ α_i a_i, and the α_i; those not needed are empty.

    The first three are (R, m, p) for R runs of x (p, m), and α is (R, n, m).
    """

    x: Host
    total: Host
    g: Host
    alpha: Host


class Loop:
    """The loop over samples of one objective."""

    def __init__(self, f: LinearModel, shrunk: int) -> None:
        """λ acts on the first `shrunk` entries of x."""
        A: Any = f.operator
        weights = np.zeros(0, f.y.dtype) if f.weights is None else f.weights
        self.steps = _all_steps if isinstance(A, Dense) else _all_sparse_steps
        rows = (A.A,) if isinstance(A, Dense) else (A.S.data, _unsigned(A.S.indices), _unsigned(A.S.indptr))
        arrays = (*rows, f.y.reshape(f.n, -1), weights)
        self.samples = tuple(fixed(np.ascontiguousarray(x)) for x in arrays)  # copies, where rows are not together
        self.loss = loss_of(f)
        self.shrunk = (shrunk,) if isinstance(A, Dense) else ()
        self.alpha: Host | None = None  # of the last steps

    def taken(self, walk: Walk, index: Host, keep: Host, push: Host, batch: int = 1) -> Walk:
        """The steps  x ← c_k x − τ_k Σ d_i a_i  over the samples of each, or with α  x ← c_k x − τ_k Σ α_i a_i.

        Parameters
        ----------
        walk : Walk
            Where they begin; not written to, but for an α that this loop has made, whose n numbers would take longer to
            copy than few steps do.
        index : int array, shape (R, K·batch)
            Sample numbers.
        keep, push : array, shape (R, K)
            c_k and τ_k.
        batch : int
            Samples of a step.

        Returns
        -------
        Walk
            Where they end.
        """
        mine = self.alpha is not None and np.may_share_memory(walk.alpha, self.alpha)
        self.alpha = walk.alpha if mine else np.array(walk.alpha, order="C")
        x, total, g = (np.array(part, order="C") for part in walk[:3])
        walk = Walk(x, total, g, self.alpha)
        keep, push = (part.astype(walk.x.dtype, copy=False) for part in (keep, push))
        given = (fixed(np.ascontiguousarray(part)) for part in (index, keep, push))
        self.steps(*self.samples, *given, *walk, *self.loss, batch, *self.shrunk)
        return walk


def _unsigned(numbers: Host) -> Host:
    """The same as unsigned integers, with which Numba looks for no places counted from the end."""
    unsigned: Host = np.ascontiguousarray(numbers).view(f"u{numbers.dtype.itemsize}")
    return unsigned


def _slopes(s: Any, y: Any, loss: Any, delta: Any, largest: Any) -> None:
    """Turn the margins s (m,) of a sample into derivatives."""
    zero = delta * 0
    if loss == 3:
        top, whole = s[0], zero
        for k in range(s.size):
            top = s[k] if s[k] > top else top
        for k in range(s.size):
            s[k] = math.exp(s[k] - top)
            whole += s[k]
        for k in range(s.size):
            s[k] = s[k] / whole - y[k]
    elif loss == 2:
        margin = y[0] * s[0]
        s[0] = y[0] / (-(zero + 1) - math.exp(largest if margin > largest else margin))
    else:
        s[0] -= y[0]
        if loss == 1 and s[0] > delta:
            s[0] = delta
        elif loss == 1 and s[0] < -delta:
            s[0] = -delta


def _steps(
    A: Any,
    y: Any,
    w: Any,
    index: Any,
    keep: Any,
    push: Any,
    x: Any,
    total: Any,
    g: Any,
    alpha: Any,
    loss: Any,
    delta: Any,
    largest: Any,
    batch: Any,
    shrunk: Any,
) -> None:
    """The steps of one run, in place; x, total and g are (m, p), which may be empty as alpha (n, m) may.

    λ acts on the first `shrunk` entries.
    """
    m, p = x.shape
    zero = delta * 0
    s = np.empty((batch, m), x.dtype)  # margins, which become derivatives
    ahead = np.empty(m, x.dtype)  # margins of the next step, where that has one sample
    for t in range(keep.shape[0]):
        for b in range(batch):
            i = index[t * batch + b]
            for k in range(m):
                if batch == 1 and t > 0:
                    s[b, k] = ahead[k]
                    continue
                margin = zero
                for j in range(p):
                    margin += A[i, j] * x[k, j]
                s[b, k] = margin
            _slopes(s[b], y[i], loss, delta, largest)
            if w.size > 0:
                for k in range(m):
                    s[b, k] *= w[i]
        c, tau = keep[t], push[t]
        i, next_ = index[t * batch], index[min((t + 1) * batch, index.size - 1)]
        for k in range(m):
            margin = zero
            if alpha.size > 0:
                change = s[0, k] - alpha[i, k]
                alpha[i, k] = s[0, k]
                for j in range(shrunk):
                    g[k, j] += change * A[i, j]
                    x[k, j] = c * x[k, j] - tau * g[k, j]
                    margin += x[k, j] * A[next_, j]
                for j in range(shrunk, p):
                    g[k, j] += change * A[i, j]
                    x[k, j] -= tau * g[k, j]
                    margin += x[k, j] * A[next_, j]
            else:
                move = tau * s[0, k]
                for j in range(shrunk):
                    x[k, j] = c * x[k, j] - move * A[i, j]
                    margin += x[k, j] * A[next_, j]
                for j in range(shrunk, p):
                    x[k, j] -= move * A[i, j]
                    margin += x[k, j] * A[next_, j]
                for b in range(1, batch):
                    other, move = index[t * batch + b], tau * s[b, k]
                    for j in range(p):
                        x[k, j] -= move * A[other, j]
                if total.size > 0:
                    for j in range(p):
                        total[k, j] += x[k, j]
            ahead[k] = margin


@numba_loop(_slopes, _steps)
def _all_steps(
    A: Any,
    y: Any,
    w: Any,
    index: Any,
    keep: Any,
    push: Any,
    x: Any,
    total: Any,
    g: Any,
    alpha: Any,
    loss: Any,
    delta: Any,
    largest: Any,
    batch: Any,
    shrunk: Any,
) -> None:
    """The same of all runs."""
    for r in range(index.shape[0]):
        _steps(A, y, w, index[r], keep[r], push[r], x[r], total[r], g[r], alpha[r], loss, delta, largest, batch, shrunk)


def _sparse_steps(
    numbers: Any,
    places: Any,
    ends: Any,
    y: Any,
    w: Any,
    index: Any,
    keep: Any,
    push: Any,
    x: Any,
    total: Any,
    g: Any,
    alpha: Any,
    loss: Any,
    delta: Any,
    largest: Any,
    batch: Any,
) -> None:
    """The same for sparse rows, in operations that follow their stored numbers alone.

    x = P(z − Sg) with numbers P and S, which a step without a sample would change alone, and the sum of all x so far
    is Qz + u.
    """
    m, p = x.shape
    zero = delta * 0
    one = zero + 1
    memory, averaged = alpha.size > 0, total.size > 0
    P, S, Q = one, zero, zero
    s = np.empty((batch, m), x.dtype)
    for t in range(keep.shape[0]):
        for b in range(batch):
            i = index[t * batch + b]
            for k in range(m):
                margin = zero
                for e in range(ends[i], ends[i + 1]):
                    j = places[e]
                    margin += numbers[e] * (x[k, j] - S * g[k, j] if memory else x[k, j])
                s[b, k] = P * margin
            _slopes(s[b], y[i], loss, delta, largest)
            if w.size > 0:
                for k in range(m):
                    s[b, k] *= w[i]
        if memory:
            i = index[t]
            for k in range(m):
                change = s[0, k] - alpha[i, k]
                alpha[i, k] = s[0, k]
                for e in range(ends[i], ends[i + 1]):
                    g[k, places[e]] += change * numbers[e]
                    x[k, places[e]] += S * change * numbers[e]
        if abs(P * keep[t]) < _SMALL:  # from here on with P = 1
            for k in range(m):
                for j in range(p):
                    if averaged:
                        total[k, j] += Q * x[k, j]
                    x[k, j] = P * keep[t] * (x[k, j] - S * g[k, j] if memory else x[k, j])
            P, S, Q = one, zero, zero
        else:
            P *= keep[t]
        if memory:
            S += push[t] / P
        else:
            for b in range(batch):
                i = index[t * batch + b]
                for k in range(m):
                    move = push[t] / P * s[b, k]
                    for e in range(ends[i], ends[i + 1]):
                        x[k, places[e]] -= move * numbers[e]
                        if averaged:
                            total[k, places[e]] += Q * move * numbers[e]
        Q += P
    for k in range(m):
        for j in range(p):
            if averaged:
                total[k, j] += Q * x[k, j]
            x[k, j] = P * (x[k, j] - S * g[k, j] if memory else x[k, j])


@numba_loop(_slopes, _sparse_steps)
def _all_sparse_steps(
    numbers: Any,
    places: Any,
    ends: Any,
    y: Any,
    w: Any,
    index: Any,
    keep: Any,
    push: Any,
    x: Any,
    total: Any,
    g: Any,
    alpha: Any,
    loss: Any,
    delta: Any,
    largest: Any,
    batch: Any,
) -> None:
    """The same of all runs."""
    for r in range(index.shape[0]):
        _sparse_steps(
            numbers,
            places,
            ends,
            y,
            w,
            index[r],
            keep[r],
            push[r],
            x[r],
            total[r],
            g[r],
            alpha[r],
            loss,
            delta,
            largest,
            batch,
        )
