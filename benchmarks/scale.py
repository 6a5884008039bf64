"""Beyond the memory of one machine: rows in a file or in chunks of Dask, how often they are read, what is in memory.

A and y are Gaussian, so that a problem of any length is written block by block.  NumPy reads them from a file by
``np.memmap``, and Dask in chunks of rows from the same file; the operating system keeps in its own memory what it can
of a file, as it would for any program.
"""

from __future__ import annotations

import shutil
import tempfile
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks._base import BACKENDS, Case, _Benchmark, _Solves, distance, host, measures
from benchmarks._contests import DIRECT, Solve, _Peers, named
from benchmarks._grid import listed_libraries
from benchmarks._problems import LAM, CountedRows
from xpsolve import (
    LeastSquares,
    Logistic,
    elastic_net,
    gradient_descent,
    lasso,
    lasso_cv,
    lasso_path,
    lstsq,
    newton,
    ridge,
    ridge_cv,
    sgd,
)

_P = 32
_CHUNK = 20_000  # rows of a chunk of Dask, 5 MB
_BATCH = 1000  # rows of a batch of a stream
_ON_DISK = tuple(name for name in BACKENDS if name in ("numpy", "dask"))
_DEVICES = ("numpy", *(name for name in BACKENDS if name.startswith("jax")))


@dataclass(frozen=True)
class _File:
    """Rows of A in a file, which is there as long as A is, and y in memory."""

    A: np.memmap[Any, Any]
    y: np.ndarray

    @classmethod
    def of(cls, n: int, p: int = _P) -> _File:
        folder, rng = tempfile.mkdtemp(), np.random.default_rng(n)
        path = Path(folder) / "A.npy"
        A = np.lib.format.open_memmap(path, "w+", "float64", (n, p))
        x, y = rng.standard_normal(p) * (np.arange(p) % 4 == 0), np.empty(n)
        for i in range(0, n, _CHUNK):
            A[i : i + _CHUNK] = rng.standard_normal(A[i : i + _CHUNK].shape)
            y[i : i + _CHUNK] = A[i : i + _CHUNK] @ x + rng.standard_normal(len(y[i : i + _CHUNK]))
        A.flush()
        A = np.load(path, mmap_mode="r")
        weakref.finalize(A, shutil.rmtree, folder, ignore_errors=True)
        return cls(A, y)

    def on(self, library: str) -> tuple[Any, Any]:
        """A and y for NumPy, or in chunks of Dask."""
        if library == "numpy":
            return self.A, self.y
        import dask.array as da

        return da.from_array(self.A, chunks=(_CHUNK, self.A.shape[1])), da.from_array(self.y, chunks=_CHUNK)

    def batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows and their classes, in order."""
        for i in range(0, len(self.y), _BATCH):
            yield np.asarray(self.A[i : i + _BATCH]), np.sign(self.y[i : i + _BATCH])


_CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "ridge": lambda A, y: ridge(A, y, 1.0, method="normal", check_finite=False),
    "lstsq": lstsq,
    "lasso": lambda A, y: lasso(A, y, 0.1 * A.shape[0]),
    "elastic_net": lambda A, y: elastic_net(A, y, 0.1 * A.shape[0], 0.5),
    "lasso_path": lambda A, y: lasso_path(A, y, n_lams=20, ratio=0.1),
    "ridge_cv": lambda A, y: ridge_cv(A, y, [0.1, 1.0, 10.0]),
    "lasso_cv": lambda A, y: lasso_cv(A, y, folds=5, n_lams=20, ratio=0.1),
    "newton": lambda A, y: newton(Logistic(A, 2.0 * (y > 0) - 1, LAM)),
    "gradient_descent": lambda A, y: gradient_descent(LeastSquares(A, y, LAM), tol=0.0, max_iter=10),
}


class _OnDisk(_Solves):
    """The same call on a file, by blocks of rows or chunks of Dask; the error is the distance from that in memory."""

    family = "beyond one machine"
    x = "n"
    tol = 1e-6
    counted = False
    repeat = (3, 7, 1.0)

    def made(self, backend: Any, method: str, n: int) -> Case:
        """The call on rows of a file on this backend."""
        rows = _File.of(n)
        call = partial(_CALLS[method], *rows.on(backend.name))
        return Case(call, lambda s: distance(s.x, host(_CALLS[method](np.array(rows.A), rows.y).x)))


class RidgeInSamples(_OnDisk):
    """One pass for the Gram matrix and one for the certificate: exponent 1, from 5 MB to 80 MB."""

    title = "Ridge on rows in a file in their number"
    cost = "ridge"
    fixed = {"p": _P, "method": "normal"}
    param_names = ("backend", "n")
    params = (_ON_DISK, (20_000, 40_000, 80_000, 160_000, 320_000))
    profiles = {"quick": {}}

    def prepare(self, backend, n):
        return self.made(backend, "ridge", n)


class InSamples(_OnDisk):
    """Two passes for the lasso, one for a step of Newton's method."""

    title = "Lasso and logistic regression on rows in a file in their number"
    fixed = {"p": _P}
    param_names = ("backend", "method", "n")
    params = (_ON_DISK, ("lasso", "newton"), (20_000, 40_000, 80_000, 160_000, 320_000))
    profiles = {"quick": {"method": ["lasso"]}}

    def prepare(self, backend, method, n):
        return self.made(backend, method, n)


