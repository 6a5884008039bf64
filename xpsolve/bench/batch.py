"""The child process that counts: many points one after another, since a count owes nothing to what ran before it.

Run as a file, with the benchmarks' folder, a folder for answers and asv's names of the points; the answer to the
i-th is ``i.json``, and where it raised ``i.txt`` says why.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from asv_runner.run import _run


def main(folder: str, answers: str, names: Sequence[str]) -> None:
    """Run each of them, whatever became of those before."""
    for i, name in enumerate(names):
        try:
            _run((folder, name, "{}", "None", str(Path(answers) / f"{i}.json")))
        except Exception:
            (Path(answers) / f"{i}.txt").write_text(traceback.format_exc(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
