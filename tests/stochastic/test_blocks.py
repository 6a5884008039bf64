"""SGD, SGA and SAG: blocks give the iterates of the loop, which is written out here in plain NumPy."""

import numpy as np
import pytest
import scipy.sparse
from samples import DERIVATIVE, METHODS, data, in_memory, loop, solve

import xpsolve as xs
from xpsolve import costs
from xpsolve.solution import Status
from xpsolve.testing import assert_close, check_solution

# few of these runs are long enough to reach their tolerance, which is not what they are about
pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")

LOSSES = ["LeastSquares", "Logistic"]


@pytest.mark.of("sgd")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("block", [1, 7, 64])
def test_blocks_are_the_loop_on_every_library(xp, method, loss, block):
    in_memory(xp)
    rng = np.random.default_rng(3)
    A, y = data(rng, loss)
    steps = 192 if xp.name == "jax" else 206  # there whole blocks: another length compiles all of it again
    indices = rng.integers(0, 103, steps)
    expected = loop(method, loss, A, y, 0.05, indices, np.zeros(17), 0.02, 50.0)
    f = getattr(xs, loss)(xp(A), xp(y), 0.05)
    solution = solve(method, f, tau0=0.02, k0=50.0, indices=indices, block=block)
    check_solution(solution, like=xp(y), shape=(17,))
    single = "32" in str(solution.x.dtype)
    assert_close(solution.x, expected, like=xp(y), rtol=2e-5 if single else 1e-10)
    assert solution.n_iter == steps
    assert solution.method == method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", [*LOSSES, "Multinomial"])
