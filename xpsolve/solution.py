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
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np

from xpsolve.arrays import Array, assumptions, holds, is_array, namespace_of, settled
from xpsolve.guides import guide
from xpsolve.trace import arrays_in, map_arrays, shapes_in


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
    DIVERGED = "The objective has risen, or the iterates have grown without bound."
    INFEASIBLE = "The constraints contradict one another: nothing satisfies them all."
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

    @cached_property
    def value(self) -> float:
        """The worst measure: one read from the device, the first time only."""
        return float(worst(self.measures))

    @property
    def known(self) -> bool:
        """Whether the value is known without a read from a device."""
        return "value" in vars(self) or isinstance(self.measures, float | np.ndarray | np.generic)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Certificate:
        return Certificate(self.name, *(function(x) if is_array(x) else x for x in (self.measures, self.tol)))

    def __repr__(self) -> str:
        value = f"{self.value:.1e}" if self.known else f"measures: {shapes_in(self.measures)}"
        return f"Certificate({self.name!r}, {value}, tol={self.tol:.1e})"


def worst(measures: Any) -> Any:
    """The largest of the measures of problems that were solved together."""
    return namespace_of(measures).max(measures) if is_array(measures) and measures.ndim else measures


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
    history : mapping of arrays or None
        What was recorded on the way, on the device, from before the first iteration on: "objective" where there is
        one, and "certificate", what the certificate measures.
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
        n_iter = f", n_iter={self.n_iter}" if isinstance(self.n_iter, int) else ""
        known = self.ended is not None or self.certificate.known
        ended = f"status={self.status.name}" if known else f"certificate={self.certificate.name!r}"
        return f"{type(self).__name__}(x: {shapes_in(self.x)}{self._beside}, method={self.method!r}{n_iter}, {ended})"

    @property
    def _beside(self) -> str:
        """What a `repr` shows beside x, which reads nothing from a device."""
        return ""


# --- what callbacks see ----------------------------------------------------------------------------


@dataclass(frozen=True, repr=False, eq=False)
class StreamSolution(Solution):
    """The answer of a method for a stream of batches: of `sgd`, `sga`, `networks.train` or `dictionary_learning`.

    Parameters
    ----------
    x, method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`; ``n_iter`` counts all steps, those before a continuation too.
    objective : array, 0-d
        The mean of the objective over the last twenty batches or so, of each before its steps, at the x of that moment.
    state : tuple
        What the same function continues from when it is given the solution in place of its first x.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = np.random.default_rng(0).standard_normal((500, 2))
    >>> batches = [(A[i : i + 50], A[i : i + 50] @ np.ones(2)) for i in range(0, 500, 50)]
    >>> half = xs.sgd(xs.LeastSquares, batches=batches[:5], step0=0.05, tol=1.0)
    >>> whole = xs.sgd(xs.LeastSquares, half, batches=batches[5:], tol=1.0)
    >>> whole.n_iter, whole.x.round(3)
    (500, array([1., 1.]))
    """

    objective: Any = None
    state: Any = None


class Progress(NamedTuple):
    """What a callback sees at a check: ``callback(iteration, progress)``, whose true answer stops the solver.

    Parameters
    ----------
    x : array
        The answer so far, in the units and the shape of `Solution.x`.
    measure : array or None
        What the certificate measures, as it was computed last: 0-d, on the device, the worst of problems that are
        solved together.  None for methods that do not compute it on their way: `sgd`, `sga` and `sag`, but for streams.
    intercept : array or None
        The intercept so far, where one was asked for of a method that iterates on it.
    objective : array or None
        0-d, the mean of the objective over recent batches of a stream, of each before its steps.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, y = np.asarray([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.asarray([1.0, 2.0, 2.0])
    >>> xs.lasso(A, y, 1.0, method="ista", callback=lambda k, progress: progress.measure < 0.1).status.name
    'STOPPED'
    """

    x: Any
    measure: Any = None
    intercept: Any = None
    objective: Any = None

    def __repr__(self) -> str:
        return f"Progress(x: {shapes_in(self.x)}, measure: {shapes_in(self.measure) or self.measure})"


Callback = Callable[[int, Progress], Any] | None


def seen_by(
    callback: Callback,
    x: Callable[[Any], Any],
    measure: Callable[[Any], Any],
    intercept: Callable[[Any], Any] | None = None,
) -> Callable[[int, Any], Any] | None:
    """The callback as a loop calls it, with a state, in which the functions find what is shown."""
    if callback is None:
        return None
    c = intercept or (lambda state: None)
    return lambda k, state: callback(k, Progress(x(state), worst(measure(state)), c(state)))


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
    taken = assumptions()
    if taken is not None:
        taken.name = name
        reached = worst(certificate.measures) <= certificate.tol
        if _inside.get():
            holds(reached)
        elif is_array(reached):
            taken.certified.append(reached)
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
        helps = " ".join(text for text in (solution.advice.get(said, ""), guide("not converged")) if text)
        warn_outside(f"{name}(method={method!r}): {said.message}{what} {helps}")
    found: AnySolution = _settled(solution)
    return found


def _settled(solution: Any) -> Any:
    """The solution with arrays that a lazy library has computed: reading them computes nothing again."""
    if type(solution.x) is np.ndarray or not is_array(solution.x) or hasattr(namespace_of(solution.x), "inside"):
        return solution
    arrays = arrays_in(solution)
    found = settled(*arrays)
    if found[0] is arrays[0]:
        return solution
    ready = iter(found)
    return map_arrays(lambda _: next(ready), solution)


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


def warn_outside(message: str, category: type[Warning] = ConvergenceWarning) -> None:
    """A warning at the first frame outside the package, at any depth of the call."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    warnings.warn_explicit(
        message,
        category,
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


def hollow(tree: Any) -> Any:
    """The same without its arrays, for `map_arrays` to fill."""
    return map_arrays(lambda _: _Hole(), tree)


class _Skeleton:
    """A solution without its arrays: what JAX keeps beside the leaves."""

    def __init__(self, solution: Solution) -> None:
        self.solution = hollow(solution)
        certificate = solution.certificate
        tol = None if is_array(certificate.tol) else certificate.tol
        self._key = (type(solution), solution.method, solution.ended, certificate.name, tol)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Skeleton) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)
