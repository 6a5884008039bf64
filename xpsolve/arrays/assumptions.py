"""Conditions on values: read at once, or taken to hold while a solve is compiled and looked at when it has run.

While ``jax.jit`` traces nothing can be read.  A solve that `xpsolve.jitted` traces as a whole collects what it takes
for granted here; where that turns out to be false, the solve is repeated step by step, and decides then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from xpsolve.arrays.namespace import Array, innermost, is_array, is_concrete


class Assumptions:
    """What one solve takes for granted while it is traced.

    Parameters
    ----------
    conditions : list of array
        Booleans that must all be true, or nothing of the answer is used.
    stopped : array or None
        Whether the last loop ended at its `max_iter`.
    decided : bool
        Whether the same method had been chosen if the values had been read, so that an answer that is not certified
        need not be looked for in another way.
    certified : list of array
        Whether the certificates of the answers so far are within their tolerances; an answer that shows none needs all.
    name : str
        The function that the answer comes from, for messages.
    numbers : list of array
        Those of its arguments that are numbers for the caller, 0-d.
    """

    def __init__(self) -> None:
        self.conditions: list[Array] = []
        self.stopped: Array | None = None
        self.decided = True
        self.certified: list[Array] = []
        self.name = ""
        self.numbers: list[Array] = []

    @property
    def all(self) -> Array | None:
        """All conditions as one, 0-d; None where there is none."""
        found = None
        for condition in self.conditions:
            found = condition if found is None else found & condition
        return found


_current: ContextVar[Assumptions | None] = ContextVar("xpsolve_assumptions", default=None)


def assumptions() -> Assumptions | None:
    """Those of the solve that is being traced; None outside of one."""
    return _current.get()


@contextmanager
def collected(found: Assumptions | None) -> Iterator[None]:
    """Collect in `found` what is taken for granted inside this block; nowhere for None, as inside of traced loops."""
    token = _current.set(found)
    try:
        yield
    finally:
        _current.reset(token)


def holds(condition: Any) -> bool:
    """Whether a condition is true: one host read, or True while ``jax.jit`` traces.

    Parameters
    ----------
    condition : bool or array, 0-d
        What an argument has to fulfil.

    Returns
    -------
    bool
        Its value.  While a whole solve is traced it is taken to be true, and looked at when the solve has run.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays import holds
    >>> holds(np.all(np.asarray([1.0, 2.0]) > 0))
    True
    """
    if not is_array(condition) or is_concrete(condition):
        return bool(condition)
    found = _current.get()
    if found is not None:
        found.conditions.append(innermost(condition))
    return True


def is_traced_number(x: Any) -> bool:
    """Whether `x` is a number that ``jax.jit`` traces: for the user, or in place of one that the caller has given."""
    if not is_array(x) or x.ndim or is_concrete(x):
        return False
    return _current.get() is None or is_given_number(x)


def is_given_number(x: Any) -> bool:
    """Whether `x` stands, while a whole solve is traced, for a positive number that the caller has given."""
    found = _current.get()
    return found is not None and any(x is number for number in found.numbers)


def undecided(*, better: bool = False) -> None:
    """Note that another choice would perhaps have been made, if values could be read.

    Where it is so much `better` that the solve is faster step by step, it is not compiled.
    """
    found = _current.get()
    if found is not None:
        if better:
            raise Declined
        found.decided = False


class Declined(Exception):
    """A solve that is faster step by step than as one program."""
