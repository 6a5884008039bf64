"""Gradients through recurrences: all memories agree, keep what they say, and take as many steps as the formula."""

import math
import weakref
from functools import lru_cache

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs
from xpsolve.arrays import namespace_of
from xpsolve.autodiff import scan
from xpsolve.capabilities import TABLE
from xpsolve.testing import assert_close


def tanh(x):
    return namespace_of(x).tanh(x)


def recurrent(x, theta, u):
    W, b = theta
    return tanh(W @ x + b * u)


def residual(x, theta):
    W1, W2 = theta
    return x + W2.T @ tanh(W1 @ x)


NET = autodiff.leapfrog(lambda s, W: tanh(W[0, ...] @ s), lambda r, W: tanh(W[1, ...] @ r))


def total(x):
    r = x[0] if isinstance(x, tuple) else x
    return namespace_of(r).sum(r)


def unrolled(step, t, loss, at):
    """The same by one tape over all steps."""

    def f(x, params):
        for k in range(t):
            x = step(x, *at(params, k))
        return loss(x)

    return autodiff.value_and_grad(f, argnums=(0, 1))


@pytest.mark.of("scan_gradient")
def test_a_recurrent_net_with_shared_weights_and_inputs(xp, rng):
    n, t = 3, 9
    W, b, x, u = rng.standard_normal((n, n)) / 2, rng.standard_normal(n), rng.standard_normal(n), rng.standard_normal(t)
    theta, x0, inputs = (xp(W), xp(b)), xp(x), xp(u)
    value, (gx, (gW, gb)) = unrolled(recurrent, t, total, lambda th, k: (th, inputs[k]))(x0, theta)
    for memory in ("store", "checkpoint"):
        found = autodiff.scan_gradient(
            recurrent, x0, theta, total, n_steps=t, inputs=inputs, memory=memory, slots=3 if memory[0] == "c" else None
        )
        for ours, theirs in zip((found[0], found[1], *found[2]), (value, gx, gW, gb), strict=True):
            assert_close(ours, theirs, like=x0, rtol=20 * xp.eps, atol=20 * xp.eps)


@pytest.mark.of("scan_gradient")
def test_a_residual_net_in_both_forms_of_its_weights(xp, rng):
    n, m, t = 3, 4, 6
    W1, W2 = (xp(rng.standard_normal((t, m, n)) / 3) for _ in range(2))
    x0 = xp(rng.standard_normal(n))
    listed = [(W1[k, ...], W2[k, ...]) for k in range(t)]
    value, (gx, gs) = unrolled(residual, t, total, lambda th, k: (th[k],))(x0, listed)
    for memory in ("store", "checkpoint"):
        found = autodiff.scan_gradient(residual, x0, listed, total, memory=memory)
        stacked = autodiff.scan_gradient(
            lambda x, th: residual(x, (th["in"], th["out"])), x0, {"in": W1, "out": W2}, total, memory=memory
        )
        assert isinstance(found[2], list)
        for one in (found, stacked):
            assert_close(one[0], value, like=x0, rtol=20 * xp.eps)
            assert_close(one[1], gx, like=x0, rtol=20 * xp.eps, atol=20 * xp.eps)
        for k in range(t):
            for i, name in enumerate(("in", "out")):
                assert_close(found[2][k][i], gs[k][i], like=x0, rtol=20 * xp.eps, atol=20 * xp.eps)
                assert_close(stacked[2][name][k, ...], gs[k][i], like=x0, rtol=20 * xp.eps, atol=20 * xp.eps)


@pytest.mark.of("scan_gradient")
def test_reversible_steps_agree_with_stored_ones(xp, rng):
    W = [xp(rng.standard_normal((2, 3, 3)) / 4) for _ in range(7)]
    x0 = (xp(rng.standard_normal(3)), xp(rng.standard_normal(3)))
    store = autodiff.scan_gradient(NET, x0, W, total)
    back = autodiff.scan_gradient(NET, x0, W, total, memory="reversible")
    for ours, theirs in zip((back[0], *back[1], *back[2]), (store[0], *store[1], *store[2]), strict=True):
        assert_close(ours, theirs, like=x0[0], rtol=500 * xp.eps, atol=500 * xp.eps)


