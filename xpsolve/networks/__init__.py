"""Floor 4: small networks.  Activations and losses, the multi-layer perceptron."""

from xpsolve.networks.activations import (
    identity,
    leaky_relu,
    one_hot,
    project_simplex,
    relu,
    sigmoid,
    softmax_jacobian,
    softmax_vjp,
    softplus,
    tanh,
)
from xpsolve.networks.losses import cross_entropy, squared_loss
from xpsolve.networks.mlp import mlp_backward, mlp_forward

__all__ = [
    "cross_entropy",
    "identity",
    "leaky_relu",
    "mlp_backward",
    "mlp_forward",
    "one_hot",
    "project_simplex",
    "relu",
    "sigmoid",
    "softmax_jacobian",
    "softmax_vjp",
    "softplus",
    "squared_loss",
    "tanh",
]
