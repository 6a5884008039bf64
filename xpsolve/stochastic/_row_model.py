"""The objective of a linear model whose samples are of Dask, in chunks of rows, or in a file.

Value, gradient and Hessian at an x come from one pass over the samples, made when they are asked for, and are NumPy
arrays as x is.  The first pass also finds the sizes of the columns and what the Lipschitz constant needs.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import array_api_compat.numpy
import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    innermost,
    is_array,
    namespace_of,
    row_reduce,
    row_sums,
    settled,
    shifted,
    weighted_gram,
)
from xpsolve.operators import Dense, eigenvalue_bound
from xpsolve.operators.centred import Centred
from xpsolve.operators.rows import Rows, read_by_rows
from xpsolve.stochastic._entries import row_norms_squared
from xpsolve.stochastic._intercept import WithIntercept
from xpsolve.stochastic.linear_model import Dual, LinearModel
from xpsolve.stochastic.objectives import LeastSquares
from xpsolve.trace import map_arrays

_MOST = 1024  # features up to which the first pass finds AᵀA for the Lipschitz constant
_OF_SAMPLES = ("operator", "y", "weights", "seen")


class _Sums(NamedTuple):
    """Sums over samples at an x."""

    loss: Array  # 0-d
    gradient: Array  # Aᵀℓ′, in the shape of x
    hessian: Array  # AᵀL″A where it was asked for, else 0
    sides: Array  # (2,), 0 where no margin is on the wrong side of its class, and where none is on the right one


class _First(NamedTuple):
    """What the first pass finds."""

    sums: _Sums
    slopes: Array  # Σ ℓ′², 0-d
    curve: Array  # Σ w̃ℓ″, 0-d
    gram: Array  # AᵀW̃A where it was asked for, else 0
    most: Array  # the largest entry of each column, (p,)
    least: Array


class _Known(NamedTuple):
    """Sums, and for which samples and x they hold."""

    operator: Any
    y: Any
    x: Array
    sums: _Sums


class RowModel(LinearModel):
    """A model of any kind whose A is in a file, or whose A, `y` and `weights` are of Dask; all else is of NumPy."""

    by_rows = True
    start: tuple[Array, Array]  # the first x, and the margins there
    hessians: bool  # whether a pass is to find the Hessian, too
    known: tuple[_Known, ...]  # the last two, of which a rejected step needs the one before the last
    beginning: tuple[Any, Any, _First] | None

    @property
    def xp(self) -> Namespace:
        """That of x."""
        return array_api_compat.numpy

    def first(self) -> tuple[Array, Array]:
        """Where descents start."""
        return self.start

    def first_gradient(self) -> tuple[Array, Array, Array]:
        """The first x, ∇f there without λ, and the norm of the slopes: by the first pass."""
        first, x = self._first, self.start[0]
        return x, first.sums.gradient / self.n, np.sqrt(first.slopes)

    @property
    def _first(self) -> _First:
        found = self.beginning
        if found is None or found[0] is not self.operator or found[1] is not self.y:
            lipschitz = not self.hessians and self.operator.shape[1] <= _MOST
            of = functools.partial(_first_of, self._block(), self.hessians, lipschitz)
            parts = row_reduce(of, _merged, *self._samples, small=(self.start[0],))
            first = _First(_Sums(*parts[:4]), *parts[4:])
            found = self.beginning = self.operator, self.y, first
            self.known = (_Known(self.operator, self.y, self.start[0], first.sums),)
        return found[2]

    @property
    def _samples(self) -> list[Array]:
        A, _ = _matrix(self.operator)
        return [A, self.y, *([] if self.weights is None else [self.weights])]

    def _block(self) -> Callable[..., LinearModel]:
        """What makes a model of a block of the samples."""
        template: Any = copy.copy(self)
        template.__class__ = type(self).__mro__[2]
        template.__dict__.update(dict.fromkeys((*_OF_SAMPLES, "start", "beginning", "bounds")), known=())
        return functools.partial(_model_of, template, _matrix(self.operator)[1])

    def _at(self, x: Array) -> _Sums:
        known = [k for k in self.known if k.operator is self.operator and k.y is self.y]
        here = next((k for k in known if np.array_equal(k.x, x)), None)
        if here is None:
            of = functools.partial(_sums_of, self._block(), self.hessians)
            here = _Known(self.operator, self.y, x, _Sums(*row_sums(of, *self._samples, small=(x,))))
        self.known = (here, *(k for k in known if k is not here))[:2]
        return here.sums

    def value(self, x: Array) -> Array:
        """f(x)."""
        return np.asarray(self._at(x).loss / self.n + 0.5 * np.sum(self.lam * x * x))

    def gradient(self, x: Array) -> Array:
        """∇f(x)."""
        return self._at(x).gradient / self.n + self.lam * x

    def value_and_gradient(self, x: Array) -> tuple[Array, Array]:
        """f(x) and ∇f(x)."""
        return self.value(x), self.gradient(x)

    def hessian(self, x: Array) -> Array:
        """∇²f(x), (p, p)."""
        return shifted(self._at(x).hessian / self.n, self.lam)

    def hessian_operator(self, x: Array) -> Callable[[Array], Array]:
        """The map v to ∇²f(x) v, each time by a pass."""

        def product(v: Array) -> Array:
            (Hv,) = row_sums(functools.partial(_product_of, self._block()), *self._samples, small=(x, v))
            return Hv / self.n + self.lam * v

        return product

    def first_loss(self) -> Array:
        """The mean loss where descents start, by the first pass."""
        return np.asarray(self._first.sums.loss / self.n)

    def dual(self, x: Array, s: Array | None = None) -> Dual:
        """As that of the model, by one pass, and by another for an `excess` that is not known from its sums."""
        block, samples, framed = self._block(), self._samples, self.frame is not None
        *terms, squares = row_sums(functools.partial(_dual_of, block, framed), *samples, small=(x,))
        sums = terms[2:]
        product = self.dual_mix(terms[:2], sums) if framed else terms[0]
        known: dict[float, Array] = {}

        def excess(t: Array) -> Array:
            if isinstance(self, LeastSquares):  # with θ = d − d̄ it is the mean of ½(d − tθ)²
                mean = sums[0] / sums[1] if framed else np.zeros(())
                return np.asarray(0.5 * ((1 - t) ** 2 * squares / self.n + t * (2 - t) * np.sum(mean * mean)))
            if not framed and t == 1:
                return np.zeros_like(squares)
            if float(t) not in known:
                of = functools.partial(_excess_of, block, len(samples))
                known[float(t)] = row_sums(of, *samples, small=(t, x, *sums))[0] / self.n
            return np.asarray(known[float(t)])

        return Dual(-product / self.n, excess, lambda: np.asarray(squares / self.n))

    def mean_gram(self) -> Array:
        """AᵀW̃A/n, by the first pass or one of its own."""
        return self._gram() / self.n

    def mean_product(self) -> Array:
        """AᵀW̃y/n of least squares, whose first x is 0: from the gradient there."""
        return -self._first.sums.gradient / self.n

    def _gram(self) -> Array:
        if self._first.gram.ndim:
            return self._first.gram
        (G,) = row_sums(functools.partial(_gram_of, self._block()), *self._samples)
        return G

    def lipschitz(self) -> Array:
        """As that of the model: from AᵀW̃A, or a bound by twelve passes."""
        if self.operator.shape[1] > _MOST:
            by_products = functools.partial(_normal_of, self._block())
            like = np.zeros((self.operator.shape[1], 1), self.y.dtype)
            largest = eigenvalue_bound(lambda v: row_sums(by_products, *self._samples, small=(v,))[0], like)
        else:
            G = self._gram()
            largest = np.linalg.eigvalsh(G)[-1] if np.all(np.isfinite(G)) else np.full((), np.nan, G.dtype)
        return np.asarray((self.curvature / self.n) * largest + self.largest_lam())

    def column_sizes(self) -> Array:
        """max_i |A_ij| of each feature, (p,)."""
        return np.maximum(self._first.most, -self._first.least)

    def sample_lipschitz(self) -> Array:
        """As that of the model, by a pass."""
        of = functools.partial(_worst_of, self._block())
        (worst,) = row_reduce(of, _largest, *self._samples)
        return np.asarray(self.curvature * worst + self.largest_lam())

    @functools.cached_property
    def bounds(self) -> np.ndarray[Any, Any]:
        """Where chunks begin and end, (chunks + 1,): those of Dask, or so many rows of a file with slices."""
        matrix = self._samples[0]
        if isinstance(matrix, Rows):
            return np.append(np.arange(0, self.n, matrix.step), self.n)
        return np.cumsum([0, *(length for length in matrix.chunks[0] if length)])

    @property
    def n_chunks(self) -> int:
        """How many there are."""
        return len(self.bounds) - 1

    def chunk(self, number: int) -> tuple[slice, LinearModel]:
        """Which samples are in a chunk, and their model, in memory."""
        (matrix, *others), (first, last) = self._samples, self.bounds[number : number + 2].tolist()
        part = slice(first, last)
        if isinstance(matrix, Rows):
            return part, self._block()(matrix.rows(first, last), *(y[part, ...] for y in others))
        import dask

        return part, self._block()(*dask.compute(matrix[part, :], *(y[part, ...] for y in others)))

    def chunk_lipschitz(self) -> Array:
        """L of the worst of the functions that chunks have in `xpsolve.stochastic.sag_chunks`, by a pass."""
        norms = [np.asarray(self.chunk(number)[1].squared_norm()) for number in range(self.n_chunks)]
        return np.asarray((self.curvature * self.n_chunks / self.n) * np.max(np.stack(norms)) + self.largest_lam())

    def chunks(self, rng: np.random.Generator) -> Iterator[LinearModel]:
        """Models of some samples each, all those of a file or of Dask once in random order."""
        rows, *others = self._samples
        if isinstance(rows, Rows):
            for part, A in rows.shuffled(rng):
                yield self._block()(A, *(y[part, ...] for y in others))
        else:
            for number in rng.permutation(self.n_chunks).tolist():
                yield self.chunk(number)[1]

    def adjoint(self, d: Array) -> Array:
        """Aᵀd for d with a row for every sample, by a pass."""
        (found,) = row_sums(functools.partial(_adjoint_of, self._block()), *self._samples, self.delivered(d))
        return found

    def convexity(self) -> Array:
        """As that of the model, by the first pass."""
        if self.frame is None:
            return self.lam
        size = self._constant_column()
        return np.minimum(self.largest_lam(), size * size * self._first.curve / self.n)

    def separated(self, x: Array) -> Array | None:
        """As that of the model."""
        if not self.separable:
            return None
        wrong, right = self._at(x).sides
        return np.asarray((wrong == 0) & (right > 0))

    def unit_of_y(self) -> Array:
        """The power of two just below max|y|."""
        return np.asarray(super().unit_of_y())

    def small(self, x: Array) -> Array:
        """An array without an axis of samples, in memory."""
        return np.asarray(innermost(x))

    def split(self, x: Array) -> tuple[Array, Array | None]:
        """x and the intercept for the caller, of Dask as the samples are."""
        x, c = self.delivered(super().split(x))
        return x, c

    def delivered(self, answer: Any) -> Any:
        """The answer with arrays of Dask, where the samples are."""
        if isinstance(self.y, np.ndarray):
            return answer
        import dask.array

        return map_arrays(dask.array.asarray, answer, leaf=lambda x: is_array(x) or isinstance(x, np.generic))


@functools.cache
def _kind(model: Any) -> Any:
    """The class of the same models in blocks."""
    return type(f"Row{model.__name__}", (RowModel, model), {"__module__": __name__})


def row_model(f: LinearModel, *, hessians: bool = False, block: int | None = None) -> LinearModel:
    """The model as a `RowModel` where A is of Dask or in a file, else itself; with `hessians` all passes find them.

    Blocks of a file have about `block` bytes.
    """
    A, _ = _matrix(f.operator)
    if A is None or not read_by_rows(A) or hasattr(namespace_of(f.y), "inside"):
        return f
    (x, margins), model = f.first(), copy.copy(f)
    for name, value in vars(f).items():  # λ, δ, the frame of an intercept, …
        if name not in _OF_SAMPLES:
            setattr(model, name, map_arrays(np.asarray, value))
    if f.weights is not None and (f.seen is None or f.seen.weights is not f.weights):  # known by sums over all samples
        (model.weights,) = settled(f.weights)
    kind: Any = type(f)
    model.__class__ = _kind(kind)
    vars(model).update(
        operator=_by_blocks(f.operator, block),
        start=(np.asarray(x), margins),
        hessians=hessians,
        known=(),
        beginning=None,
    )
    return model


def _matrix(operator: Any) -> tuple[Any, Callable[[Array], Array] | None]:
    """The matrix in an operator, None where there is none, and what makes rows of the operator of its rows."""
    if isinstance(operator, WithIntercept):
        return operator.blocks() or (None, None)
    return (operator if isinstance(operator, Rows) else operator.A if isinstance(operator, Dense) else None), None


def _by_blocks(operator: Any, size: int | None) -> Any:
    """The same operator, with a matrix in a file as `Rows`, of which nothing is ever made as a whole."""
    if isinstance(operator, WithIntercept):
        return WithIntercept(_by_blocks(operator.operator, size), _small(operator.size))
    if isinstance(operator, Centred):
        return Centred(_by_blocks(operator.operator, size), _small(operator.mean), operator.roots)
    if isinstance(operator, Dense) and isinstance(operator.A, np.memmap):
        return _by_blocks(Rows(operator.A), size)
    return operator if size is None or not isinstance(operator, Rows) else operator.in_blocks(size)


def _small(x: Array | None) -> Array | None:
    return None if x is None else np.asarray(x)


def _model_of(
    template: LinearModel, made: Callable[[Array], Array] | None, A: Array, y: Array, weights: Array | None = None
) -> LinearModel:
    model = copy.copy(template)
    model.__dict__.update(operator=Dense(A if made is None else made(A)), y=y, weights=weights)
    return model


def _split(samples: Sequence[Array], count: int) -> tuple[Sequence[Array], Sequence[Array]]:
    return samples[:-count], samples[-count:]


def _sums_of(block: Callable[..., LinearModel], hessian: bool, *args: Array) -> tuple[Array, ...]:
    samples, (x,) = _split(args, 1)
    return _sums_at(block(*samples), hessian, x)[0]


def _sums_at(model: Any, hessian: bool, x: Array) -> tuple[tuple[Array, ...], Array, Array]:
    """`_Sums` of some samples at x, their slopes and margins."""
    s, H, sides = model._margins(x), np.zeros((), x.dtype), np.zeros(2, x.dtype)
    if hessian:
        H = weighted_gram(model.operator.A, np.sqrt(model._weighted(model.second_derivative(s, model.y))))
    if model.separable and model.unpenalised:
        none_wrong, some_right = model.sides(s)
        sides = np.asarray([not none_wrong, some_right], x.dtype)
    loss, d = model.loss(s, model.y), model._slopes(s)
    total = np.sum(loss if model.weights is None else loss * model.weights)
    return (np.asarray(total), model._adjoint(d), H, sides), d, s


def _first_of(block: Callable[..., LinearModel], hessian: bool, lipschitz: bool, *args: Array) -> tuple[Array, ...]:
    samples, (x,) = _split(args, 1)
    model: Any = block(*samples)
    A = model.operator.A
    sums, d, s = _sums_at(model, hessian, x)
    curve = np.zeros((), x.dtype)
    if model.frame is not None:
        curves = model._weighted(model.second_derivative(s, model.y))
        curve = np.sum(curves) / np.prod(curves.shape[1:], dtype=int)
    G = model.rooted_gram(A) if lipschitz else np.zeros((), x.dtype)
    return *sums, np.sum(d * d), curve, G, np.max(A, axis=0), np.min(A, axis=0)


def _merged(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    *sums, most, least = zip(*parts, strict=True)
    return (
        *(sum(terms[1:], terms[0]) for terms in sums),
        np.max(np.stack(most), axis=0),
        np.min(np.stack(least), axis=0),
    )


def _largest(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    return (np.max(np.stack([x for (x,) in parts]), axis=0),)


def _worst_of(block: Callable[..., LinearModel], *samples: Array) -> tuple[Array, ...]:
    model: Any = block(*samples)
    squares = row_norms_squared(model.operator, model.y)
    return (np.asarray(np.max(squares if model.weights is None else squares * model.weights)),)


def _product_of(block: Callable[..., LinearModel], *args: Array) -> tuple[Array, ...]:
    samples, (x, v) = _split(args, 2)
    model: Any = block(*samples)
    return (model._adjoint(model._weighted(model._curve(model._margins(x))(model._margins(v)))),)


def _dual_of(block: Callable[..., LinearModel], framed: bool, *args: Array) -> tuple[Array, ...]:
    """AᵀW̃ of the terms of a dual point and their sums, without an intercept AᵀW̃θ; and Σ w̃ℓ′²."""
    samples, (x,) = _split(args, 1)
    model: Any = block(*samples)
    s = model._margins(x)
    d = model.derivative(s, model.y)
    terms = [model._weighted(part) for part in (model.dual_terms(s) if framed else (d,))]
    sums = [np.sum(part, axis=0) for part in terms] if framed else []
    return *(model._adjoint(part) for part in terms), *sums, np.sum(d * model._weighted(d))


def _excess_of(block: Callable[..., LinearModel], count: int, *args: Array) -> tuple[Array, ...]:
    samples, (t, x, *sums) = args[:count], args[count:]
    model = block(*samples)
    return (np.asarray(model.dual_point(model._margins(x), tuple(sums))[1](t) * model.n),)


def _normal_of(block: Callable[..., LinearModel], *args: Array) -> tuple[Array, ...]:
    samples, (v,) = _split(args, 1)
    model: Any = block(*samples)
    A = model.operator.A
    s = A @ v
    return (A.T @ (s if model.weights is None else model.weights[:, None] * s),)


def _adjoint_of(block: Callable[..., LinearModel], *args: Array) -> tuple[Array, ...]:
    samples, (d,) = _split(args, 1)
    return (block(*samples)._adjoint(d),)


def _gram_of(block: Callable[..., LinearModel], *samples: Array) -> tuple[Array, ...]:
    model: Any = block(*samples)
    return (model.rooted_gram(model.operator.A),)
