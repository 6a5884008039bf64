"""Networks: convolutions, softmax, depth, digits, and unrolled networks that learn the lasso.

Sources: MFDS ch. 2, 12, 14 and 15; K. Gregor & Y. LeCun, Learning fast approximations of sparse coding (2010);
P. Ablin, T. Moreau, M. Massias & A. Gramfort, Learning step sizes for unfolded sparse coding (2019).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.costs import CONVOLUTION_METHODS
from xpsolve.networks import Lista
from xpsolve.report.gallery._clock import times
from xpsolve.report.gallery._picture import picture
from xpsolve.report.style import COLOURS, FAINT, INK, MARKERS, label_ends, note, panels, scale
from xpsolve.solution import inner_solve

SIDES, KERNELS = (16, 32, 64, 128, 256), (1, 3, 5, 7, 9, 13, 21)
LAYERS = {"one channel": (1, 1, 1), "8 channels to 8": (1, 8, 8)}  # batch, channels, kernels
NEAR = 1.15  # a choice this close to the best counts as right
LARGEST = 5e7  # multiply-adds of one call, for the sake of time


def contest(backend: Backend, n: int, k: int, batch: int, c: int, o: int) -> tuple[dict[str, float], str]:
    """Seconds by each method of convolution, and the one of least cost."""
    rng = np.random.default_rng(0)
    z, w = (backend.asarray(rng.standard_normal(s), dtype="float32") for s in ((batch, c, n, n), (o, c, k, k)))
    calls = {m: partial(xs.convolve, z, w, mode="same", method=m) for m in CONVOLUTION_METHODS}
    seconds = times(backend, calls, rounds=5 if c * o * (n * k) ** 2 < 1e7 else 3)
    sizes: dict[str, Any] = {"batch": batch, "c": c, "o": o, "mode": "same", "itemsize": 4}
    return seconds, xs.costs.cheapest({m: xs.costs.convolve(n, k, method=m, **sizes) for m in CONVOLUTION_METHODS})


@picture("convolution", seconds=2.7, timed=True)
def convolution_map(backend: Backend, *, sides: tuple[int, ...] = SIDES, kernels: tuple[int, ...] = KERNELS) -> Any:
    """Patches win for small kernels, transforms for large ones

    Two maps over the side of the picture, 16 to 256, and that of the kernel, 1 to 21; each point has the marker of
    the fastest method. Left, one channel; right, eight channels to eight. Circles, im2col, fill the rows of small
    kernels, diamonds, fft, those of large ones; squares, shift, lie at kernels of one pixel and near the border.

    xs.convolve in float32, mode "same", by each method on the machine that drew it: shortest of three or five
    calls. A number says how much longer the choice of method="auto" takes than the fastest, where that is more than
    15 %. The largest layers are left out. After the convolution theorem in MFDS, ch. 2.
    """
    figure, panes = panels(2, height=3.9, sharey=True)
    style = dict(zip(CONVOLUTION_METHODS, zip(COLOURS, MARKERS, strict=False), strict=False))
    for axes, (name, (batch, c, o)) in zip(panes, LAYERS.items(), strict=True):
        for i, n in enumerate(sides):
            for j, k in enumerate(kernels):
                if k > n or batch * c * o * (n * k) ** 2 > LARGEST:
                    continue
                seconds, chosen = contest(backend, n, k, batch, c, o)
                best = min(seconds, key=seconds.__getitem__)
                colour, marker = style[best]
                axes.plot(i, j, color=colour, marker=marker, markersize=8, linestyle="none")
                if seconds[chosen] > NEAR * seconds[best]:
                    words = f"{seconds[chosen] / seconds[best]:.1f}×"
                    note(axes, words, (i, j), (0, 6), ha="center", color=INK, fontsize=8)
        axes.set(xlabel="side of the picture", xlim=(-0.6, len(sides) - 0.4), ylim=(-0.6, len(kernels) - 0.3))
        axes.set_title(name, loc="left")
        axes.set_xticks(range(len(sides)), [str(n) for n in sides])
    panes[0].set_yticks(range(len(kernels)), [str(k) for k in kernels])
    panes[0].set_ylabel("side of the kernel")
    for name, (colour, marker) in style.items():
        panes[0].plot([], [], color=colour, marker=marker, markersize=7, linestyle="none", label=name)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


ROWS = 10
NAMES = {"dense": "softmax,\ndense", "matrix-free": "softmax,\nmatrix-free", "diagonal": "sigmoid,\ndiagonal"}


def products(backend: Backend, classes: int) -> dict[str, Callable[[], Any]]:
    """The product of some gradient matrices with a vector each, in three ways.

    dense (diag(p) − ppᵀ) g, built; matrix-free p ⊙ (g − ⟨p, g⟩); diagonal s ⊙ (1 − s) ⊙ g
    """
    rng = np.random.default_rng(0)
    x, g = (backend.asarray(rng.standard_normal((ROWS, classes))) for _ in range(2))

    def diagonal() -> Any:
        s = xs.networks.sigmoid(x)
        return s * (1 - s) * g

    return {
        "dense": lambda: (xs.softmax_jacobian(x) @ g[..., None])[..., 0],
        "matrix-free": lambda: xs.networks.softmax_vjp(x, g),
        "diagonal": diagonal,
    }


@picture("softmax", seconds=0.6, timed=True)
def softmax_jacobian(backend: Backend, *, classes: tuple[int, ...] = (10, 30, 100, 300, 1000)) -> Any:
    """The dense gradient of softmax costs m²; without its matrix, m

    Times on log-log axes against 10 to 1000 classes. The line of the dense matrix, circles, rises with slope 2 to
    hundreds of times the others; those of the matrix-free product with the same matrix, squares, and of the
    diagonal matrix of a sigmoid, diamonds, rise slowly towards slope 1.

    A product with the gradient matrix of an activation for ten Gaussian samples, from its argument:
    xs.softmax_jacobian and a product, xs.networks.softmax_vjp, and s(1 − s)g for s = xs.networks.sigmoid(x).
    Shortest of five calls on the machine that drew it. After MFDS, ch. 12.
    """
    figure, axes = panels(height=3.6)
    runs = [times(backend, products(backend, m)) for m in classes]
    ends = []
    for (name, label), colour, marker in zip(NAMES.items(), COLOURS, MARKERS, strict=False):
        seconds = [run[name] for run in runs]
        axes.plot(classes, seconds, color=colour, marker=marker, markersize=5, linewidth=1.2)
        ends.append((classes[-1], seconds[-1], label, colour))
    law = [runs[-1]["dense"] * (m / classes[-1]) ** 2 / 2 for m in classes[-2:]]
    axes.plot(classes[-2:], law, color=FAINT, dashes=(4, 3))
    note(axes, "slope 2", (classes[-2], law[0]), (6, -10), color=FAINT)
    axes.set(xlabel="classes m", ylabel=f"time for {ROWS} samples")
    scale(axes, x=classes, y="seconds")
    label_ends(axes, ends, room=0.13)
    return figure


WIDTHS, DEPTHS, BATCH = (64, 128, 256), (1, 2, 4, 8, 16, 32), 128


def layers(backend: Backend, width: int, depth: int) -> dict[str, Callable[[], Any]]:
    """The gradient of a perceptron of one width, and its 3R − 1 products without what is between them.

    A layer of width w costs three products on N samples, A X forward, Aᵀ M and M Xᵀ backward, 6w²N flops; the first
    has no AᵀM.
    """
    rng = np.random.default_rng(0)
    A = [backend.asarray(rng.standard_normal((width, width)) / np.sqrt(width), dtype="float32") for _ in range(depth)]
    b = [backend.asarray(np.zeros(width), dtype="float32") for _ in range(depth)]
    Z, g = (backend.asarray(rng.standard_normal((width, BATCH)), dtype="float32") for _ in range(2))

    def alone() -> Any:
        last = Z
        for r in range(depth):
            last = A[r] @ Z
            last = g @ Z.T
            if r:
                last = A[r].T @ g
        return last

    return {"gradient": lambda: xs.mlp_backward(A, b, xs.mlp_forward(A, b, Z), g)[0][0], "products": alone}


@picture("networks", seconds=1.4, timed=True)
def mlp_depth(backend: Backend, *, widths: tuple[int, ...] = WIDTHS, depths: tuple[int, ...] = DEPTHS) -> Any:
    """A perceptron: time grows with depth as its products do

    Two panels against the number of layers, 1 to 32, for widths 64, 128 and 256. Left, log-log: the times of
    forward and backward lie above dashed lines of 3R − 1 products, with the same slope of 1. Right: the ratio of
    the two, above 1, hardly changes with depth and is smaller for wide layers.

    xs.mlp_forward and xs.mlp_backward with tanh in float32 on 128 samples; weights are Gaussian. Dashed: 3R − 1
    products of the same shapes, A X, AᵀM and M Xᵀ, timed alone on the machine that drew it. Shortest of five calls.
    After MFDS, §14.3.5, equation 14.24.
    """
    figure, (left, right) = panels(2, height=3.7)
    number = 3 * np.asarray(depths) - 1
    for width, colour, marker in zip(widths, COLOURS, MARKERS, strict=False):
        runs = [times(backend, layers(backend, width, depth)) for depth in depths]
        gradient, alone = (np.asarray([run[name] for run in runs]) for name in ("gradient", "products"))
        left.plot(depths, gradient, color=colour, marker=marker, linestyle="none", markersize=5, label=f"w = {width}")
        left.plot(depths, np.median(alone / number) * number, color=colour, linewidth=1.1, dashes=(4, 2))
        right.plot(depths, gradient / alone, color=colour, marker=marker, markersize=5, linewidth=1.0)
    right.axhline(1.0, color=FAINT, linewidth=0.9, dashes=(4, 2))
    left.set(xlabel="layers R", ylabel="forward and backward")
    right.set(xlabel="layers R", ylabel="time over that of the products", ylim=(0, None))
    scale(left, x=depths, y="seconds")
    scale(right, x=depths)
    left.legend(loc="upper left", handlelength=1.2)
    return figure


SEEN, EPOCHS, STEP = 1297, 10, 0.05
LAST: dict[str, Any] = {"activation": "relu", "last_activation": "identity"}


@dataclass(frozen=True)
class Network:
    """A network for digits: shapes of its weights, its input, and its two functions."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    pictures: tuple[int, ...]  # how a sample is shaped
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def states(self, parameters: Any, Z: Any) -> Any:
        """[X_0, …, X_R] of images along the first axis."""
        return self.forward(*parameters, Z.T if self.pictures == (64,) else Z)

    def loss(self, parameters: Any, Z: Any, Y: Any) -> tuple[Any, Any]:
        """The cross entropy and its gradient, for `train`."""
        X = self.states(parameters, Z)
        value, g = xs.networks.cross_entropy(X[-1], Y.T)
        return value, self.backward(*parameters, X, g)