class Live:
    """Counts the states that a step has made and that are still there."""

    def __init__(self, step):
        self.step, self.now, self.peak, self.calls = step, 0, 0, 0

    def __call__(self, x, *args):
        out = self.step(x, *args)
        self.calls += 1
        return self.noted(out)

    def inverse(self, x, *args):
        self.calls += 1
        return self.noted(self.step.inverse(x, *args))

    def noted(self, out):
        value = out[0] if isinstance(out, tuple) else out
        weakref.finalize(getattr(value, "__xpsolve_value__", value), self.gone)
        self.now += 1
        self.peak = max(self.peak, self.now)
        return out

    def gone(self):
        self.now -= 1


def turned(x, a):
    """Bounded, and its Jacobian is no multiple of the identity."""
    xp = namespace_of(x)
    return xp.cos(a) * x + 0.3 * xp.sin(a) * xp.flip(x) - 0.1 * tanh(x)


def test_a_thousand_steps_in_twelve_slots(rng):
    t, x0, a = 1000, rng.standard_normal(4), rng.uniform(0, 0.2, 1000)
    stored, kept = Live(turned), Live(turned)
    one = autodiff.scan_gradient(stored, x0, a, total)
    two = autodiff.scan_gradient(kept, x0, a, total, memory="checkpoint", slots=12)
    assert kept.peak <= 12 + 3
    assert t <= stored.peak <= t + 3
    for ours, theirs in zip(two, one, strict=True):
        assert np.linalg.norm(ours - theirs) <= 1e-13 * np.linalg.norm(theirs)
    assert kept.calls == t + costs.scan_steps(t, memory="checkpoint", slots=12)
    assert stored.calls == t + costs.scan_steps(t)


def test_ten_thousand_reversible_steps_in_constant_memory(rng):
    x0 = (rng.standard_normal(3), rng.standard_normal(3))
    W = rng.standard_normal((2, 3, 3)) / 50
    W = W - np.swapaxes(W[::-1], 1, 2)  # s ← s − W₁ᵀ…: it swings and stays bounded
    peaks = []
    for t in (100, 10_000):
        live = Live(NET)
        back = autodiff.scan_gradient(live, x0, W, total, n_steps=t, memory="reversible")
        peaks.append(live.peak)
        assert live.calls == t + costs.scan_steps(t, memory="reversible")
    assert peaks[0] == peaks[1] <= 4
    store = autodiff.scan_gradient(NET, x0, W, total, n_steps=t)
    for ours, theirs in zip((back[0], *back[1], back[2]), (store[0], *store[1], store[2]), strict=True):
        assert np.linalg.norm(ours - theirs) <= 1e-8 * np.linalg.norm(theirs)


def test_steps_are_the_binomial_optimum():
    """Against dynamic programming over all places of the next kept state."""

    @lru_cache(None)
    def best(length, slots):
        if length == 1 or slots == 1:
            return length * (length - 1) // 2
        return min(m + best(m, slots) + best(length - m, slots - 1) for m in range(1, length))

    for slots in range(1, 7):
        for t in range(1, 50):
            calls = []
            states = list(scan._revolved(lambda x, calls=calls: calls.append(x) or x + 1, 0, lambda k: (), t, slots))
            assert states == [(k, k) for k in range(t - 1, -1, -1)]
            r = next(r for r in range(t + 1) if math.comb(slots + r, slots) >= t)
            closed = r * t - (math.comb(slots + r, slots + 1) if r else 0)
            assert len(calls) == closed == best(t, slots)
            assert closed == costs.scan_steps(t, memory="checkpoint", slots=slots)


def test_log_slots_take_a_log_factor_and_root_slots_at_most_three():
    for t in (10, 100, 1000, 10**5):
        assert costs.scan_slots(t) <= math.log2(t) + 1
        assert costs.scan_steps(t, memory="checkpoint") <= t * math.log2(t)
        assert costs.scan_steps(t, memory="checkpoint", slots="sqrt") <= 3 * t


