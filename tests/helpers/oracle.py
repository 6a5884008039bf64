"""How right an answer is, in extended precision and written apart from the library: what certificates are held to.

Each truth takes the arguments of a call and its answer as host arrays of ``numpy.longdouble``, scaled to like size
first, and returns a number that is 0 for the exact answer and does not change with the units of the data.
"""

import functools
import inspect
import math
import types

import numpy as np

import xpsolve as xs
from xpsolve.arrays import is_array, library, namespace_of
from xpsolve.arrays.backends import to_numpy

LARGEST = 20_000  # entries of A: extended precision has no fast products


def host(x):
    """An array of any library in extended precision."""
    x = np.asarray(to_numpy(x))
    return x.astype(np.clongdouble if np.iscomplexobj(x) else np.longdouble)


def _size(x):
    most = np.max(np.abs(x)) if x.size else 0
    return np.longdouble(2.0) ** np.floor(np.log2(most)) if np.isfinite(most) and most > 0 else np.longdouble(1)


def _columns(x):
    return x if x.ndim == 2 else x[:, None]


def _norm(x):
    return np.sqrt(np.sum(_squares(x), axis=0))


def _squares(x):
    return (x.conj() * x).real


def _adjoint(A):
    return A.conj().T


def _ratio(a, b):
    return np.max(np.where(b > 0, a / np.where(b > 0, b, 1), np.where(a > 0, np.inf, 0)))


def normal_equations(A, y, lam, x):
    """max ‖Aᵀr − λx‖ / ((‖A‖²_F + λ)‖x‖ + max(‖A‖_F‖r‖, ‖Aᵀy‖)), r = y − Ax, over right-hand sides and λ."""
    a, c = _size(A), _size(y)
    A, y = A / a, y / c
    worst = np.longdouble(0)
    lams = np.atleast_1d(lam) / a / a
    answers = x[None] if np.ndim(lam) == 0 else x
    for weight, answer in zip(lams, answers, strict=True):
        X, Y = _columns(answer) * (a / c), _columns(y)
        if not np.isfinite(weight):
            continue
        R = Y - A @ X
        square = np.sum(_squares(A))
        size = (square + weight) * _norm(X) + np.maximum(np.sqrt(square) * _norm(R), _norm(_adjoint(A) @ Y))
        worst = max(worst, _ratio(_norm(_adjoint(A) @ R - weight * X), size))
    return worst


def lasso_gap(A, y, l1, l2, x):
    """What ½‖Ax − y‖² + l1‖x‖₁ + ½l2‖x‖² can fall by at most, over ½‖y‖²: the worst of all columns.

    The least of two bounds: the duality gap, and, for weights below rounding, at which no dual point of x is near the
    best one, l1‖x‖₁ + ½‖Qr‖², where Q projects onto the columns of A: least squares have no objective below that.
    """
    a, c = _size(A), _size(y)
    A, Y = A / a, _columns(y / c)
    X, l1, l2 = _columns(x) * (a / c), l1 / a / c, l2 / a / a
    half = 0.5 * np.sum(_squares(Y), axis=0)
    # rows √l2·I beside A and zeros beside y make a lasso of the elastic net
    stacked = np.concatenate([A, np.sqrt(l2) * np.eye(A.shape[1], dtype=A.dtype)]) if l2 > 0 else A
    U, R = _column_space(stacked), np.concatenate([Y, np.zeros((len(stacked) - len(Y), Y.shape[1]))]) - stacked @ X
    simple = l1 * np.sum(np.abs(X), axis=0) + 0.5 * np.sum(_squares(_adjoint(U) @ R), axis=0)
    R = Y - A @ X
    C = _adjoint(A) @ R
    rr, yr = np.sum(_squares(R), axis=0), np.sum((Y.conj() * R).real, axis=0)
    primal = 0.5 * rr + l1 * np.sum(np.abs(X), axis=0) + 0.5 * l2 * np.sum(_squares(X), axis=0)
    # the dual at ν = s·R: ½‖y‖² − ½‖y − ν‖², where |Aᵀν| ≤ l1
    most = np.max(np.abs(C), axis=0)
    best = np.where(rr > 0, yr / np.where(rr > 0, rr, 1), 1)
    limit = np.where(most > 0, l1 / np.where(most > 0, most, 1), np.inf)
    s = np.minimum(np.maximum(best, -limit), limit)
    dual = s * yr - 0.5 * s * s * rr
    if l2 > 0:  # or at ν = R, less Σ (|Aᵀν| − l1)₊² / (2 l2)
        excess = np.maximum(np.abs(C) - l1, 0)
        dual = np.maximum(dual, yr - 0.5 * rr - np.sum(excess * excess, axis=0) / (2 * l2))
    return _ratio(np.minimum(np.maximum(primal - dual, 0), simple), half)


