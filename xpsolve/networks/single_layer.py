"""A network with a single hidden layer, and its gradients in all three parameters and at its input.

    h = σ(A y + b 1ᵀ),   f_θ(y) = B h,   θ = (A, b, B)

    g_B = ε hᵀ,   M = ∂σᵀ (Bᵀ ε),   g_A = M yᵀ,   g_b = M 1,   δ = Aᵀ M

σ acts on each number alone, and its gradient matrix ∂σ is diagonal; or it is the softmax of each column, and ∂σ is the
dense matrix diag(h) − hhᵀ.  Either is applied from h, and neither is built.
"""

from __future__ import annotations

from typing import Any

from xpsolve.arrays import Array, Namespace, enter
from xpsolve.capabilities import capabilities
from xpsolve.networks.activations import Activation, activation_of
from xpsolve.networks.mlp import check_shape
from xpsolve.smooth_max import softmax


def _pull_softmax(xp: Namespace, h: Array, g: Array) -> Array:
    return h * (g - xp.sum(h * g, axis=0))


_SOFTMAX = Activation(lambda xp, a: softmax(a, axis=0), _pull_softmax)


@capabilities(batch="columns of Y", grad="forward, reverse")
def single_layer(A: Array, b: Array, B: Array, Y: Array, activation: str = "tanh") -> tuple[Array, Array]:
    """B σ(A y + b) for each column y of Y.

    Parameters
    ----------
    A : array, shape (m, n)
        Weights of m hidden neurons.
    b : array, shape (m,)
        Their offsets.
    B : array, shape (q, m)
        Weights of the outputs.
    Y : array, shape (n, N)
        The samples, one per column.
    activation : str
        σ: "softmax" of the m numbers of a column, or one of `mlp_forward`.

    Returns
    -------
    X : array, shape (q, N)
        f_θ of each column.
    H : array, shape (m, N)
        The hidden layer, which `single_layer_adjoint` needs.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or there is no such activation.

    See Also
    --------
    single_layer_adjoint : Its gradients.
    mlp_forward : Any number of layers.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, b, B = np.asarray([[1.0, -1.0], [0.0, 1.0]]), np.asarray([0.0, 1.0]), np.asarray([[1.0, 2.0]])
    >>> X, H = xs.networks.single_layer(A, b, B, np.asarray([[3.0], [2.0]]), "relu")
    >>> X, H.ravel()
    (array([[7.]]), array([1., 3.]))
    """
    xp, (A, b, B, Y) = enter(A=A, b=b, B=B, Y=Y)
    sigma = _sigma(A, b, B, Y, activation)
    inner = A @ Y
    inner += b[:, None]  # the product may be overwritten: it is a new array
    H = sigma.value(xp, inner)
    return B @ H, H


@capabilities(batch="columns of Y")
def single_layer_adjoint(
    A: Array, b: Array, B: Array, Y: Array, H: Array, e: Array, activation: str = "tanh"
) -> tuple[Array, Array, Array, Array]:
    """The adjoint gradients of `single_layer` at ε: those of ⟨ε, X⟩ in Y, A, b and B.

    Parameters
    ----------
    A, b, B, Y
        As in `single_layer`.
    H : array, shape (m, N)
        The hidden layer that `single_layer` returned.
    e : array, shape (q, N)
        ε, such as the gradient of a loss at X.
    activation : str
        As in `single_layer`.

    Returns
    -------
    delta : array, shape (n, N)
        The gradient at the input.
    g_A, g_b, g_B : array
        The gradients in the parameters, of their shapes, summed over the samples.

    Raises
    ------
    TypeError, ValueError
        As in `single_layer`.

    See Also
    --------
    single_layer : The network.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, b, B = np.asarray([[1.0, -1.0]]), np.asarray([0.5]), np.asarray([[2.0]])
    >>> Y = np.asarray([[3.0], [2.0]])
    >>> X, H = xs.networks.single_layer(A, b, B, Y, "identity")
    >>> delta, g_A, g_b, g_B = xs.networks.single_layer_adjoint(A, b, B, Y, H, np.asarray([[1.0]]), "identity")
    >>> delta.ravel(), g_A.ravel(), g_b, g_B.ravel()
    (array([ 2., -2.]), array([6., 4.]), array([2.]), array([1.5]))
    """
    xp, (A, b, B, Y, H, e) = enter(A=A, b=b, B=B, Y=Y, H=H, e=e)
    sigma = _sigma(A, b, B, Y, activation)
    check_shape(H, "H", (A.shape[0], Y.shape[1]))
    check_shape(e, "e", (B.shape[0], Y.shape[1]))
    M = sigma.pull(xp, H, B.T @ e)
    return A.T @ M, M @ Y.T, xp.sum(M, axis=1), e @ H.T


def _sigma(A: Array, b: Array, B: Array, Y: Array, activation: Any) -> Activation:
    """σ, once shapes are found to follow each other."""
    is_softmax = isinstance(activation, str) and activation == "softmax"
    sigma = _SOFTMAX if is_softmax else activation_of(activation, "activation")
    if Y.ndim != 2 or A.ndim != 2 or A.shape[1] != Y.shape[0]:
        message = f"A: expected shape (m, n) for Y of shape (n, N), got {tuple(A.shape)} and {tuple(Y.shape)}."
        raise ValueError(message)
    if is_softmax and A.shape[0] == 0:
        message = f"A: expected shape (m, n) with m at least 1 for 'softmax', got {tuple(A.shape)}."
        raise ValueError(message)
    check_shape(b, "b", (A.shape[0],))
    if B.ndim != 2 or B.shape[1] != A.shape[0]:
        message = f"B: expected shape (q, {A.shape[0]}), a column for each hidden neuron, got {tuple(B.shape)}."
        raise ValueError(message)
    return sigma
