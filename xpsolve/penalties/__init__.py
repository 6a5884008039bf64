"""Penalties R of  min_x f(x) + R(x).  One file for each kind, one line here for each; sums by +."""

from xpsolve.penalties.analysis import Analysis as Analysis
from xpsolve.penalties.analysis import TotalVariation as TotalVariation
from xpsolve.penalties.base import Penalty as Penalty
from xpsolve.penalties.groups import GroupL1 as GroupL1
from xpsolve.penalties.nuclear import Nuclear as Nuclear
from xpsolve.penalties.separable import L1 as L1
from xpsolve.penalties.separable import Box as Box
from xpsolve.penalties.separable import ElasticNet as ElasticNet
from xpsolve.penalties.separable import NonNegative as NonNegative
from xpsolve.penalties.separable import SquaredL2 as SquaredL2
from xpsolve.penalties.sets import L1Ball as L1Ball
from xpsolve.penalties.sets import Simplex as Simplex
from xpsolve.penalties.shrink import soft_threshold as soft_threshold

__all__ = [name for name in dir() if name[0].isupper() or name == "soft_threshold"]  # each name imported above
