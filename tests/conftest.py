"""The `xp` fixture: every backend and device that this machine has, each test on all of them."""

import importlib.util
import os
import sys
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")  # before JAX is imported: float64 in must be float64 out


from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
import oracle
import pytest

import xpsolve
import xpsolve.capabilities
from xpsolve.arrays import backends

EMULATED = importlib.util.find_spec("cupy") is None
if EMULATED:  # CuPy's rules on the processor: this process alone sees it, programs that tests start do not
    sys.path.append(str(Path(__file__).parent / "cupy_on_cpu"))

for _name in oracle.TRUTHS:  # every answer that a test gets from xs.solver(...) is judged in extended precision
    setattr(xpsolve, _name, oracle.judged(_name, getattr(xpsolve, _name)))

hypothesis.settings.register_profile("deterministic", derandomize=True, deadline=None, max_examples=30)
hypothesis.settings.load_profile("deterministic")


@dataclass(frozen=True)
class Target:
    """One backend on one device, with a dtype: where a test runs."""

    name: str
    backend: backends.Backend
    device: Any
    dtype: str = "float64"
    readonly: bool = False
    flags: Any = None

    @property
    def xp(self):
        """The namespace."""
        return self.backend.namespace

    @property
    def eps(self):
        """Rounding unit of the dtype."""
        return float(np.finfo(self.dtype).eps)

    def __call__(self, host, dtype=None):
        """Move host values there."""
        x = self.backend.asarray(np.array(host), dtype=dtype or self.dtype, device=self.device)
        if self.readonly:
            x.flags.writeable = False
        return x


def _targets():
    found = []
    for name in backends.available():
        backend = backends.get(name)
        if name == "array-api-strict":
            _, device1, _, no_float64, _ = backend._devices
            found.append(Target("strict-device1", backend, device1))
            strictest = {"boolean_indexing": False, "data_dependent_shapes": False}
            found.append(Target("strictest", backend, device1, flags=strictest))
            found.append(Target("strict-no_float64", backend, no_float64, dtype="float32"))
        elif name == "cupy":
            label = "cupy-emulated" if EMULATED else "cupy"
            found.append(Target(label, backend, backend._devices[0]))
            found.append(Target(f"{label}-float32", backend, backend._devices[0], dtype="float32"))
        else:
            found.append(Target(name, backend, backend._devices[0]))
            if name == "numpy":
                found.append(Target("numpy-readonly", backend, "cpu", readonly=True))
    return found


TARGETS = _targets()


def pytest_configure(config):
    config.addinivalue_line("markers", "of(name): the public function under test; runs where its capabilities say")


def pytest_report_header(config):
    if EMULATED:
        return "cupy: EMULATED on the processor (tests/cupy_on_cpu); nothing here was run on a GPU"
    return None


def pytest_generate_tests(metafunc):
    if "xp" in metafunc.fixturenames:
        allowed = xpsolve.capabilities.EVERYWHERE
        for mark in metafunc.definition.iter_markers("of"):
            allowed = xpsolve.capabilities.TABLE[mark.args[0]].backends
        chosen = [t for t in TARGETS if t.backend.name.removesuffix("-cuda").removesuffix("-gpu") in allowed]
        metafunc.parametrize("xp", chosen, ids=[t.name for t in chosen], indirect=True)


@pytest.fixture
def xp(request):
    """The `Target` that a test runs on."""
    target = request.param
    if target.flags is None:
        context = nullcontext()
    else:
        import array_api_strict

        context = array_api_strict.ArrayAPIStrictFlags(**target.flags)
    with context:
        yield target


@pytest.fixture
def targets():
    """All targets at once."""
    return TARGETS


@pytest.fixture
def rng():
    """Random numbers, the same each time."""
    return np.random.default_rng(20)
