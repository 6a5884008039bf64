"""The two settings: exact covariance and bounded noise; sampled covariance and noise falling as n^(−1/2)."""

import numpy as np
import pytest

from xpsolve import problems
from xpsolve.arrays import backends

SIZES = [100, 400, 1600, 6400]
SEEDS = range(20)


@pytest.fixture(scope="module")
def samples():
    """Problems by size and seed: a new population for each seed, the same one for all sizes."""
    return {n: [problems.statistical_learning(n, 8, sigma=0.5, seed=seed) for seed in SEEDS] for n in SIZES}


def slope(values):
    """Least-squares slope of log(mean over seeds) against log n."""
    return np.polyfit(np.log(SIZES), np.log([np.mean(v) for v in values]), 1)[0]


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (1, 3)])
@pytest.mark.parametrize("epsilon", [0.0, 0.01, 3.0])
def test_inverse_problem_has_the_prescribed_noise(shape, epsilon):
    problem = problems.inverse_problem(*shape, epsilon=epsilon)
    np.testing.assert_allclose(problem.y, problem.A @ problem.x_true + problem.noise)
    assert np.linalg.norm(problem.r) == pytest.approx(epsilon, abs=1e-14)
    np.testing.assert_allclose(problem.u, problem.C @ problem.x_true + problem.r, atol=1e-12)
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(problem.C))[::-1][: min(shape)], problem.spectrum**2)


def test_inverse_problem_noise_lies_in_the_range():
    problem = problems.inverse_problem(60, 10, epsilon=1.0)
    back = problem.A @ np.linalg.lstsq(problem.A, problem.noise)[0]
    np.testing.assert_allclose(back, problem.noise, atol=1e-12)


def test_inverse_problem_of_deficient_rank():
    problem = problems.inverse_problem(9, 3, epsilon=0.5, spectrum=[2.0, 1.0, 0.0])
    assert np.linalg.norm(problem.r) == pytest.approx(0.5)


def test_ridge_solution_is_that_of_the_normal_equations():
    problem = problems.inverse_problem(60, 40)
    expected = np.linalg.solve(problem.C + 0.1 * np.eye(40), problem.u)
    np.testing.assert_allclose(problem.solution(0.1), expected, atol=1e-12)


def test_noise_falls_as_the_square_root_of_n(samples):
    norms = [[np.linalg.norm(s.r_n) for s in samples[n]] for n in SIZES]
    assert -0.6 < slope(norms) < -0.4


def test_covariance_converges_as_the_square_root_of_n(samples):
    errors = [[np.linalg.norm(s.covariance_error, 2) for s in samples[n]] for n in SIZES]
    assert -0.6 < slope(errors) < -0.4
    assert np.mean(errors[-1]) < 0.1


@pytest.mark.parametrize("n", SIZES)
def test_noise_has_the_expected_level(samples, n):
    mean_square = np.mean([np.linalg.norm(s.r_n) ** 2 / s.noise_level**2 for s in samples[n]])
    assert mean_square == pytest.approx(1, abs=0.5)


def test_sample_quantities_satisfy_their_equation(samples):
    s = samples[400][0]
    np.testing.assert_allclose(s.y, s.A @ s.x_true + s.noise)
    np.testing.assert_allclose(s.u_n, s.C_n @ s.x_true + s.r_n)
    np.testing.assert_allclose(s.u, s.C @ s.x_true)


def test_ridge_of_the_sample_tends_to_that_of_the_population(samples):
    def error(s, lam=0.1):
        population = np.linalg.solve(s.C + lam * np.eye(8), s.u)
        return np.linalg.norm(s.solution(s.shape[0] * lam) - population)

    assert -0.65 < slope([[error(s) for s in samples[n]] for n in SIZES]) < -0.35


def test_population_and_first_samples_do_not_depend_on_n():
    few, many = (problems.statistical_learning(n, 6, seed=3) for n in (50, 200))
    np.testing.assert_array_equal(few.C, many.C)
    np.testing.assert_array_equal(few.x_true, many.x_true)
    np.testing.assert_allclose(few.A, many.A[:50], atol=1e-14)
    np.testing.assert_array_equal(few.noise, many.noise[:50])


def test_population_has_the_prescribed_spectrum():
    C = problems.statistical_learning(10, 5, spectrum=[5.0, 4.0, 3.0, 2.0, 0.0]).C
    np.testing.assert_allclose(np.linalg.eigvalsh(C), [0, 2, 3, 4, 5], atol=1e-14)


@pytest.mark.parametrize("name", backends.available())
def test_quantities_stay_on_the_backend(name):
    inverse = problems.inverse_problem(20, 6, backend=name, dtype="float32")
    learning = problems.statistical_learning(20, 6, backend=name, dtype="float32")
    quantities = [inverse.C, inverse.u, inverse.r, learning.C, learning.C_n, learning.covariance_error]
    for x in [*quantities, learning.u, learning.u_n, learning.r_n]:
        assert type(x) is type(inverse.A)
        assert str(x.dtype).endswith("float32")
    host = problems.statistical_learning(20, 6, dtype="float32")
    np.testing.assert_allclose(backends.to_numpy(learning.u_n), host.u_n, rtol=1e-4, atol=1e-5)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="epsilon: expected a finite number ≥ 0, got -1"):
        problems.inverse_problem(4, 3, epsilon=-1)
    with pytest.raises(ValueError, match="sigma: expected a finite number ≥ 0, got None"):
        problems.statistical_learning(4, 3, sigma=None)
    with pytest.raises(ValueError, match="one of flat, power, exponential, or 3 values, got 'gaussian'"):
        problems.inverse_problem(4, 3, spectrum="gaussian")
