"""What every contest between libraries shares: the loosest tolerance that reaches an error, and how others are called.

Each library defines its tolerance differently: a gap, a change of x, a violated condition.  So each is given
one after another from a ladder, the error of its answer is computed by one function for all, and the first
tolerance that reaches the class' ``tol`` is the one that is timed.  asv measures each library in a process of its own:
the thread pools of two in one process slow each other.

A contest is a class whose first parameter is ``library``, with a `problem`, an `error`, and for each library a function
from the problem to ``solve(tolerance)``.  The parameter names a distribution, as an installer does; it makes
the report draw a table of peers.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from asv_runner.benchmarks.mark import SkipNotImplemented

from benchmarks._base import Case, _Solves
from benchmarks._grid import installed

Solve = Callable[[float], Any]
DIRECT = (0.0,)  # there is no tolerance to choose


class _Peers(_Solves):
    """One solve by each library, all to the same measured error."""

    repeat = (5, 15, 3.0)
    timeout = 900.0
    tolerances: ClassVar[tuple[float, ...]] = tuple(10.0**-k for k in range(3, 11))
    solvers: ClassVar[dict[str, Callable[[Any], Solve]]] = {}
    checks = False  # whether scikit-learn looks for NaN, as it does for its users

    def problem(self, **sizes: Any) -> Any:
        raise NotImplementedError

    def error(self, problem: Any, answer: Any) -> float:
        raise NotImplementedError

    def prepare(self, backend, library, **sizes):
        if not installed(library):
            extra = library if library in ("jax", "torch") else "peers"
            raise SkipNotImplemented(f'{library} is not installed: pip install "xpsolve[bench,{extra}]"')
        # A tolerance that is not met warns, differently in every library; the measured error shows it too.
        warnings.simplefilter("ignore")
        if library in ("scikit-learn", "celer", "skglm"):
            importlib.import_module("sklearn").set_config(assume_finite=not self.checks)
        if library in ("jax", "ott-jax"):
            importlib.import_module("jax").config.update("jax_enable_x64", True)
        problem = self.problem(**sizes)
        solve = self.solvers[library](problem)
        for tolerance in self.tolerances:
            error = self.error(problem, solve(tolerance))
            if error <= self.tol:
                break
        return Case(partial(solve, tolerance), lambda answer: error)


def named(path: str, **options: Any) -> Callable[..., Any]:
    """A class or function of another library, imported when its turn comes."""
    module, _, name = path.rpartition(".")
    return partial(getattr(importlib.import_module(module), name), **options)


def lengths(shape: str) -> tuple[int, int]:
    n, p = shape.split("×")
    return int(n), int(p)


@dataclass(frozen=True)
class _Rows:
    """Rows, a number for each, and λ."""

    A: np.ndarray
    y: np.ndarray
    lam: Any = 0.0
