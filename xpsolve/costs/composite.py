"""Costs of  min f(x) + R(x):  a gradient of f, a proximal map and some passes over x an iteration.

    ista, fista    x⁺ = prox_{τR}(z − τ∇f(z))                                  and  z⁺ = x⁺ + j/(j+3)(x⁺ − x)
    working_set    ½dᵀGd + ⟨g, d⟩ + R(x + d) least on a set of features, G = A_SᵀDA_S/n
    primal_dual    x⁺ = prox_{τg}(x − τ(∇f(x) + Lᵀz)),  z⁺ = prox_{σh*}(z + σL(2x⁺ − x))

The gradient of a linear model is a product with A and one with Aᵀ, 4npm flops; of least squares with more samples than
features it is one with the Gram matrix, 2p²m.  A check of the certificate takes both products with A.  ``launches`` are
those of all products and of the iterations, one for each operation on arrays; what a check and the start need beside
their products is left to `xpsolve.count`.
"""

from __future__ import annotations

from xpsolve.costs.model import Cost, checks, cholesky, cholesky_solve, gemm, gram
from xpsolve.costs.operators import differences
from xpsolve.costs.stochastic import LOSSES, _gradient, lipschitz

NEWTON_FEATURES = 256
"""Up to this many features a factorisation costs no more than some tens of iterations."""

WORKING_SET_FEATURES = 128
"""From this many features on proximal Newton steps on a set of them are faster for logistic losses."""

PENALTIES = ("l1", "nonnegative", "group", "total_variation")

_L1_METHODS = ("ista", "fista", "working_set")

_PROX = {"l1": (2, 0), "nonnegative": (2, 0), "group": (3, 9), "total_variation": (0, 0)}
"""Operations of a proximal map on all entries, and on one number per group: its norm and max(1 − τλ/‖x_g‖, 0)."""


def _passes(count: int, size: int, itemsize: int) -> Cost:
    """Operations that read two arrays and write one."""
    return Cost(0, 3 * itemsize * size * count, count, 0, itemsize * size)


def _prox(penalty: str, entries: int, groups: int, itemsize: int) -> Cost:
    large, small = _PROX[penalty]
    return _passes(large, entries, itemsize) + _passes(small, groups, itemsize)


def _total_variation(p: int, dim: int, m: int, itemsize: int) -> Cost:
    """Lᵀz, L(2x⁺ − x) and the step of z, which has `dim` entries at each of p places of a picture with equal sides."""
    shape = (max(round(p ** (1 / dim)), 1),) * dim
    forth, back = (differences(shape, k=m, adjoint=adjoint, itemsize=itemsize) for adjoint in (False, True))
    steps = Cost(launches=6)  # τ and σ from ω, ‖L‖ and the size of ∇²f: numbers
    along_x = _passes(3, p * m, itemsize)  # 2x⁺ − x, and Lᵀz added to the gradient
    along_z = _passes(3, dim * p * m, itemsize)  # z + σLx, less its proximal map
    return forth + back + steps + along_x + along_z + _prox("group", dim * p * m, p * m, itemsize)


def _iteration(gradient: Cost, p: int, m: int, method: str, penalty: str, dim: int, itemsize: int) -> Cost:
    """One step, from the cost of ∇f(x)."""
    step = gradient + _passes(2, p * m, itemsize) + _prox(penalty, p * m, 0, itemsize)  # of x − τ∇f(x)
    if method == "primal_dual":
        return step + _total_variation(p, dim, m, itemsize)
    return step + _passes(1 + 2 * int(method == "fista"), p * m, itemsize)  # the sign of ∇f, and the extrapolation


