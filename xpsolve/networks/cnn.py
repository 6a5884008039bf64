"""A convolutional network and its gradient: nodes of convolution, offset and activation, then a perceptron.

    convolution  X_{r+1} = ρ(w_r ⋆ X_r + b_r)       M_r = ρ′ ⊙ ε_{r+1},   [ε_r, ∇_{w_r}, ∇_{b_r}] = adjoints of ⋆ at M_r
    dense        X_{r+1} = ρ(A_r X_r + b_r 1ᵀ)      as in `xpsolve.networks.mlp`

Each node has two functions, its value and its adjoint gradient [δ, g_w, g_b] ← G(ε, z, θ), and no matrix of a
convolution is ever built.  A stride takes the place of pooling.  ρ′ is found from X_{r+1}, and δ at the pictures, which
is not needed, is not computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xpsolve.arrays import Array, Namespace, check_count, check_option
from xpsolve.capabilities import capabilities
from xpsolve.networks import mlp
from xpsolve.networks.activations import Activation
from xpsolve.operators.convolution import convolve, convolve_adjoint, convolve_kernel_adjoint


@capabilities(batch="first axis of Z")
def cnn_forward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    Z: Array,
    activation: str = "tanh",
    *,
    stride: int | Sequence[int] = 1,
    mode: str = "valid",
    last_activation: str | None = None,
) -> list[Array]:
    """Run a convolutional network and keep what every layer returns.

    Parameters
    ----------
    weights : sequence of array
        First kernels (O, C, *kernel) of convolutions, at least one, then matrices (n_{r+1}, n_r) of dense layers, if
        any.  The first of these sees each picture as one column of channels × pixels.
    biases : sequence of array
        One a layer, of shape (O,) or (n_{r+1},).
    Z : array, shape (N, C, *space)
        The pictures.
    activation : str
        ρ: "relu", "leaky_relu", "sigmoid", "tanh", "softplus" or "identity".
    stride : int or sequence of int
        Of all convolutions, or one for each; with 2 a layer keeps every second pixel along each axis.
    mode : str
        "valid", "same" or "full", as in `convolve`.
    last_activation : str, optional
        Another ρ for the last layer, such as "identity" before `cross_entropy`; None is the same.

    Returns
    -------
    list of array
        [X_0, …, X_R]: pictures (N, C_r, *space_r) from X_0 = Z on, and columns (n_r, N) from the first dense layer on.

    Raises
    ------
    TypeError
        If weights or biases are not sequences of real arrays, or libraries are mixed.
    ValueError
        If shapes do not follow each other, devices are mixed, or an option is unknown.

    See Also
    --------
    cnn_backward : Its gradient.
    mlp_forward : A network of dense layers alone.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> w = [np.asarray([[[1.0, -1.0]]]), np.asarray([[1.0, 0.0], [0.0, 2.0]])]
    >>> b = [np.asarray([3.0]), np.zeros(2)]
    >>> X = xs.networks.cnn_forward(w, b, np.asarray([[[1.0, 2.0, 4.0]]]), "relu")
    >>> X[1], X[2].ravel()
    (array([[[2., 1.]]]), array([2., 2.]))
    """
    rhos = mlp.activations(weights, biases, activation, last_activation)
    check_option(mode, "mode", ("valid", "same", "full"))
    depth = len(rhos)
    xp, arrays = mlp.enter_layers(weights, biases, Z=Z)
    weights, biases, x = arrays[:depth], arrays[depth:-1], arrays[-1]
    c, strides = _convolutions(weights, stride)
    X = [x]
    for r in range(c):
        X.append(_value(xp, r, weights[r], biases[r], X[r], rhos[r], stride=strides[r], mode=mode))
    if c == depth:
        return X
    columns = _columns(xp, X[c])
    mlp.check_chain(weights[c:], biases[c:], columns, first=c)
    return X + mlp.forward(xp, weights[c:], biases[c:], columns, rhos[c:])[1:]


@capabilities(batch="first axis of Z")
def cnn_backward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    X: Sequence[Array],
    loss_gradient: Array,
    activation: str = "tanh",
    *,
    stride: int | Sequence[int] = 1,
    mode: str = "valid",
    last_activation: str | None = None,
) -> tuple[list[Array], list[Array]]:
    """Gradients of a loss L(X_R) in all weights and biases, from what `cnn_forward` kept.

    Parameters
    ----------
    weights, biases : sequence of array
        As in `cnn_forward`.
    X : sequence of array
        [X_0, …, X_R] from `cnn_forward`.
    loss_gradient : array
        ∇L at X_R, of its shape, as `squared_loss` and `cross_entropy` return it for columns.
    activation, stride, mode, last_activation
        As in `cnn_forward`.

    Returns
    -------
    g_weights : list of array
        Of the shapes of `weights`.
    g_biases : list of array
        Of the shapes of `biases`.

    Raises
    ------
    TypeError
        If an argument is not a sequence of real arrays, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or an option is unknown.

    See Also
    --------
    cnn_forward : The network.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> w, b = [np.asarray([[[1.0, -1.0]]])], [np.zeros(1)]
    >>> X = xs.networks.cnn_forward(w, b, np.asarray([[[1.0, 2.0, 4.0]]]), "identity")
    >>> g_w, g_b = xs.networks.cnn_backward(w, b, X, np.asarray([[[1.0, 10.0]]]), "identity")
    >>> g_w[0], g_b[0]
    (array([[[21., 42.]]]), array([11.]))
    """
    rhos = mlp.activations(weights, biases, activation, last_activation)
    check_option(mode, "mode", ("valid", "same", "full"))
    depth = len(rhos)
    states = mlp.named_states(X, depth, "cnn_forward")
    xp, arrays = mlp.enter_layers(weights, biases, **states, loss_gradient=loss_gradient)
    weights, X, g = arrays[:depth], arrays[2 * depth : -1], arrays[-1]
    c, strides = _convolutions(weights, stride)
    mlp.check_shape(g, "loss_gradient", X[-1].shape)
    g = xp.asarray(g, copy=True)  # activations write to it
    g_weights: list[Array] = []
    g_biases: list[Array] = []
    if c < depth:
        columns = _columns(xp, X[c])
        mlp.check_states(weights[c:], arrays[depth + c : 2 * depth], [columns, *X[c + 1 :]], first=c)
        delta, g_weights, g_biases = mlp.backward(xp, weights[c:], [columns, *X[c + 1 :]], g, rhos[c:], to_input=True)
        g = xp.reshape(delta.T, X[c].shape)
    for r in reversed(range(c)):
        g, g_w, g_b = _adjoint(xp, r, weights[r], X[r], X[r + 1], g, rhos[r], stride=strides[r], mode=mode)
        g_weights, g_biases = [g_w, *g_weights], [g_b, *g_biases]
    return g_weights, g_biases


def _value(xp: Namespace, r: int, w: Array, b: Array, z: Array, rho: Activation, **options: Any) -> Array:
    """ρ(w ⋆ z + b)."""
    try:
        return rho.value(xp, convolve(z, w, b, **options))
    except ValueError as error:
        message = f"layer {r}, the convolution of X[{r}] with weights[{r}] and biases[{r}]: {error}"
        raise ValueError(message) from error


def _adjoint(
    xp: Namespace, r: int, w: Array, z: Array, x: Array, e: Array, rho: Activation, **options: Any
) -> tuple[Array | None, Array, Array]:
    """[δ, g_w, g_b] ← G(ε, z, θ), with x the value of the node; at the pictures themselves, r = 0, without δ."""
    M = rho.pull(xp, x, e)
    try:
        return convolve_adjoint(M, z, w, **options) if r else (None, *convolve_kernel_adjoint(M, z, w, **options))
    except ValueError as error:
        message = f"layer {r}, the convolution of X[{r}] with weights[{r}]: {error}"
        raise ValueError(message) from error


def _convolutions(weights: Sequence[Array], stride: int | Sequence[int]) -> tuple[int, list[int]]:
    """How many of the layers are convolutions, and their strides."""
    kinds = [w.ndim > 2 for w in weights]
    c = kinds.index(False) if False in kinds else len(kinds)
    if c == 0 or any(kinds[c:]):
        shapes = ", ".join(str(tuple(w.shape)) for w in weights)
        message = (
            f"weights: expected kernels (O, C, *kernel) and then matrices, got shapes {shapes}. "
            f"For dense layers alone use mlp_forward."
        )
        raise ValueError(message)
    strides: list[Any] = list(stride) if isinstance(stride, tuple | list) else [stride] * c
    if len(strides) != c:
        message = f"stride: expected one number, or {c} of them, one for each convolution, got {stride!r}."
        raise ValueError(message)
    for s in strides:
        check_count(s, "stride", 1)
    return c, strides


def _columns(xp: Namespace, x: Array) -> Array:
    """Pictures (N, C, *space) as columns (C·∏space, N)."""
    return xp.reshape(x, (x.shape[0], -1)).T
