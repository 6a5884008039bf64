"""Convolution as an operator on flat pictures, for solvers that deblur.

On a torus the Fourier transform diagonalises it over space: the norm is the largest singular value of the (O, C)
matrices of its kernels' transform (Golub & Van Loan 2013, §4.8), and exact.

Complex pictures are computed with as real ones: for a real kernel their parts are two pictures, for a complex kernel
two channels, which the kernels [[Re w, −Im w], [Im w, Re w]] take to two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xpsolve.arrays import (
    Array,
    cast,
    check_option,
    complex_dtype,
    enter_numbers,
    is_complex,
    largest_singular_value,
    namespace_of,
)
from xpsolve.operators import _spectral
from xpsolve.operators._sides import Lengths, sides
from xpsolve.operators.base import LinearOperator
from xpsolve.operators.convolution import METHODS, _plan, convolve, convolve_input_adjoint


class Convolution(LinearOperator):
    """Convolution of a picture with fixed kernels: x, the picture flattened, to y = `convolve` of it, flattened.

    Parameters
    ----------
    w : array, shape (*kernel) or (O, C, *kernel)
        The kernel, for pictures of one channel; or kernels for pictures of C; real or complex.
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
        xp, (w,) = enter_numbers(w=w)
        self.space = sides(shape, 3)
        dim = len(self.space)
        if w.ndim not in (dim, dim + 2):
            message = f"w: expected {dim} axes, as the picture {self.space}, or 2 more, got {tuple(w.shape)}."
            raise ValueError(message)
        self.w = xp.reshape(w, (1, 1, *w.shape)) if w.ndim == dim else w
        check_option(method, "method", METHODS)
        self.options: dict[str, Any] = {"mode": mode, "boundary": boundary, "flip": flip, "method": method}
        self._real = _real_kernels(self.w) if is_complex(self.w) else self.w
        self._plan = _plan((1, self._real.shape[1], *self.space), tuple(self._real.shape), mode, boundary, 1, 1, flip)
        outputs, channels = self.w.shape[:2]
        super().__init__((outputs * math.prod(self._plan.out), channels * math.prod(self.space)))

    @property
    def like(self) -> Array:
        """The kernels."""
        return self.w

    def exact_norm(self) -> Array | None:
        """The largest singular value, 0-d, of a periodic picture of mode "same"; None for others."""
        if not (self.options["boundary"] == "periodic" and self.options["mode"] == "same" and self._fits()):
            return None
        W = _spectral.transformed(self._real, self.space)
        return largest_singular_value(namespace_of(W).permute_dims(W, (*range(2, W.ndim), 0, 1)))

    def _fits(self) -> bool:
        return hasattr(namespace_of(self.w), "fft") and all(
            k <= n for k, n in zip(self.w.shape[2:], self.space, strict=True)
        )

    def _matvec(self, x: Array) -> Array:
        def forward(z: Array) -> Array:
            return convolve(z, self._real, **self.options)

        return self._through(forward, x, self.w.shape[1], self.space)

    def _rmatvec(self, y: Array) -> Array:
        def back(e: Array) -> Array:
            return convolve_input_adjoint(e, self._real, self._plan, str(self.options["method"]))

        return self._through(back, y, self.w.shape[0], self._plan.out)

    def _through(self, function: Callable[[Array], Array], x: Array, channels: int, space: Lengths) -> Array:
        """A function of real pictures with so many channels, for real or complex x (p,) or (p, k)."""
        z, xp = _pictures(x, channels, space), namespace_of(x)
        if not is_complex(x) and not is_complex(self.w):
            return _flat(function(z), x)
        axis = 1 if is_complex(self.w) else 0
        z = cast(z, complex_dtype(z))
        parts = function(xp.concat([xp.real(z), xp.imag(z)], axis=axis))
        half, dtype = parts.shape[axis] // 2, complex_dtype(parts)
        real, imaginary = (parts[(slice(None),) * axis + (part, ...)] for part in (slice(half), slice(half, None)))
        return _flat(cast(real, dtype) + 1j * cast(imaginary, dtype), x)

    def __xpsolve_map__(self, function: Callable[[Array], Any]) -> Convolution:
        return Convolution(function(self.w), self.space, **self.options)


def _real_kernels(w: Array) -> Array:
    """[[Re w, −Im w], [Im w, Re w]] over outputs and channels."""
    xp = namespace_of(w)
    real, imaginary = xp.real(w), xp.imag(w)
    rows = [xp.concat([real, -imaginary], axis=1), xp.concat([imaginary, real], axis=1)]
    return xp.concat(rows, axis=0)


def _pictures(x: Array, channels: int, space: Lengths) -> Array:
    """x (p,) or (p, k) as pictures (k, channels, *space)."""
    xp = namespace_of(x)
    return xp.reshape(x.T if x.ndim == 2 else x, (x.shape[1] if x.ndim == 2 else 1, channels, *space))


def _flat(z: Array, like: Array) -> Array:
    """Pictures as the columns of a matrix, or as a vector where `like` is one."""
    xp = namespace_of(z)
    return xp.reshape(z, (-1,)) if like.ndim == 1 else xp.reshape(z, (z.shape[0], math.prod(z.shape[1:]))).T
