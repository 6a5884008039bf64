"""Calls whose launches and waits are counted: one of each kind of method, on small data made by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse

import xpsolve as xs

Case = tuple[Callable[..., Any], tuple[Any, ...]]


def cases() -> dict[str, Case]:
    """Name to a function and its arguments on the host, arrays or sparse matrices."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((200, 50))
    y = A @ (rng.standard_normal(50) * (rng.random(50) < 0.2)) + 0.1 * rng.standard_normal(200)
    W = rng.standard_normal((60, 300))
    z = W @ (rng.standard_normal(300) * (rng.random(300) < 0.05)) + 0.1 * rng.standard_normal(60)
    S = scipy.sparse.random(400, 600, density=0.05, random_state=rng, format="csr")
    s = S @ (rng.standard_normal(600) * (rng.random(600) < 0.05))
    lam, sparse_lam = (0.1 * float(np.max(np.abs(B.T @ b))) for B, b in ((W, z), (S, s)))
    a, b = (x / x.sum() for x in (rng.random(40), rng.random(50)))
    M = (rng.random((40, 1)) - rng.random((1, 50))) ** 2
    pictures, kernel = rng.standard_normal((2, 3, 32, 32)), rng.standard_normal((4, 3, 5, 5))
    return {
        "ridge, normal": (partial(xs.ridge, lam=1.0, method="normal"), (A, y)),
        "ridge, path of 8": (partial(xs.ridge, lam=[10.0**-k for k in range(8)], method="normal"), (A, y)),
        "ridge, svd": (partial(xs.ridge, lam=1.0, method="svd"), (A, y)),
        "ridge, cg": (partial(xs.ridge, lam=1.0, method="cg"), (A, y)),
        "ridge, sparse": (partial(xs.ridge, lam=1.0), (S, s)),
        "lasso, fista": (partial(xs.lasso, lam=lam, method="fista"), (W, z)),
        "lasso, working set": (partial(xs.lasso, lam=lam, method="working_set"), (W, z)),
        "lasso, sparse": (partial(xs.lasso, lam=sparse_lam, method="working_set"), (S, s)),
        "lasso_path, 20 λ": (partial(xs.lasso_path, n_lams=20), (W, z)),
        "basis_pursuit": (xs.basis_pursuit, (W, z)),
        "sgd, least squares": (_descent(xs.sgd, xs.LeastSquares, epochs=2, block=32), (A, y)),
        "sgd, sparse": (_descent(xs.sgd, xs.LeastSquares, epochs=2, block=32), (S, s)),
        "sag, logistic": (_descent(xs.sag, xs.Logistic, epochs=2, block=32), (A, np.sign(y))),
        "coordinate descent": (_descent(xs.coordinate_descent, xs.Logistic, block=16), (A, np.sign(y))),
        "gradient descent": (_descent(xs.gradient_descent, xs.LeastSquares, momentum="nesterov"), (A, y)),
        "newton": (_descent(xs.newton, xs.Logistic), (A, np.sign(y))),
        "sinkhorn, scaling": (partial(xs.sinkhorn, eps=0.05, method="scaling"), (a, b, M)),
        "sinkhorn, stabilized": (partial(xs.sinkhorn, eps=0.05, method="stabilized"), (a, b, M)),
        "sinkhorn, log": (partial(xs.sinkhorn, eps=0.05, method="log"), (a, b, M)),
        "convolve, fft": (partial(xs.convolve, method="fft"), (pictures, kernel)),
        "convolve, im2col": (partial(xs.convolve, method="im2col"), (pictures, kernel)),
        "convolve, shift": (partial(xs.convolve, method="shift"), (pictures, kernel)),
        "soft_threshold": (partial(xs.soft_threshold, t=0.5), (A,)),
    }


def _descent(method: Callable[..., Any], objective: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda A, y: method(objective(A, y, 1e-2), **options)
