"""One tidy table: a row per benchmark and parameters, with its error, its theoretical cost and the machine's limits.

Benchmarks describe themselves in their `meta` (see ``benchmarks/_base.py``); no name of one is used here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from xpsolve.bench.meta import BenchmarkMeta
from xpsolve.report.asv import Measurements, Point
from xpsolve.report.model import KEY, THEORY, models
from xpsolve.report.sessions import RUN, spreads, widen

COLUMNS = (
    "suite machine commit date environment python versions current benchmark group family title role quantity mode "
    "unit backend device dtype method n p depth x_name x params series value lower upper samples "
    "sessions between status reason detail error tol checked valid steady latency "
    "flops bytes launches syncs memory operand products results taped factored floor share bound"
).split()
"""What every table has; the other parameters follow, one column each."""

UNSTEADY = 0.5
"""A time whose interval reaches below this share of its median is left out of fits.

Disturbances only add time: a tail of slow samples does not move the median, a fast tail means that the median
itself was disturbed.
"""

_PLACE = [*RUN, "group", "params"]  # what a time has in common with the error and the baseline beside it
_SAME = (  # what points without a value have in common where one row stands for them
    "suite machine commit date environment python versions current benchmark group family title role quantity mode "
    "unit backend device library status reason detail"
).split()


def tidy(measurements: Measurements) -> pd.DataFrame:
    """Join measurements into one table; what could not be joined is added to their warnings.

    A row per benchmark and parameters, of every machine and commit:

    - ``n``, ``p``, ``depth``, ``method`` and ``dtype`` are those of the point, whether the benchmark varies them or
      keeps them fixed; ``x`` is the abscissa and ``series`` all other parameters as JSON.
    - ``suite`` is the profile that measured it, ``versions`` that of the library which did the work; ``current`` marks
      the commit of each machine and environment that was measured last.
    - Where ``status`` is not "ok", ``reason`` is as in `xpsolve.report.asv.Point` and ``detail`` says more.
    - ``value`` is in SI units with asv's 99 % interval in ``lower`` and ``upper``; ``steady`` says whether that
      interval stays above half the value.  Where several ``sessions`` measured it (their medians as JSON), the value is
      their geometric mean and the interval also covers what differs between them, ``between`` as the standard deviation
      of its logarithm.  Beside a throughput, ``latency`` is the time of the same call alone.
    - ``checked`` says whether an error is beside the value, ``valid`` whether it is below its tolerance (unchecked
      counts as valid).
    - ``flops`` … ``factored`` are theory; ``floor`` is max(flops/P, bytes/BW, launches·t) in seconds, ``bound`` the
      largest of the three, ``launching`` the last and ``share`` = floor/value; ``work`` is flops/P + bytes/BW (flops
      alone without ceilings), ``predicted`` the time by `xpsolve.report.model` and ``calling`` its part for the call
      and its launches.
    """
    rows = []
    for point in measurements.points:
        try:
            rows.append(_row(point))
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            file = f"{point.machine}/{point.commit[:8]}-{point.environment}.json"
            measurements.warnings.append(f"{file}: {point.benchmark} has an invalid point ({error}); skipped")
    names = sorted({name for point in measurements.points for name in point.params} - set(COLUMNS))
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *names, "measured"])
    if frame.empty:
        return frame.drop(columns="measured")
    # The commit that was measured last, per machine and environment.
    ordered = frame.sort_values("measured", kind="stable")
    frame["current"] = frame["commit"].eq(ordered.groupby(RUN[:2])["commit"].transform("last"))
    metas = {point.benchmark: point.meta for point in measurements.points}
    frame = _join_errors(frame)
    frame = _join_latencies(_subtract_baseline(frame), {name: meta.pair or "" for name, meta in metas.items()})
    _add_theory(frame, metas, measurements.warnings)
    _add_floor(frame)
    frame = widen(frame, spreads(frame))
    return frame.drop(columns="measured").reset_index(drop=True)


def results(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as it is kept in files: what was measured, and in few rows what was not and why.

    A row per measured point.  Points without a value are one row per machine, commit, benchmark, backend, library and
    reason, their number in ``points``; those that were not requested are none.
    """
    measured = frame[frame["status"] == "ok"].assign(points=1)
    missed = frame[(frame["status"] != "ok") & (frame["reason"] != "not selected")]
    same = [name for name in _SAME if name in frame]
    if len(missed):
        number = missed.groupby(same, sort=False, dropna=False).size().rename("points")
        measured = pd.concat([measured, number.reset_index()], ignore_index=True)
    kept = [name for name in measured.columns if name in COLUMNS or name == "points" or measured[name].notna().any()]
    columns = measured[kept].convert_dtypes()
    # A parameter may be a number in one benchmark and a word in another; a column of a file has one type.
    words = {name: "string" for name in kept if columns[name].dtype == object}
    return columns.astype(words)


