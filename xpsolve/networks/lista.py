"""ISTA unrolled into a network of T layers, and trained (Gregor & LeCun 2010; Ablin, Moreau, Massias & Gramfort 2019).

    F_x(z) = ½‖x − Dz‖² + λ‖z‖₁,   z_0 = 0,   z_{t+1} = S_{β_t}(W₁_t z_t + W₂_t x)

    "full"  W₁, W₂ and β ≥ 0 of each layer are free; they start as those of ISTA, I − DᵀD/L, Dᵀ/L and λ/L
    "step"  W₁ = I − τ_t DᵀD,  W₂ = τ_t Dᵀ,  β = λτ_t:  one step τ_t ≥ 0 a layer, the threshold with it

Samples are rows, as in `dictionary_learning`.  For "step", backpropagation is, with c_t the gradient of the smooth part
at z_t, M_t = δ_{t+1} ⊙ [z_{t+1} ≠ 0] and z_{t+1} of the sign s_{t+1},

    δ_t = M_t − τ_t DᵀD M_t,      ∂/∂τ_t = −⟨M_t, c_t + λ s_{t+1}⟩,   all t in one reduction over the stacked layers

Each layer is trained first, with those before it as they are, and then all together.  A step of training that would
not lower the loss is taken back, on the device, and the next is shorter.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

from xpsolve import autodiff, costs
from xpsolve.arrays import (
    Array,
    check_count,
    check_ndim,
    check_option,
    check_positive,
    device_of,
    enter,
    iterate,
    lift,
    namespace_of,
)
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear.lasso import lasso
from xpsolve.linear.prox import shrink
from xpsolve.solution import Certificate, ConvergenceWarning, Solution, Status

KINDS = ("step", "full")
LOSSES = ("unsupervised", "semi-supervised", "supervised")
Parameters = tuple[Array, ...]  # each with the layers along its first axis
Loss = Callable[[Array], tuple[Array, Array]]  # codes to the mean loss and its gradient there


@capabilities(backends=EAGER, jit=False, batch="rows of X")
def lista(D: Array, lam: float, n_layers: int, *, kind: str = "step") -> Lista:
    """A network that approximates the lasso with a fixed dictionary; untrained, it is ISTA.

    Parameters
    ----------
    D : array, shape (n, m)
        The dictionary, one atom a column.
    lam : float
        λ > 0.
    n_layers : int
        Layers T, each one iteration of ISTA.
    kind : str
        What is learned: "step" is one step a layer, "full" W₁, W₂ and β of each.

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
    Learned steps are longer than 1/L because codes are sparse.  Nothing bounds what the network does to a sample whose
    codes are less sparse than all it was trained on; from few samples it can diverge there.  Compare `loss` on samples
    left out before using it.

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
    check_positive(lam, "lam")
    check_count(n_layers, "n_layers", 1)
    check_option(kind, "kind", KINDS)
    return Lista(D, float(lam), n_layers, kind)


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
        "step" or "full".

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> network = xs.lista(np.eye(2), 1.0, 3)
    >>> network.predict(np.asarray([[3.0, -0.5]])).round(6)
    array([[2., 0.]])
    """

    def __init__(self, D: Array, lam: float, n_layers: int, kind: str) -> None:
        xp = namespace_of(D)
        self.D, self.lam, self.n_layers, self.kind = D, lam, n_layers, kind
        self.inverse_lipschitz = 1 / xp.max(xp.linalg.svdvals(D)) ** 2
        self.solution: Solution | None = None
        steps = xp.ones((n_layers,), dtype=D.dtype, device=device_of(D)) * self.inverse_lipschitz
        if kind == "step":
            self.parameters: Parameters = (steps,)
        else:
            tau = steps[:, None, None]
            eye = xp.eye(D.shape[1], dtype=D.dtype, device=device_of(D))
            self.parameters = (eye - tau * (D.T @ D), tau * D.T, lam * steps)

    @property
    def steps(self) -> Array:
        """The step sizes τ_t of kind "step", (n_layers,)."""
        if self.kind != "step":
            message = f"steps: a network of kind {self.kind!r} has none; look at parameters, (W1, W2, β)."
            raise AttributeError(message)
        return self.parameters[0]

    def predict(self, X: Array) -> Array:
        """Codes of samples: X (N, n) to (N, m), one sample (n,) to (m,)."""
        single, X = self._samples(X)
        Z = self._forward(self.parameters, X, self._zeros(X))[-1]
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
        layer_iter: int = 20,
        max_iter: int = 200,
        tol: float = 1e-4,
        check_every: int = costs.CHECK_EVERY,
        callback: Callable[[int, Any], Any] | None = None,
    ) -> Lista:
        """Train on samples (N, n), from the parameters as they are; returns the network.

        The loss is "unsupervised", the mean of F_x; "supervised", half the mean squared distance from given codes
        (N, m); or "semi-supervised", the same with solutions of the lasso as codes.  Each layer takes `layer_iter`
        steps alone, then all together at most `max_iter`, until the gradient relative to the loss is below `tol`.
        ``.solution`` says how training ended; the loss on X is never above what it was when layers began to be trained
        together.
        """
        _, X = self._samples(X)
        check_option(loss, "loss", LOSSES)
        check_positive(tol, "tol")
        check_count(layer_iter, "layer_iter", 0)
        check_count(max_iter, "max_iter", 0)
        check_count(check_every, "check_every", 1)
        target = self._target(X, codes, loss)
        before = self._zeros(X)
        for t in range(self.n_layers if layer_iter else 0):
            run = self._descend(self._layer(t), X, before, target, tol, layer_iter, layer_iter, None)
            self._set_layer(t, run.state.parameters)
            before = self._forward(run.state.parameters, X, before)[-1]
        run = self._descend(self.parameters, X, self._zeros(X), target, tol, max_iter, check_every, callback)
        self.parameters = run.state.parameters
        reasons = {"callback": Status.STOPPED, "max_iter": Status.MAX_ITER, "not finite": Status.NOT_FINITE}
        ended = reasons.get(run.reason)
        if ended is Status.MAX_ITER and max_iter:
            reached = f"fit stopped after {run.n_iter} iterations at {run.measure:.1e} > tol = {tol:.1e}."
            warnings.warn(f"{reached} {ended.message}", ConvergenceWarning, stacklevel=2)
        certificate = Certificate("length of the gradient relative to the loss", self._slope(run.state), tol)
        stats = {"loss": run.state.loss}
        self.solution = Solution(
            self.parameters, f"unrolled {self.kind}", certificate, n_iter=run.n_iter, stats=stats, ended=ended
        )
        return self

    # --- the network -----------------------------------------------------------------------------

    def _forward(self, parameters: Parameters, X: Array, Z: Array) -> list[Array]:
        """[z_0, …] of samples that enter the first of these layers with codes Z."""
        states = [Z]
        for t in range(parameters[0].shape[0]):
            if self.kind == "step":
                tau = parameters[0][t]
                states.append(shrink(states[-1] - tau * self._residual_gradient(X, states[-1]), tau * self.lam))
            else:
                W1, W2, beta = (p[t, ...] for p in parameters)
                states.append(shrink(states[-1] @ W1.T + X @ W2.T, beta))
        return states

    def _residual_gradient(self, X: Array, Z: Array) -> Array:
        """(ZDᵀ − X)D, the gradient of the smooth part."""
        return (Z @ self.D.T - X) @ self.D

    def _value_and_gradient(self, parameters: Parameters, X: Array, Z: Array, target: Loss) -> tuple[Array, Parameters]:
        if self.kind == "full":
            return self._by_tape(parameters, X, Z, target)
        xp, (tau,) = namespace_of(X), parameters
        states = self._forward(parameters, X, Z)
        value, delta = target(states[-1])
        masked, slopes = [], []
        for t in reversed(range(tau.shape[0])):
            z = states[t + 1]
            M = xp.where(z != 0, delta, xp.zeros_like(delta))
            masked.append(M)
            slopes.append(self._residual_gradient(X, states[t]) + self.lam * _signs(xp, z))
            if t > 0:
                delta = M - tau[t] * ((M @ self.D.T) @ self.D)
        gradient = -xp.sum(xp.stack(masked[::-1]) * xp.stack(slopes[::-1]), axis=(1, 2))
        return value, (gradient,)

    def _by_tape(self, parameters: Parameters, X: Array, Z: Array, target: Loss) -> tuple[Array, Parameters]:
        """The gradient at the end goes back through the layers on a tape."""
        out, pullback = autodiff.vjp(lambda *p: self._lifted_forward(p, X, Z), *parameters)
        value, delta = target(out)
        return value, pullback(delta)

    def _lifted_forward(self, parameters: Parameters, X: Array, Z: Array) -> Array:
        xp = namespace_of(parameters[0])
        return self._forward(parameters, lift(xp, X), lift(xp, Z))[-1]

    # --- training --------------------------------------------------------------------------------

    def _objective(self, X: Array) -> Loss:
        """The mean of F_x, and the subgradient that is 0 where the code is."""
        xp, samples = namespace_of(X), X.shape[0]

        def mean(Z: Array) -> tuple[Array, Array]:
            R = Z @ self.D.T - X
            value = (0.5 * xp.sum(R * R) + self.lam * xp.sum(xp.abs(Z))) / samples
            return value, (R @ self.D + self.lam * _signs(xp, Z)) / samples

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

    def _descend(
        self,
        parameters: Parameters,
        X: Array,
        Z: Array,
        target: Loss,
        tol: float,
        max_iter: int,
        check_every: int,
        callback: Callable[[int, Any], Any] | None,
    ) -> Any:
        """Projected gradient descent on these layers, which codes Z enter."""
        xp = namespace_of(X)

        def step(state: _State) -> _State:
            trial = self._feasible(
                tuple(p - state.rate * g for p, g in zip(state.parameters, state.gradient, strict=True))
            )
            value, gradient = self._value_and_gradient(trial, X, Z, target)
            better = value <= state.loss  # a NaN is not

            def chosen(new: Array, old: Array) -> Array:
                return xp.where(better, new, old)

            return _State(
                chosen(value, state.loss),
                state.rate * chosen(xp.full_like(state.rate, _LONGER), xp.full_like(state.rate, _SHORTER)),
                tuple(map(chosen, trial, state.parameters)),
                tuple(map(chosen, gradient, state.gradient)),
            )

        value, gradient = self._value_and_gradient(parameters, X, Z, target)
        # the first step is a tenth of the parameters' length
        rate = 0.1 * _length(xp, parameters) / xp.maximum(_length(xp, gradient), xp.full_like(value, _TINY))
        return iterate(
            step,
            _State(value, rate, parameters, gradient),
            measure=self._slope,
            tol=tol,
            max_iter=max_iter,
            check_every=check_every,
            callback=callback,
        )

    def _slope(self, state: _State) -> Array:
        """‖p − Π(p − ‖p‖²∇)‖ / ‖p‖ of the logarithm of the loss: free of the scale of either."""
        xp = namespace_of(state.loss)
        scale = _length(xp, state.parameters)
        factor = scale * scale / xp.maximum(state.loss, xp.full_like(state.loss, _TINY))
        moved = self._feasible(tuple(p - factor * g for p, g in zip(state.parameters, state.gradient, strict=True)))
        return _length(xp, tuple(p - q for p, q in zip(state.parameters, moved, strict=True))) / scale

    def _feasible(self, parameters: Parameters) -> Parameters:
        """Steps and thresholds, which come last, are never negative."""
        xp = namespace_of(parameters[-1])
        return (*parameters[:-1], xp.maximum(parameters[-1], xp.zeros_like(parameters[-1])))

    def _layer(self, t: int) -> Parameters:
        """Layer t alone, as it is."""
        return tuple(p[t : t + 1, ...] for p in self.parameters)

    def _set_layer(self, t: int, layer: Parameters) -> None:
        xp = namespace_of(self.D)
        self.parameters = tuple(
            xp.concat([p[:t, ...], new, p[t + 1 :, ...]]) for p, new in zip(self.parameters, layer, strict=True)
        )

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
_TINY = 1e-30  # keeps divisions by what may be 0 finite in either dtype


def _length(xp: Any, arrays: Parameters) -> Array:
    squares = [xp.sum(x * x) for x in arrays]
    return xp.sqrt(sum(squares[1:], squares[0]))


def _signs(xp: Any, x: Array) -> Array:
    """±1, and 0 where x is; `sign` of CuPy's compatible namespace would read from the device."""
    return xp.astype(x > 0, x.dtype) - xp.astype(x < 0, x.dtype)
