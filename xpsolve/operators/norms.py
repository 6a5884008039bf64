"""The operator norm, and the test that an adjoint is correct.

There is one way for each purpose:

    exact       `LinearOperator.exact_norm`, where an operator has a formula, and `largest_singular_value` of
                `xpsolve.arrays` for matrices that are small
    estimate    `operator_norm`, to a tolerance, from below
    step size   `eigenvalue_bound`, of AᵀA or of a Gram matrix, from above
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import (
    MOST,
    Array,
    Namespace,
    adjoint_product,
    cast,
    check_count,
    check_not_empty,
    check_number,
    check_positive,
    complex_dtype,
    conjugate,
    device_of,
    eigvalsh,
    enter_numbers,
    gram,
    inner,
    is_array,
    is_complex,
    iterate,
    limits_of,
    namespace_of,
    power_of_two,
    real_dtype,
    row_reduce,
    squares,
)
from xpsolve.capabilities import capabilities
from xpsolve.guides import guide
from xpsolve.operators.base import Dense, LinearOperator, as_floating
from xpsolve.operators.entry import aslinearoperator
from xpsolve.operators.rows import Rows, read_by_rows

_FEW = 1024  # columns up to which the norm of a matrix that is read by rows comes from AᴴA


class _Power(NamedTuple):
    u: Array  # Av for a unit vector v, over max|Av|; where A is read by rows Aᴴ of that
    sigma: Array  # ‖Av‖
    change: Array  # relative change of sigma in the last step


@capabilities(syncs=1, complex=True, numbers=("tol",))
def operator_norm(
    A: Any,
    *,
    like: Array | None = None,
    seed: int = 0,
    tol: float = 1e-8,
    max_iter: int = 1000,
    check_every: int = 10,
) -> Array:
    """The largest singular value ‖A‖ = max ‖Ax‖/‖x‖, by power iteration on AᴴA.

    An operator with a formula for its norm (`LinearOperator.exact_norm`), such as a periodic convolution, needs no
    iteration.  A tall matrix of Dask or in a file is read once, for AᴴA, whose largest eigenvalue is ‖A‖², with more
    than 1024 columns, once for a step.

    Otherwise the estimate grows towards the norm from below; its relative error falls with the square of the gap
    between the two largest singular values (Golub & Van Loan 2013, §8.2).

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        The operator.
    like : array, optional
        An array of the library, device and dtype to work in; needed only where A has no array of its own.
    seed : int
        Of the start vector, drawn on the host so that backends agree.
    tol : float
        Relative change of the estimate in one step at which to stop.
    max_iter : int
        Most steps, each a product with A and one with Aᴴ.
    check_every : int
        Steps between two host reads.

    Returns
    -------
    array, 0-d
        The estimate, real and on the device.

    Raises
    ------
    TypeError, ValueError
        If A is no operator, or an option is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import operator_norm
    >>> round(float(operator_norm(np.diag([3.0, 1.0]))), 6)
    3.0
    """
    tol = check_positive(tol, "tol", traced=True)
    check_count(max_iter, "max_iter", 1)
    check_count(check_every, "check_every", 1)
    check_count(seed, "seed", 0)
    operator, like = _with_vector(A, like)
    xp, dtype = namespace_of(like), real_dtype(like)
    exact = operator.exact_norm()
    if exact is not None:
        return xp.asarray(exact, dtype=dtype, device=device_of(like))
    rows = operator.A if isinstance(operator, Dense) else operator
    by_rows = isinstance(operator, Dense | Rows) and read_by_rows(rows)
    given, device = xp, device_of(like)
    if by_rows and operator.shape[1] <= min(operator.shape[0], _FEW):
        G, unit = row_reduce(functools.partial(_gram_of, like.dtype), _grams_joined, rows)
        return given.asarray(unit * np.sqrt(np.max(eigvalsh(G))), dtype=dtype, device=device)
    if by_rows:
        like = np.zeros((), dtype=like.dtype)
        xp = namespace_of(like)

    def image(v: Array) -> tuple[Array, Array]:
        if by_rows:
            size, squares, w = row_reduce(_image_of, _joined, rows, small=(v,))
            return w, np.sqrt(squares) * size
        Av = operator.matvec(v)
        size = xp.max(xp.abs(Av))
        u = _over(Av, size)  # whose squares are within the range of exponents, whatever those of A are
        return u, xp.linalg.vector_norm(u) * size

    def normalised(w: Array, sigma_old: Array) -> _Power:
        u, sigma = image(_over(w, xp.linalg.vector_norm(w)))
        return _Power(u, sigma, _over(xp.abs(sigma - sigma_old), sigma))

    def step(s: _Power) -> _Power:
        return normalised(_over(s.u if by_rows else operator.rmatvec(s.u), s.sigma), s.sigma)

    start = normalised(_normal(xp, operator.shape[1], like, seed), xp.zeros((), dtype=dtype, device=device_of(like)))
    run = iterate(step, start, measure=lambda s: s.change, tol=tol, max_iter=max_iter, check_every=check_every)
    return given.asarray(run.state.sigma, device=device)  # NumPy converted it to a scalar


def _over(u: Array, size: Array) -> Array:
    xp = namespace_of(size)
    return u / xp.where(size > 0, size, xp.ones_like(size))


def _image_of(A: Array, v: Array) -> tuple[Array, ...]:
    """max|Av| of some rows, and of u = Av over that ‖u‖² and Aᴴu."""
    Av = A @ v
    size = np.max(np.abs(Av))
    u = _over(Av, size)
    return size, np.sum(squares(u)), adjoint_product(A, u)


def _joined(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    """The same of all rows of some parts."""
    sizes = np.stack([size for size, _, _ in parts])
    top = np.max(sizes)
    shares = _over(sizes, top)
    joined = zip(shares, parts, strict=True)
    terms = [(share * share * part[1], share * part[2]) for share, part in joined]
    return top, *(sum(term[1:], term[0]) for term in zip(*terms, strict=True))


def _gram_of(dtype: Any, A: Array) -> tuple[Array, ...]:
    """AᴴA of some rows over the square of a power of two, and that: 1 unless squares are out of range without it."""
    A = cast(A, dtype)
    G = gram(A)
    size, most = np.max(np.abs(np.diagonal(G))), 2.0 ** (limits_of(G).exponents // 2)
    if 1 / most <= size <= most:
        return G, np.ones((), size.dtype)
    unit = power_of_two(A)
    G = gram(A / unit)
    return G, unit if np.any(G) else np.full_like(unit, limits_of(G).smallest_normal)


def _grams_joined(parts: Sequence[tuple[Array, ...]]) -> tuple[Array, ...]:
    """The same of all rows of some parts."""
    top = np.max(np.stack([unit for _, unit in parts]))
    terms = [G * (unit / top) ** 2 for G, unit in parts]
    return sum(terms[1:], terms[0]), top


@capabilities(jit=False, syncs=1, complex=True)
def dot_test(A: Any, *, like: Array | None = None, rtol: float | None = None, trials: int = 3, seed: int = 0) -> float:
    """Test ⟨Au, v⟩ = ⟨u, Aᴴv⟩ for random u and v, complex ones where A or `like` is complex.

    Parameters
    ----------
    A : array (n, p), sparse matrix or LinearOperator
        The operator.
    like : array, optional
        An array of the library, device and dtype to test in; needed only where A has no array of its own.
    rtol : float, optional
        Allowed difference relative to σ‖u‖‖v‖, where σ is the largest ‖Au‖/‖u‖ or ‖Aᴴv‖/‖v‖ of all trials; None is
        20·√max(n, p)·eps.
    trials : int
        Pairs tried.
    seed : int
        Of the vectors, drawn on the host.

    Returns
    -------
    float
        The largest relative difference found.

    Raises
    ------
    TypeError, ValueError
        If A is no operator, a product is not finite, or an option is out of range.
    AssertionError
        If it exceeds `rtol`: the operator's `rmatvec` is not the adjoint of its `matvec`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import dot_test
    >>> dot_test(np.asarray([[1.0, 2.0], [3.0, 4.0]])) < 1e-14
    True
    """
    if rtol is not None:
        check_number(rtol, "rtol", minimum=0)
    check_count(trials, "trials", 1, MOST)
    check_count(seed, "seed", 0)
    operator, like = _with_vector(A, like)
    worst = adjoint_difference(operator, like, trials=trials, seed=seed)
    allowed = rounding_of_adjoint(operator, like) if rtol is None else rtol
    if not math.isfinite(worst):
        message = f"A: expected an operator with finite products, got NaN or infinite ones with {operator!r}."
        raise ValueError(message)
    if not worst <= allowed:
        message = (
            f"{operator!r}: ⟨Au, v⟩ and ⟨u, Aᴴv⟩ differ by {worst:.2e}, relative to the sizes; allowed are "
            f"{allowed:.2e}. Check that rmatvec is the adjoint of matvec. {guide('adjoint')}"
        )
        raise AssertionError(message)
    return worst


def rounding_of_adjoint(operator: LinearOperator, like: Array) -> float:
    """The difference that rounding explains."""
    return 20 * math.sqrt(max(operator.shape)) * limits_of(like).eps


def adjoint_difference(operator: LinearOperator, like: Array, *, trials: int = 3, seed: int = 0) -> float:
    """The largest |⟨Au, v⟩ − ⟨u, Aᴴv⟩|/(σ‖u‖‖v‖) of some trials, read once."""
    xp = namespace_of(like)
    n, p = operator.shape
    norm = xp.linalg.vector_norm
    pairs = [
        (_normal(xp, p, like, seed + 2 * trial), _normal(xp, n, like, seed + 2 * trial + 1)) for trial in range(trials)
    ]
    images = [(operator.matvec(u), operator.rmatvec(v)) for u, v in pairs]
    unit = power_of_two(xp.stack([xp.max(xp.abs(image)) for pair in images for image in pair]))
    differences, sizes = [], []
    for (u, v), (Au, Atv) in zip(pairs, images, strict=True):
        Au, Atv = Au / unit, Atv / unit
        differences.append(xp.abs(_product(Au, v) - _product(u, Atv)) / (norm(u) * norm(v)))
        sizes += [norm(Au) / norm(u), norm(Atv) / norm(v)]
    size = xp.max(xp.stack(sizes))  # below ‖A‖, to which rounding in Au is relative: one Au alone may have cancelled
    size = xp.maximum(size, limits_of(like).smallest_normal / unit)  # below this, digits are lost
    return float(xp.max(xp.stack(differences)) / size)


def adjoint_advice(operator: LinearOperator, like: Array) -> str:
    """What the test of the adjoint says, as advice to who wrote it."""
    worst, allowed = adjoint_difference(operator, like), rounding_of_adjoint(operator, like)
    test = f"xs.dot_test(A{'' if operator.like is not None else ', like=y'})"
    if not math.isfinite(worst):
        return f"The products of the operator are not finite: see {test}."
    if worst <= allowed:
        return f"The adjoint of the operator is correct: {test} gives {worst:.1e}."
    return (
        f"The operator has a wrong adjoint: {test} finds a relative difference of {worst:.1e} between ⟨Au, v⟩ and "
        f"⟨u, Aᴴv⟩, where {allowed:.1e} is allowed. Correct its rmatvec. {guide('adjoint')}"
    )


def eigenvalue_bound(product: Array | Callable[[Array], Array], like: Array | None = None, steps: int = 12) -> Array:
    """The largest eigenvalue of a Hermitian positive semidefinite map, from above: its inverse is a step size.

    For a matrix G it is (Σ λ_i¹⁶)^(1/16), by three products: a bound at most p^(1/16) too large.  For products alone
    it is usually a bound, and close: Lanczos without reorthogonalisation (Golub & Van Loan 2013, §10.3), which harms no
    extreme eigenvalue, and in place of the eigenvalues of its tridiagonal matrix their bound by absolute row sums.
    Neither reads anything from the device.

    Parameters
    ----------
    product : array (p, p) or callable
        The matrix, or the map of a (p, 1) array.
    like : array, shape (p, k), optional
        Shows length, library, device and dtype to a map; a matrix needs none.
    steps : int
        Products taken of a map; twelve are as good as a hundred of the power method.

    Returns
    -------
    array, 0-d
        The bound, on the device.

    Raises
    ------
    TypeError
        If a map comes without `like`.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.operators import eigenvalue_bound
    >>> d = np.linspace(0.0, 1.0, 100)[:, None]
    >>> bool(0.99 < eigenvalue_bound(lambda v: d * v, d) < 1.1)
    True
    >>> round(float(eigenvalue_bound(np.diag([1.0, 0.5]))), 5)
    1.0
    """
    if is_array(product):
        return _bound_by_powers(product)
    if like is None:
        message = "like: expected an array that shows length and dtype, as a map has none of its own."
        raise TypeError(message)
    xp = namespace_of(like)
    dtype = real_dtype(like)
    j = xp.arange(like.shape[0], dtype=dtype, device=device_of(like))
    start = cast(xp.cos(j * j)[:, None], like.dtype)  # made on the device, and hardly orthogonal to structured vectors

    length = xp.linalg.vector_norm  # its derivative at 0, where the Krylov space ends, is 0 as well
    v, before = start / length(start), xp.zeros_like(start)
    beta = xp.zeros((), dtype=dtype, device=device_of(start))
    sums = []
    for _ in range(steps):
        u = product(v)
        alpha = inner(u, v)
        u = u - alpha * v - beta * before
        following = length(u)
        sums.append(alpha + beta + following)
        v, before, beta = u / xp.where(following > 0, following, xp.ones_like(following)), v, following
    return xp.max(xp.stack(sums))


def _bound_by_powers(G: Array) -> Array:
    xp = namespace_of(G)
    norm = xp.linalg.matrix_norm
    size = norm(G) + limits_of(G).smallest_normal  # not 0
    power = G / size  # whose powers do not overflow
    for _ in range(3):
        power = power @ power
    return size * norm(power) ** 0.125


def _with_vector(A: Any, like: Array | None) -> tuple[LinearOperator, Array]:
    operator = aslinearoperator(A)
    check_not_empty(operator.shape, "A", "(n, p)")
    if like is not None:  # an array of the library and on the device of A
        enter_numbers(like=like, **({} if operator.like is None else {"A": operator.like}))
        like = as_floating(like, "like")
    found = operator.like if like is None else like
    if found is None:
        message = "like: expected an array of the library and dtype to work in, as A has none of its own."
        raise TypeError(message)
    found = as_floating(found, "A")  # of a file it may be integers
    return operator, cast(found, complex_dtype(found)) if operator.complex else found


def _product(u: Array, v: Array) -> Array:
    """Σ ūv."""
    return namespace_of(u).sum(conjugate(u) * v)


def _normal(xp: Namespace, length: int, like: Array, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    host = generator.standard_normal(length)
    if is_complex(like):
        host = host + 1j * generator.standard_normal(length)
    return xp.asarray(host, dtype=like.dtype, device=device_of(like))
