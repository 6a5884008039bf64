"""Costs of the descent methods for f(x) = 1/n Σ ℓ(⟨a_i, x⟩, y_i) + ½λ‖x‖²: full gradients, and one sample per step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xpsolve.costs.model import Cost, checks, cholesky, cholesky_solve, copy, counted, eigh, gemm, gram
from xpsolve.costs.operators import LANCZOS_STEPS
from xpsolve.trace.launches import FACTORISATIONS, joined

LOSSES = ("least_squares", "logistic", "multinomial")


_DERIVATIVE = {"least_squares": 1, "logistic": 5, "multinomial": 8}  # launches of ℓ′


_FIRST = {"least_squares": 83, "logistic": 63, "multinomial": 66}  # of the gradient at 0 and its measure


_LIPSCHITZ_EXACT = 256


NEWTON_FROM = 192
"""Steps in a block from where on Newton's method solves its system."""


SWEEPS = {"picard": (10, 26), "newton": (4, 8)}
"""Sweeps over the system of a block, at first and at most."""


CHUNK = 4096
"""Samples, about, between two host reads of a stochastic method."""


WORTH_COMPILING = 0.01
"""Seconds that a compiled loop must save, as predicted, to be chosen."""


def _loss(loss: str, m: int) -> int:
    """The columns of x: m for "multinomial", 1 otherwise."""
    if loss not in LOSSES:
        message = f"loss: expected one of {', '.join(LOSSES)}, got {loss!r}."
        raise ValueError(message)
    return m if loss == "multinomial" else 1


def _gradient(n: int, p: int, m: int, loss: str, itemsize: int) -> Cost:
    """Aᵀℓ′(Ax)/n + λx."""
    products = gemm(n, m, p, itemsize=itemsize) + gemm(p, m, n, itemsize=itemsize)
    return products + Cost(launches=3 + _DERIVATIVE[loss])


def _first_gradient(n: int, p: int, m: int, loss: str, itemsize: int) -> Cost:
    """The gradient at 0, the sizes of the columns of A, and what the certificate is relative to; its first check.

    For least squares also y in units of its size.
    """
    sizes = Cost(bytes=2 * n * p * itemsize, launches=4)
    return sizes + gemm(p, m, n, itemsize=itemsize) + Cost(launches=_FIRST[loss], syncs=1)


