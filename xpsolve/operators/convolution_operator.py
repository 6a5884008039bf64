"""Convolution as an operator on flat pictures, for solvers that deblur.

On a torus the Fourier transform diagonalises it over space: the norm is the largest singular value of the (O, C)
matrices of its kernels' transform (Golub & Van Loan 2013, §4.8), and exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace, check_option, enter, namespace_of, on_accelerator, power_of_two
from xpsolve.operators import _spectral
from xpsolve.operators._correlation import Lengths
from xpsolve.operators.base import LinearOperator
from xpsolve.operators.convolution import METHODS, _each, _plan, convolve, convolve_input_adjoint
from xpsolve.operators.norms import operator_norm

_BATCHED = 32  # rows and columns up to which an accelerator has the singular values of many matrices in one call


class Convolution(LinearOperator):
    """Convolution of a picture with fixed kernels: x, the picture flattened, to y = `convolve` of it, flattened.

    Parameters
    ----------
    w : array, shape (*kernel) or (O, C, *kernel)
        The kernel, for pictures of one channel; or kernels for pictures of C.
    shape : int or tuple of int
        Sides of the picture, 1 to 3 of them.
    boundary : str
        "zero" or "periodic", as in `convolve`.
    mode : str
        "same", "valid" or "full", as in `convolve`.
    flip : bool
        True reverses the kernels, as in `convolve`.
    method : str
        As in `convolve`.

    Raises
    ------
    TypeError, ValueError
        As in `convolve`, and if w has neither as many axes as the picture nor two more.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> blur = xs.Convolution(np.asarray([0.25, 0.5, 0.25]), 5, boundary="zero")
    >>> blur @ np.asarray([0.0, 0.0, 4.0, 0.0, 0.0])
    array([0., 1., 2., 1., 0.])
    >>> blur
    <Convolution 5×5>
    """

    def __init__(
        self,
        w: Array,
        shape: int | tuple[int, ...],
        *,
        boundary: str = "zero",
        mode: str = "same",
        flip: bool = False,
        method: str = "auto",
    ) -> None:
        xp, (w,) = enter(w=w)
        sides = shape if isinstance(shape, tuple | list) else (shape,)
        if not 1 <= len(sides) <= 3:
            message = f"shape: expected 1 to 3 sides of the picture, got {shape!r}."
            raise ValueError(message)
        self.space: Lengths = _each(sides, "shape", len(sides))
        if w.ndim not in (len(sides), len(sides) + 2):
            message = f"w: expected {len(sides)} axes, as the picture {self.space}, or 2 more, got {tuple(w.shape)}."
            raise ValueError(message)
        self.w = xp.reshape(w, (1, 1, *w.shape)) if w.ndim == len(sides) else w
        check_option(method, "method", METHODS)
        self.options: dict[str, Any] = {"mode": mode, "boundary": boundary, "flip": flip, "method": method}
        self._plan = _plan((1, self.w.shape[1], *self.space), tuple(self.w.shape), mode, boundary, 1, 1, flip)
        outputs, channels = self.w.shape[:2]
        super().__init__((outputs * math.prod(self._plan.out), channels * math.prod(self.space)))

    @property
    def like(self) -> Array:
        """The kernels."""
        return self.w

    def norm(self) -> Array:
        """The largest singular value, 0-d: exact for a periodic picture of mode "same", by power iteration else."""
        return operator_norm(self)

    def exact_norm(self) -> Array | None:
        """The same, None where it takes an iteration."""
        if not (self.options["boundary"] == "periodic" and self.options["mode"] == "same" and self._fits()):
            return None
        xp = namespace_of(self.w)
        W = _spectral.transformed(self.w, self.space)
        power = xp.real(W) ** 2 + xp.imag(W) ** 2
        if min(self.w.shape[:2]) == 1:
            return xp.sqrt(xp.max(xp.sum(power, axis=(0, 1))))
        at_each = xp.permute_dims(W, (*range(2, W.ndim), 0, 1))
        if max(self.w.shape[:2]) <= _BATCHED or not on_accelerator(self.w):
            return xp.max(xp.linalg.svdvals(at_each))
        return _largest_singular_value(xp, at_each)

    def _fits(self) -> bool:
        return hasattr(namespace_of(self.w), "fft") and all(
            k <= n for k, n in zip(self.w.shape[2:], self.space, strict=True)
        )

    def _matvec(self, x: Array) -> Array:
        return _flat(convolve(_pictures(x, self.w.shape[1], self.space), self.w, **self.options), x)

    def _rmatvec(self, y: Array) -> Array:
        e = _pictures(y, self.w.shape[0], self._plan.out)
        return _flat(convolve_input_adjoint(e, self.w, self._plan, str(self.options["method"])), y)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Convolution:
        return Convolution(function(self.w), self.space, **self.options)


def _largest_singular_value(xp: Namespace, A: Array) -> Array:
    """Of matrices (…, m, n), from the eigenvalues of AAᴴ or AᴴA, whichever is smaller, in a unit in which no square
    overflows.

    Squares halve the digits of small singular values, but of the largest none: its relative error is some multiples
    of eps, as that of `svdvals` is.
    """
    unit = power_of_two(xp.stack([xp.max(xp.abs(xp.real(A))), xp.max(xp.abs(xp.imag(A)))]))
    A = A / unit
    adjoint = xp.conj(xp.matrix_transpose(A))
    G = A @ adjoint if A.shape[-2] <= A.shape[-1] else adjoint @ A
    return unit * xp.sqrt(xp.max(xp.linalg.eigvalsh(G)))


def _pictures(x: Array, channels: int, space: Lengths) -> Array:
    """x (p,) or (p, k) as pictures (k, channels, *space)."""
    xp = namespace_of(x)
    return xp.reshape(x.T if x.ndim == 2 else x, (x.shape[1] if x.ndim == 2 else 1, channels, *space))


def _flat(z: Array, like: Array) -> Array:
    """Pictures as the columns of a matrix, or as a vector where `like` is one."""
    xp = namespace_of(z)
    return xp.reshape(z, (-1,)) if like.ndim == 1 else xp.reshape(z, (z.shape[0], math.prod(z.shape[1:]))).T
