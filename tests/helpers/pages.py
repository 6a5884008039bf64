"""The blocks of code in pages written in Markdown, and running those in Python.

The blocks of a page run in order and share their names.  A block that cannot run here has a line before its fence that
says why, which readers do not see:

    <!-- not run: needs two GPUs -->
    ```python
    …
    ```
"""

from __future__ import annotations

import ast
import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpsolve.arrays import backends

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: *(.*?) *-->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its code, the line of the page on which the code begins, and why it is not run."""

    language: str
    code: str
    line: int
    not_run: str | None = None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, directives of MyST among them."""
    found = []
    for match in _FENCE.finditer(text):
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        mark = _NOT_RUN.search(text[: match.start()])
        line = text.count("\n", 0, match.start("code")) + 1
        found.append(Block(match["language"].strip(), code, line, mark and mark[1]))
    return found


def python_blocks(path: Path) -> list[Block]:
    """Those in Python that are run."""
    return [b for b in blocks(path.read_text("utf-8")) if b.language == "python" and b.not_run is None]


def imports(code: str) -> set[str]:
    """The top-level modules that a block imports."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


def run(path: Path) -> dict[str, Any]:
    """Run the Python blocks of a page, up to the first that imports a library that is missing, and return their names.

    Without a GPU, CuPy is replaced by NumPy in blocks with ``import cupy as cp``, which keep their names to themselves.
    """
    # The emulation of CuPy for these tests draws no random numbers.
    cupy = backends.get("cupy").available and hasattr(backends.get("cupy").namespace, "random")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in python_blocks(path):
        code = block.code if cupy else block.code.replace("import cupy as cp", "import numpy as cp")
        if any(importlib.util.find_spec(library) is None for library in imports(code)):
            break
        own = dict(namespace) if re.search(r"\bcp\.", code) and not cupy else namespace
        # as many empty lines before it as there are in the page, so that a traceback names the line of the page
        exec(compile("\n" * (block.line - 1) + code, str(path), "exec"), own)
    return namespace
