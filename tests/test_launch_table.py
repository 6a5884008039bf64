"""The table of launches and host reads is what is counted, or more, and docs/launches.md is made from it."""

import launch_table
import pytest

from xpsolve import costs
from xpsolve.costs import Cost
from xpsolve.costs.launches import TABLE
from xpsolve.costs.model import counted

ADVICE = f"""
`{launch_table.COMMAND}` writes the table and its page.  Each row is one that a function in CASES of that file yields.
A number that has grown needs a reason."""


def test_no_number_has_grown():
    grown, fallen = launch_table.compared(launch_table.generate())
    assert not grown, "\n".join(grown) + ADVICE
    if fallen:
        pytest.xfail(f"Regenerate the table ({launch_table.COMMAND}), which says too much:\n" + "\n".join(fallen))


def test_files_are_made_from_the_table():
    assert launch_table.TABLE_FILE.read_text("utf-8") == launch_table.table_file(TABLE), ADVICE
    assert launch_table.PAGE.read_text("utf-8") == launch_table.page(TABLE), ADVICE


def test_a_cost_names_all_parts_of_its_row():
    with pytest.raises(TypeError, match="lasso, fista: expected start, iteration, check, got start, iteration"):
        counted(Cost(), "lasso, fista", iteration=1)
    with pytest.raises(ValueError, match="newton, cholesky, multinomial: there is no such solver"):
        costs.newton(10, 5, loss="multinomial", m=3)


def test_what_does_not_explain_the_counts_is_refused():
    runs = [({"iteration": k}, Cost(launches=3 + k * k)) for k in range(3)]
    with pytest.raises(ValueError, match="do not explain"):
        launch_table.solved("quadratic", runs)
    with pytest.raises(ValueError, match="do not tell its parts apart"):
        launch_table.solved("constant", runs[:1])


def test_a_number_that_grows_and_one_that_falls_are_told_apart(monkeypatch):
    now = {"ista": {"start": (9, 1), "iteration": (5, 0)}}
    monkeypatch.setattr(launch_table, "TABLE", {"ista": {"start": (8, 1), "iteration": (6, 0)}})
    assert launch_table.compared(now) == (
        ["ista: launches of start: 8 before, 9 now"],
        ["ista: launches of iteration: 6 before, 5 now"],
    )
