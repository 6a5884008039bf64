"""One interface: names, order and defaults of what solvers share, and what callbacks and records are given."""

import inspect
import re
import warnings

import numpy as np
import pytest
from things import is_short, objects

import xpsolve as xs
from xpsolve import costs
from xpsolve.capabilities import TABLE
from xpsolve.solution import Certificate, Solution

SHARED = ("method", "tol", "max_iter", "x0", "check_every", "record", "record_every", "callback", "check_finite")
DEFAULTS = {
    "method": "auto",
    "tol": 1e-6,
    "max_iter": 10_000,
    "x0": None,
    "check_every": costs.CHECK_EVERY,
    "record": False,
    "record_every": None,
    "callback": None,
    "check_finite": True,
}
OTHERS = {  # each with its reason
    ("ridge", "tol"): None,  # rounding: conjugate gradients stand beside direct methods
    ("ridge", "max_iter"): None,  # a number that grows with the problem
    ("lstsq", "tol"): None,
    ("lstsq", "max_iter"): None,
    ("ridge_cv", "method"): "gcv",  # the score, which has no cheapest way
    ("operator_norm", "tol"): 1e-8,  # a norm is found to all digits that are asked for
    ("operator_norm", "max_iter"): 1000,
    ("sinkhorn", "tol"): 1e-9,  # mass is lost otherwise
    ("newton", "max_iter"): 100,  # dear steps that converge quadratically
    ("newton", "check_every"): 1,
    ("basis_pursuit", "check_every"): 2 * costs.CHECK_EVERY,  # a check is least squares on the support
    ("dictionary_learning", "max_iter"): 1000,  # an iteration is many steps on all codes
    ("Lista.fit", "max_iter"): 200,  # training is not run to the end
    ("Lista.fit", "tol"): 1e-4,
    **{(name, "tol"): 1e-2 for name in ("sgd", "sga", "sag", "train")},  # what noisy steps come to
}


def public():
    """Every function of the table, and the training of an unrolled network."""
    places = (xs, xs.networks, xs.operators, xs.autodiff, xs.penalties)
    functions = {name: next((getattr(p, name) for p in places if hasattr(p, name)), None) for name in TABLE}
    hidden = [name for name, function in functions.items() if function is None]
    assert not hidden, f"make public in xpsolve/__init__.py, or in that of a public folder: {hidden}"
    return functions | {"Lista.fit": type(xs.lista(np.eye(2), 1.0, 1)).fit}


@pytest.mark.parametrize("name", sorted(public()))
def test_shared_options_come_last_in_one_order_with_the_same_defaults(name):
    parameters = inspect.signature(public()[name]).parameters.values()
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    shared = [word for word in keywords if word in SHARED]
    assert keywords[len(keywords) - len(shared) :] == shared == sorted(shared, key=SHARED.index)
    assert not {"init", "theta0", "history", "verbose", "maxiter", "max_iters", "n_iter", "start"} & set(keywords)
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and p.name in shared and p.default is not p.empty:
            default = DEFAULTS[p.name]
            if (name, p.name) in OTHERS:
                assert p.default == OTHERS[name, p.name] != default
            else:
                assert p.default == default, f"change it, or add ({name!r}, {p.name!r}) to OTHERS with a reason"
            assert type(p.default) is type(default) or p.default is None


@pytest.mark.parametrize("name", sorted(public()))
def test_docstrings_have_the_options_in_the_order_of_the_signature(name):
    function = public()[name]
    sections = re.findall(r"^(?:Other )?Parameters\n-+\n(.*?)\n\n", inspect.getdoc(function), re.MULTILINE | re.DOTALL)
    if not sections:
        return  # methods, whose docstring is a paragraph
    described = []
    for line in "\n".join(sections).splitlines():
        if line and not line.startswith(" "):
            described += [word.strip(" *") for word in line.partition(" : ")[0].split(",")]
    assert described == [p for p in inspect.signature(function).parameters if p in described]
    assert set(described) == set(inspect.signature(function).parameters)


# --- what callbacks and records are given ----------------------------------------------------------

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((12, 5)), RNG.standard_normal((6, 20))
Y, Z = A @ np.arange(5.0), B @ (RNG.standard_normal(20) * (np.arange(20) < 2))
SIGNS = np.sign(RNG.standard_normal(12))
HALF, COSTS = np.ones(4) / 4, RNG.random((4, 4))
F = xs.LeastSquares(A, Y)


