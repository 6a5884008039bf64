"""Entropic optimal transport: Sinkhorn's iterations, gradients, divergence and barycentres."""

from xpsolve.transport.answer import TransportSolution
from xpsolve.transport.barycenter import barycenter
from xpsolve.transport.divergence import sinkhorn_divergence
from xpsolve.transport.geometry import Grid
from xpsolve.transport.gradient import sinkhorn_gradient
from xpsolve.transport.points import PointCloud
from xpsolve.transport.sinkhorn import sinkhorn

__all__ = [
    "Grid",
    "PointCloud",
    "TransportSolution",
    "barycenter",
    "sinkhorn",
    "sinkhorn_divergence",
    "sinkhorn_gradient",
]
