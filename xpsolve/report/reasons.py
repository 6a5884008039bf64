"""Why a measured exponent and the theory differ: a constant, launches, cache, rates of small sizes, scatter.

Each clause states its evidence, taken from the points of the series alone: the share of the time that
launching would take, the share of the machine's limit at both ends, local exponents, and the scatter about the fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report.fit import PowerLaw, local_slopes
from xpsolve.report.formats import number, share

__all__ = ["explain"]

LAUNCHING = 0.3  # of the time at the smallest size: enough to bend the line
CHANGED = 1.25  # smaller differences between the shares of the limit at both ends mean nothing
BENT = 0.4  # spread of local exponents that noise alone seldom gives


def explain(points: pd.DataFrame, law: PowerLaw | None, word: str, reason: str) -> str:
    """Complete the reason for a verdict.

    Parameters
    ----------
    points : pandas.DataFrame
        All points of the series, in increasing x.
    law : PowerLaw or None
        The fit, if there is one.
    word : str
        The verdict.
    reason : str
        What `xpsolve.report.fit.verdict` says.

    Returns
    -------
    str
        The reason, with its cause where the points show it.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.reasons import explain
    >>> rows = pd.DataFrame({"valid": [True, False], "steady": True, "value": 1.0})
    >>> explain(rows, None, "unresolved", "1 usable points, 4 needed")
    '1 usable points, 4 needed: 1 of the 2 measured misses its tolerance'
    """
    if word == "agrees":
        return reason
    lost = _lost(points)
    usable = points[points["valid"] & points["steady"]]
    if law is None or not law.resolved:
        measured = reason.replace("usable points", "sizes were measured")
        return f"{reason}: {lost}" if lost else measured
    if "no theoretical cost" in reason:
        return "the benchmark states no cost to compare with"
    if word == "floor-bound":
        return f"{reason}; {_constant(usable)}"
    clauses = [reason]
    cause = _cause(usable, word, reason)
    if cause:
        clauses.append(cause)
    elif word == "unresolved":
        clauses.append(_spread(law))
    else:
        clauses.append("neither launches nor the share of the limit explain it")
    return "; ".join(clauses)


def _lost(points: pd.DataFrame) -> str:
    """Which points were measured and may not be fitted."""
    wrong = int((~points["valid"]).sum())
    unsteady = int((points["valid"] & ~points["steady"]).sum())
    words = []
    if wrong:
        words.append(f"{wrong} of the {len(points)} measured {'misses its' if wrong == 1 else 'miss their'} tolerance")
    if unsteady:
        words.append(f"{unsteady} of the {len(points)} measured {'is' if unsteady == 1 else 'are'} too unsteady")
    return " and ".join(words)


def _launching(usable: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Share of each time that launching alone would take."""
    shares: np.ndarray[Any, np.dtype[np.float64]] = ((usable["predicted"] - usable["work"]) / usable["value"]).to_numpy(
        dtype=np.float64
    )
    return shares


def _constant(usable: pd.DataFrame) -> str:
    """What the constant part of a time consists of."""
    first = usable.iloc[0]
    launching = float(_launching(usable)[0])
    if np.isnan(launching):
        return "calls and Python take longer than the work"
    alone = f"launching its {number(first['launches'])} array calls alone takes {share(launching)} of the smallest time"
    return f"launch-bound: {alone}" if launching >= LAUNCHING else f"{alone}, Python around them the rest"


def _cause(usable: pd.DataFrame, word: str, reason: str) -> str:
    """The cause of a bend in the line, or nothing."""
    limits, launching = usable["share"].to_numpy(dtype=np.float64), _launching(usable)
    if np.isnan(limits).any():
        return ""
    first, last = limits[0], limits[-1]
    below = word == "unresolved" or "below" in reason
    above = word == "unresolved" or "above" in reason
    if below and launching[0] >= LAUNCHING and launching[-1] < launching[0] / CHANGED:
        return f"launch-bound at small sizes: launching takes {share(launching[0])} of the smallest time"
    if above and first > CHANGED * last:
        ends = f"the share of the limit falls from {share(first)} to {share(last)}"
        if usable["bound"].iloc[0] == "memory":
            inside = "small data are read from cache, large ones from memory"
            return f"cache: {ends}, since {inside}" if first > 1 else f"cache: {ends}, as where data outgrow a cache"
        return f"{ends}: large sizes use the machine less well"
    if below and last > CHANGED * first:
        ends = f"small sizes reach {share(first)} of the limit, the largest {share(last)}"
        per_call = (usable["flops"] / usable["launches"]).to_numpy(dtype=np.float64)
        if usable["bound"].iloc[-1] == "arithmetic" and per_call[-1] > 2 * per_call[0]:
            return f"threads: {ends}, since small products keep the cores less busy"
        above_all = " (above 100 %: data stay in cache)" if last > 1 else ""
        return f"floor: {ends}{above_all}, since the constant cost of a call matters less"
    return ""


def _spread(law: PowerLaw) -> str:
    slopes = local_slopes(law.x, law.t)
    if np.ptp(slopes) > BENT:
        return f"local exponents run from {slopes.min():.2f} to {slopes.max():.2f} over {law.x.size} sizes".replace(
            "-", "−"
        )
    return f"{law.x.size} sizes that scatter by {share(law.rms)} about the fit"
