"""Is a matrix that is not positive definite recognised: cuSOLVER promises nothing about what it leaves in the factor.

`xpsolve.arrays.linalg.cholesky` says whether a factor can be trusted from its pivots alone, without a read.
"""

from __future__ import annotations

import numpy as np
from figures import cupy, finish

from xpsolve.arrays import linalg

cp = cupy()
rng = np.random.default_rng(0)


def matrix(n, bad, size, dtype):
    """Symmetric with condition 100, and with pivot number `bad` equal to -size; None leaves it definite."""
    L = np.tril(rng.standard_normal((n, n))) / np.sqrt(n)
    np.fill_diagonal(L, rng.uniform(0.5, 2, n))
    D = np.ones(n)
    if bad is not None:
        D[bad] = -size
    return (L * D @ L.T).astype(dtype)


figures, wrong = {}, []
for dtype in ("float64", "float32"):
    for n in (1, 6, 33, 600):
        G = cp.asarray(matrix(n, None, 0, dtype) + (n > 100) * 1e-1 * np.eye(n, dtype=dtype))
        if not bool(linalg.cholesky(G)[1]):
            wrong.append(f"{dtype} {n}×{n}: a definite matrix is not trusted")
        for place in sorted({0, n // 2, n - 1}):
            for size in (1.0, 0.0):
                G = cp.asarray(matrix(n, place, size, dtype))
                L, trusted = linalg.cholesky(G)
                left = cp.linalg.cholesky(G).get()[place, place]
                figures[f"{dtype} {n}×{n}, pivot {place} is {-size:.0f}"] = {
                    "trusted": bool(trusted),
                    "what is left at that pivot": repr(float(left)),
                }
                if bool(trusted) and size:
                    wrong.append(f"{dtype} {n}×{n} with a negative pivot {place} is trusted; left there: {left}")

for name, figure in figures.items():
    print(name, figure)
nans = sum(figure["what is left at that pivot"] == "nan" for figure in figures.values())
finish(figures, f"{len(figures)} matrices that are not definite, NaN at the bad pivot of {nans}", wrong)
