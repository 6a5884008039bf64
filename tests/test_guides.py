"""Messages end with a page of the documentation that answers them, and that has the anchor."""

import re
from pathlib import Path

import numpy as np
import pytest

import xpsolve as xs
from xpsolve.guides import GUIDES, PLACE, guide

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("topic", GUIDES)
def test_the_page_has_the_anchor(topic):
    page, anchor = GUIDES[topic].split("#")
    assert re.search(rf"^\({re.escape(anchor)}\)=\n#", (ROOT / PLACE / page).read_text("utf-8"), re.MULTILINE)


def test_every_topic_is_used():
    text = "".join(path.read_text("utf-8") for path in (ROOT / "xpsolve").rglob("*.py"))
    assert set(re.findall(r"guide\(['\"]([\w ]+)['\"]\)", text)) == set(GUIDES)


def wrong_adjoint():
    xs.dot_test(xs.LinearOperator.from_functions((3, 3), np.cumsum, np.cumsum, columns=False), like=np.ones(3))


def unruled(x):
    return x.__array_namespace__().nextafter(x, x) @ x


A = np.eye(3, 2)
MESSAGES = {
    "adjoint": (AssertionError, wrong_adjoint),
    "complex": (TypeError, lambda: xs.nnls(1j * A, np.ones(3))),
    "no rule": (NotImplementedError, lambda: xs.autodiff.grad(unruled)(np.ones(2))),
    "not converged": (xs.ConvergenceWarning, lambda: xs.lasso(A, np.ones(3), 0.1, method="ista", max_iter=0)),
    "operator": (TypeError, lambda: xs.ridge(lambda x: x, np.ones(3), 1.0)),
    "own functions": (TypeError, lambda: xs.autodiff.grad(np.linalg.norm)(np.ones(2))),
    "penalty": (TypeError, lambda: xs.minimize(xs.LeastSquares(A, np.ones(3)), 0.1)),
    "penalty methods": (NotImplementedError, lambda: xs.penalties.Penalty().young(A, A)),
}


@pytest.mark.parametrize("topic", MESSAGES)
def test_the_message_ends_with_its_page(topic):
    error, call = MESSAGES[topic]
    with pytest.raises(error) as caught:  # warnings are errors in the tests
        call()
    assert str(caught.value).endswith(guide(topic))


def test_libraries_are_not_mixed():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=re.escape(guide("one library"))):
        xs.ridge(A, torch.ones(3), 1.0)
