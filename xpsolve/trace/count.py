"""Counting what a function costs, exactly and without a GPU: launches, flops, bytes, syncs.

Conventions
    *launches*: those of CuPy, see `xpsolve.trace.launches`: one for most array functions, operators and native
    delegates; views, shape functions and conversions that change nothing are free, and so is a reshape where no number
    has to move.
    *flops*: a product of (m, k) and (k, n) is 2mnk, the symmetric Gram product of (n, p) is np² (one triangle),
    Cholesky p³/3, a triangular solve p²k, LU 2p³/3 + 2p²k, a reduction or an elementwise function one per element;
    orthogonal factorisations as in Golub & Van Loan (2013, §5.2, §8.3, §8.6).  Those of complex numbers are 4 times as
    many: a product of two has 4 real ones; elementwise functions and reductions remain one per element.
    *bytes*: every array argument read once and every result written once, for each operation.
    *syncs*: values that go to the host (``bool``, ``float``, ``int``, ``__array__``, ``item``, …) and functions whose
    result shape depends on values (boolean masks, ``nonzero``, ``unique_*``): every library waits for those.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from xpsolve.arrays import Array, Namespace, common_namespace, depth, is_array, is_complex, namespace_of
from xpsolve.arrays.loops import replayed
from xpsolve.trace.launches import launches_of, reshape_is_view
from xpsolve.trace.wrapper import Interpreter, WrappedArray, arrays_in, lift_all


@dataclass
class OpTally:
    """What one operation cost, summed over its calls."""

    calls: int = 0
    launches: int = 0
    flops: int = 0
    bytes: int = 0


@dataclass(repr=False)
class Tally:
    """What a function cost.

    Parameters
    ----------
    launches : int
        Kernels that would be started.
    flops : int
        Floating-point operations.
    bytes : int
        Bytes read and written by the launches.
    syncs : int
        Times a value went to the host.
    by_op : dict of str to OpTally
        The same by operation; a sync is under ``sync:<how>``.
    replayed : int
        Kernels that would be started where CuPy replays the steps of loops, which it does from the 40th on.
    steps : dict of str to tuple of int
        For the step of each such loop, by its name: launches as it is, and of its replay.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> result, tally = xs.count(lambda A, x: A @ x, np.ones((3, 4)), np.ones(4))
    >>> tally.launches, tally.flops, tally.bytes, tally.syncs
    (1, 24, 152, 0)
    """

    launches: int = 0
    flops: int = 0
    bytes: int = 0
    syncs: int = 0
    by_op: dict[str, OpTally] = field(default_factory=dict)
    replayed: int = 0
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __repr__(self) -> str:
        totals = ("launches", "flops", "bytes", "syncs")
        return f"Tally({', '.join(f'{name}={getattr(self, name)}' for name in totals)})"

    @property
    def product_flops(self) -> int:
        """Flops in matrix products, factorisations and solves: what `xpsolve.costs` states."""
        return sum(op.flops for name, op in self.by_op.items() if name in _PRODUCTS)

    def add(self, name: str, *, launches: int = 0, flops: int = 0, moved: int = 0) -> None:
        """Note one call of an operation."""
        op = self.by_op.setdefault(name, OpTally())
        op.calls += 1
        op.launches += launches
        op.flops += flops
        op.bytes += moved
        self.launches += launches
        self.replayed += launches
        self.flops += flops
        self.bytes += moved

    def sync(self, how: str) -> None:
        """Note one read by the host."""
        self.syncs += 1
        self.by_op.setdefault(f"sync:{how}", OpTally()).calls += 1


# Views and shape functions start no kernel.
_FREE = frozenset(
    "matrix_transpose linalg.matrix_transpose permute_dims expand_dims squeeze broadcast_to broadcast_arrays "
    "moveaxis flip unstack linalg.diagonal real imag to_device settled".split()
)
_VIEW_OR_COPY = frozenset({"asarray", "astype", "reshape"})
DATA_DEPENDENT = frozenset("nonzero unique_all unique_counts unique_inverse unique_values".split())
_MOVES = frozenset(  # these move or make values: bytes but no flops
    "asarray astype zeros zeros_like ones ones_like full full_like empty empty_like eye arange linspace tril triu "
    "concat stack take take_along_axis roll repeat tile getitem setitem copy where meshgrid reshape "
    "largest scatter take_columns dense_rows".split()
)


def _product(args: tuple[Any, ...], out: list[Array]) -> int:
    return 2 * _size(out[0]) * int(args[0].shape[-1])


def _tensordot(args: tuple[Any, ...], out: list[Array]) -> int:
    a, b = args[0], args[1]
    contracted = math.isqrt(_size(a) * _size(b) // max(_size(out[0]), 1))
    return 2 * _size(out[0]) * contracted


def _reduction(args: tuple[Any, ...], out: list[Array]) -> int:
    return _size(args[0])


def _qr(args: tuple[Any, ...], out: list[Array]) -> int:
    n, p = _tall(args[0])
    return 4 * n * p * p - 4 * p**3 // 3  # factorisation and explicit Q


def _svd(args: tuple[Any, ...], out: list[Array]) -> int:
    n, p = _tall(args[0])
    return 14 * n * p * p + 8 * p**3 if 3 * n < 5 * p else 6 * n * p * p + 20 * p**3


def _eigh(args: tuple[Any, ...], out: list[Array]) -> int:
    return 9 * int(args[0].shape[-1]) ** 3


def _columns(x: Array) -> int:
    return int(x.shape[-1]) if x.ndim > 1 else 1


def _lu_solve(args: tuple[Any, ...], out: list[Array]) -> int:
    p = int(args[0].shape[-1])
    return 2 * p**3 // 3 + 2 * p * p * _columns(args[1])


_FLOPS: dict[str, Callable[[tuple[Any, ...], list[Array]], int]] = {
    "matmul": _product,
    "linalg.matmul": _product,
    "vecdot": lambda args, out: 2 * _size(args[0]),
    "linalg.vecdot": lambda args, out: 2 * _size(args[0]),
    "tensordot": _tensordot,
    "linalg.tensordot": _tensordot,
    "linalg.outer": lambda args, out: _size(out[0]),
    "gram": lambda args, out: int(args[0].shape[0]) * int(args[0].shape[1]) ** 2,
    "cholesky": lambda args, out: int(args[0].shape[-1]) ** 3 // 3,
    "linalg.cholesky": lambda args, out: int(args[0].shape[-1]) ** 3 // 3,
    "solve_triangular": lambda args, out: int(args[0].shape[-1]) ** 2 * _columns(args[1]),
    "linalg.solve": _lu_solve,
    "solve_positive": lambda args, out: int(args[0].shape[-1]) ** 3 // 3 + 2 * _size(args[0]) * _columns(args[1]),
    "linalg.inv": lambda args, out: 2 * int(args[0].shape[-1]) ** 3,
    "linalg.qr": _qr,
    "eigh": _eigh,
    "linalg.eigh": _eigh,
    "spectral": lambda args, out: _eigh(args, out) + 2 * int(args[0].shape[-1]) ** 3,
    "thin_svd": _svd,
    "linalg.svd": _svd,
    # kernels exp(−M/ε): four operations per entry, and with a maximum and a sum six
    "gibbs": lambda args, out: 4 * _size(out[0]),
    "soft_rows": lambda args, out: 6 * _size(out[0]) * int(args[0].shape[-1]),
    "soft_columns": lambda args, out: 6 * _size(out[0]) * int(args[0].shape[-2]),
    # as many products as there are pairs of numbers in a row of the k columns, taken to be spread evenly
    "sparse_gram": lambda args, out: 2 * _size(out[0]) * args[1].nnz // int(args[1].shape[0]),
    "sparse_product": lambda args, out: 2 * args[1].nnz * _columns(args[0]),
}
_PRODUCTS = frozenset(_FLOPS) - {"vecdot", "linalg.vecdot"}
_REDUCTIONS = frozenset(
    "sum prod mean var std max min argmax argmin all any count_nonzero cumulative_sum cumulative_prod "
    "linalg.vector_norm linalg.matrix_norm linalg.trace".split()
)


def _size(x: Array) -> int:
    return math.prod(x.shape)


def nbytes(x: Array) -> int:
    """Bytes of an array's numbers."""
    return _size(x) * _itemsize(x)


