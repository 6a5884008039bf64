"""One λ for each feature of a ridge regression, tuned on samples that were held out, by gradient descent.

min ½‖Ax − y‖² + ½Σ λ_j x_j² is ridge regression with λ = 1 for the columns A_j/√λ_j.  The derivative of its answer is
that of an equation that the answer solves: no iteration is recorded.
"""

import numpy as np

import xpsolve as xs

rng = np.random.default_rng(0)
n, p = 60, 40
A, held_out = rng.standard_normal((n, p)), rng.standard_normal((500, p))
truth = np.where(np.arange(p) < 5, 3.0, 0.0)  # five features matter, and nobody knows which
y, target = (X @ truth + 2 * rng.standard_normal(len(X)) for X in (A, held_out))


def error(logs):
    """The mean squared error on the samples held out, as a function of log λ."""
    roots = logs.__array_namespace__().exp(logs / 2)
    r = held_out @ (xs.ridge(A / roots, y, 1.0).x / roots) - target
    return r @ r / len(target)


single = xs.ridge_cv(A, y, np.geomspace(1e-2, 1e3, 50), method="loo")
logs = np.full(p, np.log(float(single.lam)))
first = error(logs)
for _ in range(200):
    value, slope = xs.autodiff.value_and_grad(error)(logs)
    logs = logs - 0.5 * slope
print(f"error {first:.2f} with one λ, {error(logs):.2f} with one for each feature; noise alone has 4")
assert error(logs) < 0.7 * first
assert logs[:5].max() < np.median(logs[5:])  # the features that matter are penalised less
