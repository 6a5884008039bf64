"""The child process that measures: point after point, as requested on its standard input.

Run as a file, with the benchmarks' folder.  A request is a line of JSON, ``{"name": asv's name of the point,
"attributes": what the profile overrides}``; the answer is a line with its ``"value"``, or with ``"error"``, the
traceback.  One process serves one backend or library for a slice, so that it is imported once and the error of a
point can be taken from the answer that was timed before it.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from asv_runner.run import _run

ANSWER = Path("answer.json")  # in the folder in which the process was started


def main(folder: str) -> None:
    """Answer until there are no more requests."""
    # What a benchmark prints goes to standard error; the answers have their own stream.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(_answer(folder, json.loads(line))), file=answers, flush=True)


def _answer(folder: str, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        _run((folder, asked["name"], json.dumps(asked["attributes"]), "None", str(ANSWER)))
        return {"value": json.loads(ANSWER.read_text(encoding="utf-8"))}
    except Exception:
        return {"error": traceback.format_exc()}
    finally:
        ANSWER.unlink(missing_ok=True)


if __name__ == "__main__":
    main(sys.argv[1])
