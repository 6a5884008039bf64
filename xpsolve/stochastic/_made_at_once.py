"""Objectives of JAX arrays, checked and made by one compiled program instead of one operation after another."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from xpsolve.jitted import jittable
from xpsolve.stochastic._weights import in_stream

Model = TypeVar("Model", bound=type[Any])


def made_at_once(kind: Model) -> Model:
    """The class, whose objects are made by one program where their arrays are concrete ones of JAX.

    λ and δ are arguments of the program, so that other values compile nothing.  Subclasses are made step by step.
    """
    plain: Any = kind.__init__

    def program() -> Callable[..., Any]:
        def made(*args: Any, **kwargs: Any) -> Any:
            model = object.__new__(kind)
            plain(model, *args, **kwargs)
            return model

        return jittable(made, numbers=("lam", "delta"))

    alone, of_stream = program(), program()  # two, since samples of a stream are checked for less

    @functools.wraps(plain)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        if "jax" not in sys.modules or type(self) is not kind or len(args) > 3 or (len(args) == 3 and "lam" in kwargs):
            plain(self, *args, **kwargs)
            return
        named = {"lam": args[2], **kwargs} if len(args) == 3 else kwargs
        compiled = of_stream if in_stream() else alone
        vars(self).update(vars(compiled(*args[:2], **named)))

    setattr(kind, "__init__", __init__)  # noqa: B010
    return kind
