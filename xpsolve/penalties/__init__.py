"""Floor 3: penalties R of  min_x f(x) + R(x).  One file for each kind; sums by +."""

from xpsolve.penalties.analysis import Analysis, TotalVariation
from xpsolve.penalties.base import Penalty
from xpsolve.penalties.groups import GroupL1
from xpsolve.penalties.nuclear import Nuclear
from xpsolve.penalties.separable import L1, Box, ElasticNet, NonNegative, SquaredL2
from xpsolve.penalties.sets import L1Ball, Simplex
from xpsolve.penalties.shrink import soft_threshold

__all__ = [
    "L1",
    "Analysis",
    "Box",
    "ElasticNet",
    "GroupL1",
    "L1Ball",
    "NonNegative",
    "Nuclear",
    "Penalty",
    "Simplex",
    "SquaredL2",
    "TotalVariation",
    "soft_threshold",
]
