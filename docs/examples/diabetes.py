"""λ for ridge and the lasso on the diabetes data, with an intercept: the same choices as scikit-learn's."""

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LassoCV, RidgeCV

import xpsolve as xs

A, y = load_diabetes(return_X_y=True)
lams = np.geomspace(1e-3, 1e1, 40)

loo = xs.ridge_cv(A, y, lams, method="loo", intercept=True)
gcv = xs.ridge_cv(A, y, lams, method="gcv", intercept=True)
folds = xs.ridge_cv(A, y, lams, method="kfold", folds=10, intercept=True)
sparse = xs.lasso_cv(A, y, folds=10, intercept=True)  # on a grid of its own
for name, found in (("leave one out", loo), ("generalised", gcv), ("ten folds", folds), ("lasso", sparse)):
    print(f"{name:>13}: λ = {float(found.lam):.3g}, mean squared error {float(found.scores.min()):.0f}")

assert float(loo.lam) == RidgeCV(lams).fit(A, y).alpha_
assert 0.5 < float(gcv.lam / loo.lam) < 2  # another estimate of the same error
# folds of 9/10 of the samples are solved with 9/10 of λ, so that scikit-learn's choice may be the next value
peer = RidgeCV(lams, cv=10, scoring="neg_mean_squared_error").fit(A, y)
assert abs(np.log(float(folds.lam) / peer.alpha_)) < 1.01 * np.log(lams[1] / lams[0])

peer = LassoCV(alphas=sparse.lams / len(y), cv=10, tol=1e-6, max_iter=100_000).fit(A, y)
assert np.isclose(float(sparse.lam) / len(y), peer.alpha_)
assert np.allclose(sparse.x, peer.coef_, atol=0.5)
assert np.isclose(sparse.intercept, peer.intercept_)
