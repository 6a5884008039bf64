"""Linear inverse problems: ridge, minimum-norm least squares, the lasso family."""

from xpsolve.linear.basis_pursuit import basis_pursuit
from xpsolve.linear.chosen import ChosenSolution
from xpsolve.linear.cross_validation import elastic_net_cv, lasso_cv
from xpsolve.linear.dictionary_learning import DictionarySolution, dictionary_learning
from xpsolve.linear.discrepancy import discrepancy
from xpsolve.linear.lasso import elastic_net, lasso
from xpsolve.linear.lasso_path import LassoPath, lasso_path
from xpsolve.linear.least_squares import lstsq
from xpsolve.linear.ridge import ridge
from xpsolve.linear.ridge_cv import ridge_cv
from xpsolve.linear.sure import lasso_sure

__all__ = [
    "ChosenSolution",
    "DictionarySolution",
    "LassoPath",
    "basis_pursuit",
    "dictionary_learning",
    "discrepancy",
    "elastic_net",
    "elastic_net_cv",
    "lasso",
    "lasso_cv",
    "lasso_path",
    "lasso_sure",
    "lstsq",
    "ridge",
    "ridge_cv",
]
