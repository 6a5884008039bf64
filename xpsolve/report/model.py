"""What a machine can do, in few numbers, and the time that a cost takes there.

    t = flops / P + bytes / W + launches · l + 2 √launches · memory / w(memory) + syncs · s

P is the rate of matrix products, W the bandwidth of matrices that are streamed, l the time of a launch with its share
of checks and Python, w the bandwidth of elementwise work on arrays of that size (cache, shared cache, new pages of
memory), s the time of a host read.  The last three terms are launches, temporaries and waiting.  A cost states how
large its temporaries are, not how often they are passed over: at least once, at most in each launch; the geometric mean
of the two, read and written, is taken.

All numbers come from ``benchmarks/ceilings.py`` alone, none from the times that are predicted: typical ones for the
prediction, the best of each for the limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from xpsolve import costs

__all__ = ["GPUS", "Model", "models"]

KEY = ["machine", "environment", "commit", "backend", "dtype"]


@dataclass(frozen=True)
class Model:
    """A machine as one library and dtype use it.

    >>> cost = costs.ridge(20_000, 500)
    >>> times = GPUS["NVIDIA H100 SXM"].parts(**vars(cost))
    >>> max(times, key=times.get)
    'launches'
    """

    limits: costs.Ceilings  # the best that was reached; infinite rates where nothing was measured
    flops_per_s: float  # typical rate of matrix products
    bytes_per_s: float  # bandwidth of streaming a matrix
    call_s: float  # time of a launch inside a solver
    copies: tuple[tuple[float, float], ...] = ()  # bytes moved elementwise and the bandwidth there, in increasing size
    sync_s: float = 0.0  # time of a host read beside its launch

    @classmethod
    def fitted(cls, rows: pd.DataFrame) -> Model | None:
        """From the ceilings of one run, backend and dtype; None where one kind alone gives no bound."""
        of = dict(iter(rows.groupby("quantity")))

        def values(name: str) -> Any:
            return of[name]["value"].to_numpy(dtype=np.float64) if name in of else np.array([])

        flops, moved, launch = (values(name) for name in ("flop/s", "byte/s", "seconds per launch"))
        limits = costs.Ceilings(
            max(flops, default=math.inf), max(moved, default=math.inf), min(launch, default=math.nan)
        )
        if math.isinf(limits.flops_per_s) and math.isinf(limits.bytes_per_s):
            return None
        streamed = of["byte/s"].sort_values("n") if "byte/s" in of else rows.iloc[:0]
        copied = streamed["group"].str.endswith(".Copy")
        copies = [(2.0 * _itemsize(row.dtype) * row.n, row.value) for row in streamed[copied].itertuples()]
        matrices = streamed[~copied]["value"]
        calls = values("seconds per call")
        return cls(
            limits,
            float(np.median(flops)) if flops.size else math.inf,
            float(matrices.iloc[-1]) if len(matrices) else limits.bytes_per_s,  # the largest: no cache holds it
            float(stats.gmean(calls)) if calls.size else limits.launch_s,
            tuple(copies),
        )

    def parts(self, flops: Any, bytes: Any, launches: Any, syncs: Any, memory: Any) -> dict[str, Any]:
        """Seconds by what they are spent on, of one cost or of arrays of them."""
        sizes, rates = zip(*(self.copies or ((1.0, self.bytes_per_s),)), strict=True)
        moved = 2.0 * np.asarray(memory, dtype=np.float64)
        rate = np.exp(np.interp(np.log(np.maximum(moved, 1.0)), np.log(sizes), np.log(rates)))
        return {
            "arithmetic": flops / self.flops_per_s,
            "memory": bytes / self.bytes_per_s,
            "launches": launches * self.call_s,
            "temporaries": np.sqrt(launches) * moved / rate,
            "host reads": syncs * self.sync_s,
        }


def _gpu(flops: float, moved: float) -> Model:
    """Of published figures; temporaries come from a pool, at the bandwidth of memory."""
    launch = costs.TYPICAL["gpu"].launch_s  # from Python; CUDA itself takes a fifth of it
    return Model(costs.Ceilings(flops, moved, launch), flops, moved, launch, sync_s=launch)


GPUS = {  # float64 products, with tensor cores where there are some, and bandwidth of memory: the vendor's data sheets
    "NVIDIA H100 SXM": _gpu(67e12, 3.35e12),
    "NVIDIA A100 80 GB SXM": _gpu(19.5e12, 2.04e12),
    "NVIDIA V100 SXM2": _gpu(7.8e12, 0.9e12),
}
"""Machines that one may not have, as published.  Their times are predicted, not measured, and hardly reached: a
factorisation stays far below the rate of products there."""


def models(frame: pd.DataFrame) -> dict[tuple[str, ...], Model]:
    """The model of each machine, environment, commit, backend and dtype whose ceilings are in the tidy table."""
    rows = frame[(frame["role"] == "ceiling") & (frame["status"] == "ok")]
    if rows.empty:
        return {}
    # A launch costs the same in every dtype, and only one is measured.
    anywhere = rows["quantity"].isin(["seconds per launch", "seconds per call"])
    found = {}
    for key, own in rows[~anywhere].groupby(KEY, sort=False):
        shared = rows[anywhere & (rows[KEY[:4]] == list(key[:4])).all(axis=1)]
        model = Model.fitted(pd.concat([own, shared]))
        if model is not None:
            found[key] = model
    return found


def _itemsize(dtype: str) -> int:
    return np.dtype(dtype).itemsize
