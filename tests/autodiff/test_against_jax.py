"""JAX as the oracle: every rule of the table, and programs that use many of them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from xpsolve.arrays import namespace_of
from xpsolve.autodiff import grad, levels, tape
from xpsolve.autodiff.rules import ELEMENTWISE, RULES
from xpsolve.testing import assert_close

_spec = importlib.util.spec_from_file_location("autodiff_cases", Path(__file__).with_name("cases.py"))
cases = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(cases)


def _functions():
    def attention(x, W):
        xp = namespace_of(x)
        scores = (x @ W) @ x.T
        weights = xp.exp(scores - xp.max(scores, axis=1, keepdims=True))
        return xp.sum((weights / xp.sum(weights, axis=1, keepdims=True)) @ x * W[0, 0])

    def gaussian(x, W):
        xp = namespace_of(x)
        K = xp.exp(-0.5 * xp.sum((x[:, None, :] - x[None, :, :]) ** 2, axis=-1)) + xp.eye(x.shape[0], dtype=x.dtype)
        return xp.linalg.slogdet(K)[1] + xp.sum(xp.linalg.solve(K, x) * x) + xp.sum(xp.linalg.cholesky(K) * 0.1)

    def spectral(x, W):
        xp = namespace_of(x)
        w, V = xp.linalg.eigh(W + W.T)
        s = xp.linalg.svd(x, full_matrices=False)[1]
        return xp.sum(xp.tanh(w) * V[0, :] ** 2) + xp.prod(s) + xp.sum(xp.abs(xp.fft.rfft(x[:, 0])) ** 2)

    def shuffle(x, W):
        xp = namespace_of(x)
        y = xp.concat([xp.flip(x, axis=0), xp.roll(x, 1, axis=1)], axis=0)
        return xp.sum(xp.cumulative_sum(xp.sort(y, axis=0), axis=1) * xp.where(y > 0, y, 0.3 * y)) + xp.std(W)

    return [attention, gaussian, spectral, shuffle]


def weighted(f):
    """A number out of an array, with all of it in different weights."""

    def s(*xs):
        y = f(namespace_of(xs[0]), *xs)
        xp = namespace_of(y)
        flat = xp.reshape(y, (-1,))
        weights = xp.cos(xp.arange(1, flat.shape[0] + 1, dtype=y.dtype))
        return xp.sum(flat * weights + 0.1 * flat * flat)

    return s


def problems():
    """All cases and all programs as functions to a number, by name, with their arguments."""
    rng = np.random.default_rng(3)
    both = [rng.standard_normal((4, 3)), rng.standard_normal((3, 3))]
    found = {f.__name__: (f, both) for f in _functions()}
    for name, (f, makers) in cases.CASES.items():
        rng = np.random.default_rng(3)
        found[name] = weighted(f), [np.asarray(make(rng)) for make in makers]
    return found


@pytest.mark.parametrize("part", range(4))
def test_jax_finds_the_same(part):
    """One program for a quarter of them: compiled one by one they take minutes."""
    jax = pytest.importorskip("jax")
    todo = dict(list(problems().items())[part::4])

    def gradients(arguments):
        return {name: jax.grad(f, tuple(range(len(xs))))(*arguments[name]) for name, (f, xs) in todo.items()}

    quickly = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    there = {name: [jax.numpy.asarray(x) for x in xs] for name, (_, xs) in todo.items()}
    theirs = jax.jit(gradients, compiler_options=quickly)(there)
    for name, (f, xs) in todo.items():
        for i, (found, expected) in enumerate(zip(grad(f, tuple(range(len(xs))))(*xs), theirs[name], strict=True)):
            try:
                assert_close(found, expected, rtol=1e-10, atol=1e-10)
            except AssertionError as error:
                error.add_note(f"{name}, argument {i}")
                raise


class _Seen(dict):
    """A table that records what was looked up in it."""

    def __init__(self, table):
        super().__init__(table)
        self.names = set()

    def get(self, name, default=None):
        self.names.add(name)
        return super().get(name, default)


# Not in JAX and the standard, and functions of potentials with −∞ (tests/transport).
ELSEWHERE = {"sparse_product", "copy", "weighted"}
EXAMPLES = {"cube", "doubled"}  # that docstrings add


def test_every_rule_has_a_case(monkeypatch):
    general, partials = _Seen(RULES), _Seen(ELEMENTWISE)
    monkeypatch.setattr(levels, "RULES", general)
    monkeypatch.setattr(tape, "ELEMENTWISE", partials)
    for f, xs in problems().values():
        grad(f, tuple(range(len(xs))))(*xs)
    assert sorted(RULES.keys() - general.names - ELSEWHERE - EXAMPLES) == []
    assert sorted(ELEMENTWISE.keys() - partials.names - EXAMPLES) == []
