"""The Jacobian  ∂f = A_t A_{t−1} ⋯ A_1  of a composition f = f_t ∘ ⋯ ∘ f_1, A_k = ∂f_k of shape (n_k, n_{k−1}).

Every bracketing gives the same matrix with another number of multiply-adds (Peyré 2020, §14.3.5):

    forward  A_t(⋯(A_3(A_2 A_1)))   n_0 Σ_{k≥2} n_{k−1} n_k       good for few inputs
    reverse  (((A_t A_{t−1})⋯)A_1   n_t Σ_{k≤t−1} n_{k−1} n_k     good for few outputs
    optimal  by dynamic programming over all intervals, O(t³)      (Godbole 1973)

    c_ij = min_{i≤s<j}  c_is + c_{s+1,j} + (price of multiplying the two)

The cost depends on the kind of factor: a diagonal scales a matrix with one multiply-add per entry, an operator
multiplies the columns of a matrix or, by its adjoint, the rows, and a batch costs as much as all of its items.  The
bracketing depends on shapes alone, and is found once for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from xpsolve.arrays import Array, Namespace, check_count, check_option, device_of, enter, lift
from xpsolve.capabilities import capabilities
from xpsolve.costs import CHAIN_ORDERS
from xpsolve.operators import Dense, LinearOperator, Sparse, aslinearoperator
from xpsolve.operators.entry import check_real
from xpsolve.operators.sparse import is_sparse
from xpsolve.trace import map_arrays


@capabilities(batch="leading axes")
def chain_jacobian(jacobians: Sequence[Any], order: str = "optimal") -> Array:
    """Multiply a chain of Jacobians, A_t⋯A_1, in forward, reverse or the cheapest order.

    Parameters
    ----------
    jacobians : sequence
        [A_1, …, A_t], A_1 applied first.  Each is an array (n_k, n_{k−1}), a batch (…, n_k, n_{k−1}) of them, a vector
        (n_k,) that stands for a diagonal matrix, a sparse matrix, or a `LinearOperator`.  All batches have the same
        leading axes; what has none is shared by their items.
    order : str
        "forward" multiplies from A_1 on, "reverse" from A_t on, "optimal" needs the fewest multiply-adds, of
        equals the fewest numbers to read and write, and of those it is the closest to forward.

    Returns
    -------
    array, shape (n_t, n_0) or (…, n_t, n_0)
        The product, dense also where all factors are diagonals.  A single matrix is returned as it is.

    Raises
    ------
    TypeError
        If `jacobians` is no sequence, a factor is none of the above, libraries are mixed, or nothing shows which
        library to work in.
    ValueError
        If the list is empty, shapes do not follow each other, devices are mixed, or the order is unknown.

    See Also
    --------
    chain_cost : The multiply-adds that it takes.

    Notes
    -----
    An operator is applied to whichever side costs less, and becomes a matrix only where that costs less still.  A
    sparse matrix costs its entries, any other operator is taken to cost as much as a matrix of its shape.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), section 14.3.5; S. Godbole, On efficient computation of
    matrix chain products, IEEE Transactions on Computers C-22 (1973).

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> A_1, A_2 = np.asarray([[1.0, 2.0], [0.0, 1.0]]), np.asarray([10.0, 1.0])  # the second is diagonal
    >>> autodiff.chain_jacobian([A_1, A_2])
    array([[10., 20.],
           [ 0.,  1.]])
    """
    check_option(order, "order", CHAIN_ORDERS)
    where, factors = _enter(jacobians)
    values: list[Any] = list(factors)
    for multiply, slots in _plan(_described(factors), order).steps:
        product = multiply(where, *[values[k] for k in slots])
        values[slots[0]] = None  # factors that were used are freed
        values[slots[-1]] = product
    return values[0]


def chain_cost(dims: Sequence[int], order: str = "optimal") -> int:
    """Multiply-adds of a chain of dense Jacobians.

    Parameters
    ----------
    dims : sequence of int
        [n_0, …, n_t]: A_k is (n_k, n_{k−1}).
    order : str
        "forward": n_0 Σ_{k≥2} n_{k−1} n_k; "reverse": n_t Σ_{k≤t−1} n_{k−1} n_k; "optimal": the least of all
        bracketings.

    Returns
    -------
    int
        Multiply-adds, of two flops each.

    Raises
    ------
    TypeError, ValueError
        If `dims` are not two or more positive integers, or the order is unknown.

    See Also
    --------
    chain_jacobian : Multiplies in that order.

    Examples
    --------
    >>> from xpsolve import autodiff
    >>> [autodiff.chain_cost([100, 100, 2, 100], order) for order in ("forward", "reverse", "optimal")]
    [40000, 1020000, 40000]
    """
    check_option(order, "order", CHAIN_ORDERS)
    if not hasattr(dims, "__len__"):
        message = f"dims: expected a sequence of integers, got {type(dims).__qualname__}."
        raise TypeError(message)
    if len(dims) < 2:
        message = f"dims: expected n_0, …, n_t, two integers or more, got {list(dims)}."
        raise ValueError(message)
    for k, n in enumerate(dims):
        check_count(n, f"dims[{k}]", 1)
    lengths = [int(n) for n in dims]
    pairs = zip(lengths[1:], lengths, strict=False)
    return _plan(tuple(_Factor("matrix", n, m, 1, 0) for n, m in pairs), order).multiply_adds


# --- checking the arguments --------------------------------------------------------------------------------------


class _Where(NamedTuple):
    """Namespace, device and dtype of all arrays of a call."""

    xp: Namespace
    dtype: Any
    device: Any

    def eye(self, n: int) -> Array:
        return self.xp.eye(n, dtype=self.dtype, device=self.device)


def _enter(jacobians: Sequence[Any]) -> tuple[_Where, list[Any]]:
    """Matrices, batches and diagonals as arrays of one namespace and dtype, operators beside them."""
    if not isinstance(jacobians, list | tuple):
        message = f"jacobians: expected a list [A_1, …, A_t], got {type(jacobians).__qualname__}."
        raise TypeError(message)
    if not jacobians:
        message = "jacobians: expected at least one factor, got an empty list."
        raise ValueError(message)
    factors = [_unwrapped(A) for A in jacobians]
    for k, A in enumerate(factors):
        if isinstance(A, LinearOperator):
            check_real(A, f"jacobians[{k}]")
    likes = [A.like if isinstance(A, LinearOperator) else A for A in factors]
    holders = [k for k, like in enumerate(likes) if like is not None or not isinstance(factors[k], LinearOperator)]
    if not holders:
        message = (
            "jacobians: expected at least one array, or operator that holds one, to show which library and dtype to "
            "work in. Put a vector of ones, the diagonal of an identity, in front."
        )
        raise TypeError(message)
    xp, arrays = _enter_alike({f"jacobians[{k}]": likes[k] for k in holders})
    where = _Where(xp, arrays[0].dtype, device_of(arrays[0]))
    for k, x in zip(holders, arrays, strict=True):
        A = factors[k]
        if isinstance(A, Sparse):
            factors[k] = A.astype(where.dtype)
        elif isinstance(A, LinearOperator):
            factors[k] = map_arrays(lambda x: lift(xp, x), A)
        else:
            factors[k] = x
    _check_shapes(factors)
    return where, factors


def _unwrapped(A: Any) -> Any:
    if is_sparse(A):
        return aslinearoperator(A)
    return A.A if isinstance(A, Dense) else A


def _enter_alike(arrays: dict[str, Array]) -> tuple[Namespace, list[Array]]:
    """`enter`, which takes longer than a small product, for the first factor alone where all are like it."""
    name, first = next(iter(arrays.items()))
    xp, (entered,) = enter(**{name: first})
    if entered is first and not hasattr(xp, "inside"):
        kind, dtype, device = type(first), first.dtype, device_of(first)
        if all(type(x) is kind and x.dtype == dtype and device_of(x) == device for x in arrays.values()):
            return xp, list(arrays.values())
    return enter(**arrays)


def _check_shapes(factors: list[Any]) -> None:
    batch: tuple[int, ...] = ()
    owner, rows = "", 0
    for k, A in enumerate(factors):
        name, shape = f"jacobians[{k}]", tuple(A.shape)
        if not shape or 0 in shape:
            message = (
                f"{name}: expected shape (…, n, m), or (n,) for a diagonal, with no empty axis, got shape {shape}."
            )
            raise ValueError(message)
        if k > 0 and shape[-1] != rows:
            message = (
                f"{name}: expected {rows} columns, as many as jacobians[{k - 1}] has rows, got shape {shape}. "
                f"jacobians[0] is the one that is applied first."
            )
            raise ValueError(message)
        if len(shape) > 2 and batch and shape[:-2] != batch:
            message = f"{name}: expected the leading axes {batch} of {owner}, got shape {shape}."
            raise ValueError(message)
        if len(shape) > 2:
            batch, owner = shape[:-2], name
        rows = shape[max(len(shape) - 2, 0)]


# --- the bracketing --------------------------------------------------------------------------------


class _Factor(NamedTuple):
    """All of a factor that its cost depends on."""

    kind: str  # "matrix", "diagonal" or "operator"
    rows: int
    columns: int
    items: int  # in the batch, 1 without one
    entries: int  # multiply-adds of an operator and one vector


def _described(factors: list[Any]) -> tuple[_Factor, ...]:
    found = []
    for A in factors:
        if isinstance(A, LinearOperator):
            stored = next((one.S.nnz for one in (A, A.T) if isinstance(one, Sparse)), A.shape[0] * A.shape[1])
            found.append(_Factor("operator", A.shape[0], A.shape[1], 1, int(stored)))
        elif A.ndim == 1:
            found.append(_Factor("diagonal", A.shape[0], A.shape[0], 1, 0))
        else:
            found.append(_Factor("matrix", A.shape[-2], A.shape[-1], math.prod(A.shape[:-2]), 0))
    return tuple(found)


Step = Callable[..., Array]
Price = tuple[int, int]  # multiply-adds, and of equals the numbers read and written


@dataclass(frozen=True, slots=True)
class _Part:
    """A product of neighbours A_j⋯A_i: what it costs and how it is made."""

    factor: _Factor
    price: Price
    slot: int  # where its value lies: that of A_i
    made_by: Step | None = None
    made_of: tuple[_Part, ...] = ()


class _Plan(NamedTuple):
    multiply_adds: int
    steps: tuple[tuple[Step, tuple[int, ...]], ...]  # what to call, with the values in which slots; the last is filled


@lru_cache(maxsize=512)
def _plan(factors: tuple[_Factor, ...], order: str) -> _Plan:
    """The order's steps for factors like these."""
    leaves = [_Part(factor, (0, 0), k) for k, factor in enumerate(factors)]
    root = {"forward": _forward, "reverse": _reverse, "optimal": _optimal}[order](leaves)
    steps, waiting = [], [root]
    while waiting:
        part = waiting.pop()
        waiting += part.made_of
        if part.made_by is not None:
            steps.append((part.made_by, tuple(source.slot for source in part.made_of)))
    return _Plan(root.price[0], tuple(reversed(steps)))


