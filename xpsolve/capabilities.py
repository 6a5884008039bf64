"""What each public function can do: declared once, read by the table of the reference, the tests and the budgets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from xpsolve.arrays.current_device import beside
from xpsolve.jitted import jittable

F = TypeVar("F", bound=Callable[..., Any])

EVERYWHERE = ("numpy", "cupy", "torch", "jax", "dask", "array-api-strict")
EAGER = tuple(name for name in EVERYWHERE if name != "dask")


@dataclass(frozen=True)
class Capabilities:
    """The declaration of one public function.

    Parameters
    ----------
    name : str
        The function's name.
    backends : tuple of str
        Where it runs.
    jit : bool
        Whether it traces under ``jax.jit``.
    batch : str
        What one call may solve many of, "" for nothing.
    grad : str
        How its derivative is found, "" where there is none yet.
    syncs : int
        Host reads per call with default method and ``check_finite=False``; iterative methods add one per check.
    complex : bool
        Whether it takes complex numbers; others raise TypeError.
    numbers : tuple of str
        Parameters for which a new number compiles nothing again, with JAX arrays.
    """

    name: str
    backends: tuple[str, ...]
    jit: bool
    batch: str
    grad: str
    syncs: int
    complex: bool
    numbers: tuple[str, ...] = field(repr=False)


TABLE: dict[str, Capabilities] = {}


def capabilities(
    *,
    backends: tuple[str, ...] = EVERYWHERE,
    jit: bool = True,
    batch: str = "",
    grad: str = "",
    syncs: int = 0,
    complex: bool = False,
    numbers: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Declare what the decorated function can do.

    Parameters
    ----------
    backends, jit, batch, grad, syncs, complex, numbers
        As in `Capabilities`; for *numbers* the function takes 0-d arrays that ``jax.jit`` traces, too, in place of
        positive numbers.

    Returns
    -------
    callable
        A decorator that notes the declaration in ``TABLE``.  Within the function NumPy does not warn of overflow and
        the like: the status of the answer reports it, or the answer is the value of the formula.  With JAX arrays a
        function that traces runs as one compiled program, see ``xpsolve.jitted``.

    Examples
    --------
    >>> from xpsolve.capabilities import TABLE
    >>> TABLE["ridge"].syncs
    1
    """

    def declare(function: F) -> F:
        TABLE[function.__name__] = Capabilities(function.__name__, backends, jit, batch, grad, syncs, complex, numbers)
        run = jittable(function, numbers) if jit else function

        @wraps(function)
        def quiet(*args: Any, **kwargs: Any) -> Any:
            with np.errstate(all="ignore"):
                if "cupy" not in sys.modules:
                    return run(*args, **kwargs)
                with beside(args, kwargs):
                    return run(*args, **kwargs)

        return cast(F, quiet)

    return declare


def markdown() -> str:
    """The table as Markdown, one row per function.

    Returns
    -------
    str
        What the reference shows.

    Examples
    --------
    >>> from xpsolve.capabilities import markdown
    >>> markdown().splitlines()[0].startswith("| function")
    True
    """
    head = "| function | " + " | ".join(EVERYWHERE) + " | `jax.jit` | complex | many at once | gradient | host reads |"
    rule = "|---|" + ":-:|" * (len(EVERYWHERE) + 2) + "---|---|--:|"
    rows = []
    for c in sorted(TABLE.values(), key=lambda c: c.name):
        runs = " | ".join("✓" if name in c.backends else "–" for name in EVERYWHERE)
        jit, complex = ("✓" if yes else "–" for yes in (c.jit, c.complex))
        rows.append(f"| `{c.name}` | {runs} | {jit} | {complex} | {c.batch or '–'} | {c.grad or '–'} | {c.syncs} |")
    return "\n".join([head, rule, *rows])
