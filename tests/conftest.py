"""The `xp` fixture: every backend and device that this machine has, each test on all of them."""

import functools
import gc
import importlib.metadata
import importlib.util
import os
import re
import sys
from pathlib import Path

import quick_libraries

# Read when a library is loaded, so before any import; the workers of pytest-xdist inherit them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # many small problems: threads of BLAS only wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")  # PyTorch and scikit-learn
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # float64 in must be float64 out
# What JAX has compiled is shared by the workers and by the next run; most kernels compile in milliseconds.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "jax"))
# Compiles in a third of the time, and shows JAX eight devices where there is one processor.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_force_host_platform_device_count=8" + quick_libraries.quick_xla_flags(),
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
if all(
    tuple(map(int, importlib.metadata.version(name).split(".")[:2])) >= least
    for name, least in (("scikit-learn", (1, 9)), ("scipy", (1, 14)))
):
    os.environ.setdefault("SCIPY_ARRAY_API", "1")  # with these scikit-learn takes any array, where this is set

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
import oracle
import pytest
import threadpoolctl

import xpsolve
import xpsolve.capabilities
from xpsolve.arrays import backends
from xpsolve.arrays.numba_loop import can_compile

# Programs and stand-ins of libraries, which hold neither tests nor examples.
collect_ignore_glob = ["helpers/*", "cupy_on_cpu/cupy/*", "cupy_on_cpu/cupyx/*", "gpu/[!t]*", "kernels.py"]

can_compile()  # loads Numba, so that small problems take their loops from the first test on, and not in the middle

_EMULATION = Path(__file__).parent / "cupy_on_cpu"
_found = importlib.util.find_spec("cupy")
EMULATED = (
    _found is None
    or Path(str(_found.origin)).is_relative_to(_EMULATION)  # on the path from outside
    or os.environ.get("XPSOLVE_EMULATED") == "1"
)
if EMULATED:  # CuPy's rules on the processor: this process alone sees it, programs that tests start do not
    sys.path.insert(0, str(_EMULATION))
    os.environ.setdefault("CUPY_PYLOPS", "0")  # PyLops looks for parts of CuPy that the emulation has not
sys.path.append(str(Path(__file__).parents[1]))  # of `benchmarks`, whose problems with known truth tests take

# A plugin of pytest may have loaded NumPy before this file was read.
threadpoolctl.threadpool_limits(int(os.environ["OPENBLAS_NUM_THREADS"]), user_api="blas")

for _name in oracle.TRUTHS:  # every answer that a test gets from xs.solver(...) is checked in extended precision
    setattr(xpsolve, _name, oracle.judged(_name, getattr(xpsolve, _name)))

hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.load_profile("deterministic")


@dataclass(frozen=True)
class Target:
    """One backend on one device, with a dtype: where a test runs."""

    name: str
    backend: backends.Backend
    device: Any
    dtype: str = "float64"
    readonly: bool = False
    flags: Any = None

    @property
    def xp(self):
        """The namespace."""
        return self.backend.namespace

    @property
    def exact(self):
        """Whether solvers are asked for many digits: not in float32, nor on Dask, where each iteration is a graph."""
        return self.dtype == "float64" and self.backend.name != "dask"

    @property
    def eps(self):
        """Rounding unit of the dtype."""
        return float(np.finfo(self.dtype).eps)

    def __call__(self, host, dtype=None):
        """Move host values there."""
        x = self.backend.asarray(np.array(host), dtype=dtype or self.dtype, device=self.device)
        if self.readonly:
            x.flags.writeable = False
        return x


@functools.cache
def _targets():
    found = []
    for name in backends.available():
        backend = backends.get(name)
        if name == "array-api-strict":
            _, device1, _, no_float64, _ = backend._devices
            found.append(Target("strict-device1", backend, device1))
            strictest = {"boolean_indexing": False, "data_dependent_shapes": False}
            found.append(Target("strictest", backend, device1, flags=strictest))
            found.append(Target("strict-no_float64", backend, no_float64, dtype="float32"))
        elif name == "cupy":
            label = "cupy-emulated" if EMULATED else "cupy"
            found.append(Target(label, backend, backend._devices[0]))
            found.append(Target(f"{label}-float32", backend, backend._devices[0], dtype="float32"))
        else:
            found.append(Target(name, backend, backend._devices[0]))
            if name == "numpy":
                found.append(Target("numpy-readonly", backend, "cpu", readonly=True))
    return found


