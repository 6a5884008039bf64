"""Weights of samples and of classes: f is the weighted mean  Σ w_i ℓ_i / Σ w_i  of the losses.

A weight 2 is a row that comes twice, and a weight 0 one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from xpsolve.arrays import (
    Array,
    check_ndim,
    check_rows,
    common_namespace,
    device_of,
    enter,
    holds,
    is_array,
    is_scalar,
    lift,
    namespace_of,
)

_IN_STREAM: ContextVar[bool] = ContextVar("_IN_STREAM", default=False)


def enter_weights(weights: Any, y: Array) -> tuple[Array, Array]:
    """The weights of the caller and y in one namespace and dtype."""
    if not is_array(weights):
        message = f"weights: expected an array of shape (n,), got {type(weights).__qualname__}."
        raise TypeError(message)
    _, (y, weights) = enter(y=y, weights=weights)
    return weights, y


def sample_weights(weights: Array, like: Array) -> Array:
    """The weights (n,), their shape checked, in the namespace and dtype of `like`."""
    check_ndim(weights, "weights", 1, shape="(n,)")
    check_rows(weights, "weights", like.shape[0], "A")
    xp = namespace_of(like)
    weights = lift(xp, weights)
    return weights if weights.dtype == like.dtype else xp.astype(weights, like.dtype)


def good_weights(weights: Array) -> Array:
    """Whether they are finite and none is below 0, but some above, 0-d."""
    xp = namespace_of(weights)
    good: Array = xp.all((weights >= 0) & xp.isfinite(weights)) & (xp.max(weights) > 0)
    return good


def check_weights(good: Array) -> None:
    """Raise ValueError unless the weights are good.  One host read."""
    if not holds(good):
        message = "weights: expected finite numbers >= 0 with some above 0, got others."
        raise ValueError(message)


def weights_of_classes(
    given: Any, members: Array, weights: Array | None, labels: tuple[int, ...], check: bool
) -> Array:
    """The factor (n,) of every sample, from its share `members` (n, m) in each of the classes `labels`."""
    xp = namespace_of(members)
    if isinstance(given, str):
        if given != "balanced":
            message = f"class_weights: expected 'balanced', an array or a mapping, got {given!r}."
            raise ValueError(message)
        counts = xp.sum(members if weights is None else members * weights[:, None], axis=0)
        there = counts > 0
        number = xp.sum(xp.astype(there, counts.dtype))
        inverse = xp.where(there, 1 / xp.where(there, counts, xp.ones_like(counts)), xp.zeros_like(counts))
        return members @ (inverse * (xp.sum(counts) / number))
    if isinstance(given, Mapping):
        unknown = [label for label in given if label not in labels]
        if unknown or not all(is_scalar(value) for value in given.values()):
            message = f"class_weights: expected numbers for some of the classes {list(labels)}, got {dict(given)!r}."
            raise ValueError(message)
        host = [float(given.get(label, 1.0)) for label in labels]
        factors = xp.asarray(host, dtype=members.dtype, device=device_of(members))
    elif is_array(given):
        common_namespace(class_weights=given, y=members)
        factors = lift(xp, given)
        factors = factors if factors.dtype == members.dtype else xp.astype(factors, members.dtype)
    else:
        message = f"class_weights: expected 'balanced', an array or a mapping, got {type(given).__qualname__}."
        raise TypeError(message)
    if tuple(factors.shape) != (len(labels),):
        message = f"class_weights: expected one number for each of {len(labels)} classes, got shape {factors.shape}."
        raise ValueError(message)
    if check:
        good = xp.all((factors >= 0) & xp.isfinite(factors)) & (xp.max(factors) > 0)
        if not holds(good):
            message = "class_weights: expected finite numbers >= 0 with some above 0, got others."
            raise ValueError(message)
    return members @ factors


@contextmanager
def part_of_a_stream() -> Iterator[None]:
    """Within it, samples are some of a stream, of which others have the classes that are not there."""
    token = _IN_STREAM.set(True)
    try:
        yield
    finally:
        _IN_STREAM.reset(token)


def in_stream() -> bool:
    """Whether samples are some of a stream."""
    return _IN_STREAM.get()


def check_every_class(members: Array, weights: Array | None, name: str, counts: Array | None = None) -> None:
    """Raise where a class has no sample of positive weight: its intercept would have no minimiser.  One host read.

    `counts` are the weights of the classes where these are known.
    """
    if in_stream():
        return
    if counts is None:
        counts = namespace_of(members).sum(members if weights is None else members * weights[:, None], axis=0)
    if not holds(namespace_of(counts).all(counts > 0)):
        message = (
            f"{name}: expected samples of weight above 0 in every class, got a class without, whose intercept has no "
            "minimiser. Leave the class out, or set intercept=False."
        )
        raise ValueError(message)