def _itemsize(x: Array) -> int:
    dtype = x.dtype
    if hasattr(dtype, "itemsize"):
        return int(dtype.itemsize)
    xp = namespace_of(x)
    if xp.isdtype(dtype, "bool"):
        return 1
    if xp.isdtype(dtype, "complex floating"):
        return int(xp.finfo(dtype).bits) // 4  # the bits of one of two parts
    info = xp.finfo(dtype) if xp.isdtype(dtype, "real floating") else xp.iinfo(dtype)
    return int(info.bits) // 8


def _tall(A: Array) -> tuple[int, int]:
    n, p = (int(length) for length in A.shape[-2:])
    return max(n, p), min(n, p)


def is_mask(key: Any) -> bool:
    """Whether a key chooses by an array of booleans, so that values decide how many entries there are."""
    keys = key if isinstance(key, tuple) else (key,)
    return any(namespace_of(k).isdtype(k.dtype, "bool") for k in arrays_in(list(keys)))


def _gathers(key: Any) -> bool:
    """Whether a key takes entries one by one, by an array or a list of numbers."""
    entries = key if isinstance(key, tuple) else (key,)
    return any(isinstance(k, list | tuple) or is_array(k) for k in entries)


def is_view(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> bool:
    """Whether an operation gives a view of an existing array, and starts nothing."""
    if name in _FREE:
        return True
    if name == "getitem":
        return not _gathers(args[1])
    if name not in _VIEW_OR_COPY or kwargs.get("copy"):
        return False
    if name == "reshape":
        return reshape_is_view(args[0], out.shape)
    read = arrays_in([list(args), kwargs])
    return bool(read) and bool(arrays_in(out)[0].dtype == read[0].dtype)


_counting: ContextVar[tuple[Tally, ...]] = ContextVar("counting", default=())


def host_read(how: str) -> None:
    """Note a read of an array that no counter has wrapped, as those inside a sparse matrix."""
    for tally in _counting.get():
        tally.sync(how)


class Counter(Interpreter):
    """Runs every operation inside and adds up what it cost."""

    def __init__(self, inside: Namespace) -> None:
        super().__init__(inside)
        self.tally = Tally()

    def apply(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run and note one operation."""
        args, kwargs = self.unwrap_all(args), self.unwrap_all(kwargs)
        out = self.run(function, args, kwargs)
        written = arrays_in(out)
        if is_view(name, args, kwargs, out):
            self.tally.add(name)
        else:
            read = arrays_in([list(args), kwargs])
            moved = sum(nbytes(x) for x in (*{id(x): x for x in read}.values(), *written))
            launches = launches_of(name, args, kwargs)
            self.tally.add(name, launches=launches, flops=self._flops(name, args, written), moved=moved)
        if name in DATA_DEPENDENT or (name in ("getitem", "setitem") and is_mask(args[1])):
            self.tally.sync(name)
        return self.wrap_all(out)

    def _flops(self, name: str, args: tuple[Any, ...], written: list[Array]) -> int:
        if name in _FLOPS:
            return (4 if any(map(is_complex, arrays_in(list(args)))) else 1) * _FLOPS[name](args, written)
        if name in _MOVES:
            return 0
        if name in _REDUCTIONS:
            return _reduction(args, written)
        return sum(_size(x) for x in written)

    def call(self, name: str, delegate: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Count one of our delegates; the steps of a loop as they are, and as their replay."""
        if delegate is replayed:
            from xpsolve.trace.replayed import CountedSteps  # which records, and recording asks here what is a view

            return CountedSteps(self, args[1])
        return super().call(name, delegate, args, kwargs)

    def read(self, x: WrappedArray, how: str, function: Callable[[Array], Any]) -> Any:
        """Note that a value went to the host."""
        self.tally.sync(how)
        return super().read(x, how, function)


def namespace_of_all(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Namespace:
    """The outermost namespace of the arrays that f is to be called with; checks that there is one."""
    if not callable(f):
        message = f"f: expected a function, got {type(f).__qualname__}."
        raise TypeError(message)
    found = arrays_in([list(args), kwargs])
    if not found:
        message = (
            "args: expected at least one array among the arguments of f, got none. "
            "Pass the arrays as arguments: one that the function closes over is not seen."
        )
        raise TypeError(message)
    return common_namespace(args=max(found, key=lambda x: depth(namespace_of(x))))


def count(f: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, Tally]:
    """Run ``f(*args, **kwargs)`` and count what it costs.

    Parameters
    ----------
    f : callable
        Any function of array-API code.
    *args, **kwargs : object
        Its arguments; every array in them, also inside containers and operators, is wrapped for the count.

    Returns
    -------
    result : object
        What ``f`` returned, with plain arrays inside.
    tally : Tally
        Launches, flops, bytes and syncs, in total and by operation.

    Raises
    ------
    TypeError
        If f cannot be called, there is no array among its arguments, or they come from different libraries.

    Notes
    -----
    The count is exact and the same on each machine: what would run on a GPU is known from the calls, whichever
    library does them.  The conventions are at the top of ``xpsolve/trace/count.py``.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.eye(3), np.ones(3)
    >>> solution, tally = xs.count(xs.ridge, A, y, 1.0, check_finite=False)
    >>> solution.x, tally.syncs
    (array([0.5, 0.5, 0.5]), 1)
    """
    counter = Counter(namespace_of_all(f, args, kwargs))
    lifted_args, lifted_kwargs = lift_all(counter, list(args)), lift_all(counter, kwargs)
    before = _counting.set((*_counting.get(), counter.tally))
    try:
        result = f(*lifted_args, **lifted_kwargs)
    finally:
        _counting.reset(before)
    return counter.unwrap_all(result), counter.tally
