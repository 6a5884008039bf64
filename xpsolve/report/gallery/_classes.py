"""The problem that the figures on logistic regression share: 30 measurements of 569 tumours, benign or not."""

from __future__ import annotations

from typing import Any

import xpsolve as xs
from xpsolve.arrays.backends import Backend

LAM = 1e-2


def tumours(backend: Backend) -> tuple[xs.Logistic, float]:
    """f, and its minimum to rounding, by Newton's method."""
    data = xs.problems.breast_cancer(backend=backend.name)
    f = xs.Logistic(data.A, data.y, LAM)
    return f, float(f.value(xs.newton(f, tol=tight(f)).x))


def tight(f: Any) -> float:
    """A tolerance near rounding."""
    return 1e3 * float(f.xp.finfo(f.y.dtype).eps)
