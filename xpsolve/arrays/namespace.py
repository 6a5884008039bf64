"""Which library, device and dtype: found once, from all array arguments, in the public function.

Arrays that wrap arrays (a counter, a dual number, a tape variable) are array-API arrays too.  Their
namespace has three more attributes, and nothing else in xpsolve knows about wrapping:

``inside``
    the namespace of the wrapped arrays;
``lift(x)``
    wraps an array of the namespace inside as a constant;
``call(name, function, args, kwargs)``
    runs one of our delegates: a native one as a single operation, a composed one by its standard functions.

Wrappers nest.  Where levels meet, the outermost namespace wins and everything else is lifted to it.
"""

from __future__ import annotations

import functools
import numbers
import sys
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from xpsolve.guides import guide

Array: TypeAlias = Any
"""Any array-API array: the standard has no class to name."""
Namespace: TypeAlias = Any
"""An array-API namespace: a module, or an object that stands for one."""


# What is known of a type once one of its objects was looked at: these questions are asked in every step of every loop.
_ARRAYS: set[type] = set()
_NO_ARRAYS = frozenset((float, int, bool, str, type(None), tuple, list, dict))
_ACCEPTED: set[type] = set()  # as arguments
_READABLE: set[type] = set()  # never a tracer of JAX
_NAMESPACES: dict[type, Namespace] = {}  # of the libraries' own arrays
_REAL: dict[tuple[type, Any], bool] = {}  # whether a dtype is float32 or float64


def is_array(x: Any) -> bool:
    """Whether `x` is an array of an array-API library (a NumPy scalar is not)."""
    kind = type(x)
    if kind in _ARRAYS:
        return True
    if kind in _NO_ARRAYS or isinstance(x, np.generic | type):  # a dtype may be a class with a shape
        return False
    found = hasattr(x, "shape") and bool(array_api_compat.is_array_api_obj(x))
    if found:
        _ARRAYS.add(kind)
    return found


def is_scalar(x: Any) -> bool:
    """Whether `x` is a real Python or NumPy scalar, not a boolean."""
    return type(x) in (float, int) or (isinstance(x, numbers.Real) and not isinstance(x, bool))


def namespace_of(x: Array) -> Namespace:
    """The namespace of one array."""
    xp = _NAMESPACES.get(type(x))
    if xp is None:
        xp = array_api_compat.array_namespace(x)
        if not hasattr(x, "__xpsolve_value__"):  # of a wrapped array it depends on what is inside
            _NAMESPACES[type(x)] = xp
    return xp


def library(xp: Namespace) -> str:
    """Name of the library behind a namespace, as "numpy", "cupy", "torch", "jax", "dask"."""
    while hasattr(xp, "inside"):
        xp = xp.inside
    parts: list[str] = xp.__name__.split(".")
    return parts[1] if parts[0] == "array_api_compat" else parts[0]


def depth(xp: Namespace) -> int:
    """How many wrappers are around the arrays of `xp`: 0 for a library's own arrays."""
    levels = 0
    while hasattr(xp, "inside"):
        xp, levels = xp.inside, levels + 1
    return levels


def common_namespace(**arrays: Array) -> Namespace:
    """The one namespace that can hold all arguments.

    Parameters
    ----------
    **arrays : array
        The arguments, by name; the names go into the message.

    Returns
    -------
    namespace
        That of the arrays, or of the outermost wrapper among them.

    Raises
    ------
    TypeError
        If an argument is not an array, or two of them come from different libraries.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import common_namespace
    >>> common_namespace(A=np.eye(2), y=np.ones(2)).__name__
    'array_api_compat.numpy'
    """
    outer: Namespace = None
    owner = ""
    for name, x in arrays.items():
        if type(x) not in _ACCEPTED:
            _check_array(x, name)
        xp = namespace_of(x)
        if outer is None:
            outer, owner = xp, name
        elif xp is not outer:
            inner, outer, owner_ = (xp, outer, owner) if depth(outer) >= depth(xp) else (outer, xp, name)
            if not _lies_inside(inner, outer):
                theirs = library(namespace_of(arrays[owner]))
                message = (
                    f"{name}: expected an array of the same library as {owner} ({theirs}), got one of {library(xp)}. "
                    f"Move one of them first, for example with from_dlpack. {guide('one library')}"
                )
                raise TypeError(message)
            owner = owner_
    return outer