def _forward(leaves: list[_Part]) -> _Part:
    product = leaves[0]
    for factor in leaves[1:]:
        fits = (factor.factor.kind, product.factor.kind) in _PRODUCTS
        product = _product(factor, product if fits else _matrix(product, _form_columns))
    return _matrix(product, _form_columns)


def _reverse(leaves: list[_Part]) -> _Part:
    product = leaves[-1]
    for factor in reversed(leaves[:-1]):
        fits = (product.factor.kind, factor.factor.kind) in _PRODUCTS
        product = _product(product if fits else _matrix(product, _form_rows), factor)
    return _matrix(product, _form_rows)


def _optimal(leaves: list[_Part]) -> _Part:
    """The cheapest of all splits, for intervals of two factors first."""
    last = len(leaves) - 1
    table = {(k, k): _forms(leaf) for k, leaf in enumerate(leaves)}
    for length in range(1, last + 1):
        for i in range(last + 1 - length):
            j = i + length
            # of equals the first is taken: a matrix times few columns runs faster than few rows times a matrix
            splits = ((table[s + 1, j], table[i, s]) for s in range(j - 1, i - 1, -1))
            pairs = ((a, b) for lefts, rights in splits for a in lefts for b in rights)
            priced = ((_price(a, b), a, b) for a, b in pairs if (a.factor.kind, b.factor.kind) in _PRODUCTS)
            _, a, b = min(priced, key=itemgetter(0))
            table[i, j] = _forms(_product(a, b))
    return table[0, last][-1]