def _with(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    return lambda *args: function(*args, **LAST, **options)


CONVOLUTIONS: dict[str, Any] = {"stride": (1, 2), "mode": "same"}
NETWORKS = (
    Network("perceptron", ((256, 64), (10, 256)), (64,), _with(xs.mlp_forward), _with(xs.mlp_backward)),
    Network(
        "convolutional",
        ((16, 1, 3, 3), (32, 16, 3, 3), (10, 512)),
        (1, 8, 8),
        _with(xs.networks.cnn_forward, **CONVOLUTIONS),
        _with(xs.networks.cnn_backward, **CONVOLUTIONS),
    ),
)


def accuracies(backend: Backend, network: Network, epochs: int, seed: int = 0) -> tuple[list[float], list[float]]:
    """Seconds of training after each epoch, and the share of unseen images that are read right then."""
    data, rng = xs.problems.digits(standardise=False), np.random.default_rng(seed)
    order = rng.permutation(data.A.shape[0])
    images = (data.A / 16 - 0.3).reshape(-1, *network.pictures)[order]

    def there(x: Any) -> Any:
        return backend.asarray(np.ascontiguousarray(x), dtype="float32")

    start = [rng.standard_normal(s) * np.sqrt(2 / np.prod(s[1:])) for s in network.shapes]
    parameters = tuple([there(x) for x in part] for part in (start, [np.zeros(len(w)) for w in start]))
    Z, Y, unseen = (there(x) for x in (images[:SEEN], data.y[order[:SEEN]], images[SEEN:]))
    truth = np.argmax(data.y[order[SEEN:]], axis=1)
    seconds, shares, paused = [], [], 0.0
    begin = perf_counter()

    def look(_: int, progress: xs.Progress) -> None:
        nonlocal paused
        now = perf_counter()
        margins = backend.to_numpy(network.states(progress.x, unseen)[-1])
        seconds.append(now - begin - paused)
        shares.append(float(np.mean(np.argmax(margins, axis=0) == truth)))
        paused += perf_counter() - now

    options: dict[str, Any] = {"step": STEP, "warmup": 600, "epochs": epochs, "tol": 1e-4, "callback": look}
    xs.networks.train(network.loss, parameters, Z, Y, **options)
    return seconds, shares


@picture("networks", seconds=3.4, timed=True)
def digits_networks(backend: Backend, *, epochs: int = EPOCHS) -> Any:
    """Digits: two small networks read 97 % of unseen images in seconds

    Two panels with the accuracy on unseen images, from 90 to 100 %, of a perceptron, circles, and a convolutional
    network, squares. Left, against epochs 1 to 10: both rise above a dashed line at 97 %, the convolutional network
    highest. Right, against seconds on a logarithmic axis: the perceptron is several times faster.

    1297 of the 1797 images of 8 × 8 pixels, drawn at random, are learned by minimising the cross entropy; 500 are
    left to read. Perceptron: 64, 256, 10. Convolutional: 16 and 32 kernels of 3 × 3, the second with stride 2, and a
    dense layer. ReLU, float32, xs.networks.train with batches of 32, steps of 0.05/(1 + k/600) and momentum 0.9.
    After MFDS, ch. 14 and 15.
    """
    figure, (left, right) = panels(2, height=3.7, sharey=True)
    for network, colour, marker in zip(NETWORKS, COLOURS, MARKERS, strict=False):
        seconds, shares = accuracies(backend, network, epochs)
        style: dict[str, Any] = {"color": colour, "marker": marker, "linewidth": 1.2}
        left.plot(range(1, len(shares)), shares[1:], label=network.name, **style)
        right.plot(np.asarray(seconds[1:]) - seconds[0], shares[1:], **style)
    for axes in (left, right):
        axes.axhline(0.97, color=FAINT, linewidth=0.9, dashes=(4, 3))
    left.text(0.3, 0.9705, "97 %", color=INK, fontsize=9, va="bottom")
    left.set(xlabel="epoch", ylabel="accuracy on unseen images", xlim=(0, epochs + 0.5), ylim=(0.9, 1.0))
    left.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    left.legend(loc="lower right")
    right.set(xlabel="training", xscale="log")
    scale(right, x="seconds")
    return figure


@inner_solve()
def trained(D: Any, lam: float, n_layers: int, X: Any, *, kind: str = "step", **options: Any) -> Lista:
    """A network trained for the given number of iterations."""
    return xs.lista(D, lam, n_layers, kind=kind).fit(X, **options)


def first_layers(network: Lista, n_layers: int) -> Lista:
    """The network of its first layers."""
    part = xs.lista(network.D, network.lam, n_layers, kind=network.kind)
    part.parameters = tuple(p[:n_layers, ...] for p in network.parameters)
    return part


SETTINGS = {"gaussian": "normal numbers", "digits": "digits"}
CURVES = {"ISTA": (), "FISTA": (5, 2), "LISTA, full": (1, 1), "step-LISTA": ()}


@inner_solve()
def losses(backend: Backend, data: str, n_layers: int, m: int, train: int, lam: float = 0.1) -> dict[str, list[float]]:
    """Mean F_x − F_x* of unseen samples after 1, 2, … layers."""
    problem = xs.problems.sparse_coding(data, m=m, samples=train + 300, backend=backend.name)
    D, seen, unseen = problem.D, problem.X[:train, :], problem.X[train:, :]

    def mean(**options: Any) -> float:
        Z = xs.lasso(D, unseen.T, lam, **options).x.T
        R = unseen - Z @ D.T
        return float((R * R).sum() / 2 + lam * abs(Z).sum()) / int(unseen.shape[0])

    depths = range(1, n_layers + 1)
    untrained = xs.lista(D, lam, n_layers)
    full = trained(D, lam, n_layers, seen, kind="full", layer_iter=40, max_iter=0)
    step = trained(D, lam, n_layers, seen, layer_iter=12, max_iter=0)
    networks = {"ISTA": untrained, "LISTA, full": full, "step-LISTA": step}
    found = {name: [float(first_layers(net, t).loss(unseen)) for t in depths] for name, net in networks.items()}
    tau = float(untrained.inverse_lipschitz)
    found["FISTA"] = [mean(method="fista", step=tau, max_iter=t, tol=1e-12) for t in depths]
    least = mean(tol=1e-8)
    return {name: [value - least for value in found[name]] for name in CURVES}


@picture("networks", seconds=6.3)
def lista_loss(backend: Backend, *, n_layers: int = 16, m: int = 128, train: int = 400) -> Any:
    """Layers that learned lower the loss of unseen samples faster than ISTA

    Two panels of the mean excess of the lasso loss over its minimum against 1 to 16 layers, on a logarithmic
    ordinate, for normal numbers at the left and digits at the right. ISTA falls slowest. LISTA with full layers
    leads for three to five layers and then stays just below ISTA; step-LISTA is below ISTA throughout; FISTA
    overtakes all at the seventh.

    Mean over 300 unseen samples of F(z) = ½‖x − Dz‖² + λ‖z‖₁ less its minimum, λ = 0.1 λ_max, D of 64 × 128
    (xs.problems.sparse_coding). Both networks are trained unsupervised on 400 samples, each layer after those
    before it and not all together, so that the first T layers are a network of T: 12 steps of gradient descent a
    layer for steps, 40 for full layers, which more samples and steps would still improve. FISTA is xs.lasso from 0.
    After P. Ablin et al. (2019); ISTA as in MFDS, §14.1.4.
    """
    figure, row = panels(2, height=3.7, sharey=True)
    for axes, (data, words) in zip(row, SETTINGS.items(), strict=True):
        found = losses(backend, data, n_layers, m, train)
        for (name, values), colour, marker in zip(found.items(), COLOURS, MARKERS, strict=False):
            style = {"color": colour, "marker": marker, "markersize": 3.5, "linewidth": 1.3, "label": name}
            axes.plot(range(1, n_layers + 1), values, dashes=CURVES[name] or (None, None), **style)
        axes.set(xlabel=f"layers, or iterations: {words}", xlim=(0.5, n_layers + 0.5))
        scale(axes, y="powers")
    row[0].set_ylabel("mean F(z) − F* of unseen samples")
    row[0].legend(loc="lower left", handlelength=2.4)
    return figure


def curvatures(D: Any, Z: Any) -> Any:
    """‖D_S‖² with the support S of each row of Z, on the host."""
    return np.asarray([np.linalg.norm(D[:, z != 0], 2) ** 2 if np.any(z) else np.nan for z in Z])


@picture("networks", seconds=2.9)
def lista_steps(backend: Backend, *, n_layers: int = 20, m: int = 256, train: int = 300, shown: int = 50) -> Any:
    """Learned steps are longer than 1/L, since codes are sparse

    Two panels of the step of each of 20 layers over 1/L. Left, for λ a tenth of λ_max: learned steps, squares, rise
    from 1.6 to 2.5 while 1/L_S, dashed with a band, rises below them from 1.2 to 2. Right, for half of λ_max, where
    codes are sparser: learned steps rise from 2.7 to 4.4 and settle at 4.2, where 1/L_S is too.

    step-LISTA of 20 layers, D of 64 × 256 with normal entries (xs.problems.sparse_coding), trained unsupervised on
    300 samples, layer by layer and then all together. Dashed, the median of 1/L_S = 1/‖D_S‖² over 50 unseen samples
    with S the support of their codes after the layer, and the band from 5 % to 95 %; above, the share of entries
    that are not 0 after the first layer and after the last. Left, steps lie at the bound of fit, 1.5 over the
    largest L_S of the samples: from 2/L_S on they diverge. After P. Ablin et al. (2019), §4; ISTA with the step 1/L
    as in MFDS, §14.1.4.
    """
    problem = xs.problems.sparse_coding(m=m, samples=train + shown, backend=backend.name)
    D, seen, unseen = problem.D, problem.X[:train, :], problem.X[train:, :]
    depths = np.arange(1, n_layers + 1)
    blue, orange, *_ = COLOURS
    figure, row = panels(2, height=3.6)
    for axes, lam in zip(row, (0.1, 0.5), strict=True):
        network = trained(D, lam, n_layers, seen, layer_iter=12, max_iter=10)
        L = 1 / float(network.inverse_lipschitz)
        codes = [backend.to_numpy(first_layers(network, int(t)).predict(unseen)) for t in depths]
        inverse = np.asarray([L / curvatures(backend.to_numpy(D), Z) for Z in codes])
        first, *_, last = (100 * np.mean(Z != 0) for Z in codes)
        low, middle, high = np.nanpercentile(inverse, (5, 50, 95), axis=1)
        axes.fill_between(depths, low, high, color=blue, alpha=0.18, linewidth=0)
        axes.plot(depths, middle, color=blue, dashes=(5, 2), label="1/L_S")
        learned = backend.to_numpy(network.steps) * L
        axes.plot(depths, learned, color=orange, marker="s", markersize=4, linewidth=1.2, label="learned")
        axes.axhline(1.0, color=FAINT, linewidth=1.0)
        note(axes, "1/L", (n_layers, 1.0), (0, 3), color=INK, ha="right")
        axes.set_title(f"λ = {lam:g} λ_max: {first:.0f} % → {last:.0f} % not 0")
        axes.set(xlabel="layer", ylim=(0, None))
        axes.xaxis.get_major_locator().set_params(integer=True)
    row[0].set_ylabel("step · L")
    row[0].legend(loc="upper left", handlelength=2.4)
    return figure


@picture("networks", seconds=3.3)
def lista_form(
    backend: Backend, *, n_layers: int = 20, train: int = 1000, iterations: int = 200, lam: float = 0.2
) -> Any:
    """Deep layers of LISTA stay those of ISTA; the first learn something else

    Two panels against the layers 1 to 20, for full layers, circles, and coupled ones, squares. Left, the distance
    of the learned weights from the form of ISTA: 0.2 to 0.3 in the first layer, falling to a few hundredths in the
    last. Right, the learned threshold over that of ISTA: up to 1.9 in the first layers, 1 in the last.

    LISTA of 20 layers, D of 9 × 16 with normal entries, λ = 0.2 λ_max, unsupervised on 1000 samples, from ISTA with
    1/L: 50 steps of gradient descent a layer, then 200 together. The distance is the sine of the angle between
    (I − W₁, W₂, β) and (DᵀD, Dᵀ, λ), or for coupled layers between (W₂, β) and (Dᵀ, λ): ista_form() of the network.
    Theorem 3 of P. Ablin et al. (2019) says what deep layers tend to where they are minimal, W₁ = I − αDᵀD,
    W₂ = αDᵀ, β = αλ; ISTA as in MFDS, §14.1.4.
    """
    problem = xs.problems.sparse_coding(m=16, size=3, samples=train, backend=backend.name)
    depths = np.arange(1, n_layers + 1)
    figure, (left, right) = panels(2, height=3.6)
    for kind, dashes, colour, marker in zip(("full", "coupled"), ((6, 0), (4, 2)), COLOURS, MARKERS, strict=False):
        network = trained(problem.D, lam, n_layers, problem.X, kind=kind, layer_iter=50, max_iter=iterations)
        alpha, distance = map(backend.to_numpy, network.ista_form())
        beta = backend.to_numpy(network.parameters[-1])
        style = {"color": colour, "marker": marker, "markersize": 4, "linewidth": 1.3, "dashes": dashes, "label": kind}
        left.plot(depths, distance, **style)
        right.plot(depths, beta / (lam * alpha), **style)
    left.set(xlabel="layer", ylabel="distance from ISTA with the best step α", ylim=(0, None))
    right.set(xlabel="layer", ylabel="threshold β / αλ", ylim=(0, None))
    right.axhline(1.0, color=FAINT, linewidth=1.0)
    left.legend(loc="upper right", handlelength=2.6)
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    return figure
