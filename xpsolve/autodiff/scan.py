"""Gradients through x_k = step(x_{k−1}, θ_k), k = 1 … t, in limited memory (Griewank & Walther 2000).

    value     L(x_t)
    adjoints  p_t = ∇L(x_t),   p_{k−1} = [∂_x step(x_{k−1}, θ_k)]ᵀ p_k
    gradient  ∇_{θ_k} = [∂_θ step(x_{k−1}, θ_k)]ᵀ p_k,   ∇_{x_0} = p_0

The way back needs the states in reverse order.  They are all kept, or some are and the rest computed again, or each is
computed from the next.  The tape holds one step at a time.

With s states kept and r the least number for which β(s, r) = (s + r)!/(s! r!) ≥ t, no state is computed more than r
times again, and t steps need r·t − β(s + 1, r − 1) steps without the tape, which is the least possible.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xpsolve.arrays import Array, check_count, check_option, common_namespace, is_concrete, lift, namespace_of
from xpsolve.autodiff.arguments import Function, check_function, floating_arrays, result_arrays, without_scalars
from xpsolve.autodiff.reverse import taped, value_and_grad
from xpsolve.capabilities import capabilities
from xpsolve.costs import SCAN_MEMORIES, binomial, repetitions, scan_slots
from xpsolve.trace import arrays_in, map_arrays


@dataclass(frozen=True)
class Reversible:
    """A step with its inverse: ``inverse(step(x, θ), θ)`` is x.

    Parameters
    ----------
    step : callable
        (x, θ) to the next state; (x, θ, u) with inputs.
    inverse : callable
        The next state and the same θ (and u) to x.

    See Also
    --------
    leapfrog : Makes one from two functions that need no inverse.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> turn = autodiff.Reversible(lambda x, a: a * x, lambda x, a: x / a)
    >>> turn.inverse(turn(np.asarray(3.0), 2.0), 2.0)
    np.float64(3.0)
    """

    step: Function
    inverse: Function

    def __post_init__(self) -> None:
        check_function(self.step, "step")
        check_function(self.inverse, "inverse")

    def __call__(self, *args: Any) -> Any:
        """One step."""
        return self.step(*args)


def leapfrog(F: Function, G: Function) -> Reversible:
    """The step r⁺ = r + F(s, θ), s⁺ = s + G(r⁺, θ) of a state (r, s), and its inverse.

    Parameters
    ----------
    F, G : callable
        (s, θ) to an array of the shape of r, and (r, θ) to one of the shape of s; any functions, a third argument are
        the inputs.

    Returns
    -------
    Reversible
        The inverse is s = s⁺ − G(r⁺, θ), r = r⁺ − F(s, θ).

    References
    ----------
    A. Gomez, M. Ren, R. Urtasun and R. Grosse, The reversible residual network, NeurIPS (2017).

    Examples
    --------
    >>> from xpsolve import autodiff
    >>> swing = autodiff.leapfrog(lambda s, tau: tau * s, lambda r, tau: -tau * r)
    >>> swing.inverse(swing((1.0, 0.0), 0.5), 0.5)
    (1.0, 0.0)
    """
    check_function(F, "F")
    check_function(G, "G")

    def step(x: tuple[Array, Array], *args: Any) -> tuple[Array, Array]:
        r, s = x
        r = r + F(s, *args)
        return r, s + G(r, *args)

    def inverse(x: tuple[Array, Array], *args: Any) -> tuple[Array, Array]:
        r, s = x
        s = s - G(r, *args)
        return r - F(s, *args), s

    return Reversible(step, inverse)


@capabilities(syncs=0)
def scan_gradient(
    step: Function,
    x0: Any,
    params: Any,
    loss: Function,
    *,
    memory: str = "store",
    slots: int | str | None = None,
    n_steps: int | None = None,
    inputs: Any = None,
) -> tuple[Array, Any, Any]:
    """Value and gradients of loss(x_t), where x_k = step(x_{k−1}, θ_k) for k = 1, …, t.

    Parameters
    ----------
    step : callable
        Array-API code, (x, θ_k) to the next x; (x, θ_k, u_k) with `inputs`.
    x0 : array or structure of arrays
        The first state.  All states have its structure and shapes.
    params : list, tuple, array or structure of arrays
        θ_1, …, θ_t: a list or tuple with one entry (array or structure) a step, or anything else whose arrays have a
        first axis of length t.  With `n_steps` it is one θ, which all steps share.
    loss : callable
        x_t to a 0-d array.
    memory : str
        "store" keeps all t states.  "checkpoint" keeps `slots` states and computes the others again, in the fewest
        steps possible.  "reversible" keeps the last one and goes back by ``step.inverse``: `step` must be `Reversible`.
    slots : int or str, optional
        For "checkpoint": the most states kept, the first included; "sqrt" is √t, "log" or None is log₂ t.
    n_steps : int, optional
        t, where `params` is shared.
    inputs : list, tuple, array or structure of arrays, optional
        u_1, …, u_t, in the form of `params`; no gradient is taken by them.

    Returns
    -------
    value : array, 0-d
        loss(x_t).
    x0_gradient : object
        The gradient in x_0, of its structure.
    params_gradient : object
        The gradient in `params`, of their structure: a list (or tuple) of gradients, arrays with a first axis of length
        t, or, where they are shared, their sum over the steps.

    Raises
    ------
    TypeError
        If x_0 or θ_k has no floating arrays, or "reversible" has no inverse.
    ValueError
        If `memory` is unknown, lengths disagree, there are no steps or slots, or `step` changes shapes.

    Warns
    -----
    RuntimeWarning
        If "reversible" comes back to another x_0 than it started from, in more than half of the digits.

    See Also
    --------
    xpsolve.costs.scan_steps : How many steps it takes.
    leapfrog : A step that can be inverted.

    Notes
    -----
    Beside the states kept there are at most three more: the current one and what the tape of one step holds.  Steps
    run t times under the tape, and before that t − 1 times for "store", at most r·t − β(s + 1, r − 1) times for
    "checkpoint" with s slots, 2t times (t of them backwards) for "reversible", which reads the device once at the end.

    Euler steps x + τ u(x, θ_k) of ẋ = u(x, θ) have ∇_{θ_k}/τ → [∂_θ u]ᵀ p(kτ) with the adjoint equation
    ṗ = −[∂_x u]ᵀ p, as τ → 0.

    References
    ----------
    A. Griewank and A. Walther, Algorithm 799: revolve, ACM Transactions on Mathematical Software 26 (2000); G. Peyré,
    Mathematical Foundations of Data Sciences (2020), §14.3.7.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> value, x0_gradient, gradient = autodiff.scan_gradient(
    ...     lambda x, a: a * x, np.asarray(1.0), np.asarray([2.0, 3.0, 4.0]), lambda x: x, memory="checkpoint"
    ... )
    >>> float(value), float(x0_gradient), gradient
    (24.0, 24.0, array([12.,  8.,  6.]))
    """
    check_function(step, "step")
    check_function(loss, "loss")
    check_option(memory, "memory", SCAN_MEMORIES)
    if memory == "reversible" and not hasattr(step, "inverse"):
        message = (
            "step: memory='reversible' expects an autodiff.Reversible, which has an inverse; got "
            f"{type(step).__qualname__}. Write Reversible(step, inverse) or leapfrog(F, G)."
        )
        raise TypeError(message)
    x0, params, inputs = _lifted(x0, params, inputs)
    thetas = _Steps(params, "params", n_steps)
    t = len(thetas)
    extra = _Steps(inputs, "inputs", None) if inputs is not None else None
    if extra is not None and len(extra) != t:
        message = f"inputs: expected {t} of them, as many as steps, got {len(extra)}."
        raise ValueError(message)
    if memory != "checkpoint" and slots is not None:
        message = f"slots: expected None with memory={memory!r}, got {slots!r}. They are those of 'checkpoint'."
        raise ValueError(message)

    def at(k: int) -> tuple[Any, ...]:
        return (thetas[k],) if extra is None else (thetas[k], extra[k])

    kept = t if memory == "store" else scan_slots(t, slots)
    back = _inverted(step, x0, at, t) if memory == "reversible" else _revolved(step, x0, at, t, kept)
    value: Any = None
    adjoint: list[Array] = []
    for k, x in back:
        x_next, pull = taped(step, (x, *at(k)))
        if k == t - 1:
            value, gradient = value_and_grad(loss)(_same(x_next, x0))
            adjoint = arrays_in(gradient)
        x_gradient, theta_gradient = pull(adjoint)
        thetas.add(k, theta_gradient)
        adjoint = arrays_in(x_gradient)
        del x, x_next, pull
    return value, x_gradient, thetas.gradient()


def _lifted(*trees: Any) -> tuple[Any, ...]:
    """All arrays at the level of the outermost."""
    trees = without_scalars(trees)
    found = [x for tree in trees for x in arrays_in(tree)]
    if not found:
        message = "x0: expected arrays, found none in x0 and params."
        raise TypeError(message)
    xp = common_namespace(**{f"array {i}": x for i, x in enumerate(found)})
    return tuple(map_arrays(lambda x: lift(xp, x), tree) for tree in trees)


def _same(x: Any, x0: Any) -> Any:
    """A state, which must be like the first."""
    got, wanted = ([tuple(a.shape) for a in result_arrays(tree, "scan_gradient")] for tree in (x, x0))
    if got != wanted:
        message = f"step: expected a state with arrays of the shapes of x0, {wanted}, got {got}."
        raise ValueError(message)
    return x


# --- the states in reverse order -------------------------------------------------------------------

_At = Callable[[int], tuple[Any, ...]]


def _revolved(step: Function, x0: Any, at: _At, t: int, slots: int) -> Iterator[tuple[int, Any]]:
    """(k, x_k) for k = t − 1, …, 0 from at most `slots` kept states."""
    kept = [(0, x0)]
    for k in range(t - 1, -1, -1):
        i, x = kept[-1]
        while i < k and len(kept) < slots:
            for _ in range(_split(k + 1 - i, slots - len(kept) + 1)):
                x, i = step(x, *at(i)), i + 1
            kept.append((i, x))
        while i < k:
            x, i = step(x, *at(i)), i + 1
        if kept[-1][0] == k:
            kept.pop()
        yield k, x
        del x


def _split(length: int, slots: int) -> int:
    """The distance to the next of `slots` ≥ 2 states, the first included: no part repeats a step more than r times."""
    r = repetitions(length, slots)
    return min(binomial(slots, r - 1), length - binomial(slots - 1, r - 1))


def _inverted(step: Any, x0: Any, at: _At, t: int) -> Iterator[tuple[int, Any]]:
    """(k, x_k) for k = t − 1, …, 0, each from the next."""
    x = x0
    for k in range(t):
        x = step(x, *at(k))
    for k in range(t - 1, -1, -1):
        x = step.inverse(x, *at(k))
        yield k, x
    _check_return(x, x0)


def _check_return(x: Any, x0: Any) -> None:
    pairs = list(zip(arrays_in(without_scalars(x)), arrays_in(x0), strict=True))
    if not is_concrete(*(a for pair in pairs for a in pair)):
        return
    worst: Any = None
    for a, b in pairs:
        xp = namespace_of(b)
        scale = xp.maximum(xp.max(xp.abs(b)), xp.ones_like(xp.max(b)))
        off = xp.max(xp.abs(a - b)) / scale / float(xp.finfo(b.dtype).eps) ** 0.5
        worst = off if worst is None else xp.maximum(worst, off)
    if not bool(worst <= 1):
        message = (
            "scan_gradient: going back by step.inverse did not lead to x0 again: the inverse is wrong, or rounding "
            "grew on the way. Use memory='checkpoint'."
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)


# --- parameters a step -----------------------------------------------------------------------------


class _Steps:
    """θ_k for each step in one of the three forms, and their gradients in the same."""

    def __init__(self, tree: Any, name: str, shared: int | None) -> None:
        self.tree = tree
        self.shared = shared
        self.length = 0
        self.listed = isinstance(tree, list | tuple) and not hasattr(tree, "_fields")
        self.found: list[Any] = []  # gradients, from the last step to the first
        if shared is not None:
            check_count(shared, "n_steps", 1)
            floating_arrays(tree, name)
            self.length = shared
            return
        if not self.listed:
            lengths = {x.shape[0] if x.ndim else -1 for x in arrays_in(tree)}
            if len(lengths) != 1 or -1 in lengths:
                message = (
                    f"{name}: expected a list of one entry per step, or arrays with a first axis of one length, got "
                    f"{type(tree).__qualname__} with shapes {[tuple(x.shape) for x in arrays_in(tree)]}. "
                    f"Give n_steps where all steps share them."
                )
                raise ValueError(message)
            self.length = int(max(lengths))
        else:
            self.length = len(tree)
        if not self.length:
            message = f"{name}: expected at least one step, got none."
            raise ValueError(message)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, k: int) -> Any:
        if self.shared is not None:
            return self.tree
        return self.tree[k] if self.listed else map_arrays(lambda x: x[k, ...], self.tree)

    def add(self, k: int, gradient: Any) -> None:
        """Note the gradient of step k; they come from the last to the first."""
        if self.shared is None or not self.found:
            self.found.append(gradient)
            return
        rest = iter(arrays_in(self.found[0]))
        self.found[0] = without_scalars(map_arrays(lambda g: next(rest) + g, gradient))

    def gradient(self) -> Any:
        """The gradient in all of them."""
        if self.shared is not None:
            return self.found[0]
        steps = self.found[::-1]
        if self.listed:
            return type(self.tree)(steps)
        rows: Sequence[Any] = list(zip(*(arrays_in(g) for g in steps), strict=True))
        rest = iter(rows)

        def stacked(x: Array) -> Array:
            return namespace_of(x).stack(list(next(rest)))

        return map_arrays(stacked, self.tree)