def lipschitz(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """sup ℓ″·‖A‖²/n + λ: by the eigenvalues of a Gram matrix where it is small, by Lanczos otherwise."""
    q = min(n, p)
    if q <= _LIPSCHITZ_EXACT:
        return counted(gram(max(n, p), q, itemsize=itemsize) + eigh(q, itemsize=itemsize), "lipschitz", lanczos=0)
    pair = gemm(n, 1, p, itemsize=itemsize) + gemm(p, 1, n, itemsize=itemsize)
    return counted(LANCZOS_STEPS * pair, "lipschitz", lanczos=1)


def intercept(n: int, p: int, *, m: int = 1, itemsize: int = 8) -> Cost:
    """What an intercept adds to the cost of a descent, or of `minimize`, with a dense A of p + 1 features.

    The means of the columns, A without them beside a column for the intercept, two products by which the size of that
    column is found, and the intercept of the answer.  Passes over samples and features are left out, as are those that
    weights add; weights add no products.

    Parameters
    ----------
    n, p : int
        Shape of A.
    m : int
        Columns of x.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Without any host reads.

    Examples
    --------
    >>> from xpsolve import costs
    >>> (costs.newton(1000, 21) + costs.intercept(1000, 20)).flops / costs.newton(1000, 20).flops < 1.2
    True
    """
    means = gemm(p, 1, n, itemsize=itemsize) + 2 * copy(n * p, itemsize=itemsize)
    size = gemm(p, m, n, itemsize=itemsize) + gemm(n, m, p, itemsize=itemsize)
    return means + size + gemm(1, m, p, itemsize=itemsize)


def gradient_descent(
    n: int,
    p: int,
    *,
    loss: str = "least_squares",
    m: int = 1,
    variant: str = "plain",
    step: bool = False,
    n_iter: int = 100,
    itemsize: int = 8,
) -> Cost:
    """Gradient descent: a product with A and one with Aᵀ an iteration, 4npm flops.

    Parameters
    ----------
    n, p : int
        Shape of A.
    loss : str
        "least_squares", "logistic" or "multinomial".
    m : int
        Classes, for "multinomial".
    variant : str
        "plain", "heavy_ball", "nesterov" (one gradient more a check), "armijo" or "exact" (one product more a step).
    step : bool
        Whether the step is given, which saves L.
    n_iter : int
        Iterations.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole solve from 0, ended by its certificate or a callback.

    Raises
    ------
    ValueError
        If there is no such loss.

    Examples
    --------
    >>> from xpsolve import costs
    >>> (costs.gradient_descent(10, 20, n_iter=2) + -1 * costs.gradient_descent(10, 20, n_iter=1)).flops
    800
    """
    m = _loss(loss, m)
    gradient, product, looks = _gradient(n, p, m, loss, itemsize), gemm(n, m, p, itemsize=itemsize), checks(n_iter)
    total = _first_gradient(n, p, m, loss, itemsize) + n_iter * gradient
    row, times = f"gradient_descent, {variant}, {loss}", {"iteration": n_iter, "check": looks}
    if variant == "nesterov":
        total += looks * gradient
    if variant == "armijo":
        total += product
    if variant == "exact":
        return counted(total + n_iter * product, row, **times)
    if step:
        return counted(total, row, **times, norm=0, lanczos=0)
    total += lipschitz(n, p, itemsize=itemsize)
    return counted(total, row, **times, norm=1, lanczos=int(min(n, p) > _LIPSCHITZ_EXACT))


def coordinate_descent(
    n: int,
    p: int,
    *,
    loss: str = "least_squares",
    m: int = 1,
    block: int = 1,
    n_iter: int = 100,
    itemsize: int = 8,
) -> Cost:
    """Coordinate descent: np² for AᵀA and 3p² a sweep for least squares, 4npm flops per sweep by blocks.

    Parameters
    ----------
    n, p : int
        Shape of A.
    loss : str
        "least_squares", "logistic" or "multinomial".
    m : int
        Classes, for "multinomial".
    block : int
        Coordinates in a block; with 1 a sweep of "least_squares" is a triangular solve.
    n_iter : int
        Sweeps.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole solve from 0, ended by its certificate or a callback.

    Raises
    ------
    ValueError
        If there is no such loss.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.coordinate_descent(1000, 10).flops < costs.gradient_descent(1000, 10).flops
    True
    """
    m = _loss(loss, m)
    looks, row = checks(n_iter), f"coordinate_descent, {loss}"
    total = _first_gradient(n, p, m, loss, itemsize) + gemm(n, m, p, itemsize=itemsize)
    total += looks * _gradient(n, p, m, loss, itemsize)
    if block == 1 and loss == "least_squares":
        sweep = cholesky_solve(p, itemsize=itemsize) + gemm(p, 1, p, itemsize=itemsize)
        half = Cost(flops=-p * p)  # one of two solves
        total += gram(n, p, itemsize=itemsize) + n_iter * (sweep + half)
        return counted(total, f"{row}, single coordinates", iteration=n_iter, check=looks)
    for start in range(0, p, block):
        b = min(block, p - start)
        total += gram(n, b, itemsize=itemsize) + cholesky(b, itemsize=itemsize)
        pair = gemm(n, m, b, itemsize=itemsize) + gemm(b, m, n, itemsize=itemsize)
        total += n_iter * (pair + cholesky_solve(b, m, itemsize=itemsize))
    if block >= p:
        return counted(total, f"{row}, one block", iteration=n_iter, check=looks)
    blocks = -(-p // block)
    return counted(total, row, check=looks, block=blocks, visit=n_iter * blocks, joined=n_iter * joined(blocks))


def newton(
    n: int,
    p: int,
    *,
    loss: str = "logistic",
    m: int = 1,
    method: str = "cholesky",
    n_iter: int = 8,
    cg_iter: int = 6,
    itemsize: int = 8,
) -> Cost:
    """Newton's method: np² + p³/3 flops per step by Cholesky, 4npm a product with the Hessian by conjugate gradients.

    Parameters
    ----------
    n, p : int
        Shape of A.
    loss : str
        "least_squares", "logistic" or "multinomial".
    m : int
        Classes, for "multinomial".
    method : str
        "cholesky" or "cg".
    n_iter : int
        Steps.
    cg_iter : int
        Conjugate gradient iterations in a step, checked every third.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole solve from 0.

    Raises
    ------
    ValueError
        If there is no such loss.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.newton(1000, 10).flops < costs.newton(1000, 10, method="cg", cg_iter=20).flops
    True
    """
    m = _loss(loss, m)
    product, once = gemm(n, m, p, itemsize=itemsize), _gradient(n, p, m, loss, itemsize)
    total, row = _first_gradient(n, p, m, loss, itemsize) + product, f"newton, {method}, {loss}"
    if method == "cholesky":
        factor = gram(n, p, itemsize=itemsize) + cholesky(p, itemsize=itemsize) + cholesky_solve(p, itemsize=itemsize)
        weights = Cost() if loss == "least_squares" else product
        return counted(total + n_iter * (once + factor + weights), row, iteration=n_iter)
    step = once + product + cg_iter * (product + gemm(p, m, n, itemsize=itemsize))
    if loss == "multinomial":
        solves = (cg_iter + 1) * cholesky_solve(p, m, itemsize=itemsize)
        factor = gram(n, p, itemsize=itemsize) + cholesky(p, itemsize=itemsize)
        step += product + factor + solves
    return counted(total + n_iter * step, row, iteration=n_iter, cg_check=n_iter * -(-cg_iter // 3))


def sgd(
    n: int,
    p: int,
    *,
    loss: str = "logistic",
    m: int = 1,
    runs: int = 1,
    block: int | str = 1,
    batch: int = 1,
    sweeps: int | None = None,
    itemsize: int = 8,
) -> Cost:
    """An epoch of stochastic descent, n steps of one sample or fewer of more, taken `block` at a time.

    A block of B rows costs 4Bpm flops, as in the loop, and for the system of its margins the Gram matrix, B²p, and
    sweeps with it; a block of one step needs no system.  Runs side by side share the launches.  A compiled loop starts
    no kernels, and reads a row from memory once.

    Parameters
    ----------
    n, p : int
        Shape of A.
    loss : str
        "least_squares", "logistic" or "multinomial".
    m : int
        Classes, for "multinomial".
    runs : int
        Runs side by side.
    block : int or "compiled"
        Steps taken together.
    batch : int
        Samples of a step; B is that many times `block`.
    sweeps : int, optional
        Of each system, none for "least_squares"; None is a guess.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the epoch.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.sgd(1000, 100, block=50).launches < costs.sgd(1000, 100).launches
    True
    """
    m = _loss(loss, m)
    if not isinstance(block, int):
        return n * runs * Cost(4 * p * m, p * itemsize)
    B = block * batch
    newton = _by_newton(B, loss)
    sweeps = (3 if newton else 8) if sweeps is None else sweeps
    rows = gemm(B, m, p, itemsize=itemsize) + gemm(p, m, B, itemsize=itemsize) + Cost(launches=5)
    derivative = Cost(launches=_DERIVATIVE[loss])
    if block == 1:
        return _side_by_side(-(-n // B) * (rows + derivative), runs)
    square = Cost(0, 3 * itemsize * B * B, 3, 0)
    system = gemm(B, B, p, itemsize=itemsize) + square + Cost(launches=2)
    solve = Cost(B * B * m, itemsize * B * B, 1 + FACTORISATIONS["solve_triangular"])
    sweep = gemm(B, m, B, itemsize=itemsize) + Cost(launches=1) + derivative
    if loss == "least_squares":
        system += solve
    elif newton:
        system += sweeps * (sweep + square + solve + Cost(launches=3)) + derivative
    else:
        system += sweeps * sweep + derivative
    return _side_by_side(-(-n // B) * (rows + system), runs)


def _side_by_side(one: Cost, runs: int) -> Cost:
    return replace(runs * one, launches=one.launches)


def _by_newton(block: int, loss: str) -> bool:
    return block >= NEWTON_FROM and loss != "multinomial"


def sgd_solve(
    n: int, p: int, *, loss: str = "logistic", m: int = 1, block: int = 1, retries: int = 0, itemsize: int = 8
) -> Cost:
    """One call of `xpsolve.sgd` with n steps: its epoch in chunks, each read once, and the certificate.

    Chunks hold one block, then twice as many each time, and ``CHUNK`` samples at most; a shorter block comes
    last, as a shorter one.  The certificate takes the gradient at x and at 0.

    Parameters
    ----------
    n, p : int
        Shape of A, and n the steps.
    loss : str
        "least_squares", "logistic" or "multinomial".
    m : int
        Classes, for "multinomial".
    block : int
        Steps taken together.
    retries : int
        How often the first block was taken again with a quarter more sweeps, which depends on the data.  Later blocks
        are assumed to need as many; a solver that needs fewer tries fewer.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole call, from 0 and with a step that is given.

    Raises
    ------
    ValueError
        If there is no such loss.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.sgd_solve(1000, 100, block=50).syncs  # chunks of 1, 2, 4, 8 and 5 blocks, λ and the certificate
    7
    """
    m, size, done, blocks = _loss(loss, m), min(block, n), 0, 1
    total = _first_gradient(n, p, m, loss, itemsize) + _gradient(n, p, m, loss, itemsize)
    total += Cost(launches=int(loss == "least_squares") - 3, syncs=1)
    sweeps, most = (min(s, size) for s in SWEEPS["newton" if _by_newton(size, loss) else "picard"])

    def chunk(blocks: int, size: int, sweeps: int) -> Cost:
        launches = 7 if size == 1 else 11 if loss == "least_squares" else 14 + joined(blocks)
        one = sgd(size, p, loss=loss, m=m, block=size, sweeps=sweeps, itemsize=itemsize)
        return blocks * one + Cost(launches=launches, syncs=1)

    for _ in range(retries if size > 1 and loss != "least_squares" else 0):
        total += chunk(1, size, sweeps)
        sweeps = min(sweeps + 1 + sweeps // 4, most)
    while n - done >= size:
        taken = min(blocks, max(CHUNK // size, 1), (n - done) // size)
        total += chunk(taken, size, sweeps)
        done, blocks = done + taken * size, 2 * blocks
    return total + chunk(1, n - done, sweeps) if n > done else total


def sga(n: int, p: int, *, m: int = 1, block: int | str = 1, itemsize: int = 8, **options: Any) -> Cost:
    """`sgd`, and the sum of the iterates of a block: one product more with its rows, or one sum in a compiled loop."""
    descent = sgd(n, p, m=m, block=block, itemsize=itemsize, **options)
    if not isinstance(block, int):
        return descent + Cost(n * p * m)
    return descent + -(-n // block) * (gemm(p, m, block, itemsize=itemsize) + Cost(launches=4))


def sag(n: int, p: int, *, m: int = 1, block: int | str = 1, itemsize: int = 8, **options: Any) -> Cost:
    """`sgd`, and the same two products for the gradient that is remembered; what is remembered enters the system.

    In a compiled loop that gradient follows every step in 2pm flops more.
    """
    descent = sgd(n, p, m=m, block=block, itemsize=itemsize, **options)
    if not isinstance(block, int):
        return descent + Cost(2 * n * p * m)
    more = gemm(block, m, p, itemsize=itemsize) + gemm(p, m, block, itemsize=itemsize) + Cost(launches=7)
    if block > 1:
        more += gemm(block, m, block, itemsize=itemsize)
    return descent + -(-n // block) * more
