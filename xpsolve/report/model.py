"""What a machine can do, in few numbers, and the time that a cost takes there.

    t = c + (launches − taped) · l + taped · d + (flops − factored) / P + factored / F
        + bytes / W(operand) + moved / w + syncs · s
    moved = 2 · memory + 3 · (launches − products) · results / products

c is the time of a public call, l that of a launch in a solver with its share of checks and Python, d that of one
whose derivative is noted on a tape: of a softmax, of solves and of a gradient where nothing is large.  P is the
harmonic mean of the rates of products of several shapes, F that of singular values, W the bandwidth of streaming a
matrix of that size.  Launches that are no products work on arrays as large as what products give: two are read and
one is written.  Temporaries are written and read once.  Without products, bytes are all that moves.  w is the
bandwidth of elementwise work, the harmonic mean where a cache holds the arrays and that of the largest where none
does.  s is the time of a host read.

All numbers come from ``benchmarks/ceilings.py`` alone, none from the times that are predicted; the best of each is the
limit.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from xpsolve import costs

KEY = ["machine", "environment", "commit", "backend", "dtype"]
THEORY = [field.name for field in fields(costs.Cost)]
"""What a cost states, each of it a column of the tidy table."""

_LAUNCH, _CALL, _FACTORED = "seconds per launch", "seconds per call", "factored flop/s"
_FEW, _TAPED = costs.softmax(1, 1).launches, costs.gradient(1, 1).launches  # in the calls "softmax" and "grad"
_LAUNCHING = 0.2  # of the time of a rate: where launching takes more, it says little of the rate

_Rates = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Model:
    """A machine as one library and dtype use it.

    >>> cost = costs.ridge(20_000, 500)
    >>> times = GPUS["NVIDIA H100 SXM"].parts(**vars(cost))
    >>> max(times, key=times.get)
    'launches'
    """

    limits: costs.Ceilings  # the best that was reached; infinite rates where nothing was measured
    flops_per_s: float  # typical rate of products
    bytes_per_s: float  # bandwidth of streaming a matrix that no cache holds
    launch_s: float  # time of a launch in a solver
    tape_s: float  # time of a launch on a tape
    call_s: float = 0.0  # time of a call beside its launches
    matrices: _Rates = ()  # size of a matrix and the bandwidth of streaming it, in increasing size
    copies: _Rates = ()  # bytes moved elementwise and the bandwidth there, in increasing size
    sync_s: float = 0.0  # time of a host read beside its launch
    factored_per_s: float = math.inf  # rate of factorisations, where it is less than that of products

    @classmethod
    def fitted(cls, rows: pd.DataFrame) -> Model | None:
        """From the ceilings of one run, backend and dtype; None where one kind alone gives no bound."""
        of = {str(name): part["value"].to_numpy(dtype=np.float64) for name, part in rows.groupby("quantity")}
        names = "flop/s", _FACTORED, "byte/s", _LAUNCH
        flops, factored, moved, launch = (of.get(name, np.array([])) for name in names)
        limits = costs.Ceilings(
            max(flops, default=math.inf), max(moved, default=math.inf), min(launch, default=math.nan)
        )
        if math.isinf(limits.flops_per_s) and math.isinf(limits.bytes_per_s):
            return None
        least = 0.0 if math.isnan(limits.launch_s) else limits.launch_s / _LAUNCHING
        streamed = rows[rows["quantity"] == "byte/s"].sort_values("n")
        copied = streamed["group"].str.endswith(".Copy")
        matrices = _rates(streamed[~copied], 1000, least)
        calls = rows[rows["quantity"] == _CALL]
        inside = dict(zip(calls["params"].map(lambda given: json.loads(given)["solver"]), calls["value"], strict=True))
        few, taped = inside.pop("softmax", 0.0), inside.pop("grad", None)
        step = float(stats.gmean(list(inside.values()))) if inside else limits.launch_s
        call = max(_FEW * (few - step), 0.0)
        return cls(
            limits,
            float(stats.hmean(flops)) if flops.size else math.inf,
            matrices[-1][1] if matrices else limits.bytes_per_s,
            step,
            step if taped is None else max(taped - call / _TAPED, step),
            call,
            matrices,
            _rates(streamed[copied], 2, least) or matrices,
            factored_per_s=float(stats.hmean(factored)) if factored.size else math.inf,
        )

    def parts(self, *, flops: Any, bytes: Any, launches: Any, syncs: Any, memory: Any, **more: Any) -> dict[str, Any]:
        """Seconds by what they are spent on, of one cost or of arrays of them."""
        operand, products, results, taped, factored = (
            np.asarray(more[name], dtype=np.float64) for name in ("operand", "products", "results", "taped", "factored")
        )
        given = products > 0
        sizes, rates = zip(*(self.matrices or ((1.0, self.bytes_per_s),)), strict=True)
        streaming = np.exp(np.interp(np.log(np.maximum(operand, 1.0)), np.log(sizes), np.log(rates)))
        sizes, rates = zip(*(self.copies or ((1.0, self.bytes_per_s),)), strict=True)  # the last is beyond any cache
        array = np.where(given, results / np.maximum(products, 1), memory)
        moved = 2.0 * memory + np.where(given, 3.0 * array * np.maximum(launches - products, 0), bytes)
        return {
            "arithmetic": (flops - factored) / self.flops_per_s + factored / min(self.factored_per_s, self.flops_per_s),
            "memory": np.where(given, bytes / streaming, 0.0),
            "launches": self.call_s + (launches - taped) * self.launch_s + taped * self.tape_s,
            "elementwise": moved / np.where(2.0 * array > sizes[-2:][0], rates[-1], stats.hmean(rates)),
            "host reads": syncs * self.sync_s,
        }


def _rates(rows: pd.DataFrame, entries: int, least: float) -> _Rates:
    """Bytes and bandwidth, `entries` numbers for each of n; of times below `least` seconds the last one alone."""
    found = [(float(entries * np.dtype(row.dtype).itemsize * row.n), float(row.value)) for row in rows.itertuples()]
    return tuple(one for i, one in enumerate(found) if one[0] / one[1] > least or i == len(found) - 1)


def _gpu(flops: float, moved: float) -> Model:
    """Of published figures; temporaries come from a pool, at the bandwidth of memory."""
    launch = costs.TYPICAL["gpu"].launch_s  # from Python; CUDA itself takes a fifth of it
    return Model(costs.Ceilings(flops, moved, launch), flops, moved, launch, launch, sync_s=launch)


GPUS = {  # float64 products, with tensor cores where there are some, and bandwidth of memory: the vendor's data sheets
    "NVIDIA H100 SXM": _gpu(67e12, 3.35e12),
    "NVIDIA A100 80 GB SXM": _gpu(19.5e12, 2.04e12),
    "NVIDIA V100 SXM2": _gpu(7.8e12, 0.9e12),
}
"""Machines that one may not have, as published: hardly reached, and by a factorisation not at all."""


def models(frame: pd.DataFrame) -> dict[tuple[str, ...], Model]:
    """The model of each machine, environment, commit, backend and dtype whose ceilings are in the tidy table."""
    rows = frame[(frame["role"] == "ceiling") & (frame["status"] == "ok")]
    if rows.empty:
        return {}
    # What Python takes is the same in every dtype, and only one is measured.
    anywhere = rows["quantity"].isin([_LAUNCH, _CALL])
    found = {}
    for key, own in rows[~anywhere].groupby(KEY, sort=False):
        shared = rows[anywhere & (rows[KEY[:4]] == list(key[:4])).all(axis=1)]
        model = Model.fitted(pd.concat([own, shared]))
        if model is not None:
            found[key] = model
    return found
