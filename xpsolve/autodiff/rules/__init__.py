"""Derivatives of single functions, apart from the sweeps that use them."""

from xpsolve.autodiff.rules import (  # noqa: F401  (each fills the tables)
    decompositions,
    elementwise,
    fourier,
    indexing,
    linalg,
    products,
    reductions,
    shapes,
)
from xpsolve.autodiff.rules.table import (
    BY_SHAPE,
    CONSTANT,
    ELEMENTWISE,
    RULES,
    Joint,
    Map,
    NoRuleError,
    rule,
    unbroadcast,
)
from xpsolve.autodiff.rules.table import elementwise as define_elementwise

__all__ = [
    "BY_SHAPE",
    "CONSTANT",
    "ELEMENTWISE",
    "RULES",
    "Joint",
    "Map",
    "NoRuleError",
    "define_elementwise",
    "rule",
    "unbroadcast",
]
