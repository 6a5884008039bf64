"""Histograms and costs as the iterations take them: what they must be, and the messages where they are not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xpsolve.arrays import (
    Array,
    Namespace,
    check_ndim,
    check_positive,
    common_namespace,
    composed,
    device_of,
    enter,
    holds,
    is_array,
    is_concrete,
    lift,
    limits_of,
    namespace_of,
)
from xpsolve.autodiff.levels import Level
from xpsolve.transport._complaints import complain
from xpsolve.transport._kernels import mirrored
from xpsolve.transport._marginals import check_marginal, is_hard, levelled
from xpsolve.transport._rows import Axes, Rows
from xpsolve.transport.geometry import Geometry, Grid, Matrix, ordinary
from xpsolve.transport.points import PointCloud


@dataclass(frozen=True)
class Problem:
    """Histograms and costs, checked and of one dtype."""

    xp: Namespace
    a: Array  # (B, n)
    b: Array  # (B, m)
    geometry: Geometry
    eps: float
    single: bool
    x0: tuple[Array, Array] | None
    unit: float  # the rounding unit of the lowest dtype among a, b and the one that is worked in
    same: bool  # whether a and b are one array, and the points too
    names: tuple[str, str]  # of a and b in messages
    rho: tuple[Any, Any] = (math.inf, math.inf)  # the price of other marginals, see `_marginals`
    marginal: tuple[float, float] = (math.inf, math.inf)  # the same in the units of the arguments
    each: Array | None = None  # ε where it is an array, 0-d or of every problem (B, 1): the unit of all numbers here
    source: Geometry | None = None  # the costs before that
    given: tuple[Array, ...] = ()  # a and b before they were levelled
    shift: Array | None = None  # c, (B, 1): what levelling took from f and added to g

    @property
    def balanced(self) -> bool:
        """Whether both marginals are held exactly."""
        return all(map(is_hard, self.marginal))

    def levelled(self) -> Problem:
        """The same problem with weights of one mass, where marginals may differ from them."""
        if self.balanced:
            return self
        a, b, c = levelled(self.a, self.b, self.rho)
        x0 = None if self.x0 is None else (self.x0[0] - c, self.x0[1] + c)
        return replace(self, a=a, b=b, given=(self.a, self.b), shift=c, x0=x0)

    @cached_property
    def kernel(self) -> Rows | Axes:
        """The cost in the form that iterations take."""
        return self.geometry.kernel()

    @cached_property
    def range(self) -> tuple[Array, Array]:
        """The smallest cost, and the largest in use.

        Potentials as large as costs beyond would have lost half of their digits at ε: what lies there stands for pairs
        that are forbidden, as ∞ does.
        """
        most = self.eps / math.sqrt(limits_of(self.a).eps)
        return self.geometry.bounds() or self.kernel.range(most)  # type: ignore[union-attr]

    @property
    def shares(self) -> bool:
        """Whether all problems have one cost."""
        return len(self.geometry.shape) == 2

    def scalar(self, value: float) -> Array:
        """A 0-d array of the problem's dtype and device."""
        return self.xp.asarray(value, dtype=self.a.dtype, device=device_of(self.a))

    def divided(self) -> tuple[Problem, float]:
        """The same problem in a unit in which ε is an ordinary number, and the unit: a power of 4, which is exact."""
        unit = ordinary(self.eps, self.a)
        if unit == 1:
            return self, unit
        x0 = None if self.x0 is None else tuple(x / unit for x in self.x0)
        geometry, rho = self.geometry.divided(unit), (self.rho[0] / unit, self.rho[1] / unit)
        return replace(self, geometry=geometry, eps=self.eps / unit, x0=x0, rho=rho), unit

    def in_units_of(self, each: Array) -> Problem:
        """The same problem with ε = 1, costs and all else divided by ε, 0-d or one of every problem (B, 1)."""
        if each.ndim:
            each = self.xp.broadcast_to(each, (self.a.shape[0], 1))
        x0 = None if self.x0 is None else (self.x0[0] / each, self.x0[1] / each)
        rho = tuple(r if is_hard(r) else r / each for r in self.rho)
        geometry = self.geometry.divided(each)
        return replace(self, geometry=geometry, eps=1.0, x0=x0, rho=rho, each=each, source=self.geometry)

    def outside(self, values: Array) -> Array:
        """Potentials (B, n), or values (B,), in the units of the arguments, where ε is an array."""
        if self.each is None:
            return values
        return values * (self.each[:, 0] if self.each.ndim > values.ndim else self.each)

    @property
    def given_eps(self) -> Any:
        """ε as it was given."""
        if self.each is None:
            return self.eps
        return self.each[:, 0] if self.each.ndim else self.each

    @cached_property
    def mirrored(self) -> Array | None:
        """Which problems take a histogram onto itself at a symmetric cost, (B, 1); None where none can."""
        (n, m), xp = self.kernel.shape, self.xp
        if self.marginal[0] != self.marginal[1]:
            return None
        if self.same:
            return xp.ones_like(self.a[:, :1]) > 0
        if n != m or self._differentiated:  # derivatives in a alone are not those of a problem that stays symmetric
            return None
        if self.geometry.bounds() is None:
            if not (isinstance(self.kernel, Rows) and self.kernel.holds):
                return None
            low, high = self.range
            slack = limits_of(self.a).eps * (4 * (high - low) + 64 * self.eps)
            return mirrored(self.a, self.b, self.kernel.cost(0, n), slack, self.eps)
        found = mirrored(self.a, self.b, None, None, self.eps)
        if isinstance(self.geometry, PointCloud) and not self.geometry.one_set:
            x, y = self.geometry.x, self.geometry.y
            return found & xp.reshape(xp.all(x == y, axis=(-2, -1)), (-1, 1))
        return found

    @property
    def _differentiated(self) -> bool:
        xp = self.xp
        while hasattr(xp, "inside"):
            if isinstance(xp._interpreter, Level):
                return True
            xp = xp.inside
        return False

    def check(self, values: bool, *, decide: bool) -> tuple[float | None, bool]:
        """Raise for values that cannot be; else the span of the costs and whether some problem is mirrored.

        One host read for all, and none, with nothing known but what needs no values, where neither is asked for.
        """
        xp = self.xp
        traced = not is_concrete(self.a, self.b, *self.geometry.arrays.values())
        if not (values or (decide and not traced)):
            return None, self.mirrored is not None if traced else self.same  # which of them are is found on the way
        low, high = self.range
        sound = None
        if values:
            sound = _sound(self.a, self.b, self.allowed)
            if self.each is not None:
                sound = sound & ~xp.any(self.bad_eps)
            for bad in self.bad_starts():
                sound = sound & ~xp.any(bad)
        if traced:
            holds(sound & xp.isfinite(high - low))
            return None, self.mirrored is not None
        found = float(_in_one_number(high - low, self.mirrored, sound))
        if values and math.isnan(found):
            complain(self)
        return abs(found), math.copysign(1.0, found) < 0

    @property
    def allowed(self) -> float:
        """How much the sums may differ, of the sum of a."""
        return max(1e-12, 100 * self.unit) if self.balanced else math.inf

    @property
    def bad_eps(self) -> Array:
        """Where ε is not a positive number."""
        assert self.each is not None
        return ~((self.each > 0) & self.xp.isfinite(self.each))

    def bad_starts(self) -> list[Array]:
        """Where potentials to start from are not finite although there is mass."""
        weights = (self.a, self.b)
        return [(w > 0) & ~self.xp.isfinite(x) for w, x in zip(weights, self.x0 or (), strict=False)]


