"""The objective of a linear model  f(x) = 1/n Σ ℓ(⟨a_i, x⟩, y_i) + λ/2‖x‖².

An objective is what a method needs to know: values, gradients, products with the Hessian and how large the Hessian
can become.  Everything is written on the margins s_i = ⟨a_i, x⟩, so that A is a matrix, sparse or an operator:

    ∇f(x) = Aᵀℓ′(s, y)/n + λx,      ∇²f(x) v = Aᵀ(ℓ″(s, y)·Av)/n + λv

A loss defines ℓ, ℓ′, ℓ″·t and a bound of ℓ″ (Hastie, Tibshirani & Friedman 2009, §4.4).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar

from xpsolve.arrays import (
    Array,
    Namespace,
    check_finite,
    check_flag,
    check_ndim,
    common_namespace,
    device_of,
    eigh,
    enter,
    gram,
    is_array,
    lift,
    namespace_of,
    regularisation,
    shifted,
)
from xpsolve.operators import Dense, LinearOperator, Sparse, eigenvalue_bound
from xpsolve.operators.entry import enter_operator
from xpsolve.operators.sparse import sparse_column_sizes, sparse_product, with_numbers
from xpsolve.trace import map_arrays

EXACT_NORM = 256
"""Up to this many rows or columns ‖A‖ comes from the eigenvalues of a Gram matrix."""


class LinearModel:
    """f(x) = 1/n Σ ℓ(⟨a_i, x⟩, y_i) + λ/2‖x‖²; a subclass defines the loss.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        One sample per row.
    y : array, shape (n,)
        Observations.
    lam : float
        λ ≥ 0.
    check_finite : bool
        Whether to check the values of A and y first, which costs host reads.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.LeastSquares(np.eye(2), np.asarray([1.0, 3.0]))
    >>> float(f.value(np.zeros(2))), f.gradient(np.zeros(2))
    (2.5, array([-0.5, -1.5]))
    """

    curvature: ClassVar[float] = 1.0  # largest eigenvalue that ℓ″ can have
    has_units: ClassVar[bool] = False  # whether x scales with y, as for squares

    def __init__(self, A: Any, y: Array, lam: Any = 0.0, *, check_finite: bool = True) -> None:
        check_flag(check_finite, "check_finite")
        if is_array(y) and is_array(lam):
            y = lift(common_namespace(y=y, lam=lam), y)  # λ alone may carry a derivative
        _, operator, y = enter_operator(A, y, "(n,) or (n, m)")
        self.operator: LinearOperator = operator
        self.y: Array = self._targets(y, check_finite)
        self.lam: Array = regularisation(namespace_of(y), lam, "lam", like=self.y, check_values=check_finite)
        if self.lam.ndim:
            message = f"lam: expected one number, got shape {tuple(self.lam.shape)}. Solve for one after another."
            raise ValueError(message)
        self.unpenalised: bool = not is_array(lam) and lam == 0  # known here, without a read
        self.strongly_convex: bool = not is_array(lam) and lam > 0  # likewise
        if check_finite:
            self._check_samples()

    def _targets(self, y: Array, check: bool) -> Array:
        """The observations, checked, in the form that the loss needs."""
        check_ndim(y, "y", 1, shape="(n,)")
        return y

    def _check_samples(self) -> None:
        explicit = isinstance(self.operator, Dense | Sparse)
        arrays = {"A": self.operator.like, "y": self.y} if explicit else {"y": self.y}
        check_finite(namespace_of(self.y), lambda: self.operator.rmatvec(self.y), **arrays)

    # --- what a loss defines --------------------------------------------------------------------

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
        """ℓ(s) + ℓ*(tℓ′(s)) − s·tℓ′(s) ≥ 0 of every sample, 0 for t = 1: its part of a duality gap."""
        raise NotImplementedError

    def in_units_of(self, b: Array) -> LinearModel:
        """f(bx)/b² as a model of the same kind, where the loss has units."""
        raise NotImplementedError

    def _curve(self, s: Array) -> Callable[[Array], Array]:
        """t to ℓ″(s, y)·t."""
        weights = self.second_derivative(s, self.y)
        return lambda t: weights * t

    def separated(self, x: Array) -> Array | None:
        """Whether f is unbounded below along x where λ = 0, 0-d; None for a loss that cannot."""
        return None

    # --- what follows ---------------------------------------------------------------------------

    @property
    def xp(self) -> Namespace:
        """The namespace of the data."""
        return namespace_of(self.y)

    @property
    def n(self) -> int:
        """Number of samples."""
        return self.operator.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of x."""
        return (self.operator.shape[1],)

    def zeros(self) -> Array:
        """x = 0."""
        return self.xp.zeros(self.shape, dtype=self.y.dtype, device=device_of(self.y))

    def margins(self, x: Array) -> Array:
        """⟨a_i, x⟩ for x (…, p): shape (…, n)."""
        model, x = self._meet(x)
        return model._margins(x)

    def value(self, x: Array) -> Array:
        """f(x); for x (…, p) one number each."""
        model, x = self._meet(x)
        return model.xp.asarray(model._value(x, model._margins(x)))  # NumPy converted it to a scalar

    def gradient(self, x: Array) -> Array:
        """∇f(x), in the shape of x."""
        model, x = self._meet(x)
        return model._gradient(x, model._margins(x))

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """f(x) and ∇f(x) from one set of margins."""
        model, x = self._meet(x)
        s = model._margins(x)
        return model.xp.asarray(model._value(x, s)), model._gradient(x, s)

    def gradient_at_zero(self) -> Array:
        """∇f(0), without the product that gives the margins 0."""
        return self._adjoint(self.derivative(self._no_margins(), self.y)) / self.n

    def column_sizes(self) -> Array | None:
        """max_i |A_ij| of each feature, (p,); None for an operator whose entries are not accessible."""
        operator, xp = self.operator, self.xp
        if isinstance(operator, Dense):  # two passes that read, where abs(A) would write as much as it reads
            return xp.maximum(xp.max(operator.A, axis=0), -xp.min(operator.A, axis=0))
        return sparse_column_sizes(lift(xp, operator.like), operator) if isinstance(operator, Sparse) else None

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """∇²f(x) v."""
        return self.hessian_operator(x)(v)

    def hessian_operator(self, x: Array) -> Callable[[Array], Array]:
        """The map v to ∇²f(x) v; what depends on x alone is computed once."""
        model, x = self._meet(x)
        curve = model._curve(model._margins(x))

        def product(v: Array) -> Array:
            return model._adjoint(curve(model._margins(v))) / model.n + model.lam * v

        return product

    def hessian(self, x: Array) -> Array:
        """∇²f(x), (p, p), for a dense A and one number per sample."""
        model, x = self._meet(x)
        if not isinstance(model.operator, Dense) or len(model.shape) != 1:
            message = f"hessian: expected a dense A and x of shape (p,), got {model!r}. Use hessian_vector."
            raise TypeError(message)
        weights = model.second_derivative(model._margins(x), model.y)
        rows = model.xp.sqrt(weights / model.n)[:, None] * model.operator.A
        return shifted(gram(rows), model.lam)

    def lipschitz(self) -> Array:
        """L with ‖∇f(x) − ∇f(z)‖ ≤ L‖x − z‖: sup ℓ″·‖A‖²/n + λ, 0-d.

        ‖A‖² is exact up to rounding for a dense A with at most 256 rows or columns; otherwise it is estimated by
        Lanczos, usually an upper bound.
        """
        operator = self.operator
        if isinstance(operator, Dense) and min(operator.shape) <= EXACT_NORM:
            A = operator.A if operator.shape[0] >= operator.shape[1] else operator.A.T
            G = gram(A)
            finite = self.xp.all(self.xp.isfinite(G))  # some libraries raise where others return NaN
            w, _ = eigh(self.xp.where(finite, G, self.xp.zeros_like(G)))
            largest = self.xp.where(finite, w[-1], self.xp.full_like(w[-1], self.xp.nan))
        else:
            like = self.xp.zeros((operator.shape[1], 1), dtype=self.y.dtype, device=device_of(self.y))
            largest = eigenvalue_bound(lambda v: operator.rmatvec(operator.matvec(v)), like)
        return self.xp.asarray((self.curvature / self.n) * largest + self.lam)

    def sample_lipschitz(self) -> Array:
        """The same for the worst sample alone: sup ℓ″·max_i ‖a_i‖² + λ, 0-d."""
        worst = self.xp.max(row_norms_squared(self.operator, self.y))
        return self.xp.asarray(self.curvature * worst + self.lam)

    def _margins(self, x: Array) -> Array:
        return self._through(self.operator.matvec, x)

    def _adjoint(self, d: Array) -> Array:
        return self._through(self.operator.rmatvec, d)

    def _through(self, product: Callable[[Array], Array], x: Array) -> Array:
        """A product along the axis of features or samples, for any number of axes before it."""
        before = x.ndim - len(self.shape)
        if before == 0:
            return product(x)
        xp = self.xp
        front = xp.moveaxis(x, before, 0)
        out = product(xp.reshape(front, (front.shape[0], -1)))
        return xp.moveaxis(xp.reshape(out, (out.shape[0], *front.shape[1:])), 0, before)

    def _value(self, x: Array, s: Array) -> Array:
        axes = tuple(range(-len(self.shape), 0))
        penalty = 0.5 * self.xp.sum(self.lam * x * x, axis=axes)
        return self.xp.sum(self.loss(s, self.y), axis=-1) / self.n + penalty

    def _no_margins(self) -> Array:
        """The margins of x = 0."""
        return self.xp.zeros_like(self.y)

    def _gradient(self, x: Array, s: Array) -> Array:
        return self._adjoint(self.derivative(s, self.y)) / self.n + self.lam * x

    def _meet(self, x: Array) -> tuple[LinearModel, Array]:
        """The model and x in one namespace and dtype, x with its shape checked."""
        model, xp = self, self.xp
        if not is_array(x) or namespace_of(x) is not xp:
            xp, (x, _) = enter(x=x, y=self.y)
            model = map_arrays(lambda a: lift(xp, a), self)
        if tuple(x.shape[x.ndim - len(self.shape) :]) != self.shape:
            message = f"x: expected shape {self.shape}, with any axes before, got {tuple(x.shape)}."
            raise ValueError(message)
        return model, x if x.dtype == self.y.dtype else xp.astype(x, self.y.dtype)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearModel:
        other = copy.copy(self)
        other.operator = map_arrays(function, self.operator)
        other.y, other.lam = function(self.y), function(self.lam)
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.operator!r}>"


def row_norms_squared(operator: LinearOperator, like: Array) -> Array:
    """‖a_i‖² of a dense or sparse A, (n,)."""
    xp = namespace_of(like)
    if isinstance(operator, Dense):
        return xp.sum(operator.A * operator.A, axis=1)
    if isinstance(operator, Sparse):
        S = operator.S
        ones = xp.ones(operator.shape[1], dtype=like.dtype, device=device_of(like))
        return sparse_product(ones, with_numbers(S, S.data * S.data))
    message = f"A: expected a dense or sparse matrix, with accessible rows, got {operator!r}."
    raise TypeError(message)
