"""A least-squares problem behind the public functions: checked arrays, columns, scaling, and its certificate.

Squares and products of the entries must neither overflow nor underflow.  Mostly they cannot, which max|y|
and max|Aᵀy| show, by a host read that is made anyway.  Otherwise A and y are divided by powers of two, exactly:

    Â = A/a,  ŷ = y/b,      x = x̂·b/a,      ½λ‖x‖² has λ̂ = λ/a²,  λ‖x‖₁ has λ̂ = λ/(a·b)

A, y and x may be complex, where Aᵀ in a formula is Aᴴ; λ, norms, gaps and units are real.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    cast,
    composed,
    gram,
    lift,
    limits_of,
    namespace_of,
    power_of_two,
    settled,
    squares,
    thin_svd,
    wide_dtype,
)
from xpsolve.autodiff.implicit import implicitly
from xpsolve.operators import Dense, LinearOperator, Rows, Sparse
from xpsolve.operators.centred import Centred
from xpsolve.solution import Solution

Tree = TypeVar("Tree")


@dataclass(frozen=True)
class Problem:
    """½‖Ax − y‖² + ½λ‖x‖² for every column y of Y and every λ of lams; A and Y may be scaled, λ never is.

    Where it is `paired` there is one λ for each column instead.
    """

    xp: Namespace
    operator: LinearOperator
    Y: Array  # (n, k)
    lams: Array  # (m,), or (k,) where it is paired
    single_y: bool
    single_lam: bool
    ordinary: bool | None = None  # what `is_ordinary` says, None where it was not checked yet
    A_unit: Array | None = None  # what A was divided by, 0-d
    y_unit: Array | None = None  # what the columns of Y were divided by, (k,)
    paired: bool = False

    by_rows: ClassVar[bool] = False
    """Whether A and Y are read block by block of rows, and all else is in memory."""

    @property
    def dense(self) -> bool:
        """Whether A is a matrix with explicit entries."""
        return isinstance(self.operator, Dense)

    @property
    def A(self) -> Array:
        """The matrix, where it is dense."""
        return self.operator.A  # type: ignore[attr-defined]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, p)."""
        return self.operator.shape

    @property
    def n_lams(self) -> int:
        """Values of λ for each column."""
        return 1 if self.paired else int(self.lams.shape[0])

    @cached_property
    def Aty(self) -> Array:
        """AᵀY, (p, k): the right-hand side, and part of the certificate."""
        return self.operator.rmatvec(self.Y)

    @property
    def wide_Aty(self) -> Array:
        """The same in float64 where the library has it."""
        wide = wide_dtype(self.Y)
        return self.Aty if self.Y.dtype == wide else self.operator.rmatvec(cast(self.Y, wide))

    @property
    def like_Y(self) -> Array:
        """An array whose columns are as long as those of Y."""
        return self.Y

    def gram(self) -> Array:
        """AᵀA of a dense A, which may be overwritten."""
        return gram(self.A)

    @property
    def wide_gram(self) -> Array:
        """The same in float64, to be read only; of a problem that is `by_rows`."""
        raise NotImplementedError

    @property
    def triangle(self) -> tuple[Array, Array]:
        """R of A = QR and QᵀY; of a problem that is `by_rows`."""
        raise NotImplementedError

    def svd(self) -> tuple[tuple[Array, Array, Array], Array]:
        """The thin SVD of a dense A, and Y: of another problem with the same answer where that is smaller."""
        return thin_svd(self.A), self.Y

    def residual(self, X: Array) -> tuple[Array, Array]:
        """S and AᵀS for S = Y − AX, Y repeated for every λ; in place of S perhaps an array with the same `like_Y`."""
        return self.operator.residual(X, tiled(self, self.Y))

    def normal(self, V: Array) -> tuple[Array, Array]:
        """‖Av‖² of each column, and AᵀAV; of a problem that is `by_rows`."""
        raise NotImplementedError

    def with_scaled_columns(self) -> Self:
        """The same with every column of Y divided by a power of two."""
        unit = self.unit_of(self.Y, axis=0)
        return replace(self, Y=self.Y / unit, y_unit=unit)

    def unit_of(self, x: Array, axis: int | None = None) -> Array:
        """The power of two just below max|x|."""
        return power_of_two(x, axis=axis)

    def divided(self, unit: Array, *, entries: bool) -> Self:
        """The same with A over a power of two: all `entries` now, or every product, which costs no pass over A."""
        return replace(self, operator=self.operator.scaled(1 / unit) if entries else self.operator * (1 / unit))

    def column(self, j: int) -> Problem:
        """The problem of one column of Y."""
        unit = self.y_unit
        one = replace(self, Y=self.Y[:, j : j + 1], y_unit=unit if unit is None else unit[j : j + 1])
        return replace(one, lams=self.lams[j : j + 1], paired=False) if self.paired else one

    def small(self, x: Array) -> Array:
        """An argument with p rows, or none, as the solvers take it."""
        return x

    def delivered(self, answer: Tree) -> Tree:
        """The answer with arrays of the library of A."""
        return answer

    def knowing(self, **facts: Any) -> Problem:
        """The same with other facts about it, and with AᵀY where that is known."""
        new = object.__new__(type(self))
        vars(new).update(vars(self), **facts)  # also what is cached
        return new

    def settled(self) -> Problem:
        """The same, with AᵀY computed now where the library is lazy: it is looked at more than once."""
        (Aty,) = settled(self.Aty)
        if Aty is self.Aty:
            return self
        new = replace(self)
        vars(new)["Aty"] = Aty
        return new

    @property
    def squared_lams(self) -> Array:
        """λ of ½λ‖x‖² for A as it is scaled, (m,).

        Beyond `_cap` the answer is Aᵀy/λ to all digits, whatever A is: `x_unit` has the rest of λ.
        """
        return self.lams if self.A_unit is None else self.xp.minimum(self._relative_lams, self._cap)

    @property
    def x_unit(self) -> Array | None:
        """What the columns of the answer of ½λ‖x‖² are multiplied by in the end, (m·k,); None where it is 1."""
        if self.y_unit is None:
            return None
        if self.A_unit is None:
            return tiled(self, self.y_unit[None, :])[0, :]
        rest = self._cap / self.xp.maximum(self._relative_lams, self._cap)
        return _columns(self, rest) * tiled(self, (self.y_unit / self.A_unit)[None, :])[0, :]

    @property
    def l1_unit(self) -> Array | None:
        """The same for the answer of λ‖x‖₁, (k,)."""
        return self.y_unit if self.A_unit is None else self.y_unit / self.A_unit

    def l1_weights(self, lams: Array) -> Array:
        """λ of λ‖x‖₁ for A and the columns of Y as they are scaled; beyond `_cap` the answer is 0 anyway."""
        if self.y_unit is None:
            return lams
        weights = lams / self.y_unit
        return weights if self.A_unit is None else self.xp.minimum(weights / self.A_unit, self._cap)

    def l1_lams(self, weights: Array) -> Array:
        """The opposite of `l1_weights`."""
        lams = weights if self.A_unit is None else weights * self.A_unit
        return lams if self.y_unit is None else lams * self.y_unit

    def l2_weight(self, lam: Array) -> Array:
        """λ of ½λ‖x‖² for A as it is scaled."""
        return lam if self.A_unit is None else lam / self.A_unit / self.A_unit

    @property
    def _relative_lams(self) -> Array:
        return self.lams / self.A_unit / self.A_unit

    @property
    def _cap(self) -> Array:
        return self.xp.full_like(self.lams, 2.0 ** (15 * limits_of(self.lams).exponents // 32))


def matrix_in(operator: LinearOperator) -> Array | None:
    """The matrix inside an operator, as it was given, or `Rows` of it; None where there is none."""
    inside = operator.operator if isinstance(operator, Centred) else operator
    return inside if isinstance(inside, Rows) else inside.A if isinstance(inside, Dense) else None


def entries_in(operator: LinearOperator) -> Array | None:
    """The entries of the matrix inside an operator, of a sparse one those that it stores; None where there is none."""
    inside = operator.operator if isinstance(operator, Centred) else operator
    return inside if isinstance(inside, Rows) else inside.like if isinstance(inside, Dense | Sparse) else None


def is_ordinary(problem: Problem, *, direct: bool = False) -> Array:
    """Whether y, A as seen in Aᵀy, and λ are far from the limits of the exponents, 0-d; NaN and y = 0 do not.

    What is not `direct` has squares of AᵀAy.
    """
    exponents = limits_of(problem.Y).exponents
    most, least = 2.0 ** (exponents * (6 if direct else 4) // 32), 2.0 ** (-exponents * (4 if direct else 3) // 32)
    return _all_between(problem.like_Y, problem.Aty, problem.lams, least, most)


@composed
def _all_between(Y: Array, Aty: Array, lams: Array, least: float, most: float) -> Array:
    """Whether max|y| and max|Aᵀy|/max|y| of each column lie between the two, and λ is at most most²."""
    xp = namespace_of(Y)
    size = xp.max(xp.abs(Y), axis=0)
    ratio = xp.max(xp.abs(Aty), axis=0) / size
    inside = (xp.maximum(ratio, size) <= most) & (xp.minimum(ratio, size) >= least)
    return xp.all(inside) & (xp.max(lams) <= most * most)


@_all_between.register("numpy")
def _all_between_numpy(Y: Array, Aty: Array, lams: Array, least: float, most: float) -> Array:
    if Y.shape[1] > 1:
        return _all_between.standard(Y, Aty, lams, least, most)
    size, ratio = (np.maximum.reduce(np.abs(V[:, 0])) for V in (Y, Aty))
    ratio = ratio / size
    lam = lams[0] if lams.shape[0] == 1 else lams.max()
    return np.asarray(least <= size <= most and least <= ratio <= most and lam <= most * most)


def scaled(problem: Problem) -> Problem:
    """The same with A and every column of y divided by powers of two, so that their largest entries are in [1, 2)."""
    problem = problem.with_scaled_columns()
    operator = problem.operator
    if problem.dense:
        unit = problem.unit_of(problem.A)
    elif isinstance(operator, Sparse) and operator.like.shape[0]:
        unit = lift(problem.xp, power_of_two(operator.like))
    else:
        unit = power_of_two(problem.Aty)  # the largest entry of Aᵀŷ
    return replace(problem.divided(unit, entries=True), A_unit=unit, ordinary=True)


def in_units_of(problem: Problem, unit: Array) -> Problem:
    """The same with A divided by a power of two at every product, which costs no pass over A; y is scaled before."""
    before = problem.A_unit
    new = replace(problem.divided(unit, entries=False), A_unit=unit if before is None else before * unit)
    vars(new)["Aty"] = problem.Aty / unit
    return new


def along(
    problem: Problem,
    solve: Callable[..., Solution],
    slope: Callable[[Array, Array], Array],
    *starts: Any,
    sparse: bool = False,
) -> Solution:
    """solve(problem, *starts), with the derivative of its equation slope(X, λ) = Aᵀ(Y − AX), p rows.

    Where x is `sparse` the equation holds on its support, and x stays 0 outside it.  Where the solver starts does not
    matter to where it ends, and the numbers beside x carry no derivative.
    """

    def at(operator: LinearOperator, Y: Array, lams: Array) -> Problem:
        if operator is problem.operator and Y is problem.Y and lams is problem.lams:
            return problem  # which may know AᵀY
        return replace(problem, xp=namespace_of(Y), operator=operator, Y=Y, lams=lams)

    def run(operator: LinearOperator, Y: Array, lams: Array, *starts: Any) -> tuple[Array, Solution]:
        solution = solve(at(operator, Y, lams), *starts)
        return solution.x, solution

    def condition(x: Array, operator: LinearOperator, Y: Array, lams: Array, *_: Any) -> Array:
        here = at(operator, Y, lams)
        xp, X = here.xp, to_columns(here, x)
        on = X != 0
        Z = xp.where(on, X, xp.zeros_like(X)) if sparse else X  # symmetric: others have no effect
        F = slope(Z, column_lams(here)) - operator.rmatvec(tiled(here, Y) - operator.matvec(Z))
        return from_columns(here, xp.where(on, F, X) if sparse else F)

    solution: Solution
    x, solution = implicitly(run, condition, (problem.operator, problem.Y, problem.lams, *starts))
    return replace(solution, x=x)


def descent(problem: Problem) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Z ↦ Aᵀ(Y − AZ) and v ↦ AᵀAv, by the Gram matrix where it is smaller than A."""
    operator, (n, p) = problem.operator, problem.shape
    if problem.by_rows or (problem.dense and n > p):
        (G,) = settled(problem.gram())
        return lambda Z: problem.Aty - G @ Z, lambda v: G @ v
    return lambda Z: operator.rmatvec(problem.Y - operator.matvec(Z)), lambda v: operator.rmatvec(operator.matvec(v))


@composed
def squared_norms(Y: Array) -> Array:
    """‖y‖² of each column."""
    return namespace_of(Y).sum(squares(Y), axis=0)


@squared_norms.register("numpy")
def _squared_norms_numpy(Y: Array) -> Array:
    return np.asarray([np.vdot(Y, Y).real]) if Y.shape[1] == 1 else squared_norms.standard(Y)


@composed
def half_of(squares: Array) -> Array:
    """½‖y‖² of each column, 1 where y is 0: what duality gaps are relative to."""
    xp, half = namespace_of(squares), 0.5 * squares
    return xp.where(half > 0, half, xp.ones_like(half))


@half_of.register("numpy")
def _half_of_numpy(squares: Array) -> Array:
    half = 0.5 * squares
    return half if np.minimum.reduce(half) > 0 else half_of.standard(squares)


def from_columns(problem: Problem, X: Array) -> Array:
    """(p, m·k) columns in the shape that the arguments ask for: (p,), (p, k), (m, p) or (m, p, k)."""
    xp = problem.xp
    p, m, k = X.shape[0], problem.n_lams, problem.Y.shape[1]
    if problem.single_lam:
        return X[:, 0] if problem.single_y else X
    stacked = xp.permute_dims(xp.reshape(X, (p, m, k)), (1, 0, 2))
    return stacked[:, :, 0] if problem.single_y else stacked


def to_columns(problem: Problem, x: Array) -> Array:
    """The opposite of `from_columns`."""
    xp = problem.xp
    p, m, k = problem.shape[1], problem.n_lams, problem.Y.shape[1]
    X = xp.reshape(x, (1 if problem.single_lam else m, p, 1 if problem.single_y else k))
    return xp.reshape(xp.permute_dims(X, (1, 0, 2)), (p, m * k))


def tiled(problem: Problem, Y: Array) -> Array:
    """Y (·, k) once for every λ: (·, m·k)."""
    xp, m = problem.xp, problem.n_lams
    if m == 1:
        return Y
    r, k = Y.shape
    return xp.reshape(xp.broadcast_to(Y[:, None, :], (r, m, k)), (r, m * k))


def column_lams(problem: Problem) -> Array:
    """λ of ½λ‖x‖² of every column, (m·k,)."""
    return _columns(problem, problem.squared_lams)


def _columns(problem: Problem, lams: Array) -> Array:
    """A number for every λ, (m,), for every column, (m·k,)."""
    xp, k = problem.xp, problem.Y.shape[1]
    if k == 1 or problem.paired:
        return lams
    return xp.reshape(xp.broadcast_to(lams[:, None], (lams.shape[0], k)), (-1,))


def lost_in_units(X: Array, unit: Array) -> Array:
    """What X loses when it is returned times its unit, where it overflows or underflows: 0, or relative to max|X|."""
    xp = namespace_of(X)
    largest = xp.max(xp.abs(X), axis=0)
    lost = xp.max(xp.abs((X * unit) / unit - X), axis=0)
    return lost / xp.where(largest > 0, largest, xp.ones_like(largest))


def rank_cut(problem: Problem) -> float:
    """Where singular values count as zero, relative to the largest: it does not grow with the longer side."""
    return 8 * min(problem.shape) * limits_of(problem.Y).eps


def in_range(x: Array, least: int, most: int) -> Array:
    """Whether 2^(E·least/32) ≤ x ≤ 2^(E·most/32), E the exponents of the dtype, 128 or 1024; NaN is not."""
    exponents = limits_of(x).exponents
    return (x >= 2.0 ** (exponents * least // 32)) & (x <= 2.0 ** (exponents * most // 32))