def _check_array(x: Any, name: str) -> None:
    if not isinstance(x, np.ma.MaskedArray | np.matrix) and is_array(x):
        _ACCEPTED.add(type(x))
        return
    remedy = f"Make it a plain array first, for example with numpy.asarray({name})."
    if callable(x):
        remedy = f"Two functions, x to A x and y to Aᵀ y, make an operator. {guide('operator')}"
    message = (
        f"{name}: expected an array of NumPy, CuPy, PyTorch, JAX, Dask or another array-API library, "
        f"got {type(x).__module__}.{type(x).__qualname__}. {remedy}"
    )
    raise TypeError(message)


def _lies_inside(inner: Namespace, outer: Namespace) -> bool:
    while outer is not inner and hasattr(outer, "inside"):
        outer = outer.inside
    return outer is inner


def lift(xp: Namespace, x: Array) -> Array:
    """`x` as an array of `xp`: itself, or wrapped as often as it takes."""
    if namespace_of(x) is xp or not hasattr(xp, "inside"):
        return x
    return xp.lift(lift(xp.inside, x))


def device_of(x: Array) -> Any:
    """The device of an array, None where tracing hides it.

    Of an array of JAX that is spread over several devices it is the placement of small arrays beside it: a copy of them
    on each device of its mesh.  In this sense arrays that are spread over one mesh are on one device.
    """
    if type(x) is np.ndarray:
        return "cpu"
    device = array_api_compat.device(x)
    return _replicated(device.mesh) if hasattr(device, "mesh") else device


@functools.cache
def _replicated(mesh: Any) -> Any:
    from jax.sharding import NamedSharding, PartitionSpec

    return NamedSharding(mesh, PartitionSpec())


def common_device(**arrays: Array) -> Any:
    """The one device that all arrays lie on.

    Parameters
    ----------
    **arrays : array
        The arguments, by name; the names go into the message.

    Returns
    -------
    device
        As the library calls it.

    Raises
    ------
    ValueError
        If two arguments lie on different devices.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import common_device
    >>> common_device(A=np.eye(2), y=np.ones(2))
    'cpu'
    """
    found: Any = None
    owner = ""
    for name, x in arrays.items():
        device = device_of(x)
        if device is None:
            continue
        if found is None:
            found, owner = device, name
        elif device != found:
            message = (
                f"{name}: expected an array on the device of {owner} ({found}), got one on {device}. "
                f"Move one of them first; nothing is moved between devices for you. {guide('one library')}"
            )
            raise ValueError(message)
    return found


def common_dtype(xp: Namespace, device: Any, **arrays: Array) -> Any:
    """The real floating dtype that the arguments are worked in.

    Floating dtypes are promoted among themselves; integers and booleans follow them, or become the
    default real dtype of the device where there are only such.

    Parameters
    ----------
    xp : namespace
        Of the arrays.
    device : device
        Of the arrays; asked for its default dtype.
    **arrays : array
        The arguments, by name; the names go into the message.

    Returns
    -------
    dtype
        float32 or float64 of `xp`.

    Raises
    ------
    TypeError
        If an argument is complex, an object or a half-precision array.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import common_dtype, common_namespace
    >>> A = np.ones((2, 2), dtype=np.float32)
    >>> common_dtype(common_namespace(A=A), "cpu", A=A, y=np.asarray([1, 2]))
    dtype('float32')
    """
    return _common_dtype(xp, device, arrays, complex_too=False)


def _common_dtype(xp: Namespace, device: Any, arrays: dict[str, Array], *, complex_too: bool) -> Any:
    floating = []
    for name, x in arrays.items():
        dtype = x.dtype
        if _is_real(xp, dtype) or (complex_too and _is_complex(xp, dtype)):
            if dtype not in floating:
                floating.append(dtype)
        elif not _is_countable(xp, dtype):
            floats = "an array of float32, float64, complex64, complex128"
            floats = floats if complex_too else "a real array of float32, float64"
            message = f"{name}: expected {floats}, integers or booleans, got dtype {dtype}. Convert it first"
            parts = "."
            if _is_complex(xp, dtype):
                parts = f"; complex problems split into real and imaginary parts. {guide('complex')}"
            raise TypeError(message + parts)
    if floating:
        return floating[0] if len(floating) == 1 else xp.result_type(*floating)
    info = xp.__array_namespace_info__()
    return info.default_dtypes(device=device)["real floating"]


