"""A least-squares problem whose A has at least as many rows as columns and is not in memory: of Dask, or on a disk.

One pass over A gives AᵀA, Aᵀy and ‖y‖², or R and Qᵀy of A = QR.  The solver works on these, which are NumPy arrays, and
one more pass gives the residual from which the certificate of the answer is computed.  Nothing of the size of A is
made: each block of rows is converted, centred, weighted and scaled when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, NamedTuple, TypeVar

import array_api_compat.numpy
import numpy as np

from xpsolve.arrays import (
    Array,
    adjoint,
    adjoint_product,
    cast,
    gram,
    innermost,
    is_array,
    is_complex,
    joined_means,
    namespace_of,
    real_dtype,
    row_means,
    row_reduce,
    row_sums,
    row_triangle,
    thin_svd,
    wide_dtype,
)
from xpsolve.linear._problem import Problem, in_range, matrix_in, squared_norms
from xpsolve.operators import LinearOperator
from xpsolve.operators.centred import Centred
from xpsolve.operators.rows import Rows, read_by_rows
from xpsolve.trace import map_arrays

Tree = TypeVar("Tree")


class Sums(NamedTuple):
    """What one pass over A and Y finds, in float64 or complex128."""

    gram: Array  # AᵀA, (p, p); 0 where it is not needed
    Aty: Array  # (p, k)
    yy: Array  # ‖y‖² of each column, (k,)


@dataclass(frozen=True)
class RowProblem(Problem):
    """A and Y are of Dask, or A is a file; `xp`, λ and all that has p rows are of NumPy."""

    by_rows: ClassVar[bool] = True
    triangular: bool = False  # whether the first pass is that of QR, for methods that need no AᵀA
    products: bool = False  # whether the method needs products with A alone, and AᵀA is never made
    factor: Array | None = None  # what A is multiplied by, 0-d

    @property
    def dense(self) -> bool:
        """A is a matrix, with or without the means of its columns."""
        return True

    @property
    def A(self) -> Array:
        """The matrix as it was given."""
        return matrix_in(self.operator)

    @cached_property
    def sums(self) -> Sums:
        """All that the solvers need of A and Y, by one pass."""
        if not self.triangular:
            return Sums(*self.summed(_products if self.products else _sums, wide_dtype(self.Y)))
        R, C = self.triangle
        return Sums(adjoint(R) @ R, adjoint(R) @ C[: R.shape[1], :], squared_norms(C))

    @cached_property
    def triangle(self) -> tuple[Array, Array]:
        """R of A = QR, (p, p), and QᵀY with a part below that has the rest of ‖Y‖; by one pass."""
        p = self.shape[1]
        made, rows = self._blocks(wide_dtype(self.Y))
        T = row_triangle(self.A, *rows, made=made)
        return T[:p, :p], T[:, p:]

    def summed(self, f: Callable[..., tuple[Array, ...]], dtype: Any, *small: Array) -> tuple[Array, ...]:
        """Σ f(A_i, Y_i, *small) over blocks of rows."""
        made, rows = self._blocks(dtype)
        return row_sums(partial(_of_made, f, made, len(rows)), self.A, *rows, small=small)

    def _blocks(self, dtype: Any) -> tuple[Callable[..., tuple[Array, ...]], list[Array]]:
        """What makes blocks (A_i, Y_i) of what is given of them, and all that has n rows beside A."""
        operator, rows, mean = self.operator, [self.Y], None
        if isinstance(operator, Centred):
            mean, rows = operator.mean, rows if operator.roots is None else [*rows, operator.roots]
        return partial(_made, dtype=dtype, mean=mean, factor=self.factor), rows

    @cached_property
    def Aty(self) -> Array:
        """AᵀY, (p, k)."""
        return cast(self.sums.Aty, self.Y.dtype)

    @property
    def wide_Aty(self) -> Array:
        """AᵀY in float64."""
        return self.sums.Aty

    @property
    def like_Y(self) -> Array:
        """One row with the norms of the columns of Y."""
        return np.sqrt(self.sums.yy)[None, :]

    def gram(self) -> Array:
        """AᵀA, which may be overwritten."""
        return np.array(self.sums.gram, dtype=self.Y.dtype)

    @property
    def wide_gram(self) -> Array:
        """AᵀA in float64."""
        return self.sums.gram

    def svd(self) -> tuple[tuple[Array, Array, Array], Array]:
        """The SVD of R, and QᵀY."""
        R, C = (cast(part, self.Y.dtype) for part in self.triangle)
        return thin_svd(R), C[: R.shape[1], :]

    def residual(self, X: Array) -> tuple[Array, Array]:
        """One row with the norms of the columns of Y − AX, and Aᵀ(Y − AX), by one pass in the dtype of X."""
        ss, C = self.summed(_residual, X.dtype, X)
        return np.sqrt(ss)[None, :], C

    def normal(self, V: Array) -> tuple[Array, Array]:
        """‖Av‖² of each column, and AᵀAV, by one pass."""
        vv, W = self.summed(_normal, V.dtype, V)
        return vv, W

    def with_scaled_columns(self) -> RowProblem:
        """The same with every column of Y divided by a power of two; what is known of Y is divided, too."""
        yy = self.sums.yy
        known = bool(np.all(in_range(yy, -24, 24)))
        unit = self.unit_of(np.sqrt(yy)[None, :] if known else self.Y, axis=0)
        unit = cast(unit, real_dtype(self.Y))
        new = replace(self, Y=self.Y / unit, y_unit=unit)
        if known:
            vars(new)["sums"] = Sums(self.sums.gram, self.sums.Aty / unit, yy / (unit * unit))
            if "triangle" in vars(self):
                R, C = self.triangle
                vars(new)["triangle"] = R, C / unit
        return new

    def unit_of(self, x: Array, axis: int | None = None) -> Array:
        """The power of two just below max|x|, in one pass where x is A."""
        if x is self.A:
            (x,) = row_reduce(_largest, _largest_of, x)
        return np.asarray(super().unit_of(x, axis))

    def divided(self, unit: Array, *, entries: bool) -> RowProblem:
        """The same with A over a power of two: block by block, when they are read."""
        return replace(self, factor=1 / unit if self.factor is None else self.factor / unit)

    def column(self, j: int) -> Problem:
        """The problem of one column of Y; what is known of it stays known."""
        new = super().column(j)
        vars(new)["sums"] = Sums(self.sums.gram, self.sums.Aty[:, j : j + 1], self.sums.yy[j : j + 1])
        return new

    def small(self, x: Array) -> Array:
        """An argument with p rows, or none, in memory."""
        return np.asarray(innermost(x))

    def delivered(self, answer: Tree) -> Tree:
        """The answer with arrays of Dask, where A is."""
        return answer if isinstance(self.A, Rows) else delivered_beside(self.A, answer)


class Summed(Centred):
    """W^½(A − 1āᵀ) for one y, of which `RowProblem.sums` is known, and perhaps the `triangle`."""

    def __init__(
        self,
        operator: LinearOperator,
        mean: Array | None,
        roots: Array | None,
        sums: Sums,
        triangle: tuple[Array, Array] | None = None,
    ) -> None:
        super().__init__(operator, mean, roots)
        self.sums, self.triangle = sums, triangle

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> LinearOperator:
        operator, mean, roots = (map_arrays(function, part) for part in (self.operator, self.mean, self.roots))
        return Summed(operator, mean, roots, self.sums, self.triangle)


def delivered_beside(A: Array, answer: Tree) -> Tree:
    """The answer with arrays of Dask, where A is one."""
    if isinstance(A, np.ndarray):
        return answer
    import dask.array

    found: Tree = map_arrays(dask.array.asarray, answer, leaf=lambda x: is_array(x) or isinstance(x, np.generic))
    return found


def by_rows(problem: Problem, *, wide: bool = False) -> Problem:
    """The problem as a `RowProblem` where A is of Dask or a file, with at least as many rows as columns, or `wide`."""
    A = matrix_in(problem.operator)
    if A is None or not read_by_rows(A):
        return problem
    wrapped = any(hasattr(namespace_of(x), "inside") for x in (problem.Y, problem.lams))  # by who follows operations
    if (A.shape[0] < A.shape[1] and not wide) or wrapped:
        return problem
    parts: dict[str, Any] = {**vars(problem), "xp": array_api_compat.numpy, "lams": np.asarray(problem.lams)}
    found = RowProblem(**parts)
    if isinstance(problem.operator, Summed):
        known = {"sums": problem.operator.sums, "triangle": problem.operator.triangle}
        vars(found).update({name: value for name, value in known.items() if value is not None})
    return found


def by_triangle(problem: Problem) -> Problem:
    """The same for methods that need no AᵀA."""
    found = by_rows(problem)
    return found.knowing(triangular=True) if isinstance(found, RowProblem) else found


def by_products(problem: Problem) -> Problem:
    """The same for methods that need products with A alone, also with more columns than rows."""
    found = by_rows(problem, wide=True)
    return replace(found, products=True) if isinstance(found, RowProblem) else found


def _made(
    A: Array, Y: Array, roots: Array | None = None, *, dtype: Any, mean: Array | None, factor: Array | None
) -> tuple[Array, Array]:
    """A block of rows of A and Y: converted, centred, weighted and scaled."""
    A = cast(A, dtype)
    A = A if mean is None else A - mean
    A = A if roots is None else A * roots[:, None]
    return A if factor is None else A * factor, cast(Y, dtype)


def _of_made(f: Callable[..., tuple[Array, ...]], made: Callable[..., Any], rows: int, *args: Array) -> Any:
    return f(*made(*args[: rows + 1]), *args[rows + 1 :])


def without_means(
    operator: LinearOperator, y: Array, weights: Array | None, *, grams: bool
) -> tuple[Centred, Array, Array]:
    """W^½(A − 1āᵀ) of rows that are read block by block, ā and ȳ, by one pass; with `grams` its sums are known, too."""
    rows = (y if y.ndim == 2 else y[:, None], *(() if weights is None else (weights,)))
    made = partial(_about_means, grams, wide_dtype(y))
    _, mean, center, _, _, *sums = row_reduce(made, partial(_joined_about_means, grams), matrix_in(operator), *rows)
    mean, center = (cast(part, y.dtype) for part in (mean, center if y.ndim == 2 else np.asarray(center[0])))
    roots = None if weights is None else namespace_of(weights).sqrt(weights)
    found = Summed(operator, mean, roots, Sums(*sums)) if grams else Centred(operator, mean, roots)
    return found, mean, center


def _about_means(grams: bool, dtype: Any, A: Array, Y: Array, weights: Array | None = None) -> tuple[Array, ...]:
    """Σ w and the means of a block of rows, and the sums of the rest."""
    A, Y = cast(A, dtype), cast(Y, dtype)
    w = None if weights is None else cast(weights, real_dtype(A))
    total, mean, center = row_means(w, A, Y)
    if not grams:
        return total, mean, center, np.zeros_like(mean), np.zeros_like(center)
    A, Y = A - mean, Y - center
    _, *rests = row_means(w, A, Y)
    if w is not None:
        roots = np.sqrt(w)[:, None]
        A *= roots
        Y = Y * roots
    return total, mean, center, *rests, *_sums(A, Y)


def _joined_about_means(grams: bool, parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    means, (A, Y), rests = joined_means([part[:3] for part in parts], [part[3:5] for part in parts])
    if not grams:
        return *means, *rests
    within = (sum(terms[1:], terms[0]) for terms in zip(*(part[5:] for part in parts), strict=True))
    return *means, *rests, *(x + between for x, between in zip(within, _sums(A, Y), strict=True))


def _largest(A: Array) -> tuple[Array]:
    """The largest size of an entry, or of its real or imaginary part."""
    parts = (A.real, A.imag) if is_complex(A) else (A,)
    return (np.max(np.stack([np.maximum(np.max(x), -np.min(x)) for x in parts]), keepdims=True),)


def _largest_of(parts: Sequence[tuple[Array, ...]]) -> tuple[Array]:
    return (np.max(np.stack([x for (x,) in parts]), axis=0),)


def _sums(A: Array, Y: Array) -> tuple[Array, ...]:
    return gram(A), adjoint_product(A, Y), squared_norms(Y)


def _products(A: Array, Y: Array) -> tuple[Array, ...]:
    return np.zeros((), A.dtype), adjoint_product(A, Y), squared_norms(Y)


def _normal(A: Array, Y: Array, V: Array) -> tuple[Array, ...]:
    S = A @ V
    return squared_norms(S), adjoint_product(A, S)


def _residual(A: Array, Y: Array, X: Array) -> tuple[Array, ...]:
    S = namespace_of(Y).tile(Y, (1, X.shape[1] // Y.shape[1])) - A @ X
    return squared_norms(S), adjoint_product(A, S)
