"""Networks: convolutions, softmax, depth, digits, and unrolled networks that learn the lasso.

Sources: MFDS ch. 2, 12, 14 and 15; K. Gregor & Y. LeCun, Learning fast approximations of sparse coding (2010);
P. Ablin, T. Moreau, M. Massias & A. Gramfort, Learning step sizes for unfolded sparse coding (2019).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.costs import CONVOLUTION_METHODS
from xpsolve.networks import Lista
from xpsolve.report.formats import share
from xpsolve.report.gallery._clock import times
from xpsolve.report.gallery._picture import GUIDE, name_ends, picture
from xpsolve.report.style import COLOURS, FAINT, note, panels, set_axes

SIDES, KERNELS = (16, 32, 64, 128, 256), (1, 3, 5, 7, 9, 13, 21)
LAYERS = {"one channel": (1, 1, 1), "8 channels to 8": (1, 8, 8)}  # batch, channels, kernels
NEAR, LARGEST = 1.15, 5e7  # a choice this close to the best counts as right; multiply-adds of one call


def contest(backend: Backend, n: int, k: int, batch: int, c: int, o: int) -> tuple[dict[str, float], str]:
    """Seconds by each method of convolution, and the one of least cost."""
    rng = np.random.default_rng(0)
    z, w = (backend.asarray(rng.standard_normal(s), dtype="float32") for s in ((batch, c, n, n), (o, c, k, k)))
    calls = {m: partial(xs.convolve, z, w, mode="same", method=m) for m in CONVOLUTION_METHODS}
    cost = partial(xs.costs.convolve, n, k, batch=batch, c=c, o=o, mode="same", itemsize=4)
    return times(backend, calls, rounds=3), xs.costs.cheapest({m: cost(method=m) for m in CONVOLUTION_METHODS})


@picture("convolution", seconds=2.0, timed=True)
def convolution_map(backend: Backend, *, sides: tuple[int, ...] = SIDES, kernels: tuple[int, ...] = KERNELS) -> Any:
    """Patches win for small kernels, transforms for large ones

    Two maps over the side of the picture, 16 to 256, and that of the kernel, 1 to 21, with the marker of the fastest
    method. Left, one channel; right, eight to eight. Circles, im2col, fill the rows of small kernels, diamonds, fft,
    those of large ones; squares, shift, lie at kernels of one pixel and near the border.

    xs.convolve in float32, mode "same", on the machine that drew it. Numbers: the time of method="auto" over that of
    the fastest, where above 1.15. The largest layers are left out. After the convolution theorem in MFDS, ch. 2.
    """
    figure, panes = panels(2, height=3.9, sharey=True, marked=True)
    for axes, (name, layer) in zip(panes, LAYERS.items(), strict=True):
        won: dict[str, list[tuple[int, int]]] = {method: [] for method in CONVOLUTION_METHODS}
        for i, n in enumerate(sides):
            for j, k in enumerate(kernels):
                if k <= n and np.prod(layer) * (n * k) ** 2 <= LARGEST:
                    seconds, chosen = contest(backend, n, k, *layer)
                    best = min(seconds, key=seconds.__getitem__)
                    won[best].append((i, j))
                    if (ratio := seconds[chosen] / seconds[best]) > NEAR:
                        note(axes, f"{ratio:.1f}×", (i, j), (0, 6), ha="center", fontsize=8)
        for method, points in won.items():
            axes.plot(*np.reshape(points, (-1, 2)).T, markersize=8, linestyle="none", label=method)
        axes.set(xlabel="side of the picture", xlim=(-0.6, len(sides) - 0.4), ylim=(-0.6, len(kernels) - 0.3))
        axes.set_title(name, loc="left")
        axes.set_xticks(range(len(sides)), sides)
    panes[0].set_yticks(range(len(kernels)), kernels)
    panes[0].set_ylabel("side of the kernel")
    figure.legend(*panes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def products(backend: Backend, classes: int) -> dict[str, Callable[[], Any]]:
    """The product of the gradient matrix of an activation with a vector, for ten samples, in three ways."""
    x, g = (backend.asarray(z) for z in np.random.default_rng(0).standard_normal((2, 10, classes)))

    def diagonal() -> Any:
        s = xs.networks.sigmoid(x)
        return s * (1 - s) * g

    return {
        "softmax,\ndense": lambda: (xs.softmax_jacobian(x) @ g[..., None])[..., 0],
        "softmax,\nmatrix-free": lambda: xs.networks.softmax_vjp(x, g),
        "sigmoid,\ndiagonal": diagonal,
    }


@picture("softmax", seconds=0.6, timed=True)
def softmax_jacobian(backend: Backend, *, classes: tuple[int, ...] = (10, 30, 100, 300, 1000)) -> Any:
    """The dense gradient of softmax costs m²; without its matrix, m

    Times on log-log axes against 10 to 1000 classes. The dense matrix, circles, rises with slope 2 to hundreds of
    times the others; the matrix-free product with the same matrix, squares, and the diagonal matrix of a sigmoid,
    diamonds, rise slowly towards slope 1.

    Ten Gaussian samples: (diag(p) − ppᵀ)g by xs.softmax_jacobian, p ⊙ (g − ⟨p, g⟩) by xs.networks.softmax_vjp, and
    s(1 − s)g for s = xs.networks.sigmoid(x), on the machine that drew it. After MFDS, ch. 12.
    """
    runs = [times(backend, products(backend, m)) for m in classes]
    figure, axes = panels(height=3.6, marked=True)
    for name in runs[0]:
        axes.plot(classes, [run[name] for run in runs], markersize=5, linewidth=1.2, label=name)
    largest, m = runs[-1]["softmax,\ndense"], classes[-2]
    law = largest / 2 * (m / classes[-1]) ** 2
    axes.plot(classes[-2:], [law, largest / 2], **GUIDE)
    note(axes, "slope 2", (m, law), (6, -10), color=FAINT)
    set_axes(axes, x=classes, y="seconds", xlabel="classes m", ylabel="time for 10 samples")
    name_ends(axes, room=0.13)
    return figure


def layers(backend: Backend, width: int, depth: int, batch: int = 128) -> dict[str, Callable[[], Any]]:
    """The gradient of a perceptron of one width, and its 3R − 1 products without what is between them."""
    rng = np.random.default_rng(0)
    A = [backend.asarray(rng.standard_normal((width, width)) / np.sqrt(width), dtype="float32") for _ in range(depth)]
    b = [backend.asarray(np.zeros(width), dtype="float32") for _ in range(depth)]
    Z, g = (backend.asarray(rng.standard_normal((width, batch)), dtype="float32") for _ in range(2))

    def alone() -> Any:
        for r in range(depth):
            last = A[r] @ Z
            last = g @ Z.T
            if r:
                last = A[r].T @ g
        return last

    return {"gradient": lambda: xs.mlp_backward(A, b, xs.mlp_forward(A, b, Z), g)[0][0], "products": alone}


@picture("networks", seconds=1.0, timed=True)
def mlp_depth(backend: Backend, *, depths: tuple[int, ...] = (1, 2, 4, 8, 16, 32)) -> Any:
    """A perceptron: time grows with depth as its products do

    Two panels against 1 to 32 layers, for widths 64, 128 and 256. Left, log-log: the times of forward and backward lie
    above dashed lines of 3R − 1 products, with the same slope of 1. Right: the ratio of the two, above 1, hardly
    changes with depth and is smaller for wide layers.

    xs.mlp_forward and xs.mlp_backward with tanh in float32 on 128 samples. Dashed: products of the same shapes, A X,
    AᵀM and M Xᵀ, timed alone on the machine that drew it. After MFDS, §14.3.5, equation 14.24.
    """
    figure, (left, right) = panels(2, height=3.7, marked=True)
    number = 3 * np.asarray(depths) - 1
    for width, colour in zip((64, 128, 256), COLOURS, strict=False):
        runs = [times(backend, layers(backend, width, depth), rounds=3) for depth in depths]
        gradient, alone = (np.asarray([run[name] for run in runs]) for name in ("gradient", "products"))
        left.plot(depths, gradient, linestyle="none", markersize=5, label=f"w = {width}")
        left.plot(depths, np.median(alone / number) * number, **GUIDE | {"color": colour})
        right.plot(depths, gradient / alone, markersize=5, linewidth=1.0)
    right.axhline(1.0, **GUIDE)
    set_axes(left, x=depths, y="seconds", xlabel="layers R", ylabel="forward and backward", legend="upper left")
    set_axes(right, x=depths, xlabel="layers R", ylabel="time over that of the products", ylim=(0, None))
    return figure


LAST: dict[str, Any] = {"activation": "relu", "last_activation": "identity"}
CONVOLUTIONS: dict[str, Any] = {**LAST, "stride": (1, 2), "mode": "same"}
NETWORKS: dict[str, tuple[Any, ...]] = {  # shape of a sample, shapes of the weights, and the two functions
    "perceptron": (
        (64,),
        ((256, 64), (10, 256)),
        lambda A, b, Z: xs.mlp_forward(A, b, Z.T, **LAST),
        partial(xs.mlp_backward, **LAST),
    ),
    "convolutional": (
        (1, 8, 8),
        ((16, 1, 3, 3), (32, 16, 3, 3), (10, 512)),
        partial(xs.networks.cnn_forward, **CONVOLUTIONS),
        partial(xs.networks.cnn_backward, **CONVOLUTIONS),
    ),
}


def accuracies(backend: Backend, name: str, epochs: int, seen: int = 1297) -> tuple[list[float], list[float]]:
    """Seconds of training after 0, 1, … epochs, and the share of unseen images that are read right then."""
    sample, weights, forward, backward = NETWORKS[name]
    data, rng = xs.problems.digits(standardise=False), np.random.default_rng(0)
    order, there = rng.permutation(data.A.shape[0]), partial(backend.asarray, dtype="float32")
    images, labels = (data.A[order] / 16 - 0.3).reshape(-1, *sample), data.y[order]
    start = [rng.standard_normal(s) * np.sqrt(2 / np.prod(s[1:])) for s in weights]
    parameters = [there(w) for w in start], [there(np.zeros(len(w))) for w in start]
    unseen, truth = there(images[seen:]), np.argmax(labels[seen:], axis=1)

    def loss(parameters: Any, Z: Any, Y: Any) -> tuple[Any, Any]:
        X = forward(*parameters, Z)
        value, g = xs.networks.cross_entropy(X[-1], Y.T)
        return value, backward(*parameters, X, g)

    seconds, shares, begin = [], [], perf_counter()

    def look(_: int, progress: xs.Progress) -> None:
        nonlocal begin
        seconds.append(perf_counter() - begin)
        read = np.argmax(backend.to_numpy(forward(*progress.x, unseen)[-1]), axis=0)
        shares.append(float(np.mean(read == truth)))
        begin = perf_counter() - seconds[-1]  # reading the unseen is no training

    options: dict[str, Any] = {"step": 0.05, "warmup": 600, "epochs": epochs, "tol": 1e-4, "callback": look}
    xs.networks.train(loss, parameters, there(images[:seen]), there(labels[:seen]), **options)
    return seconds, shares


@picture("networks", seconds=3.0, timed=True)
def digits_networks(backend: Backend, *, epochs: int = 10) -> Any:
    """Digits: two small networks read 97 % of unseen images in seconds

    Two panels with the accuracy on unseen images, from 90 to 100 %, of a perceptron, circles, and a convolutional
    network, squares. Left, against epochs 1 to 10: both rise above a dashed line at 97 %, the convolutional network
    highest. Right, against seconds on a logarithmic axis: the perceptron is several times faster.

    1297 of the 1797 images of 8 × 8 pixels, at random, are learned with the cross entropy; 500 are left to read.
    Perceptron: 64, 256, 10. Convolutional: 16 and 32 kernels of 3 × 3, the second with stride 2, and a dense layer.
    ReLU, float32, xs.networks.train, batches of 32, steps 0.05/(1 + k/600), momentum 0.9. After MFDS, ch. 14 and 15.
    """
    figure, (left, right) = panels(2, height=3.7, sharey=True, marked=True)
    for name in NETWORKS:
        seconds, shares = accuracies(backend, name, epochs)
        left.plot(range(1, len(shares)), shares[1:], linewidth=1.2, label=name)
        right.plot(np.asarray(seconds[1:]) - seconds[0], shares[1:], linewidth=1.2)
    for axes in (left, right):
        axes.axhline(0.97, **GUIDE)
    note(left, "97 %", (0.3, 0.97), (0, 2))
    limits = {"xlim": (0, epochs + 0.5), "ylim": (0.9, 1.0)}
    set_axes(left, xlabel="epoch", ylabel="accuracy on unseen images", legend="lower right", **limits)
    set_axes(right, x="seconds", xlabel="training")
    left.yaxis.set_major_formatter(lambda value, _: share(value))
    return figure


def first_layers(network: Lista, n_layers: int) -> Lista:
    """The network of its first layers."""
    part = xs.lista(network.D, network.lam, n_layers, kind=network.kind)
    part.parameters = tuple(p[:n_layers, ...] for p in network.parameters)
    return part


def losses(backend: Backend, data: str, n_layers: int, m: int, train: int, lam: float = 0.1) -> dict[str, Any]:
    """Mean F_x − F_x* of 300 unseen samples after 1, 2, … iterations or layers."""
    problem = xs.problems.sparse_coding(data, m=m, samples=train + 300, backend=backend.name, dtype="float32")
    D, seen, unseen = problem.D, problem.X[:train, :], problem.X[train:, :]
    networks = {"LISTA, full": xs.lista(D, lam, n_layers, kind="full"), "step-LISTA": xs.lista(D, lam, n_layers)}
    options: dict[str, Any] = {"step": float(networks["step-LISTA"].inverse_lipschitz), "max_iter": n_layers}
    found = {}
    for method in ("ista", "fista"):
        run = xs.lasso(D, unseen.T, lam, method=method, tol=1e-12, record=True, **options)
        found[method.upper()] = backend.to_numpy(run.history["objective"]).mean(axis=1)[1:]
    for (name, network), layer_iter in zip(networks.items(), (40, 12), strict=True):
        network.fit(seen, layer_iter=layer_iter, max_iter=0)
        found[name] = np.asarray([float(first_layers(network, t + 1).loss(unseen)) for t in range(n_layers)])
    Z = backend.to_numpy(xs.lasso(D, unseen.T, lam, tol=1e-6).x)
    R = backend.to_numpy(unseen).T - backend.to_numpy(D) @ Z
    least = (0.5 * np.sum(R * R) + lam * np.sum(np.abs(Z))) / 300
    return {name: values - least for name, values in found.items()}


@picture("networks", seconds=2.5)
def lista_loss(backend: Backend, *, n_layers: int = 16, m: int = 128, train: int = 400) -> Any:
    """Layers that learned lower the loss of unseen samples faster than ISTA

    Two panels of the mean excess of the lasso loss over its minimum against 1 to 16 layers, logarithmic, for normal
    numbers at the left and digits at the right. ISTA falls slowest. LISTA with full layers leads for three to five
    layers, then stays just below ISTA; step-LISTA is below ISTA throughout; FISTA overtakes all at the seventh.

    F(z) = ½‖x − Dz‖² + λ‖z‖₁ for 300 unseen samples, λ = 0.1 λ_max, D of 64 × 128. Each xs.lista learns unsupervised on
    400 samples, layer after layer: 12 steps of gradient descent a layer for steps, 40 for full layers, which more would
    still improve. ISTA and FISTA are xs.lasso from 0. After P. Ablin et al. (2019); ISTA as in MFDS, §14.1.4.
    """
    figure, row = panels(2, height=3.7, sharey=True, marked=True)
    for axes, (data, words) in zip(row, {"gaussian": "normal numbers", "digits": "digits"}.items(), strict=True):
        found = losses(backend, data, n_layers, m, train)
        for (name, values), style in zip(found.items(), ("-", "--", ":", "-"), strict=True):
            axes.plot(range(1, n_layers + 1), values, linestyle=style, markersize=3.5, linewidth=1.3, label=name)
        set_axes(axes, y="powers", xlabel=f"layers, or iterations: {words}", xlim=(0.5, n_layers + 0.5))
    set_axes(row[0], ylabel="mean F(z) − F* of unseen samples", legend="lower left")
    return figure


def curvatures(D: Any, Z: Any) -> Any:
    """‖D_S‖² with the support S of each row of Z, on the host."""
    return np.asarray([np.linalg.norm(D[:, z != 0], 2) ** 2 if np.any(z) else np.nan for z in Z])


@picture("networks", seconds=1.5)
def lista_steps(backend: Backend, *, n_layers: int = 20, m: int = 256, train: int = 300, shown: int = 50) -> Any:
    """Learned steps are longer than 1/L, since codes are sparse

    Two panels of the step of each of 20 layers over 1/L. Left, for λ a tenth of λ_max: learned steps, squares, rise
    from 1.6 to 2.5 while 1/L_S, dashed with a band, rises below them from 1.2 to 2. Right, for half of λ_max, where
    codes are sparser: learned steps rise from 2.7 to 4.4 and settle at 4.2, where 1/L_S is too.

    xs.lista, D of 64 × 256, unsupervised on 300 samples. Dashed, the median of 1/L_S = 1/‖D_S‖² over 50 unseen samples,
    S the support of their codes, band from 5 % to 95 %; above, the share of entries that are not 0, first and last
    layer. Left, steps lie at the bound of fit, 1.5 over the largest L_S. After P. Ablin et al. (2019), §4; ISTA as in
    MFDS, §14.1.4.
    """
    problem = xs.problems.sparse_coding(m=m, samples=train + shown, backend=backend.name, dtype="float32")
    D, seen, unseen = backend.to_numpy(problem.D), problem.X[:train, :], problem.X[train:, :]
    depths = np.arange(1, n_layers + 1)
    figure, row = panels(2, height=3.6)
    for axes, lam in zip(row, (0.1, 0.5), strict=True):
        network = xs.lista(problem.D, lam, n_layers).fit(seen, layer_iter=12, max_iter=10)
        codes = [backend.to_numpy(first_layers(network, int(t)).predict(unseen)) for t in depths]
        L = 1 / float(network.inverse_lipschitz)
        low, middle, high = np.nanpercentile([L / curvatures(D, Z) for Z in codes], (5, 50, 95), axis=1)
        axes.fill_between(depths, low, high, color="C0", alpha=0.18, linewidth=0)
        axes.plot(depths, middle, "--", label="1/L_S")
        axes.plot(depths, backend.to_numpy(network.steps) * L, "s-", markersize=4, linewidth=1.2, label="learned")
        axes.axhline(1.0, color=FAINT, linewidth=1.0)
        note(axes, "1/L", (n_layers, 1.0), (0, 3), ha="right")
        first, *_, last = (100 * np.mean(Z != 0) for Z in codes)
        axes.set(xlabel="layer", ylim=(0, None), title=f"λ = {lam:g} λ_max: {first:.0f} % → {last:.0f} % not 0")
        axes.locator_params(axis="x", integer=True)
    set_axes(row[0], ylabel="step · L", legend="upper left")
    return figure


@picture("networks", seconds=2.0)
def lista_form(backend: Backend, *, n_layers: int = 20, train: int = 500, lam: float = 0.2) -> Any:
    """Deep layers of LISTA stay those of ISTA; the first learn something else

    Two panels against the layers 1 to 20, for full layers, circles, and coupled ones, squares. Left, the distance of
    the learned weights from the form of ISTA: 0.2 to 0.3 in the first layer, falling to a few hundredths in the last.
    Right, the learned threshold over that of ISTA: up to 1.9 in the first layers, 1 in the last.

    xs.lista with D of 9 × 16, λ = 0.2 λ_max, unsupervised on 500 samples: 50 steps of gradient descent a layer, then
    200 together. ista_form() gives the sine of the angle between (I − W₁, W₂, β) and (DᵀD, Dᵀ, λ), of coupled layers
    between (W₂, β) and (Dᵀ, λ). Minimal deep layers tend to W₁ = I − αDᵀD, W₂ = αDᵀ, β = αλ by theorem 3 of P. Ablin
    et al. (2019); ISTA as in MFDS, §14.1.4.
    """
    problem = xs.problems.sparse_coding(m=16, size=3, samples=train, backend=backend.name)
    figure, (left, right) = panels(2, height=3.6, marked=True)
    for kind, style in (("full", "-"), ("coupled", "--")):
        network = xs.lista(problem.D, lam, n_layers, kind=kind).fit(problem.X, layer_iter=50, max_iter=200)
        alpha, distance, beta = map(backend.to_numpy, (*network.ista_form(), network.parameters[-1]))
        for axes, values in ((left, distance), (right, beta / (lam * alpha))):
            axes.plot(range(1, n_layers + 1), values, linestyle=style, markersize=4, linewidth=1.3, label=kind)
            axes.locator_params(axis="x", integer=True)
    set_axes(left, xlabel="layer", ylabel="distance from the nearest ISTA", ylim=(0, None), legend="upper right")
    right.set(xlabel="layer", ylabel="threshold β / αλ", ylim=(0, None))
    right.axhline(1.0, color=FAINT, linewidth=1.0)
    return figure
