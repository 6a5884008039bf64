"""The declarations are complete, true, and what the README shows."""

from pathlib import Path

import pytest

import xpsolve as xs
from xpsolve.capabilities import EVERYWHERE, TABLE, markdown

README = Path(__file__).parents[1] / "README.md"


def test_every_public_solver_has_a_declaration():
    functions = {name for name in xs.__all__ if name[0].islower() and callable(getattr(xs, name))}
    assert functions - {"count"} <= set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_declarations_are_sound(name):
    assert set(TABLE[name].backends) <= set(EVERYWHERE)
    assert TABLE[name].syncs >= 0


def test_the_readme_shows_the_table():
    command = "python -c 'import xpsolve, xpsolve.capabilities as c; print(c.markdown())'"
    assert markdown() in README.read_text("utf-8"), f"put what this prints into the README: {command}"
