"""Conjugate gradients for Hu = b with H symmetric and definite, and a preconditioner (Golub & Van Loan 2013, §11.5).

    q = Hp,  α = ρ/⟨p, q⟩,  u ← u + αp,  r ← r − αq,  z = M⁻¹r,  ρ′ = ⟨r, z⟩,  p ← z + (ρ′/ρ)p

This is the step alone: who calls it knows when to check, and what to compare with a tolerance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from xpsolve.arrays.namespace import Array, namespace_of
from xpsolve.arrays.precision import limits_of

Map = Callable[[Array], Array]


class Conjugate(NamedTuple):
    """The state of one system, or of several with steps of their own."""

    u: Array
    r: Array  # b − Hu, as the steps update it
    p: Array  # the direction
    rho: Array  # ⟨r, M⁻¹r⟩


def conjugate_start(b: Array, inner: Callable[[Array, Array], Array], precondition: Map | None = None) -> Conjugate:
    """The state at u = 0."""
    z = b if precondition is None else precondition(b)
    return Conjugate(namespace_of(b).zeros_like(b), b, z, inner(b, z))


def conjugate_step(
    product: Map,
    s: Conjugate,
    inner: Callable[[Array, Array], Array],
    least: Array,
    precondition: Map | None = None,
) -> Conjugate:
    """The next state; systems whose ρ is at most `least` stay: a residual that is rounding has no direction.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.arrays.conjugate_gradient import conjugate_start, conjugate_step
    >>> H, b = np.asarray([[2.0, 1.0], [1.0, 2.0]]), np.asarray([3.0, 0.0])
    >>> s = conjugate_start(b, np.vdot)
    >>> for _ in range(2):
    ...     s = conjugate_step(lambda v: H @ v, s, np.vdot, np.asarray(0.0))
    >>> s.u.round(12)
    array([ 2., -1.])
    """
    xp = namespace_of(s.rho)
    q = product(s.p)
    curvature = inner(s.p, q)
    infinite, alive = xp.full_like(s.rho, xp.inf), s.rho > least
    curved = xp.abs(curvature) > limits_of(curvature).smallest_normal
    alpha = s.rho / xp.where(alive & curved, curvature, infinite)
    r = s.r - alpha * q
    z = r if precondition is None else precondition(r)
    rho = inner(r, z)
    return Conjugate(s.u + alpha * s.p, r, z + rho / xp.where(alive, s.rho, infinite) * s.p, rho)
