"""Where the host waits for the device: nowhere that `xs.count` does not see, and not more often than is declared."""

import inspect
import sys

import numpy as np
import oracle
import pytest
import scipy.sparse
import things
from test_examples import examples, run_example

import xpsolve as xs
from xpsolve import costs
from xpsolve.capabilities import TABLE

cupy = pytest.importorskip("cupy")
emulator = pytest.importorskip("cupy.emulator", reason="a real CuPy is here, which does not count")

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")


@pytest.fixture(autouse=True)
def no_judge(monkeypatch):
    """The functions themselves: what checks their answers in other tests reads them."""
    for name in oracle.TRUTHS:
        monkeypatch.setattr(xs, name, getattr(xs, name).__wrapped__)


def said(counts):
    """Where the host waited, most often first."""
    return "\n".join(f"{times:5d}  {site}" for site, times in counts.sites.most_common())


def watched(f, *args, **kwargs):
    """What f returns, the waits that the emulator sees, and those that `count` sees."""
    with emulator.counting() as counts:
        out = f(*args, **kwargs)
    _, tally = xs.count(f, *args, **kwargs)
    assert counts.syncs <= tally.syncs, f"count sees {tally.syncs} waits, the emulator {counts.syncs}:\n{said(counts)}"
    return out, counts


# --- every public function, in the examples of its documentation --------------------------------------------------

LOOKS = {  # host reads beside those declared, for so many iterations, where it is not one every CHECK_EVERY
    "lasso": lambda n: 12 * (n + 1),  # a round of the working set and the Newton steps in it
    "elastic_net": lambda n: 12 * (n + 1),
    "newton": lambda n: n,
    "train": lambda n: n,
    "sgd": lambda n: n,  # one per chunk
    "sga": lambda n: n,
    "sag": lambda n: n,
}


def judged(name, function, seen):
    """The function; each call of it is watched and compared with its declaration."""

    def call(*args, **kwargs):
        if "check_finite" in inspect.signature(function).parameters:
            kwargs = {"check_finite": False, **kwargs}
        kwargs |= SHORT.get(name, {})
        if not xs.trace.arrays_in([list(args), kwargs]):
            return function(*args, **kwargs)
        out, counts = watched(function, *args, **kwargs)
        steps = getattr(out, "stats", {}).get("rounds", getattr(out, "n_iter", None))
        if steps is None:  # then what the loop has read is taken as its checks
            looks = sum(times for site, times in counts.sites.items() if "/arrays/loops.py:" in site)
        else:
            looks = LOOKS.get(name, costs.model.checks)(int(steps))
        declared = TABLE[name].syncs + looks
        assert counts.syncs <= declared, f"{name} declares {declared} waits for {steps} steps:\n{said(counts)}"
        seen.append(name)
        return out

    return call


SHORT = {"fit_inverse": {"max_iter": 30}, "barycenter": {"tol": 1e-3}}
WITHOUT = {"lista"}  # made from arrays of its own, in a class


@pytest.mark.parametrize("name", sorted(set(TABLE) - WITHOUT))
def test_no_call_waits_more_often_than_it_counts_and_declares(name, monkeypatch):
    found = [e for e in examples() if e.name.rpartition(".")[2] == name]
    assert len(found) == 1, f"expected one docstring of {name} with an example, got {[e.name for e in found]}"
    (example,) = found
    module, seen = sys.modules[example.name.rpartition(".")[0]], []
    call = judged(name, getattr(module, name), seen)
    for package in (xs, xs.networks, xs.operators, xs.autodiff):
        if hasattr(package, name) and callable(getattr(package, name)):
            monkeypatch.setattr(package, name, call)
    run_example(example, {name: call})
    assert seen, "its example does not call it"


# --- methods and matrices beside the defaults ----------------------------------------------------------------------

_rng = np.random.default_rng(0)
TALL, WIDE = _rng.standard_normal((60, 20)), _rng.standard_normal((40, 120))
SPARSE = scipy.sparse.random(80, 120, density=0.1, format="csr", random_state=0)
IMAGE, KERNEL = _rng.standard_normal((2, 3, 16, 16)), _rng.standard_normal((4, 3, 5, 5))


def planted(A):
    x = np.zeros(A.shape[1])
    x[:6] = [3.0, -2.0, 1.0, 1.0, -1.0, 2.0]
    return A, A @ x


