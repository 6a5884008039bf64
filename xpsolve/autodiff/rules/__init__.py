"""Derivatives of single functions, apart from the sweeps that use them.

`define_elementwise` and `rule` add to them.  ``table.py`` says what a rule is; ``penalties/shrink.py`` and
``proximal/proximal_gradient.py`` have one each, beside the function that it belongs to.
"""

from xpsolve.autodiff.rules import (  # noqa: F401  (each fills the tables)
    decompositions,
    elementwise,
    fourier,
    indexing,
    linalg,
    products,
    reductions,
    shapes,
    sparse,
)
from xpsolve.autodiff.rules.table import BY_SHAPE, CONSTANT, ELEMENTWISE, RULES, Map, NoRuleError, rule
from xpsolve.autodiff.rules.table import elementwise as define_elementwise

__all__ = [
    "BY_SHAPE",
    "CONSTANT",
    "ELEMENTWISE",
    "RULES",
    "Map",
    "NoRuleError",
    "define_elementwise",
    "rule",
]
