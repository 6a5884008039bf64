"""The summary: how each family scales in one line, and the findings that a reader should not miss."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pandas as pd

from xpsolve.report.digest import Cell, RunName, Table, text, with_run
from xpsolve.report.findings import Pair, Series
from xpsolve.report.formats import exponent, interval, number, share

__all__ = ["lead", "scaling"]

MOST_CROSSINGS = 4


def scaling(lines: Sequence[Series], run: RunName, link: Callable[[str], str]) -> Table:
    """One line a family: the exponent of the series with the most work, and how many agree.

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
        agreeing = sum(line.verdict == "agrees" for line in members)
        # Resolved if there is one, of the most work, and there on the fastest backend.
        told = max(members, key=lambda line: (_known(line), *_weight(line)))
        law = told.law
        shown = law is not None and _known(told)
        cells = [
            text(family, link=link(family)),
            Cell(f"{told.variable}^{exponent(law.alpha)}", law.alpha) if law is not None and shown else Cell("–"),
            Cell(interval(law.low, law.high), law.low) if law is not None and shown else Cell("–"),
            text(told.verdict, told.verdict),
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
    return line.law is not None and line.law.resolved and not line.law.vague and line.verdict != "unresolved"


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
        Sentences, each with the page that tells more or nothing.

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
        agreeing = sum(line.verdict == "agrees" for line in lines)
        others = [
            f"{count} {word}"
            for word in ("floor-bound", "differs", "unresolved")
            if (count := sum(line.verdict == word for line in lines))
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
