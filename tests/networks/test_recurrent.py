"""Recurrent and residual networks: gradients against torch and the tape, their flow, and digits row by row."""

import numpy as np
import pytest

import xpsolve as xs
from xpsolve import autodiff, costs, networks, problems
from xpsolve.arrays import namespace_of
from xpsolve.networks.recurrent import _ENERGIES
from xpsolve.testing import assert_close, slope_test


def recurrent(rng, n, d, m, scale=1.0):
    W, V, C = (scale * rng.standard_normal(s) / np.sqrt(s[1]) for s in ((n, n), (n, d), (m, n)))
    return W, V, np.zeros(n), C, np.zeros(m)


def _total(x):
    return namespace_of(x).sum(x)


def test_the_recurrent_gradient_is_that_of_torch(rng):
    torch = pytest.importorskip("torch")
    theta, U, Y = recurrent(rng, 5, 3, 2), rng.standard_normal((4, 3, 6)), rng.standard_normal((2, 6))
    for memory in ("store", "checkpoint"):
        value, found = networks.recurrent_gradient(
            theta,
            U,
            lambda o: networks.squared_loss(o, Y)[0],
            memory=memory,
            slots=2 if memory == "checkpoint" else None,
        )
        W, V, b, C, c = there = [torch.tensor(a, requires_grad=True) for a in theta]
        h = torch.zeros(5, 6, dtype=torch.float64)
        for u in torch.tensor(U):
            h = torch.tanh(W @ h + V @ u + b[:, None])
        truth = 0.5 * ((C @ h + c[:, None] - torch.tensor(Y)) ** 2).sum() / 6
        truth.backward()
        assert float(value) == pytest.approx(float(truth.detach()), rel=1e-12)
        for a, b in zip(found, there, strict=True):
            np.testing.assert_allclose(a, b.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.of("recurrent_gradient")
def test_everywhere(xp, rng):
    theta, U = recurrent(rng, 3, 2, 2), rng.standard_normal((3, 2, 4))
    loss = lambda o: o[0, 0] * o[1, 2]  # noqa: E731
    value, gradient = networks.recurrent_gradient(theta, U, loss)
    there = networks.recurrent_gradient(tuple(map(xp, theta)), xp(U), loss)
    tight = {"like": xp(U), "rtol": 1e3 * xp.eps}
    assert_close(there[0], value, **tight)
    for found, wanted in zip(there[1], gradient, strict=True):
        assert_close(found, wanted, **tight)
    first, second = rng.standard_normal((2, 5, 3))
    x = rng.standard_normal((3, 2))
    wanted = networks.residual_gradient((first, second), x, lambda x: x[0, 0], n_steps=2)
    found = networks.residual_gradient((xp(first), xp(second)), xp(x), lambda x: x[0, 0], n_steps=2)
    for a, b in zip((*found[:2], *found[2]), (*wanted[:2], *wanted[2]), strict=True):
        assert_close(a, b, **tight)
    energy = networks.flow_energy(x, first)
    assert_close(networks.flow_energy(xp(x), xp(first)), energy, **tight)


def test_shared_weights_have_the_sum_of_the_gradients_of_all_steps(rng):
    theta, x = tuple(0.3 * rng.standard_normal((2, 4, 3))), rng.standard_normal((3, 5))

    def loss(theta, x):
        for _ in range(6):
            x = networks.residual_step(x, theta)
        return _total(x * x)

    value, x_gradient, theta_gradient = networks.residual_gradient(
        theta, x, lambda x: _total(x * x), n_steps=6, memory="checkpoint", slots=2
    )
    assert float(value) == pytest.approx(float(loss(theta, x)), rel=1e-12)
    on_tape, at_x = autodiff.grad(loss, (0, 1))(theta, x)
    for a, b in zip((*theta_gradient, x_gradient), (*on_tape, at_x), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("activation", _ENERGIES)
def test_opposite_weights_are_a_gradient_flow(rng, activation):
    """x − τW₁ᵀρ(W₁x) is a step down ∇E, and below τ = 2/‖W₁‖² (ρ′ ≤ 1) the energy of every column falls."""
    W, x = rng.standard_normal((6, 4)), rng.standard_normal((4, 20))
    tau = 1.99 / np.linalg.norm(W, 2) ** 2
    step = networks.residual_step(x, (W, -tau * W), activation)
    gradient = autodiff.grad(lambda x: _total(networks.flow_energy(x, W, activation)))(x)
    np.testing.assert_allclose(step, x - tau * gradient, rtol=1e-10, atol=1e-12)
    slope_test(lambda x: networks.flow_energy(x, W, activation), lambda v: np.sum(gradient * v, axis=0), x)
    before = networks.flow_energy(x, W, activation)
    assert before.shape == (20,)
    for _ in range(30):
        x = networks.residual_step(x, (W, -tau * W), activation)
        energy = networks.flow_energy(x, W, activation)
        assert np.all(energy <= before + 1e-14 * np.abs(before))
        before = energy


def test_the_energy_does_not_overflow():
    found = networks.flow_energy(np.asarray([[1e4, 1e-9, 0.0]]), np.ones((1, 1)))
    np.testing.assert_allclose(found, [1e4 - np.log(2), 5e-19, 0.0], rtol=1e-15, atol=1e-16)


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_it_learns_to_read_digits_row_by_row():
    """A sequence of eight rows of eight pixels: 95 % of unseen images, where a guess has 10 %."""
    data, rng = problems.digits(standardise=False), np.random.default_rng(0)
    Z, Y = data.A.reshape(-1, 8, 8) / 8 - 0.6, data.y
    order = rng.permutation(Z.shape[0])
    train, test = order[:1297], order[1297:]

    def gradient(theta, Z, Y):
        return networks.recurrent_gradient(theta, Z.transpose(1, 2, 0), lambda o: networks.cross_entropy(o, Y.T)[0])

    start = recurrent(rng, 48, 8, 10)
    run = networks.train(gradient, start, Z[train], Y[train], step=0.1, warmup=200, epochs=10, batch=48, record=True)
    assert run.history["objective"][0] > 2
    assert run.certificate.value < 0.1
    state = np.zeros((48, 500)), np.zeros((10, 500))
    for u in Z[test].transpose(1, 2, 0):
        state = networks.recurrent_step(state, run.x, u)
    assert np.mean(np.argmax(state[1], axis=0) == np.argmax(Y[test], axis=1)) >= 0.95


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_a_residual_network_learns_a_rotation(rng):
    """Ten steps with shared weights turn the plane by a right angle, within 10 % on points it has not seen."""
    X = rng.uniform(-1, 1, (200, 2))
    turned = X @ np.asarray([[0.0, 1.0], [-1.0, 0.0]])
    theta = tuple(0.3 * rng.standard_normal((2, 16, 2)))

    def gradient(theta, X, Y):
        run = networks.residual_gradient(theta, X.T, lambda x: networks.squared_loss(x, Y.T)[0], n_steps=10)
        return run[0], run[2]

    run = networks.train(gradient, theta, X[:150], turned[:150], step=0.02, epochs=60, tol=1e-5)
    x = X[150:].T
    for _ in range(10):
        x = networks.residual_step(x, run.x)
    assert np.linalg.norm(x - turned[150:].T) < 0.1 * np.linalg.norm(x)


ONE, FLAT = np.ones((2, 2)), np.ones(2)
THETA = (ONE, ONE, FLAT, ONE, FLAT)
BAD = {
    "inputs without time": (lambda: networks.recurrent_gradient(THETA, ONE, np.sum), r"U: expected shape \(t, d, N\)"),
    "weights of another shape": (
        lambda: networks.recurrent_gradient((ONE, ONE, ONE, ONE, FLAT), np.ones((1, 2, 1)), np.sum),
        r"theta: expected b of shape \(2,\), got \(2, 2\)",
    ),
    "an activation": (lambda: networks.residual_step(FLAT, (ONE, ONE), "step"), r"activation: .*got 'step'"),
    "no energy": (lambda: networks.flow_energy(FLAT, ONE, "softplus"), r"activation: .*got 'softplus'"),
    "weights that differ": (lambda: networks.residual_step(FLAT, (ONE, ONE[:1])), r"theta: expected W₁ and W₂"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input(kind):
    call, words = BAD[kind]
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("options", [{}, {"memory": "checkpoint", "slots": 3}], ids=["store", "checkpoint"])
def test_counts_are_those_of_the_costs(rng, options):
    square = lambda z: namespace_of(z).sum(z * z)  # noqa: E731
    first, second, x = *rng.standard_normal((2, 4, 6)), rng.standard_normal((6, 5))
    for t in (1, 2, 7):
        theta, U = recurrent(rng, 7, 3, 2), rng.standard_normal((t, 3, 5))
        _, tally = xs.count(lambda U, *theta: networks.recurrent_gradient(theta, U, square, **options), U, *theta)
        cost = costs.recurrent(t, 7, 5, inputs=3, outputs=2, **options)
        assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)
        _, tally = xs.count(
            lambda x, *theta, t=t: networks.residual_gradient(theta, x, square, n_steps=t, **options), x, first, second
        )
        cost = costs.residual(t, 6, 4, 5, **options)
        assert (tally.product_flops, tally.launches, tally.syncs) == (cost.flops, cost.launches, cost.syncs)
