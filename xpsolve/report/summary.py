"""The first page: three sentences, a figure, how each family scales, what changed, and what to know besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from xpsolve.report import backends, digest, figures
from xpsolve.report.digest import Cell, Link, RunName, Table, table, text
from xpsolve.report.findings import Series
from xpsolve.report.formats import exponent, number, readable, share
from xpsolve.report.sections import Figure, figure_of

COMMITS = 3  # a history has as many or more
BARS = 14


def scaling(lines: Sequence[Series], run: RunName, link: Link) -> Table:
    """One line per family: of its series that can be judged the one with the most work, and how many agree."""
    groups: dict[tuple[str, str, str], list[Series]] = {}
    for line in lines:
        groups.setdefault((*line.key[:2], str(line.head["family"])), []).append(line)
    rows = []
    for _, members in sorted(groups.items(), key=lambda item: item[0]):
        judged = [line.verdict.kind == "agrees" for line in members if line.verdict.judged]
        agree = Cell(f"{sum(judged)} of {len(judged)} judged", sum(judged) / len(judged) if judged else "")
        heaviest = max(members, key=_weight)
        rows.append(dict(heaviest.head, line=heaviest, agree=agree))
    columns = {
        "family": lambda row: text(row["family"], link=link(row["family"])),
        "verdict": lambda row: digest.verdict(row["line"].verdict),
        "time grows as": lambda row: digest.grows(row["line"]),
        "theory": lambda row: digest.measure(row["line"].verdict.theory, exponent),
        "in its heaviest series": lambda row: row["title"] + (f" ({row['line'].label})" if row["line"].params else ""),
        "agree": "agree",
    }
    return table(rows, columns, run)


def _weight(line: Series) -> tuple[bool, float, float]:
    return line.verdict.judged, np.nan_to_num(line.points["flops"].max()), -line.points["value"].max()


def overview(lines: Sequence[Series]) -> list[Figure]:
    """Backends beside each other, a panel for each family that two or more of them ran."""
    panels = backends.panels(lines)
    if not panels:
        return []
    names = list(dict.fromkeys(name for one in panels.values() for name in one))
    first = {}
    for family, one in panels.items():
        points = pd.concat([line.valid.assign(name=name) for name, line in one.items()])
        size = points.groupby("name")["x"].max().min()
        first[family] = points[points["x"] == size].nsmallest(1, "value")["name"].iloc[0]
    won = pd.Series(list(first.values())).value_counts()
    ahead = max(names, key=lambda name: won.get(name, 0))
    title = (
        f"One source on {len(names)} backends: at the largest size that all ran, {ahead} is the fastest "
        f"in {won[ahead]} of {len(panels)} {'family' if len(panels) == 1 else 'families'}"
    )
    described = "; ".join(f"{family}: {name}" for family, name in first.items())
    alt = (
        f"Log-log plots of time against size, a panel for each family, a line for each backend. Fastest in {described}."
    )
    wide, narrow = (figures.backends(panels, title, columns) for columns in (3, 2))
    return [Figure("overview.svg", wide, title, alt, narrow=narrow)]


def where_time_goes(lines: Sequence[Series]) -> list[Figure]:
    """The parts of the time of each family's heaviest series at its largest size, by costs and ceilings."""
    known = [line for line in lines if line.valid["predicted"].notna().any()]
    heaviest: dict[str, Series] = {}
    for line in sorted(known, key=_weight):
        heaviest[line.head["family"]] = line
    if not known:
        return []
    last = pd.DataFrame([line.valid.dropna(subset="predicted").iloc[-1] for line in heaviest.values()]).head(BARS)
    params = last["series"].map(readable)
    last.index = last["family"] + ": " + params + ", " + last["x_name"] + " = " + last["x"].map(number)
    taken = last[["work", "launching"]].astype(float).div(last["value"], axis=0).fillna(0.0)
    shares = taken.div(taken.sum(axis=1).clip(lower=1.0), axis=0)
    shares.columns = ["arithmetic and memory", "launching"]
    shares["the rest"] = (1 - taken.sum(axis=1)).clip(0.0)
    shares = shares.sort_index()
    title = (
        f"Where time goes at the largest sizes: half of the families spend {share(1 - shares['the rest'].median())} or "
        "more on arithmetic, memory and launching"
    )
    described = (
        f"{name}: {share(rest)} unexplained by the machine's limits" for name, rest in shares["the rest"].items()
    )
    alt = f"Bars of the parts of a time. {'; '.join(described)}."
    return [Figure("where-time-goes.svg", figures.parts(shares, title), title, alt)]


def histories(frame: pd.DataFrame, run: RunName) -> list[Figure]:
    """Times over the commits of a machine, where there are three or more, in small multiples by family."""
    found: list[Figure] = []
    times = frame[(frame["role"] == "time") & (frame["status"] == "ok") & frame["valid"] & (frame["value"] > 0)]
    for (machine, environment), rows in times.groupby(["machine", "environment"], sort=False):
        ordered = rows.sort_values(["date", "current"], kind="stable")["commit"].unique()
        keys = ["family", "benchmark", "params"]
        grid = rows.drop_duplicates([*keys, "commit"]).pivot(index="commit", columns=keys, values="value")
        grid = grid.reindex(ordered).dropna(axis=1)
        if len(ordered) >= COMMITS and len(grid.columns):
            ratios = grid / grid.iloc[0]
            families = {str(family): ratios[family] for family in ratios.columns.unique("family")}
            now = number(ratios.iloc[-1].median())
            title = f"{grid.shape[1]} times over {len(ordered)} commits: the median is now {now} of the first"
            described = "; ".join(f"{family}: {number(part.iloc[-1].median())}" for family, part in families.items())
            alt = (
                f"Small multiples of times over commits, relative to the first. Median at the last commit, {described}."
            )
            name = run(str(machine), str(environment))
            found.append(figure_of(name, ["history"], figures.history(families, title), title, alt))
    return found


def late(now: pd.DataFrame) -> dict[str, Any]:
    """What there was no time for; empty where nothing is missing."""
    gone = now[now["reason"] == "over budget"]
    sweeps = ["group", "backend", "series"]
    done = set(now.loc[now["status"] == "ok", sweeps].itertuples(index=False, name=None))
    found = {
        "points": len(gone),
        "asked": len(gone) + int((now["status"] != "skipped").sum()),
        "families": sorted(set(gone["family"])),
        "sweeps": len(set(gone[sweeps].itertuples(index=False, name=None)) - done),
        "why": sorted(set(gone["detail"]) - {""}),
    }
    return {} if gone.empty else found


def unmeasured(now: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Which backends have no results, and why."""
    measured = set(now.loc[now["status"] == "ok", "backend"])
    late = dict.fromkeys(sorted(set(now.loc[now["reason"] == "over budget", "backend"]) - {""}), "no time")
    absent = {
        name: str(backend.get("reason", ""))
        for machine in facts.values()
        for name, backend in machine["backends"].items()
        if not backend.get("available")
    }
    return {name: why for name, why in (late | absent).items() if name not in measured}