@composed
def _in_one_number(span: Array, mirrored: Array | None, sound: Array | None) -> Array:
    """The span, negative where some problem is mirrored, and NaN where the arguments are not sound; 0-d."""
    xp = namespace_of(span)
    if mirrored is not None:
        span = xp.where(xp.any(mirrored), -span, span)
    return span if sound is None else xp.where(sound & xp.isfinite(span), span, xp.full_like(span, xp.nan))


@_in_one_number.register("numpy")
def _in_one_number_numpy(span: Array, mirrored: Array | None, sound: Array | None) -> Array:
    if sound is not None and not (sound and np.isfinite(span)):
        return np.asarray(np.nan)
    return span if mirrored is None or not mirrored.any() else -span


@composed
def _sound(a: Array, b: Array, allowed: float) -> Array:
    """Whether all weights are finite and not negative, and the sums alike and above 0; 0-d."""
    xp = namespace_of(a)
    sums = xp.sum(a, axis=1), xp.sum(b, axis=1)
    balanced = xp.abs(sums[0] - sums[1]) <= allowed * sums[0]  # False for a NaN
    signs = xp.minimum(xp.min(a), xp.min(b)) >= 0
    least = sums[0] if allowed < math.inf else xp.minimum(*sums)
    total = sums[0] if allowed < math.inf else sums[0] + sums[1]
    return xp.all(balanced & (least > 0) & xp.isfinite(total)) & signs


@_sound.register("numpy")
def _sound_numpy(a: Array, b: Array, allowed: float) -> Array:
    if a.shape[0] != 1 or allowed == math.inf:
        return _sound.standard(a, b, allowed)
    left, right = float(a.sum()), float(b.sum())
    balanced = abs(left - right) <= allowed * left and 0 < left < math.inf
    return np.asarray(balanced and a.min() >= 0 and b.min() >= 0)


def geometry_of(M: Any) -> Geometry:
    """A cost as what can make its kernel."""
    return M if isinstance(M, PointCloud | Grid) else Matrix(M)


