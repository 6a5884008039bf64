"""The objective of a linear model  f(x) = Σ w_i ℓ(⟨a_i, x⟩, y_i) / Σ w_i + λ/2‖x‖².

An objective is what a method needs to know: values, gradients, products with the Hessian and how large the Hessian
can become.  Everything is written on the margins s_i = ⟨a_i, x⟩, so that A is a matrix, sparse or an operator:

    ∇f(x) = Aᵀℓ′(s, y)/n + λx,      ∇²f(x) v = Aᵀ(ℓ″(s, y)·Av)/n + λv

with weights w̃_i = n·w_i/Σw before ℓ, ℓ′ and ℓ″.  What a loss defines is in `_loss`
(Hastie, Tibshirani & Friedman 2009, §4.4).  With an intercept the last entry of x is c of ⟨a, x⟩ + c, outside of ‖x‖².
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import numpy as np

from xpsolve.arrays import (
    Array,
    check_finite,
    check_flag,
    check_ndim,
    common_namespace,
    device_of,
    eigh,
    enter,
    gram,
    holds,
    is_array,
    lift,
    namespace_of,
    power_of_two,
    regularisation,
    safe_norm,
    settled,
    shifted,
    weighted_gram,
)
from xpsolve.arrays.assumptions import is_given_number
from xpsolve.operators import Dense, LinearOperator, Rows, Sparse, eigenvalue_bound
from xpsolve.operators.centred import Centred, centred
from xpsolve.operators.entry import enter_operator
from xpsolve.operators.rows import read_by_rows
from xpsolve.stochastic._entries import column_sizes, row_norms_squared
from xpsolve.stochastic._first_look import Look, Means, column_scale, look_at
from xpsolve.stochastic._intercept import Frame, WithIntercept, in_frame
from xpsolve.stochastic._loss import Loss
from xpsolve.stochastic._weights import (
    check_every_class,
    check_weights,
    enter_weights,
    good_weights,
    sample_weights,
    weights_of_classes,
)
from xpsolve.trace import map_arrays

EXACT_NORM = 256
"""Up to this many rows or columns ‖A‖ comes from the eigenvalues of a Gram matrix."""


class Dual(NamedTuple):
    """What a duality gap at some x needs of f, from a dual point θ near ℓ′."""

    down: Array  # −AᵀW̃θ/n, in the shape of x
    excess: Callable[[Array], Array]  # t to the mean of ℓ(s) + ℓ*(tθ) − s·tθ ≥ 0
    squares: Callable[[], Array]  # the mean of ℓ′²


class Seen(NamedTuple):
    """What a pass over blocks of rows has found, and of which samples."""

    y: Array
    weights: Array | None
    look: Look


class LinearModel(Loss):
    """f(x) = Σ w_i ℓ(⟨a_i, x⟩ + c, y_i) / Σ w_i + λ/2‖x‖²; a subclass defines the loss.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        One sample per row.
    y : array, shape (n,)
        Observations.
    lam : float
        λ ≥ 0.
    weights : array (n,), optional
        w_i ≥ 0 of the samples; None is 1.
    intercept : bool
        Whether the model has a constant c, which neither λ nor a penalty of `minimize` acts on.  What the methods of
        f take and return then has c as one entry (or row) more, the last; answers have it in ``.intercept``.
    check_finite : bool
        Whether to check the values of A, y and weights first, which costs host reads.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> f = xs.LeastSquares(np.eye(2), np.asarray([1.0, 3.0]))
    >>> float(f.value(np.zeros(2))), f.gradient(np.zeros(2))
    (2.5, array([-0.5, -1.5]))
    """

    by_rows: ClassVar[bool] = False  # whether its sums over samples are found by passes over blocks of rows
    seen: Seen | None  # what a pass over blocks of rows has found

    def __init__(
        self,
        A: Any,
        y: Array,
        lam: Any = 0.0,
        *,
        weights: Array | None = None,
        intercept: bool = False,
        check_finite: bool = True,
    ) -> None:
        check_flag(check_finite, "check_finite")
        check_flag(intercept, "intercept")
        if weights is not None:
            weights, y = enter_weights(weights, y)
        if is_array(y) and is_array(lam):
            y = lift(common_namespace(y=y, lam=lam), y)  # λ alone may carry a derivative
        _, operator, y = enter_operator(A, y, "(n,) or (n, m)")
        self.operator: LinearOperator = operator
        self.y: Array = self._targets(y)
        self.lam: Array = regularisation(namespace_of(y), lam, "lam", like=self.y, check_values=check_finite)
        if self.lam.ndim:
            message = f"lam: expected one number, got shape {tuple(self.lam.shape)}. Solve for one after another."
            raise ValueError(message)
        self.unpenalised: bool = not is_array(lam) and bool(lam == 0)  # known here, without a read
        self.strongly_convex: bool = is_given_number(lam) or (not is_array(lam) and bool(lam > 0))  # in x, likewise
        self.seen = None
        weights = None if weights is None else sample_weights(weights, self.y)
        if check_finite:
            self._check_samples(weights, intercept)
        self.weights: Array | None = None  # of mean 1
        self._total: Array | None = None
        if weights is not None:
            self._weigh(weights)
        self.frame: Frame | None = None  # where x is in the variables of a centred model
        self.intercept = intercept
        if intercept:
            self.operator = WithIntercept(operator)
            on = self.xp.ones(self.operator.shape[1] - 1, dtype=self.y.dtype, device=device_of(self.y))
            on = self.xp.concat([on, self.xp.zeros_like(on[:1])])
            self.lam = self.lam * (on if len(self.shape) == 1 else on[:, None])

    def _targets(self, y: Array) -> Array:
        """The observations, their shape checked."""
        check_ndim(y, "y", 1, shape="(n,)")
        return y

    def _weigh(self, factors: Array) -> None:
        """Multiply the weights by factors (n,) of the samples."""
        xp, seen = self.xp, self.seen
        before = factors if self.weights is None else factors * self.weights
        known = seen is not None and seen.weights is before
        largest = seen.look.largest if known else xp.max(before)  # type: ignore[union-attr]
        total = seen.look.total if known else xp.sum(before / largest)  # type: ignore[union-attr]
        self._total = (total * largest) if self._total is None else self._total * (total * largest / self.n)
        self.weights = before / largest * (self.n / total)
        if known:
            self.seen = seen._replace(weights=self.weights)  # type: ignore[union-attr]

    def _weigh_classes(self, given: Any, members: Array, labels: tuple[int, ...], name: str, check: bool) -> None:
        """Multiply the weights by those of classes; where there is an intercept, check that all of them are there."""
        if given is not None:
            self._weigh(weights_of_classes(given, members, self.weights, labels, check))
        if self.intercept and check:
            known = self._known()
            check_every_class(members, self.weights, name, None if known is None else known.counts)

    def _check_samples(self, weights: Array | None, means: bool) -> None:
        """Raise ValueError where observations are not those of the loss, a number is not finite or a weight below 0.

        Samples that are read by blocks of rows are read once, and their means are found where these are needed.
        """
        operator, arrays = self.operator, {"y": self.y}
        if isinstance(operator, Dense | Sparse | Rows):
            arrays = {"A": operator if isinstance(operator, Rows) else operator.like, **arrays}
        look = None if self._rows() is None else self._look(weights, means)
        allowed = type(self).allowed(self.y) if look is None else look.allowed
        if allowed is not None and not holds(allowed):
            raise ValueError(self.not_allowed)
        check_finite(namespace_of(self.y), lambda: operator.rmatvec(self.y) if look is None else look.finite, **arrays)
        if weights is not None:
            check_weights(good_weights(weights) if look is None else look.weighed & (look.largest > 0))

    def _rows(self) -> Any:
        """The matrix where it is read by blocks of rows, else None."""
        matrix: Any = self.matrix
        matrix = matrix.A if isinstance(matrix, Dense) else matrix if isinstance(matrix, Rows) else None
        followed = hasattr(namespace_of(self.y), "inside")
        return None if matrix is None or followed or not read_by_rows(matrix) else matrix

    def _look(self, weights: Array | None, means: bool) -> Look:
        """A pass over the samples, which is remembered."""
        kind = type(self)
        look = look_at(self._rows(), self.y, weights, allowed=kind.allowed, members=kind.members, means=means)
        self.seen = Seen(self.y, weights, look)
        return look

    def _known(self) -> Means | None:
        """The means of y and A with these weights, where a pass has found them."""
        seen = self.seen
        return seen.look.means if seen is not None and seen.y is self.y and seen.weights is self.weights else None

    def separated(self, x: Array) -> Array | None:
        """Whether f is unbounded below along x where λ = 0, 0-d: it falls with every larger multiple of x.

        None for a loss of which that cannot be.
        """
        if not self.separable:
            return None
        none_wrong, some_right = self.sides(self._margins(x))
        return none_wrong & some_right

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of x."""
        return (self.operator.shape[1],)

    @property
    def matrix(self) -> LinearOperator:
        """A without a column for the intercept, where that is apart."""
        return self.operator.operator if isinstance(self.operator, WithIntercept) else self.operator

    @property
    def total_weight(self) -> Any:
        """Σ w_i as given, 0-d, those of classes included; n where no weights were given."""
        return self.n if self._total is None else self._total

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

    def first(self) -> tuple[Array, Array]:
        """Where descents start, and the margins there: 0, with a constant that fits the samples as the intercept."""
        xp, x = self.xp, self.zeros()
        if self.frame is None or self.frame.offset is not None:
            return x, xp.zeros_like(self.y)
        c = self.constant()
        return xp.concat([x[:-1, ...], (c / self._constant_column())[None, ...]], axis=0), xp.zeros_like(self.y) + c

    def first_gradient(self) -> tuple[Array, Array, Array]:
        """The x where descents start, ∇f there without λ, and the norm of the slopes of all samples there."""
        x, margins = self.first()
        d = self._slopes(margins)
        return x, self._adjoint(d) / self.n, safe_norm(d)

    def first_loss(self) -> Array:
        """The mean loss where descents start, 0-d."""
        return self._mean_loss(self.first()[1])

    def dual(self, x: Array, s: Array | None = None) -> Dual:
        """What a duality gap at x needs; where its margins s are known, they cost no product."""
        s = self._margins(x) if s is None else s
        theta, excess = self.dual_point(s)
        down = -self._adjoint(self._weighted(theta)) / self.n

        def squares() -> Array:
            d = self.derivative(s, self.y)
            return self.xp.sum(d * self._weighted(d)) / self.n

        return Dual(down, excess, squares)

    def mean_gram(self) -> Array:
        """AᵀW̃A/n of a dense A, (p, p)."""
        return gram(self.rooted(self.operator.A)) / self.n  # type: ignore[attr-defined]

    def mean_product(self) -> Array:
        """AᵀW̃y/n, in the shape of x."""
        return self._adjoint(self._weighted(self.y)) / self.n

    def unit_of_y(self) -> Array:
        """The power of two just below max|y|, 0-d."""
        if self.seen is None or self.seen.y is not self.y:
            return power_of_two(self.y)
        return self.xp.asarray(power_of_two(self.seen.look.size))

    def small(self, x: Array) -> Array:
        """An array without an axis of samples, of the library of x."""
        return x

    def delivered(self, answer: Any) -> Any:
        """An answer with arrays of the library of the samples."""
        return answer

    def centred(self) -> LinearModel:
        """The same model in the variables in which it is solved; itself without an intercept."""
        if not isinstance(self.operator, WithIntercept) or self.frame is not None:
            return self
        if self._rows() is not None:
            return self._centred_by_rows()
        other, (c,) = copy.copy(self), settled(self.constant())
        if self.has_units:  # ℓ is one of s − y
            other.y = self.y - c
        offset, margins = (c, 0 * c) if self.has_units else (None, c)
        slopes = other._slopes(self.xp.zeros_like(self.y) + margins)
        other.operator, other.frame = in_frame(self.operator, self._shares(), slopes, offset)
        return other

    def _centred_by_rows(self) -> LinearModel:
        """The same by a pass over blocks of rows, and one before it where the means are not known yet."""
        model = copy.copy(self)
        if model._known() is None:
            if model.weights is not None:
                (model.weights,) = settled(model.weights)
            model._look(model.weights, True)
        seen, means = model.seen, model._known()
        assert seen is not None
        assert means is not None
        c = np.asarray(model.constant()) if model.has_units else None
        scale, columns = column_scale(model._rows(), means), means.along.ndim == 2
        mean, size, offset = (None if x is None else model.xp.asarray(x) for x in (means.mean, scale, c))
        other = model.in_frame_of(Frame(mean, size, offset, columns))
        most = seen.look.size if c is None else np.max(np.maximum(means.high - c, c - means.low))
        other.seen = Seen(other.y, other.weights, seen.look._replace(size=most, means=means if c is None else None))
        return other

    def in_frame_of(self, frame: Frame) -> LinearModel:
        """The same model with an intercept in the variables of another one of its kind."""
        other, operator = copy.copy(self), self.operator
        assert isinstance(operator, WithIntercept)
        if frame.offset is not None:
            other.y = self.y - frame.offset
        if self._rows() is None:
            other.operator = WithIntercept(centred(operator.operator, frame.mean), frame.size).explicit()
        else:
            other.operator = WithIntercept(Centred(operator.operator, frame.mean), frame.size)
        other.frame = frame
        return other

    def inside(self, x: Array) -> Array:
        """x of the caller, with its intercept, in the variables of this model."""
        return x if self.frame is None else self.frame.inside(x)

    def features(self, x: Array) -> Array:
        """x in the variables of this model, without the intercept."""
        if self.frame is None:
            return x
        return x[..., :-1] if len(self.shape) == 1 else x[..., :-1, :]

    def split(self, x: Array) -> tuple[Array, Array | None]:
        """x and the intercept, for the caller, of x in the variables of this model."""
        return (x, None) if self.frame is None else self.frame.split(x)

    def column_sizes(self) -> Array | None:
        """max_i |A_ij| of each feature, (p,); None for an operator whose entries are not accessible."""
        return column_sizes(self.operator, self.y)

    def hessian_vector(self, x: Array, v: Array) -> Array:
        """∇²f(x) v."""
        return self.hessian_operator(x)(v)

    def hessian_operator(self, x: Array) -> Callable[[Array], Array]:
        """The map v to ∇²f(x) v; what depends on x alone is computed once."""
        model, x = self._meet(x)
        curve = model._curve(model._margins(x))

        def product(v: Array) -> Array:
            return model._adjoint(model._weighted(curve(model._margins(v)))) / model.n + model.lam * v

        return product

    def hessian(self, x: Array) -> Array:
        """∇²f(x), (p, p), for a dense A and one number per sample."""
        model, x = self._meet(x)
        matrix: Any = model.operator.explicit() if isinstance(model.operator, WithIntercept) else model.operator
        blocks = matrix.blocks() if isinstance(matrix, WithIntercept) else None
        if not (isinstance(matrix, Dense) or blocks) or len(model.shape) != 1:
            message = f"hessian: expected a dense A and x of shape (p,), got {model!r}. Use hessian_vector."
            raise TypeError(message)
        weights = model._weighted(model.second_derivative(model._margins(x), model.y))
        A, made = blocks or (matrix.A, None)
        return shifted(weighted_gram(A, model.xp.sqrt(weights / model.n), made), model.lam)

    def lipschitz(self) -> Array:
        """L with ‖∇f(x) − ∇f(z)‖ ≤ L‖x − z‖: sup ℓ″·‖W̃^½A‖²/n + λ, 0-d.

        ‖A‖² is exact up to rounding for a dense A with at most 256 rows or columns; otherwise it is estimated by
        Lanczos, usually an upper bound.
        """
        return self.xp.asarray((self.curvature / self.n) * self.squared_norm() + self.largest_lam())

    def squared_norm(self) -> Array:
        """‖W̃^½A‖² as `lipschitz` has it, 0-d."""
        operator = self.operator
        if isinstance(operator, Dense) and min(operator.shape) <= EXACT_NORM:
            tall = operator.shape[0] >= operator.shape[1]
            G = self.rooted_gram(operator.A) if tall else gram(self.rooted(operator.A).T)
            finite = self.xp.all(self.xp.isfinite(G))  # some libraries raise where others return NaN
            w, _ = eigh(self.xp.where(finite, G, self.xp.zeros_like(G)))
            return self.xp.where(finite, w[-1], self.xp.full_like(w[-1], self.xp.nan))
        like = self.xp.zeros((operator.shape[1], 1), dtype=self.y.dtype, device=device_of(self.y))
        w = None if self.weights is None else self.weights[:, None]
        return eigenvalue_bound(
            lambda v: operator.rmatvec(operator.matvec(v) if w is None else w * operator.matvec(v)), like
        )

    def sample_lipschitz(self) -> Array:
        """The same for the worst sample alone: sup ℓ″·max_i ‖a_i‖² + λ, 0-d."""
        squares = row_norms_squared(self.operator, self.y)
        worst = self.xp.max(squares if self.weights is None else squares * self.weights)
        return self.xp.asarray(self.curvature * worst + self.largest_lam())

    def convexity(self) -> Array:
        """The strong convexity, 0-d: λ, or with an intercept the curvature along it where descents start, if less.

        That is exact for least squares, since the column of the intercept is orthogonal to the others.
        """
        if self.frame is None:
            return self.lam
        size, curves = self._constant_column(), self.second_derivative(self.first()[1], self.y)
        mean = self.mean_of(curves if curves.ndim == 1 else self.xp.mean(curves, axis=-1))
        return self.xp.minimum(self.largest_lam(), size * size * mean)

    def _constant_column(self) -> Array:
        """The number in the column of the intercept of a centred model."""
        return self.operator.A[0, -1] if isinstance(self.operator, Dense) else self.operator.size  # type: ignore[attr-defined]

    def rooted(self, A: Array) -> Array:
        """W̃^½A, for columns A of the matrix."""
        return A if self.weights is None else self.xp.sqrt(self.weights)[:, None] * A

    def rooted_gram(self, A: Array) -> Array:
        """AᵀW̃A."""
        return gram(A) if self.weights is None else weighted_gram(A, self.xp.sqrt(self.weights))

    def largest_lam(self) -> Array:
        """λ, 0-d: in a model with an intercept, or units of its columns, the largest of all entries."""
        return self.lam if self.lam.ndim == 0 else self.xp.max(self.lam)

    def _center(self) -> Array:
        """The weighted mean of y, which a pass over blocks of rows may have found."""
        known = self._known()
        return super()._center() if known is None else self.xp.asarray(known.center)

    def _shares(self) -> Array:
        """w_i/Σw, (n,)."""
        if self.weights is not None:
            return self.weights / self.n
        return self.xp.full(self.n, 1 / self.n, dtype=self.y.dtype, device=device_of(self.y))

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
        return self._mean_loss(s) + penalty

    def _gradient(self, x: Array, s: Array) -> Array:
        return self._adjoint(self._slopes(s)) / self.n + self.lam * x

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
        for name in ("operator", "y", "lam", "weights", "_total", "frame"):
            setattr(other, name, map_arrays(function, getattr(self, name)))
        return other

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self.operator!r}>"
