"""Stochastic average gradient on samples in a file or of Dask: a step is on all samples of a chunk drawn at random.

With B chunks C the objective is the mean of B functions, n_C·B/n times the mean loss on C, and the method that for the
B functions (Schmidt, Le Roux & Bach 2017, their §4.3).  Its step is 1/L for the largest L of these,

    L = (B/n) sup ℓ″ max_C ‖W̃^½A_C‖² + λ,

which is hardly larger than that of f where a chunk has many more samples than features.  Chunks are drawn with
replacement: to go through them in order would need a step that is B times smaller, as would steps on one sample after
another of a chunk, since all that is remembered of the others is as old as the last visit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from xpsolve.arrays import Array
from xpsolve.operators import Rows
from xpsolve.solution import Progress, Solution
from xpsolve.stochastic._row_model import RowModel, row_model
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.sag_memory import SagMemory
from xpsolve.stochastic.steps import Record, history_of, solution_of
from xpsolve.stochastic.stream import Options, Stream, checked_step, first_of_run

_BYTES, _MOST = 2**20, 2**24  # of a chunk, where its length is left to us: many steps in an epoch, few seeks on a disk
_SAMPLES = 8  # of a chunk for each feature, with which its L is hardly larger than that of f


def average_in_chunks(
    f: LinearModel, x0: Array | None, alpha: Array | None, seen: np.ndarray[Any, Any] | None, o: Options
) -> Solution:
    """The steps of all epochs, from what a run before has remembered."""
    for name, is_given, why in (
        ("indices", o.indices is not None, "whose chunks are drawn"),
        ("block", o.block != "auto", "where a step is on a chunk; xs.Rows(…, block=…) says of how many rows"),
    ):
        if is_given:
            message = f"{name}: expected none for an A in a file or of Dask, {why}."
            raise ValueError(message)
    x, _ = first_of_run(f, x0, file=True)
    matrix = f.matrix
    if isinstance(matrix, Rows) and not matrix.slices:
        message = (
            "f: expected an A with slices of rows, since chunks are drawn at random, got rows from a function, which "
            "makes them in its own order. Use sgd or sga, or gradient_descent."
        )
        raise TypeError(message)
    given = None if o.step0 is None else checked_step(o.step0, o.step_name, None)
    f = row_model(f.centred(), block=_bytes(f))
    stream, tau = o.begun(f, None if x is None else f.small(x), None, 1.0 if given is None else given)
    model = cast(RowModel, stream.model)
    L = model.chunk_lipschitz() if given is None else 1 / tau
    run = _Run(stream, float(1 / L) if L > 0 else 1.0, alpha, seen, o)
    steps = (10 if o.epochs is None else o.epochs) * model.n_chunks
    for chunk in np.random.default_rng(o.seed).integers(model.n_chunks, size=steps):
        if run.over(int(chunk)):
            break
    return run.solution()


def _bytes(f: LinearModel) -> int:
    """Of a chunk."""
    p = f.matrix.shape[1]
    return min(max(_BYTES, _SAMPLES * p * p * int(f.y.dtype.itemsize)), _MOST)


class _Run:
    """Where the descent is, and what it remembers; the answer so far is X (p, m)."""

    def __init__(
        self, stream: Stream, tau: float, alpha: Array | None, seen: np.ndarray[Any, Any] | None, o: Options
    ) -> None:
        self.stream, self.tau, self.o, self.model = stream, tau, o, cast(RowModel, stream.model)
        model, b = self.model, stream.units.b
        self.x = stream.shaped(stream.X)
        if alpha is None or seen is None:
            self.alpha, self.seen, self.g = (
                np.zeros(model.y.shape, model.y.dtype),
                np.zeros(model.n, dtype=bool),
                0 * self.x,
            )
        else:
            alpha = np.array(alpha)
            self.alpha = alpha if b is None else alpha / b
            self.seen, self.g = seen.copy(), model.adjoint(self.alpha)
        self.count, self.done, self.reads = int(np.sum(self.seen)), 0, 0
        self.asked = -model.n_chunks
        self.finite, self.stopped = True, False
        self.kept: list[Array] = []
        self.at: list[int] = []

    @property
    def X(self) -> Array:
        """The answer so far, (p, m)."""
        return self.x if self.x.ndim == 2 else self.x[:, None]

    def over(self, chunk: int) -> bool:
        """Take the step of a chunk; whether that was the end."""
        o, model = self.o, self.model
        if o.record_every is not None and self.done % o.record_every == 0:
            self._keep()
        rows, part = model.chunk(chunk)
        new = part._slopes(part._margins(self.x))
        self.g = self.g + part._adjoint(new - self.alpha[rows])
        self.count += int(np.sum(~self.seen[rows]))
        self.alpha[rows], self.seen[rows] = new, True
        self.x = self.x - self.tau * (self.g / self.count + model.lam * self.x)
        self.done, self.finite = self.done + 1, bool(np.all(np.isfinite(self.x)))
        if o.callback is not None and self.finite:
            x, intercept = self.stream.outside(self.X)
            self.stopped = bool(o.callback(self.done, Progress(x, None, intercept)))
        return self.stopped or not self.finite or self._solved()

    def _solved(self) -> bool:
        """Whether the certificate is within its tolerance: asked once an epoch, where the memory suggests it."""
        start, model = self.stream.start, self.model
        if self.done < self.asked + model.n_chunks or self.count < model.n:
            return False
        if not start.size(self.g / model.n + model.lam * self.x) <= self.o.tol * start.scale:
            return False
        self.asked, self.reads = self.done, self.reads + 1
        return bool(self.stream.certificate(self.X) <= self.o.tol)

    def _keep(self) -> None:
        self.kept.append(self.X)
        self.at.append(self.done)

    def solution(self) -> Solution:
        """The answer, certified by a pass."""
        history, b = None, self.stream.units.b
        if self.o.record_every is not None:
            self._keep()
            history = history_of(self.stream, self.kept, self.at)
        size = int(self.model.bounds[1])
        how = Record(self.X, self.done, self.finite, self.stopped, self.reads, 0, size, False, history, {})
        found: Solution = self.model.delivered(solution_of(self.o, "sag", self.stream, how))
        memory = SagMemory(self.model.delivered(self.alpha if b is None else self.alpha * b), self.seen)
        return replace(found, stats={**found.stats, "memory": memory})
