"""A short run of the calls with hostile input; `make fuzz` runs many (see helpers/fuzz.py)."""

import fuzz
import pytest


@pytest.mark.parametrize("first", range(0, 600, 60))
def test_hostile_input_gets_a_clear_error_or_an_honest_answer(first):
    wrong = []
    for seed in range(first, first + 60):
        try:
            fuzz.one(seed)
        except fuzz.Wrong as error:
            wrong.append(f"seed {seed}: {error}")
    assert not wrong, "\n".join(wrong)