def simplex(n):
    a = 0.1 + np.random.default_rng(n).random(n)
    return a / a.sum()


PLAN = (simplex(12), simplex(15), (np.linspace(0, 1, 12)[:, None] - np.linspace(0, 1, 15)) ** 2)


def stochastic(solver, loss, **options):
    return lambda A, y: getattr(xs, solver)(loss(A, y, 1e-2), epochs=2, tol=10.0, **options)


CALLS = {
    **{
        f"ridge, {method}": (lambda A, y, method=method: xs.ridge(A, y, 1.0, method=method), planted(TALL))
        for method in ("normal", "woodbury", "svd", "cg")
    },
    "ridge, a path": (lambda A, y: xs.ridge(A, y, [1.0, 0.1, 0.01]), planted(TALL)),
    "ridge, sparse": (lambda A, y: xs.ridge(A, y, 1.0), planted(SPARSE)),
    "lasso, fista": (lambda A, y: xs.lasso(A, y, 5.0, method="fista"), planted(WIDE)),
    "lasso, working set": (lambda A, y: xs.lasso(A, y, 5.0, method="working_set"), planted(WIDE)),
    "lasso, sparse, fista": (lambda A, y: xs.lasso(A, y, 0.5, method="fista"), planted(SPARSE)),
    "lasso, sparse, working set": (lambda A, y: xs.lasso(A, y, 0.5, method="working_set"), planted(SPARSE)),
    "lasso_path, working set": (
        lambda A, y: xs.lasso_path(A, y, n_lams=5, ratio=0.1, method="working_set"),
        planted(WIDE),
    ),
    "lasso_path, sparse": (lambda A, y: xs.lasso_path(A, y, n_lams=5, ratio=0.1), planted(SPARSE)),
    "sgd": (stochastic("sgd", xs.LeastSquares, block=16), planted(TALL)),
    "sgd, sparse": (stochastic("sgd", xs.LeastSquares, block=16), planted(SPARSE)),
    "sgd, sparse, one by one": (stochastic("sgd", xs.LeastSquares, block=1), planted(SPARSE)),
    "sgd, sparse, a step given": (stochastic("sgd", xs.LeastSquares, block=16, step0=0.01), planted(SPARSE)),
    "sgd, a stream": (
        lambda A, y: xs.sgd(xs.LeastSquares, batches=[(A[:7, :], y[:7]), (A[7:, :], y[7:])], tol=10.0),
        planted(TALL),
    ),
    "sga, sparse": (stochastic("sga", xs.LeastSquares, block=16), planted(SPARSE)),
    "sag, sparse": (stochastic("sag", xs.LeastSquares, block=16), planted(SPARSE)),
    "gradient_descent, sparse": (
        lambda A, y: xs.gradient_descent(xs.LeastSquares(A, y, 1e-2), momentum="nesterov"),
        planted(SPARSE),
    ),
    "coordinate_descent": (
        lambda A, y: xs.coordinate_descent(xs.Logistic(A, 2.0 * (y > 0) - 1, 0.1), block=8),
        planted(TALL),
    ),
    **{
        f"{name}, intercept": (
            lambda A, y, solve=solve: solve(
                xs.Logistic(A, 2.0 * (y > 0) - 1, 0.1, weights=0 * y + 1, class_weights="balanced", intercept=True)
            ),
            planted(matrix),
        )
        for name, solve, matrix in (
            ("newton", lambda f: xs.newton(f), TALL),
            ("minimize", lambda f: xs.minimize(f, xs.penalties.L1(0.01)), TALL),
            ("minimize, sparse", lambda f: xs.minimize(f, xs.penalties.L1(0.01)), SPARSE),
            ("minimize, a set", lambda f: xs.minimize(f, xs.penalties.L1(0.01), method="working_set"), WIDE),
            ("minimize, a set, sparse", lambda f: xs.minimize(f, xs.penalties.L1(0.01), method="working_set"), SPARSE),
            ("sgd, sparse", lambda f: xs.sgd(f, epochs=2, block=16), SPARSE),
            ("sag, sparse", lambda f: xs.sag(f, epochs=2, block=16), SPARSE),
            ("coordinate_descent, sparse", lambda f: xs.coordinate_descent(f, block=200), SPARSE),
        )
    },
    "newton, cg": (lambda A, y: xs.newton(xs.Logistic(A, 2.0 * (y > 0) - 1, 0.1), method="cg"), planted(TALL)),
    **{
        f"sinkhorn, {method}": (lambda a, b, M, method=method: xs.sinkhorn(a, b, M, 0.05, method=method), PLAN)
        for method in ("scaling", "stabilized", "log")
    },
    **{
        f"sinkhorn, unbalanced, {method}": (
            lambda a, b, M, method=method: xs.sinkhorn(a, b, M, 0.05, marginal=0.5, method=method),
            PLAN,
        )
        for method in ("scaling", "stabilized", "log")
    },
    "sinkhorn, distances": (
        lambda a, b, M: xs.sinkhorn(a, b, xs.PointCloud(M, M.T @ M, 4, "euclidean"), 0.5),
        PLAN,
    ),
    "sinkhorn, an ε for each": (
        lambda a, b, M: xs.sinkhorn(a, b, M, cupy.asarray([0.05, 0.5])),
        PLAN,
    ),
    "barycenter, debiased": (
        lambda A, x: xs.barycenter(A, xs.PointCloud(x, x), 0.5, debiased=True, tol=1e-3),
        (np.stack([simplex(12), simplex(12)[::-1]]), PLAN[2]),
    ),
    **{
        f"convolve, {method}": (lambda z, w, method=method: xs.convolve(z, w, method=method), (IMAGE, KERNEL))
        for method in ("fft", "im2col", "shift")
    },
}


