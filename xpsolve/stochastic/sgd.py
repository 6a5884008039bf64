"""Stochastic gradient descent and its running average, exactly one sample per step, in blocks or in a loop.

With τ_k the steps, i(k) the samples and c_k = 1 − τ_kλ,

    x_{k+1} = x_k − τ_k (ℓ′(⟨a_i(k), x_k⟩, y_i(k)) a_i(k) + λ x_k)                  (Robbins & Monro 1951)

so that after t steps of a block, with P_t = c_0⋯c_{t−1},

    x_t = P_t (x_0 − Σ_{s<t} τ_s/P_{s+1} d_s a_s)
    ⟨a_t, x_t⟩ = P_t ⟨a_t, x_0⟩ − Σ_{s<t} (P_t τ_s/P_{s+1}) ⟨a_t, a_s⟩ d_s

which is the system of `xpsolve.stochastic.block`.  SGA returns the mean of all x_k (Polyak & Juditsky 1992), whose sum
over a block needs the same d and other weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array
from xpsolve.capabilities import capabilities
from xpsolve.solution import Callback, Solution
from xpsolve.stochastic.batches import Way, descend
from xpsolve.stochastic.block import added, derivatives
from xpsolve.stochastic.chunks import descend_in_chunks, in_chunks
from xpsolve.stochastic.compiled_steps import Loop, Walk
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.steps import Chunk, run, solution_of
from xpsolve.stochastic.stream import Options, Stream


class Iterate(NamedTuple):
    """The current iterate, and the sum of the iterates so far, if it is needed."""

    X: Array  # (…, p, m)
    total: Array


class _Descent:
    """The blocks of SGD, and of SGA where the sum of the iterates is needed."""

    def __init__(self, stream: Stream, *, average: bool) -> None:
        self.stream, self.average = stream, average

    def loop(self, state: Iterate, chunk: Chunk, loop: Loop) -> Iterate:
        """x ← cx − τd a with c = 1 − τλ."""
        stream = self.stream
        x, total = stream.lines(state.X), stream.lines(state.total)
        steps = chunk.steps.reshape(x.shape[0], -1)
        none = x[..., :0]
        walk = loop.taken(
            Walk(x, total if self.average else none, none, none),
            chunk.indices.reshape(x.shape[0], -1),
            1 - stream.lam * steps,
            steps / stream.batch,
            stream.batch,
        )
        return Iterate(stream.columns(walk.x), stream.columns(walk.total) if self.average else state.total)

    def spare(self, state: Iterate) -> Iterate:
        """The same: nothing is written in place."""
        return state

    def near(self, state: Iterate, tol: float) -> None:
        """Not known: nothing here estimates the gradient."""

    def stats(self, state: Iterate, done: int) -> dict[str, Any]:
        """Nothing more."""
        return {}

    def prepare(self, chunk: Chunk) -> tuple[dict[str, Array], Sequence[tuple[str, ...]]]:
        """Powers P_t, and what they make of the steps."""
        parts: dict[str, Array] = {}
        for group, lam in self.stream.groups:
            parts |= {name + group: values for name, values in self._powers(chunk, lam).items()}
        return parts, [()] * chunk.blocks

    def _powers(self, chunk: Chunk, lam: float) -> dict[str, Array]:
        decay = np.cumprod(1 - lam * chunk.steps, axis=-1)  # P_1 … P_B
        left = np.concatenate([np.ones_like(decay[..., :1]), decay[..., :-1]], axis=-1)
        right = chunk.steps / np.where(decay == 0, 1, decay)  # 0 in blocks of one alone, whose P_1 is not divided by
        one = chunk.size == 1
        host = {"left": left, "push": chunk.steps if one else decay[..., -1:] * right, "end": decay[..., -1:]}
        if self.average:
            after = np.flip(np.cumsum(np.flip(decay, -1), axis=-1), -1)  # P_{s+1} + … + P_B
            host |= {"sum_push": chunk.steps if one else after * right, "sum_end": after[..., :1]}
        xp, b = self.stream.model.xp, self.stream.batch
        parts = {name: self.stream.moved(values)[..., None] for name, values in host.items()}
        if chunk.size > 1:
            parts["weights"] = xp.tril(parts["left"] * self.stream.moved(right / b)[..., None, :], k=-1)
        if b > 1:  # the samples of a step do not see one another, and share its step size
            each = {name for name in parts if not name.endswith("end")}
            parts |= {name: xp.repeat(parts[name], b, axis=-2) for name in each}
            parts |= {name: parts[name] / b for name in each if name.endswith("push")}
        if b > 1 and "weights" in parts:
            parts["weights"] = xp.repeat(parts["weights"], b, axis=-1)
        return parts

    def block(self, state: Iterate, index: Array, part: dict[str, Array], sweeps: int) -> tuple[Iterate, Array | None]:
        """The system for d, and the steps with it."""
        stream = self.stream
        groups = stream.rows(index)
        bases = [R.product(X) for (_, R), X in zip(groups, stream.parted(state.X), strict=True)]
        M = None
        if "weights" in part:
            M = added(R.gram() * part["weights" + name] for name, R in groups)
            bases = [part["left" + name] * base for (name, _), base in zip(groups, bases, strict=True)]
        d, change = derivatives(stream.model, added(bases), M, stream.samples(index), sweeps)
        X, total = [], []
        for (name, R), x, before in zip(groups, stream.parted(state.X), stream.parted(state.total), strict=True):
            X.append(part["end" + name] * x - R.adjoint(part["push" + name] * d))
            if self.average:
                total.append(before + part["sum_end" + name] * x - R.adjoint(part["sum_push" + name] * d))
        return Iterate(stream.joined(X), stream.joined(total) if self.average else state.total), change


@capabilities(jit=False, batch="runs", syncs=4)
def sgd(
    f: LinearModel | Callable[[Any, Any], LinearModel],
    x0: Array | Solution | None = None,
    *,
    batches: Iterable[tuple[Any, Any]] | None = None,
    indices: Any = None,
    epochs: int | None = None,
    step0: float | Sequence[float] | None = None,
    warmup: float | None = None,
    block: int | str = "auto",
    batch: int = 1,
    seed: int = 0,
    tol: float = 1e-2,
    record_every: int | None = None,
    callback: Callback = None,
) -> Solution:
    """Stochastic gradient descent, one sample per step, with steps τ_k = τ₀/(1 + k/k₀).

    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.random.default_rng(0).standard_normal((1000, 3))
    >>> solution = xs.sgd(xs.LeastSquares(A, A @ np.ones(3)), tol=0.1)
    >>> solution.x.round(1), solution.n_iter
    (array([1., 1., 1.]), 10000)

    Parameters
    ----------
    f : LeastSquares, Huber, Logistic or Multinomial, or callable
        The objective, of a dense or sparse A; or of `Rows` in a file or an A of Dask, which an epoch goes through
        once: its chunks in random order, and the samples of each in random order (so is a ``numpy.memmap`` of more than
        16 MB, unless `indices` are given).  Rows that are sorted, as by their class, have to be mixed before.  With
        `batches`, a function of (A_i, y_i) that returns the objective of one batch: such a class, or
        ``functools.partial(Logistic, lam=1e-4)``.
    x0 : array, shape of x, or (runs, …), or StreamSolution, optional
        Where to start; with a leading axis, as many runs are done side by side.  An intercept is one more entry or row
        of x, the last.  None is 0, and an intercept that fits the samples.  With `batches`, what this function returned
        for the batches so far continues that stream, as if it had not been cut.
    batches : iterable of pairs (A_i, y_i), optional
        A stream of samples, a few rows at a time, (n_i, p) and n_i observations with any n_i ≥ 1; a generator that
        never ends will do.  Rows are taken once and in their order, which has to be random, and forgotten.  The stream
        ends with the iterable, or when the callback says so; ``itertools.islice`` limits it.  Weights
        are relative to those of the same batch.  With an intercept steps are taken in variables that are centred by the
        means of the first batch.
    indices : sequence of int, shape (K,) or (runs, K), optional
        Sample numbers of the steps, on the host, so that runs agree on all libraries.  None draws them at random.  Not
        with `batches`.
    epochs : int, optional
        How many times n steps to take, if `indices` is not given; None is 10.  Not with `batches`.

    Returns
    -------
    Solution
        ``.x`` is the last iterate and ``.n_iter`` counts steps, of which
        `epochs` asks for epochs·n/batch; the certificate is ‖D∇f(x)‖ relative to
        ‖D∇f(0)‖, D_j = 1/max_i |A_ij|, the worst of all runs; where it exceeds `tol` the status is MAX_ITER.
        ``.history``, if recorded, has "x" and the numbers of "step" (host) beside "objective" and "certificate", and
        "intercept" where there is one;
        ``.stats`` the block and the sweeps at the end, whether the loop was "compiled", and host reads.

        With `batches` it is a `StreamSolution`: ``.objective`` is the mean of f over the last twenty batches or so, of
        each before its steps, and the certificate the same mean of ‖D∇f‖, relative to that at x = 0, or that of the
        last batch after its steps where this is larger.  It estimates the gradient of the expectation of f from
        above, since noise of the batches adds to it: batches that are too small for `tol` end with MAX_ITER.

    Other Parameters
    ----------------
    step0 : float or one for each run, optional
        τ₀.  None is 1/L of the worst sample, of those so far in a stream.
    warmup : float, optional
        k₀, the step at which τ has halved.  None is after the first epoch, or after 10⁴ samples of a stream.
    block : int, "auto" or "compiled"
        Steps taken together; 1 is the loop.  "compiled" is a loop that Numba compiles, for NumPy and a dense A, or a
        sparse one without intercept, which "auto" takes where Numba is installed and blocks would need more than a
        hundredth of a second, and for streams; the first such call takes a second or two more.  The iterates are the
        same to rounding.
    batch : int
        Samples per step, whose gradients are averaged; `indices` then has so many for each step, one after another.
        The last step of one of the `batches` has the rows that are left.
    seed : int
        Of the random sample numbers, which are independent and uniform.  Not with `batches`.
    tol : float
        What the certificate is compared with; all steps are taken whatever it is.
    record_every : int, optional
        Keep x, f(x) and the certificate at every so many steps, at the price of three products with A each; of a stream
        at the next batch, with what ``.objective`` and the certificate were then.
    callback : callable, optional
        Called as ``callback(steps, progress)`` every few thousand steps, with a `Progress` without a
        measure; of a stream after every batch, with its running ``objective`` and measure.  A true answer stops.

    Raises
    ------
    TypeError
        If f is not such an objective, or an option or a batch is of the wrong kind.
    ValueError
        If a shape, an index or an option is not as described; errors in a batch begin with "batches" and its number.

    Warns
    -----
    ConvergenceWarning
        If the answer is not converged, unless the callback stopped it.

    See Also
    --------
    sga, sag : The running average, and a method that converges linearly.

    References
    ----------
    H. Robbins and S. Monro, Ann. Math. Statist. 22 (1951); G. Peyré, Mathematical Foundations of Data Sciences (2020),
    §14.2.3 (SGD).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((500, 3))
    >>> solution = xs.sgd(xs.LeastSquares(A, A @ np.ones(3)), epochs=20)
    >>> solution.x.round(3), solution.converged
    (array([1., 1., 1.]), True)

    Without an end, in constant memory:

    >>> def samples():
    ...     while True:
    ...         A = rng.standard_normal((100, 3))
    ...         yield A, A @ np.ones(3)
    >>> enough = lambda steps, progress: progress.objective < 1e-8
    >>> solution = xs.sgd(xs.LeastSquares, batches=samples(), callback=enough)
    >>> solution.x.round(3), solution.status.name
    (array([1., 1., 1.]), 'STOPPED')
    """
    return _descend(
        f,
        x0,
        batches,
        Options(indices, epochs, step0, warmup, block, record_every, seed, tol, callback, batch=batch),
        "sgd",
    )


@capabilities(jit=False, batch="runs", syncs=4)
def sga(
    f: LinearModel | Callable[[Any, Any], LinearModel],
    x0: Array | Solution | None = None,
    *,
    batches: Iterable[tuple[Any, Any]] | None = None,
    indices: Any = None,
    epochs: int | None = None,
    step0: float | Sequence[float] | None = None,
    warmup: float | None = None,
    block: int | str = "auto",
    batch: int = 1,
    seed: int = 0,
    tol: float = 1e-2,
    record_every: int | None = None,
    callback: Callback = None,
) -> Solution:
    """Stochastic gradient descent with averaging: steps τ_k = τ₀/(1 + √(k/k₀)), and the mean of all iterates.

    Parameters
    ----------
    f, x0, batches, indices, epochs, step0, warmup, block, batch, seed, tol, record_every, callback
        As in `sgd`; at k = k₀ too this τ has halved, and falls more slowly from then on.

    Returns
    -------
    Solution
        ``.x`` is (x_1 + … + x_K)/K, kept as a running sum; the iterates are not stored.  A stream is measured there.

    Raises
    ------
    TypeError, ValueError
        As `sgd`.

    See Also
    --------
    sgd : The last iterate.

    References
    ----------
    B. Polyak and A. Juditsky, SIAM J. Control Optim. 30 (1992); G. Peyré, Mathematical Foundations of Data Sciences
    (2020), §14.2.4 (SGA).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> rng = np.random.default_rng(0)
    >>> A = rng.standard_normal((500, 3))
    >>> y = A @ np.ones(3) + 0.1 * rng.standard_normal(500)
    >>> xs.sga(xs.LeastSquares(A, y), epochs=20).x.round(2)
    array([1., 1., 1.])
    """
    return _descend(
        f,
        x0,
        batches,
        Options(indices, epochs, step0, warmup, block, record_every, seed, tol, callback, batch=batch),
        "sga",
    )


def _descend(f: Any, x0: Any, batches: Any, o: Options, name: str) -> Solution:
    average = name == "sga"

    def rule(k: Any, tau0: Any, k0: float) -> Any:
        return tau0 / (1 + (np.sqrt(k / k0) if average else k / k0))

    def method(stream: Stream) -> _Descent:
        return _Descent(stream, average=average)

    def first(X: Array) -> Iterate:
        return Iterate(X, X * 0)

    def answer(s: Iterate, k: int) -> Array:
        return s.total / k if average and k else s.X

    if batches is not None:
        return descend(f, x0, batches, o, Way(name, rule, method, first, answer))
    if in_chunks(f, o.indices):
        return descend_in_chunks(f, x0, o, Way(name, rule, method, first, answer))
    stream = o.stream(f, x0, rule)
    return solution_of(o, name, stream, run(stream, method(stream), first(stream.X), answer, o))
