"""Costs of regularised optimal transport: Sinkhorn by each method, its gradient, barycentres."""

from __future__ import annotations

from xpsolve.costs.model import CHECK_EVERY, Cost, checks, counted, gemm

SINKHORN_METHODS = ("scaling", "stabilized", "log")

INCREMENTS = 1 << 17
"""Entries of K from which products in float32 on a base in float64 are faster: n = 362."""


def gibbs(n: int, m: int, *, itemsize: int = 8) -> Cost:
    """K_ij = exp((f_i + g_j − M_ij)/ε): four operations per entry."""
    size = itemsize * n * m
    return Cost(4 * n * m, 2 * size, 1, 0, size, 0, 1, size)


def soft_minimum(n: int, m: int, *, itemsize: int = 8) -> Cost:
    """log Σ_j exp(g_j − M_ij/ε) for every i: six operations per entry, a maximum and a sum among them."""
    size = itemsize * n * m
    return Cost(6 * n * m, size, 1, 0, size, size, 1, size)


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
    mixed: bool = False,
    lowered_at: int = 0,
    unbalanced: bool = False,
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
        How often ε was lowered or potentials were absorbed; never under "scaling".
    itemsize : int
        Bytes per number.
    mixed : bool
        Whether products are increments in float32: half of the bytes, twice the launches, and the products of every
        second check once more in full.
    lowered_at : int
        For "scaling" that is mixed: the iteration, one of a check, from which on they are.  0 is from the start, where
        the span of the costs is known and small.
    unbalanced : bool
        Whether both marginals have a price: a power more in each update, and the marginals at the end from a new K.
        Not counted with `mixed`.

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
    row, looks = f"sinkhorn, {method}", checks(n_iter, check_every)
    times = {"iteration": n_iter, "check": looks}
    if method != "scaling":
        times["renewal"] = renewals
    pair = gemm(batch, m, n, itemsize=itemsize) + gemm(batch, n, m, itemsize=itemsize)
    kernel, soft = gibbs(n, m, itemsize=itemsize), batch * soft_minimum(n, m, itemsize=itemsize)
    step, before, again = pair, n_iter, Cost()
    if mixed and method in ("scaling", "stabilized"):
        step = gemm(batch, m, n, itemsize=4) + gemm(batch, n, m, itemsize=4)
        before = lowered_at if method == "scaling" else 0  # iterations in full
        early = before // check_every  # and their checks
        exact = (looks - early) // 2
        again = exact * (batch if method == "stabilized" else 1) * pair
        row += ", increments later" if before else ", increments"
        times["exact_check"] = exact
        if before:
            later = {"low_iteration": n_iter - before, "low_check": looks - early}
            times |= {"iteration": before, "check": early} | later
    if unbalanced:
        row += ", unbalanced"
    if method == "scaling":  # a product more at the start and at the end, for the marginals
        steps = before * pair + (n_iter - before) * step
        ends = pair + batch * kernel if unbalanced else 2 * pair
        return counted(kernel + steps + ends + again, row, **times)
    if method == "stabilized":
        start = 2 * soft + batch * (kernel + pair)
        total = (1 + renewals) * start + n_iter * batch * step + batch * kernel
        return counted(total + again, row, **times)
    if method == "log":
        total = (3 * (1 + renewals) + 2 * n_iter) * soft + batch * kernel
        return counted(total, row, **times)
    message = f"method: expected one of {', '.join(SINKHORN_METHODS)}, got {method!r}."
    raise ValueError(message)


def sinkhorn_gradient(
    n: int, m: int, *, method: str = "scaling", n_iter: int = 100, renewals: int = 0, itemsize: int = 8
) -> Cost:
    """`sinkhorn` and its plan, from the kernel that is there: the envelope theorem goes back through no iteration."""
    solve = sinkhorn(n, m, method=method, n_iter=n_iter, renewals=renewals, itemsize=itemsize)
    if method == "log":
        return solve + gibbs(n, m, itemsize=itemsize) + Cost(launches=16)
    return solve + Cost(bytes=2 * itemsize * n * m, launches=23, memory=itemsize * n * m)


def sinkhorn_divergence(
    n: int, m: int | None = None, *, d: int = 2, method: str = "scaling", n_iter: int = 100, itemsize: int = 8
) -> Cost:
    """Three solves between points in d dimensions, and a product of n × (d + 2) by (d + 2) × m for each cost."""
    m = n if m is None else m
    solves = [
        sinkhorn(i, j, method=method, n_iter=n_iter, itemsize=itemsize) + gemm(i, d + 2, j, itemsize=itemsize)
        for i, j in ((n, m), (n, n), (m, m))
    ]
    return solves[0] + solves[1] + solves[2] + Cost(launches=114)


def barycenter(
    k: int, n: int, *, method: str = "scaling", n_iter: int = 100, itemsize: int = 8, debiased: bool = False
) -> Cost:
    """The barycentre of k histograms on n points by Bregman projections: 4kn² flops per step, 12kn² in logarithms.

    One that is debiased takes as many as a histogram more.
    """
    rows = k + debiased
    if method == "log":
        total = (2 * (n_iter + 1) * rows) * soft_minimum(n, n, itemsize=itemsize)
    else:
        total = gibbs(n, n, itemsize=itemsize) + (n_iter + 1) * 2 * gemm(rows, n, n, itemsize=itemsize)
    row = f"barycenter, {method}" + (", debiased" if debiased else "")
    return counted(total, row, iteration=n_iter, check=checks(n_iter))
