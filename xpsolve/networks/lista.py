"""ISTA unrolled into a network of T layers, and trained (Gregor & LeCun 2010; Ablin, Moreau, Massias & Gramfort 2019).

    F_x(z) = ½‖x − Dz‖² + λ‖z‖₁,   z_0 = 0,   z_{t+1} = S_{β_t}(W₁_t z_t + W₂_t x)

Layers start as those of ISTA, W₁ = I − DᵀD/L, W₂ = Dᵀ/L and β = λ/L; `_unrolled` says what of them is free.  Each is
trained first, with those before it as they are, and then all together.  A training step that would not lower the
loss is undone, on the device, and the next is shorter.

A step τ on codes with supports in S diverges from 2/L_S on, L_S = ‖D_S‖².  The learned steps stay a fraction of it, for
the largest L_S among the samples: otherwise unseen samples, some of them less sparse, may diverge.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, NamedTuple

from xpsolve import costs
from xpsolve.arrays import (
    Array,
    check_count,
    check_flag,
    check_iteration,
    check_ndim,
    check_option,
    check_positive,
    device_of,
    enter,
    is_scalar,
    iterate,
    largest_singular_value,
    namespace_of,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear.lasso import lasso
from xpsolve.networks import _unrolled
from xpsolve.networks._unrolled import Parameters, signs
from xpsolve.solution import Callback, Certificate, Solution, Status, finish, inner_solve, seen_by

LOSSES = ("unsupervised", "semi-supervised", "supervised")
Loss = Callable[[Array], tuple[Array, Array]]  # codes to the mean loss and its gradient there


@capabilities(backends=EAGER, jit=False, batch="rows of X")
def lista(D: Array, lam: float, n_layers: int, *, kind: str = "step", tied: bool = False) -> Lista:
    """A network that approximates the lasso with a fixed dictionary; untrained, it is ISTA.

    Parameters
    ----------
    D : array, shape (n, m)
        The dictionary, one atom per column.
    lam : float
        λ > 0.
    n_layers : int
        Layers T, each one iteration of ISTA.
    kind : str
        What is learned: "step" is one step per layer, "full" W₁, W₂ and β of each, "coupled" W₂ and β with
        W₁ = I − W₂D.
    tied : bool
        All layers share one set of parameters.

    Returns
    -------
    Lista
        The network: ``.fit(X)`` trains it, ``.predict(X)`` returns codes.

    Raises
    ------
    TypeError
        If D is not a real array, or λ not a number.
    ValueError
        If D is not a matrix, an option is out of range, or there is no such kind.

    See Also
    --------
    lasso : Solves the same problem to a certified gap.

    Notes
    -----
    Learned steps are longer than 1/L because codes are sparse.  Those of kind "step" stay below 2/L_S, see `Lista.fit`,
    with which unseen samples are safe in practice.  Nothing bounds what the other kinds do to a sample whose codes are
    less sparse than all they were trained on; compare `Lista.loss` on samples left out before using them.

    References
    ----------
    K. Gregor & Y. LeCun, Learning fast approximations of sparse coding, ICML (2010); P. Ablin, T. Moreau, M. Massias &
    A. Gramfort, Learning step sizes for unfolded sparse coding, NeurIPS (2019).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> rng = np.random.default_rng(0)
    >>> D, X = rng.standard_normal((8, 16)), rng.standard_normal((40, 8))
    >>> network = xs.lista(D, 1.0, 5)
    >>> untrained = network.loss(X)
    >>> bool(network.fit(X, tol=0.1).loss(X) < untrained)
    True
    """
    _, (D,) = enter(D=D)
    check_ndim(D, "D", 2, shape="(n, m)")
    lam = check_positive(lam, "lam", dtype=D.dtype)
    check_flag(tied, "tied")
    check_count(n_layers, "n_layers", 1)
    check_option(kind, "kind", costs.LISTA_KINDS)
    return Lista(D, lam, n_layers, kind, bool(tied))


class Lista:
    """ISTA unrolled; made by `lista`.

    Parameters
    ----------
    D : array, shape (n, m)
        The dictionary.
    lam : float
        λ.
    n_layers : int
        Layers.
    kind : str
        "step", "full" or "coupled".
    tied : bool
        Whether layers share their parameters.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> network = xs.lista(np.eye(2), 1.0, 3)
    >>> network.predict(np.asarray([[3.0, -0.5]])).round(6)
    array([[2., 0.]])
    """

    def __init__(self, D: Array, lam: float, n_layers: int, kind: str, tied: bool = False) -> None:
        xp = namespace_of(D)
        self.D, self.lam, self.n_layers, self.kind, self.tied = D, lam, n_layers, kind, tied
        self.inverse_lipschitz = 1 / largest_singular_value(D) ** 2
        self.solution: Solution | None = None
        layers = [_unrolled.ista(kind, D, lam, self.inverse_lipschitz)] * (1 if tied else n_layers)
        self.parameters: Parameters = tuple(xp.concat(list(same)) for same in zip(*layers, strict=True))

    def __repr__(self) -> str:
        n, m = self.D.shape
        tied = ", tied=True" if self.tied else ""
        return f"Lista(D: {n}×{m}, lam={self.lam:g}, n_layers={self.n_layers}, kind={self.kind!r}{tied})"

    @property
    def steps(self) -> Array:
        """The step sizes τ_t of kind "step", (n_layers,), or (1,) where they are tied."""
        if self.kind != "step":
            message = f"steps: a network of kind {self.kind!r} has none; use parameters, or ista_form()."
            raise AttributeError(message)
        return self.parameters[0]

    def ista_form(self) -> tuple[Array, Array]:
        """Each layer as one of ISTA: the step α of the nearest, and how far that is.

        The nearest (I − αDᵀD, αDᵀ, αλ) to (W₁, W₂, β) in the sum of squares.  The distance is relative to the length of
        (I − W₁, W₂, β): the sine of its angle with (DᵀD, Dᵀ, λ), 0 for ISTA and at most 1.  Both (n_layers,).
        """
        xp, D = namespace_of(self.D), self.D
        if self.kind == "step":
            return self.steps, xp.zeros_like(self.steps)
        *W, beta = self.parameters
        ours, theirs = [W[-1], beta[:, None, None]], [D.T, xp.full_like(beta[:1], self.lam)[:, None, None]]
        if self.kind == "full":
            ours.append(xp.eye(D.shape[1], dtype=D.dtype, device=device_of(D)) - W[0])
            theirs.append(D.T @ D)
        product = sum(xp.sum(a * b, axis=(1, 2)) for a, b in zip(ours, theirs, strict=True))
        length, wanted = (sum(xp.sum(a * a, axis=(-2, -1)) for a in parts) for parts in (ours, theirs))
        alpha = product / wanted
        apart = sum(xp.sum((a - alpha[:, None, None] * b) ** 2, axis=(1, 2)) for a, b in zip(ours, theirs, strict=True))
        return alpha, xp.sqrt(apart / xp.where(length > 0, length, xp.ones_like(length)))

    def predict(self, X: Array) -> Array:
        """Codes of samples: X (N, n) to (N, m), one sample (n,) to (m,)."""
        single, X = self._samples(X)
        Z = self._forward(self.parameters, X, self._zeros(X), self.n_layers)[0][-1]
        return Z[0, :] if single else Z

    def loss(self, X: Array) -> Array:
        """The mean of F_x over samples (N, n), at the codes that the network gives them."""
        _, X = self._samples(X)
        return self._objective(X)(self.predict(X))[0]

    def fit(
        self,
        X: Array,
        codes: Array | None = None,
        *,
        loss: str = "unsupervised",
        longest: float = 1.5,
        layer_iter: int = 20,
        tol: float = 1e-4,
        max_iter: int = 200,
        check_every: int = costs.CHECK_EVERY,
        record: bool = False,
        callback: Callback = None,
    ) -> Lista:
        """Train on samples (N, n), from the parameters as they are; returns the network.

        The loss is "unsupervised", the mean of F_x; "supervised", half the mean squared distance from given codes
        (N, m); or "semi-supervised", the same with solutions of the lasso as codes.  Each layer takes `layer_iter`
        steps alone, where layers are not tied, then all together at most `max_iter`, until the gradient relative to the
        loss is below `tol`.  ``.solution`` says how training ended; the loss on X is never above what it was when
        layers began to be trained together.  Of these steps together `record` keeps loss and certificate, and
        ``callback(iteration, progress)`` is called at their checks; a true answer stops them.

        Of kind "step", steps are at most `longest` over the largest L_S of the samples at their layer before
        it is trained.  Up to 1 no layer raises F_x for any of them; from 2 on codes diverge.  Values between are the
        margin for samples that are less sparse than all of these, and for steps that change together: with 1.5 no
        sample of digits, patches or normal numbers was seen to diverge, with 1.8 some were.  ``float("inf")`` sets no
        bound.
        """
        _, X = self._samples(X)
        check_option(loss, "loss", LOSSES)
        if not (is_scalar(longest) and longest == float("inf")):
            longest = check_positive(longest, "longest")
        tol = check_iteration(tol=tol, max_iter=max_iter, check_every=check_every, record=record, callback=callback)
        check_count(layer_iter, "layer_iter", 0)
        target = self._target(X, codes, loss)
        bound = self._train_layers(X, target, longest, tol, layer_iter)
        run = self._descend(
            self.parameters,
            X,
            self._zeros(X),
            target,
            bound,
            self.n_layers,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            record=record,
            callback=callback,
        )
        self.parameters = run.state.parameters
        certificate = Certificate("length of the gradient relative to the loss", self._slope(run.state, bound), tol)
        with nullcontext() if max_iter else inner_solve():  # only the training of single layers was requested
            self.solution = finish(
                "Lista.fit",
                self.parameters,
                method=f"unrolled {self.kind}",
                certificate=certificate,
                reason=run.reason,
                measure=run.measure,
                n_iter=run.n_iter,
                history=run.history,
                stats={"loss": run.state.loss},
                advice={Status.MAX_ITER: "Raise max_iter."},
            )
        return self

    # --- the network -----------------------------------------------------------------------------

    def _forward(self, parameters: Parameters, X: Array, Z: Array, n_layers: int) -> tuple[list[Array], list[Array]]:
        return _unrolled.forward(self.kind, self.D, self.lam, parameters, X, Z, n_layers)

    def _value_and_gradient(
        self, parameters: Parameters, X: Array, Z: Array, target: Loss, n_layers: int
    ) -> tuple[Array, Parameters]:
        states, kept = self._forward(parameters, X, Z, n_layers)
        value, delta = target(states[-1])
        return value, _unrolled.backward(self.kind, self.D, self.lam, parameters, X, states, kept, delta)

    # --- training --------------------------------------------------------------------------------

    def _objective(self, X: Array) -> Loss:
        """The mean of F_x, and the subgradient that is 0 where the code is."""
        xp, samples = namespace_of(X), X.shape[0]

        def mean(Z: Array) -> tuple[Array, Array]:
            R = Z @ self.D.T - X
            value = (0.5 * xp.sum(R * R) + self.lam * xp.sum(xp.abs(Z))) / samples
            return value, (R @ self.D + self.lam * signs(xp, Z)) / samples

        return mean

    def _target(self, X: Array, codes: Array | None, loss: str) -> Loss:
        if (codes is not None) != (loss == "supervised"):
            message = f"codes: expected them for loss='supervised' and for it alone, got loss={loss!r}."
            raise ValueError(message)
        if loss == "unsupervised":
            return self._objective(X)
        xp, samples = namespace_of(X), X.shape[0]
        if codes is None:
            S = lasso(self.D, X.T, self.lam).x.T
        else:
            _, (_, S) = enter(D=self.D, codes=codes)
            if tuple(S.shape) != (samples, self.D.shape[1]):
                message = f"codes: expected shape {(samples, self.D.shape[1])}, got {tuple(S.shape)}."
                raise ValueError(message)

        def mean(Z: Array) -> tuple[Array, Array]:
            E = Z - S
            return 0.5 * xp.sum(E * E) / samples, E / samples

        return mean

    def _train_layers(self, X: Array, target: Loss, longest: float, tol: float, layer_iter: int) -> Array | None:
        """Train each layer with those before it as they are; the bounds of their steps, where they have any."""
        bounded, alone = self.kind == "step" and longest != float("inf"), layer_iter > 0 and not self.tied
        if not (bounded or alone):
            return None
        xp, bounds, Z = namespace_of(X), [], self._zeros(X)
        for t in range(self.n_layers):
            if bounded:
                L = _unrolled.support_curvature(self.D, self.lam, X, Z)
                bounds.append(
                    longest * xp.where(L > 0, 1 / xp.where(L > 0, L, xp.ones_like(L)), self.inverse_lipschitz)
                )
            layer = self.parameters if self.tied else tuple(p[t : t + 1, ...] for p in self.parameters)
            if alone:
                bound = xp.stack(bounds[-1:]) if bounds else None
                run = self._descend(layer, X, Z, target, bound, 1, tol=tol, max_iter=layer_iter, check_every=layer_iter)
                layer = run.state.parameters
                self.parameters = tuple(
                    xp.concat([p[:t, ...], new, p[t + 1 :, ...]]) for p, new in zip(self.parameters, layer, strict=True)
                )
            if t + 1 < self.n_layers:
                Z = self._forward(layer, X, Z, 1)[0][-1]
        if not bounds:
            return None
        return xp.min(xp.stack(bounds), keepdims=True) if self.tied else xp.stack(bounds)

    def _descend(
        self,
        parameters: Parameters,
        X: Array,
        Z: Array,
        target: Loss,
        bound: Array | None,
        n_layers: int,
        *,
        tol: float,
        max_iter: int,
        check_every: int,
        record: bool = False,
        callback: Callback = None,
    ) -> Any:
        """Projected gradient descent on these layers, which codes Z enter."""
        xp = namespace_of(X)
        parameters = self._feasible(parameters, bound)

        def step(state: _State) -> _State:
            trial = self._feasible(
                tuple(p - state.rate * g for p, g in zip(state.parameters, state.gradient, strict=True)), bound
            )
            value, gradient = self._value_and_gradient(trial, X, Z, target, n_layers)
            better = value <= state.loss  # a NaN is not

            def chosen(new: Array, old: Array) -> Array:
                return xp.where(better, new, old)

            return _State(
                chosen(value, state.loss),
                state.rate * chosen(xp.full_like(state.rate, _LONGER), xp.full_like(state.rate, _SHORTER)),
                tuple(map(chosen, trial, state.parameters)),
                tuple(map(chosen, gradient, state.gradient)),
            )

        value, gradient = self._value_and_gradient(parameters, X, Z, target, n_layers)
        # the first step is a tenth of the parameters' length
        rate = 0.1 * _length(xp, parameters) / xp.maximum(_length(xp, gradient), xp.full_like(value, _TINY))

        def slope(state: _State) -> Array:
            return self._slope(state, bound)

        return iterate(
            step,
            _State(value, rate, parameters, gradient),
            measure=slope,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            record=(lambda state: {"objective": state.loss, "certificate": slope(state)}) if record else None,
            callback=seen_by(callback, lambda state: state.parameters, slope),
        )

    def _slope(self, state: _State, bound: Array | None) -> Array:
        """‖p − Π(p − ‖p‖²∇)‖ / ‖p‖ of the logarithm of the loss: free of the scale of either."""
        xp = namespace_of(state.loss)
        scale = _length(xp, state.parameters)
        factor = scale * scale / xp.maximum(state.loss, xp.full_like(state.loss, _TINY))
        moved = self._feasible(
            tuple(p - factor * g for p, g in zip(state.parameters, state.gradient, strict=True)), bound
        )
        return _length(xp, tuple(p - q for p, q in zip(state.parameters, moved, strict=True))) / scale

    def _feasible(self, parameters: Parameters, bound: Array | None) -> Parameters:
        """Steps and thresholds, which come last, are never negative, and steps not above their bound."""
        xp, last = namespace_of(parameters[-1]), parameters[-1]
        last = last if bound is None else xp.minimum(last, bound)
        return (*parameters[:-1], xp.maximum(last, xp.zeros_like(last)))

    def _samples(self, X: Array) -> tuple[bool, Array]:
        _, (_, X) = enter(D=self.D, X=X)
        check_ndim(X, "X", 1, 2, shape="(N, n) or (n,)")
        single = X.ndim == 1
        X = X[None, :] if single else X
        if X.shape[1] != self.D.shape[0]:
            message = f"X: expected {self.D.shape[0]} features, as many as D has rows, got shape {tuple(X.shape)}."
            raise ValueError(message)
        return single, X

    def _zeros(self, X: Array) -> Array:
        return namespace_of(X).zeros((X.shape[0], self.D.shape[1]), dtype=X.dtype, device=device_of(X))


class _State(NamedTuple):
    loss: Array  # 0-d
    rate: Array  # length of the next step over that of the gradient, 0-d
    parameters: Parameters
    gradient: Parameters


_LONGER, _SHORTER = 1.5, 0.4
_TINY = 1e-30  # keeps divisions by a possible 0 finite in either dtype


def _length(xp: Any, arrays: Parameters) -> Array:
    squares = [xp.sum(x * x) for x in arrays]
    return xp.sqrt(sum(squares[1:], squares[0]))
