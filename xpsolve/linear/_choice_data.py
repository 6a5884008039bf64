"""The samples that λ is chosen from: those that were given, or a few in memory in place of many that are not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    cast,
    check_flag,
    check_ndim,
    enter,
    innermost,
    is_array,
    library,
    namespace_of,
    wide_dtype,
)
from xpsolve.linear._condensed import condensed
from xpsolve.linear._row_problem import delivered_beside
from xpsolve.linear._samples import Samples, check_weights
from xpsolve.linear.chosen import candidates, entered
from xpsolve.operators.entry import enter_operator, unless_converted
from xpsolve.operators.rows import Rows, is_source, read_by_rows


@dataclass(frozen=True)
class Data:
    """Samples (n, p) in memory, λ to choose from, and the problem whose answer is wanted."""

    A: Array
    y: Array
    weights: Array | None
    folds: Any
    lams: Array | None  # (m,), None where none were given
    samples: Samples  # of these
    final: Samples  # of the data as they were given, or the same
    n: int  # of how many rows they are; without those of weight 0 where they stand for others
    like: Array | None = None  # y as it was given, where answers have to become arrays like it
    dtype: Any = None  # of the answers
    method: str = ""  # by which the few samples were found

    @property
    def condensed(self) -> bool:
        """Whether the samples stand for others."""
        return self.final is not self.samples

    def finished(self, solution: Any) -> Any:
        """The answer of the final problem as the caller wants it."""
        solution = self.final.finished(solution)
        if self.condensed:
            solution = replace(solution, stats={**solution.stats, "sums": self.method})
        return self.delivered(solution)

    def argument(self, x: Array) -> Array:
        """An array as an argument beside the data of the final problem."""
        return self.delivered(x) if self.condensed else x

    def delivered(self, answer: Any) -> Any:
        """An array or a solution as the caller wants it."""
        if self.like is None:
            return answer
        if is_array(answer) or isinstance(answer, np.generic):
            answer = cast(np.asarray(answer), self.dtype)
        return delivered_beside(self.like, answer)


@dataclass(frozen=True)
class Given:
    """The arguments that all functions which choose λ share; y is (n,) where it has to be `single`."""

    A: Any
    y: Array
    lams: Any
    weights: Array | None
    intercept: bool
    folds: Any
    check_finite: bool
    single: bool = False

    def data(self) -> Data:
        """All of it, checked; one pass is made over an A that is read by rows and has more of them than columns.

        With no more rows than columns such an A is loaded into memory, as AᵀA would be.
        """
        check_flag(self.check_finite, "check_finite")
        check_flag(self.intercept, "intercept")
        A = Rows(self.A) if is_source(self.A) else self.A
        if not _by_rows(A):
            return self._in_memory(A, self.y, self.lams, self.weights)
        rest = (self.y, self.lams, self.weights)
        if A.shape[0] > A.shape[1] and not any(is_array(x) and hasattr(namespace_of(x), "inside") for x in rest):
            return self._condensed(A)
        found = self._in_memory(_loaded(A), *(_loaded(x) if _is_lazy(x) else x for x in rest))
        return replace(found, like=self.y, dtype=found.y.dtype) if _is_lazy(self.y) else found

    def _in_memory(self, A: Any, y: Array, lams: Any, weights: Array | None) -> Data:
        A, y = entered(A, y, self.check_finite)
        self._check(y)
        lams = None if lams is None else candidates(lams, y, self.check_finite)
        samples = Samples.of(A, y, weights, self.intercept, check_finite=self.check_finite)
        return Data(A, y, weights, self.folds, lams, samples, samples, A.shape[0])

    def _condensed(self, A: Any) -> Data:
        y, weights, lams = self.y, self.weights, self.lams
        if weights is not None:
            _, (y, weights) = enter(y=y, weights=weights)
            weights = check_weights(weights, A.shape[0], self.check_finite)
        _, operator, y = enter_operator(unless_converted(A, y), y)
        self._check(y)
        if lams is not None:
            lams = cast(np.asarray(innermost(candidates(lams, y, self.check_finite))), wide_dtype(y))
        found = condensed(operator, y, weights, self.intercept, self.folds, self.check_finite)
        Y = found.Y if y.ndim == 2 else found.Y[:, 0]
        samples = Samples.of(found.A, Y, found.weights, self.intercept, check_finite=False)
        data = Data(found.A, Y, found.weights, found.folds, lams, samples, found.whole, found.n)
        return replace(data, like=y, dtype=y.dtype, method=found.method)

    def _check(self, y: Array) -> None:
        if self.single:
            check_ndim(y, "y", 1, shape="(n,)")


def _by_rows(A: Any) -> bool:
    return (isinstance(A, Rows) or is_array(A)) and len(A.shape) == 2 and read_by_rows(A)


def _is_lazy(x: Any) -> bool:
    return is_array(x) and not hasattr(namespace_of(x), "inside") and library(namespace_of(x)) == "dask"


def _loaded(x: Any) -> Array:
    if isinstance(x, Rows):
        return np.concatenate(list(x.row_blocks()))
    return x.view(np.ndarray) if isinstance(x, np.memmap) else np.asarray(x)
