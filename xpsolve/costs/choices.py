"""Costs of the choice of λ: one factorisation for all λ, or a path for every fold."""

from __future__ import annotations

from xpsolve.costs.linear import lasso, lasso_path, ridge
from xpsolve.costs.model import Cost, eigh, gemm, gram, thin_svd

_SCORES = {"gcv": 50, "loo": 62}
"""Operations on s, λ and the scores beside the products, at most."""


def ridge_cv(
    n: int, p: int, *, n_lams: int = 100, method: str = "gcv", folds: int = 10, k: int = 1, itemsize: int = 8
) -> Cost:
    """Ridge regression with the λ that predicts best: a factorisation of A, few products, and one ridge.

    A tall A takes a thin SVD, a wide one the eigenvalues of AAᵀ; "loo" adds 2nq products for each λ and column of y,
    q = min(n, p); "kfold" a path of ridge for each fold.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_lams : int
        Values of λ.
    method : str
        "gcv", "loo" or "kfold".
    folds : int
        Parts of the rows, for "kfold".
    k : int
        Columns of y.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole choice; launches are those of the products.

    Raises
    ------
    ValueError
        If there is no such method.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.ridge_cv(1000, 100).flops < costs.ridge_cv(1000, 100, method="kfold").flops
    True
    """
    if method not in ("gcv", "loo", "kfold"):
        message = f"method: expected one of gcv, loo, kfold, got {method!r}."
        raise ValueError(message)
    last = ridge(n, p, k=k, method="normal" if n >= p else "woodbury", itemsize=itemsize)
    if method == "kfold":
        part = n - n // folds
        fold = ridge(part, p, k=k, n_lams=n_lams, method="normal" if part >= p else "woodbury", itemsize=itemsize)
        return folds * (fold + gemm(n // folds, n_lams * k, p, itemsize=itemsize)) + last
    q = min(n, p)
    factor = gram(p, n, itemsize=itemsize) + eigh(n, itemsize=itemsize) if n < p else thin_svd(n, p, itemsize=itemsize)
    pair = gemm(q, k, n, itemsize=itemsize) + gemm(n, k, q, itemsize=itemsize)
    scores = Cost() if method == "gcv" else (1 + k) * gemm(n, n_lams, q, itemsize=itemsize)
    return factor + 2 * pair + scores + last + Cost(launches=_SCORES[method])


def lasso_cv(n: int, p: int, *, n_lams: int = 100, folds: int = 10, itemsize: int = 8) -> Cost:
    """The lasso with the λ that predicts best: a path for every fold and one for the grid, and one lasso.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_lams : int
        Values of λ.
    folds : int
        Parts of the rows.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole choice, as far as `lasso_path` states it.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.lasso_cv(1000, 100, folds=5).flops < costs.lasso_cv(1000, 100).flops
    True
    """
    fold = lasso_path(n - n // folds, p, n_lams=n_lams, itemsize=itemsize)
    fold += gemm(n // folds, n_lams, p, itemsize=itemsize)
    return folds * fold + lasso_path(n, p, n_lams=n_lams, itemsize=itemsize) + lasso(n, p, itemsize=itemsize)


def discrepancy(n: int, p: int, *, penalty: str = "ridge", n_iter: int = 6, itemsize: int = 8) -> Cost:
    """The λ whose residual is as large as the noise: one SVD for ridge, a lasso for each secant step.

    Parameters
    ----------
    n, p : int
        Shape of A.
    penalty : str
        "ridge" or "lasso".
    n_iter : int
        Secant steps, for "lasso"; those of ridge are on the host.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole choice; launches are those of the products.

    Raises
    ------
    ValueError
        If there is no such penalty.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.discrepancy(1000, 100).flops > costs.ridge(1000, 100).flops
    True
    """
    if penalty not in ("ridge", "lasso"):
        message = f"penalty: expected one of ridge, lasso, got {penalty!r}."
        raise ValueError(message)
    if penalty == "lasso":
        step = lasso(n, p, itemsize=itemsize) + gemm(n, 1, p, itemsize=itemsize)
        return gemm(p, 1, n, itemsize=itemsize) + n_iter * step + lasso(n, p, itemsize=itemsize)
    q = min(n, p)
    products = gemm(q, 1, n, itemsize=itemsize) + gemm(n, 1, q, itemsize=itemsize)
    last = ridge(n, p, method="normal" if n >= p else "woodbury", itemsize=itemsize)
    return thin_svd(n, p, itemsize=itemsize) + products + last
