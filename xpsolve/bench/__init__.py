"""Running the asv suite in the current environment: profiles, plan, resume, and the machine's facts.

``suite`` is what can be measured, ``profiles`` what is requested, ``plan`` in which order and within
which time, ``runner`` measures and saves, ``ledger`` stores what was measured, ``machine`` describes where.
asv does the measuring and keeps its own format, so that ``asv publish`` and ``asv compare`` read it.
"""

from xpsolve.bench.profiles import PROFILES
from xpsolve.bench.runner import Observer, Outcome, run
from xpsolve.bench.suite import BenchError

__all__ = ["PROFILES", "BenchError", "Observer", "Outcome", "run"]
