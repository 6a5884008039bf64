"""Losses at the end of a network and their gradients there; samples are columns, and losses are means over them."""

from __future__ import annotations

from xpsolve.arrays import Array, Namespace, check_ndim, enter
from xpsolve.capabilities import capabilities
from xpsolve.smooth_max import logsumexp, softmax


@capabilities(batch="columns of X")
def squared_loss(X: Array, Y: Array) -> tuple[Array, Array]:
    """L = 1/(2N) ‖X − Y‖² and ∇L = (X − Y)/N for N samples.

    Parameters
    ----------
    X : array, shape (m, N)
        What the network returned.
    Y : array, shape (m, N)
        The desired output.

    Returns
    -------
    value : array, 0-d
        L.
    gradient : array, shape (m, N)
        ∇L at X.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes differ, or devices are mixed.

    See Also
    --------
    cross_entropy : For classes.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> value, gradient = xs.networks.squared_loss(np.asarray([[3.0, 0.0]]), np.asarray([[1.0, 0.0]]))
    >>> float(value), gradient
    (1.0, array([[1., 0.]]))
    """
    xp, X, Y = _enter(X, Y)
    R = X - Y
    gradient = R / X.shape[1]
    return 0.5 * xp.sum(R * gradient), gradient


@capabilities(batch="columns of X")
def cross_entropy(X: Array, Y: Array) -> tuple[Array, Array]:
    """L = 1/N Σ_i LSE(x_i) − ⟨x_i, y_i⟩ and ∇L = (P − Y)/N, where P is the softmax of each column.

    For y_i that sum to 1 this is the Kullback–Leibler divergence of P from Y plus the entropy of Y.  Softmax and
    logarithm are taken together, so that no probability can underflow before its logarithm.

    Parameters
    ----------
    X : array, shape (m, N)
        What the network returned, before any softmax.
    Y : array, shape (m, N)
        Probabilities of the m classes, such as ``one_hot(labels, m).T``.

    Returns
    -------
    value : array, 0-d
        L.
    gradient : array, shape (m, N)
        ∇L at X.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes differ, or devices are mixed.

    See Also
    --------
    squared_loss : For numbers.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> value, gradient = xs.networks.cross_entropy(np.asarray([[0.0], [0.0]]), np.asarray([[1.0], [0.0]]))
    >>> round(float(value), 4), gradient.ravel()
    (0.6931, array([-0.5,  0.5]))
    """
    xp, X, Y = _enter(X, Y)
    samples = X.shape[1]
    value = (xp.sum(logsumexp(X, axis=0)) - xp.sum(X * Y)) / samples
    return value, (softmax(X, axis=0) - Y) / samples


def _enter(X: Array, Y: Array) -> tuple[Namespace, Array, Array]:
    xp, (X, Y) = enter(X=X, Y=Y)
    check_ndim(X, "X", 2, shape="(m, N)")
    if Y.shape != X.shape:
        message = f"Y: expected the shape of X, {tuple(X.shape)}, got {tuple(Y.shape)}. Samples are columns."
        raise ValueError(message)
    return xp, X, Y
