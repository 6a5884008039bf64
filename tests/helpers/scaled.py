"""Solvers whose problems can be scaled: how the arguments scale, and how the answer must.

With A replaced by 2^i·A and y by 2^j·y every answer here is the answer before times a power of two, since such
products are exact.  Powers of ten are for people; the tests use the power of two below.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve import penalties as P

EXPONENTS = {
    "float64": (-300, -250, -200, -155, -150, -100, -50, -20, 0, 20, 50, 100, 150, 155, 200, 250, 300),
    "float32": (-37, -30, -23, -20, -15, -10, -5, 0, 5, 10, 15, 19, 20, 25, 30, 37),
}


def power(exponent):
    """The power of two below 10^exponent."""
    return 2.0 ** np.floor(exponent * np.log2(10.0))


@dataclass(frozen=True)
class Case:
    """One solver on one base problem."""

    name: str
    shape: tuple[int, int]
    solve: Any  # (A, y, a, c) -> Solution of the problem with a·A and c·y, given as they are
    answer: str = "c/a"  # what x is multiplied by
    nonzero_lam: bool = False  # whether λ·a² or λ·a·c must be representable
    apart: bool = True  # whether A and y may be scaled apart

    def data(self, dtype):
        """A and y before scaling."""
        rng = np.random.default_rng(7)
        n, p = self.shape
        A = rng.standard_normal((n, p))
        x = rng.standard_normal(p) * (np.arange(p) % 2)
        return A.astype(dtype), (A @ x + 0.1 * rng.standard_normal(n)).astype(dtype)

    def run(self, dtype, i, j):
        """The solution of the problem scaled by 10^i and 10^j, and what x is divided by; None if not representable."""
        dtype, info = np.dtype(dtype), np.finfo(dtype)
        a, c = power(i), power(j)
        A, y = self.data(dtype)
        with np.errstate(all="ignore"):
            A, y = (A * dtype.type(a)).astype(dtype), (y * dtype.type(c)).astype(dtype)
        exponent = {"c/a": j - i, "1/a": -i, "1": 0, "a": i}[self.answer]
        least, most = np.log10(float(info.smallest_normal)) + 3, np.log10(float(info.max)) - 3
        ranges = [i, j, exponent] + ([2 * i, i + j] if self.nonzero_lam else [])
        if not all(least <= r <= most for r in ranges) or (i != j and not self.apart):
            return None
        factor = c / a if self.answer == "c/a" else {"1/a": 1 / a, "1": 1.0, "a": a}[self.answer]
        return self.solve(A, y, a, c), factor


def tight(A):
    """A tolerance that both dtypes can reach."""
    return 1e-5 if A.dtype == np.float32 else 1e-10


def _ridge(method, lam):
    return lambda A, y, a, c: xs.ridge(A, y, lam * a * a, method=method)


def _lasso(method):
    return lambda A, y, a, c: xs.lasso(A, y, 1.0 * a * c, method=method, tol=tight(A))


def _elastic_net(A, y, a, c):
    # scaled apart, 1 − theta or theta would be rounded away
    l1, l2 = 1.0 * a * c, 0.5 * a * a  # lam (1 − theta) and lam theta
    return xs.elastic_net(A, y, l1 + l2, l2 / (l1 + l2), tol=tight(A))


def _descent(solver, lam=0.0, **options):
    return lambda A, y, a, c: solver(xs.LeastSquares(A, y, lam * a * a), tol=tight(A), max_iter=5000, **options)


def _minimize(penalty):
    """The weights of norms are multiplied by a·c, the sizes of sets by c/a."""

    def solve(A, y, a, c):
        return xs.minimize(xs.LeastSquares(A, y), penalty(a, c), tol=tight(A), max_iter=20_000)

    return solve


def _with_samples(solver, penalty=None, **options):
    """With weights and an intercept, where columns of A and y have means."""

    def solve(A, y, a, c):
        weights = np.linspace(0.5, 1.5, A.shape[0]).astype(A.dtype)
        f = xs.LeastSquares(A + A.dtype.type(a), y + y.dtype.type(c), weights=weights, intercept=True)
        given = () if penalty is None else (penalty(a, c),)
        return solver(f, *given, tol=tight(A), max_iter=20_000, **options)

    return solve


def _ridge_cv(method):
    return lambda A, y, a, c: xs.ridge_cv(A, y, [0.1 * a * a, a * a], method=method, folds=3)


def _stochastic(solver, **options):
    return lambda A, y, a, c: solver(xs.LeastSquares(A, y, 0.0), epochs=3, seed=1, **options)


def _logistic(solver, **options):
    def solve(A, y, a, c):
        return solver(xs.Logistic(A, np.sign(y), 0.01 * a * a), tol=tight(A), max_iter=5000, **options)

    return solve


def _sinkhorn(method, price=None):
    def solve(A, y, a, c):
        h, g = np.full(A.shape[0], 1 / A.shape[0], A.dtype), np.full(A.shape[1], 1 / A.shape[1], A.dtype)
        more = {} if price is None else {"marginal": price * a}
        return xs.sinkhorn(h, g, np.abs(A), 0.5 * a, method=method, tol=1e-4 if A.dtype == np.float32 else 1e-9, **more)

    return solve


CASES = [
    *(
        Case(f"ridge-{m}", s, _ridge(m, 0.0 if s[0] > s[1] else 0.3), nonzero_lam=s[0] < s[1])
        for m in ("normal", "svd", "cg")
        for s in ((9, 5), (5, 9))
    ),
    Case("ridge-woodbury", (5, 9), _ridge("woodbury", 0.3), nonzero_lam=True),
    Case("ridge-normal-lam", (9, 5), _ridge("normal", 0.3), nonzero_lam=True),
    Case("ridge-cg-lam", (9, 5), _ridge("cg", 0.3), nonzero_lam=True),
    Case("ridge-path", (9, 5), lambda A, y, a, c: xs.ridge(A, y, [0.1 * a * a, a * a]), nonzero_lam=True),
    Case("lstsq-tall", (9, 5), lambda A, y, a, c: xs.lstsq(A, y)),
    Case("lstsq-wide", (5, 9), lambda A, y, a, c: xs.lstsq(A, y)),
    *(
        Case(f"lasso-{m}-{s[0]}x{s[1]}", s, _lasso(m), nonzero_lam=True)
        for m in ("ista", "fista", "working_set")
        for s in ((12, 5), (8, 14))
    ),
    Case("elastic_net", (12, 5), _elastic_net, nonzero_lam=True, apart=False),
    Case(
        "lasso_path",
        (12, 5),
        lambda A, y, a, c: xs.lasso_path(A, y, n_lams=4, ratio=0.01, tol=tight(A)),
        nonzero_lam=True,
    ),
    *(
        Case(f"ridge_cv-{m}-{s[0]}x{s[1]}", s, _ridge_cv(m), nonzero_lam=True)
        for m in ("gcv", "loo", "kfold")
        for s in ((9, 5), (5, 9))
    ),
    Case("lasso_cv", (12, 5), lambda A, y, a, c: xs.lasso_cv(A, y, [a * c, 0.3 * a * c], folds=3), nonzero_lam=True),
    Case("lasso_sure", (12, 5), lambda A, y, a, c: xs.lasso_sure(A, y, c, [a * c, 0.3 * a * c]), nonzero_lam=True),
    Case("basis_pursuit", (4, 9), lambda A, y, a, c: xs.basis_pursuit(A, y)),
    Case(
        "dictionary_learning",
        (9, 5),
        lambda A, y, a, c: xs.dictionary_learning(A, 3, 0.1 * a, max_iter=50),
        answer="1",
        nonzero_lam=False,
    ),
    Case("nnls-tall", (9, 5), lambda A, y, a, c: xs.nnls(A, y, tol=tight(A))),
    Case("nnls-wide", (5, 9), lambda A, y, a, c: xs.nnls(A, y, tol=tight(A))),
    *(
        Case(f"minimize-{name}", (9, 6), _minimize(penalty), nonzero_lam=True)
        for name, penalty in {
            "l1": lambda a, c: P.L1(0.1 * a * c),
            "groups": lambda a, c: P.GroupL1(0.1 * a * c, 2),
            "total_variation": lambda a, c: P.TotalVariation(0.1 * a * c, (2, 3)),
        }.items()
    ),
    Case("minimize-ball", (9, 6), _minimize(lambda a, c: P.L1Ball(c / a))),
    Case("minimize-intercept", (9, 6), _with_samples(xs.minimize, lambda a, c: P.L1(0.1 * a * c)), nonzero_lam=True),
    Case("newton-intercept", (9, 5), _with_samples(xs.newton)),
    Case("gradient_descent-intercept", (9, 5), _with_samples(xs.gradient_descent, momentum="nesterov")),
    Case("gradient_descent", (9, 5), _descent(xs.gradient_descent)),
    Case("gradient_descent-nesterov", (9, 5), _descent(xs.gradient_descent, momentum="nesterov")),
    Case("gradient_descent-line_search", (9, 5), _descent(xs.gradient_descent, line_search=True)),
    Case("gradient_descent-lam", (9, 5), _descent(xs.gradient_descent, lam=0.1), nonzero_lam=True),
    Case("coordinate_descent", (9, 5), _descent(xs.coordinate_descent)),
    Case("newton", (9, 5), _descent(xs.newton)),
    Case("newton-lam", (9, 5), _descent(xs.newton, lam=0.1), nonzero_lam=True),
    Case("newton-logistic", (40, 3), _logistic(xs.newton), answer="1/a", nonzero_lam=True),
    Case("gradient_descent-logistic", (40, 3), _logistic(xs.gradient_descent), answer="1/a", nonzero_lam=True),
    Case("sgd", (9, 5), _stochastic(xs.sgd)),
    Case("sga", (9, 5), _stochastic(xs.sga)),
    Case("sag", (9, 5), _stochastic(xs.sag)),
    *(Case(f"sinkhorn-{m}", (6, 5), _sinkhorn(m), answer="a") for m in ("scaling", "stabilized", "log")),
    *(Case(f"unbalanced-{m}", (6, 5), _sinkhorn(m, 0.7), answer="a") for m in ("scaling", "stabilized", "log")),
]
