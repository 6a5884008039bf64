"""scikit-learn is optional: nothing else imports it, and without it the estimators say what to install."""

import subprocess
import sys

WITHOUT = """
import sys
import xpsolve
assert "sklearn" not in sys.modules
sys.modules["sklearn"] = None
try:
    import xpsolve.estimators
except ImportError as error:
    print(error)
"""


def test_without_scikit_learn():
    found = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)
    assert "xpsolve.estimators needs scikit-learn" in found.stdout
    assert "xpsolve[sklearn]" in found.stdout
