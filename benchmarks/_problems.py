"""Problems with known truth, and the measures of error that several families share, on the host in double precision."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

LAM = 1e-3  # the weight of ½‖x‖² in logistic regression


# --- lasso -------------------------------------------------------------------------------------------


def sparse_signal(n: int, p: int, part: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Gaussian A, y from 50 features with a tenth of noise, and λ as a part of that at which x becomes 0."""
    rng = np.random.default_rng(n * 7919 + p)
    A = rng.standard_normal((n, p))
    return A, *sparse_response(A, part, rng)


def sparse_response(A: np.ndarray, part: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """y and λ of `sparse_signal`, for any A."""
    n, p = A.shape
    support = rng.choice(p, min(50, p), replace=False)
    signal = A[:, support] @ rng.standard_normal(support.size)
    y = signal + 0.1 * np.linalg.norm(signal) / np.sqrt(n) * rng.standard_normal(n)
    return y, part * float(np.max(np.abs(A.T @ y)))


def lasso_gap(A: np.ndarray, y: np.ndarray, lam: float, x: np.ndarray, *others: np.ndarray) -> float:
    """(P(x) − D(θ)) / ½‖y‖² at θ = r·min(1, λ/‖Aᵀr‖∞), or at that of another x, whichever shows more."""
    r = y - A @ x
    primal = 0.5 * (r @ r) + lam * np.sum(np.abs(x))
    dual = max(_lasso_dual(A, y, lam, r) for r in (r, *(y - A @ other for other in others)))
    return float((primal - dual) / (0.5 * (y @ y)))


def _lasso_dual(A: np.ndarray, y: np.ndarray, lam: float, r: np.ndarray) -> float:
    theta = r * min(1.0, lam / float(np.max(np.abs(A.T @ r))))
    return 0.5 * float(y @ y) - 0.5 * float((y - theta) @ (y - theta))


def elastic_net_gap(A: np.ndarray, y: np.ndarray, l1: float, l2: float, x: np.ndarray) -> float:
    """(P(x) − D(r)) / ½‖y‖² with D(θ) = ⟨y, θ⟩ − ½‖θ‖² − Σ max(|Aᵀθ| − l1, 0)²/(2 l2), where every θ is feasible."""
    r = y - A @ x
    primal = 0.5 * (r @ r) + l1 * np.sum(np.abs(x)) + 0.5 * l2 * (x @ x)
    dual = y @ r - 0.5 * (r @ r) - np.sum(np.maximum(np.abs(A.T @ r) - l1, 0) ** 2) / (2 * l2)
    return float((primal - dual) / (0.5 * (y @ y)))


# --- composite ---------------------------------------------------------------------------------------


def positive_signal(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian A, and y from features half of which are 0 and the others positive, with a tenth of noise."""
    rng = np.random.default_rng(n * 7919 + p)
    A = rng.standard_normal((n, p))
    signal = A @ np.maximum(rng.standard_normal(p), 0)
    return A, signal + 0.1 * np.linalg.norm(signal) / np.sqrt(n) * rng.standard_normal(n)


def sparse_classes(n: int, p: int, part: float = 0.1) -> tuple[np.ndarray, np.ndarray, float]:
    """Gaussian A, two classes distinguished by twenty features, and λ as a part of that at which x becomes 0."""
    rng = np.random.default_rng(n * 7919 + p)
    A = rng.standard_normal((n, p))
    x = np.zeros(p)
    x[rng.choice(p, min(20, p), replace=False)] = 1.0
    y = np.where(A @ x + rng.standard_normal(n) > 0, 1.0, -1.0)
    return A, y, part * float(np.max(np.abs(A.T @ y))) / (2 * n)


def nonnegative_violation(A: np.ndarray, y: np.ndarray, x: np.ndarray) -> float:
    """‖Aᵀ(Ax − y)‖ where x > 0, and of its negative part where x = 0, over ‖Aᵀy‖; ∞ for an x below 0."""
    if np.min(x) < 0:
        return math.inf
    g = A.T @ (A @ x - y)
    return float(np.linalg.norm(np.where(x > 0, g, np.minimum(g, 0))) / np.linalg.norm(A.T @ y))


def logistic_gap(A: np.ndarray, y: np.ndarray, lam: float, x: np.ndarray) -> float:
    """(P(x) − D(θ)) / log 2, θ_i = t/(1 + exp(y_i s_i)) with the t ≤ 1 for which ‖Aᵀ(yθ)‖∞/n ≤ λ."""
    n, margins = len(y), y * (A @ x)
    theta = np.exp(-np.logaddexp(0, margins))
    theta = theta * min(1.0, lam * n / float(np.max(np.abs(A.T @ (y * theta)))))
    rest = 1 - theta
    entropy = -np.sum(theta * np.log(np.maximum(theta, 1e-300)) + rest * np.log(np.maximum(rest, 1e-300))) / n
    primal = np.sum(np.logaddexp(0, -margins)) / n + lam * np.sum(np.abs(x))
    return float((primal - entropy) / math.log(2))


# --- ridge -------------------------------------------------------------------------------------------


def planted(n: int, p: int, lam: float, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, y and the x that solves them exactly."""
    A = scaled_matrix(n, p, dtype)
    z = np.random.default_rng(0).standard_normal(n)
    wide = A.astype(np.float64, copy=False)
    x = wide.T @ z
    return A, wide @ x + lam * z, x


def scaled_matrix(n: int, p: int, dtype: str = "float64") -> np.ndarray:
    """Gaussian, scaled so that the largest singular value stays near 1 or 2 at any shape."""
    scale = np.dtype(dtype).type(1 / np.sqrt(max(n, p)))
    return np.random.default_rng(n * 7919 + p).standard_normal((n, p), dtype=dtype) * scale


# --- sinkhorn ----------------------------------------------------------------------------------------


def clouds(n: int, batch: int | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distances between points drawn in the unit square, and weights: uniform, or random for a batch."""
    rng = np.random.default_rng(n)
    x, y = rng.random((n, 2)), rng.random((n, 2))
    M = np.sum((x[:, None, :] - y[None, :, :]) ** 2, axis=-1)
    if batch is None:
        return np.full(n, 1 / n), np.full(n, 1 / n), M
    a, b = (rng.random((batch, n)) + 0.1 for _ in range(2))
    return a / a.sum(axis=1, keepdims=True), b / b.sum(axis=1, keepdims=True), M


def marginal_error(a: np.ndarray, b: np.ndarray, M: np.ndarray, eps: float, f: np.ndarray, g: np.ndarray) -> float:
    """‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁, the largest of a batch."""
    P = np.exp((f[..., :, None] + g[..., None, :] - M) / eps)
    return float(np.max(np.sum(np.abs(P.sum(-1) - a), -1) + np.sum(np.abs(P.sum(-2) - b), -1)))


# --- stochastic --------------------------------------------------------------------------------------


def two_classes(n: int, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Rows of about length 1, the class of each, with noise, n sample numbers, and 1/L of the worst sample."""
    rng = np.random.default_rng(n + 7919 * p)
    A = rng.standard_normal((n, p)) / np.sqrt(p)
    y = np.where(A @ rng.standard_normal(p) + 0.3 * rng.standard_normal(n) > 0, 1.0, -1.0)
    return A, y, rng.integers(n, size=n), float(1 / (0.25 * np.max(np.sum(A * A, axis=1)) + LAM))


def logistic_slope(s: float, y: float) -> float:
    """ℓ′ of the logistic loss."""
    return float(-y / (1 + np.exp(y * s)))


def loop_sgd(A: np.ndarray, y: np.ndarray, indices: np.ndarray, tau: float, warmup: float) -> np.ndarray:
    """x ← x − τ_k (ℓ′ a_i + λx), τ_k = τ/(1 + k/k₀)."""
    x = np.zeros(A.shape[1])
    for k, i in enumerate(indices):
        x = x - tau / (1 + k / warmup) * (logistic_slope(A[i] @ x, y[i]) * A[i] + LAM * x)
    return x


# --- chain -------------------------------------------------------------------------------------------


def chain_factors(dims: list[int]) -> list[np.ndarray]:
    """A_1, …, A_t of shapes (n_k, n_{k−1})."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, m)) / np.sqrt(m) for m, n in pairwise(dims)]


def chain_error(host: list[np.ndarray], product: np.ndarray) -> float:
    """‖JV − A_t(⋯(A_1 V))‖ / ‖A_t(⋯(A_1 V))‖ for eight random vectors V."""
    V = np.random.default_rng(1).standard_normal((host[0].shape[1], 8))
    truth = V
    for A in host:
        truth = A @ truth
    return float(np.linalg.norm(product @ V - truth) / np.linalg.norm(truth))


# --- rows in chunks ----------------------------------------------------------------------------------


class CountedRows:
    """Rows in chunks of Dask, which are made anew whenever they are read; how many were is counted.

    Parameters
    ----------
    values : array, shape (n, q)
        Rows.
    length : int
        Rows of a chunk, a divisor of n.
    """

    def __init__(self, values: np.ndarray, length: int) -> None:
        self.values, self.length, self.read = values, length, 0

    @cached_property
    def array(self) -> Any:
        """The rows as an array of Dask."""
        import dask.array as da

        values, index = self.values, da.from_array(np.arange(len(self.values)), chunks=self.length)
        chunks = (index.chunks[0], (values.shape[1],))
        return index.map_blocks(self._rows, new_axis=1, chunks=chunks, dtype=values.dtype, meta=values[:0])

    def _rows(self, index: np.ndarray) -> np.ndarray:
        self.read += len(index)
        return self.values[index]

    @property
    def passes(self) -> float:
        """How often all rows were read since `read` was 0."""
        return self.read / len(self.values)

    def parts(self) -> Iterator[np.ndarray]:
        """The chunks one after another, on the host."""
        for i in range(0, len(self.values), self.length):
            yield self._rows(np.arange(i, i + self.length))
