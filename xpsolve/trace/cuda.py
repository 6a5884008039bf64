"""Elementwise functions and reductions of the array API as expressions in CUDA C, with NumPy's types and NaN rules.

Numbers of Python are weak, as in NumPy 2: an operation is done in the dtype of its result, a comparison in that of its
arguments together.  A function that is not here ends a kernel: the library runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve.trace.program import Operation, Value

_BOOL = np.dtype(bool)
TYPES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long",
    "float32": "float", "float64": "double", "complex64": "complex<float>", "complex128": "complex<double>",
}  # fmt: skip
"""C's name of each dtype."""
Types = Mapping[str, str]
"""The same, or a letter for dtypes that an argument of the kernel has."""

HELPERS = """
template <typename X> __device__ inline X xpsolve_logaddexp(X x, X y) {
    if (x == y) return x + X(0.6931471805599453);
    X d = x - y;
    return d > 0 ? x + log1p(exp(-d)) : d <= 0 ? y + log1p(exp(d)) : d;
}
"""
HELPED = frozenset({"logaddexp"})
"""The operations whose expressions call `HELPERS`."""


def dtype_of(dtype: Any) -> np.dtype:
    """NumPy's dtype for that of any library.

    Examples
    --------
    >>> import torch
    >>> from xpsolve.trace.cuda import dtype_of
    >>> dtype_of(torch.float32)
    dtype('float32')
    """
    if isinstance(dtype, np.dtype):
        return dtype
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return np.dtype(name if isinstance(name, str) else str(dtype))


def literal(number: Any, dtype: np.dtype, types: Types = TYPES) -> str:
    """A number in C, rounded to the dtype.

    Raises
    ------
    OverflowError
        If it is an integer that the dtype cannot hold.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.trace.cuda import literal
    >>> literal(0.1, np.dtype("float32")), literal(True, np.dtype("float64"))
    ('((float)0.1)', '((double)1.0)')
    """
    kind = types[dtype.name]
    if dtype.kind == "b":
        return "true" if number else "false"
    if dtype.kind == "c":
        z = complex(number)
        return f"{kind}({_real(z.real)}, {_real(z.imag)})"
    if dtype.kind == "f":
        return f"(({kind}){_real(float(number))})"
    n, info = int(number), np.iinfo(dtype)
    if not info.min <= n <= info.max:
        raise OverflowError(n)
    text = "(-9223372036854775807LL - 1)" if n == -(2**63) else f"{n}{'ULL' if dtype.kind == 'u' else 'LL'}"
    return f"(({kind}){text})"


def _real(x: float) -> str:
    if math.isnan(x):
        return 'nan("")'
    return repr(x) if math.isfinite(x) else f"({'-' if x < 0 else ''}1e300 * 1e300)"


def cast(text: str, source: np.dtype, target: np.dtype, types: Types = TYPES) -> str:
    """An expression in another dtype."""
    if source == target:
        return text
    if source.kind == "c" and target.kind == "b":
        return f"({text}.real() != 0 || {text}.imag() != 0)"
    if source.kind == "c" and target.kind != "c":
        text = f"{text}.real()"
    if target.kind == "b":
        return f"({text} != 0)"
    kind = types[target.name]
    if target.kind == "c":
        part = types[f"float{target.itemsize * 4}"]
        return (
            f"{kind}(({part}){text}.real(), ({part}){text}.imag())" if source.kind == "c" else f"{kind}(({part}){text})"
        )
    return f"(({kind}){text})"


# --- elementwise functions: a template, the kinds of dtype that it is for, and where it is computed

_RESULT, _TOGETHER, _TRUTH = "in the dtype of the result", "in that of the arguments", "as truth"


class _Function(NamedTuple):
    text: str
    kinds: str = "f"
    where: str = _RESULT


