"""The declarations are complete, true, and what the reference shows."""

from pathlib import Path

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.capabilities import EVERYWHERE, TABLE, markdown

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "capabilities.md"


def test_every_public_solver_has_a_declaration():
    functions = {name for name in xs.__all__ if name[0].islower() and callable(getattr(xs, name))}
    missing = functions - {"compiled", "count"} - set(TABLE)
    assert not missing, f"decorate with @capabilities in xpsolve: {sorted(missing)}"


@pytest.mark.parametrize("name", TABLE)
def test_declarations_are_sound(name):
    assert set(TABLE[name].backends) <= set(EVERYWHERE)
    assert TABLE[name].syncs >= 0


A, Y = np.asarray([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]]), np.asarray([1.0, 2.0, 3.0])
# calls that work with one = 1, and with one = 1 + 0j where the function takes complex numbers
CALLS = {
    "basis_pursuit": lambda one: xs.basis_pursuit(one * A.T, Y[:2]),
    "discrepancy": lambda one: xs.discrepancy(one * A, Y, 3.0),
    "dot_test": lambda one: xs.dot_test(one * A),
    "elastic_net": lambda one: xs.elastic_net(one * A, Y, 0.1, 0.5),
    "lasso": lambda one: xs.lasso(A, one * Y, 0.1),
    "lasso_path": lambda one: xs.lasso_path(one * A, Y, n_lams=3),
    "logsumexp": lambda one: xs.logsumexp(one * Y),
    "lstsq": lambda one: xs.lstsq(A, one * Y),
    "nnls": lambda one: xs.nnls(one * A, Y),
    "operator_norm": lambda one: xs.operator_norm(one * A),
    "ridge": lambda one: xs.ridge(one * A, Y, 0.1),
    "ridge_cv": lambda one: xs.ridge_cv(one * A, Y, [0.1, 1.0]),
    "sinkhorn": lambda one: xs.sinkhorn(one * Y, Y, np.eye(3), 1.0),
    "soft_threshold": lambda one: xs.soft_threshold(one * Y, 1.0),
}


@pytest.mark.parametrize("name", CALLS)
def test_complex_numbers_are_taken_as_declared(name):
    CALLS[name](1)
    if TABLE[name].complex:
        CALLS[name](1 + 0j)
    else:
        with pytest.raises(TypeError, match="expected a real array"):
            CALLS[name](1 + 0j)


def test_all_that_take_complex_numbers_are_called():
    missing = {name for name, c in TABLE.items() if c.complex} - set(CALLS)
    assert not missing, f"add a call to CALLS in {__file__}: {sorted(missing)}"


def test_the_reference_shows_the_table():
    assert "```{capabilities}" in PAGE.read_text("utf-8")  # made from the declarations when the site is built
    assert {row.split("`")[1] for row in markdown().splitlines()[2:]} == set(TABLE)
