"""Second derivatives by one mode over the other."""

from __future__ import annotations

from typing import Any

from xpsolve.autodiff.arguments import Function, floating_arrays, same_arrays, with_numbers
from xpsolve.autodiff.forward import jvp
from xpsolve.autodiff.reverse import grad


def hvp(f: Function, x: Any, v: Any) -> Any:
    """The Hessian of f at x times v: the derivative of the gradient in the direction v, forward over reverse.

    Parameters
    ----------
    f : callable
        Array-API code that returns a 0-d array.
    x : array, or a structure of arrays
        Where.
    v : of the structure and shapes of `x`
        The direction.

    Returns
    -------
    array, or a structure of arrays
        ∇²f(x)·v.

    Raises
    ------
    TypeError, ValueError
        As `grad` and `jvp`.

    References
    ----------
    B. A. Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> autodiff.hvp(lambda x: (x @ x) ** 2, np.asarray([1.0, 0.0]), np.asarray([1.0, 1.0]))
    array([12.,  4.])
    """
    (x,) = with_numbers([x], (0,))
    (v,) = with_numbers([v], (0,), x)
    same_arrays(v, floating_arrays(x, "x"), "v", "x")
    return jvp(grad(f), (x,), (v,))[1]
