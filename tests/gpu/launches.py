"""Launches and waits as a profiler sees them on the device, beside those that `xpsolve.count` says without one.

More host reads or waits than counted are wrong.  Launches are shown: what cuBLAS, cuSOLVER and CuPy start inside of one
call is theirs, and `count` takes a call for what CuPy 14 was read to start.
"""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse
from cases import cases
from counters import choose
from figures import cupy, finish

import xpsolve as xs

cp = cupy()


def moved(x):
    """The same on the device."""
    if scipy.sparse.issparse(x):
        from cupyx.scipy.sparse import csr_matrix

        return csr_matrix(x)
    return cp.asarray(np.asarray(x))


warnings.simplefilter("ignore", xs.ConvergenceWarning)
name, counter, waits_a_read, refused = choose()
print(f"counted by {name}, which sees {waits_a_read} waits for each read")
for other, why in refused.items():
    print(f"not by {other}: {why}")
print(f"{'case':24} {'launches':>9} {'counted':>9} {'ratio':>6} {'reads':>6} {'waits':>6} {'counted':>8}")

figures, wrong = {}, []
for case, (call, host) in cases().items():
    arguments = [moved(x) for x in host]
    try:
        call(*arguments)  # kernels are compiled
        with counter() as seen:
            call(*arguments)
        _, tally = xs.count(call, *arguments)
    except Exception as error:
        wrong.append(f"{case}: {type(error).__name__}: {error}")
        continue
    waits, ratio = seen.waits // waits_a_read, seen.launches / max(tally.launches, 1)
    figures[case] = {
        "launches": seen.launches,
        "launches counted": tally.launches,
        "reads": seen.copies,
        "waits": waits,
        "reads counted": tally.syncs,
    }
    print(f"{case:24} {seen.launches:9} {tally.launches:9} {ratio:6.2f} {seen.copies:6} {waits:6} {tally.syncs:8}")
    if max(seen.copies, waits) > tally.syncs:
        wrong.append(f"{case}: {seen.copies} reads and {waits} waits, {tally.syncs} counted")

near = sum(abs(f["launches"] / max(f["launches counted"], 1) - 1) <= 0.1 for f in figures.values())
finish(
    {"counted by": name, "not by": refused, "waits a read": waits_a_read, "cases": figures},
    f"{len(figures)} calls, launches within 10 % of the count in {near}, by {name}",
    wrong,
)
