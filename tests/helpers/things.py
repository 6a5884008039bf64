"""One of each kind of public object."""

import numpy as np

import xpsolve as xs
from xpsolve import costs
from xpsolve.capabilities import TABLE
from xpsolve.networks.activations import ACTIVATIONS

RNG = np.random.default_rng(0)
A, COSTS = RNG.standard_normal((12, 5)), RNG.random((4, 4))
Y, HALF = A @ np.arange(5.0), np.ones(4) / 4
SIGNS, CLASSES = np.sign(RNG.standard_normal(12)), np.eye(3)[np.arange(12) % 3]


def objects(asarray):
    """They, of the arrays that `asarray` makes."""
    A_, Y_, a, M = map(asarray, (A, Y, HALF, COSTS))
    P, O = xs.penalties, xs.operators
    f = xs.LeastSquares(A_, Y_)
    sag = xs.sag(f, epochs=30)
    transport = xs.sinkhorn(a, a, M, 0.1, record=True)
    weights = asarray(np.ones(5))
    solutions = [
        xs.ridge(A_, Y_, 0.1),
        xs.lasso(A_, Y_, 0.1),
        xs.lasso_path(A_, Y_, n_lams=3),
        xs.dictionary_learning(A_, 2, 0.1, max_iter=50, tol=1e-2),
        xs.minimize(f, P.L1(0.1)),
        transport,
        sag,
        xs.sgd(xs.LeastSquares, batches=[(A_, Y_)], tol=2.0),
    ]
    parts = [transport.certificate, sag.stats["memory"], xs.Progress(Y_, a), xs.Progress((a, a)), TABLE["ridge"]]
    objectives = [f, xs.Huber(A_, Y_), xs.Logistic(A_, asarray(SIGNS)), xs.Multinomial(A_, asarray(CLASSES))]
    geometries = [xs.PointCloud(A_, A_), xs.Grid(Y_, a), transport.geometry]
    networks = [xs.lista(A_, 0.5, 3), xs.lista(A_, 1.0, 2, tied=True), ACTIVATIONS["tanh"]]
    D = O.Dense(A_)
    operators = [D, D.T, 2 * D, D @ D.T, xs.Kronecker(A_, M), xs.Convolution(a, (9,)), O.Gradient((3, 4))]
    penalties = [
        *(P.L1(M[0, 0]), P.L1(0.1, weights=weights), P.ElasticNet(0.1, 0.5), P.SquaredL2(1.0), P.NonNegative()),
        *(P.Box(0.0, weights), P.L1Ball(1.0), P.Simplex(), P.GroupL1(0.1, "rows"), P.Nuclear(0.1)),
        *(P.TotalVariation(0.1, (3, 4)), P.Analysis(0.1, O.Gradient((5,))), P.L1(0.1) + P.NonNegative()),
    ]
    others = [costs.ridge(10, 5), xs.count(lambda x: x + 1, A_)[1], xs.problems.diabetes(), O.Wavelet((8, 8))]
    return [*solutions, *parts, *objectives, *geometries, *networks, *operators, *penalties, *others]


def is_short(text):
    return 0 < len(text) <= 220 and "\n" not in text and "array(" not in text
