"""xpsolve beside other libraries, each at the loosest tolerance with which its *measured* error is small enough.

The data lie in the order that each library takes without a copy, no library fits an intercept or checks for NaN, and
everything is compiled before the clock starts.  How they are brought to the same error is in `benchmarks._contests`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks import _problems as data
from benchmarks._contests import DIRECT, Solve, _Peers, _Rows, lengths, named
from benchmarks._grid import listed_libraries
from xpsolve import (
    Logistic,
    Multinomial,
    lasso,
    lasso_path,
    minimize,
    newton,
    nnls,
    penalties,
    problems,
    ridge,
    sag,
    sgd,
    sinkhorn,
)
from xpsolve.arrays import namespace_of
from xpsolve.autodiff import chain_jacobian, grad

# --- lasso -------------------------------------------------------------------------------------------


def _l1(path: str, **options: Any) -> Callable[[_Rows], Solve]:
    """An estimator that divides the squares by n, and λ with them."""

    def made(q: _Rows) -> Solve:
        columns = np.asfortranarray(q.A)
        model = named(path, alpha=q.lam / q.y.size, fit_intercept=False, **options)
        return lambda tol: model(tol=tol).fit(columns, q.y).coef_

    return made


class Lasso(_Peers):
    """Fifty features of many, a tenth of noise; the error is the relative duality gap."""

    family = "lasso"
    title = "Lasso on Gaussian features to a gap of 1e-6"
    tol = 1e-6
    solvers = {
        "xpsolve": lambda q: lambda tol: lasso(q.A, q.y, q.lam, tol=tol, check_finite=False).x,
        # Without the Gram matrix: at 10000×500 it takes three times as long as the solve without.
        "scikit-learn": _l1("sklearn.linear_model.Lasso", max_iter=1_000_000),
        "celer": _l1("celer.Lasso"),
        "skglm": _l1("skglm.Lasso"),
    }
    param_names = ("library", "shape", "lam")
    params = (listed_libraries(solvers), ("500×2000", "1000×20000", "10000×500"), ("0.1 λmax", "0.01 λmax"))
    # skglm compiles in each process, for longer than all others take.
    profiles = {"quick": {"library": ["xpsolve", "scikit-learn", "celer"], "shape": ["500×2000"], "lam": ["0.01 λmax"]}}

    def problem(self, shape, lam):
        return _Rows(*data.sparse_signal(*lengths(shape), float(lam.split()[0])))

    def error(self, problem, answer):
        return data.lasso_gap(problem.A, problem.y, problem.lam, answer)


class CorrelatedLasso(Lasso):
    """Each feature has the correlation 0.9 with the next: x_j = 0.9 x_{j−1} + √0.19 z_j."""

    title = "Lasso on correlated features to a gap of 1e-6"
    params = (listed_libraries(Lasso.solvers), ("800×12000",), ("0.03 λmax",))
    profiles = {}

    def problem(self, shape, lam):
        rng = np.random.default_rng(0)
        n, p = lengths(shape)
        rows = rng.standard_normal((p, n))
        for j in range(1, p):
            rows[j] = 0.9 * rows[j - 1] + np.sqrt(0.19) * rows[j]
        A = np.ascontiguousarray(rows.T)
        return _Rows(A, *data.sparse_response(A, float(lam.split()[0]), rng))


# A solver that one writes by hand: FISTA with the gap looked at every ten steps, compiled by the library's own means.


def _fista_step(xp: Any, tau: Any, A: Any, y: Any, lam: Any, X: Any, Z: Any, k: Any) -> tuple[Any, Any, Any]:
    V = Z - tau * (A.T @ (A @ Z - y))
    new = xp.sign(V) * xp.clip(xp.abs(V) - tau * lam, 0, None)
    return new, new + k / (k + 3) * (new - X), k + 1


def _hand_written_gap(xp: Any, A: Any, y: Any, lam: Any, x: Any) -> Any:
    r = y - A @ x
    s = xp.clip(lam / xp.max(xp.abs(A.T @ r)), None, 1)
    theta = s * r
    primal = 0.5 * r @ r + lam * xp.sum(xp.abs(x))
    return (primal - theta @ y + 0.5 * theta @ theta) / (0.5 * y @ y)


def _jax_lasso(q: _Rows) -> Solve:
    import jax

    xp, lax = jax.numpy, jax.lax
    A, y, tau = xp.asarray(q.A), xp.asarray(q.y), 1 / np.linalg.norm(q.A, 2) ** 2

    @jax.jit
    def solve(A: Any, y: Any, lam: Any, tol: Any) -> Any:
        def ten(state: Any) -> Any:
            state = lax.fori_loop(0, 10, lambda _, s: _fista_step(xp, tau, A, y, lam, *s), state[:3])
            return *state, _hand_written_gap(xp, A, y, lam, state[0])

        zero = xp.zeros(A.shape[1])
        return lax.while_loop(lambda s: s[3] > tol, ten, (zero, zero, 0.0, xp.inf))[0]

    return lambda tol: jax.block_until_ready(solve(A, y, q.lam, tol))


def _torch_lasso(q: _Rows) -> Solve:
    import torch

    A, y, tau = torch.asarray(q.A), torch.asarray(q.y), 1 / float(np.linalg.norm(q.A, 2)) ** 2

    @torch.compile
    def ten(X: Any, Z: Any, k: Any) -> Any:
        for _ in range(10):
            X, Z, k = _fista_step(torch, tau, A, y, q.lam, X, Z, k)
        return X, Z, k, _hand_written_gap(torch, A, y, q.lam, X)

    def solve(tol: float) -> Any:
        X = Z = torch.zeros(A.shape[1], dtype=A.dtype)
        k, gap = torch.zeros((), dtype=A.dtype), np.inf
        while gap > tol:
            X, Z, k, gap = ten(X, Z, k)
        return X.numpy()

    return solve


class CompiledLasso(Lasso):
    """Small problems, where a compiled program saves the calls: FISTA in a dozen lines by ``jax.jit`` and
    ``torch.compile``, and the compiled loops of scikit-learn and of skglm (Numba)."""

    title = "Lasso beside compiled programs"
    solvers = Lasso.solvers | {"jax": _jax_lasso, "torch": _torch_lasso}
    params = (listed_libraries(solvers), ("100×10", "300×50"), ("0.1 λmax",))
    profiles = {}

    def error(self, problem, answer):
        return super().error(problem, np.asarray(answer))


# --- lasso path --------------------------------------------------------------------------------------


def _sklearn_path(q: _Rows) -> Solve:
    # A hundred solves share one Gram matrix; on 1000×5000 it still costs more than it saves.
    options = {"alphas": q.lam / q.y.size, "precompute": len(q.y) > q.A.shape[1], "max_iter": 1_000_000}
    peer, columns = named("sklearn.linear_model.lasso_path", **options), np.asfortranarray(q.A)
    return lambda tol: peer(columns, q.y, tol=tol)[1].T


def _celer_path(q: _Rows) -> Solve:
    peer = named("celer.celer_path", pb="lasso", alphas=q.lam / q.y.size, max_iter=100)
    columns = np.asfortranarray(q.A)
    return lambda tol: peer(columns, q.y, tol=tol)[1].T


class LassoPath(_Peers):
    """A hundred λ from that at which x becomes 0 to a hundredth of it; the error is the largest of their gaps."""

    family = "lasso"
    title = "A path of 100 λ, each to a gap of 1e-6"
    tol = 1e-6
    solvers = {
        "xpsolve": lambda q: lambda tol: lasso_path(q.A, q.y, q.lam, tol=tol, check_finite=False).x,
        "scikit-learn": _sklearn_path,
        "celer": _celer_path,
    }
    param_names = ("library", "shape")
    params = (listed_libraries(solvers), ("10000×1000", "1000×5000"))

    def problem(self, shape):
        A, y, largest = data.sparse_signal(*lengths(shape), 1.0)
        return _Rows(A, y, np.geomspace(largest, largest / 100, 100))

    def error(self, problem, answer):
        pairs = zip(problem.lam, answer, strict=True)
        return max(data.lasso_gap(problem.A, problem.y, float(lam), x) for lam, x in pairs)


# --- f + R -------------------------------------------------------------------------------------------


class Nnls(_Peers):
    """Half of the features are 0; the error is that of the optimality conditions."""

    family = "composite"
    title = "Non-negative least squares to a violation of 1e-6"
    tol = 1e-6
    solvers = {
        "xpsolve": lambda q: lambda tol: nnls(q.A, q.y, tol=tol, check_finite=False).x,
        "scipy": lambda q: lambda _: named("scipy.optimize.nnls")(q.A, q.y)[0],  # an active set: exact
    }
    param_names = ("library", "shape")
    params = (listed_libraries(solvers), ("1000×100", "4000×500", "500×1000"))
    profiles = {"quick": {"shape": ["1000×100"]}}

    def problem(self, shape):
        return _Rows(*data.positive_signal(*lengths(shape)), 0.0)

    def error(self, problem, answer):
        return data.nonnegative_violation(problem.A, problem.y, answer)


def _xpsolve_l1_logistic(q: _Rows) -> Solve:
    f = Logistic(q.A, q.y, check_finite=False)
    return lambda tol: minimize(f, penalties.L1(q.lam), tol=tol, check_finite=False).x


def _sklearn_l1_logistic(q: _Rows) -> Solve:
    options = {"solver": "liblinear", "fit_intercept": False, "max_iter": 100_000, "random_state": 0}
    options |= {"penalty": "l1", "C": 1 / (q.y.size * q.lam)}
    model = named("sklearn.linear_model.LogisticRegression", **options)
    return lambda tol: model(tol=tol).fit(q.A, q.y).coef_[0]


class L1Logistic(_Peers):
    """Twenty features tell the classes apart; the error is the relative duality gap."""

    family = "composite"
    title = "ℓ¹-logistic regression to a gap of 1e-6"
    tol = 1e-6
    solvers = {"xpsolve": _xpsolve_l1_logistic, "scikit-learn": _sklearn_l1_logistic}
    param_names = ("library", "shape", "lam")
    params = (
        listed_libraries(solvers),
        ("2000×200", "2000×2000", "500×5000", "500×20000"),
        ("0.1 λmax", "0.01 λmax"),
    )
    profiles = {"quick": {"shape": ["2000×200"], "lam": ["0.1 λmax"]}}

    def problem(self, shape, lam):
        return _Rows(*data.sparse_classes(*lengths(shape), float(lam.split()[0])))

    def error(self, problem, answer):
        return data.logistic_gap(problem.A, problem.y, problem.lam, answer)


# --- ridge -------------------------------------------------------------------------------------------


def _ridge_estimator(path: str) -> Callable[[_Rows], Solve]:
    return lambda q: lambda _: named(path, alpha=q.lam, fit_intercept=False)().fit(q.A, q.y).coef_


class Ridge(_Peers):
    """Both factorise a Gram matrix of the shorter side; the error is the backward error of the normal equations."""

    family = "ridge"
    title = "Ridge against other libraries"
    tol = 1e-12
    tolerances = DIRECT
    solvers = {
        "xpsolve": lambda q: lambda _: ridge(q.A, q.y, q.lam, check_finite=False).x,
        "scikit-learn": _ridge_estimator("sklearn.linear_model.Ridge"),
    }
    param_names = ("library", "shape")
    params = (listed_libraries(solvers), ("4000×200", "20000×500", "500×20000", "2000×2000"))
    profiles = {"quick": {"shape": ["4000×200"]}}

    def problem(self, shape):
        A, y, _ = data.planted(*lengths(shape), 0.1)
        return _Rows(A, y, 0.1)

    def error(self, problem, answer):
        A, y, lam = problem.A, problem.y, problem.lam
        norm = np.linalg.norm
        residual = A.T @ (y - A @ answer) - lam * answer
        square = norm(A) ** 2 / min(A.shape)  # ≤ ‖AᵀA‖, so that the error is never underestimated
        return float(norm(residual) / ((square + lam) * norm(answer) + norm(A.T @ y)))


class RidgeEstimator(Ridge):
    """The same as estimators, with the checks of data that users leave on; small data show their cost."""

    title = "Estimators of ridge"
    checks = True
    solvers = {
        "xpsolve": _ridge_estimator("xpsolve.estimators.Ridge"),
        "scikit-learn": _ridge_estimator("sklearn.linear_model.Ridge"),
    }
    params = (listed_libraries(solvers), ("442×10", "4000×200"))
    profiles = {}


# --- chains of Jacobians -----------------------------------------------------------------------------


def _opt_einsum_chain(host: list[np.ndarray]) -> Solve:
    import opt_einsum

    factors, letters = host[::-1], [opt_einsum.get_symbol(k) for k in range(len(host) + 1)]
    terms = ",".join(a + b for a, b in pairwise(letters))
    # planned once, like xpsolve; NumPy plans in every call
    multiply = opt_einsum.contract_expression(f"{terms}->{letters[0]}{letters[-1]}", *(A.shape for A in factors))
    return lambda _: multiply(*factors)


class Chain(_Peers):
    """The same factors for all; the error is that of the product on random vectors."""

    family = "chain"
    title = "Chain of Jacobians against other libraries"
    tol = 1e-12
    tolerances = DIRECT
    solvers = {
        "xpsolve": lambda factors: lambda _: chain_jacobian(factors),
        "numpy": lambda factors: lambda _: np.linalg.multi_dot(factors[::-1]),
        "opt_einsum": _opt_einsum_chain,
    }
    param_names = ("library", "dims")
    params = (
        listed_libraries(solvers),
        ("512-512-8-512-512-8-512", "784-512-512-256-256-10-1", "256-256-256-256-256-256-256", "16-32-32-16-32-32-8"),
    )
    profiles = {"quick": {"library": ["xpsolve", "numpy"], "dims": ["512-512-8-512-512-8-512"]}}

    def problem(self, dims):
        return data.chain_factors([int(n) for n in dims.split("-")])

    def error(self, problem, answer):
        return data.chain_error(problem, answer)


# --- gradients -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layers:
    """½‖z_t‖² with z_k = tanh(W z_{k−1}), differentiated by W; z_0 = Z is (width, batch)."""

    W: np.ndarray
    Z: np.ndarray
    depth: int

    def value(self, xp: Any, W: Any, Z: Any) -> Any:
        for _ in range(self.depth):
            Z = xp.tanh(W @ Z)
        return 0.5 * xp.sum(Z * Z)

    def gradient(self) -> np.ndarray:
        """By hand."""
        Zs = [self.Z]
        for _ in range(self.depth):
            Zs.append(np.tanh(self.W @ Zs[-1]))
        total, g = np.zeros_like(self.W), Zs[-1]
        for Z, out in zip(Zs[-2::-1], Zs[:0:-1], strict=True):
            d = g * (1 - out * out)
            total, g = total + d @ Z.T, self.W.T @ d
        return total


def _xpsolve_gradient(q: _Layers) -> Solve:
    gradient = grad(lambda W, Z: q.value(namespace_of(W), W, Z))
    return lambda _: gradient(q.W, q.Z)


def _autograd_gradient(q: _Layers) -> Solve:
    import autograd

    gradient = autograd.grad(lambda W, Z: q.value(autograd.numpy, W, Z))
    return lambda _: gradient(q.W, q.Z)


def _torch_gradient(q: _Layers, *, compiled: bool = False) -> Solve:
    import torch

    W, Z = torch.asarray(q.W), torch.asarray(q.Z)
    value = partial(q.value, torch)
    value = torch.compile(value) if compiled else value

    def solve(_: float) -> Any:
        leaf = W.detach().requires_grad_(True)
        return torch.autograd.grad(value(leaf, Z), leaf)[0]

    return solve


def _jax_gradient(q: _Layers, *, compiled: bool = False) -> Solve:
    import jax

    gradient = jax.grad(lambda W, Z: q.value(jax.numpy, W, Z))
    gradient = jax.jit(gradient) if compiled else gradient
    W, Z = jax.numpy.asarray(q.W), jax.numpy.asarray(q.Z)
    return lambda _: jax.block_until_ready(gradient(W, Z))


class Gradient(_Peers):
    """A tape through ten layers that share their weights, nothing compiled; the error is relative to the formula.

    With layers of 8 the time is that of recording, with 256 that of products.
    """

    family = "autodiff"
    title = "Gradient of a network by a tape, against other libraries"
    tol = 1e-12
    tolerances = DIRECT
    solvers = {
        "xpsolve": _xpsolve_gradient,
        "autograd": _autograd_gradient,
        "torch": _torch_gradient,
        "jax": _jax_gradient,
    }
    param_names = ("library", "shape")
    params = (listed_libraries(solvers), ("8×4", "64×64", "256×256"))

    def problem(self, shape):
        width, batch = lengths(shape)
        rng = np.random.default_rng(0)
        return _Layers(rng.standard_normal((width, width)) / np.sqrt(width), rng.standard_normal((width, batch)), 10)

    def error(self, problem, answer):
        truth = problem.gradient()
        return float(np.linalg.norm(np.asarray(answer) - truth) / np.linalg.norm(truth))


class GradientCompiled(Gradient):
    """The same beside programs that were compiled before the clock started."""

    title = "Gradient of a network by a tape, against compiled programs"
    solvers = {
        "xpsolve": _xpsolve_gradient,
        "torch": partial(_torch_gradient, compiled=True),
        "jax": partial(_jax_gradient, compiled=True),
    }
    params = (listed_libraries(solvers), Gradient.params[1])


# --- stochastic --------------------------------------------------------------------------------------

_EPOCHS = 10
_SHAPES = ("20000×50", "20000×500", "5000×2000")
_NEVER = 1e300  # the step at which the length of steps has halved


@dataclass(frozen=True)
class _Ordered:
    A: np.ndarray
    y: np.ndarray
    step: float
    answer: np.ndarray  # after all steps


def _xpsolve_sgd(q: _Ordered) -> Solve:
    f = Logistic(q.A, q.y, data.LAM, check_finite=False)
    order = np.tile(np.arange(q.y.size), _EPOCHS)
    return lambda _: sgd(f, indices=order, step0=q.step, warmup=_NEVER).x


def _sklearn_sgd(q: _Ordered) -> Solve:
    plain = {"loss": "log_loss", "max_iter": _EPOCHS, "tol": None, "shuffle": False, "fit_intercept": False}
    step = {"alpha": data.LAM, "learning_rate": "constant", "eta0": q.step}
    model = named("sklearn.linear_model.SGDClassifier", **plain, **step)
    return lambda _: model().fit(q.A, q.y).coef_[0]


class SgdEpochs(_Peers):
    """One sample per step in the order of the data, with a constant step: both take the same steps.

    Both loops over samples are compiled, ours where Numba is installed; the error is the distance from a plain one.
    """

    family = "stochastic"
    title = "Ten epochs of SGD on logistic regression"
    tol = 1e-8
    tolerances = DIRECT
    solvers = {"xpsolve": _xpsolve_sgd, "scikit-learn": _sklearn_sgd}
    param_names = ("library", "shape")
    params = (listed_libraries(solvers), _SHAPES)
    profiles = {"quick": {"shape": ["20000×50"]}}

    def problem(self, shape):
        A, y, _, step = data.two_classes(*lengths(shape))
        order = np.tile(np.arange(y.size), _EPOCHS)
        return _Ordered(A, y, step, data.loop_sgd(A, y, order, step, warmup=_NEVER))

    def error(self, problem, answer):
        return float(np.linalg.norm(answer - problem.answer) / np.linalg.norm(problem.answer))


@dataclass(frozen=True)
class _Classes:
    f: Any
    labels: np.ndarray
    solver: str  # theirs
    least: float  # f at its minimiser
    epochs: int = 100_000

    @classmethod
    def of(cls, f: Any, solver: str, **options: Any) -> _Classes:
        labels = f.y if f.y.ndim == 1 else np.argmax(f.y, axis=1)
        return cls(f, labels, solver, float(f.value(newton(f, tol=1e-11).x)), **options)


def _sklearn_logistic(q: _Classes) -> Solve:
    # C times the sum of losses + ½‖x‖² is f where C = 1/(nλ).
    options = {"C": 1 / (q.f.n * float(q.f.lam)), "fit_intercept": False, "max_iter": q.epochs, "random_state": 0}
    model = named("sklearn.linear_model.LogisticRegression", solver=q.solver, **options)
    A = q.f.operator.A
    return lambda tol: np.reshape(model(tol=tol).fit(A, q.labels).coef_.T, q.f.shape)


class _Logistic(_Peers):
    """xpsolve beside a solver of scikit-learn; the error is f(x) − f*."""

    family = "stochastic"
    solvers = {"xpsolve": lambda q: lambda tol: newton(q.f, tol=tol).x, "scikit-learn": _sklearn_logistic}
    param_names = ("library", "solver")
    params = (listed_libraries(solvers), ("lbfgs", "newton-cholesky", "newton-cg", "sag", "saga"))

    def error(self, problem, answer):
        return float(problem.f.value(answer)) - problem.least


class LogisticBreastCancer(_Logistic):
    """569 × 30, two classes; Newton's method is our fastest."""

    title = "Logistic regression on the breast cancer data to 1e-8 of the minimum, by Newton beside their solver"
    tol = 1e-8

    def problem(self, solver):
        tumours = problems.breast_cancer()
        return _Classes.of(Logistic(tumours.A, tumours.y, 1e-3, check_finite=False), solver)