def _forms(part: _Part) -> tuple[_Part, ...]:
    """The part as it is, and as a matrix last."""
    if part.factor.kind == "matrix":
        return (part,)
    wide = part.factor.columns > part.factor.rows
    return part, _matrix(part, _form_rows if wide else _form_columns)


def _matrix(part: _Part, form: Step) -> _Part:
    """The part as a matrix; a diagonal costs no multiplication, an operator one with each unit vector."""
    kind, rows, columns, _, entries = part.factor
    if kind == "matrix":
        return part
    if kind == "diagonal":
        form = _form_diagonal
    factor = _Factor("matrix", rows, columns, 1, 0)
    multiply_adds = entries * (rows if form is _form_rows else columns)
    price = part.price[0] + multiply_adds, part.price[1] + _size(part.factor) + _size(factor)
    return _Part(factor, price, part.slot, form, (part,))


def _price(a: _Part, b: _Part) -> Price:
    """What A·B costs, with what A and B have cost already."""
    multiply_adds, _ = _PRODUCTS[a.factor.kind, b.factor.kind]
    moved = _size(a.factor) + _size(b.factor) + _size(_shape(a.factor, b.factor))
    return a.price[0] + b.price[0] + multiply_adds(a.factor, b.factor), a.price[1] + b.price[1] + moved


