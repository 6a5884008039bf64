"""Functions of symmetric matrices, f(A) = V f(Λ) Vᴴ for A = V Λ Vᴴ, with their derivative at equal eigenvalues too.

    Ḟ = V (D ∘ VᴴȦV) Vᴴ,    D_ij = (f(λ_i) − f(λ_j))/(λ_i − λ_j) = ∫₀¹ f′(λ_j + s(λ_i − λ_j)) ds

The derivatives of eigenvectors have the poles 1/(λ_i − λ_j), which cancel here: D is finite where f is smooth.  Where
the quotient would lose its digits the integral is taken, by Gauss's rule with three nodes.

Source: Ju. L. Daleckii and S. G. Krein (1951); N. J. Higham, Functions of Matrices (2008), theorem 3.11.
"""

from __future__ import annotations

import math

import numpy as np

from xpsolve.arrays import Array, Namespace, adjoint, is_array, namespace_of, native
from xpsolve.autodiff.arguments import Function, check_function
from xpsolve.autodiff.forward import jvp
from xpsolve.autodiff.levels import below
from xpsolve.autodiff.rules.decompositions import symmetric
from xpsolve.autodiff.rules.table import Map, hermitian, passed, rule

_GAUSS = ((0.5, 4 / 9), (0.5 - math.sqrt(0.15), 5 / 18), (0.5 + math.sqrt(0.15), 5 / 18))


def symmetric_function(f: Function, A: Array) -> Array:
    """f(A) = V diag(f(λ)) Vᴴ of a symmetric or Hermitian matrix A = V diag(λ) Vᴴ.

    With ``xp.sqrt``, ``xp.exp`` or ``xp.log`` it is the square root, exponential or logarithm of the matrix.

    Parameters
    ----------
    f : callable
        Array-API code that takes an array of eigenvalues and returns one of its shape, entry by entry.
    A : array, shape (…, n, n)
        Matrices; floating.  Their symmetric (Hermitian) part is taken.

    Returns
    -------
    array, shape (…, n, n)
        f(A), symmetric (Hermitian).

    Raises
    ------
    TypeError
        If f cannot be called, A is not a floating array, or f carries derivatives of its own, from outside.
    ValueError
        If A is not a matrix or stack of square matrices, or f changes the shape.

    Notes
    -----
    The first derivative is right at equal eigenvalues, where that through `eigh` is NaN; its own derivatives need
    different eigenvalues, and are NaN otherwise.

    References
    ----------
    N. J. Higham, Functions of Matrices (2008), theorem 3.11.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import autodiff
    >>> A = 4 * np.eye(2)
    >>> autodiff.symmetric_function(np.sqrt, A)
    array([[2., 0.],
           [0., 2.]])
    >>> off = lambda A: autodiff.symmetric_function(lambda w: w**0.5, A)[0, 1]
    >>> autodiff.grad(off)(A)
    array([[0.   , 0.125],
           [0.125, 0.   ]])
    """
    check_function(f)
    if not is_array(A):
        message = f"A: expected an array, got {type(A).__qualname__}."
        raise TypeError(message)
    xp = namespace_of(A)
    if not xp.isdtype(A.dtype, ("real floating", "complex floating")):
        message = f"A: expected an array of a floating dtype, got {A.dtype}. Convert it with astype."
        raise TypeError(message)
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        message = f"A: expected shape (…, n, n), got shape {tuple(A.shape)}."
        raise ValueError(message)
    found: Array = spectral(symmetric(xp, A), f)
    return found


@native
def spectral(A: Array, f: Function) -> Array:
    """V f(λ) Vᴴ of a symmetric or Hermitian A."""
    xp = namespace_of(A)
    w, V = xp.linalg.eigh(A)
    return (V * _values(f, w)[..., None, :]) @ adjoint(V)


def _values(f: Function, w: Array) -> Array:
    y = f(w)
    if not is_array(y) or namespace_of(y) is not namespace_of(w):
        message = (
            f"f: expected a function that returns an array of the library of A, and closes over no array that carries "
            f"a derivative; got {type(y).__qualname__}."
        )
        raise TypeError(message)
    if tuple(y.shape) != tuple(w.shape):
        message = f"f: expected a function that keeps the shape {tuple(w.shape)}, got {tuple(y.shape)}."
        raise ValueError(message)
    return y


@rule("spectral")
def _spectral(xp: Namespace, out: Array, A: Array, f: Function) -> list[Map]:
    w, V = xp.linalg.eigh(A)
    Vh, D = adjoint(V), _divided_differences(xp, f, w)

    def push(t: Array) -> Array:
        return V @ passed(xp, Vh @ symmetric(xp, t) @ V, D) @ Vh

    return [Map(push, hermitian(xp, push))]


def _divided_differences(xp: Namespace, f: Function, w: Array) -> Array:
    """D (…, n, n); the integral where f changes by less than eps^(1/7), which leaves both forms about all digits."""

    def slope(x: Array) -> Array:
        with below(xp):
            found: Array = jvp(f, (x,), (xp.ones_like(x),))[1]
        return found

    y = _values(f, w)
    a, b = w[..., :, None], w[..., None, :]
    fa, fb = y[..., :, None], y[..., None, :]
    gap = a - b
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        slopes = [slope(b + s * gap) for s, _ in _GAUSS]
        mean = sum(weight * d for (_, weight), d in zip(_GAUSS, slopes, strict=True))
        steepest = xp.maximum(xp.maximum(xp.abs(slopes[0]), xp.abs(slopes[1])), xp.abs(slopes[2]))
        close = float(xp.finfo(w.dtype).eps) ** (1 / 7) * xp.maximum(xp.abs(fa), xp.abs(fb))
        smooth = (xp.abs(gap) * steepest <= close) | (gap == 0)
        return xp.where(smooth, mean, (fa - fb) / xp.where(smooth, 1.0, gap))