class MultinomialDigits(_Logistic):
    """1797 × 64, ten classes; Newton's method by conjugate gradients is our fastest."""

    title = "Multinomial regression on the digits to 1e-8 of the minimum, by Newton beside their solver"
    tol = 1e-8

    def problem(self, solver):
        digits = problems.digits()
        return _Classes.of(Multinomial(digits.A, digits.y, 1e-3, check_finite=False), solver)


class SagEpochs(_Logistic):
    """Samples at random, which no two libraries draw alike: the error is relative to f(0) − f*."""

    title = "Ten epochs of SAG beside their solver"
    tol = 1e-4
    tolerances = DIRECT
    solvers = {
        "xpsolve": lambda q: lambda _: sag(q.f, epochs=q.epochs, tol=0).x,
        "scikit-learn": _sklearn_logistic,
    }
    param_names = ("library", "solver", "shape")
    params = (listed_libraries(solvers), ("sag", "saga"), _SHAPES)
    profiles = {"quick": {"shape": ["20000×50"]}}

    def problem(self, solver, shape):
        A, y, _, _ = data.two_classes(*lengths(shape))
        return _Classes.of(Logistic(A, y, data.LAM, check_finite=False), solver, epochs=_EPOCHS)

    def error(self, problem, answer):
        f = problem.f
        return super().error(problem, answer) / (float(f.value(f.zeros())) - problem.least)


