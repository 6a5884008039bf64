"""The one loop: steps on the device, one host read per check.

A solver passes pure functions of its state (a tuple of arrays); this file alone knows about `check_every`,
host reads, histories, callbacks and ``jax.jit``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from xpsolve.arrays.assumptions import assumptions, collected, undecided
from xpsolve.arrays.lazy import settled
from xpsolve.arrays.namespace import Array, is_array, is_concrete, namespace_of
from xpsolve.arrays.native import composed
from xpsolve.guides import guide

State = TypeVar("State", bound=tuple[Any, ...])
_FEW = 20  # steps, which are not worth a recording


@dataclass(frozen=True)
class Run(Generic[State]):
    """How a loop ended.

    Parameters
    ----------
    state : tuple of array
        The last state.
    n_iter : int or array
        Steps taken; a 0-d array while JAX traces.
    measure : float or array
        What was compared with the tolerance, at the last check.
    reason : str
        "tolerance", "max_iter", "stalled", "not finite", "callback" or "traced".
    history : dict of arrays or None
        What ``record`` returned, stacked by key: entry k belongs to the state after k steps.
    reads : int
        Host reads.
    """

    state: State
    n_iter: Any
    measure: Any
    reason: str
    history: dict[str, Array] | None
    reads: int


def iterate(
    step: Callable[[State], State],
    state: State,
    *,
    measure: Callable[[State], Array],
    tol: float,
    max_iter: int,
    check_every: int = 10,
    refresh: Callable[[State], State] | None = None,
    renew: Callable[[State], State] | None = None,
    record: Callable[[State], dict[str, Array]] | None = None,
    callback: Callable[[int, State], Any] | None = None,
    stalled: Callable[[int, float], bool] | None = None,
    late: float = 0.0,
    between: Callable[[State], State] | None = None,
    several: Callable[[State, int], State] | None = None,
) -> Run[State]:
    """Repeat ``state = step(state)`` until ``measure(state) <= tol``.

    Parameters
    ----------
    step : callable
        Pure: takes a state, returns the next; no host reads.
    state : tuple of array
        The first state; checked before any step, so that a solved problem costs none.
    measure : callable
        State to 0-d array.  A NaN or an infinity ends the loop.
    tol : float
        The tolerance.
    max_iter : int
        Most steps taken.
    check_every : int
        Steps between two checks of ``measure``, each of them one host read.
    refresh : callable, optional
        State to state, applied before each check: recomputes what rounding has changed.
    renew : callable, optional
        State to state, applied after a check whose ``measure`` is negative, which then does not end the loop: for work
        that is too expensive for every check.
    record : callable, optional
        State to a dict of 0-d or small arrays, kept on the device after every step and before the first.
    callback : callable, optional
        Called as ``callback(k, state)`` at every check; a true answer ends the loop.
    stalled : callable, optional
        Called as ``stalled(k, value)`` with what a check has read; a true answer ends the loop.  Not under ``jax.jit``.
    late : float
        By what part of the steps so far a check may come late, rounded down to a multiple of `check_every`: with 0.1
        there are about 10·log(k) checks instead of k/check_every, and at most a tenth more steps.
    between : callable, optional
        State to state, applied every `check_every` steps where the check itself comes later.
    several : callable, optional
        Called as ``several(state, n)`` for n steps at once, where a compiled loop takes them.  Not under ``jax.jit``.

    Returns
    -------
    Run
        Last state, steps, measure and why it ended.

    Raises
    ------
    ValueError
        If ``check_every < 1`` or ``max_iter < 0``, or `record` or `callback` is asked for while ``jax.jit`` traces.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays.loops import iterate
    >>> run = iterate(lambda s: (s[0] / 2,), (np.asarray(1.0),), measure=lambda s: s[0], tol=0.01, max_iter=50,
    ...               check_every=1)
    >>> run.n_iter, run.reason
    (7, 'tolerance')
    """
    if check_every < 1 or max_iter < 0:
        message = f"expected check_every >= 1 and max_iter >= 0, got {check_every} and {max_iter}."
        raise ValueError(message)
    if not is_concrete(*_leaves(state)):
        if record is not None or callback is not None:
            message = (
                f"record and callback: not available under jax.jit, where nothing can be read. Leave them out. "
                f"{guide('jit')}"
            )
            raise ValueError(message)
        if stalled is not None:
            undecided()
        return _iterate_traced(step, state, measure, tol, max_iter, check_every, refresh, renew, late, between)

    advance = _together(step, state, several, max_iter)
    history = [] if record is None else [record(state)]
    k = reads = 0
    while True:
        state, measured = _computed(state, measure(state))
        value = float(measured)  # the one host read
        reads += 1
        if callback is not None and callback(k, state):
            reason = "callback"
        elif not math.isfinite(value):
            reason = "not finite"
        elif value <= tol and (value >= 0 or renew is None):
            reason = "tolerance"
        elif k >= max_iter:
            reason = "max_iter"
        elif stalled is not None and stalled(k, value):
            reason = "stalled"
        else:
            if value < 0 and renew is not None:
                state = renew(state)
            last = min(k + _pace(k, check_every, late), max_iter)
            due = 1 if record is not None else check_every if between is not None else last - k
            for i in range(k, last, due):
                if i > k:
                    if between is not None and (i - k) % check_every == 0:
                        state = between(state)
                    if record is not None:
                        history.append(record(state))
                state = advance(state, min(due, last - i), max_iter - i)
            k = last
            if refresh is not None:
                state = refresh(state)
            if record is not None:
                history.append(record(state))
            continue
        return Run(state, k, value, reason, _stacked(history) if history else None, reads)


_Steps = Callable[[State, int, int], State]


def is_goal(tol: Any) -> bool:
    """Whether a tolerance is one to reach, as all are that ``jax.jit`` traces: 0 takes exactly `max_iter` steps."""
    return is_array(tol) or tol > 0


def plainly(step: Callable[[State], State]) -> _Steps[State]:
    """A function of a state that takes so many steps, one after another."""

    def advance(state: State, steps: int, left: int) -> State:
        for _ in range(steps):
            state = step(state)
        return state

    return advance


def _together(
    step: Callable[[State], State], state: State, several: Callable[[State, int], State] | None, max_iter: int
) -> _Steps[State]:
    if several is not None:
        return lambda state, steps, left: several(state, steps)
    like = next(filter(is_array, _leaves(state)), None) if max_iter > _FEW else None
    return plainly(step) if like is None else replayed(like, step)


@composed
def replayed(like: Array, step: Callable[[State], State]) -> _Steps[State]:
    """A function ``advance(state, steps, left)`` that takes so many steps, on arrays of the library of `like`.

    At most `left` steps are to come, these included.  What records the step and replays it is above this folder, and
    registered here: see `xpsolve.trace.repeat`.  No step writes to what an earlier one has returned.
    """
    return plainly(step)


def _stacked(history: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: namespace_of(first).stack([entry[name] for entry in history]) for name, first in history[0].items()}


def _pace(k: int, check_every: int, late: float) -> int:
    return max(1, int(late * k) // check_every) * check_every


def _leaves(state: tuple[Any, ...]) -> list[Any]:
    """The parts of a state; tuples of arrays among them are opened."""
    return [x for part in state for x in (part if type(part) is tuple else (part,))]


def _computed(state: State, measured: Array) -> tuple[State, Array]:
    """Both, computed together where a library only plans."""
    if type(state[0]) is np.ndarray:
        return state, measured  # NumPy never only plans
    arrays = [x for x in (*_leaves(state), measured) if is_array(x)]
    computed = settled(*arrays) if arrays else ()
    if all(map(operator.is_, computed, arrays)):
        return state, measured
    ready = iter(computed)

    def done(x: Any) -> Any:
        return next(ready) if is_array(x) else x

    parts = [tuple(map(done, part)) if type(part) is tuple else done(part) for part in state]
    return _rebuilt(state, parts), done(measured)


def _rebuilt(state: State, arrays: Iterable[Any]) -> State:
    kind = type(state)
    return kind(*arrays) if hasattr(kind, "_fields") else kind(arrays)


def _iterate_traced(
    step: Callable[[State], State],
    state: State,
    measure: Callable[[State], Array],
    tol: float,
    max_iter: int,
    check_every: int,
    refresh: Callable[[State], State] | None,
    renew: Callable[[State], State] | None,
    late: float,
    between: Callable[[State], State] | None,
) -> Run[State]:
    """The same loop as one ``lax.while_loop``: how it ended is known when the compiled program has run."""
    from jax import lax

    def rebuild(arrays: tuple[Any, ...]) -> State:
        return _rebuilt(state, arrays)

    taken = assumptions()
    sound = None if taken is None else taken.all  # bad arguments are worth no step

    def ahead(value: Any) -> Any:
        far = (value > tol) & (value < math.inf)  # a NaN compares False
        return far if renew is None else far | (value < 0)

    def unfinished(carry: tuple[Any, ...]) -> Any:
        k, value, _ = carry
        more = (k < max_iter) & ahead(value)
        return more if sound is None else more & sound

    def chunk(carry: tuple[Any, ...]) -> tuple[Any, ...]:
        k, value, arrays = carry
        if renew is not None:
            arrays = lax.cond(value < 0, lambda s: tuple(renew(rebuild(s))), lambda s: s, arrays)
        pace = lax.max(1, (late * k).astype(int) // check_every) * check_every if late else check_every
        last = lax.min(k + pace, max_iter)

        def body(i: Any, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
            new = tuple(step(rebuild(arrays)))
            if between is None:
                return new
            due = ((i + 1 - k) % check_every == 0) & (i + 1 < last)
            renewed: tuple[Any, ...] = lax.cond(due, lambda s: tuple(between(rebuild(s))), lambda s: s, new)
            return renewed

        arrays = lax.fori_loop(k, last, body, arrays)
        new = rebuild(arrays) if refresh is None else refresh(rebuild(arrays))
        return last, measure(new), tuple(new)

    with collected(None):  # what is traced inside of a loop stays there
        k, value, arrays = lax.while_loop(unfinished, chunk, (0, measure(state), tuple(state)))
    if taken is not None:
        taken.stopped = ahead(value) & (k >= max_iter)
    return Run(rebuild(arrays), k, value, "traced", None, 0)
