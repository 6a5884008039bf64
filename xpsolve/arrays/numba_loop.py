"""Loops over single numbers, compiled by Numba where it is installed.

Such a loop is for recurrences that no call on whole arrays serves.  It takes NumPy arrays, and has a version in array
functions beside it, which runs where there is no Numba.

The machine code is kept on disk, in ``__pycache__`` beside the source, or where that cannot be written in the user's
cache folder, so that it is compiled once and not once a process; where neither can be written, once a process.
Numba notices a change of the file that a loop is in, but not of other files: what a loop calls is in the same file.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np

Loop = Callable[..., Any]


@functools.cache
def can_compile() -> bool:
    """Whether Numba is there and works, and is not switched off by ``NUMBA_DISABLE_JIT``.

    Where Numba is installed the first call imports it, which takes about half a second.
    """
    if importlib.util.find_spec("numba") is None:
        return False
    try:
        import numba
    except Exception:  # it refuses, in several ways, a NumPy newer than it knows
        return False
    return not numba.config.DISABLE_JIT


_FEW = 10
_small = itertools.count()  # problems that were solved without Numba


def can_compile_small() -> bool:
    """Whether a problem that takes a millisecond is one for a compiled loop: `can_compile`, and there are many of them.

    To load Numba takes longer than many of them.  Where nothing else has loaded it, that is done at the eleventh.
    """
    return ("numba" in sys.modules or next(_small) >= _FEW) and can_compile()


def numba_loop(*parts: Loop) -> Callable[[Loop], Loop]:
    """Decorate a loop so that it is compiled at its first call for each combination of dtypes.

    It is to be called only where `can_compile` holds.  Sums may be added up in any order, and products be fused with
    sums; NaN and infinities are what they are in NumPy.  Inside, Python's lock is released.

    Parameters
    ----------
    *parts : callable
        Functions of the same file that the loop calls, which are compiled into it; they may call those before them.

    Returns
    -------
    callable
        The decorator, for a loop in the part of Python that Numba compiles; it may write into the arrays that it gets.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays.numba_loop import can_compile, numba_loop
    >>> @numba_loop()
    ... def last(x):
    ...     return x[-1]
    >>> last(np.arange(3.0)) if can_compile() else 2.0
    2.0
    """

    def decorate(loop: Loop) -> Loop:
        made: dict[bool, Loop] = {}

        def with_cache(on_disk: bool) -> Loop:
            if on_disk not in made:
                made[on_disk] = _jit(loop, parts, on_disk)
            return made[on_disk]

        @functools.wraps(loop)
        def call(*args: Any) -> Any:
            if False not in made:
                try:
                    return with_cache(True)(*args)
                except (OSError, RuntimeError):  # no folder, or no room: before the loop has begun
                    pass
            return with_cache(False)(*args)

        return call

    return decorate


def _jit(loop: Any, parts: tuple[Loop, ...], on_disk: bool) -> Loop:
    import numba

    options = {"fastmath": {"reassoc", "contract"}, "error_model": "numpy", "nogil": True}
    names = dict(loop.__globals__)
    for part in parts:  # as they are called there, and not in Python
        names[part.__name__] = numba.njit(**options)(_linked(part, names))
    jitted: Loop = numba.njit(cache=on_disk, **options)(_linked(loop, names) if parts else loop)
    return jitted


def _linked(loop: Any, names: dict[str, Any]) -> Any:
    """The same function, which finds these names."""
    linked = types.FunctionType(loop.__code__, names, loop.__name__)
    linked.__module__, linked.__qualname__ = loop.__module__, loop.__qualname__
    return linked


def fixed(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A view that cannot be written into, whatever x is: compiled loops tell the two kinds apart."""
    view = x.view()
    view.flags.writeable = False
    return view
