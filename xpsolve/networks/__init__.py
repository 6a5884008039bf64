"""Floor 4: small networks.  Activations and losses, the multi-layer perceptron, prediction as inversion."""

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
from xpsolve.networks.cnn import cnn_backward, cnn_forward
from xpsolve.networks.inversion import fit_inverse, invert
from xpsolve.networks.lista import Lista, lista
from xpsolve.networks.losses import cross_entropy, squared_loss
from xpsolve.networks.mlp import mlp_backward, mlp_forward
from xpsolve.networks.train import train

__all__ = [
    "Lista",
    "cnn_backward",
    "cnn_forward",
    "cross_entropy",
    "fit_inverse",
    "identity",
    "invert",
    "leaky_relu",
    "lista",
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
    "train",
]
