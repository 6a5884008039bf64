"""Floor 4: f + R put together from an objective, a penalty and a method."""

from xpsolve.composite.minimize import minimize
from xpsolve.composite.nnls import nnls

__all__ = ["minimize", "nnls"]
