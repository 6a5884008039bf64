"""Floor 0: arrays of any library.  Namespaces, checks, native delegates and the one loop."""

from xpsolve.arrays import backends
from xpsolve.arrays.checks import (
    check_count,
    check_finite,
    check_ndim,
    check_option,
    check_positive,
    check_rows,
    regularisation,
)
from xpsolve.arrays.indexing import accumulate, largest, scatter, settled, take_columns
from xpsolve.arrays.linalg import cholesky, cholesky_solve, eigh, gram, shifted, solve_triangular, thin_svd
from xpsolve.arrays.loops import Run, iterate
from xpsolve.arrays.namespace import (
    Array,
    Namespace,
    common_device,
    common_dtype,
    common_namespace,
    depth,
    device_of,
    enter,
    innermost,
    is_array,
    is_concrete,
    is_scalar,
    library,
    lift,
    namespace_of,
)
from xpsolve.arrays.native import native

__all__ = [
    "Array",
    "Namespace",
    "Run",
    "accumulate",
    "backends",
    "check_count",
    "check_finite",
    "check_ndim",
    "check_option",
    "check_positive",
    "check_rows",
    "cholesky",
    "cholesky_solve",
    "common_device",
    "common_dtype",
    "common_namespace",
    "depth",
    "device_of",
    "eigh",
    "enter",
    "gram",
    "innermost",
    "is_array",
    "is_concrete",
    "is_scalar",
    "iterate",
    "largest",
    "library",
    "lift",
    "namespace_of",
    "native",
    "regularisation",
    "scatter",
    "settled",
    "shifted",
    "solve_triangular",
    "take_columns",
    "thin_svd",
]