def on_device(x):
    if scipy.sparse.issparse(x):
        from cupyx.scipy import sparse

        return sparse.csr_matrix(scipy.sparse.csr_matrix(x))
    return cupy.asarray(x)


@pytest.mark.parametrize("case", CALLS)
def test_count_sees_every_wait(case):
    f, args = CALLS[case]
    watched(f, *map(on_device, args))


# --- limits: on a GPU these waits were the whole time -----------------------------------------------------------------


@pytest.mark.parametrize("solver", ["sgd", "sga", "sag"])
def test_a_sparse_matrix_costs_one_wait_a_chunk_of_blocks(solver):
    run = stochastic(solver, xs.LeastSquares, block=4)
    solution, counts = watched(run, *map(on_device, planted(SPARSE)))
    chunks = solution.stats["host_reads"]
    assert chunks < 2 * len(SPARSE.indptr) / 4 / 4  # many blocks a chunk
    assert counts.syncs <= 4 + chunks, said(counts)


def test_the_lasso_path_waits_less_than_three_times_for_a_value_of_lam():
    path, counts = watched(xs.lasso_path, *map(on_device, planted(WIDE)), n_lams=20)
    assert path.converged
    assert counts.syncs <= 60, said(counts)


def test_a_path_that_is_not_solved_together_is_solved_one_by_one(monkeypatch):
    monkeypatch.setattr(sys.modules["xpsolve.linear.lasso_path"], "_PATIENCE", 20)
    A, y = planted(WIDE)
    path = xs.lasso_path(on_device(A), on_device(y), n_lams=6, ratio=0.05)
    assert (path.method, path.converged) == ("fista->working_set", True)
    np.testing.assert_allclose(path.x.get(), xs.lasso_path(A, y, n_lams=6, ratio=0.05).x, atol=2e-2)


def test_basis_pursuit_waits_sixty_times_at_most():
    rng = np.random.default_rng(3)  # noise keeps the answer from being sparse: all iterations are taken
    A, y = rng.standard_normal((8, 30)), rng.standard_normal(8)
    solution, counts = watched(xs.basis_pursuit, on_device(A), on_device(y), tol=0.0, max_iter=1500)
    assert solution.n_iter == 1500
    assert counts.syncs <= costs.basis_pursuit(8, 30, n_iter=1500).syncs + 1, said(counts)  # and one check of A
    assert costs.basis_pursuit(8, 30, n_iter=10_000).syncs + 1 <= 60


# --- the gate itself ------------------------------------------------------------------------------------------------


def test_a_wait_that_count_does_not_see_is_named():
    hidden = on_device(np.arange(3.0))
    with pytest.raises(AssertionError, match=r"count sees 0 waits, the emulator 1:\n.*test_waits\.py:\d+ float"):
        watched(lambda x: x + float(hidden[0]), on_device(np.ones(3)))


def test_no_repr_waits():
    for thing in things.objects(cupy.asarray):
        with emulator.counting() as counts:
            text = repr(thing)
        assert counts.syncs == 0, said(counts)
        assert things.is_short(text), text