class Passes(_Benchmark):
    """How often all rows are read, which of data that do not fit into memory is the whole time.

    Dask makes chunks anew whenever they are read, and a stream yields its batches; what NumPy reads of a file nobody
    counts.
    """

    family = "beyond one machine"
    title = "Passes over rows in chunks"
    param_names = ("backend", "method")
    params = (_ON_DISK, (*_CALLS, "sgd"))
    profiles = {"quick": {}}
    fixed = {"n": 2000, "p": 8}

    def prepare(self, backend, method):
        if backend.name == "numpy" and method != "sgd":
            raise SkipNotImplemented("what is read of a file is not counted")
        rng = np.random.default_rng(0)
        A = rng.standard_normal((self.fixed["n"], self.fixed["p"]))
        y = A[:, :3].sum(axis=1) + rng.standard_normal(len(A))
        return CountedRows(np.column_stack([A, y]), 250)

    @measures("count", "passes")
    def track_passes(self, *values: Any) -> float:
        rows, method = self._case(values), values[1]
        rows.read = 0
        if method == "sgd":
            model = partial(Logistic, lam=LAM)
            sgd(model, batches=((part[:, :-1], np.sign(part[:, -1])) for part in rows.parts()), tol=1e9)
        else:
            A, y = rows.array[:, :-1], rows.array[:, -1]
            host(_CALLS[method](A, y).x)
        return rows.passes


class Memory(_Benchmark):
    """Most bytes that one call has allocated at once; the data are 256 bytes a row, and stay in the file."""

    family = "beyond one machine"
    title = "Memory of calls on rows in a file"
    x = "n"
    fixed = {"p": _P}
    param_names = ("backend", "method", "n")
    params = (_ON_DISK, ("ridge", "lasso", "newton"), (40_000, 160_000, 640_000))
    profiles = {"quick": {"method": ["ridge"]}}

    def prepare(self, backend, method, n):
        rows = _File.of(n)
        call = partial(_CALLS[method], *rows.on(backend.name))
        host(_CALLS[method](*_File.of(2000).on(backend.name)).x)  # imports, and what is made once
        return lambda: host(call().x), rows

    @measures("memory", "bytes")
    def track_peak(self, *values: Any) -> int:
        call, _ = self._case(values)
        tracemalloc.start()
        try:
            call()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


