"""Times measured again at another time in new processes: how much they differ, and which sweeps need it most.

Between two processes more changes than within one: where memory lies, the clock of the processor, other work on the
machine.  A session is one pass over the points in processes of its own; the ledger keeps the samples of each.  What
a session shifts alike at all sizes does not bend a line, so that only the rest is noise for an exponent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np

from xpsolve.bench.plan import Sweep

WIDE = 0.1
"""A 95 % interval of an exponent that is wider than this asks for another session."""


def width(line: Sweep, samples: Mapping[str, Sequence[Sequence[float]]], abscissa: str | None) -> float:
    """Width of the 95 % interval of a slope in log-log, from how much the sessions of a sweep differ.

    `samples` has by a point's text those of each session, and `abscissa` is the parameter that the sizes differ in.
    The width is 0 where there are not two sessions of three sizes, so that nothing is known.

    >>> from xpsolve.bench.suite import Point
    >>> points = [Point("m.C.time_x", i, {"n": 10**i}, str(i), "1", "time") for i in range(4)]
    >>> line = Sweep("m.C", "m", "numpy", "{}", True, False, tuple((p,) for p in points))
    >>> steady = {str(i): [[1.0, 1.0], [1.1, 1.1]] for i in range(4)}  # the second session is slower as a whole
    >>> round(width(line, steady, "n"), 6)
    0.0
    >>> width(line, {**steady, "3": [[1.0], [2.0]]}, "n") > 0.1
    True
    """
    from scipy.special import stdtrit

    points = [p for size in line.sizes for p in size if p.role == "time" and samples.get(p.text)]
    known = [(p.params.get(str(abscissa)), samples[p.text]) for p in points]
    sizes = [(x, found) for x, found in known if isinstance(x, int | float) and x > 0]
    count = min((len(found) for _, found in sizes), default=0)
    if len(sizes) < 3 or count < 2:
        return 0.0
    x = np.log([x for x, _ in sizes])
    t = np.log([[median(session) for session in found[:count]] for _, found in sizes])
    rest = t - t.mean(axis=0) - t.mean(axis=1, keepdims=True) + t.mean()
    freedom = (len(sizes) - 1) * (count - 1)
    variance = float(np.sum(rest**2)) / freedom
    deviation = math.sqrt(variance / (count * float(np.sum((x - x.mean()) ** 2))))
    return 2 * float(stdtrit(freedom, 0.975)) * deviation