# --- transport ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Transport:
    a: np.ndarray
    b: np.ndarray
    M: np.ndarray
    eps: float
    method: str = "auto"


def _xpsolve_sinkhorn(q: _Transport) -> Solve:
    options = {"method": q.method, "max_iter": 100_000, "check_finite": False}
    return lambda tol: sinkhorn(q.a, q.b, q.M, q.eps, tol=tol, **options).plan()


def _pot_sinkhorn(q: _Transport) -> Solve:
    method = "sinkhorn" if q.method == "auto" else f"sinkhorn_{q.method}"
    solve = named("ot.sinkhorn", method=method, numItermax=100_000)
    return lambda tol: solve(q.a, q.b, q.M, q.eps, stopThr=tol)


def _ott_sinkhorn(q: _Transport) -> Solve:
    import jax
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn as Solver

    a, b, M = (jax.numpy.asarray(x) for x in (q.a, q.b, q.M))

    @partial(jax.jit, static_argnums=0)
    def plan(tol: float) -> Any:
        solver = Solver(threshold=tol, max_iterations=100_000, lse_mode=q.method == "log")
        return solver(LinearProblem(Geometry(cost_matrix=M, epsilon=q.eps), a, b)).matrix

    return lambda tol: np.asarray(plan(tol))


class Sinkhorn(_Peers):
    """Uniform weights on points in the unit square; the error is ‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁ of the plan."""

    family = "transport"
    title = "Sinkhorn's plan to a marginal error of 1e-9"
    tol = 1e-9
    tolerances = tuple(10.0**-k for k in range(8, 14))
    solvers = {"xpsolve": _xpsolve_sinkhorn, "POT": _pot_sinkhorn, "ott-jax": _ott_sinkhorn}
    param_names = ("library", "n", "eps")
    params = (listed_libraries(solvers), (500, 2000), ("1e-1", "1e-2", "3e-3"))

    def problem(self, n, eps):
        return _Transport(*data.clouds(n), float(eps))

    def error(self, problem, answer):
        return float(np.sum(np.abs(answer.sum(1) - problem.a)) + np.sum(np.abs(answer.sum(0) - problem.b)))


class SinkhornStable(Sinkhorn):
    """The methods for small ε, for which entries of K would underflow."""

    title = "Sinkhorn's plan in logarithms and stabilised, to a marginal error of 1e-9"
    param_names = ("library", "method")
    params = (listed_libraries(Sinkhorn.solvers), ("log", "stabilized"))

    def problem(self, method):
        return _Transport(*data.clouds(200), 1e-2, method)
