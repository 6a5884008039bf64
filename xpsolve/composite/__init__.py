"""Minimise f + R: an objective, a penalty and a method put together."""

from xpsolve.composite.minimize import minimize
from xpsolve.composite.nnls import nnls

__all__ = ["minimize", "nnls"]
