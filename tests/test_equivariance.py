"""(cA, c′y, λ scaled) gives the scaled answer, over the whole range of exponents, or a status that is not CONVERGED."""

import os
import warnings

import numpy as np
import pytest
import scaled

DTYPES = ("float64", "float32")


def grid(exponents):
    """Pairs of exponents for A and y: each alone, both alike, against one another; all pairs if asked for."""
    if os.environ.get("XPSOLVE_FULL_GRID"):
        return [(i, j) for i in exponents for j in exponents]
    chosen = exponents[::2] if len(exponents) > 10 else exponents
    return sorted({pair for k in chosen for pair in ((k, 0), (0, k), (k, k), (k, -k))})


def values(x):
    return np.concatenate([np.ravel(v) for v in x]) if isinstance(x, tuple) else np.ravel(np.asarray(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", scaled.CASES, ids=lambda case: case.name)
def test_scaled_problems_have_scaled_answers(case, dtype):
    rtol = 2e-2 if dtype == "float32" else 1e-4
    wrong, judged = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scaled.xs.ConvergenceWarning)
        base, _ = case.run(dtype, 0, 0)
        expected = values(base.x).astype(np.float64)
        for i, j in grid(scaled.EXPONENTS[dtype]):
            found = case.run(dtype, i, j)
            if found is None:  # an argument or the answer is no number of this dtype
                continue
            judged += 1
            solution, factor = found
            difference = np.max(np.abs(values(solution.x).astype(np.float64) / factor - expected))
            if not difference <= rtol * np.max(np.abs(expected)) or solution.status is not base.status:
                wrong.append(f"10^{i}·A, 10^{j}·y: {solution.status.name}, relative difference {difference:.1e}")
    assert judged >= (10 if case.apart else 4)
    assert not wrong, "\n".join([f"{len(wrong)} of {judged}, {base.status.name} before:", *wrong])
