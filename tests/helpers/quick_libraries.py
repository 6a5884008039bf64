"""What libraries do again in each call, done once: half of the time of the tests was theirs, before any arithmetic.

Nothing here changes a result.  What a library's version does not have stays as it is.
"""

import functools
import importlib.util
import mmap
import threading
import types
import weakref
from pathlib import Path

QUICK = {
    "xla_cpu_use_fusion_emitters": "false",  # loops in LLVM's language at once, not by way of MLIR: in 2/3 of the time
    "xla_cpu_parallel_codegen_split_count": "1",  # a program in one part: a solve in 5/6 of the time
}


def quick_xla_flags():
    """The flags with which XLA compiles quickly.

    XLA ends the process at a flag that it does not know, so its program is searched for the names.
    """
    found, known = importlib.util.find_spec("jaxlib"), []
    for program in Path(found.origin).parent.glob("libjax_common*") if found and found.origin else ():
        with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            known += [f" --{name}={value}" for name, value in QUICK.items() if text.find(name.encode()) >= 0]
    return "".join(known)


def reuse_contexts_of_jax():
    """JAX makes a context of MLIR for each program, 3 ms each; here one of a thread serves many."""
    try:
        from jax._src.interpreters import mlir

        make = mlir.make_ir_context
    except (ImportError, AttributeError):
        return
    of = threading.local()

    def make_ir_context():
        of.left = getattr(of, "left", 0) - 1
        if of.left < 0:
            of.context, of.left = make(), 500  # it keeps all that it has met
        return of.context

    mlir.make_ir_context = make_ir_context


def remember_functions_of_dask():
    """Dask parses the signature of a ufunc, and pickles functions for their names, at each operation."""
    try:
        from dask import tokenize, utils
        from dask.array import utils as of_arrays

        of_arrays.has_keyword = functools.lru_cache(10_000)(utils.has_keyword)
        token, tokens = tokenize.normalize_object, weakref.WeakKeyDictionary()
    except (ImportError, AttributeError):
        return

    @tokenize.normalize_token.register(types.FunctionType)
    def _(function):
        if function not in tokens:
            tokens[function] = token(function)
        return tokens[function]


def know_layers_of_dask():
    """Each new array of Dask asks of every layer of its graph, by an abstract class, whether it is one."""
    try:
        from dask.highlevelgraph import HighLevelGraph
    except ImportError:
        return
    make, known = HighLevelGraph.__init__, set()

    def __init__(self, layers, dependencies, key_dependencies=None):
        if known.issuperset(map(type, layers.values())):
            self.layers, self.dependencies, self.key_dependencies = dict(layers), dependencies, key_dependencies or {}
        else:
            make(self, layers, dependencies, key_dependencies)
            known.update(map(type, self.layers.values()))

    HighLevelGraph.__init__ = __init__


def remember_results_of_dask():
    """Dask applies each operation to empty arrays for the dtype of its result; here once for what they are."""
    try:
        from dask.array import utils
    except ImportError:
        return
    found, compute = {}, utils.compute_meta

    def kind(x):
        if not hasattr(x, "dtype"):
            return type(x), x
        meta = utils.meta_from_array(x)
        return type(meta), meta.dtype, meta.ndim

    def compute_meta(function, dtype, *args, **kwargs):
        key = function, dtype, *map(kind, args), *((name, kind(x)) for name, x in kwargs.items())
        try:
            if key not in found:
                found[key] = compute(function, dtype, *args, **kwargs)
        except TypeError:  # it cannot be told apart from others
            return compute(function, dtype, *args, **kwargs)
        return found[key]

    utils.compute_meta = compute_meta


def know_dtypes_of_strict():
    """array-api-strict compares the dtype of each new array with those of the standard, one after the other."""
    try:
        from array_api_strict import _array_object, _dtypes

        kind, every = _dtypes.DType, frozenset(_array_object._all_dtypes)
    except (ImportError, AttributeError):
        return
    compare = kind.__eq__

    def __eq__(self, other):
        return self._np_dtype == other._np_dtype if type(other) is kind else compare(self, other)

    kind.__eq__, _array_object._all_dtypes = __eq__, every


def patch():
    """All of it."""
    reuse_contexts_of_jax()
    remember_functions_of_dask()
    know_layers_of_dask()
    remember_results_of_dask()
    know_dtypes_of_strict()
