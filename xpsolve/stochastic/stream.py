"""What a stochastic method plans: sample numbers, step sizes and the first x, checked, for its steps to follow.

How steps are taken along such a stream is in `xpsolve.stochastic.steps`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xpsolve.arrays import (
    MOST,
    Array,
    check_callable,
    check_count,
    check_number,
    check_positive,
    device_of,
    enter,
    is_array,
    is_concrete,
    is_scalar,
    library,
    namespace_of,
)
from xpsolve.guides import guide
from xpsolve.operators import Dense, Rows, Sparse
from xpsolve.solution import Callback
from xpsolve.stochastic._run import Start, begin
from xpsolve.stochastic._units import Units, rescaled
from xpsolve.stochastic.block import Rows as SampleRows
from xpsolve.stochastic.block import apart, rows_of
from xpsolve.stochastic.compiled_steps import Host
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.objectives import check_one_column


@dataclass(frozen=True)
class Stream:
    """Sample numbers, step sizes, and the first x, checked, in the units of the model.

    `steps` is (K,), or (R, K) for R runs at once; `indices` has `batch` samples for each step, one after another;
    `X` is (p, m) or (R, p, m), with m = 1 for a model with one number per sample.
    """

    start: Start
    X: Array
    indices: np.ndarray[Any, Any]
    steps: np.ndarray[Any, Any]
    lam: float
    runs: int | None  # None for one run
    batch: int = 1  # samples per step

    @property
    def model(self) -> LinearModel:
        """The objective."""
        f: LinearModel = self.start.f
        return f

    @property
    def units(self) -> Units:
        """Of the model."""
        assert self.start.units is not None
        return self.start.units

    @property
    def length(self) -> int:
        """Number of steps K."""
        return int(self.steps.shape[-1])

    @cached_property
    def groups(self) -> tuple[tuple[str, float], ...]:
        """A name and the λ of the groups of entries of x that shrink differently: all, or x and the intercept."""
        both = self.model.frame is not None and self.lam > 0
        return (("", self.lam), (" of the intercept", 0.0)) if both else (("", self.lam),)

    def parted(self, X: Array) -> tuple[Array, ...]:
        """X in these groups."""
        return (X,) if len(self.groups) == 1 else (X[..., :-1, :], X[..., -1:, :])

    def rows(self, index: Array) -> list[tuple[str, SampleRows]]:
        """The groups with the rows of some samples (…, B) in them."""
        rows = rows_of(self.model.operator, index)
        names = [name for name, _ in self.groups]
        return list(zip(names, (rows,) if len(names) == 1 else apart(rows), strict=True))

    def joined(self, parts: Sequence[Array]) -> Array:
        """X from its groups."""
        return parts[0] if len(parts) == 1 else self.model.xp.concat(list(parts), axis=-2)

    def samples(self, index: Array) -> tuple[Array, Array | None]:
        """y of some samples (…, B), as (…, B, m), and their weights as (…, B, 1)."""
        xp, y, weights = self.model.xp, self.model.y, self.model.weights
        flat = xp.reshape(index, (-1,))
        columns = y.shape[1] if y.ndim == 2 else 1
        taken = xp.reshape(xp.take(y, flat, axis=0), (*index.shape, columns))
        return taken, None if weights is None else xp.reshape(xp.take(weights, flat), (*index.shape, 1))

    def lines(self, X: Array) -> Host:
        """X of NumPy, as (R, m, p)."""
        lines: Host = np.swapaxes(X, -1, -2).reshape(-1, X.shape[-1], X.shape[-2])
        return lines

    def columns(self, lines: Host) -> Array:
        """X from that."""
        return np.ascontiguousarray(np.swapaxes(lines, -1, -2)).reshape(self.X.shape)

    def shaped(self, X: Array) -> Array:
        """X with the shape that the caller knows."""
        return X if len(self.model.shape) == 2 else X[..., 0]

    def outside(self, X: Array) -> tuple[Array, Array | None]:
        """X as the caller knows it, and its intercept."""
        return self.start.shown(self.shaped(X))

    def certificate(self, X: Array) -> Array:
        """Of each run."""
        x = self.shaped(X)
        g = self.model.gradient(x)
        measures = self.start.size(g, axis=tuple(range(g.ndim - len(self.model.shape), g.ndim))) / self.start.scale
        if self.units.D is None:
            return measures
        xp = self.model.xp
        return xp.where(self.units.representable(x), measures, xp.full_like(measures, xp.nan))

    def moved(self, values: np.ndarray[Any, Any]) -> Array:
        """Numbers from the host, moved to the device of the data; integers keep their dtype."""
        xp = self.model.xp
        dtype = self.model.y.dtype if values.dtype.kind == "f" else xp.int64
        there = np.array(values, order="C")  # no negative strides, which torch does not take
        return xp.asarray(there, dtype=dtype, device=device_of(self.model.y), copy=True)


@dataclass(frozen=True)
class Options:
    """The arguments that stochastic methods share."""

    indices: Any
    epochs: int | None  # None is 10
    step0: Any
    warmup: float | None
    block: int | str
    record_every: int | None
    seed: int
    tol: float
    callback: Callback
    step_name: str = "step0"
    batch: int = 1

    def __post_init__(self) -> None:
        if self.epochs is not None:
            check_count(self.epochs, "epochs", 0, MOST)
        object.__setattr__(self, "tol", check_number(self.tol, "tol", minimum=0))
        check_count(self.batch, "batch", 1, MOST)
        if not (isinstance(self.block, str) and self.block in ("auto", "compiled")):
            check_count(self.block, "block", 1)
        if self.record_every is not None:
            check_count(self.record_every, "record_every", 1)
        if self.warmup is not None:
            object.__setattr__(self, "warmup", check_positive(self.warmup, "warmup"))
        check_count(self.seed, "seed", 0)
        check_callable(self.callback, "callback")

    def stream(self, f: LinearModel, x0: Array | None, rule: Callable[[Any, Any, float], Any]) -> Stream:
        """The stream, with the steps rule(k, τ₀, k₀) for k = 0, 1, …."""
        x, runs = first_of_run(f, x0)
        tau0 = None if self.step0 is None else checked_step(self.step0, self.step_name, runs)
        shape = () if runs is None else (runs,)
        if self.indices is None:
            epochs = 10 if self.epochs is None else self.epochs
            length = -(-epochs * f.n // self.batch) * self.batch
            numbers = np.random.default_rng(self.seed).integers(f.n, size=(*shape, length))
        else:
            numbers = _check_indices(self.indices, f.n, shape)
        if numbers.shape[-1] % self.batch:
            message = f"indices: expected a multiple of batch = {self.batch} sample numbers, got {numbers.shape[-1]}."
            raise ValueError(message)
        stream, tau0 = self.begun(f.centred(), x, runs, tau0)
        k = np.arange(numbers.shape[-1] // self.batch, dtype=np.float64)
        steps = np.broadcast_to(np.asarray(rule(k, tau0, self.warmup or f.n / self.batch)), (*shape, k.size))
        return replace(stream, indices=numbers, steps=steps)

    def begun(self, f: LinearModel, x: Array | None, runs: int | None, tau0: Any) -> tuple[Stream, Any]:
        """The stream of a centred model without sample numbers and steps, and τ₀, in its units."""
        start = begin(f, None)
        lam_ = start.f.largest_lam()
        beyond = f.xp.where(f.xp.isfinite(start.scale), lam_, f.xp.full_like(lam_, f.xp.nan))
        lam, worst = self._planned(beyond, start.f, tau0)
        if math.isnan(lam):  # numbers beyond the range of the dtype
            units = rescaled(f, columns=False)
            start = start if units is None else begin(f, None, units)
            lam, worst = self._planned(start.f.largest_lam(), start.f, tau0)
        if tau0 is None:
            tau0 = 1 / worst if worst > 0 else 1.0
        elif start.units is not None and start.units.D is not None:
            tau0 = tau0 / float(start.units.D) / float(start.units.D)
        assert start.units is not None
        x = start.x if x is None else start.units.inside(f.inside(x))
        X = x if len(f.shape) == 2 else x[..., None]
        return Stream(start, X, np.zeros(0, np.int64), np.zeros(0), lam, runs, self.batch), tau0

    def planned(self, f: LinearModel) -> tuple[float, float]:
        """λ and τ₀ of one run, 1/L of the worst sample of f where no step is given."""
        tau0 = None if self.step0 is None else checked_step(self.step0, self.step_name, None)
        lam, worst = self._planned(f.largest_lam(), f, tau0)
        return lam, float((1 / worst if worst > 0 else 1.0) if tau0 is None else tau0)

    def _planned(self, lam: Array, f: LinearModel, tau0: Any) -> tuple[float, float]:
        """λ, and the Lipschitz constant of the worst sample where no step is given, in one host read."""
        remedies = {
            "lam": "Use gradient_descent, which follows lam.",
            "A": f"Give {self.step_name}, and it is a constant.",
        }
        if tau0 is not None:
            return _numbers(remedies, lam)[0], 0.0
        lam_, worst = _numbers(remedies, lam, f.sample_lipschitz())
        return lam_, worst


def _numbers(remedies: Mapping[str, str], *numbers: Array) -> list[float]:
    """Refuse, by name, derivatives of what is used to plan steps on the host: they would be silently lost."""
    if not hasattr(numbers[0], "tolist"):
        return [float(x) for x in numbers]
    try:
        return [numbers[0].tolist()] if len(numbers) == 1 else namespace_of(numbers[0]).stack(numbers).tolist()
    except TypeError:
        name, remedy = next(pair for pair, x in zip(remedies.items(), numbers, strict=False) if not _is_readable(x))
        message = f"{name}: steps are planned on the host, where its derivative would be silently lost. {remedy}"
        raise TypeError(message) from None


def _is_readable(x: Array) -> bool:
    try:
        x.tolist()
    except TypeError:
        return False
    return True


def first_of_run(f: Any, x0: Array | None, *, file: bool = False) -> tuple[Array | None, int | None]:
    """The objective checked, whose A may be in a file; the first x where one is given, and how many runs it starts."""
    if not isinstance(f, LinearModel):
        message = f"f: expected LeastSquares, Huber, Logistic or Multinomial, got {type(f).__qualname__}."
        raise TypeError(message)
    check_one_column(f)
    if not isinstance(f.matrix, (Rows | Dense | Sparse) if file else Dense | Sparse):
        message = f"f: expected a dense or sparse A, with accessible rows, got {f.operator!r}."
        raise TypeError(message)
    if not file and library(namespace_of(f.y)) == "dask":
        message = "f: expected arrays in memory, got those of Dask. Compute them before: A, y = dask.compute(A, y)."
        raise TypeError(message)
    if not is_concrete(f.y, f.lam):
        message = (
            f"f: expected concrete arrays, not tracers. Steps are planned on the host, not possible under jax.jit. "
            f"{guide('jit')}"
        )
        raise ValueError(message)
    if x0 is None:
        return None, None
    xp, (x, _) = enter(x0=x0, y=f.y)
    extra = x.ndim - len(f.shape)
    if extra not in (0, 1) or tuple(x.shape[extra:]) != f.shape or 0 in x.shape:
        last = ", the intercept last" if f.intercept else ""
        message = f"x0: expected shape {f.shape}{last}, or (runs, …) before it, got {tuple(x.shape)}."
        raise ValueError(message)
    if extra and (file or isinstance(f.matrix, Sparse)):
        kind = "an A in a file" if file else "a sparse A"
        message = f"x0: expected shape {f.shape} for {kind}, got {x.shape[0]} runs. Run them one after another."
        raise ValueError(message)
    return (x if x.dtype == f.y.dtype else xp.astype(x, f.y.dtype)), int(x.shape[0]) if extra else None


def _check_indices(indices: Any, n: int, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    try:
        numbers = np.asarray(indices)
    except (TypeError, ValueError, RuntimeError):
        kind = type(indices).__name__
        message = f"indices: expected a sequence of integers on the host, got an object of type {kind}."
        raise TypeError(message) from None
    if numbers.dtype.kind not in "iu" or numbers.ndim not in (1, 1 + len(shape)) or numbers.size == 0:
        wanted = "(steps,)" if not shape else f"(steps,) or ({shape[0]}, steps)"
        message = f"indices: expected integers of shape {wanted}, got {numbers.dtype} of shape {numbers.shape}."
        raise ValueError(message)
    if numbers.ndim == 2 and numbers.shape[:1] != shape:
        message = f"indices: expected one row for each of {shape[0]} runs, got shape {numbers.shape}."
        raise ValueError(message)
    if numbers.min() < 0 or numbers.max() >= n:
        message = f"indices: expected sample numbers from 0 to {n - 1}, got {numbers.min()} to {numbers.max()}."
        raise ValueError(message)
    return np.broadcast_to(numbers, (*shape, numbers.shape[-1])).astype(np.int64)


def checked_step(value: Any, name: str, runs: int | None) -> Any:
    """A positive number, or one for each run as a column."""
    wanted = "a positive number" + ("" if runs is None else f", or {runs} of them")
    if is_scalar(value):
        return check_positive(value, name)
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str | bytes):
        kind = type(value).__name__
        what = f"an object of type {kind}" if not is_array(value) else f"an array of shape {tuple(value.shape)}"  # type: ignore[union-attr]
        message = f"{name}: expected {wanted}, got {what}."
        raise TypeError(message)
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros(())
    if numbers.shape != (runs,) or not bool(np.all((numbers > 0) & np.isfinite(numbers))):
        message = f"{name}: expected {wanted}, got {value!r}."
        raise ValueError(message)
    return numbers[:, None]
