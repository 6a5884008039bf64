"""The discrete gradient of signals, pictures and volumes; its adjoint is minus the divergence (Chambolle 2004, §2).

    (∇x)[a, i] = x[i + e_a] − x[i],   0 where i is the last place along axis a

Along an axis of n places the matrix of differences D has DᵀD = tridiag(−1, 2, −1) with 1 in both corners, the second
difference with reflecting ends.  Its eigenvectors are cosines and its eigenvalues 4 sin²(πk/2n), k = 0, …, n − 1.
On several axes they add up, so that

    ‖∇‖² = Σ_a 4 sin²(π(n_a − 1)/2n_a) = Σ_a 4 cos²(π/2n_a)

Absolute values add up to 2 in each row, or 0 at the end of an axis, and in each column to the number of neighbours of
the place, at most 2d: steps of 1/2 and 1/2d are those of diagonal preconditioning (Pock and Chambolle 2011).
"""

from __future__ import annotations

import math

from xpsolve.arrays import Array, device_of, namespace_of, native
from xpsolve.operators._sides import sides
from xpsolve.operators.base import LinearOperator, as_floating


class Gradient(LinearOperator):
    """Forward differences of a picture along each axis, without a matrix: the operator of total variation.

    It takes x, the picture flattened row after row, p numbers, to d·p numbers, d the number of axes:
    ``reshape(y, (d, *shape))[a]`` holds the differences along axis a, and the last one along an axis is 0 (Neumann
    boundary).  Columns of a matrix (p, k) are k pictures.  It has no array of its own and computes in the library, on
    the device and in the dtype of x; integers become real numbers.

    Parameters
    ----------
    shape : int or tuple of int
        Sides of the signal, picture or volume.

    Raises
    ------
    TypeError
        If a side is not an integer.
    ValueError
        If there is no side, or one is less than 1.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> D = xs.operators.Gradient((2, 3))
    >>> D
    <Gradient 12×6>
    >>> (D @ np.asarray([1.0, 2.0, 4.0, 1.0, 1.0, 1.0])).reshape(2, 2, 3)
    array([[[ 0., -1., -3.],
            [ 0.,  0.,  0.]],
    <BLANKLINE>
           [[ 1.,  2.,  0.],
            [ 0.,  0.,  0.]]])
    >>> round(D.exact_norm(), 6), round(float(np.linalg.norm(D @ np.eye(6), 2)), 6)
    (2.236068, 2.236068)
    """

    def __init__(self, shape: int | tuple[int, ...]) -> None:
        self.space = sides(shape)
        p = math.prod(self.space)
        super().__init__((len(self.space) * p, p))

    def exact_norm(self) -> float:
        """2·√(Σ_a cos²(π/2n_a)) for sides n_a."""
        return 2 * math.hypot(*(math.sin(math.pi * (n - 1) / (2 * n)) for n in self.space))

    def _matvec(self, x: Array) -> Array:
        x = as_floating(x, "x")
        xp, many = namespace_of(x), tuple(x.shape[1:])
        X = xp.reshape(x, (*self.space, *many))
        return xp.reshape(differences(X, len(self.space)), (self.shape[0], *many))

    def _rmatvec(self, y: Array) -> Array:
        y = as_floating(y, "y")
        xp, many = namespace_of(y), tuple(y.shape[1:])
        Y = xp.reshape(y, (len(self.space), *self.space, *many))
        return xp.reshape(differences_adjoint(Y), (self.shape[1], *many))


@native
def differences(X: Array, axes: int) -> Array:
    """Forward differences of X along each of its first axes, 0 at the end, stacked before them: (axes, *X.shape)."""
    xp = namespace_of(X)
    along = []
    for axis in range(axes):
        end = X[_at(axis, -1, None)]
        along.append(xp.concat([X[_at(axis, 1, None)] - X[_at(axis, None, -1)], xp.zeros_like(end)], axis=axis))
    return xp.stack(along)


@differences.register("numpy")
def _differences_in_place(X: Array, axes: int) -> Array:
    """Written in place: three passes over memory instead of seven."""
    xp = namespace_of(X)
    Y = xp.zeros((axes, *X.shape), dtype=X.dtype, device=device_of(X))
    for axis in range(axes):
        xp.subtract(X[_at(axis, 1, None)], X[_at(axis, None, -1)], out=Y[axis, ...][_at(axis, None, -1)])
    return Y


@differences.register("cupy")
def _differences_cupy(X: Array, axes: int) -> Array:
    import cupy

    names, sizes = _sides_in_c(X.shape[:axes], X.size)
    source = "z = T(0); const long long k = i % m; "
    for a in range(axes):
        source += f"if (i / m == {a} && k / s{a} % n{a} < n{a} - 1) z = x[k + s{a}] - x[k]; "
    Y = cupy.empty((axes, *X.shape), X.dtype)
    return cupy.ElementwiseKernel(f"raw T x, {names}", "T z", source, "xpsolve_differences")(
        cupy.ascontiguousarray(X), *sizes, Y
    )


def _sides_in_c(space: tuple[int, ...], size: int) -> tuple[str, list[int]]:
    """Arguments of a kernel: m numbers in all, and for each axis its length n and the step s from place to place."""
    names, sizes, step = ["int64 m"], [size], size
    for a, n in enumerate(space):
        step //= max(n, 1)
        names += [f"int64 n{a}", f"int64 s{a}"]
        sizes += [n, step]
    return ", ".join(names), sizes


@native
def differences_adjoint(Y: Array) -> Array:
    """The adjoint, minus the divergence: of Y (axes, *X.shape) an array like X."""
    xp = namespace_of(Y)
    total = xp.zeros_like(Y[0, ...])
    for axis in range(Y.shape[0]):
        if Y.shape[axis + 1] == 1:
            continue
        D = Y[axis, ...][_at(axis, None, -1)]
        inner = D[_at(axis, None, -1)] - D[_at(axis, 1, None)]
        total = total + xp.concat([-D[_at(axis, None, 1)], inner, D[_at(axis, -1, None)]], axis=axis)
    return total


@differences_adjoint.register("numpy")
def _differences_adjoint_in_place(Y: Array) -> Array:
    xp = namespace_of(Y)
    X = xp.zeros(Y.shape[1:], dtype=Y.dtype, device=device_of(Y))
    for axis in range(Y.shape[0]):
        D = Y[axis, ...][_at(axis, None, -1)]
        before, after = X[_at(axis, None, -1)], X[_at(axis, 1, None)]
        xp.add(after, D, out=after)  # += would copy the slice onto itself
        xp.subtract(before, D, out=before)
    return X


@differences_adjoint.register("cupy")
def _differences_adjoint_cupy(Y: Array) -> Array:
    import cupy

    names, sizes = _sides_in_c(Y.shape[1 : Y.shape[0] + 1], Y[0, ...].size)
    source = "z = T(0); "
    for a in range(Y.shape[0]):
        source += f"{{ const long long p = i / s{a} % n{a}; "
        source += f"if (p > 0) z = z + y[{a} * m + i - s{a}]; if (p < n{a} - 1) z = z - y[{a} * m + i]; }} "
    X = cupy.empty(Y.shape[1:], Y.dtype)
    return cupy.ElementwiseKernel(f"raw T y, {names}", "T z", source, "xpsolve_differences_adjoint")(
        cupy.ascontiguousarray(Y), *sizes, X
    )


def _at(axis: int, first: int | None, end: int | None) -> tuple[object, ...]:
    """The index of a slice along an axis."""
    return (*(slice(None),) * axis, slice(first, end), ...)