def _product(a: _Part, b: _Part) -> _Part:
    """A·B."""
    _, step = _PRODUCTS[a.factor.kind, b.factor.kind]
    return _Part(_shape(a.factor, b.factor), _price(a, b), b.slot, step, (a, b))


def _shape(a: _Factor, b: _Factor) -> _Factor:
    kind = "diagonal" if a.kind == b.kind == "diagonal" else "matrix"
    return _Factor(kind, a.rows, b.columns, max(a.items, b.items), 0)


def _size(a: _Factor) -> int:
    return {"matrix": a.items * a.rows * a.columns, "diagonal": a.rows, "operator": a.entries}[a.kind]


# --- the steps -------------------------------------------------------------------------------------


def _multiply(where: _Where, A: Array, B: Array) -> Array:
    if A.ndim > 2 and B.ndim == 2:  # one product for the whole batch
        rows = where.xp.reshape(A, (-1, A.shape[-1]))
        return where.xp.reshape(rows @ B, (*A.shape[:-1], B.shape[-1]))
    return A @ B


def _scale_rows(_: _Where, d: Array, B: Array) -> Array:
    return d[:, None] * B


def _scale_columns(_: _Where, A: Array, d: Array) -> Array:
    return A * d


def _scale(_: _Where, d: Array, e: Array) -> Array:
    return d * e


def _apply(where: _Where, A: LinearOperator, B: Array) -> Array:
    if B.ndim == 2:
        return A.matvec(B)
    xp = where.xp  # the columns of all items beside each other
    columns = xp.moveaxis(B, -2, 0)
    product = A.matvec(xp.reshape(columns, (columns.shape[0], -1)))
    return xp.moveaxis(xp.reshape(product, (A.shape[0], *columns.shape[1:])), 0, -2)


def _apply_adjoint(where: _Where, A: Array, B: LinearOperator) -> Array:
    """AB = (BᵀAᵀ)ᵀ."""
    return where.xp.matrix_transpose(_apply(where, B.T, where.xp.matrix_transpose(A)))


def _form_columns(where: _Where, A: LinearOperator) -> Array:
    return A.matvec(where.eye(A.shape[1]))


def _form_rows(where: _Where, A: LinearOperator) -> Array:
    return where.xp.matrix_transpose(A.rmatvec(where.eye(A.shape[0])))


def _form_diagonal(where: _Where, d: Array) -> Array:
    return where.eye(d.shape[0]) * d


# Multiply-adds of A·B, and how it is done; what is not here needs one of the two as a matrix first.
_PRODUCTS: dict[tuple[str, str], tuple[Callable[[_Factor, _Factor], int], Step]] = {
    ("matrix", "matrix"): (lambda a, b: max(a.items, b.items) * a.rows * a.columns * b.columns, _multiply),
    ("diagonal", "matrix"): (lambda d, b: b.items * b.rows * b.columns, _scale_rows),
    ("matrix", "diagonal"): (lambda a, d: a.items * a.rows * a.columns, _scale_columns),
    ("diagonal", "diagonal"): (lambda d, e: d.rows, _scale),
    ("operator", "matrix"): (lambda a, b: a.entries * b.columns * b.items, _apply),
    ("matrix", "operator"): (lambda a, b: b.entries * a.rows * a.items, _apply_adjoint),
}
