"""Dictionaries have atoms of length 1 and samples that are none of them; few sensors see correlated sources."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import problems
from xpsolve.arrays import backends
from xpsolve.problems.sparse import DATA, _half_sphere


@pytest.mark.parametrize("data", DATA)
def test_samples_are_scaled_and_no_atoms(data):
    problem = problems.sparse_coding(data, m=100, samples=200)
    assert problem.D.shape == (64, 100)
    assert problem.X.shape == (200, 64)
    np.testing.assert_allclose(np.linalg.norm(problem.D, axis=0), 1)
    np.testing.assert_allclose(np.max(np.abs(problem.X @ problem.D), axis=1), 1)
    if data != "gaussian":
        np.testing.assert_allclose(problem.D.sum(axis=0), 0, atol=1e-12)
    if data == "digits":
        cosines = problem.X @ problem.D / np.linalg.norm(problem.X, axis=1, keepdims=True)
        assert np.max(cosines) < 1 - 1e-9
    assert not np.array_equal(problems.sparse_coding(data, m=100, samples=200, seed=1).D, problem.D)


def test_sources_are_tangential_currents_of_unit_columns():
    problem = problems.meg(sensors=30, sources=200, active=3, noise=0.1)
    np.testing.assert_allclose(np.linalg.norm(problem.A, axis=0), 1)
    np.testing.assert_allclose(problem.y, problem.A @ problem.x_true + problem.noise)
    assert np.linalg.norm(problem.noise) == pytest.approx(0.1 * np.linalg.norm(problem.A @ problem.x_true))
    assert np.count_nonzero(problem.x_true) == 3


def test_the_field_is_the_formula():
    sensors, sources = 1.3 * _half_sphere(5), 0.7 * _half_sphere(7)
    problem = problems.meg(sensors=5, sources=7, active=1)
    q = np.cross(np.random.default_rng(0).standard_normal((7, 3)), sources)
    np.testing.assert_allclose(np.sum(q * sources, axis=1), 0, atol=1e-15)
    for j in range(7):
        column = [np.dot(np.cross(q[j], sources[j]), s / 1.3) / np.linalg.norm(s - sources[j]) ** 3 for s in sensors]
        np.testing.assert_allclose(problem.A[:, j], np.asarray(column) / np.linalg.norm(column), rtol=1e-12)


def test_few_sensors_are_ill_posed_and_sparsity_finds_what_the_shortest_answer_does_not():
    problem = problems.meg(active=2, noise=0.01)
    G = np.abs(problem.A.T @ problem.A) - np.eye(1024)
    assert np.median(np.max(G, axis=1)) > 0.97  # each has a source that is nearly the same
    assert problem.spectrum[0] / problem.spectrum[-1] > 100
    lam = 0.02 * np.max(np.abs(problem.A.T @ problem.y))
    sparse = xs.lasso(problem.A, problem.y, lam).x
    shortest = xs.ridge(problem.A, problem.y, 1e-3).x

    def near(x):
        """The share of ‖x‖₁ on columns that nearly are those of active sources."""
        active = np.flatnonzero(problem.x_true)
        close = np.max(np.abs(problem.A.T @ problem.A[:, active]), axis=1) > 0.9
        return np.sum(np.abs(x) * close) / np.sum(np.abs(x))

    assert near(sparse) > 0.9
    assert near(shortest) < 0.3


@pytest.mark.parametrize("name", backends.available())
def test_they_stay_on_their_backend(name):
    there = problems.sparse_coding("gaussian", m=10, samples=5, size=2, backend=name, dtype="float32")
    brain = problems.meg(sensors=5, sources=9, active=2, backend=name, dtype="float32")
    for x, host in (
        (there.X, problems.sparse_coding("gaussian", m=10, samples=5, size=2).X),
        (brain.A, problems.meg(sensors=5, sources=9, active=2).A),
    ):
        assert str(x.dtype).endswith("float32")
        np.testing.assert_allclose(backends.to_numpy(x), host, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: problems.sparse_coding("words"), "data: expected one of gaussian, digits, patches, got 'words'"),
        (lambda: problems.sparse_coding("digits", m=1000, samples=1000), "data: digits are 1797"),
        (lambda: problems.sparse_coding("digits", size=9), "data: digits .* of size 9"),
        (lambda: problems.meg(sources=3, active=4), "active: expected at most 3"),
        (lambda: problems.meg(noise=-1.0), "noise: expected a finite number ≥ 0"),
    ],
)
def test_bad_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
