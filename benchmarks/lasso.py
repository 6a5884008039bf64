"""The lasso: time of an iteration and time to a gap, in n and in p, counts, and the measured gap beside each.

The gap is computed here, in float64 on the host, from the returned x: 0 at a minimiser, and above how far from the
minimum any other x is.  So every method and backend is measured alike.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks._base import BACKENDS, Case, _Converges, _Counts, _Solves, distance, host
from benchmarks._problems import elastic_net_gap, lasso_gap, sparse_signal
from xpsolve import (
    basis_pursuit,
    dictionary_learning,
    discrepancy,
    elastic_net,
    elastic_net_cv,
    lasso,
    lasso_cv,
    lasso_path,
    lasso_sure,
    problems,
)

_STEPS = 50


class _Lasso(_Solves):
    """One call; the error is the relative duality gap."""

    family = "lasso"
    repeat = (3, 7, 1.0)
    part = 0.1

    def prepare(self, backend, method, **sizes):
        sizes = {**self.fixed, **sizes}
        A, y, lam = sparse_signal(sizes["n"], sizes["p"], self.part)
        return self.case(backend, method, A, y, lam)

    def case(self, backend: Any, method: str, A: np.ndarray, y: np.ndarray, lam: float) -> Case:
        there = backend.asarray(A), backend.asarray(y)
        return Case(
            lambda: lasso(*there, lam, method=method, check_finite=False, **self.options),
            lambda s: lasso_gap(A, y, lam, host(s.x)),
        )


class _Iterations(_Lasso):
    """Fifty iterations and the five checks of the gap that belong to them."""

    cost = "lasso"
    tol = 0.4  # the gap of x = 0 is 0.405: fifty iterations must have reduced it
    options = {"tol": 1e-15, "max_iter": _STEPS}


class IterationsInFeatures(_Iterations):
    """np flops per iteration at n = 500 < p: exponent 1."""

    title = "Fifty iterations on a wide lasso in the number of features"
    x = "p"
    fixed = {"n": 500, "n_iter": _STEPS}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("ista", "fista"), (6000, 12_000, 24_000, 48_000, 96_000))
    profiles = {}


class IterationsInSamples(_Iterations):
    """np² flops for the Gram matrix at p = 400 < n, and p² an iteration: exponent 1."""

    title = "Fifty iterations on a tall lasso in the number of samples"
    x = "n"
    fixed = {"p": 400, "n_iter": _STEPS}
    param_names = ("backend", "method", "n")
    params = (BACKENDS, ("ista", "fista"), (2500, 5000, 10000, 20000, 40000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["fista"]}}


class _ToGap(_Lasso):
    """Until the gap is 1e-6, which is then measured."""

    tol = 1.01e-6
    options = {"tol": 1e-6}


class ToGapInFeatures(_ToGap):
    """The methods against each other at n = 500 < p."""

    title = "Wide lasso to a gap of 1e-6 in the number of features"
    x = "p"
    fixed = {"n": 500}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("ista", "fista", "working_set"), (1000, 2000, 4000, 8000, 16000))
    profiles = {
        "smoke": {"backend": ["numpy"], "method": ["working_set"], "p": [1000]},
        "quick": {"backend": ["numpy"], "method": ["working_set"]},
    }


class ToGapInSamples(_ToGap):
    """The methods against each other at p = 400 < n."""

    title = "Tall lasso to a gap of 1e-6 in the number of samples"
    x = "n"
    fixed = {"p": 400}
    param_names = ("backend", "method", "n")
    params = (BACKENDS, ("ista", "fista", "working_set"), (2000, 4000, 8000, 16000, 32000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["working_set"]}}


class ElasticNetInSamples(ToGapInSamples):
    """Half of the penalty squared."""

    title = "Tall elastic net to a gap of 1e-6 in the number of samples"

    def prepare(self, backend, method, n):
        A, y, lam = sparse_signal(n, self.fixed["p"], self.part)
        there = backend.asarray(A), backend.asarray(y)
        return Case(
            lambda: elastic_net(*there, lam, 0.5, method=method, tol=1e-6, check_finite=False),
            lambda s: elastic_net_gap(A, y, lam / 2, lam / 2, host(s.x)),
        )


class ToGapSmallPenalty(_ToGap):
    """A tenth of the penalty, and ten times the features that stay."""

    title = "Wide lasso with a small penalty to a gap of 1e-6 in the number of features"
    x = "p"
    part = 0.01
    fixed = {"n": 500}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("fista", "working_set"), (1000, 2000, 4000, 8000, 16000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["working_set"], "p": [2000]}}


class Convergence(_Converges):
    """Each iteration of ISTA takes the same share of the gap, FISTA gains, working sets end with a linear system."""

    family = "lasso"
    title = "Convergence on a wide lasso: time to a relative gap"
    fixed = {"n": 500, "p": 2000}
    params = (BACKENDS, ("ista", "fista", "working_set"), _Converges.digits)

    def prepare(self, backend, method, digits):
        A, y, lam = sparse_signal(self.fixed["n"], self.fixed["p"], 0.1)
        there = backend.asarray(A), backend.asarray(y)
        options = {"method": method, "tol": 10.0**-digits, "max_iter": 100_000, "check_finite": False}
        exact = lasso(A, y, lam, tol=1e-14).x
        return Case(
            lambda: lasso(*there, lam, **options),
            lambda s: lasso_gap(A, y, lam, host(s.x), exact) * 10.0**digits,
        )


class Diabetes(_ToGap):
    """Ten measurements of 442 patients, correlated as measurements are."""

    title = "Lasso on the diabetes data to a gap of 1e-6"
    x = None
    param_names = ("backend", "method")
    params = (BACKENDS, ("ista", "fista", "working_set"))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, method):
        data = problems.diabetes()
        lam = 0.1 * float(np.max(np.abs(data.A.T @ data.y)))
        return self.case(backend, method, data.A, data.y, lam)


class _Path(_Solves):
    """A hundred values of λ down to a hundredth of the largest, and the worst of their gaps beside."""

    family = "lasso"
    tol = 1.01e-6
    repeat = (3, 5, 2.0)

    @staticmethod
    def problem(sizes: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        A, y, _ = sparse_signal(sizes["n"], sizes["p"], 1.0)
        return A, y

    def prepare(self, backend, method, **sizes):
        A, y = self.problem({**self.fixed, **sizes})
        there = backend.asarray(A), backend.asarray(y)

        def error(path: Any) -> float:
            # The dual points of exact answers: those of rounded ones are too far inside to show a small gap.
            exact = lasso_path(A, y, host(path.lams), method="working_set", tol=1e-12, check_finite=False).x
            triples = zip(host(path.lams), host(path.x), exact, strict=True)
            return max(lasso_gap(A, y, float(lam), x, at) for lam, x, at in triples)

        return Case(partial(lasso_path, *there, ratio=0.01, method=method, check_finite=False), error)


class PathInFeatures(_Path):
    """n = 500: from narrow to wide."""

    title = "A path of 100 λ in the number of features"
    x = "p"
    fixed = {"n": 500}
    param_names = ("backend", "method", "p")
    params = (BACKENDS, ("working_set", "fista"), (250, 500, 1000, 2000, 4000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["working_set"]}}


class PathInSamples(_Path):
    """p = 300 features: the products with Aᵀ for all λ dominate."""

    title = "A path of 100 λ in the number of samples"
    x = "n"
    fixed = {"p": 300}
    param_names = ("backend", "method", "n")
    params = (BACKENDS, ("working_set", "fista"), (1000, 2000, 4000, 8000, 16000))
    profiles = {"quick": {"backend": ["numpy"], "method": ["working_set"]}}


class DiabetesPath(_Path):
    """Ten measurements of 442 patients: small, so that the steps themselves dominate."""

    title = "A path of 100 λ on the diabetes data"
    x = None
    param_names = ("backend", "method")
    params = (BACKENDS, ("working_set", "fista"))
    profiles = {"quick": {"backend": ["numpy"]}}

    @staticmethod
    def problem(sizes):
        data = problems.diabetes()
        return data.A, data.y


class _Choice(_Solves):
    """λ by ten folds or by the size of the noise, and the gap of the answer beside."""

    family = "lasso"
    tol = 1.01e-6
    repeat = (3, 5, 2.0)
    theta = 0.0

    def prepare(self, backend, method, **sizes):
        sizes = {**self.fixed, **sizes}
        A, y, _ = sparse_signal(sizes["n"], sizes["p"], 1.0)
        solve = partial(self.choices[method], backend.asarray(A), backend.asarray(y), check_finite=False)

        def error(found: Any) -> float:
            x, lam, theta = host(found.x), float(found.lam), found.theta
            return elastic_net_gap(A, y, lam * (1 - theta), lam * theta, x) if theta else lasso_gap(A, y, lam, x)

        return Case(solve, error)

    choices: dict[str, Callable[..., Any]] = {
        "lasso_cv": partial(lasso_cv, n_lams=50, ratio=0.01),
        "elastic_net_cv": partial(elastic_net_cv, thetas=0.3, n_lams=50, ratio=0.01),
        "discrepancy": lambda A, y, **options: discrepancy(A, y, _noise(A, y), penalty="lasso", **options),
        "lasso_sure": lambda A, y, **options: lasso_sure(
            A, y, _noise(A, y) / len(y) ** 0.5, n_lams=50, ratio=0.01, **options
        ),
    }


def _noise(A: Any, y: Any) -> float:
    """A fifth of ‖y‖, which some λ of every problem here has as its residual."""
    return 0.2 * float((y @ y) ** 0.5)


class ChoiceInFeatures(_Choice):
    """n = 300: from narrow to wide."""

    title = "The λ of the lasso, by ten folds or by the noise, in the number of features"
    x = "p"
    fixed = {"n": 300}
    param_names = ("backend", "method", "p")
    params = (
        tuple(b for b in BACKENDS if b != "dask"),
        ("lasso_cv", "elastic_net_cv", "discrepancy", "lasso_sure"),
        (100, 200, 400, 800, 1600),
    )
    profiles = {"quick": {"backend": ["numpy"], "method": ["lasso_cv", "discrepancy"]}}


class ChoiceInSamples(_Choice):
    """p = 100 features: from wide to tall."""

    title = "The λ of the lasso, by ten folds or by the noise, in the number of samples"
    x = "n"
    fixed = {"p": 100}
    param_names = ("backend", "method", "n")
    params = (
        tuple(b for b in BACKENDS if b != "dask"),
        ("lasso_cv", "elastic_net_cv", "discrepancy", "lasso_sure"),
        (500, 1000, 2000, 4000, 8000),
    )
    profiles = {}


class BasisPursuit(_Solves):
    """From n equations to the ten features of p behind them, and the error of the answer beside."""

    family = "lasso"
    title = "Basis pursuit in the number of features"
    x = "p"
    tol = 1e-6
    fixed = {"n": 100}
    param_names = ("backend", "p")
    params = (tuple(b for b in BACKENDS if b != "dask"), (300, 600, 1200, 2400, 4800))
    profiles = {"quick": {"backend": ["numpy"]}}

    def prepare(self, backend, p):
        rng = np.random.default_rng(p)
        A = rng.standard_normal((self.fixed["n"], p))
        truth = np.zeros(p)
        truth[:10] = rng.standard_normal(10)
        there = backend.asarray(A), backend.asarray(A @ truth)
        return Case(partial(basis_pursuit, *there, tol=1e-8, check_finite=False), lambda s: distance(s.x, truth))


def _can_still_gain(X: np.ndarray, D: np.ndarray, Z: np.ndarray, lam: float) -> float:
    """What codes gain with this D at most, and every atom with these codes, over ½‖X‖²: 0 where neither does."""
    R = X - Z @ D.T
    theta = R * np.minimum(1.0, lam / np.maximum(np.max(np.abs(R @ D), axis=1), 1e-300))[:, None]
    dual = 0.5 * np.sum(X * X) - 0.5 * np.sum((X - theta) ** 2)
    codes = 0.5 * np.sum(R * R) + lam * np.sum(np.abs(Z)) - dual
    U = R.T @ Z + D * np.sum(Z * Z, axis=0)  # each atom is best along its column of U
    atoms = np.sum(np.linalg.norm(U, axis=0) - np.sum(U * D, axis=0))
    return float((codes + atoms) / (0.5 * np.sum(X * X)))


class _Dictionary(_Solves):
    """One call, and beside it how far from stationary in codes and atoms what it returned is."""

    family = "lasso"
    cost = "dictionary_learning"
    repeat = (3, 5, 0.5)
    lam = 0.1
    options = {}

    def samples(self, **sizes: Any) -> np.ndarray:
        raise NotImplementedError

    def prepare(self, backend, **sizes):
        X = self.samples(**sizes)
        options = {"lam": self.lam, "check_finite": False, **self.options}
        return Case(
            partial(dictionary_learning, backend.asarray(X), self.fixed["m"], **options),
            lambda s: _can_still_gain(X, host(s.x), host(s.codes), self.lam),
        )


class DictionaryDigits(_Dictionary):
    """1797 images of handwritten digits in 32 atoms, until the certificate is 1e-5."""

    title = "Dictionary of the digits until codes and atoms can gain 1e-5"
    cost = None  # iterations depend on the data
    tol = 1.1e-5
    lam = 0.5
    fixed = {"m": 32}
    options = {"tol": 1e-5}
    param_names = ("backend",)
    params = (tuple(b for b in BACKENDS if b != "dask"),)
    profiles = {"quick": {"backend": ["numpy"]}}

    def samples(self):
        A = problems.digits(standardise=False).A / 16
        return A - A.mean(axis=0)


class DictionaryInSamples(_Dictionary):
    """Ten iterations: 2nm² flops per step of the codes, exponent 1."""

    title = "Ten iterations of dictionary learning in the number of patches"
    x = "n"
    tol = 0.02  # a tenth of the value at the start: both steps must have worked
    fixed = {"p": 64, "m": 32, "n_iter": 10}
    options = {"tol": 1e-12, "max_iter": 10}
    param_names = ("backend", "n")
    params = (tuple(b for b in BACKENDS if b != "dask"), (500, 1000, 2000, 4000, 8000))
    profiles = {}

    def samples(self, n):
        return problems.patches(count=n)


class DictionaryStream(_Solves):
    """Batches of 250 patches, each taken once: time per batch does not grow, exponent 1 in their number.

    The error is how much more the dictionary leaves of other patches than that of all the same ones at once, relative
    to what any leaves.
    """

    family = "lasso"
    title = "Dictionary learning from a stream in the number of batches"
    cost = "dictionary_stream"
    x = "batches"
    tol = 0.2
    repeat = (3, 5, 0.5)
    fixed = {"n": 250, "p": 64, "m": 32}
    param_names = ("backend", "batches")
    params = (tuple(b for b in BACKENDS if b != "dask"), (2, 4, 8, 16, 32))
    profiles = {}

    def prepare(self, backend, batches):
        size, m = self.fixed["n"], self.fixed["m"]
        X = problems.patches(count=size * (batches + 2))
        unseen, X = X[: 2 * size], X[2 * size :]
        parts = [backend.asarray(X[i : i + size]) for i in range(0, len(X), size)]
        options = {"lam": _Dictionary.lam, "check_finite": False}

        def left(D: np.ndarray) -> float:
            Z = lasso(D, unseen.T, _Dictionary.lam, tol=1e-6).x
            return float(0.5 * np.sum((unseen.T - D @ Z) ** 2) + _Dictionary.lam * np.sum(np.abs(Z)))

        def error(found: Any) -> float:
            at_once = dictionary_learning(X, m, **options, tol=1e-4).x
            return left(host(found.x)) / left(at_once) - 1

        # every tolerance will do: what is compared are the atoms
        return Case(partial(dictionary_learning, parts, m, **options, tol=1e9), error)


class Counts(_Counts):
    """What fifty iterations need from the device, counted and not timed: the same on every machine."""

    family = "lasso"
    title = "Operations of fifty iterations on the lasso"
    x = "p"
    cost = "lasso"
    fixed = {"n": 60, "n_iter": _STEPS}
    param_names = ("backend", "method", "p")
    params = (("numpy",), ("ista", "fista"), (20, 60, 200))
    profiles = {"smoke": {"p": [200]}, "quick": {"p": [20, 200]}}

    def prepare(self, backend, method, p):
        A, y, lam = sparse_signal(self.fixed["n"], p, 0.1)
        options = {"method": method, "tol": 1e-15, "max_iter": _STEPS, "check_finite": False}
        A, y = backend.asarray(A), backend.asarray(y)
        return Case(lambda: lasso(A, y, lam, **options))
