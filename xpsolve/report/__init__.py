"""From asv's results to pages: one tidy table, fitted exponents against theory, crossings, limits, figures.

`build` makes a folder that opens from disk without a network: ``index.html`` with the summary, a page for each family
and for exponents, peers, backends, machine, gallery and methods, ``summary.md``, ``scaling.csv`` (a row per fitted
series), ``joint.csv`` (a row per method and length, of all its benchmarks together), ``results.csv`` (a row per
measurement, and what is missing with the reason; the same as ``results.parquet`` where pyarrow is installed) and
``figures/``, those of the gallery among them where `xpsolve figures` has drawn it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from xpsolve.report.asv import NoResultsError

__all__ = ["TYPICAL_SECONDS", "NoResultsError", "build"]

TYPICAL_SECONDS = (2.0, 0.035)
"""About what a report takes on one core of a usual machine: of itself, and for each point measured."""


def build(results: Path | Sequence[Path], out: Path, *, machines: Sequence[str] | None = None) -> Path:
    """Make a report from asv results.

    Parameters
    ----------
    results : Path or sequence of Path
        asv's ``results_dir``, or several of them.  Figures of the gallery are taken from the folder ``gallery`` beside
        the first, if there is one.
    out : Path
        Folder to write; made if missing.  All files are written beside it and then put into place, ``index.html`` last,
        so that a full disk leaves an earlier report unchanged.
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
    OSError
        If `out` cannot be written.

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
    from xpsolve.files import write_folder
    from xpsolve.report import asv, findings, gallery, joint, page, sections, table

    out, folders = Path(out), [results] if isinstance(results, Path) else list(results)
    found = asv.read(folders, machines)
    drawn = folders[0].parent / "gallery"
    shown, skipped = gallery.read(drawn)
    found.warnings += skipped
    frame = table.tidy(found)
    lines = findings.series(frame[frame["x_name"] != sections.STOPS])
    pairs = findings.crossings(lines)
    joined = joint.joint_fits(frame, lines)
    kept = table.results(frame)
    files: dict[str, str | bytes] = {
        "results.csv": kept.to_csv(index=False),
        "scaling.csv": findings.scaling_table(lines).to_csv(index=False),
        "joint.csv": joined.to_csv(index=False),
        **page.render(page.pages(page.Report(frame, lines, pairs, joined, found, shown, gallery.left_out(drawn)))),
    }
    if importlib.util.find_spec("pyarrow") is not None:
        files = {"results.parquet": kept.to_parquet(index=False), **files}
    else:
        (out / "results.parquet").unlink(missing_ok=True)
    write_folder(out, files)
    # Figures and pages of an earlier report would seem to belong to this one.
    for stale in (out / "figures").glob("*.svg"):
        if f"figures/{stale.name}" not in files:
            stale.unlink()
    for stale in out.glob("*.html"):
        if stale.name not in files and page.MARK in stale.read_text(encoding="utf-8", errors="replace"):
            stale.unlink()
    return out / "index.html"
