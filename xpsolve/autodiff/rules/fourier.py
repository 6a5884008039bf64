"""Fourier transforms: linear, and symmetric but for padding and for the half of the spectrum that is kept."""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, Namespace, device_of
from xpsolve.autodiff.rules.table import Map, negative, rule

_SWAPPED = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _fit(xp: Namespace, x: Array, length: int, axis: int) -> Array:
    """Cut or padded with zeros to a length along an axis counted from the end: its own transpose."""
    n = x.shape[axis]
    if n >= length:
        return x[(..., slice(length), *(slice(None),) * (-1 - axis))] if n > length else x
    shape = list(x.shape)
    shape[axis] = length - n
    return xp.concat([x, xp.zeros(tuple(shape), dtype=x.dtype, device=device_of(x))], axis=axis)


def _real_unless(xp: Namespace, g: Array, x: Array) -> Array:
    return g if xp.isdtype(x.dtype, "complex floating") else xp.real(g)


def _one_axis(name: str) -> None:
    @rule(f"fft.{name}", by_shape=True)
    def transform(
        xp: Namespace, out: Array, x: Array, n: int | None = None, axis: int = -1, norm: str = "backward"
    ) -> list[Map]:
        f, (axis,) = getattr(xp.fft, name), negative(axis, x.ndim)

        def pull(g: Array) -> Array:
            return _real_unless(xp, _fit(xp, f(g, axis=axis, norm=norm), x.shape[axis], axis), x)

        return [Map(lambda t: f(t, n=n, axis=axis, norm=norm), pull)]


def _many_axes(name: str) -> None:
    @rule(f"fft.{name}", by_shape=True)
    def transform(
        xp: Namespace, out: Array, x: Array, s: Any = None, axes: Any = None, norm: str = "backward"
    ) -> list[Map]:
        f, over = getattr(xp.fft, name), _axes(s, axes, x.ndim)

        def pull(g: Array) -> Array:
            g = f(g, axes=over, norm=norm)
            for a in over:
                g = _fit(xp, g, x.shape[a], a)
            return _real_unless(xp, g, x)

        return [Map(lambda t: f(t, s=s, axes=over, norm=norm), pull)]


def _axes(s: Any, axes: Any, ndim: int) -> tuple[int, ...]:
    return tuple(range(-len(s), 0)) if axes is None and s is not None else negative(axes, ndim)


for _name in ("fft", "ifft"):
    _one_axis(_name)
    _many_axes(f"{_name}n")


def _pull_rfft(xp: Namespace, g: Array, n: int, axis: int, norm: str) -> Array:
    """Re Σ_k g_k w^{jk}: a full transform of the kept half."""
    return xp.fft.fft(_fit(xp, g, n, axis), axis=axis, norm=norm)


def _pull_irfft(xp: Namespace, g: Array, n: int, axis: int, norm: str) -> Array:
    """All frequencies but 0 and n/2 stand for two."""
    half = xp.conj(xp.fft.rfft(g, axis=axis, norm=_SWAPPED[norm]))
    k = xp.arange(half.shape[axis], dtype=g.dtype, device=device_of(g))
    twice = (k > 0) & (2 * k < n)
    weights = 1 + xp.astype(twice, g.dtype)
    return half * xp.reshape(weights, (-1, *(1,) * (-1 - axis)))


@rule("fft.rfft", by_shape=True)
def _rfft(
    xp: Namespace, out: Array, x: Array, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> list[Map]:
    (axis,) = negative(axis, x.ndim)
    length = x.shape[axis] if n is None else n

    def pull(g: Array) -> Array:
        return xp.real(_fit(xp, _pull_rfft(xp, g, length, axis, norm), x.shape[axis], axis))

    return [Map(lambda t: xp.fft.rfft(t, n=n, axis=axis, norm=norm), pull)]


@rule("fft.irfft", by_shape=True)
def _irfft(
    xp: Namespace, out: Array, z: Array, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> list[Map]:
    (axis,) = negative(axis, z.ndim)

    def pull(g: Array) -> Array:
        return _fit(xp, _pull_irfft(xp, g, out.shape[axis], axis, norm), z.shape[axis], axis)

    return [Map(lambda t: xp.fft.irfft(t, n=n, axis=axis, norm=norm), pull)]


@rule("fft.rfftn", by_shape=True)
def _rfftn(xp: Namespace, out: Array, x: Array, s: Any = None, axes: Any = None, norm: str = "backward") -> list[Map]:
    over = _axes(s, axes, x.ndim)
    length = x.shape[over[-1]] if s is None else s[-1]

    def pull(g: Array) -> Array:
        if over[:-1]:
            g = xp.fft.fftn(g, axes=over[:-1], norm=norm)
        g = _pull_rfft(xp, g, length, over[-1], norm)
        for a in over:
            g = _fit(xp, g, x.shape[a], a)
        return xp.real(g)

    return [Map(lambda t: xp.fft.rfftn(t, s=s, axes=over, norm=norm), pull)]


@rule("fft.irfftn", by_shape=True)
def _irfftn(xp: Namespace, out: Array, z: Array, s: Any = None, axes: Any = None, norm: str = "backward") -> list[Map]:
    over = _axes(s, axes, z.ndim)

    def pull(g: Array) -> Array:
        g = _pull_irfft(xp, g, out.shape[over[-1]], over[-1], norm)
        if over[:-1]:
            g = xp.fft.ifftn(g, axes=over[:-1], norm=norm)
        for a in over:
            g = _fit(xp, g, z.shape[a], a)
        return g

    return [Map(lambda t: xp.fft.irfftn(t, s=s, axes=over, norm=norm), pull)]


@rule("fft.hfft", by_shape=True)
def _hfft(
    xp: Namespace, out: Array, z: Array, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> list[Map]:
    """irfft of the conjugate, scaled the other way."""
    (axis,) = negative(axis, z.ndim)

    def pull(g: Array) -> Array:
        return xp.conj(_fit(xp, _pull_irfft(xp, g, out.shape[axis], axis, _SWAPPED[norm]), z.shape[axis], axis))

    return [Map(lambda t: xp.fft.hfft(t, n=n, axis=axis, norm=norm), pull)]


@rule("fft.ihfft", by_shape=True)
def _ihfft(
    xp: Namespace, out: Array, x: Array, n: int | None = None, axis: int = -1, norm: str = "backward"
) -> list[Map]:
    (axis,) = negative(axis, x.ndim)
    length = x.shape[axis] if n is None else n

    def pull(g: Array) -> Array:
        full = _pull_rfft(xp, xp.conj(g), length, axis, _SWAPPED[norm])
        return xp.real(_fit(xp, full, x.shape[axis], axis))

    return [Map(lambda t: xp.fft.ihfft(t, n=n, axis=axis, norm=norm), pull)]


def _shifts(name: str, inverse: str) -> None:
    @rule(f"fft.{name}", by_shape=True)
    def shift(xp: Namespace, out: Array, x: Array, axes: Any = None) -> list[Map]:
        over = negative(axes, x.ndim)
        forth, back = getattr(xp.fft, name), getattr(xp.fft, inverse)
        return [Map(lambda t: forth(t, axes=over), lambda g: back(g, axes=over))]


_shifts("fftshift", "ifftshift")
_shifts("ifftshift", "fftshift")
