"""Data for the stochastic methods, and their steps one sample after another, as in the textbook, in plain NumPy."""

import numpy as np
import pytest
from scipy.special import expit, softmax

import xpsolve as xs

METHODS = ["sgd", "sga", "sag"]
DERIVATIVE = {
    "LeastSquares": lambda s, y: s - y,
    "Logistic": lambda s, y: -y * expit(-s * y),
    "Multinomial": lambda s, y: softmax(s) - y,
}


def data(rng, loss, n=103, p=17, m=3):
    A = rng.standard_normal((n, p))
    s = A @ rng.standard_normal(p) + rng.standard_normal(n)
    if loss == "LeastSquares":
        return A, s
    return A, np.where(s > 0, 1.0, -1.0) if loss == "Logistic" else np.eye(m)[rng.integers(0, m, n)]


def loop(method, loss, A, y, lam, indices, x, tau0, k0):
    """The textbook, one sample per step."""
    outer = np.outer if y.ndim == 2 else lambda a, d: a * d
    total, alpha, g, seen = 0 * x, np.zeros((A.shape[0], *y.shape[1:])), 0 * x, set()
    for k, i in enumerate(indices):
        d = DERIVATIVE[loss](A[i] @ x, y[i])
        if method == "sag":
            seen.add(i)
            g = g + outer(A[i], d - alpha[i])
            alpha[i] = d
            x = x - tau0 * (g / len(seen) + lam * x)
        else:
            tau = tau0 / (1 + (k / k0 if method == "sgd" else np.sqrt(k / k0)))
            x = x - tau * (outer(A[i], d) + lam * x)
        total = total + x
    return total / len(indices) if method == "sga" else x


def solve(method, f, x0=None, *, tau0, k0, **options):
    steps = {"step": tau0} if method == "sag" else {"step0": tau0, "warmup": k0}
    return getattr(xs, method)(f, x0, **steps, **options)


def in_memory(xp):
    """Skip a test of sample numbers or batches on Dask, whose chunks are gone through in an order of their own."""
    if xp.name == "dask":
        pytest.skip("Dask goes by chunks: test_chunks_of_dask")
