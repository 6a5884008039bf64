"""Every public name has a numpydoc docstring: its parameters, what it returns, and an example that runs.

The checks are those of ``[tool.numpydoc_validation]`` in pyproject.toml.  They are made on the imported
objects, since reading the source shows neither the parameters of a dataclass nor what is public.
"""

import importlib
import inspect
import pkgutil
import re
import tomllib
from enum import Enum
from pathlib import Path

import pytest
from numpydoc.validate import validate

import xpsolve

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
CHECKS = tomllib.loads(PYPROJECT.read_text("utf-8"))["tool"]["numpydoc_validation"]["checks"]
# the building blocks of algorithms, their costs, and the parts of the command: explained to those who read their source
INTERNAL = ("xpsolve.arrays", "xpsolve.costs", "xpsolve.trace", "xpsolve.bench", "xpsolve.report", "xpsolve.cli")


def public_names():
    """Dotted paths of the classes and functions in ``__all__`` of the public modules, each once."""
    found = pkgutil.walk_packages(xpsolve.__path__, "xpsolve.")
    modules = [m.name for m in found if not m.name.startswith(INTERNAL) and "._" not in m.name]
    paths = {}
    for name in ["xpsolve", *modules]:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            thing = getattr(module, public)
            # enumerations and warnings are named, not called: nothing to document but what they mean
            named = inspect.isclass(thing) and issubclass(thing, Enum | BaseException)
            if (inspect.isclass(thing) and not named) or inspect.isfunction(thing):
                paths.setdefault(thing, f"{name}.{public}")
    return sorted(paths.values())


FIRST_SCREEN = 45  # lines
SOLVERS = """lasso ridge minimize sinkhorn sgd newton gradient_descent coordinate_descent lasso_path lstsq basis_pursuit
barycenter lasso_cv ridge_cv nnls elastic_net""".split()


@pytest.mark.parametrize("name", SOLVERS)
def test_the_first_screen_of_help_has_an_example_and_what_is_returned(name):
    first = "\n".join(inspect.getdoc(getattr(xpsolve, name)).splitlines()[:FIRST_SCREEN])
    assert ">>> " in first
    assert re.search(r"^Returns\n-+\n.+\n +\S", first, re.MULTILINE)


@pytest.mark.parametrize("path", public_names())
def test_docstring(path):
    faults = [f"{code} {text}" for code, text in validate(path)["errors"] if code in CHECKS]
    assert not faults, f"{path}: " + "; ".join(faults)
