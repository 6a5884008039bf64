"""Histograms and costs inside the door: what they must be, and what is said where they are not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from xpsolve.arrays import Array, Namespace, check_ndim, device_of, enter, is_concrete
from xpsolve.transport._kernels import Axes, Rows
from xpsolve.transport.geometry import Geometry, Grid, Matrix, PointCloud


@dataclass(frozen=True)
class Problem:
    """Histograms and costs inside the door."""

    xp: Namespace
    a: Array  # (B, n)
    b: Array  # (B, m)
    geometry: Geometry
    eps: float
    single: bool
    init: tuple[Array, Array] | None

    @cached_property
    def kernel(self) -> Rows | Axes:
        """The cost in the form that iterations take."""
        return self.geometry.kernel()

    @cached_property
    def range(self) -> tuple[Array, Array]:
        """Smallest and largest cost."""
        return self.geometry.range()

    @property
    def shares(self) -> bool:
        """Whether all problems have one cost."""
        return not isinstance(self.geometry, Matrix) or self.geometry.M.ndim == 2

    def scalar(self, value: float) -> Array:
        """A 0-d array of the problem's dtype and device."""
        return self.xp.asarray(value, dtype=self.a.dtype, device=device_of(self.a))

    def check(self, values: bool, *, decide: bool) -> float | None:
        """Raise for values that cannot be; the span of the costs, where the method depends on it.  One host read."""
        xp = self.xp
        if not is_concrete(self.a, self.b, *self.geometry.arrays.values()) or not (values or decide):
            return None
        low, high = self.range
        span = high - low
        if values:
            sums = xp.sum(self.a, axis=1), xp.sum(self.b, axis=1)
            balanced = xp.abs(sums[0] - sums[1]) <= self._allowed * sums[0]  # False for a NaN
            signs = xp.minimum(xp.min(self.a), xp.min(self.b)) >= 0
            sound = xp.all(balanced & (sums[0] > 0) & xp.isfinite(sums[0])) & signs & xp.isfinite(span)
            span = xp.where(sound, span, xp.full_like(span, xp.nan))
        found = float(span)
        if values and not found >= 0:
            self._complain()
        return found

    @property
    def _allowed(self) -> float:
        return max(1e-12, 100 * float(self.xp.finfo(self.a.dtype).eps))

    def _complain(self) -> None:
        """Say what is wrong: the slow path, with reads of its own."""
        xp = self.xp
        weights = {"a": self.a, "b": self.b}
        for name, x in (weights | self.geometry.arrays).items():
            if not bool(xp.all(xp.isfinite(x))):
                count = int(xp.sum(xp.astype(~xp.isfinite(x), x.dtype)))
                message = f"{name}: expected finite numbers, got {count} NaN or infinite. Remove or replace them first."
                raise ValueError(message)
        for name, x in weights.items():
            if float(xp.min(x)) < 0:
                message = (
                    f"{name}: expected weights >= 0, got {float(xp.min(x)):.3g}. A histogram has no negative mass."
                )
                raise ValueError(message)
        for k in range(self.a.shape[0]):
            left, right = float(xp.sum(self.a[k, :])), float(xp.sum(self.b[k, :]))
            where = "" if self.single else f" in problem {k}"
            if left == 0 or right == 0:
                message = f"{'a' if left == 0 else 'b'}: expected some mass, got weights that are all 0{where}."
                raise ValueError(message)
            if not abs(left - right) <= self._allowed * left:
                message = (
                    f"a and b: expected the same sum, got {left:.10g} and {right:.10g}{where}, a difference of "
                    f"{left - right:.3g}. Divide each by its sum."
                )
                raise ValueError(message)
        message = "M: expected costs whose span can be represented in their dtype. Scale M and eps down."
        raise ValueError(message)


def geometry_of(M: Any) -> Geometry:
    """A cost as what can make its kernel."""
    return M if isinstance(M, PointCloud | Grid) else Matrix(M)


def enter_problem(a: Array, b: Array, M: Any, eps: float, init: tuple[Array, Array] | None = None) -> Problem:
    """The public door of the family."""
    geometry = geometry_of(M)
    start = {} if init is None else {"init[0]": init[0], "init[1]": init[1]}
    xp, arrays = enter(a=a, b=b, **geometry.arrays, **start)
    a, b, *rest = arrays
    check_ndim(a, "a", 1, 2, shape="(n,) or (batch, n)")
    check_ndim(b, "b", 1, 2, shape="(m,) or (batch, m)")
    geometry = geometry.entered(*rest[: len(geometry.arrays)])
    shape = tuple(geometry.M.shape) if isinstance(geometry, Matrix) else geometry.kernel().shape
    for name, x, length in (("a", a, shape[-2]), ("b", b, shape[-1])):
        if x.shape[-1] != length:
            message = f"{name}: expected {length} weights, as many as M has {'rows' if name == 'a' else 'columns'}, "
            raise ValueError(message + f"got shape {tuple(x.shape)} beside M of shape {shape}.")
    batches = {x.shape[0] for x in (a, b) if x.ndim == 2} | ({shape[0]} if len(shape) == 3 else set())
    batches -= {1} if len(batches) > 1 else set()
    if len(batches) > 1:
        message = f"a, b and M: expected one number of problems, got {', '.join(map(str, sorted(batches)))}."
        raise ValueError(message)
    batch = batches.pop() if batches else 1
    single = a.ndim == 1 and b.ndim == 1 and len(shape) == 2
    a, b = (xp.broadcast_to(x, (batch, x.shape[-1])) for x in (a, b))
    if init is not None:
        f, g = rest[-2:]
        expected = [(x.shape[-1],) if single else tuple(x.shape) for x in (a, b)]
        if [tuple(f.shape), tuple(g.shape)] != expected:
            message = f"init: expected potentials of shapes {expected[0]} and {expected[1]}, "
            raise ValueError(message + f"got {tuple(f.shape)} and {tuple(g.shape)}.")
        init = (f[None, :], g[None, :]) if single else (f, g)
    return Problem(xp, a, b, geometry, float(eps), single, init)


def widest(xp: Namespace, dtype: Any) -> float:
    """How many ε the costs may span for "scaling": u and v must hold exp of it."""
    return 650.0 if dtype == xp.float64 else 60.0
