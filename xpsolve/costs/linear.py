"""Costs of ridge, least squares, the lasso family and dictionary learning."""

from __future__ import annotations

from xpsolve.costs.model import (
    CHECK_EVERY,
    LATE,
    Cost,
    checks,
    cholesky,
    cholesky_solve,
    copy,
    counted,
    eigh,
    gemm,
    gram,
    reduced,
    thin_svd,
)
from xpsolve.costs.operators import LANCZOS_STEPS

RIDGE_METHODS = ("normal", "woodbury", "cg", "svd")


LASSO_METHODS = ("ista", "fista", "working_set")

COMPILED_FISTA = 1_000_000
"""From so many entries of A on a working set is faster, step by step, than "fista" as one compiled program."""


def normal_equations_error(n: int, p: int, *, k: int = 1, n_lams: int = 1, itemsize: int = 8) -> Cost:
    """The certificate of `ridge`: Aᵀ(y − Ax) − λx and the norms, two more products with A."""
    columns = k * n_lams
    return Cost(4 * n * p * columns, 2 * itemsize * n * p, 2, 0, itemsize * (n + p) * columns)


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
        Bytes per number.

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
    path = "" if n_lams == 1 else ", path" if k == 1 else ", path of columns"
    q = n if method == "woodbury" else p
    if method in ("normal", "woodbury"):
        if n_lams == 1:
            solve = cholesky(q, itemsize=itemsize) + cholesky_solve(q, k, itemsize=itemsize)
        else:
            once = gemm(q, k, q, itemsize=itemsize)  # Vᵀb
            solve = eigh(q, itemsize=itemsize) + once + gemm(q, columns, q, itemsize=itemsize)
        total = right + gram(max(n, p) if n == p else n + p - q, q, itemsize=itemsize) + solve + error
        if method == "woodbury":
            total += gemm(p, columns, n, itemsize=itemsize)  # Aᵀα
        return counted(total, f"ridge, {method}{path}")
    if method == "svd":
        q = min(n, p)
        turns = gemm(q, k, n, itemsize=itemsize) + gemm(p, columns, q, itemsize=itemsize)
        total = right + thin_svd(n, p, itemsize=itemsize) + turns + error
        return counted(total, f"ridge, svd{path}", qr=reduced(n, p))
    if method == "cg":
        steps = min(n, p, 100) if n_iter is None else n_iter
        product = gemm(n, columns, p, itemsize=itemsize)
        refreshes = -(-steps // CHECK_EVERY)
        total = right + product * (2 * steps + 2 * refreshes) + error
        return counted(total, f"ridge, cg{path}", iteration=steps, check=refreshes)
    message = f"method: expected one of {', '.join(RIDGE_METHODS)}, got {method!r}."
    raise ValueError(message)


CODE_STEPS, ATOM_STEPS, STREAM_ROUNDS = 20, 5, 5
"""Steps of the codes and of the atoms in one iteration of dictionary learning, and rounds of the first in a batch."""


def lstsq(n: int, p: int, *, k: int = 1, check_finite: bool = False, itemsize: int = 8) -> Cost:
    """Minimum-norm least squares by the SVD, certificate included, with the host reads of its checks."""
    row = "lstsq, checked" if check_finite else "lstsq"  # data seen to be ordinary are not scaled
    return counted(ridge(n, p, k=k, method="svd", itemsize=itemsize), row, qr=reduced(n, p))


def ista(
    n: int, p: int, *, k: int = 1, n_iter: int = 1, method: str = "ista", late: float = 0.0, itemsize: int = 8
) -> Cost:
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
    late : float
        By what part of the iterations so far a check may come late.
    itemsize : int
        Bytes per number.

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
    refreshes, by_gram = checks(n_iter), n > p
    pair = gemm(n, k, p, itemsize=itemsize) + gemm(p, k, n, itemsize=itemsize)
    single = gemm(n, 1, p, itemsize=itemsize) + gemm(p, 1, n, itemsize=itemsize)
    total = gemm(p, k, n, itemsize=itemsize) + refreshes * pair
    if by_gram:
        step, lanczos = gemm(p, k, p, itemsize=itemsize), gemm(p, 1, p, itemsize=itemsize)
        total += gram(n, p, itemsize=itemsize)
    else:
        step, lanczos = pair, single
    total += n_iter * step + LANCZOS_STEPS * lanczos
    total = counted(total, _shaped(f"lasso, {method}", n, p), iteration=n_iter, check=refreshes)
    return total + Cost(syncs=checks(n_iter, late=late) - refreshes)


def _shaped(row: str, n: int, p: int) -> str:
    """The row of the table for a matrix (n, p)."""
    return f"{row}, Gram matrix" if n > p else row


def fista(n: int, p: int, *, k: int = 1, n_iter: int = 1, itemsize: int = 8) -> Cost:
    """`ista` with momentum: the same products."""
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
        Bytes per number.

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
        Newton steps, two per λ if None, or iterations, 300 if None.
    size : int
        Features in the set, for "working_set".
    itemsize : int
        Bytes per number.

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
        columns = ista(n, p, k=n_lams, n_iter=steps, method="fista", late=LATE, itemsize=itemsize)
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
    """The elastic net: the products of `lasso`; the squared norm costs launches alone."""
    total = lasso(n, p, method=method, n_iter=n_iter, itemsize=itemsize)
    if method == "working_set" or n_iter is None:
        return total
    return counted(total, _shaped(f"elastic_net, {method}", n, p), iteration=n_iter, check=checks(n_iter))


def soft_threshold(n: int, *, itemsize: int = 8) -> Cost:
    """n entries read and written; the threshold goes to the device first."""
    return copy(n, itemsize=itemsize) + Cost(launches=1)


def basis_pursuit(n: int, p: int, *, n_iter: int = 500, check_every: int = 2 * CHECK_EVERY, itemsize: int = 8) -> Cost:
    """Basis pursuit by Douglas–Rachford: one SVD, then a product with A and one with A⁺ a step.

    At every check, and once before the first step, the support is tried: a Gram matrix of at most 2·min(n, p)
    features, its Cholesky factor, four solves, and three certificates of two products each.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_iter, check_every : int
        Iterations, and how many lie between two checks, or a tenth of those so far where that is more.
    itemsize : int
        Bytes per number.

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
    size = min(2 * q, p)
    vertex = gram(n, size, itemsize=itemsize) + cholesky(size, itemsize=itemsize)
    vertex += 4 * cholesky_solve(size, itemsize=itemsize) + 6 * gemm(n, 1, size, itemsize=itemsize)
    check = 2 * inverse + product + vertex + 6 * product
    looks = checks(n_iter, check_every, LATE)
    setup = thin_svd(n, p, itemsize=itemsize) + inverse + product
    total = setup + n_iter * (product + inverse) + (looks + 1) * check
    return counted(total, "basis_pursuit", iteration=n_iter, check=looks, qr=reduced(n, p))


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
    """Dictionary learning by alternation: 2nm²·code_steps flops per iteration for codes, 3nm² + 4npm for atoms.

    Parameters
    ----------
    n, p, m : int
        Samples, features and atoms.
    n_iter, code_steps, check_every : int
        Iterations, steps of the codes in each, and iterations between two checks.
    itemsize : int
        Bytes per number.

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
    moves = gemm(m, 1, m, itemsize=itemsize) + ATOM_STEPS * gemm(p, m, m, itemsize=itemsize)
    atoms = gram(n, m, itemsize=itemsize) + into + moves
    looks = checks(n_iter, check_every)
    total = codes + n_iter * (atoms + codes) + (looks + 1) * 3 * into
    row = "dictionary_learning, more atoms than samples" if m > n else "dictionary_learning"
    return counted(total, row, iteration=n_iter, check=looks, code_step=(n_iter + 1) * code_steps)


def dictionary_stream(
    n: int, p: int, m: int = 32, *, batches: int = 1, code_steps: int = CODE_STEPS, itemsize: int = 8
) -> Cost:
    """Dictionary learning from a stream: 10nm²·code_steps + 16npm flops per batch, and nm² for what is kept of it.

    Parameters
    ----------
    n, p, m : int
        Samples of a batch, features and atoms.
    batches : int
        How many.
    code_steps : int
        Steps of the codes in each of the five rounds in which they are found.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole stream, which is independent of how many samples came before.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.dictionary_stream(100, 20, 30, batches=50).syncs  # at the end
    1
    """
    into = gemm(m, n, p, itemsize=itemsize)
    bound = 3 * gemm(m, m, m, itemsize=itemsize)
    codes = gram(p, m, itemsize=itemsize) + into + bound + (code_steps + 1) * gemm(m, n, m, itemsize=itemsize)
    atoms = gemm(m, 1, m, itemsize=itemsize) + ATOM_STEPS * gemm(p, m, m, itemsize=itemsize)
    one = STREAM_ROUNDS * codes + 3 * into + gram(n, m, itemsize=itemsize) + atoms  # Xᵀ − DC, DᵀR and XᵀZ
    total = batches * one + gemm(m, m, p, itemsize=itemsize) + gemm(p, m, m, itemsize=itemsize)
    row = "dictionary_learning, stream" + ", more atoms than samples" * (m > n)
    return counted(total, row, batch=batches, code_step=STREAM_ROUNDS * batches * code_steps)
