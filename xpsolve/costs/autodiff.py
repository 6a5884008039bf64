"""Costs of derivatives: Jacobian chains by each order, recurrences in little memory, gradients by each mode."""

from __future__ import annotations

import math
from dataclasses import replace

from xpsolve.costs.model import Cost, gemm
from xpsolve.trace.launches import joined

GRADIENT_METHODS = ("finite_difference", "forward", "reverse")


CHAIN_ORDERS = ("forward", "reverse", "optimal")


SCAN_MEMORIES = ("store", "checkpoint", "reversible")


def chain(depth: int, width: int, n_in: int, n_out: int, *, order: str = "optimal", itemsize: int = 8) -> Cost:
    """A_t⋯A_1 of a network of one width w: n_0, w, …, w, n_t with t − 1 inner lengths (§14.3.5).

    Any order ends with a product over an inner length, n_0·w·n_t multiply-adds.  Each of the t − 2 before costs n_0·w²
    forward and n_t·w² in reverse.  The fewest are n_0·w² or n_t·w² each, or else w³ for those between inner factors and
    one of the other two.

    Parameters
    ----------
    depth, width, n_in, n_out : int
        t, w, n_0 and n_t.
    order : str
        "forward", "reverse" or "optimal".
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the t − 1 products.

    Raises
    ------
    ValueError
        If there is no such order.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.chain(3, 10, 100, 1).flops == costs.chain(3, 10, 100, 1, order="reverse").flops
    True
    """
    if order not in CHAIN_ORDERS:
        message = f"order: expected one of {', '.join(CHAIN_ORDERS)}, got {order!r}."
        raise ValueError(message)
    if depth == 1:
        return Cost()
    last = gemm(n_out, n_in, width, itemsize=itemsize)
    if depth == 2:
        return last
    forward = gemm(width, n_in, width, itemsize=itemsize)
    reverse = gemm(n_out, width, width, itemsize=itemsize)
    inner = gemm(width, width, width, itemsize=itemsize)
    totals = {
        "forward": (depth - 2) * forward + last,
        "reverse": (depth - 2) * reverse + last,
        "inner": (depth - 3) * inner + min(forward, reverse, key=lambda c: c.flops) + last,
    }
    return min(totals.values(), key=lambda c: (c.flops, c.bytes)) if order == "optimal" else totals[order]


def binomial(slots: int, repeats: int) -> int:
    """β(s, r) = (s + r)!/(s! r!): steps for which s kept states suffice with r repeats at most."""
    return math.comb(slots + repeats, slots) if repeats >= 0 else 0


def repetitions(depth: int, slots: int) -> int:
    """The least r with β(s, r) ≥ t."""
    r = 0
    while binomial(slots, r) < depth:
        r += 1
    return r


def scan_slots(depth: int, slots: int | str | None = None) -> int:
    """States that "checkpoint" keeps: a number, √t for "sqrt", log₂ t for "log" or None; at most t.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.scan_slots(1000), costs.scan_slots(1000, "sqrt")
    (10, 31)
    """
    rules = {None: max(1, (depth - 1).bit_length()), "log": max(1, (depth - 1).bit_length()), "sqrt": math.isqrt(depth)}
    if isinstance(slots, str | None):
        if slots not in rules:
            message = f"slots: expected a number, 'log' or 'sqrt', got {slots!r}."
            raise ValueError(message)
        return rules[slots]
    if isinstance(slots, bool) or slots < 1 or slots != int(slots):
        message = f"slots: expected a whole number ≥ 1, 'log' or 'sqrt', got {slots!r}."
        raise ValueError(message)
    return min(int(slots), depth)


def scan_steps(depth: int, *, memory: str = "store", slots: int | str | None = None) -> int:
    """Steps of a recurrence of depth t that `autodiff.scan_gradient` takes beside the t on the tape.

    Parameters
    ----------
    depth : int
        t.
    memory : str
        "store": t − 1.  "checkpoint": r·t − β(s + 1, r − 1), the least for s kept states (Griewank & Walther 2000).
        "reversible": t forward and t back.
    slots : int or str, optional
        s, for "checkpoint".

    Returns
    -------
    int
        Steps, those of the inverse included.

    Raises
    ------
    ValueError
        If there is no such memory.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.scan_steps(1000), costs.scan_steps(1000, memory="checkpoint", slots=12)
    (999, 3440)
    """
    if memory not in SCAN_MEMORIES:
        message = f"memory: expected one of {', '.join(SCAN_MEMORIES)}, got {memory!r}."
        raise ValueError(message)
    if memory == "reversible":
        return 2 * depth
    s = depth if memory == "store" else scan_slots(depth, slots)
    r = repetitions(depth, s)
    return r * depth - binomial(s + 1, r - 1)


def scan(depth: int, width: int, *, memory: str = "store", slots: int | str | None = None, itemsize: int = 8) -> Cost:
    """Gradient through t steps r ← r + tanh(W₁s), s ← s + tanh(W₂r) of states 2·w, with W₁ and W₂ shared.

    A step costs two products, 4w² flops, and one on the tape twice that.  States are kept for all steps, for as many
    as there are slots, or not at all.  The loss is the sum of r.
    """
    plain = scan_steps(depth, memory=memory, slots=slots)
    product = gemm(width, 1, width, itemsize=itemsize)
    kept = {"store": depth, "checkpoint": scan_slots(depth, slots), "reversible": 0}[memory]
    total = (2 * plain + 4 * depth) * product
    total += Cost(launches=4 * plain + 22 * depth + 2, taped=22 * depth)
    if memory == "reversible":
        total += Cost(launches=22, syncs=1)  # the check against x_0
    return replace(total, memory=itemsize * 2 * width * kept)


def gradient(n: int, p: int, *, method: str = "reverse", itemsize: int = 8) -> Cost:
    """The gradient of f(x) = ½‖Ax − y‖², p numbers from one, by automatic means.

    Differences evaluate f p + 1 times; forward mode carries p tangents, which is as many products but with one matrix;
    reverse mode needs Ax and Aᵀr for any p (Baur & Strassen 1983).
    """
    value = gemm(n, 1, p, itemsize=itemsize)
    if method == "finite_difference":
        total = (p + 1) * value
        launches, memory = 10 * p + 10 + joined(p), itemsize * (3 * p + 2 * n)  # f has 5 calls, a difference 5
    elif method == "forward":
        total = value + gemm(p, n, p, itemsize=itemsize)
        launches, memory = 13, itemsize * (p * p + 3 * n * p)
    elif method == "reverse":
        total = value + gemm(1, p, n, itemsize=itemsize)
        launches, memory = 11, itemsize * (4 * n + p)
    else:
        message = f"method: expected one of {', '.join(GRADIENT_METHODS)}, got {method!r}."
        raise ValueError(message)
    return replace(total, launches=launches, memory=memory, taped=0 if method == "finite_difference" else launches)
