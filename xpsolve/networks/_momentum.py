"""A step of gradient descent with momentum, for parameters in any structure of arrays (Polyak 1964)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xpsolve.arrays import Array, Namespace, common_device, common_namespace, enter
from xpsolve.trace import arrays_in, map_arrays


def moved(
    value_and_gradient: Callable[..., tuple[Array, Any]],
    params: Any,
    speed: Any,
    samples: Sequence[Array],
    tau: Any,
    momentum: float,
) -> tuple[Array, Any, Any]:
    """The loss of some samples, and θ and its speed after a step with it."""
    value, gradient = value_and_gradient(params, *samples)
    check_gradient(gradient, params)
    speed = _each(lambda v, g: momentum * v - tau * g, speed, gradient)
    return value, _each(lambda p, v: p + v, params, speed), speed


def _each(function: Callable[[Array, Array], Array], tree: Any, other: Any) -> Any:
    """`tree` with function(x, y) of each array x in it and its partner y in `other`."""
    partners = iter(arrays_in(map_arrays(np.asarray, other, leaf=_scalar)))
    return map_arrays(np.asarray, map_arrays(lambda x: function(x, next(partners)), tree), leaf=_scalar)


def _scalar(x: Any) -> bool:
    """Whether NumPy has converted a 0-d array to a scalar."""
    return isinstance(x, np.generic)


def check_gradient(gradient: Any, params: Any) -> None:
    shapes = [
        [tuple(x.shape) for x in arrays_in(map_arrays(np.asarray, tree, leaf=_scalar))] for tree in (gradient, params)
    ]
    if shapes[0] != shapes[1]:
        expected = f"expected a gradient with arrays of the shapes of params, {shapes[1]}"
        message = f"value_and_gradient: {expected}, got {shapes[0]}."
        raise ValueError(message)


def entered(params: Any, samples: tuple[Array, ...]) -> tuple[Namespace, Any]:
    """The parameters in one real dtype, where the samples are; these keep theirs, which may be integers."""
    given = {f"params[{i}]": p for i, p in enumerate(arrays_in(params))}
    if not given or not samples:
        message = (
            f"params, samples: expected an array or a structure of arrays, and at least one array of samples, got "
            f"{type(params).__qualname__} and {len(samples)}."
        )
        raise TypeError(message)
    named = {f"samples[{i}]": x for i, x in enumerate(samples)}
    common_namespace(**given, **named)
    common_device(**given, **named)
    for name, x in named.items():
        if x.ndim == 0 or x.shape[0] != samples[0].shape[0] or x.shape[0] == 0:
            expected = "at least one sample" if name == "samples[0]" else f"{samples[0].shape[0]}, as samples[0] has"
            message = f"{name}: expected samples along the first axis, {expected}, got shape {tuple(x.shape)}."
            raise ValueError(message)
    xp, arrays = enter(**given)
    entered = iter(arrays)
    return xp, map_arrays(lambda _: next(entered), params)