@pytest.mark.parametrize("block", [1, 2, 7, 64, 256])
def test_three_epochs_with_repeats_and_a_ragged_end(rng, method, loss, block):
    A, y = data(rng, loss)
    indices = rng.integers(0, 103, 309)
    indices[40:45] = 8  # the same sample many times in one block
    x0 = rng.standard_normal((17, 3) if loss == "Multinomial" else 17)
    expected = loop(method, loss, A, y, 0.05, indices, x0, 0.03, 50.0)
    solution = solve(method, getattr(xs, loss)(A, y, 0.05), x0, tau0=0.03, k0=50.0, indices=indices, block=block)
    assert_close(solution.x, expected, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_runs_side_by_side_are_single_runs(rng, method):
    A, y = data(rng, "Logistic")
    f = xs.Logistic(A, y, 0.01)
    x0, indices = rng.standard_normal((4, 17)), rng.integers(0, 103, (4, 150))
    together = solve(method, f, x0, tau0=0.05, k0=20.0, indices=indices, block=32)
    assert together.x.shape == (4, 17)
    for x, start, numbers in zip(together.x, x0, indices, strict=True):
        assert_close(x, solve(method, f, start, tau0=0.05, k0=20.0, indices=numbers, block=1).x, rtol=1e-10)


@pytest.mark.parametrize("method", ["sgd", "sga"])
@pytest.mark.parametrize("block", [1, 4, 64])
def test_mini_batches_average_their_gradients(rng, method, block):
    A, y = data(rng, "Logistic")
    numbers, lam, batch = rng.integers(0, 103, 240), 0.05, 6
    x, total = np.zeros(17), 0.0
    for k, i in enumerate(numbers.reshape(-1, batch)):
        tau = 0.3 / (1 + (k / 20 if method == "sgd" else np.sqrt(k / 20)))
        x = x - tau * (A[i].T @ DERIVATIVE["Logistic"](A[i] @ x, y[i]) / batch + lam * x)
        total = total + x
    options = {"indices": numbers, "step0": 0.3, "warmup": 20.0, "block": block, "batch": batch}
    solution = getattr(xs, method)(xs.Logistic(A, y, lam), **options)
    assert solution.n_iter == 40
    assert_close(solution.x, total / 40 if method == "sga" else x, rtol=1e-10)
    with pytest.raises(ValueError, match="multiple of batch = 6"):
        xs.sgd(xs.Logistic(A, y, lam), indices=numbers[:7], batch=6)


def test_a_step_for_each_run(rng):
    A, y = data(rng, "LeastSquares")
    f, numbers = xs.LeastSquares(A, y), rng.integers(0, 103, 200)
    together = xs.sgd(f, np.zeros((2, 17)), indices=numbers, step0=[0.01, 0.03], warmup=40.0)
    for x, tau in zip(together.x, [0.01, 0.03], strict=True):
        assert_close(x, xs.sgd(f, indices=numbers, step0=tau, warmup=40.0).x, rtol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_sparse_samples(rng, method):
    A, y = data(rng, "Logistic")
    A[rng.random(A.shape) < 0.7] = 0
    dense, sparse = xs.Logistic(A, y, 0.01), xs.Logistic(scipy.sparse.csr_array(A), y, 0.01)
    numbers = rng.integers(0, 103, 200)
    options = {"tau0": 0.1, "k0": 50.0, "indices": numbers}
    assert_close(solve(method, sparse, block=16, **options).x, solve(method, dense, block=1, **options).x, rtol=1e-10)


def test_steps_as_large_as_the_theory_allows_are_exact_too(rng):
    # strong coupling within a block: sweeps are added and blocks are cut until the system is solved
    A, y = data(rng, "Logistic", n=60, p=200)
    f, numbers = xs.Logistic(10 * A, y, 1e-3), rng.integers(0, 60, 240)
    tau = 1 / float(f.sample_lipschitz())
    one, many = (xs.sag(f, indices=numbers, step=tau, block=block).x for block in (1, 64))
    assert_close(many, one, rtol=1e-9)


def test_a_penalty_that_empties_x_within_a_block(rng):
    A, y = data(rng, "LeastSquares")
    f, numbers = xs.LeastSquares(A, y, 30.0), rng.integers(0, 103, 120)
    one, many = (xs.sgd(f, indices=numbers, step0=0.03, block=block).x for block in (1, 64))
    assert_close(many, one, rtol=1e-9)


def test_the_same_seed_gives_the_same_run(rng):
    A, y = data(rng, "Logistic")
    f = xs.Logistic(A, y, 0.1)
    assert np.all(xs.sgd(f, seed=5).x == xs.sgd(f, seed=5).x)
    assert np.any(xs.sgd(f, seed=5).x != xs.sgd(f, seed=6).x)


def test_what_is_recorded(rng):
    A, y = data(rng, "LeastSquares")
    f = xs.LeastSquares(A, y, 0.1)
    solution = xs.sga(f, epochs=2, record_every=50)
    steps, x = solution.history["step"], solution.history["x"]
    assert steps.tolist() == [0, 50, 100, 150, 200, 206]
    assert_close(x[-1], solution.x)
    assert_close(solution.history["objective"], np.asarray([float(f.value(one)) for one in x]))
    cloud = xs.sgd(f, np.zeros((3, 17)), epochs=1, record_every=30).history
    assert cloud["x"].shape == (5, 3, 17)
    assert cloud["objective"].shape == (5, 3)


# --- theory ----------------------------------------------------------------------------------------


def test_the_mean_square_error_of_sgd_stays_below_its_bound(rng):
    # E‖x_k − x*‖² ≤ R/(k + 1) for τ_k = 1/(μ(k + 1)), R = max(‖x_0 − x*‖², C²/μ²) with E‖∇f_i‖² ≤ C² (Peyré, Thm. 26)
    A = rng.standard_normal((200, 3))
    y, mu = A @ np.ones(3) + 0.5 * rng.standard_normal(200), 1.0
    f = xs.LeastSquares(A, y, mu)
    best = xs.ridge(A, y, 200 * mu).x
    K, runs = 400, 200
    solution = xs.sgd(f, np.zeros((runs, 3)), epochs=2, step0=1 / mu, warmup=1.0, record_every=20, seed=1)
    error = np.mean(np.sum((solution.history["x"] - best) ** 2, axis=2), axis=1)
    radius = 2 * np.max(np.linalg.norm(solution.history["x"] - best, axis=2)) + np.linalg.norm(best)
    gradients = A * (np.abs(A @ best - y) + radius * np.linalg.norm(A, axis=1))[:, None]
    C2 = np.mean((np.linalg.norm(gradients, axis=1) + mu * radius) ** 2)
    R = max(np.sum(best**2), C2 / mu**2)
    k = solution.history["step"]
    assert k[-1] == K
    assert np.all(error <= R / (k + 1))
    assert error[-1] < 0.05 * error[1]  # and it falls


def test_sag_converges_linearly_and_sgd_does_not(rng):
    A, y = data(rng, "Logistic", n=150, p=5)
    f = xs.Logistic(A, y, 0.01)
    best = float(f.value(xs.newton(f, tol=1e-13).x))
    excess = {}
    for method in ("sag", "sgd"):
        history = getattr(xs, method)(f, epochs=60, record_every=300, seed=2, tol=0).history
        excess[method] = np.asarray(history["objective"]) - best
    kept = excess["sag"][(excess["sag"] > 1e-13) & (np.arange(31) > 1)]
    epochs = np.arange(kept.size)
    logs = np.log10(kept)
    line = np.polyval(np.polyfit(epochs, logs, 1), epochs)
    assert 1 - np.sum((logs - line) ** 2) / np.sum((logs - logs.mean()) ** 2) > 0.98
    assert excess["sag"][-1] < 1e-10
    assert excess["sgd"][-1] > 1e-6


# --- budgets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("loss", LOSSES)
def test_blocks_start_far_fewer_kernels(rng, method, loss):
    A, y = data(rng, loss, n=2048, p=100)
    f = getattr(xs, loss)(A, y, 1e-3, check_finite=False)
    launches = {}
    for block in (1, 256):
        _, tally = xs.count(getattr(xs, method), f, epochs=2, block=block)
        launches[block] = tally.launches
        assert tally.syncs <= 2 * (2048 / block + 1)
    times_fewer = {"LeastSquares": 80, "Logistic": 28}[loss]  # Newton's steps for the margins of a logistic block
    assert launches[1] >= times_fewer * launches[256], launches


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("block", [1, 32])
def test_products_are_those_of_the_costs(rng, method, block):
    A, y = data(rng, "LeastSquares", n=128, p=9)
    f = xs.LeastSquares(A, y, 1e-3, check_finite=False)
    numbers = rng.permutation(128).tolist()  # no sample twice in a block, which costs launches alone
    steps = {"step": 0.01} if method == "sag" else {"step0": 0.01}
    one, two = (
        xs.count(getattr(xs, method), f, indices=numbers * e, block=block, **steps)[1].product_flops for e in (1, 2)
    )
    assert two - one == getattr(costs, method)(128, 9, loss="least_squares", block=block).flops


# --- trouble ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("block", [1, 32])
def test_a_step_far_too_large_is_said_to_diverge(rng, method, block):
    A, y = data(rng, "LeastSquares")
    steps = {"step": 1e6} if method == "sag" else {"step0": 1e6}
    with np.errstate(all="ignore"):
        solution = getattr(xs, method)(xs.LeastSquares(A, y), epochs=20, block=block, **steps)
    assert solution.status is Status.DIVERGED
    assert not solution.converged
    assert "smaller step" in solution.message


@pytest.mark.parametrize("method", METHODS)
def test_separable_classes_without_a_penalty(method):
    A = np.asarray([[1.0, 2.0], [-1.0, -2.0], [2.0, 1.0], [-3.0, -1.0]])
    f = xs.Logistic(A, np.asarray([1.0, -1.0, 1.0, -1.0]))
    solution = getattr(xs, method)(f, epochs=50)
    assert solution.status is Status.UNBOUNDED
    assert np.all(np.isfinite(solution.x))


@pytest.mark.parametrize("method", METHODS)
def test_huge_margins_and_constant_features(rng, method):
    A, y = data(rng, "Logistic")
    A[:, 0] = 1e4
    A[:, 1] = 0.0
    solution = getattr(xs, method)(xs.Logistic(A, y, 1e-3), epochs=3)
    assert np.all(np.isfinite(solution.x))
    assert solution.x[1] == 0


def test_callbacks_stop(rng):
    A, y = data(rng, "LeastSquares")
    seen = []
    solution = xs.sgd(
        xs.LeastSquares(A, y),
        epochs=100,
        callback=lambda k, p: seen.append((k, p.x.shape, p.measure)) or len(seen) == 2,
    )
    assert solution.status is Status.STOPPED
    assert solution.n_iter == seen[-1][0] < 10300
    assert seen[0][1:] == ((17,), None)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"indices": [0.5]}, ValueError, "indices: expected integers"),
        ({"indices": [0, 4]}, ValueError, "from 0 to 3, got 0 to 4"),
        ({"indices": [-1, 0]}, ValueError, "got -1 to 0"),
        ({"indices": []}, ValueError, "indices"),
        ({"epochs": -1}, ValueError, "epochs"),
        ({"step0": 0.0}, ValueError, "step0: expected a positive number"),
        ({"step0": [0.1, 0.2]}, ValueError, "step0"),
        ({"step0": 10**400}, ValueError, "step0"),
        ({"step0": "x"}, TypeError, "step0"),
        ({"warmup": -1.0}, ValueError, "warmup"),
        ({"block": 0}, ValueError, "block"),
        ({"block": "big"}, TypeError, "block"),
        ({"record_every": 0}, ValueError, "record_every"),
        ({"x0": np.zeros(3)}, ValueError, "x0: expected shape"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"seed": "x"}, TypeError, "seed"),
        ({"callback": 5}, TypeError, "callback"),
    ],
)
def test_bad_input_is_named(options, error, message):
    f = xs.LeastSquares(np.eye(4), np.ones(4))
    with pytest.raises(error, match=message):
        xs.sgd(f, **options)


