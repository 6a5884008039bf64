"""What a loss of a linear model defines, and sums of it over the samples.

A loss has ℓ(s, y) of the margins s, its derivatives, and what a duality gap needs of its conjugate ℓ*.  All of it is
written without weights: these enter in the sums alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Self

from xpsolve.arrays import Array, Namespace, namespace_of
from xpsolve.stochastic._intercept import Frame


class Loss:
    """The loss of samples (s_i, y_i) with weights w̃_i of mean 1."""

    y: Array  # observations
    weights: Array | None  # of mean 1; None is 1
    frame: Frame | None  # where x is in the variables of a model with an intercept

    curvature: ClassVar[float] = 1.0  # largest eigenvalue that ℓ″ can have
    has_units: ClassVar[bool] = False  # whether x scales with y, as for squares
    separable: ClassVar[bool] = False  # whether margins have a right side, the loss falling along it for ever
    not_allowed: ClassVar[str] = ""  # what is said where observations are not those of the loss

    # --- what a loss defines --------------------------------------------------------------------

    @staticmethod
    def allowed(y: Array) -> Array | None:
        """Whether all observations are those of the loss, 0-d; None where any are."""
        return None

    @staticmethod
    def members(y: Array) -> Array | None:
        """The share of every sample in each class, (n, classes), with which weights of classes count; None without."""
        return None

    def loss(self, s: Array, y: Array) -> Array:
        """ℓ(s, y) of every sample."""
        raise NotImplementedError

    def derivative(self, s: Array, y: Array) -> Array:
        """ℓ′(s, y), in the margin, of every sample."""
        raise NotImplementedError

    def second_derivative(self, s: Array, y: Array) -> Array:
        """ℓ″(s, y), in the margin, of every sample."""
        raise NotImplementedError

    def curvature_at(self, d: Array, y: Array) -> Array:
        """ℓ″(s, y) from d = ℓ′(s, y), in fewer operations than from s."""
        raise NotImplementedError

    def dual_excess(self, s: Array, y: Array, t: Array) -> Array:
        """ℓ(s) + ℓ*(tℓ′(s)) − s·tℓ′(s) ≥ 0 of every sample, 0 for t = 1: its part of a duality gap.

        t is one number, or one for each sample.
        """
        raise NotImplementedError

    def dual_terms(self, s: Array) -> tuple[Array, Array]:
        """Two terms of a sample: from their sums and products with Aᵀ that of a dual point with an intercept follows.

        Here ℓ′ where it is above 0, and −ℓ′ where it is below.
        """
        xp, d = self.xp, self.derivative(s, self.y)
        zero = xp.zeros_like(d)
        return xp.maximum(d, zero), xp.maximum(-d, zero)

    def dual_sums(self, s: Array) -> tuple[Array, ...]:
        """The sums over samples of `dual_terms`, with their weights."""
        return tuple(self.xp.sum(self._weighted(x), axis=0) for x in self.dual_terms(s))

    def dual_mix(self, terms: Sequence[Array], sums: Sequence[Array]) -> Array:
        """θ with an intercept from the terms, or AᵀW̃θ from AᵀW̃ of each, with their `dual_sums`."""
        up, down = self._dual_factors(sums)
        return up * terms[0] - down * terms[1]

    def _dual_factors(self, sums: Sequence[Array]) -> tuple[Array, Array]:
        xp, (up, down) = self.xp, sums
        least, one = xp.minimum(up, down), xp.ones_like(up)
        return least / xp.where(up > 0, up, one), least / xp.where(down > 0, down, one)

    def dual_point(self, s: Array, sums: tuple[Array, ...] = ()) -> tuple[Array, Callable[[Array], Array]]:
        """A dual point θ near ℓ′(s), and t to the mean of ℓ(s) + ℓ*(tθ) − s·tθ ≥ 0.

        With an intercept its weighted sum is 0: the derivatives of one sign are made smaller, all by the same factor.
        `sums` are its `dual_sums` where these are known.
        """
        d, y = self.derivative(s, self.y), self.y
        if self.frame is None:
            return d, lambda t: self.mean_of(self.dual_excess(s, y, t))
        up, down = self._dual_factors(sums or self.dual_sums(s))
        part = self.xp.where(d > 0, up, down)
        return part * d, lambda t: self.mean_of(self.dual_excess(s, y, t * part))

    def in_units_of(self, b: Array) -> Self:
        """f(bx)/b² as a model of the same kind, where x scales with y."""
        raise NotImplementedError

    def constant(self) -> Array:
        """A margin that is about the best of those that are the same for all samples, 0-d or (m,)."""
        return self._center()

    def _curve(self, s: Array) -> Callable[[Array], Array]:
        """t to ℓ″(s, y)·t."""
        weights = self.second_derivative(s, self.y)
        return lambda t: weights * t

    def sides(self, s: Array) -> tuple[Array, Array]:
        """Whether no margin is on the wrong side of its class, and whether some are on the right one, 0-d each."""
        raise NotImplementedError

    # --- what follows ---------------------------------------------------------------------------

    @property
    def xp(self) -> Namespace:
        """The namespace of the data."""
        return namespace_of(self.y)

    @property
    def n(self) -> int:
        """Number of samples."""
        return int(self.y.shape[0])

    def mean_of(self, terms: Array) -> Array:
        """The weighted mean of one number for each sample, (…, n)."""
        return self.xp.sum(terms if self.weights is None else terms * self.weights, axis=-1) / self.n

    def _mean_loss(self, s: Array) -> Array:
        return self.mean_of(self.loss(s, self.y))

    def _weighted(self, d: Array) -> Array:
        """w̃_i·d_i, for d (…, n) or (…, n, m)."""
        if self.weights is None:
            return d
        return d * (self.weights if self.y.ndim == 1 else self.weights[:, None])

    def _slopes(self, s: Array) -> Array:
        """w̃_i·ℓ′(s_i, y_i)."""
        return self._weighted(self.derivative(s, self.y))

    def _mean(self, y: Array) -> Array:
        """The weighted mean over the samples of y (n,) or (n, m)."""
        return self.xp.asarray(self.xp.sum(self._weighted(y) / self.n, axis=0))

    def _center(self) -> Array:
        """The weighted mean of y."""
        return self._mean(self.y)
