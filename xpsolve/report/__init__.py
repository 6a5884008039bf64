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


def build(
    results: Path | Sequence[Path],  # asv's ``results_dir``, or several; the folder ``gallery`` beside is shown too
    out: Path,  # the folder to write; made if missing
    *,
    machines: Sequence[str] | None = None,  # names of those to report on; all of them when left out
) -> Path:
    """Make a report from asv results, and return its page ``index.html``.

    All files are written beside `out` and then put into place, ``index.html`` last, so that a full disk leaves an
    earlier report unchanged.  Raises `NoResultsError` if there is nothing to report on, ValueError if `machines` names
    one that has no results, and OSError if `out` cannot be written.
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
    write_folder(out, files)
    # Files of an earlier report would seem to belong to this one; pages may be the reader's own.
    for stale in [out / "results.parquet", *(out / "figures").glob("*.svg"), *out.glob("*.html")]:
        ours = stale.suffix != ".html" or page.MARK in stale.read_text(encoding="utf-8", errors="replace")
        if ours and stale.relative_to(out).as_posix() not in files:
            stale.unlink(missing_ok=True)
    return out / "index.html"
