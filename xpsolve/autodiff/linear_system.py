"""The linear systems of implicit derivatives, by conjugate gradients that notice when only rounding is left."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

from xpsolve.arrays import Array, Conjugate, conjugate_start, conjugate_step, iterate, namespace_of, power_of_two
from xpsolve.autodiff.arguments import Function
from xpsolve.solution import ConvergenceWarning

_BETTER = 0.98  # a residual is less where its square is so by this factor; for one at its limit that is rounding


class _Linear(NamedTuple):
    """State of conjugate gradients, with what the last check has found."""

    u: Array
    r: Array
    p: Array
    rho: Array  # ‖r‖²
    left: Array  # ‖b − product(u)‖/‖b‖, or 0 where that is rounding
    least: Array  # where ‖r‖² is no larger there is no step; ∞ for systems that are solved
    best: Array  # the u with the least ‖r‖ so far
    best_r: Array
    best_rho: Array


def conjugate_gradient(
    product: Function, b: Array, tol: float | None = None, max_iter: int | None = None, axis: int | None = None
) -> Array:
    """u with product(u) = b for a symmetric and definite product, to ‖b − product(u)‖ ≤ tol‖b‖ or to rounding.

    For each check the residual is computed from u.  It differs from the one that the steps update by what the products
    have rounded; once it is no larger than a few such differences no step makes it smaller, and the system is solved to
    rounding, if its residual is also below √eps ‖b‖.  A system that ends hardly nearer than u = 0 has no solution: NaN.
    A singular product reaches b but for the part of b in its null space, and later steps then lead away: the answer is
    the u whose residual was the least, with a warning.  The systems along `axis` have steps and checks of their own;
    None is one system.  Source: A. Greenbaum, Iterative Methods for Solving Linear Systems (1997), §7.3.
    """
    xp = namespace_of(b)
    if 0 in b.shape:
        return b
    eps = float(xp.finfo(b.dtype).eps)
    tol = 10 * eps if tol is None else tol
    scale_b = power_of_two(b, axis=axis, keepdims=True)
    b = b / scale_b
    scale = power_of_two(product(b), axis=axis, keepdims=True)  # no square below overflows or underflows

    def scaled(u: Array) -> Array:
        return product(u) / scale

    def inner(a: Array, c: Array) -> Array:
        return xp.sum(a * c, axis=axis, keepdims=True)

    def ratio(a: Array, c: Array) -> Array:
        return a / xp.where(c == 0, xp.ones_like(c), c)

    def step(s: _Linear) -> _Linear:
        new = conjugate_step(scaled, Conjugate(*s[:4]), inner, s.least)
        better = new.rho < _BETTER * s.best_rho
        best, best_r, best_rho = (
            xp.where(better, now, before) for now, before in ((new.u, s.best), (new.r, s.best_r), (new.rho, s.best_rho))
        )
        return _Linear(*new, s.left, s.least, best, best_r, best_rho)

    def compared(s: _Linear) -> _Linear:
        true = b - scaled(s.best)
        size, rounded = inner(true, true), inner(true - s.best_r, true - s.best_r)
        at_rounding = (size <= 16 * rounded) & (size <= eps * size_of_b)
        left = xp.where(at_rounding, xp.zeros_like(size), xp.sqrt(ratio(size, size_of_b)))
        return s._replace(left=left, least=xp.where(left > tol, limit, xp.full_like(limit, xp.inf)))

    size_of_b = inner(b, b)
    limit = max(tol / 2, 2 * eps) ** 2 * size_of_b
    first = conjugate_start(b, inner)
    start = _Linear(*first, ratio(size_of_b, size_of_b), limit, first.u, first.r, first.rho)
    size = math.prod(b.shape) if axis is None else b.shape[axis]
    run = iterate(
        step,
        start,
        measure=lambda s: xp.max(s.left),
        tol=tol,
        max_iter=10 * size + 100 if max_iter is None else max_iter,
        check_every=5,
        refresh=compared,
    )
    if run.reason in ("max_iter", "not finite"):
        message = (
            f"implicit differentiation: conjugate gradients stopped after {run.n_iter} steps at a residual of "
            f"{run.measure:.1e} > tol = {tol:.1e}. Its system is ill-conditioned, or not symmetric and positive as "
            f"was stated: raise tol or max_iter of implicit_gradient, or go through the iterations, with "
            f"autodiff.unrolled()."
        )
        warnings.warn(message, ConvergenceWarning, stacklevel=2)
    lost = run.state.left > 0.5  # hardly better than 0: a NaN is better than this number
    return xp.where(lost, xp.full_like(b, xp.nan), run.state.best * (scale_b / scale))
