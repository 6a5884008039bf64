"""Costs of networks: soft maxima, perceptrons, convolutional, recurrent and residual networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xpsolve.costs.autodiff import scan_slots, scan_steps
from xpsolve.costs.model import Cost, counted, gemm
from xpsolve.costs.operators import convolve, convolve_adjoint, convolve_kernel_adjoint

STREAM_LOOK = 100
"""Steps of a stream of `networks.train` between two looks at whether the loss is finite."""


def logsumexp(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: read, less their maximum, exponentials and a sum."""
    return Cost(0, itemsize * (6 * n * p + n), 13, 0, 2 * itemsize * n * p)


def softmax(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: read, less their maximum, exponentials, a sum and a quotient."""
    return Cost(0, itemsize * 8 * n * p, 7, 0, 2 * itemsize * n * p)


def softmax_jacobian(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p: softmax, and then diag(p) − ppᵀ in p² numbers per row."""
    return softmax(n, p, itemsize=itemsize) + Cost(
        0, itemsize * (3 * n * p * p + 2 * n * p), 4, 0, itemsize * n * p * p
    )


def softmax_vjp(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """The product of n rows of p with the same matrices, p ⊙ (g − ⟨p, g⟩), without them."""
    return softmax(n, p, itemsize=itemsize) + Cost(0, itemsize * 9 * n * p, 4, 0, 2 * itemsize * n * p)


def one_hot(n: int, m: int, *, check_labels: bool = True, itemsize: int = 8) -> Cost:
    """n labels compared with m classes, after a check that they are integers in range."""
    look = Cost(0, 6 * n + 16 * n, 4, 1, 2 * n) if check_labels else Cost()
    return look + Cost(0, (itemsize + 2) * n * m + 8 * (n + m), 3, 0, (itemsize + 1) * n * m)


def mlp(depth: int, width: int, batch: int, *, itemsize: int = 8) -> Cost:
    """A perceptron with tanh, forward and backward: R layers of one width w on N samples (eq. 14.24).

    Three products per layer, 6w²N flops, except for the input gradient of the first, which is not needed.

    Parameters
    ----------
    depth, width, batch : int
        R, w and N.
    itemsize : int
        Bytes per number.

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
    return replace(total, launches=total.launches + 6 * depth + 1, syncs=0, memory=kept)


def project_simplex(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """n rows of p, each sorted, summed up and cut: 12 launches."""
    return Cost(0, itemsize * 18 * n * p, 12, 0, itemsize * 4 * n * p)


def single_layer(inputs: int, width: int, outputs: int, batch: int, *, itemsize: int = 8) -> Cost:
    """B σ(A y + b) with tanh and all its gradients: three products with A and three with B."""
    first = gemm(width, batch, inputs, itemsize=itemsize)
    last = gemm(outputs, batch, width, itemsize=itemsize)
    return 3 * (first + last) + Cost(launches=6, memory=itemsize * 3 * width * batch)


def recurrent(
    depth: int,
    width: int,
    batch: int,
    *,
    inputs: int = 1,
    outputs: int = 1,
    memory: str = "store",
    slots: int | str | None = None,
    itemsize: int = 8,
) -> Cost:
    """Gradient of t steps h ← tanh(W h + V u + b), o ← C h + c for N sequences, of a loss of two launches.

    Parameters
    ----------
    depth, width, batch : int
        t, n (the length of h) and N.
    inputs, outputs : int
        Lengths of u and of o.
    memory, slots
        As in `autodiff.scan_gradient`.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one value and gradient.

    Examples
    --------
    >>> from xpsolve import costs
    >>> one, two, three = (costs.recurrent(t, 10, 5).flops for t in (1, 2, 3))
    >>> three - two == two - one
    True
    """
    own = gemm(width, batch, width, itemsize=itemsize)
    read = gemm(width, batch, inputs, itemsize=itemsize)
    written = gemm(outputs, batch, width, itemsize=itemsize)
    step = own + read + written
    back = 2 * own + read + 2 * written  # the gradient at the inputs is not needed
    plain = scan_steps(depth, memory=memory, slots=slots)
    total = (plain + depth) * step + depth * back
    launches = 7 * plain + 25 * depth + 4
    kept = itemsize * batch * (width + outputs) * _kept(depth, memory, slots)
    return replace(total, launches=launches, memory=kept, taped=25 * depth)


def residual(
    depth: int,
    width: int,
    hidden: int,
    batch: int,
    *,
    memory: str = "store",
    slots: int | str | None = None,
    itemsize: int = 8,
) -> Cost:
    """Gradient of t steps x ← x + W₂ᵀ tanh(W₁ x), q × n being W₁, for N samples, of a loss of two launches.

    Parameters
    ----------
    depth, width, hidden, batch : int
        t, n, q and N.
    memory, slots
        As in `autodiff.scan_gradient`.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one value and gradient.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.residual(2, 10, 20, 5).flops == 14 * 2 * 10 * 20 * 5
    True
    """
    step = gemm(hidden, batch, width, itemsize=itemsize) + gemm(width, batch, hidden, itemsize=itemsize)
    plain = scan_steps(depth, memory=memory, slots=slots)
    total = (plain + depth) * step + 2 * depth * step
    launches = 4 * plain + 15 * depth + 4
    kept = itemsize * batch * width * _kept(depth, memory, slots)
    return replace(total, launches=launches, memory=kept, taped=15 * depth)


def _kept(depth: int, memory: str, slots: int | str | None) -> int:
    """States that are kept."""
    return depth if memory == "store" else scan_slots(depth, slots)


def cnn(
    depth: int, side: int, channels: int, batch: int, *, k: int = 3, classes: int = 10, dim: int = 2, itemsize: int = 8
) -> Cost:
    """A convolutional network with tanh, forward and backward: R convolutions of one width, and a dense layer.

    All have c channels and kernels of k taps per side on N pictures of n pixels per side, whose size stays (mode
    "same").  A convolution costs 2c²k²n²N flops forward and twice that backward, except for the input gradient of the
    first.

    Parameters
    ----------
    depth, side, channels, batch : int
        R, n, c and N.
    k, classes, dim : int
        Taps a side, outputs of the dense layer, and the dimension of the pictures.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of `cnn_forward` and `cnn_backward` together.

    Examples
    --------
    >>> from xpsolve import costs
    >>> one, two, three = (costs.cnn(depth, 8, 16, 32).flops for depth in (1, 2, 3))
    >>> three - two == two - one
    True
    """
    sizes: dict[str, Any] = {
        "dim": dim,
        "batch": batch,
        "c": channels,
        "o": channels,
        "mode": "same",
        "itemsize": itemsize,
    }
    forth = convolve(side, k, method="auto", **sizes)
    back = convolve_adjoint(side, k, method="auto", **sizes)
    total = depth * forth + (depth - 1) * back + convolve_kernel_adjoint(side, k, **sizes)
    state = channels * side**dim
    dense = gemm(classes, batch, state, itemsize=itemsize)
    total += 2 * dense + gemm(classes, state, batch, itemsize=itemsize)
    kept = itemsize * batch * (depth + 1) * state
    launches = total.launches + 5 * depth + 12  # pointwise work, and columns of pictures
    return replace(total, launches=launches, memory=kept + total.memory)


def train(depth: int, width: int, batch: int, *, batches: int = 1, itemsize: int = 8) -> Cost:
    """Training of the perceptron of `mlp` on batches, with a loss of six launches: a step of momentum for each.

    A step moves 2R arrays, w² + w numbers a layer, by 4 launches each.

    Parameters
    ----------
    depth, width, batch : int
        R, w and N.
    batches : int
        How many.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of the whole stream, which is independent of how many samples came before.

    Examples
    --------
    >>> from xpsolve import costs
    >>> one, two, three = (costs.train(4, 10, 20, batches=k).launches for k in (1, 2, 3))
    >>> three - two == two - one
    True
    """
    entries = depth * (width * width + width)
    momentum = Cost(bytes=10 * itemsize * entries, memory=4 * itemsize * entries)  # of 4 operations on 2 arrays or 1
    own = counted(
        batches * momentum,
        "train, stream",
        later_batch=batches - 1,
        look=batches // STREAM_LOOK,
        array=2 * depth,
        array_step=2 * depth * batches,
    )
    return own + batches * (mlp(depth, width, batch, itemsize=itemsize) + Cost(launches=6))
