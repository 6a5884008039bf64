"""Dictionary learning from a stream of samples that need not end (Mairal, Bach, Ponce & Sapiro 2010).

Each batch is coded in the atoms so far, and then the atoms minimise the fit of all samples with the codes that they
got: ½⟨D, DS⟩ − ⟨D, B⟩, of which S = Σ w_t Z_tᵀZ_t and B = Σ w_t X_tᵀZ_t are all that is kept.  The weights w_t = t let
the codes of worse atoms fade.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_ndim,
    device_of,
    enter,
    is_array,
    namespace_of,
    power_of_two,
    regularisation,
)
from xpsolve.arrays import check_finite as check_values
from xpsolve.linear._factorisation import Factorisation, atom_gain, better_atoms, check_start, first_atoms
from xpsolve.solution import Callback, Certificate, Progress, Status, StreamSolution, finish

_RECENT = 20  # batches that the means are about
_CERTIFICATE = "what atoms alone can still gain with the codes so far, and recent codes, relative to half of ‖X‖²"
_ADVICE = {
    Status.MAX_ITER: "Continue with further batches and x0=solution, raise code_steps, or loosen tol.",
}


class Options(NamedTuple):
    """The arguments of `dictionary_learning` that a stream has a use for."""

    n_atoms: int
    lam: Any
    seed: int
    code_steps: int
    tol: float
    x0: Any
    record: bool
    callback: Callback
    check_finite: bool


class DictionaryState(NamedTuple):
    """All that a stream leaves behind, in units of the first batch."""

    D: Array
    S: Array  # (m, m), the weighted mean of ZᵀZ
    B: Array  # (p, m), that of XᵀZ
    half: Array  # that of ½‖X‖², 0-d
    unit: Array  # the power of two that samples are divided by
    batches: int
    objective: Array  # means over recent batches, before their steps: of the objective of a sample,
    gap: Array  # and of the gap of the codes, relative to ½‖X‖²


def is_stream(X: Any) -> bool:
    """Whether X is an iterable rather than an array or anything that has a shape."""
    return not is_array(X) and not hasattr(X, "shape") and isinstance(X, Iterable) and not isinstance(X, str | bytes)


def learn_from(batches: Any, o: Options) -> StreamSolution:
    """One step for each batch."""
    state = _continued(o.x0)
    reason, kept, D = "", [], None
    for number, X in enumerate(_arrays(batches), start=1):
        try:
            state = _step(state, X, o)
        except (TypeError, ValueError) as error:
            message = str(error) if str(error).startswith(("lam", "x0")) else f"X: batch {number}: {error}"
            raise (TypeError if isinstance(error, TypeError) else ValueError)(message) from error
        D = state.D
        if o.record:
            kept.append(state.objective)
        if o.callback is not None and o.callback(state.batches, Progress(D, _measure(state), None, state.objective)):
            reason = "callback"
            break
    if state is None or D is None:
        message = "X: expected an array (n, p) or at least one batch of rows, got none."
        raise ValueError(message)
    certificate = Certificate(_CERTIFICATE, _measure(state), o.tol)
    value = certificate.value
    ended = None
    if not math.isfinite(value):
        ended = Status.NOT_FINITE
    elif reason == "" and value > o.tol:
        ended = Status.MAX_ITER
    return finish(
        "dictionary_learning",
        D,
        method="alternating",
        certificate=certificate,
        reason=reason,
        measure=value,
        n_iter=state.batches,
        history={"objective": namespace_of(D).stack(kept)} if o.record else None,
        stats={"host_reads": 1},
        ended=ended,
        advice=_ADVICE,
        cls=StreamSolution,
        objective=state.objective,
        state=state,
    )


def _continued(x0: Any) -> DictionaryState | None:
    if not isinstance(x0, StreamSolution):
        return None
    if not isinstance(x0.state, DictionaryState):
        message = f"x0: expected a solution of dictionary_learning to continue from, got one of {x0.method}."
        raise ValueError(message)
    return x0.state


def _arrays(batches: Iterable[Any]) -> Iterator[Array]:
    for number, given in enumerate(batches, start=1):
        X = given[0] if isinstance(given, tuple) and len(given) == 1 else given
        if not is_array(X):
            kind = type(given).__qualname__
            message = f"X: expected an array (n, p) or an iterable of such, got {kind} as number {number}."
            raise TypeError(message)
        yield X


def _step(state: DictionaryState | None, X: Array, o: Options) -> DictionaryState:
    """The state after a batch."""
    given = {} if state is not None or o.x0 is None else {"x0": o.x0}
    if state is not None:
        given = {"x0": state.D}
    xp, (X, *atoms) = enter(X=X, **given)
    check_ndim(X, "X", 2, shape="(n, p)")
    p, m = (X.shape[1], o.n_atoms) if state is None else tuple(state.D.shape)
    if X.shape[1] != p or m != o.n_atoms:
        message = f"expected {p} features and {m} atoms as before, got {X.shape[1]} and {o.n_atoms}."
        raise ValueError(message)
    weight = regularisation(xp, o.lam, "lam", like=X, check_values=o.check_finite)
    if weight.ndim:
        message = f"lam: expected one number, got {weight.shape[0]}."
        raise ValueError(message)
    if o.check_finite:
        check_values(xp, lambda: X, X=X)
    if state is None:
        if atoms:
            check_start(xp, atoms[0], (p, m), read=o.check_finite)
        unit = power_of_two(X)
        D = first_atoms(xp, X / unit, m, o.seed, *(x / power_of_two(x, axis=0) for x in atoms))
        zero = xp.sum(D[:1, 0]) * 0
        state = DictionaryState(D, D.T @ D * 0, D * 0, zero, unit, 0, zero, zero)
    batch = Factorisation(xp, X / state.unit, weight / state.unit, o.code_steps)
    C = xp.zeros((m, X.shape[0]), dtype=X.dtype, device=device_of(X))
    for _ in range(costs.STREAM_ROUNDS):  # in which FISTA starts anew for codes that begin at 0
        C = batch.code(state.D, C)
    R = batch.X.T - state.D @ C
    half = 0.5 * xp.sum(batch.X * batch.X)
    gap = batch.code_gap(C, state.D.T @ R, R) / xp.where(half > 0, half, xp.ones_like(half))
    objective = batch.objective(C, R) * state.unit * state.unit / X.shape[0]
    S, B = batch.sums(C)
    t = state.batches + 1
    new = 2 / (t + 1)  # the share of batch t in a mean with the weights 1, 2, …, t
    S, B, half = (old + new * (now / X.shape[0] - old) for old, now in ((state.S, S), (state.B, B), (state.half, half)))
    part = 1 / min(t, _RECENT)
    means = (old + part * (now - old) for old, now in ((state.objective, objective), (state.gap, gap)))
    D = better_atoms(state.D, S, B)
    D = batch.replace(D, xp.linalg.diagonal(S) == 0, R)
    return DictionaryState(D, S, B, half, state.unit, t, *means)


def _measure(s: DictionaryState) -> Array:
    xp = namespace_of(s.D)
    gain = atom_gain(s.D, s.B - s.D @ s.S + s.D * xp.linalg.diagonal(s.S))
    return xp.asarray(gain / xp.where(s.half > 0, s.half, xp.ones_like(s.half)) + s.gap)
