"""The blocks of code in pages written in Markdown, and running those in Python.

The blocks of a page run in order and share their names.  A block of text right after one in Python is what that prints:
numbers may differ in their last digit, or by 2 %.  Where the line before is the name of a file in code font, the block
is that file, and is not run here.  A block that cannot run here has a line before its fence that says why, which is not
shown to readers:

    <!-- not run: needs two GPUs -->
    ```python
    …
    ```
"""

from __future__ import annotations

import ast
import importlib.util
import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

_FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<code>.*?)^(?P=indent)(?P=fence) *$",
    re.MULTILINE | re.DOTALL,
)
_NOT_RUN = re.compile(r"<!-- not run: *(.*?) *-->\s*\Z|^(`[\w./]+`)\s*\Z", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its code, its line in the page, why it is not run, and what it prints."""

    language: str
    code: str
    line: int
    not_run: str | None = None
    prints: str | None = None


def blocks(text: str) -> list[Block]:
    """All fenced blocks of a page, directives of MyST among them."""
    found: list[Block] = []
    last = 0  # where the block before ends
    for match in _FENCE.finditer(text):
        code = re.sub(f"^{match['indent']}", "", match["code"], flags=re.MULTILINE)
        mark = _NOT_RUN.search(text[: match.start()])
        line = text.count("\n", 0, match.start("code")) + 1
        language = match["language"].strip()
        if language == "text" and found and found[-1].language == "python" and not text[last : match.start()].strip():
            found[-1] = replace(found[-1], prints=code)
        found.append(Block(language, code, line, mark and (mark[1] or f"it is the file {mark[2]}")))
        last = match.end()
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


_NUMBER = re.compile(r"(?<![A-Za-z_])-?\d+(?:\.\d*)?(?:e[+-]?\d+)?")


def alike(printed: str, shown: str) -> bool:
    """Whether these are the same words and numbers, the latter up to their last digit or 2 %."""
    if _NUMBER.sub("#", printed).split() != _NUMBER.sub("#", shown).split():
        return False
    for one, other in zip(_NUMBER.findall(printed), _NUMBER.findall(shown), strict=True):
        mantissa, _, exponent = other.partition("e")
        digit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        if abs(float(one) - float(other)) > max((1 + 1e-9) * digit * ("." in mantissa), 0.02 * abs(float(other))):
            return False
    return True


def run(path: Path) -> dict[str, Any]:
    """Run the Python blocks of a page, up to the first that imports a missing library, and return their names."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in python_blocks(path):
        if any(importlib.util.find_spec(library) is None for library in imports(block.code)):
            break
        printed = io.StringIO()
        with redirect_stdout(printed):
            # as many empty lines before it as there are in the page, so that a traceback names the line of the page
            exec(compile("\n" * (block.line - 1) + block.code, str(path), "exec"), namespace)
        if block.prints is not None and not alike(printed.getvalue(), block.prints):
            message = (
                f"{path.name}, line {block.line}: it prints\n{printed.getvalue()}\nand the page says\n{block.prints}"
            )
            raise AssertionError(message)
    return namespace
