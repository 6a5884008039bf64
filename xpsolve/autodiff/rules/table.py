"""The tables of rules, and what rules share.  One rule per function is used by forward and reverse mode.

A rule is the linear map that a function is near its arguments.  It comes in two forms:

elementwise
    ∂z/∂x for each argument, once: forward multiplies a tangent by it, reverse a gradient.
general
    for each argument its `Map`: ``push`` takes a tangent of the argument to one of the result (or of each of many
    results), ``pull`` is its transpose.

Complex numbers follow the convention of JAX: the gradient g of a real function f(z) has df = Re Σ g dz, which is
g = ∂f/∂x − i ∂f/∂y for z = x + iy.  `pull` is therefore a transpose without conjugation, and holomorphic functions need
no case of their own.  `hermitian` makes such a `pull` of the adjoint in the inner product Re Σ z̄w of the textbooks.

0 · ∞ = 0: what a result does not depend on contributes nothing, even where its own derivative is infinite or NaN.
Forward mode takes this for functions that are finite where their derivative is not (`Pole`), reverse mode also for all
that lies before a choice of entries (``masks=True``): ``where(x > 0, log(x), 0)`` has the derivative 0 for x < 0.

A tangent or gradient may have leading axes for many seeds before those of its array.  Rules therefore count axes from
the end.  What a rule computes with are arrays of the level inside, which may carry derivatives themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array, Namespace, conjugate, kind_of, namespace_of, native


class Pole(NamedTuple):
    """∂z/∂x_i of a function that is finite where it has no finite derivative, as √x at 0: forward mode has 0·∞ = 0."""

    partial: Callable[..., Array]
    everywhere_finite: Callable[..., bool] = lambda *arguments: False

    def __call__(self, xp: Namespace, z: Array, *arguments: Any) -> Array:
        """∂z/∂x_i."""
        return self.partial(xp, z, *arguments)

    def times(self, xp: Namespace, t: Array, z: Array, *arguments: Any) -> Array:
        """A tangent t times ∂z/∂x_i."""
        if self.everywhere_finite(*arguments):
            return t * self(xp, z, *arguments)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return passed(xp, t, self(xp, z, *arguments))


class Choice(NamedTuple):
    """∂z/∂x_i of a function that takes one of its arguments, as their maximum: 0 for the others."""

    partial: Callable[..., Array]

    def times(self, xp: Namespace, t: Array, z: Array, *arguments: Any) -> Array:
        """A tangent or gradient t times ∂z/∂x_i, with ∞·0 = 0."""
        d = self.partial(xp, z, *arguments)
        return xp.where(d == 0, 0.0, t * d)

    def __call__(self, xp: Namespace, z: Array, *arguments: Any) -> Array:
        """∂z/∂x_i."""
        return self.partial(xp, z, *arguments)


Partial = Callable[..., Array] | int | Pole | Choice
"""(xp, z, *arguments) to ∂z/∂x_i; or the number 1 or −1; 0 stands for an argument that is never followed."""


class Map(NamedTuple):
    """A linear map and its transpose.

    Parameters
    ----------
    push : callable
        A tangent of the argument to one of the result, or to a tuple of them for many results.
    pull : callable
        A gradient of the result, or a tuple of them (None where there is none), to one of the argument.

    Examples
    --------
    >>> from xpsolve.autodiff.rules import Map
    >>> Map(push=lambda t: 2 * t, pull=lambda g: 2 * g).pull(3)
    6
    """

    push: Callable[[Any], Any]
    pull: Callable[[Any], Any]


UNUSED = Map(lambda t: None, lambda g: None)
"""For arguments used only for shape and dtype."""


class Joint(NamedTuple):
    """The same for all arguments together, where they are many: tangents by position to the tangent of the result."""

    push: Callable[[dict[int, Array]], Array]
    pull: Callable[[int, Array], Array]


Rule = Callable[..., Sequence[Map | None] | Joint]
"""(xp, result, *arguments) to the map of each argument; None where an argument is never followed."""

ELEMENTWISE: dict[str, tuple[Partial, ...]] = {}
RULES: dict[str, Rule] = {}
BY_SHAPE: set[str] = set()
"""Functions whose rule uses shapes and dtypes only, so that reverse mode keeps no values for it."""
MASKS: set[str] = set()
"""Functions whose result does not depend on some entries of their argument: gradients have zeros there."""
SQUARES: dict[str, Callable[..., Array | None]] = {}
"""Norms, which have no derivative at 0, to (xp, *arguments) ↦ their square as a sum, which has; or None."""

CONSTANT = frozenset(
    "zeros_like ones_like empty_like zeros ones empty eye all any argmax argmin argsort count_nonzero "
    "equal not_equal less less_equal greater greater_equal isfinite isinf isnan signbit logical_and logical_or "
    "logical_xor logical_not searchsorted nonzero isin bitwise_and bitwise_or bitwise_xor bitwise_invert "
    "bitwise_left_shift bitwise_right_shift largest sparse_column_sizes sparse_gram sparse_rows dense_rows "
    "linalg.matrix_rank floor ceil round trunc floor_divide".split()
)
"""Results that are integers or booleans, or piecewise constant: their derivative is 0 wherever there is one."""


class NoRuleError(NotImplementedError):
    """A derivative was requested of a function that has no rule."""


def elementwise(name: str, *partials: Partial) -> None:
    """Add the derivatives of an elementwise function z = f(x_1, x_2, …).

    Parameters
    ----------
    name : str
        What the function is called: in its namespace, or as a delegate of `xpsolve.arrays.native`.
    *partials : callable, int, Pole or Choice
        ∂z/∂x_i for each argument, as functions of (xp, z, *arguments); or 1 or −1.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> from xpsolve.arrays import native
    >>> @native
    ... def cube(x):
    ...     return x * x * x
    >>> autodiff.rules.define_elementwise("cube", lambda xp, z, x: 3 * x * x)
    >>> autodiff.grad(cube)(np.asarray(2.0))
    array(12.)
    """
    ELEMENTWISE[name] = partials


def rule(*names: str, by_shape: bool = False, masks: bool = False) -> Callable[[Rule], Rule]:
    """Decorate a rule: a function of (xp, result, *arguments) that returns the map of each argument.

    Parameters
    ----------
    *names : str
        The functions that it belongs to, as "sum" or "linalg.solve", or a delegate of `xpsolve.arrays.native`.
    by_shape : bool
        Whether it uses shapes and dtypes only: then the tape keeps no values for it.
    masks : bool
        Whether the gradient of an argument has zeros for entries that the result does not depend on.

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> from xpsolve.arrays import native
    >>> @native
    ... def doubled(x):
    ...     return x + x
    >>> @autodiff.rules.rule("doubled", by_shape=True)
    ... def _(xp, out, x):
    ...     return [autodiff.rules.Map(lambda t: 2 * t, lambda g: 2 * g)]
    >>> autodiff.grad(lambda x: doubled(x) @ x)(np.asarray([1.0, 2.0]))
    array([4., 8.])
    """

    def note(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        if by_shape:
            BY_SHAPE.update(names)
        if masks:
            MASKS.update(names)
        return function

    return note


def seeds(t: Array, x: Array) -> tuple[int, ...]:
    """The leading axes of a tangent or gradient `t` of `x`."""
    return tuple(t.shape[: t.ndim - x.ndim])


def negative(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the end; None is all of them."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(int(a) if a < 0 else int(a) - ndim for a in axes)


def aligned(xp: Namespace, t: Array, ndim: int, out_ndim: int) -> Array:
    """A tangent of an array with `ndim` axes, with axes of length 1 after its seeds to broadcast as the array does."""
    lead = t.ndim - ndim
    if not lead or ndim == out_ndim:
        return t
    return xp.reshape(t, (*t.shape[:lead], *(1,) * (out_ndim - ndim), *t.shape[lead:]))


def stretched(xp: Namespace, t: Array, x: Array, out: Array) -> Array:
    """A tangent of `x` broadcast to one of `out`."""
    return xp.broadcast_to(aligned(xp, t, x.ndim, out.ndim), (*seeds(t, x), *out.shape))


def unbroadcast(xp: Namespace, g: Array, shape: tuple[int, ...], lead: int) -> Array:
    """The transpose of broadcasting from `shape`: sums over the axes that were stretched."""
    extra = g.ndim - lead - len(shape)
    longer = [lead + extra + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + extra + i] != 1]
    axes = (*range(lead, lead + extra), *longer)
    if axes:
        g = xp.sum(g, axis=axes)
    wanted = (*g.shape[:lead], *shape)
    return g if tuple(g.shape) == wanted else xp.reshape(g, wanted)


def as_number(xp: Namespace, holds: Array, like: Array) -> Array:
    """A condition as 1 and 0 in the dtype of `like`."""
    return xp.astype(holds, like.dtype)


def signs(xp: Namespace, x: Array) -> Array:
    """−1, 0 or 1 (compat's `sign` for CuPy reads back to the host)."""
    return as_number(xp, x > 0, x) - as_number(xp, x < 0, x)


def inverse_or_zero(xp: Namespace, x: Array) -> Array:
    """1/x, and 0 where x is 0."""
    zero = x == 0
    return xp.where(zero, xp.zeros_like(x), 1 / xp.where(zero, xp.ones_like(x), x))


@native
def quotient_or_zero(x: Array, r: Array) -> Array:
    """x/r, and 0 where r is 0: a subgradient of a norm r.  Its own derivative is infinite there, and not 0."""
    return x * inverse_or_zero(namespace_of(x), r)


elementwise("quotient_or_zero", lambda xp, z, x, r: 1 / r, lambda xp, z, x, r: -z / r)


def fitted_dtype(xp: Namespace, t: Array, dtype: Any) -> Array:
    """A tangent or gradient in the dtype of its array."""
    if kind_of(xp, t.dtype) == "complex" and kind_of(xp, dtype) == "real":
        t = xp.real(t)
    return t if t.dtype == dtype else xp.astype(t, dtype)


def passed(xp: Namespace, t: Array, d: Array) -> Array:
    """t·d with 0·∞ = 0; what depends on t keeps its derivative."""
    c = t * d
    return xp.where((t == 0) & xp.isnan(c), 0.0, c)


def stopped(xp: Namespace, t: Array, d: Array) -> Array:
    """The same of arrays that carry no derivatives, faster."""
    return xp.where(t == 0, 0.0, t * d)


def hermitian(xp: Namespace, pull: Callable[[Any], Array]) -> Callable[[Any], Array]:
    """The transpose without conjugation, from the adjoint in the inner product Re Σ z̄w."""

    def transposed(g: Any) -> Array:
        many = isinstance(g, tuple | list)
        conjugated = [None if part is None else conjugate(part) for part in (g if many else (g,))]
        return conjugate(pull(conjugated if many else conjugated[0]))

    return transposed


def same(x: Any) -> Any:
    """The identity."""
    return x
