"""Floor 3: entropic optimal transport.  Sinkhorn's iterations, gradients, divergence and barycentres."""

from xpsolve.transport.geometry import Grid, PointCloud
from xpsolve.transport.sinkhorn import TransportSolution, sinkhorn

__all__ = ["Grid", "PointCloud", "TransportSolution", "sinkhorn"]
