"""What the figures on unrolled networks share: training, and the networks of the first layers."""

from __future__ import annotations

import warnings
from typing import Any

import xpsolve as xs
from xpsolve.networks import Lista


def trained(D: Any, lam: float, n_layers: int, X: Any, *, kind: str = "step", **options: Any) -> Lista:
    """A network trained for the given number of iterations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        return xs.lista(D, lam, n_layers, kind=kind).fit(X, **options)


def first_layers(network: Lista, n_layers: int) -> Lista:
    """The network of its first layers."""
    part = xs.lista(network.D, network.lam, n_layers, kind=network.kind)
    part.parameters = tuple(p[:n_layers, ...] for p in network.parameters)
    return part