def _column_space(A):
    """An orthonormal basis of the columns of A, for any sizes of them."""
    lengths = _norm(A)
    double = complex if np.iscomplexobj(A) else float
    U, s, _ = np.linalg.svd((A / np.where(lengths > 0, lengths, 1)).astype(double), full_matrices=False)
    return U[:, s > max(A.shape) * np.finfo(float).eps * max(s.max(), 1e-300)].astype(A.dtype)


def feasibility(A, y, x):
    """‖Ax − y‖ / ‖y‖: the half of basis pursuit that needs no dual point."""
    a, c = _size(A), _size(y)
    A, y, x = A / a, y / c, x * (a / c)
    return _ratio(_norm(A @ x - y), _norm(y))


def marginals(a, b, M, eps, f, g):
    """‖P1 − a‖₁ + ‖Pᵀ1 − b‖₁ with P = exp((f + g − M)/ε), relative to the mass."""
    with np.errstate(all="ignore"):
        P = np.exp((f[..., :, None] + g[..., None, :] - M) / eps)
        P = np.where(np.isneginf(f)[..., :, None] | np.isneginf(g)[..., None, :], 0, P)
        return np.max(np.sum(np.abs(P.sum(-1) - a), -1) + np.sum(np.abs(P.sum(-2) - b), -1)) / np.max(np.sum(a, -1))


def unbalanced_gap(a, b, M, eps, f, g, marginal):
    """(primal − dual value)/(ε ΣP) of min ⟨P, M⟩ + ε Σ P(log P − 1) + Σ ρ KL, where both ρ are finite."""
    with np.errstate(all="ignore"):
        P = np.exp((f[..., :, None] + g[..., None, :] - M) / eps)
        P = np.where(np.isneginf(f)[..., :, None] | np.isneginf(g)[..., None, :], 0, P)

        def kl(r, t):
            ratio = np.where(t > 0, r / np.where(t > 0, t, 1), 1)
            terms = np.where(r > 0, r * np.log(np.where(r > 0, ratio, 1)), 0) - r + t
            return np.where((t > 0) | (r == 0), terms, np.inf).sum(-1)

        used = np.where(P > 0, M, 0)
        primal = np.sum(P * used + eps * np.where(P > 0, P * (np.log(np.where(P > 0, P, 1)) - 1), 0), (-2, -1))
        dual = -eps * P.sum((-2, -1))
        for x, r, z, rho in ((a, P.sum(-1), f, marginal[0]), (b, P.sum(-2), g, marginal[1])):
            price = np.asarray(rho)[..., None]
            primal = primal + rho * kl(r, x)
            dual = dual - rho * np.where(x > 0, x * np.expm1(-np.where(x > 0, z, 0) / price), 0).sum(-1)
        least = np.finfo(np.float64).eps * np.sqrt(a.sum(-1) * b.sum(-1))
        rounding = 1e3 * np.finfo(np.longdouble).eps * (np.abs(primal) + np.abs(dual) + marginal[0] * a.sum(-1))
        return np.max((np.abs(primal - dual) - rounding) / (eps * np.maximum(P.sum((-2, -1)), least)))


def gradient(model, x, intercept=None):
    """max_j |∇f(x)_j| / (‖a_j‖·‖ℓ′(0)‖/n): the gradient of a linear model in units of each of its columns.

    An intercept is one more entry of x, of a column of ones beside A − 1āᵀ.
    """
    A, y, lam = host(model.matrix.A), host(model.y), host(model.lam)
    n = len(A)
    weights = np.ones(n, dtype=np.longdouble) if model.weights is None else host(model.weights)
    a, c = _size(A), _size(y) if isinstance(model, xs.LeastSquares) else np.longdouble(1)
    A, y, x, lam = A / a, y / c, x * (a / c), lam / a / a
    if intercept is not None:
        mean = weights @ A / n
        A = np.concatenate([A - mean, np.ones_like(A[:, :1])], axis=1)
        x = np.concatenate([x, (intercept / c + mean @ x)[None]], axis=0)
    weights = weights[(...,) + (None,) * (x.ndim - 1)]

    def slope(s):
        if isinstance(model, xs.LeastSquares):
            return weights * (s - y)
        if isinstance(model, xs.Logistic):
            return -weights * y / (1 + np.exp(y * s))
        e = np.exp(s - s.max(axis=1, keepdims=True))
        return weights * (e / e.sum(axis=1, keepdims=True) - y)

    with np.errstate(all="ignore"):
        g = A.T @ slope(A @ x) / n + lam * x
        unit = _norm(A)[(...,) + (None,) * (x.ndim - 1)] * np.sqrt(np.sum(slope(0 * (A @ x)) ** 2)) / n
    return _ratio(np.abs(g), np.broadcast_to(unit, g.shape))


