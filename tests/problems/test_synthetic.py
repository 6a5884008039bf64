"""The synthetic least-squares problems have the spectrum, the noise and the solutions that they claim."""

import numpy as np
import pytest

from xpsolve import problems
from xpsolve.arrays import backends
from xpsolve.problems.synthetic import Harmonics

SHAPES = [(40, 12), (12, 40), (17, 17), (1, 5), (5, 1), (1, 1)]


def norm(x):
    return np.linalg.norm(backends.to_numpy(x))


def augmented(problem, lam):
    """The ridge solution by least squares: [A; √λ I] x ≈ [y; 0]."""
    p = problem.shape[1]
    A = np.vstack([problem.A, np.sqrt(lam) * np.eye(p)])
    return np.linalg.lstsq(A, np.concatenate([problem.y, np.zeros((p, *problem.y.shape[1:]))]))[0]


@pytest.mark.parametrize(("n", "k"), [(1, 1), (2, 1), (7, 7), (8, 3), (33, 20)])
def test_harmonics_are_orthonormal_columns(n, k):
    Q = Harmonics.draw(n, k, np.random.default_rng(0))
    dense = Q @ np.eye(k)
    assert dense.shape == (n, k)
    np.testing.assert_allclose(dense.T @ dense, np.eye(k), atol=1e-14)
    np.testing.assert_allclose(Q.T @ np.eye(n), dense.T, atol=1e-14)
    np.testing.assert_allclose(Q @ np.arange(k), dense @ np.arange(k), atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectrum", ["flat", "power", "exponential"])
def test_singular_values_are_those_prescribed(shape, spectrum):
    problem = problems.least_squares(*shape, spectrum=spectrum)
    s = np.linalg.svd(problem.A, compute_uv=False)
    np.testing.assert_allclose(s, problem.spectrum, atol=1e-14)
    assert s[0] == pytest.approx(1)
    ratio = 1 if spectrum == "flat" or min(shape) == 1 else 100
    assert s[0] / s[-1] == pytest.approx(ratio)


def test_the_middle_of_each_spectrum():
    power = problems.least_squares(30, 16, spectrum="power", condition=256).spectrum
    exponential = problems.least_squares(30, 17, spectrum="exponential", condition=256).spectrum
    np.testing.assert_allclose(power, np.arange(1.0, 17) ** -2)
    np.testing.assert_allclose(exponential, 2.0 ** (-np.arange(17) / 2))


def test_square_flat_matrix_is_dense():
    A = problems.least_squares(64, 64, spectrum="flat").A
    assert np.mean(np.abs(A) > 1e-3) > 0.9


def test_values_may_be_given_and_may_vanish():
    values = np.array([3.0, 0.0, 1.0, 0.0])
    problem = problems.least_squares(9, 4, spectrum=values, noise=0.1)
    assert np.linalg.matrix_rank(problem.A) == 2
    np.testing.assert_array_equal(problem.spectrum, [3, 1, 0, 0])
    np.testing.assert_allclose(problem.solution(), np.linalg.pinv(problem.A) @ problem.y, atol=1e-13)


def test_gaussian_matrix_has_singular_values_near_one():
    problem = problems.least_squares(2000, 20, spectrum="gaussian")
    assert problem.factors is None
    assert problem.spectrum[0] == pytest.approx(1 + np.sqrt(20 / 2000), rel=0.05)
    assert problem.spectrum[-1] == pytest.approx(1 - np.sqrt(20 / 2000), rel=0.05)


@pytest.mark.parametrize("spectrum", ["power", "gaussian"])
@pytest.mark.parametrize("k", [None, 3])
def test_model_and_noise_level(spectrum, k):
    problem = problems.least_squares(50, 20, spectrum=spectrum, noise=0.25, k=k)
    signal = problem.A @ problem.x_true
    assert problem.y.shape == ((50,) if k is None else (50, 3))
    np.testing.assert_allclose(problem.y, signal + problem.noise)
    assert norm(problem.noise) == pytest.approx(0.25 * norm(signal))


def test_without_noise_the_truth_solves():
    problem = problems.least_squares(50, 20, noise=0)
    np.testing.assert_allclose(problem.solution(), problem.x_true, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectrum", ["power", "gaussian"])
@pytest.mark.parametrize("k", [None, 2])
def test_solution_agrees_with_augmented_least_squares(shape, spectrum, k):
    problem = problems.least_squares(*shape, spectrum=spectrum, k=k)
    path = problem.solution([0.5, 0.01])
    assert path.shape == (2, *problem.x_true.shape)
    for lam, x in zip([0.5, 0.01], path, strict=True):
        np.testing.assert_allclose(x, augmented(problem, lam), atol=1e-11)
        np.testing.assert_allclose(problem.solution(lam), x, atol=1e-14)


@pytest.mark.parametrize("name", backends.available())
@pytest.mark.parametrize("spectrum", ["power", "gaussian"])
def test_same_seed_same_numbers_on_every_backend(name, spectrum):
    here = problems.least_squares(30, 10, spectrum=spectrum, seed=5, dtype="float32")
    there = problems.least_squares(30, 10, spectrum=spectrum, seed=5, dtype="float32", backend=name)
    assert there.dtype == "float32"
    assert f"backend={name!r}" in repr(there)
    for field in ("A", "y", "x_true", "noise"):
        np.testing.assert_array_equal(backends.to_numpy(getattr(there, field)), getattr(here, field))
    np.testing.assert_array_equal(there.solution(0.1), here.solution(0.1))


def test_rows_are_contiguous():
    learning = problems.statistical_learning(20, 6)
    assert all(x.flags.c_contiguous for x in (problems.least_squares(20, 6).A, learning.A, learning.C))


def test_seeds_differ():
    first, second = (problems.least_squares(30, 10, seed=seed) for seed in (0, 1))
    assert norm(first.A - second.A) > 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"n": 0}, ValueError, "n: expected an integer ≥ 1, got 0"),
        ({"p": 2.5}, ValueError, "p: expected an integer ≥ 1, got 2.5"),
        ({"n": True}, ValueError, "n: expected an integer"),
        ({"k": 0}, ValueError, "k: expected an integer"),
        ({"noise": -1}, ValueError, "noise: expected a finite number ≥ 0, got -1"),
        ({"noise": float("nan")}, ValueError, "noise: expected a finite number"),
        ({"spectrum": "cubic"}, ValueError, "flat, power, exponential, gaussian, or 3 values, got 'cubic'"),
        ({"spectrum": [1, 2]}, ValueError, "expected 3 finite values"),
        ({"spectrum": [1, -2, 0]}, ValueError, "expected 3 finite values"),
        ({"spectrum": [0, 0, 0]}, ValueError, "not all zero"),
        ({"condition": 0.5}, ValueError, "condition: expected a number ≥ 1"),
        ({"spectrum": "flat", "condition": 10}, ValueError, "condition: expected None"),
        (
            {"spectrum": [1, 2, 3], "condition": 10},
            ValueError,
            "condition: expected None, since spectrum=the",
        ),
        ({"spectrum": "gaussian", "condition": 10}, ValueError, "use spectrum='power'"),
        ({"dtype": "int32"}, ValueError, "dtype: expected one of float32, float64, got 'int32'"),
        ({"backend": "abacus"}, ValueError, "abacus"),
    ],
)
def test_bad_arguments_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        problems.least_squares(**{"n": 4, "p": 3, **arguments})


def test_an_absent_backend_says_why(monkeypatch):
    monkeypatch.setitem(vars(backends.get("numpy")), "reason", "no driver")
    with pytest.raises(RuntimeError, match=r"'numpy' is not available here \(no driver\)"):
        problems.least_squares(4, 3)


@pytest.mark.parametrize("lam", [-1.0, [0.1, float("nan")], float("inf"), [[1.0]]])
def test_solution_refuses_a_bad_lam(lam):
    with pytest.raises(ValueError, match="lam: expected a finite number"):
        problems.least_squares(4, 3).solution(lam)
