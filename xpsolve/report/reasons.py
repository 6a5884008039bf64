"""Why a measured exponent and the theory differ: a constant, launches, cache, rates of small sizes.

The evidence is taken from the points of the series alone: the share of the time that launching would take, and the
share of the machine's limit at both ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from xpsolve.report.verdict import Cause, Kind, Verdict

LAUNCHING = 0.3  # of the time at the smallest size: enough to bend the line
CHANGED = 1.25  # smaller differences between the shares of the limit at both ends mean nothing


def explain(usable: pd.DataFrame, verdict: Verdict) -> Verdict:
    """Find the cause of a verdict that says "differs" or "floor-bound" from the fitted points, in increasing x.

    >>> from xpsolve.report.verdict import judge
    >>> rows = pd.DataFrame({"value": [1.0, 2.0], "launching": [0.8, 0.8], "launches": 5.0})
    >>> rows = rows.assign(share=[0.1, 0.3], bound="launches", flops=1.0)
    >>> explain(rows, judge(0.3, (0.2, 0.4), 1.0, points=5, span=20.0)).cause.kind
    'launches'
    """
    if verdict.kind not in (Kind.DIFFERS, Kind.FLOOR_BOUND):
        return verdict
    launching = (usable["launching"] / usable["value"]).to_numpy(dtype=np.float64)
    bent = LAUNCHING <= launching[0] <= 1  # more than all of the time: a compiler has joined the calls that are counted
    if verdict.kind == Kind.FLOOR_BOUND:
        numbers = dict(verdict.cause.numbers) if verdict.cause else {}
        if launching[0] <= 1:
            numbers |= {"launching": float(launching[0]), "launches": float(usable["launches"].iloc[0])}
        return replace(verdict, cause=Cause("launches" if bent else "calls", numbers))
    limits = usable["share"].to_numpy(dtype=np.float64)
    if np.isnan(limits).any():
        return verdict
    first, last = float(limits[0]), float(limits[-1])
    if verdict.value < verdict.theory and bent and launching[-1] < launching[0] / CHANGED:
        return replace(verdict, cause=Cause("launches", {"launching": float(launching[0])}))
    if verdict.value > verdict.theory and first > CHANGED * last:
        cached = "cache" if first > 1 else "outgrown"
        kind = cached if usable["bound"].iloc[0] == "memory" else "rates"
    elif verdict.value <= verdict.theory and last > CHANGED * first:
        per_call = (usable["flops"] / usable["launches"]).to_numpy(dtype=np.float64)
        growing = usable["bound"].iloc[-1] == "arithmetic" and per_call[-1] > 2 * per_call[0]
        kind = "threads" if growing else "calls"
    else:
        return verdict
    return replace(verdict, cause=Cause(kind, {"first": first, "last": last}))