@pytest.mark.parametrize("memory", costs.SCAN_MEMORIES)
@pytest.mark.parametrize("t", [1, 2, 13])
def test_costs_are_those_counted(rng, memory, t):
    w = 5
    x0, W = (rng.standard_normal(w), rng.standard_normal(w)), rng.standard_normal((2, w, w)) / 5
    _, tally = xs.count(autodiff.scan_gradient, NET, x0, W, total, n_steps=t, memory=memory)
    cost = costs.scan(t, w, memory=memory)
    assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)
    assert TABLE["scan_gradient"].syncs == costs.scan(t, w).syncs


def test_the_adjoint_of_an_ode_is_the_limit():
    """ẋ = θ(t)x on [0, 1], L = x(1): ∇θ(s) = x(s)·x(1)/x(s) = x(1) for θ = cos, at rate τ."""
    errors = []
    for t in (50, 100, 200, 400):
        tau = 1 / t
        theta = np.cos(np.arange(t) * tau)
        _, _, gradient = autodiff.scan_gradient(
            lambda x, a, tau=tau: x + tau * a * x, np.asarray(1.0), theta, lambda x: x
        )
        errors.append(np.max(np.abs(gradient / tau - np.exp(np.sin(1.0)))))
    rates = np.log2(np.asarray(errors[:-1]) / errors[1:])
    assert np.all(np.abs(rates - 1) < 0.1)


def test_it_nests_and_traces(rng):
    a = rng.uniform(0.5, 1, 5)

    def gradient(a):
        return autodiff.scan_gradient(lambda x, a: tanh(a * x), a[0], a, lambda x: x, memory="checkpoint")[2]

    H = autodiff.jacfwd(gradient)(a)
    assert_close(H, autodiff.finite_difference(gradient, a, scheme="central"), atol=1e-8)
    jax = pytest.importorskip("jax")
    assert_close(jax.jit(gradient)(jax.numpy.asarray(a)), gradient(a), rtol=1e-12)


def test_a_wrong_inverse_is_noticed():
    wrong = autodiff.Reversible(lambda x, a: a * x, lambda x, a: x / a + 1e-3)
    with pytest.warns(RuntimeWarning, match=r"inverse is wrong"):
        autodiff.scan_gradient(wrong, np.ones(2), np.full(3, 1.5), total, memory="reversible")


X, STEP = np.ones(2), lambda x, a: a * x
BAD = {
    "memory": (lambda: autodiff.scan_gradient(STEP, X, X, total, memory="tape"), ValueError, r"memory: .*'tape'"),
    "inverse": (
        lambda: autodiff.scan_gradient(STEP, X, X, total, memory="reversible"),
        TypeError,
        r"step: .*Reversible",
    ),
    "slots": (
        lambda: autodiff.scan_gradient(STEP, X, X, total, memory="checkpoint", slots=0),
        ValueError,
        r"slots: .*got 0",
    ),
    "slots by name": (
        lambda: autodiff.scan_gradient(STEP, X, X, total, memory="checkpoint", slots="few"),
        ValueError,
        r"slots: .*'few'",
    ),
    "slots of store": (lambda: autodiff.scan_gradient(STEP, X, X, total, slots=2), ValueError, r"slots: .*'store'"),
    "no steps": (lambda: autodiff.scan_gradient(STEP, X, [], total), ValueError, r"params: .*at least one"),
    "lengths": (
        lambda: autodiff.scan_gradient(STEP, X, {"a": X, "b": np.ones(3)}, total),
        ValueError,
        r"params: .*one length",
    ),
    "inputs": (
        lambda: autodiff.scan_gradient(STEP, X, X, total, inputs=np.ones(3)),
        ValueError,
        r"inputs: expected 2 .*got 3",
    ),
    "shape": (
        lambda: autodiff.scan_gradient(lambda x, a: x[:1], X, np.ones(1), total),
        ValueError,
        r"step: .*\(2,\).*\(1,\)",
    ),
    "loss": (lambda: autodiff.scan_gradient(STEP, X, X, lambda x: x), ValueError, r"0-d"),
    "steps": (lambda: autodiff.scan_gradient(STEP, X, X, total, n_steps=0), ValueError, r"n_steps"),
    "cost": (lambda: costs.scan_steps(3, memory="tape"), ValueError, r"memory: .*'tape'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named(kind):
    call, error, words = BAD[kind]
    with pytest.raises(error, match=words):
        call()
