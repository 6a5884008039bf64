"""The loss of a linear model for many classes (Hastie, Tibshirani & Friedman 2009, §4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xpsolve.arrays import Array, check_ndim, device_of, is_array, is_concrete, namespace_of
from xpsolve.smooth_max import logsumexp, softmax
from xpsolve.stochastic._made_at_once import made_at_once
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.objectives import times_log


@made_at_once
class Multinomial(LinearModel):
    """f(x) = 1/n Σ_i (log Σ_k exp⟨a_i, x_k⟩ − Σ_k Y_ik⟨a_i, x_k⟩) + λ/2‖x‖², for m classes, x (p, m).

    With weights it is the weighted mean, and with an intercept ⟨a_i, x_k⟩ + c_k stands for ⟨a_i, x_k⟩.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        One sample per row.
    Y : array, shape (n, m) or integers (n,)
        One-hot rows, or any probabilities; or labels 0 … m − 1, which are read on the host.
    lam : float
        λ ≥ 0.  With λ = 0 minimisers differ by a vector added to all columns.
    weights
        As in `LeastSquares`.
    class_weights : "balanced", array (m,) or mapping, optional
        Factors ≥ 0 of the weights of all samples of a class: an array for 0 … m − 1, or ``{label: factor}``, where a
        class that is not there has 1.  "balanced" gives all classes the same total weight.  A row of probabilities
        gets their mean.
    intercept
        As in `LeastSquares`; c is (m,), which minimises as well with a number added to all of its entries.
    check_finite : bool
        Whether to check the values of A and Y, which costs two host reads, and one more for each kind of weights and
        for an intercept.

    Raises
    ------
    TypeError
        If A or Y is not a real array, or libraries are mixed.
    ValueError
        If shapes disagree, a row of Y is not a probability, λ is negative or a number is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.Multinomial(np.eye(3), np.asarray([0, 1, 2]))
    >>> round(float(f.value(np.zeros((3, 3)))), 6)  # log 3
    1.098612
    """

    curvature = 0.5  # of diag(π) − ππᵀ (Böhning 1992)
    separable = True
    not_allowed = "Y: expected rows of probabilities, usually one-hot: none negative, each with the sum 1."

    def __init__(
        self,
        A: Any,
        Y: Array,
        lam: Any = 0.0,
        *,
        weights: Array | None = None,
        class_weights: Any = None,
        intercept: bool = False,
        check_finite: bool = True,
    ) -> None:
        if is_array(Y) and Y.ndim == 1:
            Y = _one_hot(Y)
        super().__init__(A, Y, lam, weights=weights, intercept=intercept, check_finite=check_finite)
        self._weigh_classes(class_weights, self.members(self.y), tuple(range(self.y.shape[1])), "Y", check_finite)

    @staticmethod
    def members(y: Array) -> Array:
        """y itself."""
        return y

    def constant(self) -> Array:
        """The logarithms of the shares of the classes, of the sum 0."""
        xp, shares = self.xp, self._center()
        least = xp.full_like(shares, 0.5 / self.n)  # half a sample of a class that is not there
        logs = xp.log(xp.maximum(shares, least))
        return logs - xp.mean(logs)

    def _targets(self, y: Array) -> Array:
        check_ndim(y, "Y", 2, shape="(n, m)")
        return y

    @staticmethod
    def allowed(y: Array) -> Array:
        """Whether every row has no negative entry, and the sum 1."""
        xp = namespace_of(y)
        off = xp.max(xp.abs(xp.sum(xp.abs(y), axis=1) - 1) + xp.max(xp.abs(y) - y, axis=1))
        return off <= 100 * xp.finfo(y.dtype).eps

    @property
    def shape(self) -> tuple[int, ...]:
        """(p, m)."""
        return (self.operator.shape[1], self.y.shape[1])

    def split(self, x: Array) -> tuple[Array, Array | None]:
        """The intercepts whose sum is 0, of the many that are as good: they differ by one number for all classes."""
        x, c = super().split(x)
        return x, None if c is None else c - self.xp.mean(c, axis=-1, keepdims=True)

    def loss(self, s: Array, y: Array) -> Array:
        """LSE(s) − ⟨y, s⟩, of s (…, n, m)."""
        return logsumexp(s) - namespace_of(s).sum(y * s, axis=-1)

    def derivative(self, s: Array, y: Array) -> Array:
        """softmax(s) − y."""
        return softmax(s) - y

    def second_derivative(self, s: Array, y: Array) -> Array:
        """The diagonal π(1 − π) of diag(π) − ππᵀ, with π = softmax(s)."""
        pi = softmax(s)
        return pi * (1 - pi)

    def dual_terms(self, s: Array) -> tuple[Array, Array]:
        """softmax(s) − y, and softmax(s)."""
        pi = softmax(s)
        return pi - self.y, pi

    def dual_mix(self, terms: Sequence[Array], sums: Sequence[Array]) -> Array:
        """The first term, where classes that softmax(s) has too much of give some to the others."""
        xp, (over, there) = self.xp, sums
        zero = xp.zeros_like(over)
        given = terms[1] * (xp.maximum(over, zero) / xp.where(there > 0, there, xp.ones_like(there)))
        wanted = xp.maximum(-over, zero)
        total = xp.sum(wanted)
        share = wanted / xp.where(total > 0, total, xp.ones_like(total))
        return terms[0] - given + xp.sum(given, axis=-1, keepdims=True) * share

    def dual_point(self, s: Array, sums: tuple[Array, ...] = ()) -> tuple[Array, Callable[[Array], Array]]:
        """q − y, and t to the mean of Σ_k q_t log(q_t/π) with π = softmax(s) and q_t = (1 − t)y + tq, for 0 ≤ t ≤ 1.

        q is π, or with an intercept near π with the same weighted sum over the samples as y: classes that π has too
        much of give some to the others.
        """
        xp, y, log_pi = self.xp, self.y, s - logsumexp(s)[..., None]
        q = xp.exp(log_pi)
        if self.frame is not None:
            q = self.dual_mix((q, q), sums or self.dual_sums(s))

        def excess(t: Array) -> Array:
            mixed = (1 - t) * y + t * q
            return self.mean_of(xp.sum(times_log(mixed) - mixed * log_pi, axis=-1))

        return q - y, excess

    def _curve(self, s: Array) -> Callable[[Array], Array]:
        xp, pi = namespace_of(s), softmax(s)

        def product(t: Array) -> Array:
            weighted = pi * t
            return weighted - pi * xp.sum(weighted, axis=-1, keepdims=True)

        return product

    def sides(self, s: Array) -> tuple[Array, Array]:
        """Whether the right class has the largest margin in every row, and some other a smaller one."""
        xp, s = self.xp, self._weighted(s)
        right = xp.sum(self.y * s, axis=-1)
        return xp.all(right >= xp.max(s, axis=-1)), xp.any(right > xp.min(s, axis=-1))


def _one_hot(labels: Array) -> Array:
    """Labels 0 … m − 1 as rows of the identity: one read, since m is part of the shape."""
    xp = namespace_of(labels)
    check_ndim(labels, "Y", 1, shape="(n, m) or labels (n,)")
    if not xp.isdtype(labels.dtype, "integral"):
        message = f"Y: expected one-hot rows (n, m) or integer labels (n,), got shape (n,) and dtype {labels.dtype}."
        raise TypeError(message)
    if not is_concrete(labels):
        message = "Y: expected one-hot rows (n, m) under jax.jit, where the number of classes cannot be read."
        raise ValueError(message)
    if bool(xp.any(labels < 0)):
        message = "Y: expected labels 0, 1, …, m - 1, got negative ones."
        raise ValueError(message)
    classes = xp.arange(int(xp.max(labels)) + 1, dtype=labels.dtype, device=device_of(labels))
    return labels[:, None] == classes[None, :]
