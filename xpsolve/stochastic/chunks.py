"""Stochastic methods on samples in a file or of Dask: chunk after chunk, each read once in an epoch.

A step on one sample drawn from all would read a few numbers from anywhere in the file, which is as slow as reading all
that lies around them.  So an epoch goes through the chunks of the file in random order, and through the samples of each
in random order, all of them once (Mishchenko, Khaled & Richtárik 2020).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from xpsolve.arrays import Array
from xpsolve.operators import Dense, Rows
from xpsolve.operators.rows import is_long, read_by_rows
from xpsolve.solution import Progress, Solution
from xpsolve.stochastic._row_model import RowModel, row_model
from xpsolve.stochastic.batches import Way
from xpsolve.stochastic.compiled_steps import why_not
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.steps import Record, by_rows, history_of, pace_of_stream, solution_of
from xpsolve.stochastic.stream import Options, Stream, checked_step, first_of_run


def in_chunks(f: Any, indices: Any) -> bool:
    """Whether the samples of f are in a file and the order of the steps is left to us, or they are of Dask."""
    matrix = f.matrix if isinstance(f, LinearModel) else None
    if not isinstance(matrix, Dense):
        return isinstance(matrix, Rows)
    if isinstance(matrix.A, np.memmap):
        return indices is None and is_long(matrix.A)
    return read_by_rows(matrix.A)


def descend_in_chunks(f: LinearModel, x0: Array | None, o: Options, way: Way) -> Solution:
    """The steps of all epochs."""
    if o.indices is not None:
        message = "indices: expected None for an A in a file or of Dask, whose chunks are read one after another."
        raise ValueError(message)
    x, _ = first_of_run(f, x0, file=True)
    tau0 = None if o.step0 is None else checked_step(o.step0, o.step_name, None)
    f = row_model(f.centred())
    stream, tau0 = o.begun(f, None if x is None else f.small(x), None, tau0)
    model, k0 = cast(RowModel, stream.model), o.warmup or f.n / o.batch
    epochs = 10 if o.epochs is None else o.epochs
    run = _Run(stream, lambda k: way.rule(k, tau0, k0), o, way)
    for epoch in range(epochs):
        rng = np.random.default_rng((o.seed, epoch))
        for part in model.chunks(rng):
            if run.over(part, rng.permutation(part.n)):
                return f.delivered(run.solution())  # type: ignore[no-any-return]
    return f.delivered(run.solution())  # type: ignore[no-any-return]


class _Run:
    """Where a descent through chunks is."""

    def __init__(self, stream: Stream, steps_of: Callable[[Any], Any], o: Options, way: Way) -> None:
        self.stream, self.steps_of, self.o, self.way = stream, steps_of, o, way
        self.state, self.done = way.first(stream.X), 0
        self.pace: Any = None  # made with the first chunk
        self.finite, self.stopped, self.next_record = True, False, 0
        self.kept: list[Array] = []
        self.at: list[int] = []

    @property
    def X(self) -> Array:
        """What the method has to show."""
        return self.way.answer(self.state, self.done)

    def over(self, part: LinearModel, order: np.ndarray[Any, Any]) -> bool:
        """Take the steps of a chunk; whether that was the end."""
        o, before = self.o, self.done
        if o.record_every is not None and self.done >= self.next_record:
            self.keep()
        chunk = replace(self.stream, start=replace(self.stream.start, f=part))
        if self.pace is None:
            first = replace(chunk, indices=order, steps=np.zeros(part.n))
            self.pace = pace_of_stream(o, first, compiled=not why_not(part))
        self.state, self.finite, taken = by_rows(
            chunk, order, self.state, lambda k: self.steps_of(before + k), self.way.method, self.pace, o
        )
        self.done += taken
        if o.callback is not None and self.finite:
            x, intercept = self.stream.outside(self.X)
            self.stopped = bool(o.callback(self.done, Progress(x, None, intercept)))
        return self.stopped or not self.finite

    def keep(self) -> None:
        """What `record_every` asks for."""
        self.kept.append(self.X)
        self.at.append(self.done)
        self.next_record = self.done + (self.o.record_every or 0)

    def solution(self) -> Solution:
        """The answer, certified by one more pass."""
        history = None
        if self.o.record_every is not None:
            self.keep()
            history = history_of(self.stream, self.kept, self.at)
        pace = self.pace
        how: tuple[int, int, int, bool]
        how = (0, 0, 1, False) if pace is None else (pace.reads, pace.sweeps, pace.size, pace.compiled)
        record = Record(self.X, self.done, self.finite, self.stopped, *how, history, {})
        return solution_of(self.o, self.way.name, self.stream, record)
