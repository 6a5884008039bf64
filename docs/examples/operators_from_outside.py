"""A sparse signal from what a PyLops or a SciPy operator shows of it: both are taken as they are, without a matrix."""

import numpy as np
import pylops
from scipy.ndimage import convolve1d
from scipy.sparse.linalg import LinearOperator

import xpsolve as xs

rng = np.random.default_rng(0)
n, kernel = 400, np.exp(-(np.linspace(-2, 2, 15) ** 2))
truth = np.zeros(n)
truth[[40, 90, 100, 230, 231, 350]] = 2.0, -1.0, 1.5, 1.0, 1.0, -2.0

blur = pylops.signalprocessing.Convolve1D(n, kernel, offset=7)
scipy_blur = LinearOperator(
    (n, n),
    matvec=lambda x: convolve1d(x.ravel(), kernel, mode="constant"),
    rmatvec=lambda y: convolve1d(y.ravel(), kernel[::-1], mode="constant"),
    dtype=float,
)
y = blur @ truth + 0.02 * rng.standard_normal(n)

found, again = (xs.lasso(A, y, 0.05, tol=1e-8) for A in (blur, scipy_blur))
print(f"{int(np.sum(np.abs(found.x) > 0.1))} spikes, largest error {np.max(np.abs(found.x - truth)):.2f}")
assert found.converged
assert again.converged
assert np.allclose(found.x, again.x, atol=1e-3)
assert set(np.flatnonzero(np.abs(found.x) > 0.5)) <= set(np.flatnonzero(truth))
