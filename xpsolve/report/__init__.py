"""From asv's results to pages: one tidy table, fitted exponents against theory, crossings, limits, figures.

`build` makes a folder that opens from disk without a network: ``index.html``, ``summary.md``, ``scaling.csv`` (a row
per fitted series), ``results.csv`` (a row per measurement) and ``figures/``, those of the gallery
among them where `xpsolve figures` has drawn it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from xpsolve.report.asv import NoResultsError

__all__ = ["NoResultsError", "build"]


def build(results: Path, out: Path, *, machines: Sequence[str] | None = None) -> Path:
    """Make a report from asv results.

    Parameters
    ----------
    results : Path
        asv's ``results_dir``.  Figures of the gallery are taken from the folder ``gallery`` beside it, if there is one.
    out : Path
        Folder to write; made if missing, its files are replaced one by one, ``index.html`` last.
    machines : sequence of str, optional
        Names of the machines to report on; all of them when left out.

    Returns
    -------
    Path
        The page, ``out/index.html``.

    Raises
    ------
    NoResultsError
        If there is nothing to report on.
    ValueError
        If `machines` names one that has no results.

    Examples
    --------
    >>> from pathlib import Path
    >>> from xpsolve import report
    >>> report.build(Path("no-such-folder"), Path("report"))
    Traceback (most recent call last):
    ...
    xpsolve.report.asv.NoResultsError: no asv results in 'no-such-folder': measure something ...
    """
    # Here, so that `import xpsolve.report` needs none of pandas, matplotlib and jinja2.
    from xpsolve.files import write_text
    from xpsolve.report import asv, findings, gallery, page, table

    results, out = Path(results), Path(out)
    found = asv.read(results, machines)
    shown, left_out = gallery.read(results.parent / "gallery")
    found.warnings += left_out
    frame = table.tidy(found)
    lines = findings.series(frame)
    pairs = findings.crossings(lines)
    files = {
        # asv lists every point of every grid; those that nobody asked to measure are no results
        "results.csv": frame[frame["status"] != "skipped"].convert_dtypes().to_csv(index=False),
        "scaling.csv": findings.scaling_table(lines).to_csv(index=False),
        **page.render(page.context(frame, lines, pairs, found, shown)),
    }
    for name, text in files.items():
        write_text(out / name, text)
    # Figures of an earlier report would be taken for this one's.
    for stale in (out / "figures").glob("*.svg"):
        if f"figures/{stale.name}" not in files:
            stale.unlink()
    return out / "index.html"