FUNCTIONS: dict[str, _Function] = {
    "add": _Function("{0} + {1}", "iufc"),
    "subtract": _Function("{0} - {1}", "iufc"),
    "multiply": _Function("{0} * {1}", "iufc"),
    "divide": _Function("{0} / {1}", "fc"),
    "negative": _Function("-{0}", "ifc"),
    "positive": _Function("{0}", "iufc"),
    "square": _Function("{0} * {0}", "iufc"),
    "reciprocal": _Function("1 / {0}"),
    "pow": _Function("pow({0}, {1})"),
    "atan2": _Function("atan2({0}, {1})"),
    "hypot": _Function("hypot({0}, {1})"),
    "copysign": _Function("copysign({0}, {1})"),
    "logaddexp": _Function("xpsolve_logaddexp({0}, {1})"),
    # a NaN wins, the first of two
    "maximum": _Function("({0} >= {1} || {0} != {0}) ? {0} : {1}", "iufb"),
    "minimum": _Function("({0} <= {1} || {0} != {0}) ? {0} : {1}", "iufb"),
    "sign": _Function("{0} > 0 ? {t}(1) : {0} < 0 ? {t}(-1) : {0} == 0 ? {t}(0) : {0}", "f"),
    "abs": _Function("abs({0})"),
    "conj": _Function("conj({0})", "c"),
    "where": _Function("{0} ? {1} : {2}", "biufc"),
    **{
        name: _Function(f"{c}({{0}})")
        for name, c in {
            **{name: name for name in "sqrt exp expm1 log log1p log2 log10 sin cos tan sinh cosh tanh".split()},
            **{name: name for name in "asinh acosh atanh floor ceil trunc".split()},
            "asin": "asin", "acos": "acos", "atan": "atan", "round": "rint",
        }.items()
    },
    **{
        name: _Function(f"{{0}} {c} {{1}}", kinds, _TOGETHER)
        for kinds, some in {
            "biuf": {"less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="},
            "biufc": {"equal": "==", "not_equal": "!="},
        }.items()
        for name, c in some.items()
    },
    "logical_and": _Function("{0} && {1}", "biuf", _TRUTH),
    "logical_or": _Function("{0} || {1}", "biuf", _TRUTH),
    "logical_xor": _Function("{0} != {1}", "biuf", _TRUTH),
    "logical_not": _Function("!{0}", "biuf", _TRUTH),
    "isfinite": _Function("isfinite({0})", "f", _TOGETHER),
    "isinf": _Function("isinf({0})", "f", _TOGETHER),
    "isnan": _Function("{0} != {0}", "f", _TOGETHER),
    "signbit": _Function("signbit({0})", "f", _TOGETHER),
    "bitwise_invert": _Function("~{0}", "iu"),
    "bitwise_and": _Function("{0} & {1}", "biu"),
    "bitwise_or": _Function("{0} | {1}", "biu"),
    "bitwise_xor": _Function("{0} ^ {1}", "biu"),
}  # fmt: skip
_FILLED = {"zeros_like": 0, "ones_like": 1}
_COPIES = frozenset({"astype", "asarray", "copy"})


def operands(operation: Operation) -> tuple[Any, ...]:
    """The values and numbers that an elementwise operation computes with; those of a filled array have no part in it.

    Raises
    ------
    NotElementwise
        If the operation is none of those that a kernel can do.
    """
    name, args, kwargs = operation.name, operation.args, operation.kwargs
    if isinstance(operation.outputs, Value):
        if name in FUNCTIONS and not kwargs and len(args) == operand_count(name):
            return args
        if name in _FILLED and len(args) == 1 and _about_dtype(kwargs):
            return (_FILLED[name],)
        if name == "full_like" and len(args) == 2 and _about_dtype(kwargs):
            return args[1:]
        if name in _COPIES and len(args) <= 2 and not kwargs.keys() - {"dtype", "copy", "device"}:
            return args[:1]
        if name == "clip" and len(args) == 3 and not kwargs:
            return args
    raise NotElementwise(name)


