"""Floor 2: derivatives.  Products of Jacobians in the cheapest order."""

from xpsolve.autodiff.chain import chain_cost, chain_jacobian

__all__ = ["chain_cost", "chain_jacobian"]