def _row(point: Point) -> dict[str, Any]:
    """The columns of one point that it has by itself, others among them, which the table leaves out."""
    meta, known = point.meta, point.meta.sizes(point.params)
    x_name = meta.x if meta.x and _is_number(point.params.get(meta.x)) else ""
    group, _, function = point.benchmark.rpartition(".")
    dtype = known.get("dtype")
    return {
        **vars(point),
        **{name: value for name, value in point.params.items() if name not in COLUMNS},
        "date": datetime.fromtimestamp(point.date / 1000, tz=UTC).isoformat(timespec="seconds"),
        "group": group,
        "family": meta.family or "other",
        "title": meta.title or point.benchmark,
        "role": "baseline" if meta.role == "memory" and function.endswith("baseline") else meta.role,
        "quantity": meta.quantity or point.unit,
        "mode": meta.mode or "",
        "dtype": dtype if isinstance(dtype, str) and dtype else "float64",
        "method": str(known.get("method") or ""),
        **{name: _number(known.get(name)) for name in ("n", "p", "depth")},
        "x_name": x_name,
        "x": float(point.params[x_name]) if x_name else math.nan,
        "params": _json(point.params),
        "series": _json({name: value for name, value in point.params.items() if name != x_name}),
        "sessions": json.dumps(point.sessions) if point.sessions else "",
        "steady": not point.lower < UNSTEADY * point.value,
        "tol": _number(meta.tol),
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    return float(value) if _is_number(value) else math.nan


def _json(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True, default=str)


def _join_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """The error of the same class at the same parameters is beside each value."""
    errors = frame[frame["role"] == "error"].drop_duplicates(_PLACE)
    errors = errors[errors["status"] != "skipped"][[*_PLACE, "value", "tol", "status"]]
    renamed = errors.rename(columns={"value": "error", "tol": "_tol", "status": "_error_status"})
    joined = frame.drop(columns=["error", "checked", "valid"]).merge(renamed, on=_PLACE, how="left")
    own = joined["role"] == "error"
    joined["tol"] = joined["tol"].where(own, joined["_tol"])
    # A solve that failed its check by raising is as wrong as one that missed the tolerance.
    raised = joined["_error_status"] == "failed"
    missed = joined["error"] > joined["tol"]
    joined["checked"] = joined["_error_status"].notna() & ~own
    joined["valid"] = ~(raised | missed)
    return joined.drop(columns=["_tol", "_error_status"])


def _subtract_baseline(frame: pd.DataFrame) -> pd.DataFrame:
    """The peak memory of a process includes its imports and its data: only the remainder is compared."""
    base = frame[(frame["role"] == "baseline") & (frame["status"] == "ok")].drop_duplicates(_PLACE)
    beside = frame[_PLACE].merge(base[[*_PLACE, "value"]], on=_PLACE, how="left")["value"]
    measured = (frame["role"] == "memory") & (frame["status"] == "ok")
    return frame.assign(value=frame["value"] - beside.where(measured).fillna(0.0))


def _join_latencies(frame: pd.DataFrame, pairs: Mapping[str, str]) -> pd.DataFrame:
    """Beside each throughput the latency of the class that its benchmark names, at the same parameters."""
    place = [*RUN, "_pair", "params"]
    alone = frame[(frame["mode"] == "latency") & (frame["status"] == "ok")]
    alone = alone[[*_PLACE, "value"]].rename(columns={"group": "_pair", "value": "latency"}).drop_duplicates(place)
    paired = frame.drop(columns="latency").assign(_pair=frame["benchmark"].map(pairs))
    return paired.merge(alone, on=place, how="left").drop(columns="_pair")


def _add_theory(frame: pd.DataFrame, metas: Mapping[str, BenchmarkMeta], warnings: list[str]) -> None:
    refused: dict[str, str] = {}
    theory = []
    for benchmark, params in frame[["benchmark", "params"]].itertuples(index=False, name=None):
        try:
            cost = metas[benchmark].theory(json.loads(params))
        except (TypeError, ValueError, ZeroDivisionError) as error:
            refused.setdefault(benchmark, str(error))
            cost = None
        theory.append([math.nan] * len(THEORY) if cost is None else [float(getattr(cost, n)) for n in THEORY])
    frame[THEORY] = theory
    warnings.extend(f"{name}: no theory at some points ({why})" for name, why in refused.items())


def _add_floor(frame: pd.DataFrame) -> None:
    """Limits and predictions, from the ceilings of the same run, backend and dtype."""
    frame[["floor", "launching", "calling", "predicted"]] = math.nan
    frame["bound"], frame["work"] = "", frame["flops"]
    known = frame["role"].eq("time") & frame["flops"].notna()
    places = frame[known].groupby(KEY, sort=False).groups
    for key, model in models(frame).items():
        rows = places.get(key)
        if rows is not None:
            theory = {name: frame.loc[rows, name].to_numpy(dtype=float) for name in THEORY}
            best, parts = model.limits, model.parts(**theory)
            limits = pd.DataFrame(
                {
                    "arithmetic": theory["flops"] / best.flops_per_s,
                    "memory": theory["bytes"] / best.bytes_per_s,
                    "launches": theory["launches"] * best.launch_s,
                },
                index=rows,
            ).fillna(0.0)
            frame.loc[rows, "floor"], frame.loc[rows, "bound"] = limits.max(axis=1), limits.idxmax(axis=1)
            frame.loc[rows, "launching"] = limits["launches"]
            frame.loc[rows, "work"] = theory["flops"] / model.flops_per_s + theory["bytes"] / model.bytes_per_s
            frame.loc[rows, "calling"], frame.loc[rows, "predicted"] = parts["launches"], sum(parts.values())
    # Of a backend whose ceilings are measured in part, the limit may be nothing.
    frame["share"] = (frame["floor"] / frame["value"]).where(frame["floor"] > 0)
