"""Floor 3: linear inverse problems.  Ridge and minimum-norm least squares."""

from xpsolve.linear.least_squares import lstsq
from xpsolve.linear.ridge import ridge

__all__ = ["lstsq", "ridge"]