def test_what_is_no_objective_is_named():
    with pytest.raises(TypeError, match="f: expected LeastSquares"):
        xs.sag(lambda x: x)
    with pytest.raises(TypeError, match="dense or sparse"):
        xs.sgd(xs.LeastSquares(2.0 * xs.operators.aslinearoperator(np.eye(3)), np.ones(3)))


@pytest.mark.parametrize("method", METHODS)
def test_a_compiled_loop_has_the_flops_of_single_steps_and_starts_nothing(method):
    loop, single = (getattr(costs, method)(50, 9, loss="logistic", block=block) for block in ("compiled", 1))
    assert (loop.launches, loop.syncs) == (0, 0)
    assert loop.flops <= single.flops
    assert costs.sgd(50, 9, block="compiled").flops == costs.sgd(50, 9, block=1).flops


def test_runs_share_what_is_started_and_a_batch_is_one_step():
    for block in (1, 16):
        one, many = (costs.sgd(64, 9, block=block, runs=runs) for runs in (1, 100))
        assert (many.launches, many.flops) == (one.launches, 100 * one.flops)
    single, batches = (costs.sgd(64, 9, block=1, batch=batch) for batch in (1, 16))
    assert (batches.launches, batches.flops) == (single.launches / 16, single.flops)
    assert costs.sgd(64, 9, block=2, batch=16) == costs.sgd(64, 9, block=32)
