"""Stochastic average gradient, exactly one sample per step, in blocks or in a loop (Schmidt, Le Roux & Bach 2017).

The memory of a linear model is one derivative α_i a sample, 0 until it is first seen, and their sum g = Σ α_i a_i.
With m_k the number of samples seen, that of step k included, and c = 1 − τλ,

    g ← g + (ℓ′(⟨a_i, x⟩, y_i) − α_i) a_i,      x ← c x − τ g/m_k

so that after t steps of a block, with Δ_s = d_s − α_i(s) and S_t = Σ_{s<t} τ/(m_s c^{s+1}),

    x_t = c^t (x_0 − S_t g_0 − Σ_{s<t} (S_t − S_s) Δ_s a_s)

Where a sample comes twice in a block, the α of the second time is the d of the first, which moves a column of the
system of `xpsolve.stochastic.block`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array, device_of, put
from xpsolve.capabilities import capabilities
from xpsolve.solution import Callback, Solution
from xpsolve.stochastic.block import added, derivatives
from xpsolve.stochastic.chunks import in_chunks
from xpsolve.stochastic.compiled_steps import Loop, Walk
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.sag_chunks import average_in_chunks
from xpsolve.stochastic.sag_memory import SagMemory, check_memory
from xpsolve.stochastic.steps import Chunk, run, solution_of
from xpsolve.stochastic.stream import Options, Stream


class Memory(NamedTuple):
    """Where the descent is, and what it remembers; g is beside x since one product serves both."""

    X: Array  # (…, p, m)
    g: Array  # Σ α_i a_i, (…, p, m)
    alpha: Array  # (n, m), for many runs one after another (runs·n, m)


@capabilities(jit=False, batch="runs", syncs=4)
def sag(
    f: LinearModel,
    x0: Array | None = None,
    *,
    indices: Any = None,
    epochs: int = 10,
    step: float | Sequence[float] | None = None,
    memory: SagMemory | None = None,
    block: int | str = "auto",
    seed: int = 0,
    tol: float = 1e-2,
    record_every: int | None = None,
    callback: Callback = None,
) -> Solution:
    """Stochastic average gradient: one sample per step, and the mean of the last gradients of all.

    With λ > 0, or a Hessian that is not singular, it converges linearly, where `sgd` does not.  It stops at `tol`: the
    gradient in its memory, checked every so many steps, some thousand apart at most, says when to compute that of f.
    Of an A in a file, `xpsolve.Rows` or a long ``numpy.memmap``, or of Dask a step is on all samples of one chunk.

    Parameters
    ----------
    f, x0, indices, epochs
        As in `sgd`.
    step : float or one for each run, optional
        τ.  None is 1/L of the worst sample; of an A in chunks that of the worst of them.
    memory : SagMemory, optional
        ``.stats["memory"]`` of a run with the same objective, which continues from its ``.x`` given as `x0`.  With
        another `seed` the samples come in another order.
    block, seed
        As in `sgd`; of an A in chunks neither `indices` nor `block`.
    tol : float
        The certificate at which to stop; 0 takes all steps.
    record_every, callback
        As in `sgd`.

    Returns
    -------
    Solution
        As from `sgd`; ``.n_iter`` counts chunks where A is in chunks.  The memory takes n numbers, n·m for
        `Multinomial`, and not n·p; it is ``.stats["memory"]``.

    Raises
    ------
    TypeError, ValueError
        As `sgd`.

    See Also
    --------
    sgd, sga : Methods without a memory.

    Notes
    -----
    Chunks of a file are drawn at random with replacement, so that the source has to have slices of rows; a function
    that makes rows has not.  They have 1 MB, or eight rows for each column where that is more, up to 16 MB, in whole
    chunks of the source; ``xs.Rows(A, block=…)`` makes others.  Those of Dask are taken as they are, and computed one
    after another.  Rows that are sorted need no mixing: chunks that differ make the step smaller at most.

    References
    ----------
    M. Schmidt, N. Le Roux and F. Bach, Math. Program. 162 (2017), algorithm 1 with their §4.1 and §4.2.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((300, 4))
    >>> y = np.sign(A @ np.ones(4) + rng.standard_normal(300))
    >>> solution = xs.sag(xs.Logistic(A, y, 0.01), epochs=60, tol=1e-6)
    >>> solution.converged
    True
    """
    options = Options(indices, epochs, step, None, block, record_every, seed, tol, callback, step_name="step")
    alpha, seen = (None, None) if memory is None else check_memory(f, x0, memory)
    if in_chunks(f, indices):
        return average_in_chunks(f, x0, alpha, seen, options)
    stream = options.stream(f, x0, lambda k, tau, _: tau + 0 * k)
    xp, model, X = stream.model.xp, stream.model, stream.X
    if alpha is None:
        alpha = xp.zeros((f.n * (stream.runs or 1), X.shape[-1]), dtype=X.dtype, device=device_of(X))
        g = xp.zeros_like(X)
    else:
        alpha = alpha if stream.units.b is None else alpha / stream.units.b
        g = xp.reshape(model._adjoint(alpha), X.shape)
        alpha = xp.reshape(alpha, (-1, X.shape[-1]))
    ended = run(stream, _Averaging(stream, seen), Memory(X, g, alpha), lambda s, _: s.X, options)
    return solution_of(options, "sag", stream, ended)


class _Averaging:
    """The blocks of SAG."""

    def __init__(self, stream: Stream, before: np.ndarray[Any, Any] | None) -> None:
        self.stream = stream
        shape = (*stream.indices.shape[:-1], stream.model.n)
        self.before = np.zeros(shape, dtype=bool) if before is None else before
        self.seen = _seen(stream.indices, self.before)

    def near(self, state: Memory, tol: float) -> Array:
        """Whether the mean of the gradients in memory is as small as the certificate needs."""
        stream, f = self.stream, self.stream.model
        g = stream.shaped(state.g) / f.n + f.lam * stream.shaped(state.X)
        size = stream.start.size(g, axis=tuple(range(g.ndim - len(f.shape), g.ndim)))
        return f.xp.all(size <= tol * stream.start.scale)

    def stats(self, state: Memory, done: int) -> dict[str, Any]:
        """The memory, in the units of the caller."""
        stream, f = self.stream, self.stream.model
        runs = () if stream.runs is None else (stream.runs,)
        alpha = f.xp.reshape(state.alpha, (*runs, *f.y.shape))
        seen = self.before.copy()
        np.put_along_axis(seen, stream.indices[..., :done], True, axis=-1)
        return {"memory": SagMemory(alpha if stream.units.b is None else alpha * stream.units.b, seen)}

    def loop(self, state: Memory, chunk: Chunk, loop: Loop) -> Memory:
        """g ← g + (d − α_i)a_i, x ← cx − τg/m_k with c = 1 − τλ."""
        stream = self.stream
        x, g = stream.lines(state.X), stream.lines(state.g)
        runs, m, _ = x.shape
        steps = chunk.steps.reshape(runs, -1)
        walk = loop.taken(
            Walk(x, x[..., :0], g, state.alpha.reshape(runs, -1, m)),
            chunk.indices.reshape(runs, -1),
            1 - stream.lam * steps,
            steps / self._counts(chunk).reshape(runs, -1),
        )
        return Memory(stream.columns(walk.x), stream.columns(walk.g), walk.alpha.reshape(-1, m))

    def _counts(self, chunk: Chunk) -> np.ndarray[Any, Any]:
        """How many samples have been seen at each step."""
        counts: np.ndarray[Any, Any] = self.seen[..., chunk.start : chunk.start + chunk.size * chunk.blocks]
        return counts.reshape(chunk.steps.shape)

    def spare(self, state: Memory) -> Memory:
        """With a memory of its own."""
        return state._replace(alpha=self.stream.model.xp.asarray(state.alpha, copy=True))

    def prepare(self, chunk: Chunk) -> tuple[dict[str, Array], Sequence[Collection[str]]]:
        """Powers of c, the sums S, and where samples repeat."""
        parts: dict[str, Array] = {}
        for group, lam in self.stream.groups:
            parts |= {name + group: values for name, values in self._powers(chunk, lam).items()}
        return (parts, [()] * chunk.blocks) if chunk.size == 1 else self._with_repeats(parts, chunk.indices)

    def _powers(self, chunk: Chunk, lam: float) -> dict[str, Array]:
        stream = self.stream
        decay = np.cumprod(1 - lam * chunk.steps, axis=-1)  # c, c², …, c^B
        left = np.concatenate([np.ones_like(decay[..., :1]), decay[..., :-1]], axis=-1)
        shares = chunk.steps / self._counts(chunk)
        # S_1 … S_B; in a block of one 1/c cancels, and c may be 0
        sums = np.cumsum(shares / decay, axis=-1) if chunk.size > 1 else shares
        before = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)
        end = decay[..., -1:]
        scale = end if chunk.size > 1 else np.ones_like(end)
        host = {
            "left": left,
            "pull": left * before,
            "push": scale * (sums[..., -1:] - before),
            "end": end,
            "end_pull": scale * sums[..., -1:],
        }
        parts = {name: stream.moved(values)[..., None] for name, values in host.items()}
        if chunk.size > 1:
            S = stream.moved(before)
            parts["weights"] = stream.model.xp.tril(parts["left"] * (S[..., :, None] - S[..., None, :]), k=-1)
        return parts

    def _with_repeats(
        self, parts: dict[str, Array], indices: np.ndarray[Any, Any]
    ) -> tuple[dict[str, Array], Sequence[Collection[str]]]:
        """For each place in its block: the last time before it, the next and the very last time of the same sample."""
        order = np.argsort(indices, axis=-1, kind="stable")
        ordered = np.take_along_axis(indices, order, axis=-1)
        same = ordered[..., 1:] == ordered[..., :-1]
        blocks = indices.shape[-2]
        if not same.any():
            return parts, [()] * blocks
        none = np.zeros((*same.shape[:-1], 1), dtype=bool)
        place = np.argsort(order, axis=-1)  # of each step among the ordered

        def at(flags: np.ndarray[Any, Any], shift: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
            neighbour = np.take_along_axis(np.roll(order, shift, axis=-1), place, axis=-1)
            return neighbour, np.take_along_axis(flags, place, axis=-1).astype(np.float64)

        last, had = at(np.concatenate([none, same], axis=-1), 1)
        following, has = at(np.concatenate([same, none], axis=-1), -1)
        ends = np.where(np.concatenate([~same, ~none], axis=-1), np.arange(order.shape[-1]), order.shape[-1])
        final = np.flip(np.minimum.accumulate(np.flip(ends, -1), axis=-1), -1)  # the end of each run of equal entries
        final = np.take_along_axis(np.take_along_axis(order, final, axis=-1), place, axis=-1)
        moved = self.stream.moved
        repeats = {
            "last": moved(last),
            "had": moved(had)[..., None],
            "next": moved(following),
            "has": moved(has)[..., None, :],
            "final": moved(final),
        }
        there = np.moveaxis(same, -2, 0).reshape(blocks, -1).any(axis=-1)
        return parts | repeats, [() if some else repeats.keys() for some in there]

    def block(self, state: Memory, index: Array, part: dict[str, Array], sweeps: int) -> tuple[Memory, Array | None]:
        """The system for d, and the steps with it."""
        stream = self.stream
        model, xp = stream.model, stream.model.xp
        m = state.X.shape[-1]
        groups, samples = stream.rows(index), stream.samples(index)
        places = list(zip(groups, stream.parted(state.X), stream.parted(state.g), strict=True))
        both = [R.product(xp.concat([X, g], axis=-1)) for (_, R), X, g in places]
        flat = self._flat(index)
        old = xp.reshape(xp.take(state.alpha, flat, axis=0), samples[0].shape)
        if "weights" not in part:
            d, change = derivatives(model, added(products[..., :m] for products in both), None, samples, sweeps)
            difference, new = d - old, d
        else:
            M = added(R.gram() * part["weights" + name] for name, R in groups)
            repeats = "last" in part
            if repeats:
                old = old * (1 - part["had"])
            bases = (
                part["left" + name] * products[..., :m] - part["pull" + name] * products[..., m:]
                for (name, _), products in zip(groups, both, strict=True)
            )
            base = added(bases) + M @ old
            if repeats:
                M = M - _along(xp, M, part["next"], -1) * part["has"]
            d, change = derivatives(model, base, M, samples, sweeps)
            difference, new = d - old, d
            if repeats:
                difference = difference - part["had"] * _along(xp, d, part["last"], -2)
                new = _along(xp, d, part["final"], -2)
        after, mean = [], []
        for (name, R), X, g in places:
            pushed = R.adjoint(xp.concat([part["push" + name] * difference, difference], axis=-1))
            after.append(part["end" + name] * X - part["end_pull" + name] * g - pushed[..., :m])
            mean.append(g + pushed[..., m:])
        alpha = put(state.alpha, flat, xp.reshape(new, (-1, m)))
        return Memory(stream.joined(after), stream.joined(mean), alpha), change

    def _flat(self, index: Array) -> Array:
        """Where the samples of all runs lie in the memory."""
        xp, n = self.stream.model.xp, self.stream.model.n
        if self.stream.runs is None:
            return index
        first = xp.arange(self.stream.runs, dtype=index.dtype, device=device_of(index)) * n
        return xp.reshape(index + first[:, None], (-1,))


def _seen(indices: np.ndarray[Any, Any], before: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """How many different samples have come, those before and each step included."""
    rows, known = np.atleast_2d(indices), np.atleast_2d(before)
    new = np.zeros(rows.shape)
    last = rows.shape[-1]
    for row, flags, old in zip(rows, new, known, strict=True):
        first = np.full(old.size, last)  # the step at which each sample comes first
        first[row[::-1]] = np.arange(last)[::-1]  # of equal numbers the last assignment stays
        flags[first[(first < last) & ~old]] = 1
    seen: np.ndarray[Any, Any] = np.cumsum(new, axis=-1) + known.sum(axis=-1, keepdims=True)
    return seen.reshape(indices.shape)


def _along(xp: Any, x: Array, index: Array, axis: int) -> Array:
    """x (…, B, ·) with its rows (axis −2) or columns (axis −1) in the order of index (…, B)."""
    if index.ndim == 1:
        return xp.take(x, index, axis=x.ndim + axis)
    shaped = index[..., :, None] if axis == -2 else index[..., None, :]
    return xp.take_along_axis(x, xp.broadcast_to(shaped, x.shape), axis=axis)