def minimize(
    n: int,
    p: int,
    *,
    loss: str = "least_squares",
    m: int = 1,
    method: str = "fista",
    penalty: str = "l1",
    dim: int = 2,
    n_iter: int = 300,
    size: int = 200,
    itemsize: int = 8,
) -> Cost:
    """min f(x) + R(x) for a dense A, certificate included.

    Parameters
    ----------
    n, p : int
        Shape of A.
    loss : str
        "least_squares", "logistic" or "multinomial".
    m : int
        Columns of x: of y for least squares, classes for "multinomial".
    method : str
        "ista", "fista" or "primal_dual", which is that of "total_variation"; or for "l1" "working_set", of which a
        step reads A once, 2np flops, after a Gram matrix of the set, n·size², and iterations on it, which are
        lower-order work.
    penalty : str
        "l1", "nonnegative", "group" or "total_variation".
    dim : int
        Axes of the picture, for "total_variation".
    n_iter : int
        Iterations.
    size : int
        Features in the set, for "working_set".
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole solve from 0; of launches those of products and iterations.

    Raises
    ------
    ValueError
        If there is no such loss, method or penalty.

    Examples
    --------
    >>> from xpsolve import costs
    >>> one, two = (costs.minimize(10, 20, loss="logistic", n_iter=k) for k in (1, 2))
    >>> two.flops - one.flops
    800
    """
    options = {"loss": (loss, LOSSES), "penalty": (penalty, PENALTIES)}
    options["method"] = method, {"total_variation": ("primal_dual",), "l1": _L1_METHODS}.get(penalty, _L1_METHODS[:2])
    for name, (value, allowed) in options.items():
        if value not in allowed:
            message = f"{name}: expected one of {', '.join(allowed)}, got {value!r}."
            raise ValueError(message)
    right = gemm(p, m, n, itemsize=itemsize)
    pair = gemm(n, m, p, itemsize=itemsize) + right
    if method == "working_set":  # a step has G, products with A_S and its transpose, and the gradient of the whole
        size = min(size, p)
        narrow = 3 * gemm(n, 1, size, itemsize=itemsize) + gemm(size, 1, n, itemsize=itemsize)
        one = gram(n, size, itemsize=itemsize) + narrow + right
        return right + pair + n_iter * one + Cost(memory=itemsize * (3 * p + 2 * n + size * (n + 2 * size)))
    by_gram = loss == "least_squares" and n > p
    total = right + lipschitz(n, p, itemsize=itemsize) + (1 + checks(n_iter)) * pair
    if by_gram:  # ∇f(x) = (Gx − Aᵀy/n) + λx
        total += gram(n, p, itemsize=itemsize) + right
        gradient = gemm(p, m, p, itemsize=itemsize) + _passes(3, p * m, itemsize)
    else:
        gradient = _gradient(n, p, m, loss, itemsize)
    if method == "fista" and loss == "least_squares" and m == 1 and penalty != "group" and p <= NEWTON_FEATURES:
        newton = cholesky(p, itemsize=itemsize) + cholesky_solve(p, itemsize=itemsize)
        newton += gradient + gemm(p, 1, p, itemsize=itemsize)  # a Newton step is tried at every check
        total += checks(n_iter) * newton
        if not by_gram:
            total += gram(n, p, itemsize=itemsize)
    step = _iteration(gradient, p, m, method, penalty, dim, itemsize)
    state = itemsize * (6 * p * m + 2 * n * m + int(by_gram) * p * p)
    return total + n_iter * step + Cost(syncs=1 + checks(n_iter), memory=state)


def nnls(n: int, p: int, *, k: int = 1, n_iter: int = 300, itemsize: int = 8) -> Cost:
    """Non-negative least squares by FISTA: `minimize` with least squares, k columns of y and x ≥ 0.

    Parameters
    ----------
    n, p : int
        Shape of A.
    k : int
        Columns of y.
    n_iter : int
        Iterations.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole solve from 0.

    Examples
    --------
    >>> from xpsolve import costs
    >>> (costs.nnls(1000, 20, n_iter=2) + -1 * costs.nnls(1000, 20, n_iter=1)).flops
    800
    """
    return minimize(n, p, m=k, penalty="nonnegative", n_iter=n_iter, itemsize=itemsize)


def denoising(n: int, *, dim: int = 2, n_iter: int = 100, itemsize: int = 8) -> Cost:
    """Total-variation denoising of n pixels: the iterations of `minimize` where A is the identity.

    Parameters
    ----------
    n : int
        Pixels.
    dim : int
        Axes of the picture, whose sides are taken to be equal.
    n_iter : int
        Iterations.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the iterations, which have no products.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.denoising(512 * 512).flops, costs.denoising(512 * 512, n_iter=1).launches
    (0, 32)
    """
    gradient = _passes(4, n, itemsize)  # x − y, over n, and λx
    step = _iteration(gradient, n, 1, "primal_dual", "total_variation", dim, itemsize)
    return n_iter * step + Cost(syncs=1 + checks(n_iter), memory=itemsize * (5 + 3 * dim) * n)
