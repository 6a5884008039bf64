"""Costs of unrolled iterations: learned ISTA and its training, inversion by gradient steps."""

from __future__ import annotations

from dataclasses import replace

from xpsolve.costs.model import CHECK_EVERY, Cost, gemm, largest_singular_value
from xpsolve.trace.launches import joined

LISTA_KINDS = ("step", "full", "coupled")
_LISTA_FORWARD = {"step": 7, "full": 4, "coupled": 5}  # launches of a layer


# Launches of a training: before it, and for each layer then; of an iteration, and for each layer in it; of a look at
# the gradient; of a layer that is trained alone, besides its iterations; and of the step from one such to the next.
_LISTA_FIT = {
    "step": (70, 301, 40, 14, 17, 92, 0),
    "full": (125, 8, 52, 8, 34, 142, 3),
    "coupled": (97, 11, 44, 11, 25, 114, 4),
}


# Of a gradient: arrays of which every layer has one, and that are joined; and what else of it is more than one launch.
_LISTA_JOINED = {"step": (3, 0), "full": (4, 2), "coupled": (3, 1)}


_LISTA_NEW = {"step": (2, 1), "full": (9, 3), "coupled": (4, 2)}  # launches of first parameters; parts of a layer


_POWER_STEPS = 20  # for the norms of the supports


def lista(n: int, m: int, samples: int, n_layers: int, *, kind: str = "step", itemsize: int = 8) -> Cost:
    """The prediction of an unrolled ISTA: T layers on N samples, with D of n × m.

    A layer with D and its transpose costs 4nmN flops, one with free matrices 2(m² + nm)N.

    Parameters
    ----------
    n, m, samples, n_layers : int
        Shape of D, N and T.
    kind : str
        "step", "full" or "coupled".
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one call of ``predict``.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.lista(10, 20, 100, 3).flops
    240000
    """
    if kind not in LISTA_KINDS:
        message = f"kind: expected one of {', '.join(LISTA_KINDS)}, got {kind!r}."
        raise ValueError(message)
    total = n_layers * _lista_layer(n, m, samples, kind, itemsize)
    kept = itemsize * samples * m * (n_layers + 1)
    return replace(total, launches=_LISTA_FORWARD[kind] * n_layers + 1, syncs=0, memory=kept)


def _lista_layer(n: int, m: int, samples: int, kind: str, itemsize: int) -> Cost:
    first = gemm(samples, m, m, itemsize=itemsize) if kind == "full" else gemm(samples, n, m, itemsize=itemsize)
    return first + gemm(samples, m, n, itemsize=itemsize)


def _lista_gradient(n: int, m: int, samples: int, n_layers: int, kind: str, itemsize: int) -> Cost:
    """Forth, the unsupervised loss and its gradient, back, and the products that weights need."""
    layer, pair = (_lista_layer(n, m, samples, k, itemsize) for k in (kind, "step"))
    back = gemm(samples, m, m, itemsize=itemsize) if kind == "full" else pair
    into = n_layers * gemm(m, n, samples, itemsize=itemsize) if kind != "step" else Cost()
    if kind == "full":
        into += n_layers * gemm(m, m, samples, itemsize=itemsize)
    return n_layers * layer + pair + (n_layers - 1) * back + into


def lista_fit(
    n: int,
    m: int,
    samples: int,
    n_layers: int,
    *,
    kind: str = "step",
    layer_iter: int = 20,
    n_iter: int = 200,
    new: bool = False,
    itemsize: int = 8,
) -> Cost:
    """Unsupervised training of an unrolled ISTA: each layer alone, then all together.

    Steps need the norms of the supports before, 20 products with D and as many with its transpose a layer.

    Parameters
    ----------
    n, m, samples, n_layers : int
        Shape of D, N and T.
    kind : str
        "step", "full" or "coupled".
    layer_iter, n_iter : int
        Iterations of a layer alone, and of all together.
    new : bool
        Whether the network is made first.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one call of ``fit``.

    Raises
    ------
    ValueError
        If there is no such kind.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.lista_fit(10, 20, 100, 3, n_iter=10).syncs
    8
    """
    forward = lista(n, m, samples, 1, kind=kind, itemsize=itemsize)
    start, each, iteration, in_layer, look, alone, passing = _LISTA_FIT[kind]
    checks = 1 + -(-n_iter // CHECK_EVERY)
    total = (n_iter + 1) * _lista_gradient(n, m, samples, n_layers, kind, itemsize)
    parts, more = _LISTA_JOINED[kind]
    launches = start + (n_iter + 1) * (parts * (joined(n_layers) - 1) + more)
    launches += each * n_layers + (iteration + in_layer * n_layers) * n_iter + look * (checks - 1)
    if new:
        first, parts = _LISTA_NEW[kind]
        norm = largest_singular_value(n, m, itemsize=itemsize)
        launches += first + parts * joined(n_layers) + norm.launches
        total += norm
        total += Cost(2 * n * m * m) if kind == "full" else Cost()  # DᵀD
    if kind == "step":
        launches += joined(n_layers) - 1
        total += (n_layers * (_POWER_STEPS + 1)) * _lista_layer(n, m, samples, kind, itemsize)
    if kind == "step" or layer_iter:
        total += (n_layers - 1) * forward
    if layer_iter:
        total += (n_layers * (layer_iter + 1)) * _lista_gradient(n, m, samples, 1, kind, itemsize)
        launches += n_layers * (alone + (iteration + in_layer + more) * layer_iter + more) + passing * (n_layers - 1)
        checks += 2 * n_layers
    kept = itemsize * samples * m * (3 * n_layers + 2)
    return replace(total, launches=launches, syncs=checks, memory=kept)


def invert(n: int, p: int, n_steps: int, *, itemsize: int = 8) -> Cost:
    """Gradient steps on ½‖x − Ay‖², A (n, p): two products each."""
    return n_steps * (gemm(n, 1, p, itemsize=itemsize) + gemm(p, 1, n, itemsize=itemsize) + Cost(launches=3))


def fit_inverse(
    n: int, p: int, *, n_steps: int = 20, n_unrolled: int | None = None, n_iter: int = 100, itemsize: int = 8
) -> Cost:
    """Learning A (n, p) through the inversion of f(y) = Ay: a prediction an iteration, and a tape through its steps.

    Of the U steps on the tape each costs its two products, as many for what goes back through them, and one outer
    product; the first has no state before it.

    Parameters
    ----------
    n, p : int
        Shape of A.
    n_steps : int
        Steps of a prediction, N.
    n_unrolled : int, optional
        Steps on the tape, U; all of them if None.
    n_iter : int
        Iterations.
    itemsize : int
        Bytes per number.

    Returns
    -------
    Cost
        Of one call.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.fit_inverse(10, 10, n_steps=2, n_iter=0).flops
    800
    """
    unrolled = n_steps if n_unrolled is None else n_unrolled
    product = gemm(n, 1, p, itemsize=itemsize)
    prediction = invert(n, p, n_steps, itemsize=itemsize)
    back = (5 * unrolled - 1) * product
    total = (n_iter + 1) * prediction + n_iter * back
    launches = 8 + 5 * n_steps + n_iter * (2 + 5 * n_steps + 14 * unrolled)
    kept = itemsize * unrolled * (2 * n * p + 6 * (n + p))
    return replace(
        total, launches=launches, syncs=1 + -(-n_iter // CHECK_EVERY), memory=kept, taped=n_iter * 14 * unrolled
    )