class NotElementwise(Exception):
    """Not among the functions of a kernel."""


def _about_dtype(kwargs: dict[str, Any]) -> bool:
    return not kwargs.keys() - {"dtype", "device"}


def operand_count(name: str) -> int:
    """How many arguments a function of `FUNCTIONS` has."""
    text = FUNCTIONS[name].text
    return 3 if "{2}" in text else 2 if "{1}" in text else 1


def is_elementwise(operation: Operation) -> bool:
    """Whether `expression` knows the operation."""
    try:
        expression(operation, ["x"] * len(operands(operation)))
    except (NotElementwise, OverflowError, KeyError, TypeError):
        return False
    return True


def expression(operation: Operation, names: Sequence[str | None], types: Types = TYPES) -> str:
    """The operation in C, in the dtype of its result.

    Parameters
    ----------
    operation : Operation
        One that is elementwise.
    names : sequence of str
        For each of its `operands` the variable that holds it; those of numbers do not count.
    types : mapping of str to str
        C's names of the dtypes.

    Raises
    ------
    NotElementwise
        If C has nothing that gives the same for these dtypes.
    """
    name, target = operation.name, dtype_of(operation.outputs.dtype)
    parts, kind = operands(operation), types[target.name]
    sources = [dtype_of(x.dtype) if isinstance(x, Value) else None for x in parts]

    def text(k: int, dtype: np.dtype = target) -> str:
        x, source = parts[k], sources[k]
        if source is not None:
            return cast(str(names[k]), source, dtype, types)
        if not isinstance(x, bool | int | float | complex | np.generic):
            raise NotElementwise(name)
        return literal(x, dtype, types)

    if name in _FILLED or name == "full_like" or name in _COPIES:
        return text(0)
    if name == "clip":
        return _clipped(target, text(0), *(None if x is None else text(k) for k, x in enumerate(parts[1:], 1)))
    if name == "where":
        return f"{text(0, _BOOL)} ? {text(1)} : {text(2)}"
    if name == "pow" and sources[1] is None and parts[1] == 2 and target.kind in "iufc":
        return f"{text(0)} * {text(0)}"  # as NumPy has it
    if name == "abs" and sources[0] is not None and sources[0].kind == "c":
        return f"abs({names[0]})"
    function = FUNCTIONS[name]
    if function.where == _RESULT:
        dtype = target
    else:
        dtype = np.result_type(*(x if s is None else s for x, s in zip(parts, sources, strict=True)))
    if dtype.kind not in function.kinds:
        return _of_other_kind(operation, dtype, text)
    read = _BOOL if function.where == _TRUTH else dtype
    found = function.text.format(*(text(k, read) for k in range(len(parts))), t=kind)
    return f"({kind})({found})" if target.kind in "iu" else found  # C computes with short numbers as with int


def _clipped(target: np.dtype, x: str, low: str | None, high: str | None) -> str:
    if target.kind not in "iuf":
        raise NotElementwise("clip")
    above = x if low is None else f"({x} < {low} ? {low} : {x})"
    return above if high is None else f"({above} > {high} ? {high} : {above})"


def _of_other_kind(operation: Operation, dtype: np.dtype, text: Callable[..., str]) -> str:
    """What a function of floating numbers is for integers."""
    name = operation.name
    if dtype.kind in "biu" and name in ("isfinite", "isinf", "isnan"):
        return "true" if name == "isfinite" else "false"
    if dtype.kind in "iu" and name in ("floor", "ceil", "trunc", "round"):
        return text(0)
    if dtype.kind == "i" and name == "abs":
        return f"{text(0)} < 0 ? -{text(0)} : {text(0)}"
    if dtype.kind == "b" and name == "bitwise_invert":
        return f"!{text(0)}"
    raise NotElementwise(name)


# --- reductions


