"""The same problems by xpsolve on CuPy and on NumPy, and by the other libraries that are installed.

Every answer is measured by one function: how far its objective lies above the best of all.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from figures import EMULATED, cupy, finish, seconds, sized

import xpsolve as xs

cp = cupy()
Solve = Callable[[], Any]
ABSENT = "not installed"


def _here(library: str) -> bool:
    return importlib.util.find_spec(library) is not None


def _torch(*arrays: Any) -> list[Any]:
    import torch

    if not torch.cuda.is_available():
        raise LookupError("PyTorch finds no GPU")
    return [torch.as_tensor(x, device="cuda") for x in arrays]


def _torch_ridge(A: Any, y: Any, lam: float) -> Solve:
    import torch

    A, y = _torch(A, y)

    def solve() -> Any:
        G = A.T @ A
        G.diagonal().add_(lam)
        return torch.cholesky_solve((A.T @ y)[:, None], torch.linalg.cholesky(G))[:, 0]

    return solve


def _cupy_ridge(A: Any, y: Any, lam: float) -> Solve:
    A, y = cp.asarray(A), cp.asarray(y)
    one = cp.eye(A.shape[1], dtype=A.dtype)
    return lambda: cp.linalg.solve(A.T @ A + lam * one, A.T @ y)


def _cuml(kind: str, **options: Any) -> Callable[..., Solve]:
    def make(A: Any, y: Any, lam: float) -> Solve:
        import cuml

        model = getattr(cuml, kind)
        penalty = lam if kind == "Ridge" else lam / y.size  # theirs divides the squares of the lasso by n
        A, y = cp.asarray(np.asfortranarray(A), order="F"), cp.asarray(y)
        return lambda: model(alpha=penalty, fit_intercept=False, **options).fit(A, y).coef_

    return make


def _pot(a: Any, b: Any, M: Any, eps: float) -> Solve:
    import ot

    a, b, M = _torch(a, b, M)
    return lambda: ot.sinkhorn(a, b, M, eps, method="sinkhorn_log", numItermax=10_000, stopThr=1e-6)


def _ours(function: Callable[..., Any], move: Callable[..., Any], **options: Any) -> Callable[..., Solve]:
    def make(*arguments: Any) -> Solve:
        *arrays, parameter = arguments
        there = [move(x) for x in arrays]
        return lambda: function(*there, parameter, check_finite=False, **options).x

    return make


def _plan(move: Callable[..., Any]) -> Callable[..., Solve]:
    def make(a: Any, b: Any, M: Any, eps: float) -> Solve:
        a, b, M = move(a), move(b), move(M)
        return lambda: xs.sinkhorn(a, b, M, eps, tol=1e-6, check_finite=False).plan()

    return make


def ridge_objective(x: Any, A: Any, y: Any, lam: float) -> float:
    """½‖Ax − y‖² + ½λ‖x‖²."""
    r = A @ x - y
    return float(r @ r + lam * x @ x) / 2


def lasso_objective(x: Any, A: Any, y: Any, lam: float) -> float:
    """½‖Ax − y‖² + λ‖x‖₁."""
    r = A @ x - y
    return float(r @ r) / 2 + lam * float(np.sum(np.abs(x)))


def transport_objective(P: Any, a: Any, b: Any, M: Any, eps: float) -> float:
    """⟨P, M⟩ + ε Σ P (log P − 1), with the violated marginals at the greatest cost."""
    entropy = np.sum(P * (np.log(np.maximum(P, 1e-300)) - 1))
    missed = np.sum(np.abs(P.sum(1) - a)) + np.sum(np.abs(P.sum(0) - b))
    return float(np.sum(P * M) + eps * entropy + np.max(M) * missed)


def problems() -> dict[str, tuple[Callable[..., float], tuple[Any, ...], dict[str, tuple[str, Callable[..., Solve]]]]]:
    """For each problem its objective, its data, and a library and a maker of a solve for each contestant."""
    rng = np.random.default_rng(0)
    n, p, m = sized((100_000, 1000, 4000), (400, 40, 60))
    A = rng.standard_normal((n, p))
    y = A @ rng.standard_normal(p) + rng.standard_normal(n)
    W = rng.standard_normal((n // 50, 20 * p))
    z = W @ (rng.standard_normal(20 * p) * (rng.random(20 * p) < 0.005)) + 0.1 * rng.standard_normal(n // 50)
    lam = 0.1 * float(np.max(np.abs(W.T @ z)))
    a, b = (x / x.sum() for x in rng.random((2, m)) + 0.1)
    M = (rng.random((m, 1)) - rng.random(m)) ** 2
    host, device = np.asarray, cp.asarray
    return {
        f"ridge {n}×{p}": (
            ridge_objective,
            (A, y, 10.0),
            {
                "xpsolve on CuPy": ("cupy", _ours(xs.ridge, device)),
                "xpsolve on NumPy": ("numpy", _ours(xs.ridge, host)),
                "CuPy, normal equations by LU": ("cupy", _cupy_ridge),
                "PyTorch, Cholesky": ("torch", _torch_ridge),
                "cuML": ("cuml", _cuml("Ridge")),
            },
        ),
        f"lasso {n // 50}×{20 * p}": (
            lasso_objective,
            (W, z, lam),
            {
                "xpsolve on CuPy": ("cupy", _ours(xs.lasso, device, tol=1e-6)),
                "xpsolve on NumPy": ("numpy", _ours(xs.lasso, host, tol=1e-6)),
                "cuML": ("cuml", _cuml("Lasso", tol=1e-6, max_iter=10_000)),
            },
        ),
        f"sinkhorn {m}×{m}": (
            transport_objective,
            (a, b, M, 1e-2),
            {
                "xpsolve on CuPy": ("cupy", _plan(device)),
                "xpsolve on NumPy": ("numpy", _plan(host)),
                "POT on PyTorch": ("ot", _pot),
            },
        ),
    }


def host(x: Any) -> Any:
    """Values of any library's array on the host, in float64."""
    x = x.get() if hasattr(x, "get") else x.cpu().numpy() if hasattr(x, "cpu") else np.asarray(x)
    return x.reshape(-1) if x.ndim == 1 else x


