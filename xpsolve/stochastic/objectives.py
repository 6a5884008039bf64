"""Losses of linear models with one number per sample: least squares, Huber, logistic.

That of many classes is in `multinomial` (Hastie, Tibshirani & Friedman 2009, §4.4).
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

from xpsolve.arrays import (
    Array,
    Namespace,
    check_positive,
    device_of,
    namespace_of,
    settled,
    shifted,
)
from xpsolve.operators import Dense
from xpsolve.stochastic._made_at_once import made_at_once
from xpsolve.stochastic.linear_model import LinearModel


@made_at_once
class LeastSquares(LinearModel):
    """f(x) = 1/n Σ ½(⟨a_i, x⟩ − y_i)² + λ/2‖x‖², or Σ w_i ½(⟨a_i, x⟩ + c − y_i)² / Σ w_i + λ/2‖x‖².

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        One sample per row.
    y : array, shape (n,) or (n, k)
        Observations; with k columns x is (p, k), and f the sum over them.  The stochastic methods and coordinate
        descent take one column.
    lam : float
        λ ≥ 0.
    weights : array (n,), optional
        w_i ≥ 0 of the samples: 2 is a row that comes twice, 0 one that is not there.  None is 1.
    intercept : bool
        Whether the model is ⟨a, x⟩ + c, with a constant c that neither λ nor a penalty acts on.  `value`, `gradient`
        and an x0 then take x with c as one more entry or row, the last; answers have it apart, in ``.intercept``.  A
        solve works on A without the means of its columns: on a copy of a dense A, else at every product.
    check_finite : bool
        Whether to check for NaN and infinities, which costs one host read, and one more with weights.

    Raises
    ------
    TypeError
        If A or y is not a real array, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [1.0, 1.0]]), np.asarray([1.0, 3.0])
    >>> f = xs.LeastSquares(A, y, 0.1)
    >>> np.allclose(f.gradient(xs.ridge(A, y, 2 * 0.1).x), 0)  # n times f is the objective of ridge with nλ
    True
    >>> solution = xs.newton(xs.LeastSquares(A, y, 0.1, weights=np.asarray([1.0, 3.0]), intercept=True))
    >>> solution.x.round(4), round(float(solution.intercept), 4)
    (array([0.    , 1.3043]), 1.5217)
    """

    curvature = 1.0
    has_units = True

    def _targets(self, y: Array) -> Array:
        return y  # one or more columns

    @property
    def shape(self) -> tuple[int, ...]:
        """(p,), or (p, k) with k columns of y."""
        return (self.operator.shape[1], *self.y.shape[1:])

    def loss(self, s: Array, y: Array) -> Array:
        """½(s − y)², the sum over columns."""
        return self._over_columns(0.5 * (s - y) ** 2)

    def _over_columns(self, terms: Array) -> Array:
        return terms if self.y.ndim == 1 else namespace_of(terms).sum(terms, axis=-1)

    def derivative(self, s: Array, y: Array) -> Array:
        """The residual s − y."""
        return s - y

    def second_derivative(self, s: Array, y: Array) -> Array:
        """1."""
        return self.xp.ones_like(s)

    def dual_excess(self, s: Array, y: Array, t: Array) -> Array:
        """½(1 − t)²(s − y)²."""
        r = (1 - t) * (s - y)
        return self._over_columns(0.5 * r * r)

    def dual_terms(self, s: Array) -> tuple[Array, Array]:
        """The residual s − y, and 1."""
        d = s - self.y
        return d, self.xp.ones_like(d)

    def dual_mix(self, terms: Sequence[Array], sums: Sequence[Array]) -> Array:
        """The residual without its mean."""
        return terms[0] - sums[0] / sums[1] * terms[1]

    def dual_point(self, s: Array, sums: tuple[Array, ...] = ()) -> tuple[Array, Callable[[Array], Array]]:
        """With an intercept the residual without its mean, which is the nearest θ whose sum is 0."""
        if self.frame is None:
            return super().dual_point(s, sums)
        d = s - self.y
        theta = d - (sums[0] / sums[1] if sums else self._mean(d))
        return theta, lambda t: self.mean_of(self._over_columns(0.5 * (d - t * theta) ** 2))

    def in_units_of(self, b: Array) -> Self:
        """With y/b."""
        other = copy.copy(self)
        other.y = self.y / b
        return other

    def _curve(self, s: Array) -> Callable[[Array], Array]:
        return lambda t: t

    def hessian(self, x: Array) -> Array:
        """AᵀW̃A/n + λI, the same for every x."""
        if not isinstance(self.operator, Dense) or self.y.ndim == 2:
            return super().hessian(x)
        return shifted(self.rooted_gram(self.operator.A) / self.n, self.lam)


@made_at_once
class Huber(LinearModel):
    """f(x) = 1/n Σ h(⟨a_i, x⟩ − y_i) + λ/2‖x‖²,  h(r) = ½r² for |r| ≤ δ and δ|r| − ½δ² beyond (Huber 1964).

    A few outliers, however large, change x little.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        One sample per row.
    y : array, shape (n,)
        Observations.
    lam : float
        λ ≥ 0.
    delta : float
        δ > 0, in the units of y.
    weights, intercept
        As in `LeastSquares`.
    check_finite : bool
        Whether to check for NaN and infinities, which costs one host read, and one more with weights.

    Raises
    ------
    TypeError
        If A or y is not a real array, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative, δ is not positive or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.Huber(np.ones((4, 1)), np.asarray([0.0, 1.0, 2.0, 1000.0]), delta=1.0)
    >>> xs.minimize(f).x.round(3)  # where the mean is 250.75
    array([1.5])
    """

    curvature = 1.0
    has_units = True

    def __init__(
        self,
        A: Any,
        y: Array,
        lam: Any = 0.0,
        *,
        delta: float = 1.0,
        weights: Array | None = None,
        intercept: bool = False,
        check_finite: bool = True,
    ) -> None:
        super().__init__(A, y, lam, weights=weights, intercept=intercept, check_finite=check_finite)
        delta = check_positive(delta, "delta", dtype=self.y.dtype, traced=True)
        self.delta: Array = self.xp.asarray(delta, dtype=self.y.dtype, device=device_of(self.y))

    def loss(self, s: Array, y: Array) -> Array:
        """|d|(|r| − ½|d|) with r = s − y and d = h′(r)."""
        xp, d = namespace_of(s), self.derivative(s, y)
        return xp.abs(d) * (xp.abs(s - y) - 0.5 * xp.abs(d))

    def derivative(self, s: Array, y: Array) -> Array:
        """s − y, at most δ in size."""
        xp = namespace_of(y)
        return xp.minimum(xp.maximum(s - y, -self.delta), self.delta)

    def second_derivative(self, s: Array, y: Array) -> Array:
        """1 where |s − y| ≤ δ, 0 elsewhere."""
        xp = namespace_of(s)
        return xp.astype(xp.abs(s - y) <= self.delta, s.dtype)

    def curvature_at(self, d: Array, y: Array) -> Array:
        """1 where |d| < δ, 0 elsewhere."""
        return namespace_of(d).astype(namespace_of(d).abs(d) < self.delta, d.dtype)

    def dual_excess(self, s: Array, y: Array, t: Array) -> Array:
        """(1 − t)|d|(|r| − ½(1 + t)|d|), for 0 ≤ t ≤ 1."""
        xp, d = namespace_of(s), namespace_of(s).abs(self.derivative(s, y))
        return (1 - t) * d * (xp.abs(s - y) - 0.5 * (1 + t) * d)

    def constant(self) -> Array:
        """The best constant, to a part 2⁻⁴⁰ of the range of y, by bisection: from the mean outliers are far to go."""
        xp, w = self.xp, self.weights
        y, *others = settled(self.y) if w is None else settled(self.y, w)
        low, high = xp.min(y), xp.max(y)
        for _ in range(40):
            middle = 0.5 * low + 0.5 * high
            d = self.derivative(middle, y)
            above = xp.sum((d if w is None else d * others[0]) / self.n) > 0
            low, high = xp.where(above, low, middle), xp.where(above, middle, high)
        return xp.asarray(0.5 * low + 0.5 * high)

    def in_units_of(self, b: Array) -> Self:
        """With y/b and δ/b."""
        other = copy.copy(self)
        other.y, other.delta = self.y / b, self.delta / b
        return other

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearModel:
        other: Any = super().__xpsolve_map__(function)
        other.delta = function(self.delta)
        return other  # type: ignore[no-any-return]


@made_at_once
class Logistic(LinearModel):
    """f(x) = 1/n Σ log(1 + exp(−y_i⟨a_i, x⟩)) + λ/2‖x‖², for two classes y_i ∈ {−1, +1}.

    With weights and an intercept it is Σ w_i log(1 + exp(−y_i(⟨a_i, x⟩ + c))) / Σ w_i + λ/2‖x‖².  Values and
    derivatives are accurate at every margin: the exponential of a positive number is never taken.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        One sample per row.
    y : array, shape (n,)
        Classes, −1 or +1.
    lam : float
        λ ≥ 0.
    weights
        As in `LeastSquares`.
    class_weights : "balanced", array (2,) or mapping, optional
        Factors ≥ 0 of the weights of all samples of a class: an array for −1 and +1, or ``{-1: …, 1: …}``, where a
        class that is not there has 1.  "balanced" gives both classes the same total weight.
    intercept
        As in `LeastSquares`.
    check_finite : bool
        Whether to check the values of A and y, which costs two host reads, and one more for each kind of weights and
        for an intercept.

    Raises
    ------
    TypeError
        If A or y is not a real array, or libraries are mixed.
    ValueError
        If shapes disagree, y has other values, λ is negative or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.Logistic(np.asarray([[1.0], [2.0]]), np.asarray([1.0, -1.0]))
    >>> round(float(f.value(np.zeros(1))), 6), f.gradient(np.zeros(1))
    (0.693147, array([0.25]))
    """

    curvature = 0.25
    separable = True
    not_allowed = (
        "y: expected the classes -1 and +1, got other values. "
        "Classes 0 and 1 become these by 2*y - 1; for more than two, use Multinomial."
    )

    def __init__(
        self,
        A: Any,
        y: Array,
        lam: Any = 0.0,
        *,
        weights: Array | None = None,
        class_weights: Any = None,
        intercept: bool = False,
        check_finite: bool = True,
    ) -> None:
        super().__init__(A, y, lam, weights=weights, intercept=intercept, check_finite=check_finite)
        if class_weights is not None or intercept:
            self._weigh_classes(class_weights, self.members(self.y), (-1, 1), "y", check_finite)

    @staticmethod
    def members(y: Array) -> Array:
        """The two classes."""
        return 0.5 * (1 + namespace_of(y).stack([-y, y], axis=1))

    def constant(self) -> Array:
        """The logarithm of the odds of the classes."""
        xp, most = self.xp, 1 - 1 / self.n  # with half a sample of a class that is not there
        mean = self._center()
        mean = xp.minimum(xp.maximum(mean, xp.full_like(mean, -most)), xp.full_like(mean, most))
        return xp.log((1 + mean) / (1 - mean))

    @staticmethod
    def allowed(y: Array) -> Array:
        """Whether all are −1 or +1."""
        return namespace_of(y).all(y * y == 1)

    def loss(self, s: Array, y: Array) -> Array:
        """log(1 + exp(−sy)) = max(−sy, 0) + log(1 + exp(−|sy|))."""
        xp = namespace_of(s)
        m = y * s
        size = xp.abs(m)
        return 0.5 * (size - m) + xp.log1p(xp.exp(-size))

    def derivative(self, s: Array, y: Array) -> Array:
        """−y/(1 + exp(sy))."""
        xp = namespace_of(s)
        return y / (-1 - xp.exp(xp.minimum(y * s, _log_largest(xp, s.dtype))))

    def second_derivative(self, s: Array, y: Array) -> Array:
        """exp(s)/(1 + exp(s))²."""
        xp = namespace_of(s)
        e = xp.exp(-xp.abs(s))
        return e / ((1 + e) * (1 + e))

    def curvature_at(self, d: Array, y: Array) -> Array:
        """ℓ″ = |ℓ′|(1 − |ℓ′|)."""
        return -d * (y + d)

    def dual_excess(self, s: Array, y: Array, t: Array) -> Array:
        """tπ log t + (1 − tπ) log((1 − tπ)/(1 − π)) with π = |ℓ′|, for 0 ≤ t ≤ 1."""
        xp = namespace_of(s)
        pi = xp.abs(self.derivative(s, y))
        odds = xp.exp(xp.minimum(-y * s, _log_largest(xp, s.dtype)))  # π/(1 − π)
        return pi * times_log(t) + (1 - t * pi) * xp.log1p((1 - t) * odds)

    def sides(self, s: Array) -> tuple[Array, Array]:
        """Whether no y_i s_i is negative, and whether some are positive."""
        m = self._weighted(self.y * s)
        return self.xp.all(m >= 0), self.xp.any(m > 0)


def check_one_column(f: LinearModel) -> None:
    """Raise where f is least squares with many columns of y."""
    if isinstance(f, LeastSquares) and f.y.ndim == 2:
        message = (
            f"f: expected LeastSquares with one column of y, got {f.y.shape[1]}. Use minimize or gradient_descent."
        )
        raise ValueError(message)


def times_log(q: Array) -> Array:
    """q·log q, 0 where q is."""
    xp = namespace_of(q)
    return q * xp.log(xp.where(q > 0, q, xp.ones_like(q)))


@functools.cache
def _log_largest(xp: Namespace, dtype: Any) -> float:
    """The largest whole number whose exponential is finite."""
    return math.floor(math.log(float(xp.finfo(dtype).max)))
