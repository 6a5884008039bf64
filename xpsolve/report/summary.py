"""The summary: how each family scales in one line, and the main findings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from xpsolve.report.digest import Cell, RunName, Table, text, with_run
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import exponent, interval, number, share

__all__ = ["lead", "left_out", "scaling", "unmeasured"]

MOST_CROSSINGS = 4


def scaling(lines: Sequence[Series], run: RunName, link: Callable[[str], str]) -> Table:
    """One line per family: the exponent of the series with the most work, and how many agree.

    Parameters
    ----------
    lines : sequence of Series
        Fitted series.
    run : callable
        Names the run of a machine and environment.
    link : callable
        The page of a family.

    Returns
    -------
    Table
        One row for each family and run.

    Examples
    --------
    >>> from xpsolve.report.summary import scaling
    >>> bool(scaling([], lambda *_: "", str))
    False
    """
    families: dict[tuple[str, str, str], list[Series]] = {}
    for line in lines:
        families.setdefault((*line.key[:2], str(line.head["family"])), []).append(line)
    rows = []
    for (machine, environment, family), members in sorted(families.items(), key=lambda item: item[0]):
        agreeing = sum(line.verdict.kind == "agrees" for line in members)
        # Resolved if there is one, of the most work, and there on the fastest backend.
        told = max(members, key=lambda line: (_known(line), *_weight(line)))
        law = told.law
        shown = law is not None and _known(told)
        cells = [
            text(family, link=link(family)),
            Cell(f"{told.variable}^{exponent(law.alpha)}", law.alpha) if law is not None and shown else Cell("–"),
            Cell(interval(law.low, law.high), law.low) if law is not None and shown else Cell("–"),
            text(told.verdict.kind, told.verdict.kind),
            Cell(exponent(told.theory), told.theory) if math.isfinite(told.theory) else Cell("–"),
            text(f"{told.head['title']} ({told.label})" if told.params else told.head["title"]),
            Cell(f"{agreeing} of {len(members)}", agreeing / len(members)),
        ]
        rows.append((run(machine, environment), cells))
    columns = ["family", "time grows as", "95 % interval", "verdict", "theory", "in its heaviest series", "agree"]
    return with_run(columns, rows)


def _weight(line: Series) -> tuple[float, float]:
    flops = float(line.points["flops"].max())
    return (flops if math.isfinite(flops) else 0.0), -float(line.points["value"].max())


def _known(line: Series) -> bool:
    return line.law is not None and line.law.resolved and not line.law.vague and line.verdict.judged


def lead(
    lines: Sequence[Series],
    pairs: Sequence[Pair],
    times: pd.DataFrame,
    failed: pd.DataFrame,
    link: Callable[[str], str],
) -> list[tuple[str, str]]:
    """Scaling in a few sentences.

    Parameters
    ----------
    lines : sequence of Series
        Fitted series.
    pairs : sequence of Pair
        Crossings.
    times : pandas.DataFrame
        Current times of the tidy table.
    failed : pandas.DataFrame
        Current rows that failed.
    link : callable
        The page of a family.

    Returns
    -------
    list of (str, str)
        Sentences, each with the page of its details, or nothing.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.summary import lead
    >>> times = pd.DataFrame({"valid": [True, False], "steady": True})
    >>> lead([], [], times, pd.DataFrame(), str)
    [('Answers that miss their tolerance, drawn hollow and not fitted: 1.', 'methods.html')]
    """
    said: list[tuple[str, str]] = []
    if lines:
        agreeing = sum(line.verdict.kind == "agrees" for line in lines)
        others = [
            f"{count} {word}"
            for word in ("floor-bound", "differs", "no theory", "not measurable")
            if (count := sum(line.verdict.kind == word for line in lines))
        ]
        rest = f" ({', '.join(others)})" if others else ""
        part = share(agreeing / len(lines)) if agreeing else "none"
        said.append(
            (
                f"{agreeing} of {len(lines)} series, {part}, grow with the exponent of the theory{rest}.",
                "exponents.html",
            )
        )
    clear = [pair for pair in pairs if pair.crossing.clear and pair.rival == "method"]
    for pair in clear[:MOST_CROSSINGS]:
        shared = f" ({pair.shared})" if pair.shared else ""
        said.append((f"{pair.first.head['title']}{shared}: {pair.sentence}.", link(str(pair.first.head["family"]))))
    if len(clear) > MOST_CROSSINGS:
        said.append(
            (f"{number(len(clear) - MOST_CROSSINGS)} more crossings of methods are on the families' pages.", "")
        )
    wrong, unsteady = int((~times["valid"]).sum()), int((~times["steady"]).sum())
    if wrong:
        said.append((f"Answers that miss their tolerance, drawn hollow and not fitted: {wrong}.", "methods.html"))
    if unsteady:
        said.append((f"Times too unsteady to be fitted, drawn as crosses: {unsteady}.", "methods.html"))
    if len(failed):
        said.append((f"Measurements that failed: {len(failed)}.", "methods.html#left-out"))
    return said


def left_out(now: pd.DataFrame, undrawn: Sequence[str] = ()) -> list[str]:
    """What there was no time for.

    Parameters
    ----------
    now : pandas.DataFrame
        Current rows of the tidy table.
    undrawn : sequence of str
        Names of the figures of the gallery for which there was no time.

    Returns
    -------
    list of str
        No sentence where nothing is missing, else one or two.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.summary import left_out
    >>> columns = ["reason", "status", "family", "group", "backend", "series", "detail"]
    >>> late = ["over budget", "skipped", "ridge", "ridge.InSamples", "torch", "{}", "quick in 300 s"]
    >>> done = ["", "ok", "ridge", "ridge.InSamples", "numpy", "{}", ""]
    >>> left_out(pd.DataFrame([late, done], columns=columns))[0].partition(". ")[0]
    'Left out for lack of time (quick in 300 s): 1 of 2 points, in the family ridge'
    """
    said = []
    late = now[now["reason"] == "over budget"]
    if len(late):
        asked = len(late) + int((now["status"] != "skipped").sum())
        families = sorted(set(late["family"]))
        sweeps = ["group", "backend", "series"]
        done = set(now.loc[now["status"] == "ok", sweeps].itertuples(index=False, name=None))
        whole = len(set(late[sweeps].itertuples(index=False, name=None)) - done)
        why = ", ".join(sorted({detail for detail in late["detail"] if detail}))
        said.append(
            f"Left out for lack of time{f' ({why})' if why else ''}: {number(len(late))} of {number(asked)} points, "
            f"in {'the family' if len(families) == 1 else f'{len(families)} families:'} {', '.join(families)}. "
            f"Sweeps missing as a whole: {number(whole)}; the others lack some of their sizes. "
            "xpsolve bench with a larger --budget adds them."
        )
    if undrawn:
        said.append(f"Figures of the gallery that there was no time to draw: {', '.join(undrawn)}.")
    return said


def unmeasured(now: pd.DataFrame, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Which backends have no results, and why.

    Parameters
    ----------
    now : pandas.DataFrame
        Current rows of the tidy table.
    facts : mapping of str to mapping
        By machine, what is known of it; its ``"backends"`` say which can be used.

    Returns
    -------
    str
        A sentence, empty where all were measured.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpsolve.report.summary import unmeasured
    >>> now = pd.DataFrame({"backend": ["numpy", "torch"], "status": ["ok", "skipped"], "reason": ["", "over budget"]})
    >>> unmeasured(now, {"box": {"backends": {"jax": {"available": False, "reason": "jax is not installed"}}}})
    'Backends without a measurement: torch (no time), jax (jax is not installed).'
    """
    measured = set(now.loc[now["status"] == "ok", "backend"])
    late = dict.fromkeys(sorted(set(now.loc[now["reason"] == "over budget", "backend"]) - {""}), "no time")
    absent = {
        name: str(_table(backend).get("reason", ""))
        for machine in facts.values()
        for name, backend in _table(machine.get("backends")).items()
        if not _table(backend).get("available")
    }
    why = [f"{name} ({reason})" for name, reason in (late | absent).items() if name not in measured]
    return f"Backends without a measurement: {', '.join(why)}." if why else ""


def _table(value: Any) -> dict[str, Any]:
    """A value of a file as a dictionary: empty where it is something else."""
    return value if isinstance(value, dict) else {}
