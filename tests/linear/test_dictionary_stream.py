"""Dictionaries from a stream of samples: what is learned, kept, continued and refused."""

import pickle

import numpy as np
import pytest
from sklearn.decomposition import MiniBatchDictionaryLearning

import xpsolve as xs
from xpsolve import problems
from xpsolve.solution import Status
from xpsolve.testing import assert_close, check_solution

pytestmark = pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")


def planted(rng, n=2000, p=12, m=12):
    """Samples of three atoms each."""
    truth = rng.standard_normal((p, m))
    truth = truth / np.linalg.norm(truth, axis=0)
    Z = np.where(rng.random((n, m)) < 3 / m, rng.standard_normal((n, m)), 0.0)
    return Z @ truth.T, truth


def cut(X, n):
    return [X[i : i + n] for i in range(0, X.shape[0], n)]


def cost(X, D, lam):
    """The mean objective of samples with their best codes."""
    Z = xs.lasso(D, X.T, lam, tol=1e-6).x.T
    return (0.5 * np.sum((X - Z @ D.T) ** 2) + lam * np.sum(np.abs(Z))) / len(X)


def test_new_samples_are_represented_better_than_in_the_first_atoms(rng):
    X, _ = planted(rng, 3000)
    new, X = X[:300], X[300:]
    found = xs.dictionary_learning(cut(X, 100), 12, 0.05, seed=1)
    first = xs.dictionary_learning(X[:100], 12, 0.05, seed=1, max_iter=0).x
    assert found.n_iter == 27
    assert cost(new, found.x, 0.05) < 0.85 * cost(new, first, 0.05)
    assert found.objective == pytest.approx(cost(new, found.x, 0.05), rel=0.1)
    assert_close(np.linalg.norm(found.x, axis=0), np.ones(12), rtol=1e-12)


@pytest.mark.of("dictionary_learning")
def test_every_library_learns_the_same(xp, rng):
    X, _ = planted(rng, 200, 6, 5)
    expected = xs.dictionary_learning(cut(X, 40), 5, 0.1)
    found = xs.dictionary_learning((xp(part) for part in cut(X, 40)), 5, 0.1)
    check_solution(found, like=xp(X), shape=(6, 5))
    rtol = 1e-3 if "32" in str(found.x.dtype) else 1e-9
    assert_close(found.x, expected.x, rtol=rtol)
    assert_close(found.objective, expected.objective, rtol=rtol)
    assert found.certificate.value == pytest.approx(expected.certificate.value, rel=10 * rtol, abs=1e-5)
    listed = xs.dictionary_learning([xp(part) for part in cut(X, 40)], 5, 0.1)
    assert_close(listed.x, found.x, rtol=rtol)


def test_a_solution_continues_its_stream(rng):
    X, _ = planted(rng, 800)
    parts = cut(X, 90)
    whole = xs.dictionary_learning(parts, 10, 0.1, record=True)
    half = xs.dictionary_learning(parts[:4], 10, 0.1)
    kept = half.x.copy()
    later = xs.dictionary_learning(((part,) for part in parts[4:]), 10, 0.1, x0=pickle.loads(pickle.dumps(half)))
    assert_close(later.x, whole.x, rtol=1e-12)
    assert_close(later.objective, whole.objective, rtol=1e-12)
    assert later.n_iter == whole.n_iter == 9
    assert whole.history["objective"].shape == (9,)
    np.testing.assert_array_equal(half.x, kept)


@pytest.mark.parametrize("scale", [2.0**-200, 2.0**200])
def test_scales(rng, scale):
    X, _ = planted(rng, 400)
    found = xs.dictionary_learning(cut(scale * X, 80), 10, 0.1 * scale)
    plain = xs.dictionary_learning(cut(X, 80), 10, 0.1)
    np.testing.assert_array_equal(found.x, plain.x)
    assert found.certificate.value == plain.certificate.value


def test_as_good_as_scikit_learn(rng):
    X = problems.digits(standardise=False).A / 16
    X = X[rng.permutation(len(X))]
    new, X = X[:300], X[300:]
    lam, m = 0.5, 20
    start = X[:m].T / np.linalg.norm(X[:m], axis=1)
    batches = [part for _ in range(3) for part in cut(X, 100)]
    mine = xs.dictionary_learning(batches, m, lam, x0=start)
    peer = MiniBatchDictionaryLearning(
        m, alpha=lam, batch_size=100, max_iter=3, tol=0, max_no_improvement=None, dict_init=start.T, random_state=0
    ).fit(X)
    assert cost(new, mine.x, lam) < 1.01 * cost(new, peer.components_.T, lam)
    assert mine.objective == pytest.approx(cost(X, mine.x, lam), rel=0.05)


def test_a_stream_without_an_end_is_stopped_by_its_callback(rng):
    seen = []

    def samples():
        while True:
            yield planted(np.random.default_rng(len(seen)), 50, 5, 5)[0]

    def callback(number, progress):
        seen.append((number, float(progress.objective), float(progress.measure)))
        return number == 7

    found = xs.dictionary_learning(samples(), 5, 0.1, callback=callback)
    assert found.status is Status.STOPPED
    assert [number for number, *_ in seen] == [1, 2, 3, 4, 5, 6, 7]
    assert seen[-1][1:] == (float(found.objective), found.certificate.value)


def test_atoms_that_no_sample_has_used_are_replaced(rng):
    X, _ = planted(rng, 400, 6, 4)
    start = np.repeat(np.eye(6)[:, :1], 4, axis=1)  # all alike
    start[:, 1:] = np.linalg.svd(X)[2][-1][:, None]  # and these hardly used
    found = xs.dictionary_learning(cut(X, 50), 4, 0.5, x0=start)
    assert len(np.unique(found.x.round(6), axis=1).T) > 1
    assert np.all(np.isfinite(found.x))


ROWS = np.ones((3, 2)) + np.eye(3)[:, :2]


@pytest.mark.parametrize(
    ("X", "options", "error", "words"),
    [
        ([], {}, ValueError, "X: expected an array .* at least one batch"),
        ([ROWS, 3], {}, TypeError, "X: expected an array .* or an iterable of such, got int as number 2"),
        ([[1.0, 2.0]], {}, TypeError, "X: expected an array .* got list as number 1"),
        ([ROWS, ROWS[:, :1]], {}, ValueError, "X: batch 2: expected 2 features"),
        ([ROWS[0]], {}, ValueError, r"X: batch 1: X: expected shape \(n, p\)"),
        ([ROWS * np.nan], {}, ValueError, "X: batch 1: X: expected finite numbers"),
        ([ROWS], {"x0": np.ones((3, 3))}, ValueError, "x0: expected shape"),
        ([ROWS], {"lam": -1.0}, ValueError, "lam: "),
        (3, {}, TypeError, "X: expected an array"),
        ("rows", {}, TypeError, "X: expected an array"),
    ],
)
def test_what_is_no_stream_is_said(X, options, error, words):
    with pytest.raises(error, match=words):
        xs.dictionary_learning(X, 2, **{"lam": 0.1, **options})


def test_a_solution_of_another_function_does_not_continue():
    other = xs.sgd(xs.LeastSquares, batches=[(ROWS, np.ones(3))])
    with pytest.raises(ValueError, match="x0: expected a solution of dictionary_learning"):
        xs.dictionary_learning([ROWS], 2, 0.1, x0=other)
