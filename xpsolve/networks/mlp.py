"""The multi-layer perceptron and its gradient by backpropagation (Peyré 2020, §14.3.6, equation 14.24).

    X_{r+1} = ρ(A_r X_r + b_r 1ᵀ),   r = 0 … R − 1

    M_r = ρ′(A_r X_r + b_r 1ᵀ) ⊙ ∇_{X_{r+1}},   ∇_{A_r} = M_r X_rᵀ,   ∇_{b_r} = M_r 1,   ∇_{X_r} = A_rᵀ M_r

ρ′ is found from X_{r+1}, so that nothing but the X_r is kept, and ∇_{X_0}, which is not needed, is not computed:
three products per layer are the whole cost, and two for the first layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xpsolve.arrays import Array, Namespace, enter
from xpsolve.capabilities import capabilities
from xpsolve.networks.activations import Activation, activation_of


@capabilities(batch="columns of Z", grad="forward, reverse")
def mlp_forward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    Z: Array,
    activation: str = "tanh",
    *,
    last_activation: str | None = None,
) -> list[Array]:
    """Run a multi-layer perceptron and keep what every layer returns.

    Parameters
    ----------
    weights : sequence of array
        [A_0, …, A_{R−1}], A_r of shape (n_{r+1}, n_r).
    biases : sequence of array
        [b_0, …, b_{R−1}], b_r of shape (n_{r+1},).
    Z : array, shape (n_0, N)
        The samples, one per column.
    activation : str
        ρ: "relu", "leaky_relu", "sigmoid", "tanh", "softplus" or "identity".
    last_activation : str, optional
        Another ρ for the last layer, such as "identity" before `cross_entropy`; None is the same.

    Returns
    -------
    list of array
        [X_0, …, X_R], X_0 = Z and X_r of shape (n_r, N).

    Raises
    ------
    TypeError
        If weights or biases are not sequences of real arrays, or libraries are mixed.
    ValueError
        If shapes do not follow each other, devices are mixed, or there is no such activation.

    See Also
    --------
    mlp_backward : Its gradient.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), section 14.3.6.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A = [np.asarray([[1.0, -1.0], [0.0, 1.0]]), np.asarray([[1.0, 1.0]])]
    >>> b = [np.asarray([0.0, 1.0]), np.asarray([0.5])]
    >>> X = xs.mlp_forward(A, b, np.asarray([[3.0], [2.0]]), "relu")
    >>> X[1].ravel(), X[2].ravel()
    (array([1., 3.]), array([4.5]))
    """
    rhos = activations(weights, biases, activation, last_activation)
    xp, arrays = enter_layers(weights, biases, Z=Z)
    depth = len(rhos)
    check_chain(arrays[:depth], arrays[depth:-1], arrays[-1])
    return forward(xp, arrays[:depth], arrays[depth:-1], arrays[-1], rhos)


def forward(
    xp: Namespace, weights: Sequence[Array], biases: Sequence[Array], Z: Array, rhos: Sequence[Activation]
) -> list[Array]:
    """[X_0, …, X_R] of arguments that are checked."""
    X = [Z]
    for A, b, rho in zip(weights, biases, rhos, strict=True):
        inner = A @ X[-1]
        inner += b[:, None]  # the product may be overwritten: it is a new array
        X.append(rho.value(xp, inner))
    return X


@capabilities(batch="columns of Z")
def mlp_backward(
    weights: Sequence[Array],
    biases: Sequence[Array],
    X: Sequence[Array],
    loss_gradient: Array,
    activation: str = "tanh",
    *,
    last_activation: str | None = None,
) -> tuple[list[Array], list[Array]]:
    """Gradients of a loss L(X_R) in all weights and biases, from what `mlp_forward` kept.

    Parameters
    ----------
    weights : sequence of array
        [A_0, …, A_{R−1}], A_r of shape (n_{r+1}, n_r).
    biases : sequence of array
        [b_0, …, b_{R−1}], b_r of shape (n_{r+1},).
    X : sequence of array
        [X_0, …, X_R] from `mlp_forward`.
    loss_gradient : array, shape (n_R, N)
        ∇L at X_R, as `squared_loss` and `cross_entropy` return it.
    activation : str
        ρ, as in `mlp_forward`.
    last_activation : str, optional
        That of the last layer, as in `mlp_forward`.

    Returns
    -------
    g_weights : list of array
        ∇_{A_r}, of the shapes of `weights`.
    g_biases : list of array
        ∇_{b_r}, of the shapes of `biases`.

    Raises
    ------
    TypeError
        If an argument is not a sequence of real arrays, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or there is no such activation.

    See Also
    --------
    mlp_forward : The network.

    References
    ----------
    G. Peyré, Mathematical Foundations of Data Sciences (2020), section 14.3.6.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> A, b = [np.asarray([[1.0, -1.0]])], [np.asarray([0.5])]
    >>> X = xs.mlp_forward(A, b, np.asarray([[3.0], [2.0]]), "identity")
    >>> g_A, g_b = xs.mlp_backward(A, b, X, np.asarray([[10.0]]), "identity")
    >>> g_A[0].ravel(), g_b[0]
    (array([30., 20.]), array([10.]))
    """
    rhos = activations(weights, biases, activation, last_activation)
    depth = len(rhos)
    states = named_states(X, depth, "mlp_forward")
    xp, arrays = enter_layers(weights, biases, **states, loss_gradient=loss_gradient)
    weights, X, g = arrays[:depth], arrays[2 * depth : -1], arrays[-1]
    check_states(weights, arrays[depth : 2 * depth], X)
    check_shape(g, "loss_gradient", X[-1].shape)

    _, g_weights, g_biases = backward(xp, weights, X, xp.asarray(g, copy=True), rhos)
    return g_weights, g_biases


def backward(
    xp: Namespace,
    weights: Sequence[Array],
    X: Sequence[Array],
    g: Array,
    rhos: Sequence[Activation],
    *,
    to_input: bool = False,
) -> tuple[Any, list[Array], list[Array]]:
    """∇_{X_0} where it is needed, and the gradients of all layers, from ∇L at X_R, which is written to."""
    g_weights, g_biases = [], []
    for r in reversed(range(len(weights))):
        M = rhos[r].pull(xp, X[r + 1], g)
        g_weights.append(M @ X[r].T)
        g_biases.append(xp.sum(M, axis=1))
        if r > 0 or to_input:
            g = weights[r].T @ M
    return g if to_input else None, g_weights[::-1], g_biases[::-1]


def activations(
    weights: Sequence[Array], biases: Sequence[Array], activation: str, last_activation: str | None
) -> list[Activation]:
    """One for each layer, of which there must be as many weights as biases."""
    rho = activation_of(activation, "activation")
    last = rho if last_activation is None else activation_of(last_activation, "last_activation")
    for layers, name in ((weights, "weights"), (biases, "biases")):
        if not isinstance(layers, list | tuple):
            message = f"{name}: expected a list of arrays, one per layer, got {type(layers).__qualname__}."
            raise TypeError(message)
    if not weights or len(biases) != len(weights):
        message = f"biases: expected as many as weights and at least one, got {len(biases)} and {len(weights)}."
        raise ValueError(message)
    return [rho] * (len(weights) - 1) + [last]


def enter_layers(weights: Sequence[Array], biases: Sequence[Array], **others: Array) -> tuple[Namespace, list[Array]]:
    """Check the arguments of a network: weights, biases and other arrays."""
    layers = {f"weights[{r}]": A for r, A in enumerate(weights)} | {f"biases[{r}]": b for r, b in enumerate(biases)}
    return enter(**layers, **others)


def named_states(X: Any, depth: int, maker: str) -> dict[str, Array]:
    """The states that `maker` kept, by names for messages."""
    if not isinstance(X, list | tuple) or len(X) != depth + 1:
        found = len(X) if isinstance(X, list | tuple) else type(X).__qualname__
        message = f"X: expected the list of {depth + 1} arrays that {maker} returned, got {found}."
        raise ValueError(message)
    return {f"X[{r}]": x for r, x in enumerate(X)}


def check_states(weights: Sequence[Array], biases: Sequence[Array], X: Sequence[Array], *, first: int = 0) -> None:
    """Raise unless layers chain and have returned states of these shapes; `first` is the number of the first layer."""
    check_chain(weights, biases, X[0], first=first)
    for r, A in enumerate(weights):
        check_shape(X[r + 1], f"X[{first + r + 1}]", (A.shape[0], X[0].shape[1]))


def check_chain(weights: Sequence[Array], biases: Sequence[Array], Z: Array, *, first: int = 0) -> None:
    """Raise unless A_r is (n_{r+1}, n_r), b_r (n_{r+1},) and Z (n_0, N)."""
    if Z.ndim != 2:
        message = f"Z: expected shape (n_0, N), one sample per column, got {tuple(Z.shape)}."
        raise ValueError(message)
    n = Z.shape[0]
    for r, (A, b) in enumerate(zip(weights, biases, strict=True), first):
        if A.ndim != 2 or A.shape[1] != n:
            message = f"weights[{r}]: expected shape (n_{r + 1}, {n}), got {tuple(A.shape)}. Layers must chain."
            raise ValueError(message)
        n = A.shape[0]
        check_shape(b, f"biases[{r}]", (n,))


def check_shape(x: Array, name: str, shape: tuple[int, ...]) -> None:
    """Raise unless x has this shape."""
    if tuple(x.shape) != tuple(shape):
        message = f"{name}: expected shape {tuple(shape)}, got {tuple(x.shape)}."
        raise ValueError(message)
