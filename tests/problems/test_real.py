"""The real data arrive whole, standardised when asked, and say which package they miss."""

import sys

import numpy as np
import pytest

from xpsolve import problems
from xpsolve.arrays import backends

SETS = {
    problems.diabetes: ((442, 10), (442,)),
    problems.breast_cancer: ((569, 30), (569,)),
    problems.digits: ((1797, 64), (1797, 10)),
}


@pytest.mark.parametrize("load", SETS)
def test_shapes_and_names(load):
    problem = load()
    assert (problem.shape, problem.y.shape) == SETS[load]
    assert len(problem.feature_names) == problem.shape[1]
    assert problem.source.startswith("scikit-learn")
    assert problem.x_true is None
    assert problem.noise is None


@pytest.mark.parametrize("load", SETS)
def test_standardised_columns(load):
    A = load().A
    deviation = A.std(axis=0)
    np.testing.assert_allclose(A.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(deviation[deviation > 0], 1)


def test_raw_values_are_kept():
    assert problems.digits(standardise=False).A.max() == 16
    assert problems.diabetes(standardise=False).y.min() == 25
    assert abs(problems.diabetes().y.mean()) < 1e-12


def test_targets():
    assert set(problems.breast_cancer().y) == {-1, 1}
    np.testing.assert_array_equal(problems.digits().y.sum(axis=1), 1)
    assert problems.digits().target_names == tuple("0123456789")


def test_minimum_norm_solution_where_columns_are_constant():
    problem = problems.digits()
    assert np.count_nonzero(problem.spectrum) == 61
    expected = np.linalg.pinv(problem.A, rcond=1e-12) @ problem.y
    np.testing.assert_allclose(problem.solution(), expected, atol=1e-10)


@pytest.mark.parametrize("name", backends.available())
def test_photograph(name):
    whole = problems.photograph(dtype="float32")
    assert whole.ndim == 2
    assert min(whole.shape) > 400
    assert 0 <= whole.min() < 0.1
    assert 0.9 < whole.max() <= 1
    there = problems.photograph(backend=name, dtype="float32")
    np.testing.assert_array_equal(backends.to_numpy(there), whole)


def test_photograph_resampled():
    small = problems.photograph(shape=(60, 50))
    assert small.shape == (60, 50)
    assert small.mean() == pytest.approx(problems.photograph().mean(), abs=0.01)


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4.5, 4)])
def test_photograph_refuses_a_bad_shape(shape):
    with pytest.raises(ValueError, match="shape: expected"):
        problems.photograph(shape=shape)


def test_patches_are_windows_of_the_photograph_without_their_means():
    X = problems.patches(size=5, count=40)
    assert X.shape == (40, 25)
    np.testing.assert_allclose(X.mean(axis=1), 0, atol=1e-15)
    windows = np.lib.stride_tricks.sliding_window_view(problems.photograph(), (5, 5)).reshape(-1, 25)
    first = windows - windows.mean(axis=1, keepdims=True) - X[0]
    assert np.min(np.max(np.abs(first), axis=1)) < 1e-14
    np.testing.assert_array_equal(problems.patches(size=5, count=10), X[:10])
    assert not np.array_equal(problems.patches(size=5, count=40, seed=1), X)


@pytest.mark.parametrize(
    ("change", "words"), [({"size": 10**4}, "size: expected at most"), ({"count": 0}, "count: exp")]
)
def test_patches_refuse_what_the_photograph_has_not(change, words):
    with pytest.raises(ValueError, match=words):
        problems.patches(**change)


@pytest.mark.parametrize(
    ("load", "module", "package"),
    [
        (problems.diabetes, "sklearn.datasets", "scikit-learn"),
        (problems.breast_cancer, "sklearn.datasets", "scikit-learn"),
        (problems.digits, "sklearn.datasets", "scikit-learn"),
        (problems.photograph, "matplotlib.cbook", "matplotlib"),
        (problems.photograph, "PIL.Image", "matplotlib"),
    ],
)
def test_a_missing_package_is_named(monkeypatch, load, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'{package}.*pip install "xpsolve\[bench\]"'):
        load()


def test_importing_problems_imports_no_other_library():
    import subprocess

    code = (
        "import sys, xpsolve.problems;"
        "print(*{'cupy', 'torch', 'jax', 'dask', 'sklearn', 'matplotlib', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
