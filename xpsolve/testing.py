"""Assertions for tests of array-API code, ours and our users': values, library, dtype and device."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xpsolve.arrays import Array, device_of, innermost, is_array, library, namespace_of
from xpsolve.arrays.backends import to_numpy
from xpsolve.costs import Cost
from xpsolve.operators import dot_test
from xpsolve.solution import Solution, Status
from xpsolve.trace.count import Tally

__all__ = ["assert_close", "assert_like", "check_cost", "check_solution", "dot_test", "slope_test"]


def assert_like(x: Any, like: Array) -> None:
    """Assert that `x` is an array of the library, dtype and device of `like`.

    Parameters
    ----------
    x : object
        What came out.
    like : array
        What went in.

    Raises
    ------
    AssertionError
        If it is not an array, or differs in library, dtype or device.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.testing import assert_like
    >>> assert_like(np.ones(2), np.zeros(3))
    """
    assert is_array(x), f"expected an array, got {type(x).__qualname__}"
    found, wanted = library(namespace_of(x)), library(namespace_of(like))
    assert found == wanted, f"expected an array of {wanted}, got one of {found}"
    assert x.dtype == like.dtype, f"expected dtype {like.dtype}, got {x.dtype}"
    assert device_of(x) == device_of(like), f"expected device {device_of(like)}, got {device_of(x)}"


def assert_close(
    actual: Any, desired: Any, *, rtol: float | None = None, atol: float = 0.0, like: Array | None = None
) -> None:
    """Assert that two arrays have the same shape and close values, and that `actual` is where it should be.

    Parameters
    ----------
    actual : array
        What came out, on any backend.
    desired : array or nested lists
        What should have come, on any backend.
    rtol : float, optional
        Allowed difference relative to the largest entry of `desired`; None is 4·√eps of the dtype of `actual`.
    atol : float
        Allowed absolute difference, added to that.
    like : array, optional
        If given, `actual` must have its library, dtype and device (see `assert_like`).

    Raises
    ------
    AssertionError
        If a shape, value, library, dtype or device differs.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.testing import assert_close
    >>> assert_close(np.asarray([1.0, 2.0 + 1e-12]), [1.0, 2.0])
    """
    if like is not None:
        assert_like(actual, like)
    a, d = (np.asarray(to_numpy(innermost(x))) for x in (actual, desired))
    a, d = (x.astype(np.complex128 if np.iscomplexobj(x) else np.float64) for x in (a, d))
    assert a.shape == d.shape, f"expected shape {d.shape}, got {a.shape}"
    if rtol is None:
        rtol = 4 * math.sqrt(float(np.finfo(np.float32 if "32" in str(actual.dtype) else np.float64).eps))
    allowed = atol + rtol * (float(np.max(np.abs(d))) if d.size else 0.0)
    finite = np.array_equal(np.isfinite(a), np.isfinite(d))
    difference = float(np.max(np.abs(np.nan_to_num(a) - np.nan_to_num(d)))) if finite and d.size else 0.0
    assert finite, "expected the same entries to be finite"
    assert difference <= allowed, f"largest difference {difference:.3e}, allowed {allowed:.3e}"


def slope_test(
    f: Callable[[Array], Array], derivative: Callable[[Array], Array], x: Array, *, seed: int = 0, band: float = 0.2
) -> float:
    """Test a derivative by Taylor's theorem: ‖f(x + hv) − f(x) − h·f′(x)v‖ falls as h².

    Parameters
    ----------
    f : callable
        Array to array.
    derivative : callable
        v to f′(x)v, the directional derivative at `x`.
    x : array
        Where; float64, so that the slope can be seen above rounding.
    seed : int
        Of the direction v, drawn on the host.
    band : float
        Allowed distance of the fitted slope from 2; a remainder at rounding level (f is linear) passes.

    Returns
    -------
    float
        The slope fitted to log remainder against log h, inf where the remainder is rounding.

    Raises
    ------
    AssertionError
        If the slope is off: the derivative is wrong (slope 1), or f is not smooth at x.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve.testing import slope_test
    >>> x = np.asarray([1.0, 2.0])
    >>> round(slope_test(np.exp, lambda v: np.exp(x) * v, x), 1)
    2.0
    """
    xp = namespace_of(x)
    host = np.random.default_rng(seed).standard_normal(x.shape)
    v = xp.asarray(host, dtype=x.dtype, device=device_of(x))
    fx, slope = to_numpy(f(x)), to_numpy(derivative(v))
    sizes = 2.0 ** -np.arange(4, 12)
    remainders = np.asarray([np.linalg.norm(to_numpy(f(x + h * v)) - fx - h * slope) for h in sizes])
    noise = 1e-13 * max(float(np.linalg.norm(fx)), float(np.linalg.norm(slope)))
    seen = remainders > 10 * noise
    if seen.sum() < 3:
        return math.inf
    fitted = float(np.polyfit(np.log(sizes[seen]), np.log(remainders[seen]), 1)[0])
    assert abs(fitted - 2) <= band, f"the remainder falls as h^{fitted:.2f}, expected h^2: check the derivative"
    return fitted


def check_cost(tally: Tally, cost: Cost) -> None:
    """Assert that what was counted is what a cost states: flops of products and host reads exactly, launches at most.

    Parameters
    ----------
    tally : Tally
        From `xpsolve.count`.
    cost : Cost
        Of the same call.  It may state a fifth more launches than there are at most.

    Raises
    ------
    AssertionError
        If flops or host reads differ, or the launches are not as stated.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> from xpsolve.testing import check_cost
    >>> A, y = np.eye(3, 2), np.ones(3)
    >>> solution, tally = xs.count(xs.ridge, A, y, 0.1, method="normal", check_finite=False)
    >>> check_cost(tally, xs.costs.ridge(3, 2))
    """
    found, stated = (tally.product_flops, tally.syncs), (cost.flops, cost.syncs)
    assert found == stated, f"expected {stated[0]} flops and {stated[1]} host reads, counted {found[0]} and {found[1]}"
    least = 0.8 * cost.launches
    assert least <= tally.launches <= cost.launches, f"expected ≤ {cost.launches} launches, counted {tally.launches}"


def check_solution(solution: Solution, *, like: Array, shape: tuple[int, ...] | None = None) -> None:
    """Assert what every `Solution` must satisfy.

    Parameters
    ----------
    solution : Solution
        What a solver returned.
    like : array
        An input: the answer must have its library, dtype and device.
    shape : tuple of int, optional
        The shape that `x` must have.

    Raises
    ------
    AssertionError
        If library, dtype or device differ, the answer is converged but not finite, or its certificate and status
        contradict each other.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> from xpsolve.testing import check_solution
    >>> A, y = np.eye(2), np.ones(2)
    >>> check_solution(xs.ridge(A, y, 1.0), like=A, shape=(2,))
    """
    assert_like(solution.x, like)
    if shape is not None:
        assert tuple(solution.x.shape) == shape, f"expected x of shape {shape}, got {tuple(solution.x.shape)}"
    assert solution.method
    assert solution.method != "auto"
    assert isinstance(solution.status, Status)
    assert solution.status.message.endswith(".")
    assert solution.certificate.name
    assert solution.certificate.tol > 0
    value = solution.certificate.value
    if solution.converged:
        assert 0 <= value <= solution.certificate.tol, f"converged with certificate {value:.2e}"
        assert bool(np.all(np.isfinite(to_numpy(solution.x)))), "converged with a value that is not finite"
