"""What solvers return: the value, how it was found, and a certificate computed from the value itself."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any, TypeVar

from xpsolve.arrays import Array, is_array, namespace_of
from xpsolve.trace import arrays_in, map_arrays


class ConvergenceWarning(UserWarning):
    """An answer is not certified: the solver stopped early, lost accuracy to rounding, or met numbers not finite."""


class Status(Enum):
    """How a solve ended; the value says what happened and what helps whatever the solver is."""

    CONVERGED = "The certificate is within its tolerance."
    MAX_ITER = (
        "Stopped at the largest number of iterations before the tolerance was reached. Allow more, or loosen tol."
    )
    INACCURATE = (
        "The certificate exceeds its tolerance: accuracy was lost to rounding, as in ill-conditioned problems. "
        "Work in float64, or scale the columns of the data to like size."
    )
    NOT_FINITE = (
        "The result has a NaN or an infinity. Search for them in the input, which check_finite=True does, or for "
        "numbers beyond the range of the dtype."
    )
    DIVERGED = "The iterates grew without bound. Use a smaller step."
    INFEASIBLE = (
        "No x satisfies Ax = y: the equations contradict one another. Use lasso, which allows for noise in y, or lstsq."
    )
    UNBOUNDED = (
        "There is no minimiser: x separates the classes, and the objective decreases without bound as x is scaled up. "
        "Set lam > 0."
    )
    UNDERFLOW = (
        "The kernel exp(−M/ε) has underflowed, or its multipliers have overflowed: the costs span too many ε. "
        "Work in float64, or with a larger eps."
    )
    STOPPED = "The callback asked to stop."

    @property
    def message(self) -> str:
        """What happened and what to try."""
        return str(self.value)


@dataclass(frozen=True, eq=False)
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
        """The worst measure: one read from the device each time."""
        if not is_array(self.measures):
            return float(self.measures)
        xp = namespace_of(self.measures)
        return float(xp.max(self.measures)) if self.measures.ndim else float(self.measures)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Certificate:
        measures = function(self.measures) if is_array(self.measures) else self.measures
        return Certificate(self.name, measures, self.tol)


@dataclass(frozen=True, eq=False)
class Solution:
    """The answer of a solver.

    Solutions compare by identity, can be pickled and copied, and are JAX pytrees, which ``jax.jit`` returns.

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
    advice : mapping
        For a `Status`, what helps with this solver.
    intercept : array or None
        c of the model ⟨a, x⟩ + c, where one was asked for.

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
    stats: Mapping[str, Any] = field(default_factory=dict)
    ended: Status | None = None
    advice: Mapping[Status, str] = field(default_factory=dict)
    intercept: Any = None

    def __post_init__(self) -> None:
        _register_with_jax(type(self))

    @property
    def status(self) -> Status:
        """How the solve ended.  Reads the certificate from the device."""
        if self.ended is not None:
            return self.ended
        return certified(self.certificate.value, self.certificate.tol)

    @property
    def converged(self) -> bool:
        """Whether the certificate is within its tolerance."""
        return self.status is Status.CONVERGED

    @property
    def message(self) -> str:
        """What happened and what to try with this solver.  Reads the certificate from the device."""
        status = self.status
        return f"{status.message} {self.advice.get(status, '')}".rstrip()

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Solution:
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self)(**{name: map_arrays(function, value) for name, value in values.items()})

    def __repr__(self) -> str:
        shape = "×".join(map(str, getattr(self.x, "shape", ()))) or "0-d"
        ended = f"n_iter={self.n_iter}, status={self.status.name}"
        return f"{type(self).__name__}(x: {shape}, method={self.method!r}, {ended})"


# --- the one ending --------------------------------------------------------------------------------

AnySolution = TypeVar("AnySolution", bound=Solution)

_ENDED = {"callback": Status.STOPPED, "max_iter": Status.MAX_ITER, "not finite": Status.NOT_FINITE}
_SILENT = (Status.CONVERGED, Status.STOPPED)
_OF_THE_ADJOINT = (Status.MAX_ITER, Status.INACCURATE, Status.DIVERGED, Status.NOT_FINITE)  # what a wrong one may cause
_inside: ContextVar[bool] = ContextVar("xpsolve_inner_solve", default=False)


