"""Recurrent and residual networks: one step repeated with the same parameters (Peyré 2020, §14.3.7).

    recurrent  h_k = ρ(W h_{k−1} + V u_k + b 1ᵀ),  o_k = C h_k + c 1ᵀ      θ = (W, V, b, C, c),  inputs u_1 … u_t
    residual   x_k = x_{k−1} + W₂ᵀ ρ(W₁ x_{k−1})                           θ = (W₁, W₂)

The gradient in θ is the sum of those of all steps, by `autodiff.scan_gradient` with as much memory as there is.

With W₂ = −τW₁ and ρ = ψ′ the residual network is gradient descent on E(x) = Σ_i ψ((W₁x)_i), the gradient flow of E in
steps of τ; E falls at every step if τ ≤ 2/(max ρ′·‖W₁‖²).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xpsolve.arrays import Array, Namespace, check_count, check_function, check_ndim, check_option, device_of, enter
from xpsolve.autodiff import scan_gradient
from xpsolve.capabilities import capabilities
from xpsolve.networks.activations import ACTIVATIONS, LEAK, activation_of

Recurrent = tuple[Array, Array, Array, Array, Array]  # W, V, b, C, c
Residual = tuple[Array, Array]  # W₁, W₂


@capabilities(batch="last axis", grad="forward, reverse")
def recurrent_step(x: tuple[Array, Array], theta: Recurrent, u: Array, activation: str = "tanh") -> tuple[Array, Array]:
    """The next state h and output o of a recurrent network: one step for `autodiff.scan_gradient`.

    Parameters
    ----------
    x : tuple of array
        (h, o) of the step before, (n, N) and (m, N); o is not used.
    theta : tuple of array
        W (n, n), V (n, d), b (n,), C (m, n) and c (m,).
    u : array, shape (d, N)
        The input of the step, one sample per column.
    activation : str
        ρ, as in `mlp_forward`.

    Returns
    -------
    tuple of array
        h⁺ = ρ(W h + V u + b 1ᵀ) and o⁺ = C h⁺ + c 1ᵀ.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If there is no such activation, or devices are mixed.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> one, no = np.ones((1, 1)), np.zeros(1)
    >>> h, o = xs.networks.recurrent_step((2 * one, one), (one, one, no, 10 * one, no), 3 * one, "identity")
    >>> h.ravel(), o.ravel()
    (array([5.]), array([50.]))
    """
    rho = activation_of(activation, "activation")
    xp, (h, _, W, V, b, C, c, u) = enter(**_named(x, "x", "h, o"), **_named(theta, "theta", "W, V, b, C, c"), u=u)
    check_ndim(u, "u", 2, shape="(d, N)")
    _check_recurrent([W, V, b, C, c], u.shape[0])
    if tuple(h.shape) != (W.shape[0], u.shape[1]):
        message = f"h: expected shape (n, N) = {(W.shape[0], u.shape[1])}, got {tuple(h.shape)}."
        raise ValueError(message)
    h = rho.value(xp, W @ h + V @ u + b[:, None])
    return h, C @ h + c[:, None]


@capabilities(batch="last axis")
def recurrent_gradient(
    theta: Recurrent,
    U: Array,
    loss: Callable[[Array], Array],
    activation: str = "tanh",
    *,
    memory: str = "store",
    slots: int | str | None = None,
) -> tuple[Array, Recurrent]:
    """Value and gradient of loss(o_t) in all parameters, for sequences that start from h_0 = 0.

    Parameters
    ----------
    theta : tuple of array
        W (n, n), V (n, d), b (n,), C (m, n) and c (m,).
    U : array, shape (t, d, N)
        The inputs u_1, …, u_t of N sequences.
    loss : callable
        The last outputs (m, N) to a 0-d array.
    activation : str
        ρ, as in `mlp_forward`.
    memory, slots
        As in `autodiff.scan_gradient`: "store", or "checkpoint" in as many slots.

    Returns
    -------
    value : array, 0-d
        loss(o_t).
    gradient : tuple of array
        In W, V, b, C and c, summed over the steps.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or an option is unknown.

    See Also
    --------
    recurrent_step : One step.
    train : Descends with it.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> one, no = np.ones((1, 1)), np.zeros(1)
    >>> U = np.asarray([1.0, 2.0, 3.0]).reshape(3, 1, 1)
    >>> value, (g_W, *_) = xs.networks.recurrent_gradient((one, one, no, one, no), U, lambda o: o[0, 0], "identity")
    >>> float(value), g_W.ravel()
    (6.0, array([4.]))
    """
    activation_of(activation, "activation")
    check_function(loss, "loss")
    xp, (*arrays, U) = enter(**_named(theta, "theta", "W, V, b, C, c"), U=U)
    check_ndim(U, "U", 3, shape="(t, d, N)")
    _check_recurrent(arrays, U.shape[1])
    h, o = (_zeros(xp, U, rows) for rows in (arrays[0].shape[0], arrays[3].shape[0]))
    inputs = [U[k, ...] for k in range(U.shape[0])]
    value, _, gradient = scan_gradient(
        lambda x, theta, u: recurrent_step(x, theta, u, activation),
        (h, o),
        tuple(arrays),
        lambda x: loss(x[1]),
        memory=memory,
        slots=slots,
        n_steps=len(inputs),
        inputs=inputs,
    )
    return value, gradient


@capabilities(batch="last axis", grad="forward, reverse")
def residual_step(x: Array, theta: Residual, activation: str = "tanh") -> Array:
    """x + W₂ᵀ ρ(W₁ x), one step of a residual network.

    Parameters
    ----------
    x : array, shape (n,) or (n, N)
        The state.
    theta : tuple of array
        W₁ and W₂, both (q, n) for q hidden neurons.
    activation : str
        ρ, as in `mlp_forward`.

    Returns
    -------
    array
        In the shape of x.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or there is no such activation.

    See Also
    --------
    flow_energy : What it descends where W₂ = −τW₁.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> W = np.asarray([[2.0, 0.0]])
    >>> xs.networks.residual_step(np.asarray([1.0, 5.0]), (W, -0.1 * W), "identity")
    array([0.6, 5. ])
    """
    rho = activation_of(activation, "activation")
    xp, (x, first, second) = enter(x=x, **_named(theta, "theta", "theta[0], theta[1]"))
    _check_residual(x, first, second)
    return x + second.T @ rho.value(xp, first @ x)


@capabilities(batch="last axis")
def residual_gradient(
    theta: Residual,
    x: Array,
    loss: Callable[[Array], Array],
    activation: str = "tanh",
    *,
    n_steps: int,
    memory: str = "store",
    slots: int | str | None = None,
) -> tuple[Array, Array, Residual]:
    """Value and gradients of loss(x_t) for t steps of a residual network that share W₁ and W₂.

    Parameters
    ----------
    theta : tuple of array
        W₁ and W₂, both (q, n).
    x : array, shape (n,) or (n, N)
        x_0.
    loss : callable
        x_t to a 0-d array.
    activation : str
        ρ, as in `mlp_forward`.
    n_steps : int
        t.
    memory, slots
        As in `autodiff.scan_gradient`: "store", or "checkpoint" in as many slots.

    Returns
    -------
    value : array, 0-d
        loss(x_t).
    x_gradient : array
        In x_0.
    theta_gradient : tuple of array
        In W₁ and W₂, summed over the steps.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or an option is unknown.

    See Also
    --------
    residual_step : One step.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> W = np.ones((1, 1))
    >>> value, g_x, _ = xs.networks.residual_gradient((W, W), np.ones(1), lambda x: x[0], "identity", n_steps=3)
    >>> float(value), g_x
    (8.0, array([8.]))
    """
    activation_of(activation, "activation")
    check_function(loss, "loss")
    check_count(n_steps, "n_steps", 1)
    _, (x, first, second) = enter(x=x, **_named(theta, "theta", "theta[0], theta[1]"))
    _check_residual(x, first, second)
    return scan_gradient(
        lambda x, theta: residual_step(x, theta, activation),
        x,
        (first, second),
        loss,
        memory=memory,
        slots=slots,
        n_steps=n_steps,
    )


def _log_cosh(xp: Namespace, u: Array) -> Array:
    size = xp.abs(u)
    return size + xp.log1p(xp.expm1(-2 * size) / 2)  # log((1 + e^−2|u|)/2)


def _half_square(xp: Namespace, u: Array) -> Array:
    return 0.5 * u * u


_ENERGIES: dict[str, Callable[[Namespace, Array], Array]] = {  # ψ with ψ′ = ρ
    "tanh": _log_cosh,
    "relu": lambda xp, u: _half_square(xp, ACTIVATIONS["relu"].value(xp, u)),
    "leaky_relu": lambda xp, u: _half_square(xp, u) * xp.where(u > 0, xp.ones_like(u), xp.full_like(u, LEAK)),
    "sigmoid": lambda xp, u: ACTIVATIONS["softplus"].value(xp, u),
    "identity": _half_square,
}


@capabilities(batch="last axis", grad="forward, reverse")
def flow_energy(x: Array, W: Array, activation: str = "tanh") -> Array:
    """E(x) = Σ_i ψ((W x)_i) with ψ′ = ρ, which a residual network with W₁ = W and W₂ = −τW descends.

    Parameters
    ----------
    x : array, shape (n,) or (n, N)
        The state.
    W : array, shape (q, n)
        W₁.
    activation : str
        ρ: "tanh", with ψ = log cosh, "relu", "leaky_relu", "sigmoid" or "identity".

    Returns
    -------
    array, shape () or (N,)
        The energy of each column.

    Raises
    ------
    TypeError
        If an argument is not a real array, or libraries are mixed.
    ValueError
        If shapes do not fit, devices are mixed, or ρ has no ψ here.

    See Also
    --------
    residual_step : x − τ∇E(x) for these weights.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> W = np.asarray([[2.0, 0.0]])
    >>> xs.networks.flow_energy(np.asarray([1.0, 5.0]), W, "identity")
    array(2.)
    """
    xp, (x, W) = enter(x=x, W=W)
    check_option(activation, "activation", tuple(_ENERGIES))
    _check_residual(x, W, W)
    return xp.asarray(xp.sum(_ENERGIES[activation](xp, W @ x), axis=0))


def _named(arrays: Any, argument: str, names: str) -> dict[str, Array]:
    """A tuple of arrays by their names for messages."""
    wanted = names.split(", ")
    if not isinstance(arrays, tuple | list):
        message = f"{argument}: expected a tuple ({names}), got an object of type {type(arrays).__qualname__}."
        raise TypeError(message)
    if len(arrays) != len(wanted):
        message = f"{argument}: expected a tuple ({names}) of {len(wanted)} arrays, got {len(arrays)}."
        raise ValueError(message)
    return dict(zip(wanted, arrays, strict=True))


def _check_recurrent(theta: list[Array], inputs: int) -> None:
    W, V, b, C, c = theta
    for name, array in (("W", W), ("C", C)):
        check_ndim(array, f"theta: {name}", 2, shape="(n, n)" if name == "W" else "(m, n)")
    n, m = W.shape[0], C.shape[0]
    wanted = {"W": (W, (n, n)), "V": (V, (n, inputs)), "b": (b, (n,)), "C": (C, (m, n)), "c": (c, (m,))}
    for name, (array, shape) in wanted.items():
        if tuple(array.shape) != shape:
            message = f"theta: expected {name} of shape {shape}, got {tuple(array.shape)}."
            raise ValueError(message)


def _check_residual(x: Array, first: Array, second: Array) -> None:
    check_ndim(x, "x", 1, 2, shape="(n,) or (n, N)")
    if first.ndim != 2 or first.shape[1] != x.shape[0] or second.shape != first.shape:
        message = (
            f"theta: expected W₁ and W₂ of one shape (q, {x.shape[0]}), got {tuple(first.shape)} and "
            f"{tuple(second.shape)}."
        )
        raise ValueError(message)


def _zeros(xp: Namespace, U: Array, rows: int) -> Any:
    return xp.zeros((rows, U.shape[2]), dtype=U.dtype, device=device_of(U))
