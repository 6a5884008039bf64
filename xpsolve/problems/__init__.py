"""Data with known truth, and small real data sets, on the backend that is asked for.

Everything is made on the host from a seed and then moved, so that the same seed gives the same numbers on
every backend.  Tests, benchmarks and reports all take their data from here.
"""

from xpsolve.problems._problem import Problem
from xpsolve.problems.pictures import BlurredPicture, blurred_picture
from xpsolve.problems.real import breast_cancer, diabetes, digits, patches, photograph
from xpsolve.problems.settings import (
    InverseProblem,
    StatisticalLearning,
    inverse_problem,
    statistical_learning,
)
from xpsolve.problems.sparse import SparseCoding, meg, sparse_coding
from xpsolve.problems.synthetic import least_squares

__all__ = [
    "BlurredPicture",
    "InverseProblem",
    "Problem",
    "SparseCoding",
    "StatisticalLearning",
    "blurred_picture",
    "breast_cancer",
    "diabetes",
    "digits",
    "inverse_problem",
    "least_squares",
    "meg",
    "patches",
    "photograph",
    "sparse_coding",
    "statistical_learning",
]
