"""Costs of networks: soft maxima, perceptrons."""

from __future__ import annotations

from xpsolve.costs.model import Cost, gemm


def logsumexp(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: read, less their maximum, exponentials and a sum."""
    return Cost(0, itemsize * (6 * n * p + n), 13, 0, 2 * itemsize * n * p)


def softmax(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: read, less their maximum, exponentials, a sum and a quotient."""
    return Cost(0, itemsize * 8 * n * p, 7, 0, 2 * itemsize * n * p)


def mlp(depth: int, width: int, batch: int, *, itemsize: int = 8) -> Cost:
    """A perceptron with tanh, forth and back: R layers of one width w on N samples (eq. 14.24).

    Three products a layer, 6w²N flops, but for the input gradient of the first, which nobody asks for.

    Parameters
    ----------
    depth, width, batch : int
        R, w and N.
    itemsize : int
        Bytes a number.

    Returns
    -------
    Cost
        Of `mlp_forward` and `mlp_backward` together.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.mlp(2, 10, 100).flops
    100000
    """
    state = gemm(width, batch, width, itemsize=itemsize)  # A X, and Aᵀ M
    weight = gemm(width, width, batch, itemsize=itemsize)  # M Xᵀ
    kept = itemsize * (2 * depth * width * batch + depth * width * width)
    total = (2 * depth - 1) * state + depth * weight
    return Cost(total.flops, total.bytes, total.launches + 6 * depth + 1, 0, kept)
