"""Running the asv suite in the current environment: profiles, plan, resume, and the machine's facts.

``suite`` knows what can be measured, ``profiles`` what is wanted, ``plan`` in which order and within
which time, ``run`` measures and saves, ``ledger`` remembers what was measured, ``machine`` says where.
asv does the measuring and keeps its own format, so that ``asv publish`` and ``asv compare`` read it.
"""

from xpsolve.bench.profiles import PROFILES, Profile
from xpsolve.bench.runner import Observer, Outcome, run
from xpsolve.bench.suite import BenchError

__all__ = ["PROFILES", "BenchError", "Observer", "Outcome", "Profile", "run"]
