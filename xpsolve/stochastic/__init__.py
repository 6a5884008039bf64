"""Objectives of linear models, and the methods that descend on them."""

from xpsolve.stochastic.coordinate_descent import coordinate_descent
from xpsolve.stochastic.gradient_descent import gradient_descent
from xpsolve.stochastic.linear_model import LinearModel
from xpsolve.stochastic.multinomial import Multinomial
from xpsolve.stochastic.newton import newton
from xpsolve.stochastic.objectives import Huber, LeastSquares, Logistic
from xpsolve.stochastic.sag import sag
from xpsolve.stochastic.sgd import sga, sgd

__all__ = [
    "Huber",
    "LeastSquares",
    "LinearModel",
    "Logistic",
    "Multinomial",
    "coordinate_descent",
    "gradient_descent",
    "newton",
    "sag",
    "sga",
    "sgd",
]