def contest(objective: Any, data: tuple[Any, ...], contestants: dict[str, Any], wrong: list[str]) -> dict[str, Any]:
    """Times and errors, or why there are none."""
    found: dict[str, Any] = {}
    for name, (library, make) in contestants.items():
        if not _here(library):
            found[name] = ABSENT
            continue
        try:
            solve = make(*data)
            value = objective(host(solve()), *data)
            found[name] = {"seconds": seconds(solve, cp.cuda.Device().synchronize, 3), "objective": value}
        except Exception as error:
            found[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            if name.startswith("xpsolve"):
                wrong.append(f"{name}: {found[name]}")
    values = [one["objective"] for one in found.values() if isinstance(one, dict)]
    best = min(values, default=0.0)
    for name, one in found.items():
        if isinstance(one, dict):
            one["relative error"] = (one.pop("objective") - best) / max(abs(best), 1e-300)
            if name.startswith("xpsolve") and not one["relative error"] < 1e-4:
                wrong.append(f"{name}: objective {one['relative error']:.2g} above the best")
    return found


def main() -> None:
    """Hold all contests."""
    warnings.simplefilter("ignore", xs.ConvergenceWarning)
    figures, wrong = {}, []
    for name, (objective, data, contestants) in problems().items():
        figures[name] = contest(objective, data, contestants, wrong)
        print(name + (" (EMULATED)" if EMULATED else ""))
        for who, found in figures[name].items():
            told = found
            if isinstance(found, dict):
                told = f"{found['seconds']:.3g} s, objective {found['relative error']:.1e} above the best"
            print(f"  {who:32} {told}")
    ran = sum(isinstance(one, dict) for contest in figures.values() for one in contest.values())
    finish(figures, f"{ran} solves by {len(figures)} problems", wrong)


if __name__ == "__main__":
    main()