def pytest_configure(config):
    config.addinivalue_line("markers", "of(name): the public function under test; runs where its capabilities say")
    config.addinivalue_line("markers", "numeric: computes with NumPy, so that its BLAS and its version matter")
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        _targets()  # before warnings are errors; the process that only hands out tests loads no library
        quick_libraries.patch()


def pytest_collection_finish():
    gc.freeze()  # libraries and tests stay: the collector need not look at their million objects again


def pytest_report_header(config):
    if EMULATED:
        return "cupy: EMULATED on the processor (tests/cupy_on_cpu); nothing here was run on a GPU"
    return None


def _declared(name):
    if name not in xpsolve.capabilities.TABLE:
        message = f"mark of({name!r}): no imported function of this name has the decorator @capabilities. "
        pytest.fail(message + "Decorate it, and import it in the __init__.py of its folder.", pytrace=False)
    return xpsolve.capabilities.TABLE[name]


def pytest_generate_tests(metafunc):
    if "xp" in metafunc.fixturenames:
        allowed = xpsolve.capabilities.EVERYWHERE
        for mark in metafunc.definition.iter_markers("of"):
            allowed = _declared(mark.args[0]).backends
        chosen = [t for t in _targets() if t.backend.name.removesuffix("-cuda").removesuffix("-gpu") in allowed]
        metafunc.parametrize("xp", chosen, ids=[t.name for t in chosen], indirect=True)


SUBJECTS = {"arrays", "autodiff", "linear", "networks", "operators", "stochastic", "transport"}
OTHERS = re.compile("torch|jax|dask|strict|cupy|readonly")  # they have their own BLAS, or round like NumPy


def _runs(name, case):
    """Whether a case between the first and the last of one test runs on the target of this name."""
    if name in ("strict-no_float64", "cupy-emulated-float32"):
        return (case % 2 == 0) == name.startswith("strict")
    return name not in ("jax", "dask", "strict-device1")


def _without_costly_cases(items):
    """The first and the last case of each test run everywhere, and those between them once for each kind of fault.

    JAX and Dask pay seconds for each new shape: they run the two alone.  What array-api-strict allows as "strictest"
    it allows on the same device without those flags.  In float32 it takes turns with the emulated CuPy; both run all in
    float64, as NumPy and PyTorch do.  With XPSOLVE_ALL_CASES=1 everything runs everywhere.
    """
    if os.environ.get("XPSOLVE_ALL_CASES"):
        return items
    cases = {}
    for item in items:
        target = getattr(item, "callspec", None) and item.callspec.params.get("xp")
        if isinstance(target, Target):
            cases.setdefault((item.path, item.originalname, target.name), []).append(item)
    left_out = {
        id(item)
        for (_, _, name), same in cases.items()
        for case, item in enumerate(same[1:-1])
        if not _runs(name, case)
    }
    return [item for item in items if id(item) not in left_out]


def pytest_collection_modifyitems(items):
    items[:] = _without_costly_cases(items)
    for item in items:
        subject = item.path.parent.name in SUBJECTS or item.path.stem in ("test_equivariance", "test_smooth_max")
        if subject and item.path.is_relative_to(Path(__file__).parent) and not OTHERS.search(item.name):
            item.add_marker("numeric")


@contextmanager
def no_hidden_waits():
    """Fails where the package waits for the emulated device by anything but a plain read of a number.

    `xs.count` sees reads.  It does not see what CuPy waits for inside: a mask, a sparse product, a shape that depends
    on values.
    """
    from cupy import emulator

    with emulator.counting() as counts:
        yield
    package = str(Path(xpsolve.__file__).parent)
    hidden = [site for site in counts.sites if site.startswith(package) and not PLAIN_READ.search(site)]
    assert not hidden, "hidden waits for the device:\n" + "\n".join(sorted(hidden))


# reads of numbers, arrays that a test or a report wants on the host, and operations of the caller's own function
PLAIN_READ = re.compile(
    r" (bool|int|float|item|tolist)$|/arrays/backends\.py:\d+ get$|/(autodiff/levels|trace/wrapper)\.py:"
)


@pytest.fixture
def xp(request):
    """The `Target` that a test runs on."""
    target = request.param
    if target.name.startswith("cupy-emulated"):
        context = no_hidden_waits()
    elif target.flags is None:
        context = nullcontext()
    else:
        import array_api_strict

        context = array_api_strict.ArrayAPIStrictFlags(**target.flags)
    with context:
        yield target


@pytest.fixture
def targets():
    """All targets at once."""
    return _targets()


@pytest.fixture
def rng():
    """Random numbers, the same each time."""
    return np.random.default_rng(20)
