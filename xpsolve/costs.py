"""What each algorithm costs, as executable text-book lines (Golub & Van Loan 2013; Peyré 2020, ch. 14).

One function an algorithm.  It draws the theory line in reports, gives the floor of the roofline, drives
``method="auto"`` and is held to what `xpsolve.count` counts.  ``flops`` counts matrix products, factorisations and
solves with the conventions of the counter; lower-order elementwise work is left out.  ``launches`` and ``syncs``
are those of a solve with ``check_finite=False``.  A is (n, p), k the columns of y, n_lams the length of a path.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

GRADIENT_METHODS = ("finite_difference", "forward", "reverse")
RIDGE_METHODS = ("normal", "woodbury", "cg", "svd")
LASSO_METHODS = ("ista", "fista", "working_set")
SINKHORN_METHODS = ("scaling", "stabilized", "log")
CHAIN_ORDERS = ("forward", "reverse", "optimal")
CONVOLUTION_METHODS = ("im2col", "shift", "fft")
SCAN_MEMORIES = ("store", "checkpoint", "reversible")


@dataclass(frozen=True)
class Ceilings:
    """What a machine can do at most, measured in the same run as the times it is compared with.

    Parameters
    ----------
    flops_per_s : float
        Rate of a large matrix product, flop/s.
    bytes_per_s : float
        Rate of streaming a large array from memory, byte/s.
    launch_s : float
        Time of the smallest array call, s.
    """

    flops_per_s: float
    bytes_per_s: float
    launch_s: float


TYPICAL = {"cpu": Ceilings(5e10, 1.5e10, 2e-6), "gpu": Ceilings(1e13, 1e12, 1e-5)}
"""Round numbers for choosing a method where nothing was measured: only ratios matter there."""


@dataclass(frozen=True)
class Cost:
    """Resources that an algorithm needs.

    Parameters
    ----------
    flops : int
        Floating-point operations in products, factorisations and solves.
    bytes : int
        Least traffic with memory: every operand of a product once.
    launches : int
        Array calls.
    syncs : int
        Host reads.
    memory : int
        Bytes of the largest temporaries alive together, inputs not counted.

    Examples
    --------
    >>> from xpsolve import costs
    >>> two_products = costs.gemm(10, 20, 30) + costs.gemm(10, 20, 30)
    >>> two_products.flops
    24000
    """

    flops: int = 0
    bytes: int = 0
    launches: int = 0
    syncs: int = 0
    memory: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.bytes + other.bytes,
            self.launches + other.launches,
            self.syncs + other.syncs,
            max(self.memory, other.memory),
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(self.flops * times, self.bytes * times, self.launches * times, self.syncs * times, self.memory)

    __rmul__ = __mul__

    def time(self, ceilings: Ceilings) -> float:
        """Predicted seconds, nothing overlapping: flops/P + bytes/BW + launches·t."""
        return self.flops / ceilings.flops_per_s + self.bytes / ceilings.bytes_per_s + self.launches * ceilings.launch_s

    def floor(self, ceilings: Ceilings) -> float:
        """Least seconds on a machine with these ceilings: max(flops/P, bytes/BW, launches·t)."""
        return max(
            self.flops / ceilings.flops_per_s,
            self.bytes / ceilings.bytes_per_s,
            self.launches * ceilings.launch_s,
        )


# --- products and factorisations -------------------------------------------------------------------


def gemm(m: int, n: int, k: int, *, itemsize: int = 8) -> Cost:
    """(m, k) by (k, n): 2mnk flops."""
    return Cost(2 * m * n * k, itemsize * (m * k + k * n + m * n), 1, 0, itemsize * m * n)


def copy(n: int, *, itemsize: int = 8) -> Cost:
    """n elements read and written."""
    return Cost(0, 2 * itemsize * n, 1, 0, itemsize * n)


def gram(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """AᵀA of (n, p), one triangle: np² flops, half of the general product."""
    return Cost(n * p * p, itemsize * (n * p + p * p), 1, 0, itemsize * p * p)


def cholesky(p: int, *, itemsize: int = 8) -> Cost:
    """L of a (p, p) matrix, p³/3 flops."""
    return Cost(p**3 // 3, 2 * itemsize * p * p, 1, 0, itemsize * p * p)


def cholesky_solve(p: int, k: int = 1, *, itemsize: int = 8) -> Cost:
    """Two triangular solves with k right-hand sides: 2p²k flops."""
    return Cost(2 * p * p * k, itemsize * (p * p + 2 * p * k), 2, 0, itemsize * p * k)


def eigh(p: int, *, itemsize: int = 8) -> Cost:
    """Eigenvalues and vectors of a symmetric (p, p) matrix: about 9p³ flops (§8.3)."""
    return Cost(9 * p**3, 3 * itemsize * p * p, 1, 0, 2 * itemsize * p * p)


def thin_svd(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """Thin SVD: 14mq² + 8q³ flops directly, 6mq² + 20q³ after a QR reduction (§8.6), m ≥ q the two lengths."""
    m, q = max(n, p), min(n, p)
    flops = 14 * m * q * q + 8 * q**3 if 3 * m < 5 * q else 6 * m * q * q + 20 * q**3
    return Cost(flops, itemsize * (2 * m * q + q * q), 1, 0, itemsize * (m * q + q * q))


# --- ridge and least squares -----------------------------------------------------------------------


def normal_equations_error(n: int, p: int, *, k: int = 1, n_lams: int = 1, itemsize: int = 8) -> Cost:
    """The certificate of `ridge`: Aᵀ(y − Ax) − λx and the norms, two more products with A."""
    columns = k * n_lams
    return Cost(4 * n * p * columns, 2 * itemsize * n * p, 15, 0, itemsize * (n + p) * columns)


def ridge(
    n: int,
    p: int,
    *,
    k: int = 1,
    n_lams: int = 1,
    method: str = "normal",
    n_iter: int | None = None,
    itemsize: int = 8,
) -> Cost:
    """Ridge regression by one of its methods, certificate included.

    Parameters
    ----------
    n, p : int
        Shape of A.
    k : int
        Columns of y.
    n_lams : int
        Values of λ, all from one factorisation.
    method : str
        "normal": (AᵀA + λI)x = Aᵀy by Cholesky, np² + p³/3 flops (eq. 14.4).  "woodbury": x = Aᵀ(AAᵀ + λI)⁻¹y,
        n²p + n³/3 (eq. 14.5).  Both take an eigendecomposition, 9p³ or 9n³, for a path.
        "svd": x = V diag(s/(s² + λ)) Uᵀy.  "cg": two products with A an iteration and two at each refresh.
    n_iter : int, optional
        Iterations of "cg"; None is a guess, min(n, p) and at most 100.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole solve.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.ridge(1000, 10).flops < costs.ridge(1000, 10, method="woodbury").flops
    True
    """
    columns = k * n_lams
    error = normal_equations_error(n, p, k=k, n_lams=n_lams, itemsize=itemsize)
    right = gemm(p, k, n, itemsize=itemsize)  # Aᵀy, which the certificate needs as well
    q = n if method == "woodbury" else p
    if method in ("normal", "woodbury"):
        if n_lams == 1:
            solve = cholesky(q, itemsize=itemsize) + cholesky_solve(q, k, itemsize=itemsize) + Cost(launches=3, syncs=1)
        else:
            once = gemm(q, k, q, itemsize=itemsize)  # Vᵀb
            solve = eigh(q, itemsize=itemsize) + once + gemm(q, columns, q, itemsize=itemsize) + Cost(launches=10)
        total = right + gram(max(n, p) if n == p else n + p - q, q, itemsize=itemsize) + solve + error
        if method == "woodbury":
            total += gemm(p, columns, n, itemsize=itemsize)  # Aᵀα
        return total
    if method == "svd":
        q = min(n, p)
        turns = gemm(q, k, n, itemsize=itemsize) + gemm(p, columns, q, itemsize=itemsize)
        return right + thin_svd(n, p, itemsize=itemsize) + turns + error + Cost(launches=13)
    if method == "cg":
        steps = min(n, p, 100) if n_iter is None else n_iter
        product = gemm(n, columns, p, itemsize=itemsize)
        refreshes = -(-steps // CHECK_EVERY)
        loop = product * (2 * steps + 2 * refreshes) + Cost(launches=29 * steps + 16 * refreshes)
        return right + loop + error + Cost(launches=17, syncs=refreshes + 1)
    message = f"method: expected one of {', '.join(RIDGE_METHODS)}, got {method!r}."
    raise ValueError(message)


CHECK_EVERY = 10
"""Steps between two looks at convergence, in costs and as the default of solvers."""

CODE_STEPS, ATOM_STEPS = 20, 5
"""Steps of the codes and of the atoms in one iteration of dictionary learning."""


def lstsq(n: int, p: int, *, k: int = 1, itemsize: int = 8) -> Cost:
    """Minimum-norm least squares by the SVD, certificate included."""
    return ridge(n, p, k=k, method="svd", itemsize=itemsize) + Cost(launches=1)


def ista(n: int, p: int, *, k: int = 1, n_iter: int = 1, method: str = "ista", itemsize: int = 8) -> Cost:
    """Proximal gradient on the lasso of a dense A, certificate included.

    Two products with A an iteration, 4npk flops, or one with the Gram matrix where n > p, 2p²k; two more with A at
    each check, and 12 Lanczos steps for the step size.

    Parameters
    ----------
    n, p : int
        Shape of A.
    k : int
        Columns of y.
    n_iter : int
        Iterations.
    method : str
        "ista" or "fista".
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole solve.

    Examples
    --------
    >>> from xpsolve import costs
    >>> (costs.ista(10, 20, n_iter=2) + -1 * costs.ista(10, 20, n_iter=1)).flops
    800
    """
    refreshes, by_gram = -(-n_iter // CHECK_EVERY), n > p
    momentum = int(method == "fista")
    pair = gemm(n, k, p, itemsize=itemsize) + gemm(p, k, n, itemsize=itemsize)
    single = gemm(n, 1, p, itemsize=itemsize) + gemm(p, 1, n, itemsize=itemsize)
    total = gemm(p, k, n, itemsize=itemsize) + refreshes * pair
    if by_gram:
        step, lanczos = gemm(p, k, p, itemsize=itemsize), gemm(p, 1, p, itemsize=itemsize)
        total += gram(n, p, itemsize=itemsize)
    else:
        step, lanczos = pair, single
    total += n_iter * step + _LANCZOS * lanczos
    launches = 244 + n_iter * (4 + 2 * momentum) + refreshes * (40 + 15 * momentum)
    return total + Cost(launches=launches, syncs=refreshes + 1)


def fista(n: int, p: int, *, k: int = 1, n_iter: int = 1, itemsize: int = 8) -> Cost:
    """`ista` with momentum: the same products, two launches more an iteration."""
    return ista(n, p, k=k, n_iter=n_iter, method="fista", itemsize=itemsize)


def lasso(
    n: int,
    p: int,
    *,
    k: int = 1,
    method: str = "working_set",
    n_iter: int | None = None,
    size: int = 200,
    itemsize: int = 8,
) -> Cost:
    """The lasso by one of its methods.

    Parameters
    ----------
    n, p : int
        Shape of A.
    k : int
        Columns of y.
    method : str
        "ista", "fista" or "working_set": a round reads A once, 2np flops, after a Gram matrix of the set, n·size²,
        and iterations on it, which are lower-order work.
    n_iter : int, optional
        Iterations, or rounds.  None is a guess: 3 rounds, 300 iterations of "fista", 3000 of "ista".
    size : int
        Features in the set, for "working_set".
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole solve.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.lasso(1000, 20000).flops < costs.lasso(1000, 20000, method="fista").flops
    True
    """
    if method in ("ista", "fista"):
        guess = 300 if method == "fista" else 3000
        return ista(n, p, k=k, n_iter=guess if n_iter is None else n_iter, method=method, itemsize=itemsize)
    if method != "working_set":
        message = f"method: expected one of {', '.join(LASSO_METHODS)}, got {method!r}."
        raise ValueError(message)
    rounds, size = 3 if n_iter is None else n_iter, min(size, p)
    one = gemm(p, 1, n, itemsize=itemsize) + gemm(n, 1, size, itemsize=itemsize)
    return gemm(p, k, n, itemsize=itemsize) + gram(n, size, itemsize=itemsize) + rounds * one


_LANCZOS = 12  # steps for the norm of A


def lasso_path(
    n: int,
    p: int,
    *,
    n_lams: int = 100,
    method: str = "working_set",
    n_iter: int | None = None,
    size: int = 200,
    itemsize: int = 8,
) -> Cost:
    """The lasso for many λ.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_lams : int
        Values of λ.
    method : str
        "working_set": one product with Aᵀ for each λ, 2np flops, the Gram matrix of the set, n·size², and Newton steps
        of size³/3 on it.  "fista": `fista` with a column for each λ.
    n_iter : int, optional
        Newton steps, two a λ if None, or iterations, 300 if None.
    size : int
        Features in the set, for "working_set".
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole path.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.lasso_path(1000, 5000).flops < costs.lasso_path(1000, 5000, method="fista").flops
    True
    """
    right = gemm(p, 1, n, itemsize=itemsize)
    if method == "fista":
        steps = 300 if n_iter is None else n_iter
        columns = ista(n, p, k=n_lams, n_iter=steps, method="fista", itemsize=itemsize)
        first = gemm(n, n_lams, p, itemsize=itemsize) + gemm(p, n_lams, n, itemsize=itemsize)  # the gaps at 0
        return columns + -1 * gemm(p, n_lams, n, itemsize=itemsize) + right + first
    if method != "working_set":
        message = f"method: expected one of working_set, fista, got {method!r}."
        raise ValueError(message)
    size, steps = min(size, p), 2 * n_lams if n_iter is None else n_iter
    look = gemm(p, n_lams, n, itemsize=itemsize) + gemm(n, n_lams, size, itemsize=itemsize)
    newton = cholesky(size, itemsize=itemsize) + cholesky_solve(size, itemsize=itemsize)
    return right + look + gram(n, size, itemsize=itemsize) + steps * newton


def elastic_net(n: int, p: int, *, method: str = "working_set", n_iter: int | None = None, itemsize: int = 8) -> Cost:
    """The elastic net: the products of `lasso`; the squared norm beside costs launches alone."""
    total = lasso(n, p, method=method, n_iter=n_iter, itemsize=itemsize)
    if method == "working_set" or n_iter is None:
        return total
    refreshes, momentum = -(-n_iter // CHECK_EVERY), int(method == "fista")
    return total + Cost(launches=27 + n_iter + refreshes * (26 + 3 * momentum))


def soft_threshold(n: int, *, itemsize: int = 8) -> Cost:
    """n entries read and written; the threshold goes to the device first."""
    return copy(n, itemsize=itemsize) + Cost(launches=1)


# --- operators -------------------------------------------------------------------------------------


def operator_norm(n: int, p: int, *, n_iter: int = 20, itemsize: int = 8) -> Cost:
    """Power iteration: a product with A and one with Aᵀ a step, and one with A before the first."""
    product = gemm(n, 1, p, itemsize=itemsize)
    syncs = -(-n_iter // CHECK_EVERY) + 1
    return product * (2 * n_iter + 1) + Cost(launches=13 + 12 * n_iter, syncs=syncs)


def dot_test(n: int, p: int, *, trials: int = 3, itemsize: int = 8) -> Cost:
    """A product with A and one with Aᵀ for every pair of vectors."""
    return trials * (2 * gemm(n, 1, p, itemsize=itemsize) + Cost(launches=17, syncs=1))


def correlation(
    z: tuple[int, ...],
    w: tuple[int, ...],
    out: tuple[int, ...],
    left: tuple[int, ...],
    dilation: tuple[int, ...],
    *,
    method: str = "im2col",
    adjoint: bool = False,
    itemsize: int = 8,
) -> Cost:
    """Correlation of pictures z (N, C, *n) with kernels w (O, C, *k), stride 1, or both of its adjoints.

    Products cost 2·N·O·C·∏k flops a pixel, on rows as wide as the padded picture, and twice that for the adjoints;
    patches are written and read.  Transforms cost what so many passes over the torus do, and a product of N, O and C a
    frequency.
    A product over one number runs elementwise and counts no flops.

    Parameters
    ----------
    z, w : tuple of int
        Shapes of pictures and kernels.
    out : tuple of int
        Sides of the result.
    left : tuple of int
        Zeros before the picture along each axis.
    dilation : tuple of int
        Distance of the taps along each axis.
    method : str
        "im2col", "shift" or "fft".
    adjoint : bool
        Both adjoints, in place of the correlation.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the one call.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.correlation((1, 2, 10), (3, 2, 3), (8,), (0,), (1,)).flops
    288
    """
    (N, C, *n), (O, _, *k) = z, w
    reach = [d * (m - 1) + 1 for m, d in zip(k, dilation, strict=True)]
    if method == "fft":
        sides = [fast_length(max(m + a, i + s - 1 - a)) for m, i, s, a in zip(n, out, reach, left, strict=True)]
        pixels, frequencies = math.prod(sides), math.prod(sides[:-1]) * (sides[-1] // 2 + 1)
        inner, arrays = ((O, N), 2 * (N * C + O * C) + N * O) if adjoint else ((C,), N * C + N * O + O * C)
        flops = sum(2 * N * C * O * frequencies for length in inner if length > 1)
        traffic = _FFT_PASSES * itemsize * arrays * pixels
        return Cost(flops, traffic + 2 * itemsize * N * C * O * frequencies, 30 if adjoint else 18)
    if method not in CONVOLUTION_METHODS:
        message = f"method: expected one of {', '.join(CONVOLUTION_METHODS)}, got {method!r}."
        raise ValueError(message)
    rows, taps = (n if adjoint else out), math.prod(k)
    pixels = rows[0] * math.prod(m + s - 1 for m, s in zip(rows[1:], reach[1:], strict=True))
    into, onto = (O, C) if adjoint else (C, O)
    product = 2 * N * O * C * taps * pixels
    height = into if method == "shift" else into * taps  # a product over one row runs elementwise
    flops = product * (int(height > 1) + int(adjoint))
    blocks = max(1, N * taps * into * pixels * itemsize >> 21)
    if method == "shift":
        moved = (3 * onto + into * (1 + adjoint)) * taps
        return Cost(flops, itemsize * N * pixels * moved, (4 + 2 * adjoint) * taps)
    patches = itemsize * N * into * taps * pixels
    return Cost(
        flops, int(_PATCH_PASSES[adjoint] * patches), 8 + blocks * (4 + taps // 8), memory=min(patches, 1 << 21)
    )


# How often memory is passed over, fitted to times of 38 shapes in both precisions on one core of an AMD EPYC.
_PATCH_PASSES = (1.5, 3)  # over the patches, for the correlation and for its adjoints
_FFT_PASSES = 14  # over the arrays, to transform and to multiply them


def fast_length(n: int) -> int:
    """The least length from n on with no prime factor above 5, which a Fourier transform is fast for."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def convolve(
    n: int,
    k: int,
    *,
    dim: int = 2,
    batch: int = 1,
    c: int = 1,
    o: int = 1,
    mode: str = "valid",
    method: str = "im2col",
    adjoint: bool = False,
    itemsize: int = 8,
) -> Cost:
    """Convolution of pictures of n pixels a side with kernels of k, or its adjoints, with zeros around: `correlation`.

    Parameters
    ----------
    n, k : int
        Sides of pictures and kernels.
    dim : int
        Their dimension.
    batch, c, o : int
        Pictures, channels and kernels.
    mode : str
        "valid", "same" or "full".
    method : str
        "im2col", "shift" or "fft".
    adjoint : bool
        The adjoints, in place of the convolution.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the one call.

    Examples
    --------
    >>> from xpsolve import costs
    >>> fft, im2col = (costs.convolve(512, 25, method=m).time(costs.TYPICAL["cpu"]) for m in ("fft", "im2col"))
    >>> fft < im2col
    True
    """
    sums, left = {"valid": (0, 0), "same": (k - 1, (k - 1) // 2), "full": (2 * (k - 1), k - 1)}[mode]
    shapes = (batch, c, *(n,) * dim), (o, c, *(k,) * dim), (n + sums - k + 1,) * dim, (left,) * dim, (1,) * dim
    return correlation(*shapes, method=method, adjoint=adjoint, itemsize=itemsize)


def basis_pursuit(n: int, p: int, *, n_iter: int = 500, check_every: int = 2 * CHECK_EVERY, itemsize: int = 8) -> Cost:
    """Basis pursuit by Douglas–Rachford: one SVD, then a product with A and one with A⁺ a step.

    At every check, and once before the first step, the support is tried: a Gram matrix of at most q = min(n, p)
    features, its Cholesky factor, two solves, and three certificates of two products each.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_iter, check_every : int
        Iterations, and how many lie between two checks.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole solve.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.basis_pursuit(10, 20, n_iter=40).syncs
    3
    """
    q = min(n, p)
    inverse = gemm(q, 1, n, itemsize=itemsize) + gemm(p, 1, q, itemsize=itemsize)
    product = gemm(n, 1, p, itemsize=itemsize)
    vertex = gram(n, q, itemsize=itemsize) + cholesky(q, itemsize=itemsize) + 2 * cholesky_solve(q, itemsize=itemsize)
    check = 2 * inverse + product + vertex + 2 * gemm(n, 1, q, itemsize=itemsize) + 6 * product + Cost(launches=105)
    checks = -(-n_iter // check_every)
    steps = n_iter * (product + inverse + Cost(launches=8))
    setup = thin_svd(n, p, itemsize=itemsize) + inverse + product + Cost(launches=22)
    return setup + steps + (checks + 1) * check + Cost(syncs=checks + 1)


def dictionary_learning(
    n: int,
    p: int,
    m: int = 32,
    *,
    n_iter: int = 100,
    code_steps: int = CODE_STEPS,
    check_every: int = CHECK_EVERY,
    itemsize: int = 8,
) -> Cost:
    """Dictionary learning by alternation: nm²·code_steps·2 flops an iteration for the codes, 3nm² + 4npm beside.

    Parameters
    ----------
    n, p, m : int
        Samples, features and atoms.
    n_iter, code_steps, check_every : int
        Iterations, steps of the codes in each, and iterations between two checks.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole solve, from atoms drawn among the samples.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.dictionary_learning(10, 20, 3, n_iter=40).syncs
    5
    """
    into = gemm(m, n, p, itemsize=itemsize)  # DᵀXᵀ, and XᵀZ alike
    bound = 3 * gemm(m, m, m, itemsize=itemsize)
    codes = gram(p, m, itemsize=itemsize) + into + bound + (code_steps + 1) * gemm(m, n, m, itemsize=itemsize)
    codes += Cost(launches=18 + 6 * code_steps)
    moves = gemm(m, 1, m, itemsize=itemsize) + ATOM_STEPS * gemm(p, m, m, itemsize=itemsize)
    atoms = gram(n, m, itemsize=itemsize) + into + moves + Cost(launches=10 + 10 * ATOM_STEPS)
    check = 3 * into + Cost(launches=85, syncs=1)
    checks = -(-n_iter // check_every)
    return codes + n_iter * (atoms + codes) + (checks + 1) * check + Cost(launches=11 + int(m > n))


# --- smooth objectives -----------------------------------------------------------------------------

LOSSES = ("least_squares", "logistic", "multinomial")
_DERIVATIVE = {"least_squares": 1, "logistic": 5, "multinomial": 8}  # launches of ℓ′
_VALUE = {"least_squares": 11, "logistic": 16, "multinomial": 24}  # launches of f
_CURVE = {"least_squares": 0, "logistic": 7, "multinomial": 32}  # of ℓ″ and what conjugate gradients prepare with it
_CURVED = {"least_squares": 0, "logistic": 1, "multinomial": 6}  # of ℓ″ times a vector, and of the preconditioner
_LIPSCHITZ_EXACT = 256


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


def _value_and_gradient(n: int, p: int, m: int, loss: str, itemsize: int) -> Cost:
    return _gradient(n, p, m, loss, itemsize) + Cost(launches=_VALUE[loss] - 1)


def _first_gradient(n: int, p: int, m: int, loss: str, itemsize: int) -> Cost:
    """The gradient at 0, and what the certificate is relative to; the first look at it."""
    return _gradient(n, p, m, loss, itemsize) + Cost(launches=36 + _DERIVATIVE[loss], syncs=1)


def lipschitz(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """sup ℓ″·‖A‖²/n + λ: by the eigenvalues of a Gram matrix where it is small, by Lanczos otherwise."""
    q = min(n, p)
    if q <= _LIPSCHITZ_EXACT:
        return gram(max(n, p), q, itemsize=itemsize) + eigh(q, itemsize=itemsize) + Cost(launches=8)
    pair = gemm(n, 1, p, itemsize=itemsize) + gemm(p, 1, n, itemsize=itemsize)
    return _LANCZOS * pair + Cost(launches=194)


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
        Bytes a number.

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
    gradient, checks = _gradient(n, p, m, loss, itemsize), -(-n_iter // CHECK_EVERY)
    each = {"plain": 2, "heavy_ball": 5, "nesterov": 22, "armijo": 26 + _VALUE[loss], "exact": 13}[variant]
    total = _first_gradient(n, p, m, loss, itemsize) + n_iter * (gradient + Cost(launches=each)) + Cost(launches=1)
    total += checks * Cost(launches=19, syncs=1)
    if variant == "nesterov":
        total += checks * gradient + Cost(launches=2)
    if variant == "armijo":
        total += gemm(n, m, p, itemsize=itemsize) + Cost(launches=_VALUE[loss] - 1)
    if variant == "exact":
        return total + n_iter * gemm(n, m, p, itemsize=itemsize)
    total += Cost(launches=7 * (variant == "heavy_ball"))
    return total if step else total + lipschitz(n, p, itemsize=itemsize) + Cost(launches=7 * (variant == "heavy_ball"))


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
    """Coordinate descent: np² for AᵀA and 3p² a sweep for least squares, 4npm flops a sweep by blocks.

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
        Bytes a number.

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
    product, checks = gemm(n, m, p, itemsize=itemsize), -(-n_iter // CHECK_EVERY)
    check = _gradient(n, p, m, loss, itemsize) + Cost(launches=14, syncs=1)
    total = _first_gradient(n, p, m, loss, itemsize) + product + checks * check
    if block == 1 and loss == "least_squares":
        sweep = cholesky_solve(p, itemsize=itemsize) + gemm(p, 1, p, itemsize=itemsize)
        half = Cost(flops=-p * p, launches=2)  # one of the two triangular solves, and three vectors
        return total + gram(n, p, itemsize=itemsize) + Cost(launches=10) + n_iter * (sweep + half)
    for start in range(0, p, block):
        b = min(block, p - start)
        total += gram(n, b, itemsize=itemsize) + cholesky(b, itemsize=itemsize) + Cost(launches=8)
        pair = gemm(n, m, b, itemsize=itemsize) + gemm(b, m, n, itemsize=itemsize)
        total += n_iter * (pair + cholesky_solve(b, m, itemsize=itemsize) + Cost(launches=6 + _DERIVATIVE[loss]))
    return total + Cost(launches=n_iter)


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
    """Newton's method: np² + p³/3 flops a step by Cholesky, 4npm a product with the Hessian by conjugate gradients.

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
        Conjugate gradient iterations in a step, looked at every third.
    itemsize : int
        Bytes a number.

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
    product, once = gemm(n, m, p, itemsize=itemsize), _value_and_gradient(n, p, m, loss, itemsize)
    total = _first_gradient(n, p, m, loss, itemsize) + product + Cost(launches=_VALUE[loss])
    if method == "cholesky":
        factor = gram(n, p, itemsize=itemsize) + cholesky(p, itemsize=itemsize) + cholesky_solve(p, itemsize=itemsize)
        weights = Cost() if loss == "least_squares" else product + Cost(launches=9)
        return total + n_iter * (once + factor + weights + Cost(launches=50, syncs=1))
    checks = -(-cg_iter // 3) + 1
    inside = product + gemm(p, m, n, itemsize=itemsize) + Cost(launches=21 + _CURVED[loss])
    step = once + product + cg_iter * inside + Cost(launches=59 + _CURVE[loss] + 6 * checks, syncs=1 + checks)
    if loss == "multinomial":
        solves = (cg_iter + 1) * cholesky_solve(p, m, itemsize=itemsize)
        factor = gram(n, p, itemsize=itemsize) + cholesky(p, itemsize=itemsize)
        step += product + factor + solves + Cost(launches=-2 * (cg_iter + 1) - 3)
    return total + n_iter * step


def logsumexp(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: read, less their maximum, exponentials and a sum."""
    return Cost(0, itemsize * (6 * n * p + n), 13, 0, 2 * itemsize * n * p)


def softmax(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: read, less their maximum, exponentials, a sum and a quotient."""
    return Cost(0, itemsize * 8 * n * p, 7, 0, 2 * itemsize * n * p)


def sgd(
    n: int,
    p: int,
    *,
    loss: str = "logistic",
    m: int = 1,
    runs: int = 1,
    block: int = 1,
    sweeps: int | None = None,
    itemsize: int = 8,
) -> Cost:
    """An epoch of stochastic descent, n steps, taken `block` at a time.

    A block of B rows costs 4Bpm flops, as in the loop, and for the system of its margins the Gram matrix, B²p, and
    sweeps with it.

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
    block : int
        B.
    sweeps : int, optional
        Of each system, none for "least_squares"; None is a guess.
    itemsize : int
        Bytes a number.

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
    newton = block >= 192 and loss != "multinomial"
    sweeps = (3 if newton else 8) if sweeps is None else sweeps
    B = block
    rows = gemm(B, m, p, itemsize=itemsize) + gemm(p, m, B, itemsize=itemsize) + Cost(launches=5)
    derivative = Cost(launches=_DERIVATIVE[loss])
    if B == 1:
        return n * runs * (rows + derivative)
    square = Cost(0, 3 * itemsize * B * B, 3, 0)
    system = gemm(B, B, p, itemsize=itemsize) + square
    solve = Cost(B * B * m, itemsize * B * B, 2)
    sweep = gemm(B, m, B, itemsize=itemsize) + Cost(launches=1) + derivative
    if loss == "least_squares":
        system += solve
    elif newton:
        system += sweeps * (sweep + square + solve + Cost(launches=4)) + derivative
    else:
        system += sweeps * sweep + derivative
    return -(-n // B) * runs * (rows + system)


def sga(n: int, p: int, *, m: int = 1, block: int = 1, itemsize: int = 8, **options: Any) -> Cost:
    """`sgd`, and the sum of the iterates of a block: one product more with its rows."""
    more = gemm(p, m, block, itemsize=itemsize) + Cost(launches=4)
    return sgd(n, p, m=m, block=block, itemsize=itemsize, **options) + -(-n // block) * more


def sag(n: int, p: int, *, m: int = 1, block: int = 1, itemsize: int = 8, **options: Any) -> Cost:
    """`sgd`, and the same two products for the gradient that is remembered; what is remembered enters the system."""
    more = gemm(block, m, p, itemsize=itemsize) + gemm(p, m, block, itemsize=itemsize) + Cost(launches=7)
    if block > 1:
        more += gemm(block, m, block, itemsize=itemsize)
    return sgd(n, p, m=m, block=block, itemsize=itemsize, **options) + -(-n // block) * more


# --- transport -------------------------------------------------------------------------------------


def gibbs(n: int, m: int, *, itemsize: int = 8) -> Cost:
    """K_ij = exp((f_i + g_j − M_ij)/ε): four operations an entry."""
    return Cost(4 * n * m, 2 * itemsize * n * m, 1, 0, itemsize * n * m)


def soft_minimum(n: int, m: int, *, itemsize: int = 8) -> Cost:
    """log Σ_j exp(g_j − M_ij/ε) for every i: six operations an entry, a maximum and a sum among them."""
    return Cost(6 * n * m, itemsize * n * m, 1, 0, itemsize * n * m)


def sinkhorn(
    n: int,
    m: int | None = None,
    *,
    batch: int = 1,
    method: str = "scaling",
    n_iter: int = 100,
    renewals: int = 0,
    check_every: int = CHECK_EVERY,
    itemsize: int = 8,
) -> Cost:
    """Sinkhorn's iterations on a dense cost that all problems share, certificate included.

    Parameters
    ----------
    n, m : int
        Lengths of the histograms; the second is n where None.
    batch : int
        Problems solved together.
    method : str
        "scaling": a product with K and one with Kᵀ an iteration, 4nm flops, after K is made once.  "stabilized": the
        same, with a kernel of its own for each problem, two soft minima and a new K at the start and at each renewal.
        "log": two soft minima an iteration, 12nm.
    n_iter, check_every : int
        Iterations, and how many lie between two checks.
    renewals : int
        How often ε was lowered or potentials were absorbed.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the whole solve.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.sinkhorn(1000, 1000).flops < costs.sinkhorn(1000, 1000, method="log").flops
    True
    """
    m = n if m is None else m
    checks = -(-n_iter // check_every)
    syncs = Cost(syncs=checks + 1)
    pair = gemm(batch, m, n, itemsize=itemsize) + gemm(batch, n, m, itemsize=itemsize)
    kernel, soft = gibbs(n, m, itemsize=itemsize), batch * soft_minimum(n, m, itemsize=itemsize)
    if method == "scaling":  # a product more at the start and at the end, for the marginals
        return kernel + (n_iter + 2) * pair + Cost(launches=88 + 2 * n_iter + 14 * checks) + syncs
    if method == "stabilized":
        start = 2 * soft + batch * (kernel + pair)
        total = (1 + renewals) * start + n_iter * batch * pair + batch * kernel
        return replace(total, launches=134 + 4 * n_iter + 36 * checks + 74 * renewals) + syncs
    if method == "log":
        total = (3 * (1 + renewals) + 2 * n_iter) * soft + batch * kernel
        return replace(total, launches=102 + 10 * n_iter + 22 * checks + 46 * renewals) + syncs
    message = f"method: expected one of {', '.join(SINKHORN_METHODS)}, got {method!r}."
    raise ValueError(message)


def sinkhorn_gradient(
    n: int, m: int, *, method: str = "scaling", n_iter: int = 100, renewals: int = 0, itemsize: int = 8
) -> Cost:
    """`sinkhorn` and its plan, once: the envelope theorem goes back through no iteration."""
    solve = sinkhorn(n, m, method=method, n_iter=n_iter, renewals=renewals, itemsize=itemsize)
    return solve + gibbs(n, m, itemsize=itemsize) + Cost(launches=14)


def barycenter(k: int, n: int, *, n_iter: int = 100, itemsize: int = 8) -> Cost:
    """The barycentre of k histograms on n points by Bregman projections: 4kn² flops an iteration."""
    checks = -(-n_iter // CHECK_EVERY)
    pair = 2 * gemm(k, n, n, itemsize=itemsize)
    own = Cost(launches=31 + 7 * n_iter + 7 * checks, syncs=checks + 1)
    return gibbs(n, n, itemsize=itemsize) + (n_iter + 1) * pair + own


# --- derivatives -----------------------------------------------------------------------------------


def chain(depth: int, width: int, n_in: int, n_out: int, *, order: str = "optimal", itemsize: int = 8) -> Cost:
    """A_t⋯A_1 of a network of one width w: n_0, w, …, w, n_t with t − 1 inner lengths (§14.3.5).

    Any order ends with a product over an inner length, n_0·w·n_t multiply-adds.  Each of the t − 2 before costs n_0·w²
    forward and n_t·w² in reverse.  The fewest are n_0·w² or n_t·w² each, or else w³ for those between inner factors and
    one of the other two.

    Parameters
    ----------
    depth, width, n_in, n_out : int
        t, w, n_0 and n_t.
    order : str
        "forward", "reverse" or "optimal".
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of the t − 1 products.

    Raises
    ------
    ValueError
        If there is no such order.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.chain(3, 10, 100, 1).flops == costs.chain(3, 10, 100, 1, order="reverse").flops
    True
    """
    if order not in CHAIN_ORDERS:
        message = f"order: expected one of {', '.join(CHAIN_ORDERS)}, got {order!r}."
        raise ValueError(message)
    if depth == 1:
        return Cost()
    last = gemm(n_out, n_in, width, itemsize=itemsize)
    if depth == 2:
        return last
    forward = gemm(width, n_in, width, itemsize=itemsize)
    reverse = gemm(n_out, width, width, itemsize=itemsize)
    inner = gemm(width, width, width, itemsize=itemsize)
    totals = {
        "forward": (depth - 2) * forward + last,
        "reverse": (depth - 2) * reverse + last,
        "inner": (depth - 3) * inner + min(forward, reverse, key=lambda c: c.flops) + last,
    }
    return min(totals.values(), key=lambda c: (c.flops, c.bytes)) if order == "optimal" else totals[order]


def binomial(slots: int, repeats: int) -> int:
    """β(s, r) = (s + r)!/(s! r!): the steps that s kept states can serve with no step taken more than r times again."""
    return math.comb(slots + repeats, slots) if repeats >= 0 else 0


def repetitions(depth: int, slots: int) -> int:
    """The least r with β(s, r) ≥ t."""
    r = 0
    while binomial(slots, r) < depth:
        r += 1
    return r


def scan_slots(depth: int, slots: int | str | None = None) -> int:
    """States that "checkpoint" keeps: a number, √t for "sqrt", log₂ t for "log" or None; at most t.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.scan_slots(1000), costs.scan_slots(1000, "sqrt")
    (10, 31)
    """
    rules = {None: max(1, (depth - 1).bit_length()), "log": max(1, (depth - 1).bit_length()), "sqrt": math.isqrt(depth)}
    if isinstance(slots, str | None):
        if slots not in rules:
            message = f"slots: expected a number, 'log' or 'sqrt', got {slots!r}."
            raise ValueError(message)
        return rules[slots]
    if isinstance(slots, bool) or slots < 1 or slots != int(slots):
        message = f"slots: expected a whole number ≥ 1, 'log' or 'sqrt', got {slots!r}."
        raise ValueError(message)
    return min(int(slots), depth)


def scan_steps(depth: int, *, memory: str = "store", slots: int | str | None = None) -> int:
    """Steps of a recurrence of depth t that `autodiff.scan_gradient` takes beside the t on the tape.

    Parameters
    ----------
    depth : int
        t.
    memory : str
        "store": t − 1.  "checkpoint": r·t − β(s + 1, r − 1), the least for s kept states (Griewank & Walther 2000).
        "reversible": t forth and t back.
    slots : int or str, optional
        s, for "checkpoint".

    Returns
    -------
    int
        Steps, those of the inverse included.

    Raises
    ------
    ValueError
        If there is no such memory.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.scan_steps(1000), costs.scan_steps(1000, memory="checkpoint", slots=12)
    (999, 3440)
    """
    if memory not in SCAN_MEMORIES:
        message = f"memory: expected one of {', '.join(SCAN_MEMORIES)}, got {memory!r}."
        raise ValueError(message)
    if memory == "reversible":
        return 2 * depth
    s = depth if memory == "store" else scan_slots(depth, slots)
    r = repetitions(depth, s)
    return r * depth - binomial(s + 1, r - 1)


def scan(depth: int, width: int, *, memory: str = "store", slots: int | str | None = None, itemsize: int = 8) -> Cost:
    """Gradient through t steps r ← r + tanh(W₁s), s ← s + tanh(W₂r) of states 2·w, with W₁ and W₂ shared.

    A step costs two products, 4w² flops, and one on the tape twice that.  States are kept for all steps, for as many
    as there are slots, or not at all.  The loss is the sum of r.
    """
    plain = scan_steps(depth, memory=memory, slots=slots)
    product = gemm(width, 1, width, itemsize=itemsize)
    kept = {"store": depth, "checkpoint": scan_slots(depth, slots), "reversible": 0}[memory]
    total = (2 * plain + 4 * depth) * product
    total += Cost(launches=4 * plain + 22 * depth + 2)
    if memory == "reversible":
        total += Cost(launches=22, syncs=1)  # whether it came back to x_0
    return Cost(total.flops, total.bytes, total.launches, total.syncs, itemsize * 2 * width * kept)


def gradient(n: int, p: int, *, method: str = "reverse", itemsize: int = 8) -> Cost:
    """The gradient of f(x) = ½‖Ax − y‖², p numbers from one, by automatic means.

    Differences evaluate f p + 1 times; forward mode carries p tangents, which is as many products but with one matrix;
    reverse mode needs Ax and Aᵀr whatever p is (Baur & Strassen 1983).
    """
    value = gemm(n, 1, p, itemsize=itemsize)
    if method == "finite_difference":
        total = (p + 1) * value
        launches, memory = 10 * p + 11, itemsize * (3 * p + 2 * n)  # f has 5 calls, a difference 5
    elif method == "forward":
        total = value + gemm(p, n, p, itemsize=itemsize)
        launches, memory = 12, itemsize * (p * p + 3 * n * p)
    elif method == "reverse":
        total = value + gemm(1, p, n, itemsize=itemsize)
        launches, memory = 11, itemsize * (4 * n + p)
    else:
        message = f"method: expected one of {', '.join(GRADIENT_METHODS)}, got {method!r}."
        raise ValueError(message)
    return Cost(total.flops, total.bytes, launches, 0, memory)


# --- networks --------------------------------------------------------------------------------------


def mlp(depth: int, width: int, batch: int, *, itemsize: int = 8) -> Cost:
    """A perceptron with tanh, forth and back: R layers of one width w on N samples (eq. 14.24).

    Three products a layer, 6w²N flops, but for the input gradient of the first, which nobody asks for.

    Parameters
    ----------
    depth, width, batch : int
        R, w and N.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of `mlp_forward` and `mlp_backward` together.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.mlp(2, 10, 100).flops
    100000
    """
    state = gemm(width, batch, width, itemsize=itemsize)  # A X, and Aᵀ M
    weight = gemm(width, width, batch, itemsize=itemsize)  # M Xᵀ
    kept = itemsize * (2 * depth * width * batch + depth * width * width)
    total = (2 * depth - 1) * state + depth * weight
    return Cost(total.flops, total.bytes, total.launches + 6 * depth + 1, 0, kept)


def cheapest(options: Mapping[str, Cost], ceilings: Ceilings = TYPICAL["cpu"]) -> str:
    """Name of the option with the least predicted time on a machine with these ceilings.

    Parameters
    ----------
    options : mapping of str to Cost
        What there is to choose from.
    ceilings : Ceilings
        Of the machine.

    Returns
    -------
    str
        The winner; of equals, the first.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.cheapest({m: costs.ridge(100, 5000, method=m) for m in ("normal", "woodbury")})
    'woodbury'
    """
    return min(options, key=lambda name: options[name].time(ceilings))
