"""The same problem in other units, so that no number of a descent overflows or underflows.

With A = A′D⁻¹, y = b y′ and x = b D x′, for a number or diagonal D and a number b, all of them powers of two,

    least squares       f(x) = b² f′(x′)      ∇f(x) = b D⁻¹ ∇f′(x′)      λ′ = λD²
    logistic losses     the same with b = 1

Multiplying by a power of two is exact: a method whose steps are multiples of gradients, or that solves for blocks of
coordinates, has the same iterates in both units, to the last bit.  y is scaled always, since that costs no pass over A;
A only where its numbers leave the range in which the squares of all intermediate results are normal numbers.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import Array, power_of_two
from xpsolve.operators import Dense, Rows, Sparse
from xpsolve.stochastic._intercept import WithIntercept
from xpsolve.stochastic.linear_model import LinearModel


@dataclass(frozen=True)
class Units:
    """A model in scaled units, and the way back to those of the caller."""

    model: LinearModel
    b: Array | None = None  # 0-d; None is 1
    D: Array | None = None  # 0-d, or of the shape of x with axes of length 1; None is 1, where A is in its range

    @property
    def trivial(self) -> bool:
        """Whether nothing is scaled."""
        return self.b is None and self.D is None

    def outside(self, x: Array) -> Array:
        """x from x′, for any number of axes before those of the model."""
        x = x if self.D is None else x * self.D
        return x if self.b is None else x * self.b

    def inside(self, x: Array) -> Array:
        """x′ from x."""
        x = x if self.b is None else x / self.b
        return x if self.D is None else x / self.D

    def gradient_outside(self, g: Array) -> Array:
        """∇f from ∇f′."""
        g = g if self.D is None else g / self.D
        return g if self.b is None else g * self.b

    def value_outside(self, value: Array) -> Array:
        """f from f′."""
        return value if self.b is None else value * self.b * self.b

    def step_inside(self, tau: Array) -> Array:
        """The length of a gradient step on f′ that is τ on f; D is a number."""
        return tau if self.D is None else tau / self.D / self.D

    def representable(self, x: Array) -> Array:
        """Whether x, from x′, is within the range of the dtype, 0-d.  An intercept has other terms beside it."""
        xp = self.model.xp
        size = xp.abs(x)
        size, out = self.model.features(size), self.model.features(self.outside(size))
        info = xp.finfo(x.dtype)
        small = (out < info.smallest_normal) & (size > info.eps * xp.max(size))
        return ~xp.any(small | (out > info.max))


def largest_ordinary(f: LinearModel) -> float:
    """Numbers up to this, and above its inverse, have products of four that neither overflow nor underflow."""
    most: float = float(f.xp.finfo(f.y.dtype).max) ** 0.25
    return most


def in_units(f: LinearModel) -> Units:
    """f with max|y| = 1, up to a factor below two, where the answer scales with y."""
    if not f.has_units:
        return Units(f)
    b = f.unit_of_y()
    return Units(f.in_units_of(b), b)


def rescaled(f: LinearModel, *, columns: bool) -> Units | None:
    """f with the largest entry of A, or of each column, near 1; None for an operator without explicit entries.

    This copies A.  Where λ is far larger than the squares of the entries, it sets the size.
    """
    units, sizes, xp = in_units(f), f.column_sizes(), f.xp
    if sizes is None:
        return None
    most = largest_ordinary(f)
    sizes = xp.maximum(sizes, xp.sqrt(xp.reshape(f.lam, (-1,)) if f.lam.ndim else f.lam) / most**0.5)
    D = 1 / (power_of_two(sizes[None, :], axis=0) if columns else power_of_two(sizes))
    operator: Any = f.operator
    if isinstance(operator, Dense):
        operator = Dense(operator.A * D)
    elif isinstance(operator, Rows):
        operator = operator.scaled(D)
    elif isinstance(operator, Sparse):
        if columns:
            return rescaled(f, columns=False)
        operator = Sparse(operator.S * float(D))
    elif isinstance(operator, WithIntercept):
        if columns:
            return rescaled(f, columns=False)
        operator = operator.scaled(D)
    if columns and len(f.shape) == 2:
        D = D[:, None]
    return Units(_changed(units.model, operator=operator, lam=f.lam * D * D), units.b, D)


def _changed(f: LinearModel, **parts: Any) -> LinearModel:
    other = copy.copy(f)
    other.__dict__.update(parts)
    return other