def finish(
    name: str,
    x: Any,
    *,
    method: str,
    certificate: Certificate,
    reason: str = "",
    measure: float | None = None,
    n_iter: Any = 0,
    history: Any = None,
    stats: Mapping[str, Any] | None = None,
    ended: Status | None = None,
    advice: Mapping[Status, str] | None = None,
    operator: Any = None,
    cls: type[AnySolution] = Solution,  # type: ignore[assignment]
    **more: Any,
) -> AnySolution:
    """The end of every solver: status, remedy, warning and `Solution` in one place.

    Parameters
    ----------
    name : str
        The public function, for the warning.
    x, method, certificate, n_iter, history, stats
        As in `Solution`.
    reason : str
        Why a loop ended, as `xpsolve.arrays.Run` states it; "" for direct methods.
    measure : float, optional
        The worst value of the certificate where it has been read already.  Nothing is read here: without it an answer
        whose loop reached its tolerance ends without a check.
    ended : Status, optional
        A status that overrules what `reason` says.
    advice : mapping, optional
        For a `Status`, what helps with this function: only arguments that it has.
    operator : LinearOperator, optional
        The operator of the problem: where its products are the user's, the advice says what a test of the adjoint
        finds, which is made only for answers that warn.
    cls : type
        `Solution` or a subclass; `more` are its fields.

    Returns
    -------
    Solution
        The answer.

    Warns
    -----
    ConvergenceWarning
        Once, at the first line outside the package, unless the answer is converged or the callback stopped the loop.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.solution import Certificate, finish
    >>> finish("solver", np.zeros(2), method="fixed", certificate=Certificate("error", 0.0, 1e-6), measure=0.0)
    Solution(x: 2, method='fixed', n_iter=0, status=CONVERGED)
    """
    ended = _ENDED.get(reason) if ended is None else ended
    status = ended
    if status is None and measure is not None:
        status = certified(measure, certificate.tol)
    said = None if status in _SILENT or _inside.get() else status
    advice = advice or {}
    if said in _OF_THE_ADJOINT and operator is not None:
        advice = {**advice, said: f"{advice.get(said, '')} {operator.adjoint_advice(x)}".strip()}
    solution = cls(
        x,
        method,
        certificate,
        n_iter=n_iter,
        history=history,
        stats=dict(stats or {}),
        ended=ended,
        advice=advice,
        **more,
    )
    if said is not None:
        reached = "" if measure is None else f" {certificate.name}: {measure:.1e}, tol = {certificate.tol:.1e}"
        after = f" after {n_iter} iterations" if reason and isinstance(n_iter, int) else ""
        what = f"{reached}{after}." if reached or after else ""
        _warn(f"{name}(method={method!r}): {said.message}{what} {solution.advice.get(said, '')}".rstrip())
    return solution


def certified(value: float, tol: float) -> Status:
    """What the value of a certificate says."""
    if not math.isfinite(value):
        return Status.NOT_FINITE
    return Status.CONVERGED if value <= tol else Status.INACCURATE


@contextmanager
def inner_solve() -> Iterator[None]:
    """Solves inside this block do not warn: the solve around them says how it ended."""
    token = _inside.set(True)
    try:
        yield
    finally:
        _inside.reset(token)


def _warn(message: str) -> None:
    """A ConvergenceWarning at the first frame outside the package, at any depth of the call."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        ConvergenceWarning,
        filename=frame.f_code.co_filename,
        lineno=frame.f_lineno,
        module=frame.f_globals.get("__name__", "<unknown>"),
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("xpsolve", "functools", "contextlib")


# --- solutions as JAX pytrees ----------------------------------------------------------------------

_registered: set[type] = set()


def _register_with_jax(cls: type) -> None:
    """Make a class of solutions a pytree, once JAX has been imported."""
    jax = sys.modules.get("jax")
    if jax is not None and cls not in _registered:
        _registered.add(cls)
        jax.tree_util.register_pytree_node(cls, _flatten, _unflatten)


def _flatten(solution: Solution) -> tuple[list[Array], _Skeleton]:
    return arrays_in(solution), _Skeleton(solution)


def _unflatten(skeleton: _Skeleton, leaves: Sequence[Any]) -> Any:
    left = iter(leaves)
    return map_arrays(lambda _: next(left), skeleton.solution)


class _Hole:
    """Stands where an array was, and passes for one."""

    shape = ()

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        raise NotImplementedError


class _Skeleton:
    """A solution without its arrays: what JAX keeps beside the leaves."""

    def __init__(self, solution: Solution) -> None:
        self.solution = map_arrays(lambda _: _Hole(), solution)
        certificate = solution.certificate
        self._key = (type(solution), solution.method, solution.ended, certificate.name, certificate.tol)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Skeleton) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)
