"""``python -m xpsolve``: the command without its entry point, for a clone that is not installed."""

from xpsolve.cli import main

main()
