"""Costs of the choice of λ: one factorisation or one path for all λ, or a path for every fold."""

from __future__ import annotations

from xpsolve.costs.linear import elastic_net, lasso, lasso_path, normal_equations_error, ridge
from xpsolve.costs.model import Cost, counted, eigh, gemm, gram, thin_svd

_COLUMN = {"gcv": 0, "loo": 16}
"""Launches for each column of y after the first, at most."""
_FOLD = 20  # launches for the errors of a fold, at most


def ridge_cv(
    n: int, p: int, *, n_lams: int = 100, method: str = "gcv", folds: int = 10, k: int = 1, itemsize: int = 8
) -> Cost:
    """Ridge regression with the λ that predicts best: the eigenvalues of the smaller Gram matrix, and few products.

    The answer comes from the same factorisation.  "loo" adds products with A for the diagonal of the hat matrix and,
    for each column of y, for its residuals; "kfold" is a path of ridge for each fold, and one ridge.  Where λ or A asks
    for singular values, `thin_svd` comes in addition.

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
        Of the whole choice.

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
    if method == "kfold":
        part = n - n // folds
        fold = ridge(part, p, k=k, n_lams=n_lams, method="normal" if part >= p else "woodbury", itemsize=itemsize)
        last = ridge(n, p, k=k, method="normal" if n >= p else "woodbury", itemsize=itemsize)
        fold += gemm(n // folds, n_lams * k, p, itemsize=itemsize) + Cost(launches=_FOLD)
        return folds * fold + last
    wide, q = n <= p, min(n, p)
    factor = (gram(p, n, itemsize=itemsize) if wide else gram(n, p, itemsize=itemsize)) + eigh(q, itemsize=itemsize)
    turn, there, back = (gemm(a, k, b, itemsize=itemsize) for a, b in ((q, q), (n, p), (p, n)))
    answer = 2 * turn + 2 * back + normal_equations_error(n, p, k=k, itemsize=itemsize)
    if method == "gcv":
        scores = gemm(n_lams, k, q, itemsize=itemsize)
        scores += turn + gemm(n_lams, 1, q, itemsize=itemsize) if wide else back + 2 * turn + there + scores
    else:
        scores = gemm(n, n_lams, q, itemsize=itemsize)
        one = turn + scores if wide else back + turn + k * (scores + gemm(q, n_lams, q, itemsize=itemsize))
        scores += k * scores + turn if wide else gemm(n, q, p, itemsize=itemsize) + one
    row = f"ridge_cv, {method}, {'woodbury' if wide else 'normal'}"
    return counted(factor + answer + scores, row) + Cost(launches=(k - 1) * _COLUMN[method])


def lasso_cv(
    n: int, p: int, *, n_lams: int = 100, folds: int = 10, together: bool = False, n_iter: int = 300, itemsize: int = 8
) -> Cost:
    """The lasso with the λ that predicts best: a path for every fold, and one lasso.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_lams : int
        Values of λ.
    folds : int
        Parts of the rows.
    together : bool
        Whether the folds are solved side by side, as on an accelerator: products with all of A for folds·n_lams
        columns, and as many launches as for one fold.
    n_iter : int
        Iterations, where the folds are solved together.
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
    >>> one, ten = (costs.lasso_cv(1000, 100, folds=k, together=True).launches for k in (1, 10))
    >>> ten < 1.1 * one
    True
    """
    last, errors = lasso(n, p, itemsize=itemsize), folds * gemm(n // folds, n_lams, p, itemsize=itemsize)
    if together:
        columns = lasso_path(n, p, n_lams=folds * n_lams, method="fista", n_iter=n_iter, itemsize=itemsize)
        return columns + errors + last
    fold = lasso_path(n - n // folds, p, n_lams=n_lams, itemsize=itemsize)
    return folds * fold + errors + last


def elastic_net_cv(
    n: int,
    p: int,
    *,
    n_lams: int = 100,
    n_thetas: int = 1,
    folds: int = 10,
    together: bool = False,
    n_iter: int = 300,
    itemsize: int = 8,
) -> Cost:
    """The elastic net with the λ and θ that predict best: the paths of `lasso_cv` for every θ.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_lams : int
        Values of λ.
    n_thetas : int
        Values of θ.
    folds : int
        Parts of the rows.
    together : bool
        As for `lasso_cv`.
    n_iter : int
        As for `lasso_cv`.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole choice, as far as `lasso_path` states it.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.elastic_net_cv(1000, 100, n_thetas=3).flops > costs.lasso_cv(1000, 100).flops
    True
    """
    options = {"n_lams": n_lams, "folds": folds, "together": together, "n_iter": n_iter, "itemsize": itemsize}
    paths = lasso_cv(n, p, **options) + -1 * lasso(n, p, itemsize=itemsize)  # type: ignore[arg-type]
    return n_thetas * paths + elastic_net(n, p, itemsize=itemsize)


def lasso_sure(n: int, p: int, *, n_lams: int = 100, itemsize: int = 8) -> Cost:
    """The lasso with the least estimated risk: one path, its residuals, and one lasso from its answer.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_lams : int
        Values of λ.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole choice, as far as `lasso_path` states it.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.lasso_sure(1000, 100).flops < costs.lasso_cv(1000, 100).flops
    True
    """
    path = lasso_path(n, p, n_lams=n_lams, itemsize=itemsize) + gemm(n, n_lams, p, itemsize=itemsize)
    return path + lasso(n, p, itemsize=itemsize)


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
