"""The first page: three sentences, a figure, how each family scales, what changed, and what to know besides."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report import backends, digest, figures
from xpsolve.report.digest import Cell, RunName, Table, readable, table, text
from xpsolve.report.findings import Series
from xpsolve.report.formats import exponent, number, share
from xpsolve.report.sections import Figure

__all__ = ["histories", "late", "overview", "scaling", "unmeasured", "where_time_goes"]

COMMITS = 3  # a history has as many or more
BARS = 14


def scaling(lines: Sequence[Series], run: RunName, link: Callable[[str], str]) -> Table:
    """One line per family: of its series that can be judged the one with the most work, and how many agree."""
    groups: dict[tuple[str, str, str], list[Series]] = {}
    for line in lines:
        groups.setdefault((*line.key[:2], str(line.head["family"])), []).append(line)
    rows = []
    for where, members in sorted(groups.items(), key=lambda item: item[0]):
        told = max(members, key=_weight)
        judged = [line for line in members if line.verdict.judged]
        agreeing = sum(line.verdict.kind == "agrees" for line in judged)
        cells = {
            "family": text(where[2], link=link(where[2])),
            "verdict": digest.verdict(told.verdict),
            "exponent from 0 to 3": Cell("", figure=figures.strip(told.verdict)),
            "time grows as": digest.grows(told.verdict, told.variable),
            "theory": digest.measure(told.theory, exponent),
            "in its heaviest series": f"{told.head['title']} ({told.label})" if told.params else told.head["title"],
            "agree": Cell(f"{agreeing} of {len(judged)} judged", agreeing / len(judged) if judged else ""),
        }
        rows.append((where, cells))
    return table(run, rows)


def _weight(line: Series) -> tuple[bool, float, float]:
    flops = float(line.points["flops"].max())
    return line.verdict.judged, flops if math.isfinite(flops) else 0.0, -float(line.points["value"].max())


def overview(lines: Sequence[Series]) -> list[Figure]:
    """Backends beside each other, a panel for each family that two or more of them ran."""
    panels = backends.panels(lines)
    if not panels:
        return []
    names = list(dict.fromkeys(name for one in panels.values() for name in one))
    first = []
    for one in panels.values():
        last = {name: line.valid.iloc[-1] for name, line in one.items()}
        size = min(point["x"] for point in last.values())
        first.append(min(one, key=lambda name: _at(one[name], size)))
    ahead = max(names, key=first.count)
    title = (
        f"One source on {len(names)} backends: at the largest size that all ran, {ahead} is the fastest "
        f"in {first.count(ahead)} of {len(panels)} {'family' if len(panels) == 1 else 'families'}"
    )
    told = "; ".join(f"{family}: {name}" for family, name in zip(panels, first, strict=True))
    alt = (
        f"Log-log plots of time against size, a panel for each family, a line for each backend. The fastest in {told}."
    )
    wide, narrow = (figures.backends(panels, title, columns) for columns in (3, 2))
    return [Figure("overview.svg", wide, title, alt, narrow=narrow)]


def _at(line: Series, size: float) -> float:
    here = line.valid[line.valid["x"] == size]["value"]
    return float(here.iloc[0]) if len(here) else math.inf


def where_time_goes(lines: Sequence[Series]) -> list[Figure]:
    """The parts of the time of each family's heaviest series at its largest size, by costs and ceilings."""
    rows: dict[str, list[float]] = {}
    heaviest: dict[str, Series] = {}
    for line in lines:
        family = str(line.head["family"])
        known = line.valid["predicted"].notna().any()
        if known and (family not in heaviest or _weight(line) > _weight(heaviest[family])):
            heaviest[family] = line
    for family, line in list(heaviest.items())[:BARS]:
        last = line.valid[line.valid["predicted"].notna()].iloc[-1]
        work, launching = (float(np.nan_to_num(last[name] / last["value"])) for name in ("work", "launching"))
        whole = max(1.0, work + launching)
        name = f"{family}: {readable(line.key[3])}, {last['x_name']} = {number(last['x'])}"
        rows[name] = [work / whole, launching / whole, max(0.0, 1 - work - launching)]
    if not rows:
        return []
    shares = pd.DataFrame.from_dict(rows, orient="index", columns=["arithmetic and memory", "launching", "the rest"])
    middle = float(np.median(shares["the rest"]))
    title = (
        f"Where time goes at the largest sizes: half of the families spend {share(1 - middle)} or more "
        "on arithmetic, memory and launching"
    )
    alt = "; ".join(
        f"{name}: {share(rest)} unexplained by the machine's limits" for name, rest in shares["the rest"].items()
    )
    return [Figure("where-time-goes.svg", figures.parts(shares, title), title, f"Bars of the parts of a time. {alt}.")]


def histories(frame: pd.DataFrame, run: RunName) -> list[Figure]:
    """Times over the commits of a machine, where there are three or more, in small multiples by family."""
    found: list[Figure] = []
    times = frame[(frame["role"] == "time") & (frame["status"] == "ok") & frame["valid"] & (frame["value"] > 0)]
    for (machine, environment), rows in times.groupby(["machine", "environment"], sort=False):
        ordered = rows.sort_values(["date", "current"], kind="stable")["commit"].drop_duplicates()
        keys = ["family", "benchmark", "params"]
        grid = rows.drop_duplicates([*keys, "commit"]).pivot(index="commit", columns=keys, values="value")
        grid = grid.reindex(ordered).dropna(axis=1)
        if len(ordered) < COMMITS or grid.empty:
            continue
        ratios = grid / grid.iloc[0]
        families = {str(family): ratios[family] for family in ratios.columns.unique("family")}
        name, last = run(str(machine), str(environment)), float(ratios.iloc[-1].median())
        title = f"{grid.shape[1]} times over {len(ordered)} commits: the median is now {number(last)} of the first"
        title = f"{name}: {title}" if name else title
        svg = figures.history(families, [commit[:7] for commit in ordered], title)
        told = "; ".join(f"{family}: {number(part.iloc[-1].median())}" for family, part in families.items())
        alt = f"Small multiples of times over commits, relative to the first. Median at the last commit, {told}."
        found.append(Figure(f"history{f'-{len(found) + 1}' if found else ''}.svg", svg, title, alt))
    return found


def late(now: pd.DataFrame) -> dict[str, Any]:
    """What there was no time for; empty where nothing is missing."""
    gone = now[now["reason"] == "over budget"]
    sweeps = ["group", "backend", "series"]
    done = set(now.loc[now["status"] == "ok", sweeps].itertuples(index=False, name=None))
    return (
        {}
        if gone.empty
        else {
            "points": len(gone),
            "asked": len(gone) + int((now["status"] != "skipped").sum()),
            "families": sorted(set(gone["family"])),
            "sweeps": len(set(gone[sweeps].itertuples(index=False, name=None)) - done),
            "why": sorted({detail for detail in gone["detail"] if detail}),
        }
    )


def unmeasured(now: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Which backends have no results, and why."""
    measured = set(now.loc[now["status"] == "ok", "backend"])
    late = dict.fromkeys(sorted(set(now.loc[now["reason"] == "over budget", "backend"]) - {""}), "no time")
    absent = {
        name: str(_table(backend).get("reason", ""))
        for machine in facts.values()
        for name, backend in _table(machine.get("backends")).items()
        if not _table(backend).get("available")
    }
    return {name: why for name, why in (late | absent).items() if name not in measured}


def _table(value: Any) -> dict[str, Any]:
    """A value of a file as a dictionary: empty where it is something else."""
    return value if isinstance(value, dict) else {}
