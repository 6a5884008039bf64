"""Small networks: activations, losses, perceptrons, convolutional and recurrent nets, training, inversion."""

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
from xpsolve.networks.recurrent import (
    flow_energy,
    recurrent_gradient,
    recurrent_step,
    residual_gradient,
    residual_step,
)
from xpsolve.networks.single_layer import single_layer, single_layer_adjoint
from xpsolve.networks.train import train

__all__ = [
    "Lista",
    "cnn_backward",
    "cnn_forward",
    "cross_entropy",
    "fit_inverse",
    "flow_energy",
    "identity",
    "invert",
    "leaky_relu",
    "lista",
    "mlp_backward",
    "mlp_forward",
    "one_hot",
    "project_simplex",
    "recurrent_gradient",
    "recurrent_step",
    "relu",
    "residual_gradient",
    "residual_step",
    "sigmoid",
    "single_layer",
    "single_layer_adjoint",
    "softmax_jacobian",
    "softmax_vjp",
    "softplus",
    "squared_loss",
    "tanh",
    "train",
]
