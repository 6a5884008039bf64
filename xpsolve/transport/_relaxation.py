"""How far to step: ω of the over-relaxation, from the errors at two checks.

A plain iteration contracts by θ, one with ω < ω* by the larger ρ of Young's relation (ρ + ω − 1)² = ω²ρθ, and one with
ω ≥ ω* = 2/(1 + √(1 − θ)) by ω − 1, which hides θ.  So ω rises to the ω* of the θ that is seen, and comes down where
none is.
"""

from __future__ import annotations

import math

import numpy as np

from xpsolve.arrays import Array, limits_of, namespace_of, native

_PLAIN = 20.0  # iterations before the contraction is believed
_LOCAL = 0.5  # error from which it describes what follows
_GROWTH = 10.0  # of the error between two checks, more than relaxed steps do where they converge
_SLOWEST = 0.9999  # θ at most
_LOST = 1e-3  # trust after ten failures one after another


@native
def control(
    error: Array,
    before: Array,
    omega: Array,
    trust: Array,
    age: Array,
    floor: Array,
    final: Array,
    tol: float,
    every: float,
    fixed: float,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """What to do after a check, for each problem: (ω, trust, age, error, watched error, whether to go back).

    A problem is frozen, ω = 0, if its error is at most `tol`, or falls no more and is at most `floor`, that of
    rounding. With a `tol` below 0 none is frozen. Where the error has grown above rounding, or is a NaN, the last
    good point comes back with plain steps and half the trust in ω. The watched error is 0 for a frozen problem, half
    of `tol` if it does so above `tol`, and NaN for one that fails again and again.
    """
    xp = namespace_of(error)
    one, zero = xp.ones_like(error), xp.zeros_like(error)
    back = ~(error <= xp.maximum(_GROWTH * before, floor * one))
    trust = xp.where(back, trust / 2, xp.minimum(1.2 * trust, one))
    age = xp.where(back, zero, age + every)

    least = limits_of(error).smallest_normal * one
    rho = xp.maximum(xp.minimum((error / xp.maximum(before, least)) ** (1 / every), _SLOWEST * one), least)
    step = xp.maximum(omega, one)
    theta = xp.minimum((rho + step - 1) ** 2 / (step**2 * rho), _SLOWEST * one)
    short = 2 - step  # of 2, where every error would stay
    shown = rho > 1 - 0.9 * short
    short = xp.where(shown, xp.maximum(2 - 2 / (1 + xp.sqrt(1 - theta)), 0.7 * short), 1.5 * short)
    chosen = xp.maximum(1 + trust * (1 - short), one)
    chosen = xp.where((age >= _PLAIN) & (error < _LOCAL), chosen, one)
    chosen = fixed * one if fixed > 0 else chosen

    stalled = (error <= floor) & (error > 0.7 * before) & (tol > 0)
    rests = (((error <= tol) | stalled) & final) | (omega == 0)
    error = xp.where(back, before, error)
    ended = xp.where(error <= tol, zero, tol / 2 * one)
    watched = xp.where(rests, ended, xp.where(trust > _LOST, error, xp.full_like(error, xp.nan)))
    return xp.where(rests, zero, chosen), trust, age, error, watched, back


@control.register("numpy")
def _control_numpy(
    error: Array,
    before: Array,
    omega: Array,
    trust: Array,
    age: Array,
    floor: Array,
    final: Array,
    tol: float,
    every: float,
    fixed: float,
) -> tuple[Array, ...]:
    if error.shape != (1, 1):
        return control.standard(  # type: ignore[no-any-return]
            error, before, omega, trust, age, floor, final, tol, every, fixed
        )
    e, b, w, t, limit = error.item(), before.item(), omega.item(), trust.item(), floor.item()
    least = limits_of(error).smallest_normal
    back = not e <= max(_GROWTH * b, limit)
    t = t / 2 if back else min(1.2 * t, 1.0)
    since = 0.0 if back else age.item() + every
    chosen = fixed
    if fixed <= 0:
        chosen = 1.0
        if since >= _PLAIN and e < _LOCAL:
            rho, step = max(min((e / max(b, least)) ** (1 / every), _SLOWEST), least), max(w, 1.0)
            theta = min((rho + step - 1) ** 2 / (step**2 * rho), _SLOWEST)
            short = 2 - step
            shown = rho > 1 - 0.9 * short
            short = max(2 - 2 / (1 + math.sqrt(1 - theta)), 0.7 * short) if shown else 1.5 * short
            chosen = max(1 + t * (1 - short), 1.0)
    stalled = e <= limit and e > 0.7 * b and tol > 0
    rests = ((e <= tol or stalled) and bool(final)) or w == 0
    e = b if back else e
    watched = (0.0 if e <= tol else tol / 2) if rests else e if t > _LOST else math.nan
    row = np.asarray([[0.0 if rests else chosen, t, since, e, watched]], error.dtype)
    return row[:, 0:1], row[:, 1:2], row[:, 2:3], row[:, 3:4], row[:, 4:5], np.asarray([[back]])


@control.register("cupy")
def _control_cupy(
    error: Array,
    before: Array,
    omega: Array,
    trust: Array,
    age: Array,
    floor: Array,
    final: Array,
    tol: float,
    every: float,
    fixed: float,
) -> tuple[Array, ...]:
    import cupy

    source = f"""
    worse = !(b == b && e <= max(T({_GROWTH}) * b, f));
    t2 = worse ? t / 2 : min(T(1.2) * t, T(1));
    g2 = worse ? T(0) : g + every;
    T rho = max(min(pow(e / max(b, least), 1 / every), T({_SLOWEST})), least);
    T w1 = max(w, T(1)), y = rho + w1 - 1;
    T theta = min(y * y / (w1 * w1 * rho), T({_SLOWEST}));
    T s = 2 - w1;
    s = rho > 1 - T(0.9) * s ? max(2 - 2 / (1 + sqrt(1 - theta)), T(0.7) * s) : T(1.5) * s;
    T c = g2 >= T({_PLAIN}) && e < T({_LOCAL}) ? max(1 + t2 * (1 - s), T(1)) : T(1);
    if (fixed > 0) c = fixed;
    bool rests = ((e <= tol || (e <= f && e > T(0.7) * b && tol > 0)) && last) || w == 0;
    e2 = worse ? b : e;
    seen = rests ? (e2 <= tol ? T(0) : tol / 2) : (t2 > T({_LOST}) ? e2 : T(nan("")));
    w2 = rests ? T(0) : c;
    """
    kernel = cupy.ElementwiseKernel(
        "T e, T b, T w, T t, T g, T f, bool last, T tol, T every, T fixed, T least",
        "T w2, T t2, T g2, T e2, T seen, bool worse",
        source,
        "xpsolve_control",
    )
    least = float(cupy.finfo(error.dtype).tiny)
    return tuple(kernel(error, before, omega, trust, age, floor, final, tol, every, fixed, least))