def nonnegative(A, y, x):
    """max_j |Aᵀ(Ax − y)|_j, only of its negative part where x_j = 0, over ‖a_j‖‖y‖; ∞ for an x below 0."""
    a, c = _size(A), _size(y)
    A, Y, X = A / a, _columns(y / c), _columns(x) * (a / c)
    if np.any(X < 0):
        return np.inf
    g = A.T @ (A @ X - Y)
    left = np.abs(np.where(X > 0, g, np.minimum(g, 0)))
    return _ratio(left, _norm(A)[:, None] * np.sqrt(np.sum(Y * Y)))


# --- applied to every call in the tests -------------------------------------------------------------


def _of_targets(truth):
    """The same where λ is (1, k): the worst of the k problems."""

    def worst(call, solution):
        lam = _lam(call["lam"])
        if np.ndim(lam) < 2:
            return truth(call, lam, host(solution.x))
        x, y = host(solution.x), host(call["y"])
        return max(truth({**call, "y": y[:, j]}, lam[0, j], x[:, j]) for j in range(lam.shape[1]))

    return worst


@_of_targets
def _truth_of_ridge(call, lam, x):
    return normal_equations(host(call["A"]), host(call["y"]), lam, x)


def _truth_of_lstsq(call, solution):
    return normal_equations(host(call["A"]), host(call["y"]), np.longdouble(0), host(solution.x))


@_of_targets
def _truth_of_lasso(call, lam, x):
    A, y, theta = host(call["A"]), host(call["y"]), np.longdouble(call.get("theta", 0))
    if lam == 0 or theta == 1:
        return normal_equations(A, y, lam * theta, x)
    return lasso_gap(A, y, lam * (1 - theta), lam * theta, x)


def _truth_of_lasso_path(call, solution):
    A, y = host(call["A"]), host(call["y"])
    gaps = [
        lasso_gap(A, y, lam, np.longdouble(0), x)
        for lam, x in zip(host(solution.lams), host(solution.x), strict=True)
        if lam > 0
    ]
    return max(gaps, default=np.longdouble(0))


def _truth_of_basis_pursuit(call, solution):
    return feasibility(host(call["A"]), host(call["y"]), host(solution.x))


def _truth_of_nnls(call, solution):
    return nonnegative(host(call["A"]), host(call["y"]), host(solution.x))


def _truth_of_sinkhorn(call, solution):
    a, b, M = (host(call[name]) for name in "abM")
    low = ["float32" in str(call[name].dtype) for name in "ab"]
    balanced = np.all(np.isinf(solution.marginal))
    if balanced and any(low) and "float64" in str(solution.x[0].dtype):
        # sums differ by rounding of one: that of the other holds
        left, right = (x.sum(-1, keepdims=True) for x in (a, b))
        a, b = (a * (right / left), b) if low[0] else (a, b * (left / right))
    f, g = (host(x) for x in solution.x)
    rho, eps = solution.marginal, _lam(call["eps"])
    if eps.ndim:  # one for each problem: the same in the units of each
        unit = eps[:, None]
        f, g, M, eps = f / unit, g / unit, M / eps[:, None, None], np.longdouble(1)
        rho = tuple(r / unit[:, 0] for r in rho)
    if np.all(np.isinf(rho)):
        return marginals(a, b, M, eps, f, g)
    if np.any(np.isinf(rho)):
        return 0.0  # an exact side has no duality gap
    return unbalanced_gap(a, b, M, eps, f, g, rho)