class Devices(_Solves):
    """Rows spread over the devices of JAX: each sums its own, and sums of the size of a Gram matrix travel.

    NumPy on its one device stands beside.
    """

    family = "beyond one machine"
    title = "Ridge on rows spread over devices in the number of these"
    x = "devices"
    tol = 1e-8
    fixed = {"n": 131_072, "p": 64}
    param_names = ("backend", "devices")
    params = (_DEVICES, (1, 2, 4, 8))

    def prepare(self, backend, devices):
        rng = np.random.default_rng(0)
        A = rng.standard_normal((self.fixed["n"], self.fixed["p"]))
        y = A.sum(axis=1) + rng.standard_normal(len(A))
        there = _spread((A, y), backend.name, devices)
        return Case(lambda: ridge(*there, 1.0), lambda s: distance(s.x, ridge(A, y, 1.0).x))


def _spread(parts: tuple[np.ndarray, ...], library: str, devices: int) -> tuple[Any, ...]:
    """Arrays of which so many devices hold some rows each."""
    if library == "numpy":
        there: list[Any] = ["cpu"]
    else:
        import jax
        from jax.sharding import Mesh, NamedSharding, PartitionSpec

        there = jax.devices("gpu" if library == "jax-gpu" else "cpu")
    if devices > len(there):
        raise SkipNotImplemented(f"devices: {devices} asked for, {len(there)} here")
    if library == "numpy":
        return parts
    rows = NamedSharding(Mesh(np.asarray(there[:devices]), ("rows",)), PartitionSpec("rows"))
    return tuple(jax.device_put(part, rows) for part in parts)


# --- beside other libraries --------------------------------------------------------------------------


def _dask_sum(rows: _File) -> Solve:
    """As one writes it by hand: both sums in one pass, and a small system."""
    import dask

    A, y = rows.on("dask")
    sums, identity = (A.T @ A, A.T @ y), np.eye(_P)

    def solve(_: float) -> np.ndarray:
        gram, right = dask.compute(*sums)
        return np.linalg.solve(gram + identity, right)

    return solve


class RidgeInFile(_Peers):
    """The sums of a ridge problem by blocks of rows; ours also checks its answer, in a second pass."""

    family = "beyond one machine"
    title = "Ridge on rows in a file, beside sums of Dask"
    tol = 1e-10
    tolerances = DIRECT
    solvers = {"xpsolve": lambda rows: lambda _: _CALLS["ridge"](rows.A, rows.y).x, "dask": _dask_sum}
    param_names = ("library", "n")
    params = (listed_libraries(solvers), (80_000, 320_000))
    profiles = {"quick": {"n": [80_000]}}

    def problem(self, n):
        return _File.of(n)

    def error(self, problem, answer):
        A, y = np.array(problem.A), problem.y
        return distance(answer, np.linalg.solve(A.T @ A + np.eye(_P), A.T @ y))


def _passes(rows: _File, count: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for _ in range(int(count)):
        yield from rows.batches()


def _partial_fit(rows: _File) -> Solve:
    options = {"loss": "log_loss", "alpha": LAM, "fit_intercept": False, "random_state": 0}

    def solve(count: float) -> np.ndarray:
        model = named("sklearn.linear_model.SGDClassifier", **options)()
        for A, y in _passes(rows, count):
            model.partial_fit(A, y, classes=(-1.0, 1.0))
        return model.coef_[0]

    return solve


def _stream(rows: _File) -> Solve:
    model = partial(Logistic, lam=LAM, check_finite=False)
    return lambda count: sgd(model, batches=_passes(rows, count), tol=1e9).x


class LogisticInFile(_Peers):
    """Batches of a thousand rows, in as few passes as bring the excess of f to a hundredth of that at 0."""

    family = "beyond one machine"
    title = "Logistic regression on rows in a file by SGD, to a hundredth of the excess at 0"
    tol = 1e-2
    tolerances = (1, 2, 4, 8)  # passes
    solvers = {"xpsolve": _stream, "scikit-learn": _partial_fit}
    param_names = ("library", "n")
    params = (listed_libraries(solvers), (20_000, 80_000))
    profiles = {"quick": {"n": [20_000]}}

    def problem(self, n):
        return _File.of(n)

    def error(self, problem, answer):
        f = Logistic(np.array(problem.A), np.sign(problem.y), LAM)
        least, first = (float(f.value(x)) for x in (newton(f).x, np.zeros(_P)))
        return (float(f.value(host(answer))) - least) / (first - least)
