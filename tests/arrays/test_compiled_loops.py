"""Compiled loops are kept on disk where that is possible, and run where it is not; without Numba all else works."""

import itertools
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import xpsolve
from xpsolve.arrays import numba_loop as module
from xpsolve.arrays.numba_loop import can_compile, fixed, numba_loop

needs_numba = pytest.mark.skipif(not can_compile(), reason="Numba is not installed, or switched off")


def twice(x):
    return x + x


@numba_loop(twice)
def add_twice(x, out):
    for j in range(x.shape[0]):
        out[j] += twice(x[j])


@needs_numba
def test_a_loop_and_what_it_calls(rng):
    for dtype in ("float32", "float64"):
        x = rng.standard_normal(5).astype(dtype)
        out = np.ones(5, dtype)
        add_twice(fixed(x), out)
        np.testing.assert_array_equal(out, 1 + 2 * x)
    assert x.flags.writeable


@needs_numba
def test_not_a_number_and_infinity_are_kept():
    out = np.ones(3)
    add_twice(np.asarray([np.nan, np.inf, -np.inf]), out)
    np.testing.assert_array_equal(out, [np.nan, np.inf, -np.inf])


@needs_numba
@pytest.mark.parametrize("error", [OSError("no room"), RuntimeError("cannot cache function: no locator available")])
def test_without_a_place_on_disk_it_is_compiled_in_memory(monkeypatch, error):
    jit, asked = module._jit, []

    def failing(loop, parts, on_disk):
        asked.append(on_disk)
        if on_disk:
            raise error
        return jit(loop, parts, on_disk)

    monkeypatch.setattr(module, "_jit", failing)
    loop = numba_loop()(lambda x: x[0] + 1)
    assert [loop(np.zeros(1)), loop(np.ones(1))] == [1, 2]
    assert asked == [True, False]


def test_a_few_small_problems_do_not_wait_for_numba(monkeypatch):
    monkeypatch.setattr(module, "_small", itertools.count())
    monkeypatch.setattr(module, "can_compile", lambda: True)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert module.can_compile_small()
    monkeypatch.delitem(sys.modules, "numba")
    assert [module.can_compile_small() for _ in range(12)] == [False] * 10 + [True] * 2
    monkeypatch.setattr(module, "can_compile", lambda: False)
    assert not module.can_compile_small()


@needs_numba
def test_many_threads_at_once():
    loop, found = numba_loop()(lambda x: x[-1] + 1), []
    threads = [threading.Thread(target=lambda: found.append(loop(np.arange(4.0)))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4.0] * 6


PROGRAM = """
    import sys
    import numpy as np
    {first}
    import xpsolve as xs
    rng = np.random.default_rng(0)
    A = rng.standard_normal((400, 5))
    f = xs.LeastSquares(A, A @ np.ones(5))
    solution = xs.sgd(f, epochs=5, **{options})
    print(bool(solution.converged), solution.stats["compiled"], "numba" in sys.modules)
"""


def run(first="", options="{}", **environment):
    root = Path(xpsolve.__file__).parents[1]
    found = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).format(first=first, options=options)],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


def test_a_small_problem_does_not_load_it():
    assert run() == ["True", "False", "False"]


@needs_numba
def test_machine_code_that_can_be_kept_nowhere(tmp_path):
    (tmp_path / "file").write_text("")
    options = {"NUMBA_CACHE_DIR": str(tmp_path / "file" / "no folder")}
    assert run(options='{"block": "compiled"}', **options) == ["True", "True", "True"]


@pytest.mark.parametrize("kind", ["missing", "broken", "switched off"])
def test_without_a_numba_that_works(tmp_path, kind):
    environment = {"NUMBA_DISABLE_JIT": "1"} if kind == "switched off" else {}
    first = "import xpsolve as xs; xs.costs.WORTH_COMPILING = 0.0"
    if kind == "missing":
        first = f'sys.modules["numba"] = None; {first}'
    if kind == "broken":
        (tmp_path / "numba.py").write_text("raise ImportError('Numba needs NumPy 2.5 or less')")
        first = f"sys.path.insert(0, {str(tmp_path)!r}); {first}"
    assert run(first, **environment)[:2] == ["True", "False"]