def _is_real(xp: Namespace, dtype: Any) -> bool:
    key = (dtype.__class__, dtype)  # dtypes of two libraries cannot always be compared
    found = _REAL.get(key)
    if found is None:
        found = _REAL[key] = bool(dtype == xp.float32 or dtype == xp.float64)
    return found


def _is_complex(xp: Namespace, dtype: Any) -> bool:
    return bool(dtype == xp.complex64 or dtype == xp.complex128)


def _is_countable(xp: Namespace, dtype: Any) -> bool:
    try:
        return bool(xp.isdtype(dtype, ("bool", "integral")))
    except (TypeError, ValueError):  # object and string dtypes are unknown to some libraries
        return False


def is_concrete(*arrays: Array) -> bool:
    """Whether the values can be read now: False while ``jax.jit`` traces."""
    jax = sys.modules.get("jax")
    if jax is None:
        return True
    for x in arrays:
        if type(x) in _READABLE:
            continue
        inner = innermost(x)
        if isinstance(inner, jax.core.Tracer):
            return False
        _READABLE.add(type(inner))
    return True


def innermost(x: Array) -> Array:
    """The library's own array inside all wrappers."""
    while hasattr(x, "__xpsolve_value__"):
        x = x.__xpsolve_value__
    return x


def enter(**arrays: Array) -> tuple[Namespace, list[Array]]:
    """Where each public function starts: one namespace, device and real dtype for all array arguments.

    Parameters
    ----------
    **arrays : array
        The arguments, by name; the names go into messages.

    Returns
    -------
    xp : namespace
        The namespace of all that follows.
    arrays : list of array
        The arguments in the given order, lifted to `xp` and converted to the common dtype; an array
        that has it already is passed on, not copied.

    Raises
    ------
    TypeError
        If an argument is not an array, libraries are mixed, or a dtype is not real.
    ValueError
        If devices are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import enter
    >>> xp, (A, y) = enter(A=np.eye(2), y=np.asarray([1, 2]))
    >>> y.dtype
    dtype('float64')
    """
    return _enter(arrays, complex_too=False)


def enter_numbers(**arrays: Array) -> tuple[Namespace, list[Array]]:
    """The same for arguments that may be complex: all become complex where one is.

    Parameters
    ----------
    **arrays : array
        The arguments, by name; the names go into messages.

    Returns
    -------
    xp : namespace
        As from `enter`.
    arrays : list of array
        As from `enter`, in float32, float64, complex64 or complex128.

    Raises
    ------
    TypeError, ValueError
        As from `enter`, except for complex numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import enter_numbers
    >>> xp, (A, y) = enter_numbers(A=np.eye(2, dtype="complex64"), y=np.asarray([1, 2]))
    >>> y.dtype
    dtype('complex64')
    """
    return _enter(arrays, complex_too=True)


def _enter(arrays: dict[str, Array], *, complex_too: bool) -> tuple[Namespace, list[Array]]:
    xp = common_namespace(**arrays)
    values = list(arrays.values())
    dtype = values[0].dtype
    if all(type(x) is np.ndarray and x.dtype == dtype for x in values) and _is_real(xp, dtype):
        return xp, values  # nothing to lift or to convert, and NumPy has one device
    for name, x in arrays.items():
        check_known(x, name)
    device = common_device(**arrays)
    lifted = {name: lift(xp, x) for name, x in arrays.items()}
    dtype = _common_dtype(xp, device, lifted, complex_too=complex_too)
    return xp, [x if x.dtype == dtype else xp.astype(x, dtype) for x in lifted.values()]


def check_known(x: Array, name: str) -> None:
    """Raise ValueError where a lazy library does not know a length yet."""
    if any(length != length for length in x.shape):
        message = (
            f"{name}: expected an array of known shape, got {tuple(x.shape)}. Call {name}.compute_chunk_sizes() first. "
            f"{guide('known shapes')}"
        )
        raise ValueError(message)


def on_accelerator(x: Array) -> bool:
    """Whether x lies on a GPU or its like, where launching costs more and arithmetic less."""
    name = str(device_of(innermost(x))).lower()
    return any(word in name for word in ("cuda", "gpu", "rocm", "mps", "tpu", "xpu"))
