"""Every file of docs/examples runs as it is, and is short: a real task from the data to an answer that is checked."""

import runpy
import sys
import tokenize
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "examples"
MOST = 25  # lines of code


def lines_of_code(path):
    """Lines with code on them: neither blank, nor a comment alone, nor of a docstring."""
    with tokenize.open(path) as file:
        tokens = list(tokenize.generate_tokens(file.readline))
    lines, first_of_statement = set(), True
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.COMMENT, tokenize.ENDMARKER}
    for token in tokens:
        docstring = token.type == tokenize.STRING and first_of_statement
        if token.type not in layout and not docstring:
            lines |= set(range(token.start[0], token.end[0] + 1))
        first_of_statement = token.type in layout and (first_of_statement or token.type == tokenize.NEWLINE)
    return len(lines)


def test_lines_of_code_are_counted(tmp_path):
    path = tmp_path / "example.py"
    path.write_text('"""What it shows,\nand why.\n"""\n\n# a comment\nx = [  # one\n    1,\n]\n\nprint("a")\n', "utf-8")
    assert lines_of_code(path) == 4


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_short_and_runs(path, monkeypatch):
    assert lines_of_code(path) <= MOST
    monkeypatch.setenv("CUPY_PYLOPS", "0")  # PyLops would look for parts of CuPy that the emulation has not
    monkeypatch.setattr(sys, "argv", [str(path)])
    for library in ("pylops", "jax", "distributed"):
        if f"import {library}" in path.read_text("utf-8"):
            pytest.importorskip(library)
    runpy.run_path(str(path), run_name="__main__")
