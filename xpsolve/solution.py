"""What solvers return: the value, how it was found, and a certificate computed from the value itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from types import MappingProxyType
from typing import Any

from xpsolve.arrays import Array, is_array, namespace_of
from xpsolve.trace import map_arrays


class ConvergenceWarning(UserWarning):
    """An iterative solver stopped at ``max_iter`` before it reached its tolerance."""


class Status(Enum):
    """How a solve ended; the value says what to try."""

    CONVERGED = "The certificate is within its tolerance."
    MAX_ITER = (
        "Stopped at max_iter before the tolerance was reached. Raise max_iter, loosen tol, start from a better x0, "
        "or use a direct method."
    )
    INACCURATE = (
        "The certificate exceeds its tolerance: rounding has eaten the digits of an ill-conditioned problem. "
        "Raise lam, work in float64, scale the columns of A, or use method='svd'."
    )
    NOT_FINITE = (
        "The result has a NaN or an infinity. Look for them in the input (check_finite=True does), for overflow "
        "in float32, or for a singular problem: raise lam or use method='svd'."
    )
    DIVERGED = "The iterates grew without bound. Use a smaller step, or leave step=None for a safe one."
    INFEASIBLE = (
        "No x satisfies Ax = y: the equations contradict one another. Use lasso, which allows for noise in y, or lstsq."
    )
    UNBOUNDED = (
        "There is no minimiser: x separates the classes, and the objective falls for ever as x grows along itself. "
        "Set lam > 0."
    )
    UNDERFLOW = (
        "The kernel exp(−M/ε) has underflowed, or its multipliers have overflowed: the costs span too many ε. "
        "Use method='stabilized' or 'log', float64, or a larger eps."
    )
    STOPPED = "The callback asked to stop."

    @property
    def message(self) -> str:
        """What happened and what to try."""
        return str(self.value)


@dataclass(frozen=True)
class Certificate:
    """A measure of correctness recomputed from the returned value.

    Parameters
    ----------
    name : str
        What is measured.
    measures : array or float
        The measure, one per problem where many were solved together.  It stays on the device.
    tol : float
        What it is compared with.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> certificate = xs.ridge(np.eye(2), np.ones(2), 1.0).certificate
    >>> certificate.name, certificate.value <= certificate.tol
    ('relative backward error of the normal equations', True)
    """

    name: str
    measures: Any
    tol: float

    @property
    def value(self) -> float:
        """The worst measure: one read from the device each time it is looked at."""
        if not is_array(self.measures):
            return float(self.measures)
        xp = namespace_of(self.measures)
        return float(xp.max(self.measures)) if self.measures.ndim else float(self.measures)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Certificate:
        measures = function(self.measures) if is_array(self.measures) else self.measures
        return Certificate(self.name, measures, self.tol)


@dataclass(frozen=True)
class Solution:
    """The answer of a solver.

    Parameters
    ----------
    x : array
        The value, in the namespace, device and dtype of the input.
    method : str
        What really ran; ``"normal->svd"`` says that the first gave up and the second answered.
    certificate : Certificate
        How right `x` is.
    n_iter : int or array
        Iterations taken, 0 for direct methods.
    history : array or mapping or None
        What was recorded on the way, on the device.
    stats : mapping
        Counts and notes: factorisations, products with A, fallbacks, ….
    ended : Status or None
        How an iteration ended where that decides the status; None leaves it to the certificate.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> solution = xs.ridge(np.eye(2), np.ones(2), 1.0)
    >>> solution.x, solution.converged
    (array([0.5, 0.5]), True)
    >>> print(solution.status.message)
    The certificate is within its tolerance.
    """

    x: Any
    method: str
    certificate: Certificate
    n_iter: Any = 0
    history: Any = None
    stats: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    ended: Status | None = None

    @property
    def status(self) -> Status:
        """How the solve ended.  Reads the certificate from the device."""
        if self.ended is not None:
            return self.ended
        value = self.certificate.value
        if not math.isfinite(value):
            return Status.NOT_FINITE
        return Status.CONVERGED if value <= self.certificate.tol else Status.INACCURATE

    @property
    def converged(self) -> bool:
        """Whether the certificate is within its tolerance."""
        return self.status is Status.CONVERGED

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Solution:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["stats"] = dict(self.stats)
        return type(self)(**{name: map_arrays(function, value) for name, value in values.items()})

    def __repr__(self) -> str:
        shape = "×".join(map(str, getattr(self.x, "shape", ()))) or "0-d"
        ended = f"n_iter={self.n_iter}, status={self.status.name}"
        return f"{type(self).__name__}(x: {shape}, method={self.method!r}, {ended})"