class Reduction(NamedTuple):
    """How numbers become one.

    Parameters
    ----------
    dtype : numpy.dtype
        In which they are joined.
    mapped : str
        The term of a number x.
    joined : str
        Of a and b.
    identity : str
        What changes nothing.
    last : str
        What becomes of the joined number a in the end.
    """

    dtype: np.dtype
    mapped: str
    joined: str
    identity: str
    last: str = "{a}"


def axes_of(operation: Operation) -> tuple[int, ...]:
    """The axes that a reduction takes away, in order.

    Raises
    ------
    NotElementwise
        If it is no reduction of one array that a kernel can do.
    """
    if operation.name not in _REDUCTIONS or not isinstance(operation.outputs, Value):
        raise NotElementwise(operation.name)
    known = {"axis", "keepdims", "ord" if operation.name == "linalg.vector_norm" else "dtype"}
    if operation.kwargs.keys() - known or len(operation.args) != 1 or not isinstance(operation.args[0], Value):
        raise NotElementwise(operation.name)
    ndim, axis = len(operation.args[0].shape), operation.kwargs.get("axis")
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return tuple(sorted(int(a) % max(ndim, 1) for a in axes))


def reduction(operation: Operation, types: Types = TYPES) -> Reduction:
    """How the operation joins numbers, as expressions.

    Raises
    ------
    NotElementwise
        If there is none.
    """
    axes, options = axes_of(operation), operation.kwargs
    source, target = dtype_of(operation.args[0].dtype), dtype_of(operation.outputs.dtype)
    name, x = operation.name, cast("{x}", source, target, types)
    if not axes or (target.kind == "c" and name not in ("sum", "prod")):
        raise NotElementwise(name)
    if name in ("any", "all"):
        both, identity = ("||", "false") if name == "any" else ("&&", "true")
        return Reduction(_BOOL, cast("{x}", source, _BOOL, types), f"{{a}} {both} {{b}}", identity)
    if target.kind == "b":
        raise NotElementwise(name)
    added = Reduction(target, x, "{a} + {b}", literal(0, target, types))
    if name == "sum":
        return added
    if name == "prod":
        return Reduction(target, x, "{a} * {b}", literal(1, target, types))
    if name in ("max", "min"):
        return _extreme(name, target, x, types)
    if name == "count_nonzero":
        return added._replace(mapped=cast(cast("{x}", source, _BOOL, types), _BOOL, target, types))
    if target.kind != "f":
        raise NotElementwise(name)
    if name == "mean" and "dtype" not in options:
        count = math.prod(operation.args[0].shape[a] for a in axes)
        return added._replace(last=f"{{a}} / {literal(count, target, types)}")
    order = options.get("ord", 2) if name == "linalg.vector_norm" else None
    if order == 2:
        square = "{x} * {x}" if source.kind == "f" else "{x}.real() * {x}.real() + {x}.imag() * {x}.imag()"
        return added._replace(mapped=square, last="sqrt({a})")
    if order == 1:
        return added._replace(mapped="abs({x})")
    if order == math.inf:
        return _extreme("max", target, "abs({x})", types)
    raise NotElementwise(name)


def _extreme(name: str, dtype: np.dtype, x: str, types: Types) -> Reduction:
    sign, worst = (">=", -1) if name == "max" else ("<=", 1)
    if dtype.kind == "f":
        identity = literal(worst * math.inf, dtype, types)
    else:
        info = np.iinfo(dtype)
        identity = literal(info.min if worst < 0 else info.max, dtype, types)
    return Reduction(dtype, x, f"({{a}} {sign} {{b}} || {{a}} != {{a}}) ? {{a}} : {{b}}", identity)


def is_reduction(operation: Operation) -> bool:
    """Whether `reduction` knows the operation."""
    try:
        reduction(operation)
    except (NotElementwise, OverflowError, KeyError, TypeError):
        return False
    return True


_REDUCTIONS = frozenset("sum prod mean max min any all count_nonzero linalg.vector_norm".split())
