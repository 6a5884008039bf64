"""`compiled`: a function of arrays is recorded once for each set of shapes, and then replayed."""

from __future__ import annotations

import functools
import types
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, is_concrete, native
from xpsolve.trace.closures import CannotRecord
from xpsolve.trace.leaves import Changeable, fill, split
from xpsolve.trace.program import Program
from xpsolve.trace.record import Recorder, record_leaves
from xpsolve.trace.replay import Pool, Writer, reduced
from xpsolve.trace.replay_cupy import CupyWriter
from xpsolve.trace.replay_numpy import NumpyWriter
from xpsolve.trace.wrapper import arrays_in, map_arrays

_MOST_REASONS = 8
_KEPT = 128  # recordings of one function, the last used


def compiled(f: Any) -> Compiled:
    """The same function, recorded at its first call and replayed from then on.

    Parameters
    ----------
    f : callable
        Pure, of array-API code: what it returns depends on its arguments alone, which may be arrays, numbers, words,
        and tuples, lists, dicts and dataclasses of them.  It may be a gradient: of
        ``compiled(autodiff.value_and_grad(loss))`` the forward and the backward sweep are one program, without a tape.

    Returns
    -------
    Compiled
        Called as f, with the same result to the last bit on NumPy.  ``.reasons`` says what could not be recorded, and
        why; such calls are calls of f.

    Raises
    ------
    TypeError
        If f cannot be called.

    See Also
    --------
    count : What a function costs.

    Notes
    -----
    A recording is kept for each set of shapes, dtypes, layouts in memory, and values of the arguments that are no
    arrays; of many the last used.  A number that changes from call to call is therefore better an array of shape ().
    Arrays that f closes over are constants, read when it is recorded.  What f returns is the caller's own;
    memory for what lies between is reserved once for each recording and used again.

    On NumPy a program is one flat function, whose operations write to memory that is there; NumPy does not warn in it.
    On CuPy elementwise operations and short sums are few kernels, compiled when they are first needed, whose rounding
    may differ from that of f.  On PyTorch the operations are called as they were, and for JAX arrays the function is
    ``jax.jit`` of f.  A lazy library's arrays and those that wrap others, as in a derivative or a count, are passed on
    to f, and so are calls with objects
    that can change unnoticed.  A number that goes to the host, or a shape that depends on values, cannot be recorded.

    References
    ----------
    A. Griewank & A. Walther, Evaluating Derivatives (2008), chapter 6, on the tape as a program.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> from xpsolve import autodiff
    >>> def loss(x, A, y):
    ...     r = A @ x - y
    ...     return 0.5 * r @ r
    >>> gradient = xs.compiled(autodiff.grad(loss))
    >>> A, y = np.asarray([[2.0, 0.0], [0.0, 1.0]]), np.asarray([2.0, 3.0])
    >>> gradient(np.zeros(2), A, y), gradient(np.ones(2), A, y)
    (array([-4., -3.]), array([ 0., -2.]))
    >>> gradient
    compiled(grad.<locals>.gradient): 1 recording
    """
    if not callable(f):
        message = f"f: expected a function, got {type(f).__qualname__}."
        raise TypeError(message)
    return Compiled(f)