def _truth_of_descent(call, solution):
    f, x, c = call["f"], host(solution.x), solution.intercept
    if x.ndim == len(f.shape):
        return gradient(f, x, None if c is None else host(c))
    each = [None] * len(x) if c is None else host(c)
    return max(gradient(f, *run) for run in zip(x, each, strict=True))


def _lam(lam):
    return host(lam) if is_array(lam) else np.asarray(lam, dtype=np.longdouble)[()]


# function: truth, and how many times the tolerance it may be where the answer is called converged
TRUTHS = {
    "ridge": (_truth_of_ridge, 10),
    "lstsq": (_truth_of_lstsq, 10),
    "lasso": (_truth_of_lasso, 10),
    "elastic_net": (_truth_of_lasso, 10),
    "lasso_path": (_truth_of_lasso_path, 10),
    "basis_pursuit": (_truth_of_basis_pursuit, 10),
    "nnls": (_truth_of_nnls, 100),
    "sinkhorn": (_truth_of_sinkhorn, 10),
    "gradient_descent": (_truth_of_descent, 100),
    "coordinate_descent": (_truth_of_descent, 100),
    "newton": (_truth_of_descent, 100),
    "sgd": (_truth_of_descent, 100),
    "sga": (_truth_of_descent, 100),
    "sag": (_truth_of_descent, 100),
}


def can_be_judged(name, call):
    """Whether the truth of a call can be computed: concrete dense arrays of moderate size."""
    model = call.get("f")
    if model is not None:
        if not isinstance(model, xs.LeastSquares | xs.Logistic | xs.Multinomial):
            return False
        arrays = [getattr(model.matrix, "A", None), model.y, *([] if model.weights is None else [model.weights])]
    else:
        arrays = [call.get(k) for k in ("A", "y")] if "A" in call else [call.get(k) for k in ("a", "b", "M")]
    if any(is_array(call.get(k)) and not _plain(call[k]) for k in ("lam", "eps")):
        return False
    return all(_plain(x) for x in arrays) and max(x.size if isinstance(x.size, int) else 0 for x in arrays) <= LARGEST


def _plain(x):
    if not is_array(x) or hasattr(x, "__xpsolve_value__"):
        return False
    kind = library(namespace_of(x))
    return kind != "dask" and "Tracer" not in type(x).__name__


def judge(name, call, solution):
    """Raise AssertionError where an answer is called converged and is not, or its certificate flatters it."""
    truth, times = TRUTHS[name]
    if not can_be_judged(name, call) or not solution.converged:
        return
    value, certificate = float(truth(call, solution)), solution.certificate
    single = any(name in str(_dtype(solution.x)) for name in ("float32", "complex64"))
    eps = float(np.finfo("float32" if single else "float64").eps)
    allowed = times * max(certificate.tol, 4 * eps)
    assert value <= allowed, (
        f"{name}: converged ({certificate.name} {certificate.value:.1e} <= {certificate.tol:.1e}), "
        f"but in extended precision it is {value:.1e}"
    )


def _dtype(x):
    return (x[0] if isinstance(x, tuple) else x).dtype


def _without_samples(given):
    """The problem without weights and intercept that has the same x."""
    weights, intercept = given.pop("weights", None), given.pop("intercept", False)
    if weights is None and not intercept:
        return given
    arrays = [given["A"], given["y"], *([] if weights is None else [weights])]
    if not all(is_array(x) and _plain(x) for x in arrays):
        return None  # its entries are not accessible here
    if math.prod(given["A"].shape) > LARGEST:
        return None
    A, y = host(given["A"]), host(given["y"])
    w = np.ones(A.shape[0]) if weights is None else host(weights)
    if intercept:
        A, y = A - w @ A / w.sum(), y - w @ y / w.sum()
    roots = np.sqrt(w)
    return {**given, "A": A * roots[:, None], "y": y * (roots if y.ndim == 1 else roots[:, None])}


def judged(name, function):
    """`function`, every answer of which is checked before it is returned."""
    signature = inspect.signature(function)

    def call(*args, **kwargs):
        solution = function(*args, **kwargs)
        given = dict(signature.bind(*args, **kwargs).arguments)
        given = _without_samples(given)
        if given is not None:
            judge(name, given, solution)
        return solution

    # a frame of the package, so that warnings point at the line of the test
    inside = {**globals(), "__name__": "xpsolve"}
    return functools.wraps(function)(types.FunctionType(call.__code__, inside, closure=call.__closure__))