def train(**options):
    def loss(x, A, y):
        r = A @ x - y
        return r @ r / (2 * len(y)), A.T @ r / len(y)

    return xs.networks.train(loss, np.zeros(5), A, Y, step=0.05, **options)


def fit(**options):
    return xs.lista(B[:, :9], 0.5, 2).fit(A[:, [0, 1, 2, 3, 4, 0]], layer_iter=0, **options).solution


def fit_inverse(**options):
    y, theta = np.asarray([-1.0, 0.0, 1.0]), np.asarray([1.5, -3.0])
    return xs.fit_inverse(lambda y, t: t[0] * y + t[1], theta, 2 * y - 4, y, step=0.2, theta_step=0.1, **options)


BOTH = {"objective", "certificate"}
SOLVES = {
    "ridge": (lambda **o: xs.ridge(A, Y, 0.1, method="cg", **o), BOTH),
    "ridge, many": (lambda **o: xs.ridge(A, np.stack([Y, -Y], axis=1), [0.1, 1.0, 2.0], method="cg", **o), BOTH),
    "ridge, tiny": (lambda **o: xs.ridge(1e-150 * A, Y, 1e-301, method="cg", **o), BOTH),
    **{f"lasso, {m}": (lambda m=m, **o: xs.lasso(B, Z, 0.01, method=m, **o), BOTH) for m in costs.LASSO_METHODS},
    "lasso, tiny": (lambda **o: xs.lasso(1e-150 * B, Z, 1e-152, **o), BOTH),
    "lasso, many": (lambda **o: xs.lasso(B, np.stack([Z, 1e3 * Z], axis=1), 0.1, **o), BOTH),
    "elastic_net": (lambda **o: xs.elastic_net(B, Z, 0.01, 0.5, **o), BOTH),
    "basis_pursuit": (lambda **o: xs.basis_pursuit(B, 1e20 * Z, **o), BOTH),
    "dictionary_learning": (lambda **o: xs.dictionary_learning(A, 3, 0.1, **o), BOTH),
    "minimize": (lambda **o: xs.minimize(F, xs.penalties.L1(0.1), **o), BOTH),
    "minimize, working_set": (lambda **o: xs.minimize(F, xs.penalties.L1(0.1), method="working_set", **o), BOTH),
    "nnls": (lambda **o: xs.nnls(A, Y, **o), BOTH),
    "gradient_descent": (lambda **o: xs.gradient_descent(F, momentum="nesterov", **o), BOTH),
    "coordinate_descent": (lambda **o: xs.coordinate_descent(F, **o), BOTH),
    "newton": (lambda **o: xs.newton(xs.Logistic(A, SIGNS, 0.1), **o), BOTH),
    "sinkhorn": (lambda **o: xs.sinkhorn(HALF, HALF, COSTS, 0.05, **o), {"certificate"}),
    "sinkhorn, many": (lambda **o: xs.sinkhorn(np.stack([HALF, HALF]), HALF, COSTS, 0.05, **o), {"certificate"}),
    "barycenter": (lambda **o: xs.barycenter(np.eye(4)[:2], COSTS + COSTS.T, 0.5, **o), {"certificate"}),
    "fit_inverse": (fit_inverse, BOTH),
    "train": (train, {"objective"}),
    "Lista.fit": (fit, BOTH),
}
MEASURES_ON_ITS_WAY = ("train",)  # its measure is that of the last epoch