class Compiled:
    """A function that is recorded and replayed; made by `compiled`.

    Parameters
    ----------
    f : callable
        The function itself.
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        functools.update_wrapper(self, f)
        self.reasons: list[str] = []
        self._f = f
        self._ways: OrderedDict[Any, Callable[..., Any]] = OrderedDict()
        self._lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Recordings stay where they were made: a copy makes its own."""
        return {name: value for name, value in vars(self).items() if name not in ("_ways", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """As it was, without recordings."""
        vars(self).update(state, _ways=OrderedDict(), _lock=Lock())

    def __repr__(self) -> str:
        name = getattr(self._f, "__qualname__", repr(self._f))
        count = sum(way != self._plain for way in list(self._ways.values()))
        reasons = "".join(f"; not recorded: {reason}" for reason in self.reasons)
        return f"compiled({name}): {count} recording{'s' * (count != 1)}{reasons}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """As of a function: of an object its method, with the object as the first argument."""
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What f returns."""
        try:
            leaves, key = split((args, kwargs) if kwargs else args)
            way = self._ways.get(key)
        except TypeError as error:  # an array that wraps another, or an object that may have changed
            if isinstance(error, Changeable):
                self.not_recorded(str(error))
            return self._f(*args, **kwargs)
        if way is None:
            if not leaves or not is_concrete(*leaves):
                return self._f(*args, **kwargs)
            way, result = way_of(leaves[0], self, leaves, args, kwargs)
            self._keep(key, way)
            return result
        if len(self._ways) > _KEPT // 2:  # where the order matters soon
            self._keep(key, way)
        return way(leaves, args, kwargs)

    def _keep(self, key: Any, way: Callable[..., Any]) -> None:
        """Remember what was used last, and forget what was not used for long."""
        with self._lock:
            self._ways[key] = way
            self._ways.move_to_end(key)
            if len(self._ways) > _KEPT:
                self._ways.popitem(last=False)

    def _plain(self, leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._f(*args, **kwargs)

    def not_recorded(self, reason: str) -> None:
        """Note why a call could not be recorded."""
        if reason not in self.reasons and len(self.reasons) < _MOST_REASONS:
            self.reasons.append(reason)


@native
def way_of(
    like: Array, function: Compiled, leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    """How calls like this one are done on arrays of the library of `like`, and the result of this one."""
    return function._plain, function._f(*args, **kwargs)


def recorded_way(
    function: Compiled,
    leaves: list[Array],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    made: Callable[[Program], Callable[..., Any]],
    recorder: Callable[[Namespace], Recorder] = Recorder,
) -> tuple[Any, Any]:
    """The same by a recording; ``made(program)`` is a function of its inputs that is not called twice at one time."""
    try:
        result, program = record_leaves(
            lambda args, kwargs: function._f(*args, **kwargs), (args, kwargs), leaves, recorder=recorder
        )
    except (
        Exception
    ) as error:  # code that is not of the array API raises what it will; f itself says whether it is wrong
        result = function._f(*args, **kwargs)
        kind = "" if isinstance(error, CannotRecord) else f"{type(error).__name__}: "
        function.not_recorded(f"{kind}{error}")
        return function._plain, result
    pool = Pool(reduced(program), made)
    return lambda leaves, args, kwargs: pool(*leaves), result


@way_of.register("numpy")
def _way_of_numpy(
    like: Array, function: Compiled, leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    def made(program: Program) -> Callable[..., Any]:
        return np.errstate(all="ignore")(NumpyWriter(program).once())

    return recorded_way(function, leaves, args, kwargs, made)


@way_of.register("torch")
def _way_of_torch(
    like: Array, function: Compiled, leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    return recorded_way(function, leaves, args, kwargs, lambda program: Writer(program, "torch").once())


@way_of.register("cupy")
def _way_of_cupy(
    like: Array, function: Compiled, leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    return recorded_way(function, leaves, args, kwargs, lambda program: CupyWriter(program).once())


@way_of.register("jax")
def _way_of_jax(
    like: Array, function: Compiled, leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, Any]:
    import jax

    outputs: list[Any] = []

    def flat(*leaves: Array) -> tuple[Array, ...]:
        rest = iter(leaves)
        given = fill((args, kwargs), rest)
        outputs[:] = [function._f(*given[0], **given[1])]
        return tuple(arrays_in(outputs))

    run = jax.jit(flat)

    def way(leaves: list[Array], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        found = iter(run(*leaves))
        return map_arrays(lambda _: next(found), outputs[0])

    try:
        return way, way(leaves, args, kwargs)
    except jax.errors.ConcretizationTypeError as error:
        function.not_recorded(str(error).splitlines()[0])
        return function._plain, function._f(*args, **kwargs)
