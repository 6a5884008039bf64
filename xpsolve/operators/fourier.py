"""The unitary discrete Fourier transform, of all frequencies or of some (Peyré 2020, §3.2).

    (Fx)[ω] = p^(−1/2) Σ_i x[i] exp(−2πi⟨ω, i/n⟩),      ‖Fx‖ = ‖x‖

With some frequencies alone the rows of F are still orthonormal: FFᴴ = I, and FᴴF is a projection.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xpsolve.arrays import (
    Array,
    cast,
    complex_dtype,
    device_of,
    innermost,
    is_array,
    is_concrete,
    lift,
    namespace_of,
    native,
)
from xpsolve.arrays.backends import to_numpy
from xpsolve.operators._sides import sides
from xpsolve.operators.base import LinearOperator, as_floating


class Fourier(LinearOperator):
    """The unitary Fourier transform of a picture, complex to complex; of some frequencies by a mask.

    It takes x, the picture flattened row after row, p numbers, to m frequencies: all of them in the order of
    ``numpy.fft.fftn(x, norm="ortho")``, or those that the mask keeps.  Columns of a matrix (p, k) are k pictures.
    It has no array of its own and computes in the library, on the device and in the precision of x; real x and
    integers become complex.  For a real x that is to be found, ``RealForm(F)`` is the real operator.

    Parameters
    ----------
    shape : int or tuple of int
        Sides of the signal, picture or volume.
    mask : array, optional
        The frequencies kept: booleans of this shape, or integers (m,), each once, that count the frequencies row after
        row; the order of y is theirs.

    Raises
    ------
    TypeError
        If a side is not an integer, or the mask neither booleans nor integers.
    ValueError
        If there is no side, one is less than 1, or the mask has another shape, an index twice or out of range, or
        keeps nothing.

    See Also
    --------
    RealForm : The same for real pictures, with real and imaginary parts apart.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> F = xs.operators.Fourier(4)
    >>> F @ np.asarray([0.0, 1.0, 0.0, 0.0])
    array([ 0.5+0.j ,  0. -0.5j, -0.5+0.j ,  0. +0.5j])
    >>> x = np.asarray([1.0, 4.0, 2.0, 3.0j])
    >>> bool(np.allclose(F.H @ (F @ x), x))
    True
    >>> xs.operators.Fourier((8, 8), mask=[0, 1, 7, 8])
    <Fourier 4×64>
    """

    complex = True

    def __init__(self, shape: int | tuple[int, ...], mask: Any = None) -> None:
        self.space = sides(shape)
        p = math.prod(self.space)
        self.kept = None if mask is None else _indices(mask, self.space)
        self._moved: dict[tuple[str, type, str], Array] = {}
        super().__init__((p if self.kept is None else len(self.kept), p))

    def exact_norm(self) -> float:
        """1."""
        return 1.0

    def real_norm(self) -> float:
        """1, or √½ where no frequency is kept with its opposite.

        Data of a real picture at ω and −ω are conjugate: F keeps its norm where there is a pair or an ω = −ω.
        """
        if self.kept is None:
            return 1.0
        place = np.unravel_index(self.kept, self.space)
        opposite = [(-i) % n for i, n in zip(place, self.space, strict=True)]
        return 1.0 if np.isin(np.ravel_multi_index(tuple(opposite), self.space), self.kept).any() else math.sqrt(0.5)

    def _matvec(self, x: Array) -> Array:
        x = _complex(x, "x")
        xp, many = namespace_of(x), tuple(x.shape[1:])
        Z = unitary_transform(xp.reshape(x, (*self.space, *many)), len(self.space))
        y = xp.reshape(Z, (self.shape[1], *many))
        return y if self.kept is None else xp.take(y, self._index("kept", y), axis=0)

    def _rmatvec(self, y: Array) -> Array:
        y = _complex(y, "y")
        xp, many = namespace_of(y), tuple(y.shape[1:])
        if self.kept is not None:  # from a zero behind the data where a frequency is not kept
            y = xp.concat([y, xp.zeros_like(y[:1, ...])], axis=0)
            y = xp.take(y, self._index("place", y), axis=0)
        Z = unitary_transform(xp.reshape(y, (*self.space, *many)), len(self.space), inverse=True)
        return xp.reshape(Z, (self.shape[1], *many))

    def _index(self, name: str, like: Array) -> Array:
        """The frequencies kept, or where each frequency is among them, on the device of `like`; moved there once."""
        inner = innermost(like)
        key = (name, type(inner), str(device_of(inner)))
        index = self._moved.get(key)
        if index is None:
            host = self.kept if name == "kept" else self._places()
            index = _placed(inner, host)
            if is_concrete(inner):
                self._moved[key] = index
        return lift(namespace_of(like), index)

    def _places(self) -> NDArray[np.int64]:
        m = self.shape[0]
        places = np.full(self.shape[1], m)
        places[self.kept] = np.arange(m)
        return places


@native
def _placed(like: Array, host: NDArray[np.int64]) -> Array:
    """Indices on the device of `like`."""
    return namespace_of(like).asarray(host, device=device_of(like))


@_placed.register("dask")
def _placed_dask(like: Array, host: NDArray[np.int64]) -> Array:
    """They stay on the host, where a graph is made."""
    return host


@native
def unitary_transform(Z: Array, dim: int, inverse: bool = False) -> Array:
    """The unitary transform of a complex Z over its first axes, or its inverse."""
    fft = namespace_of(Z).fft
    return (fft.ifftn if inverse else fft.fftn)(Z, axes=tuple(range(dim)), norm="ortho")


@unitary_transform.register("dask")
def _unitary_transform_dask(Z: Array, dim: int, inverse: bool = False) -> Array:
    """Each axis in one piece, and the factor apart, which Dask has not."""
    fft, axes = namespace_of(Z).fft, tuple(range(dim))
    Z = (fft.ifftn if inverse else fft.fftn)(Z.rechunk(dict.fromkeys(axes, -1)), axes=axes)
    return Z * math.prod(Z.shape[:dim]) ** (0.5 if inverse else -0.5)


def _complex(x: Array, name: str) -> Array:
    x = as_floating(x, name)
    return cast(x, complex_dtype(x))


def _indices(mask: Any, space: tuple[int, ...]) -> NDArray[np.int64]:
    """The places of the frequencies kept, checked, on the host."""
    host = np.asarray(to_numpy(mask) if is_array(mask) else mask)
    p = math.prod(space)
    if host.dtype == bool:
        if host.shape != space:
            message = f"mask: expected booleans of shape {space}, got shape {host.shape}."
            raise ValueError(message)
        host = np.flatnonzero(host)
    if host.dtype.kind not in "iu" and host.size:
        message = f"mask: expected booleans of shape {space} or integers (m,), got dtype {host.dtype}."
        raise TypeError(message)
    if host.ndim != 1 or not host.size or host.min() < 0 or host.max() >= p or len(np.unique(host)) < host.size:
        message = f"mask: expected 1 to {p} different integers from 0 to {p - 1}, got shape {host.shape}."
        raise ValueError(message)
    return host.astype(np.int64)