def solved(name, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        return SOLVES[name][0](**options)


def shapes(x):
    return [part.shape for part in (x if isinstance(x, tuple) else (x,))]


@pytest.mark.parametrize("name", SOLVES)
def test_a_callback_gets_the_iteration_and_the_progress(name):
    seen = []
    solution = solved(name, callback=lambda k, progress: seen.append((k, progress)))
    assert [k for k, _ in seen] == sorted({k for k, _ in seen})
    assert seen[0][0] == 0
    assert seen[-1][0] == solution.n_iter
    for _, progress in seen:
        assert type(progress) is xs.Progress
        assert shapes(progress.x) == shapes(solution.x)
        assert np.ndim(progress.measure) == 0
    for got, wanted in zip(*((x if isinstance(x, tuple) else (x,)) for x in (seen[-1][1].x, solution.x)), strict=True):
        assert np.allclose(got, wanted, rtol=1e-12)
    if name not in MEASURES_ON_ITS_WAY:
        assert float(seen[-1][1].measure) == pytest.approx(solution.certificate.value, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("name", SOLVES)
def test_a_true_answer_stops_the_solver(name):
    assert solved(name, callback=lambda k, progress: True).status is xs.Status.STOPPED


@pytest.mark.parametrize("name", SOLVES)
def test_the_history_maps_names_to_arrays_from_before_the_first_iteration_on(name):
    solution = solved(name, record=True)
    assert solved(name).history is None
    assert set(solution.history) == SOLVES[name][1]
    steps = solution.stats.get("rounds", solution.n_iter)
    for values in solution.history.values():
        assert values.shape[0] == steps + 1
    if "certificate" in solution.history:
        last = solution.history["certificate"][-1]
        assert last.size in (np.size(solution.certificate.measures), 1)
        assert float(np.max(last)) == pytest.approx(solution.certificate.value, rel=1e-2, abs=1e-12)


def test_recorded_objectives_are_those_of_the_answer():
    x, last = {}, {}
    for name in ("ridge", "ridge, many", "ridge, tiny", "basis_pursuit"):
        solution = solved(name, record=True)
        x[name], last[name] = solution.x, solution.history["objective"][-1]
    assert last["ridge"] == pytest.approx(0.5 * np.sum((A @ x["ridge"] - Y) ** 2) + 0.05 * np.sum(x["ridge"] ** 2))
    tiny = x["ridge, tiny"] * 1e-150
    assert last["ridge, tiny"] == pytest.approx(0.5 * np.sum((A @ tiny - Y) ** 2) + 0.05 * np.sum(tiny**2))
    assert last["basis_pursuit"] == pytest.approx(np.sum(np.abs(x["basis_pursuit"])))
    assert last["ridge, many"].shape == (3, 2)
    for i, lam in enumerate((0.1, 1.0, 2.0)):
        for j, y in enumerate((Y, -Y)):
            z = x["ridge, many"][i, :, j]
            wanted = 0.5 * np.sum((A @ z - y) ** 2) + 0.5 * lam * np.sum(z**2)
            assert last["ridge, many"][i, j] == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["lasso, ista", "lasso, fista", "lasso, working_set", "elastic_net", "newton"])
@pytest.mark.parametrize("most", [0, 1, 7])
def test_n_iter_counts_what_max_iter_limits(name, most):
    solution = solved(name, max_iter=most, tol=1e-14)
    assert solution.n_iter == most or (solution.n_iter < most and solution.converged)


# --- reprs -----------------------------------------------------------------------------------------


def test_every_repr_is_one_short_line():
    for thing in objects(np.asarray):
        assert is_short(repr(thing)), repr(thing)


def test_no_repr_reads_from_a_device():
    """Here the counted arrays are the device; the emulated CuPy counts in tests/cupy_on_cpu."""

    def reprs(A, Y, L):
        solution = xs.ridge(A, Y, 0.1, method="svd", check_finite=False)
        things = [solution, solution.certificate, xs.Progress(A, Y), xs.PointCloud(A, A)]
        things.append(xs.LeastSquares(A, Y, check_finite=False))
        return [repr(thing) for thing in [*things, xs.penalties.L1(L), xs.operators.Dense(A), xs.Grid(Y)]]

    texts, tally = xs.count(reprs, A, Y, np.asarray(0.1))
    assert tally.syncs == 0
    assert all(map(is_short, texts))
    assert "certificate='relative backward error" in texts[0]


def test_what_is_known_of_the_status_is_shown():
    certificate = Certificate("error", _Far(1e-9), 1e-6)
    solution = Solution(np.ones(2), "some", certificate)
    assert repr(solution) == "Solution(x: 2, method='some', n_iter=0, certificate='error')"
    assert solution.converged
    assert repr(solution) == "Solution(x: 2, method='some', n_iter=0, status=CONVERGED)"
    assert repr(certificate) == "Certificate('error', 1.0e-09, tol=1.0e-06)"


class _Far:
    """A number that is elsewhere."""

    def __init__(self, value):
        self.value = value

    def __float__(self):
        return self.value
