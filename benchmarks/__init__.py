"""The airspeed-velocity suite: how each solver scales in n, p and depth, on each backend.

One module per family, `ceilings` for what the machine itself can do, `_base` for everything they
share, `_grid` for how much of it ``asv run`` sees.  Run it with ``xpsolve bench`` (in the current environment,
slice by slice) or with ``asv run``.
"""

import os

# Set before any library is imported: JAX computes in float64 only when told so at its start, and on a
# GPU takes three quarters of the memory unless configured otherwise.
os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
