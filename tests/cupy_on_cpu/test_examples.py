"""The examples of the documentation run with cupy in the place of numpy: none of them needs more than an array."""

import doctest
import importlib
import pkgutil

import numpy
import pytest

import xpsolve

cupy = pytest.importorskip("cupy")

# on the host by nature: reports, benchmarks, costs, and data that is made by NumPy until it is moved
ELSEWHERE = tuple(
    f"xpsolve.{name}" for name in ("report", "bench", "cli", "costs", "capabilities", "files", "problems")
)
OF_NUMPY = (
    "xpsolve.operators.base.LinearOperator.to_scipy",  # SciPy's operators take no other arrays
    "xpsolve.arrays.numba_loop.numba_loop",  # nor do Numba's loops
    "xpsolve.operators.rows.Rows",  # blocks of a file are of NumPy
    "xpsolve.operators.rows.Rows.batches",
)


class _Random:
    """NumPy's generator, whose numbers arrive on the device."""

    def __init__(self, seed=None):
        self._rng = numpy.random.default_rng(seed)

    def __getattr__(self, name):
        def draw(*args, **options):
            args = [x.get() if isinstance(x, cupy.ndarray) else x for x in args]
            out = getattr(self._rng, name)(*args, **options)
            return cupy.asarray(out) if isinstance(out, numpy.ndarray) else out

        return draw


class _Numpy:
    """cupy under the name np; what it does not have (finfo, testing, …) is NumPy's."""

    class random:
        default_rng = _Random

    def __getattr__(self, name):
        return getattr(cupy, name, None) or getattr(numpy, name)


class _Scipy:
    class sparse:
        @staticmethod
        def eye_array(n):
            return importlib.import_module("cupyx.scipy.sparse").csr_matrix(cupy.eye(n))


INSTEAD = {"import numpy as np": ("np", _Numpy()), "import scipy.sparse": ("scipy", _Scipy())}


def examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    for info in pkgutil.walk_packages(xpsolve.__path__, "xpsolve."):
        if not info.name.startswith(ELSEWHERE) and not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            yield from (t for t in finder.find(module, globs={}) if t.examples and t.name not in OF_NUMPY)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
@pytest.mark.parametrize("test", list(examples()), ids=lambda test: test.name)
def test_the_example_runs(test, capsys):
    run_example(test)


def run_example(test, others=()):
    """Run the lines of an example, with other values of some names."""
    names = {**vars(importlib.import_module("xpsolve")), "__name__": "__main__", **dict(others)}
    for example in test.examples:
        line = example.source.strip()
        if line in INSTEAD:
            name, module = INSTEAD[line]
            names[name] = module
            continue
        try:
            exec(compile(example.source, test.name, "single"), names)
        except Exception:
            if not example.exc_msg:
                raise