def enter_problem(
    a: Array,
    b: Array,
    M: Any,
    eps: Any,
    x0: Any = None,
    names: tuple[str, str] = ("a", "b"),
    marginal: Any = math.inf,
) -> Problem:
    """The arguments that all functions of the family share, checked as far as no value is needed."""
    geometry = geometry_of(M)
    if x0 is not None and not (isinstance(x0, tuple | list) and len(x0) == 2):
        message = f"x0: expected a tuple of two arrays, the potentials f and g, got {type(x0).__qualname__}."
        raise TypeError(message)
    start = {} if x0 is None else {"x0[0]": x0[0], "x0[1]": x0[1]}
    same = a is b and geometry.one_set
    if is_array(eps) and is_array(a):
        a = lift(common_namespace(a=a, eps=eps), a)  # ε alone may carry a derivative
    xp, arrays = enter(a=a, b=b, **geometry.arrays, **start)
    units = [_unit(x, arrays[0]) for x in (a, b)]
    a, b, *rest = arrays
    check_ndim(a, "a", 1, 2, shape="(n,) or (batch, n)")
    check_ndim(b, "b", 1, 2, shape="(m,) or (batch, m)")
    several = any(x.ndim == 3 for x in rest[: len(geometry.arrays)])
    geometry = geometry.entered(*rest[: len(geometry.arrays)])
    each, eps = _as_array(xp, eps, geometry, a)
    several = several or (each is not None and each.ndim > 0)
    rho = check_marginal(marginal, eps if each is None else each, a.dtype)
    shape = geometry.shape
    for name, x, length in (("a", a, shape[-2]), ("b", b, shape[-1])):
        if x.shape[-1] != length:
            message = f"{name}: expected {length} weights, as many as M has {'rows' if name == 'a' else 'columns'}, "
            raise ValueError(message + f"got shape {tuple(x.shape)} beside M of shape {shape}.")
    batches = {x.shape[0] for x in (a, b) if x.ndim == 2} | ({shape[0] if len(shape) == 3 else 1} if several else set())
    batches |= set() if each is None else set(each.shape[:1])
    batches -= {1} if len(batches) > 1 else set()
    if len(batches) > 1:
        message = f"a, b, M and eps: expected one number of problems, got {', '.join(map(str, sorted(batches)))}."
        raise ValueError(message)
    batch = batches.pop() if batches else 1
    single = a.ndim == 1 and b.ndim == 1 and not several
    if rho == (math.inf, math.inf):
        a, b = _of_one_mass(xp, a, b, units)
    a, b = (x[None, :] if batch == 1 and x.ndim == 1 else xp.broadcast_to(x, (batch, x.shape[-1])) for x in (a, b))
    if x0 is not None:
        f, g = rest[-2:]
        expected = [(x.shape[-1],) if single else tuple(x.shape) for x in (a, b)]
        if [tuple(f.shape), tuple(g.shape)] != expected:
            message = f"x0: expected potentials of shapes {expected[0]} and {expected[1]}, "
            raise ValueError(message + f"got {tuple(f.shape)} and {tuple(g.shape)}.")
        x0 = (f[None, :], g[None, :]) if single else (f, g)
    same = same and rho[0] == rho[1]
    problem = Problem(xp, a, b, geometry, eps, single, x0, max(units), same, names, rho, rho)
    return problem if each is None else problem.in_units_of(each)


def _as_array(xp: Namespace, eps: Any, geometry: Geometry, like: Array) -> tuple[Array | None, float]:
    """ε as an array beside `like`, 0-d or that of every problem as a column, and 1; None and ε where it is a number."""
    if not is_array(eps):
        return None, check_positive(eps, "eps", dtype=like.dtype)
    check_ndim(eps, "eps", 0, 1, shape="(batch,), or a number")
    if eps.ndim and isinstance(geometry, Grid):
        message = "eps: expected a number for a Grid, whose kernels serve all problems, got an array."
        raise ValueError(message)
    _, (_, eps) = enter(a=like, eps=eps)
    eps = xp.astype(eps, like.dtype)
    return (eps[:, None] if eps.ndim else eps), 1.0


def _unit(x: Array, like: Array) -> float:
    """The rounding unit that the weights came with: that of float32, or of the dtype that is worked in."""
    least = limits_of(like).eps
    return 2.0**-23 if x.dtype != like.dtype and "float32" in str(x.dtype) else least


def _of_one_mass(xp: Namespace, a: Array, b: Array, units: list[float]) -> tuple[Array, Array]:
    """Weights of a lower dtype, whose sums are off by its rounding, scaled to the sum of the others."""
    if max(units) == limits_of(a).eps:
        return a, b
    left, right = xp.sum(a, axis=-1, keepdims=True), xp.sum(b, axis=-1, keepdims=True)
    near = xp.abs(left - right) <= 100 * max(units) * left  # else it is for the check to complain
    one = xp.ones_like(left + right)
    if units[0] >= units[1]:
        return a * xp.where(near, right / xp.where(near, left, one), one), b
    return a, b * xp.where(near, left / xp.where(near, right, one), one)


def widest(xp: Namespace, dtype: Any) -> float:
    """How many ε the costs may span for "scaling": u and v must hold exp of it."""
    return 650.0 if dtype == xp.float64 else 60.0
