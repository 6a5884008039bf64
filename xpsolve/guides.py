"""Which page of the documentation answers a message, in one table: each message ends with its page and anchor."""

from __future__ import annotations

PLACE = "docs/"
"""Where the pages are: a folder of the repository and of the source archive."""

GUIDES = {
    "complex": "start/functions.md#complex",
    "extras": "start/install.md#extras",
    "gate": "howto/gate.md#too-little",
    "jit": "howto/jax.md#not-compiled",
    "known shapes": "howto/larger-than-memory.md#dask",
    "no rule": "howto/gradients.md#no-rule",
    "not converged": "start/solution.md#not-converged",
    "one library": "start/first-solve.md#one-library",
    "operator": "howto/own-operator.md#two-functions",
    "own functions": "howto/gradients.md#own-functions",
    "adjoint": "howto/own-operator.md#test-the-adjoint",
    "penalty": "howto/new-penalty.md#own-penalty",
    "penalty methods": "howto/new-penalty.md#penalty-methods",
}


def guide(topic: str) -> str:
    """The sentence that ends a message.

    Parameters
    ----------
    topic : str
        A key of `GUIDES`; a test checks that each of their anchors is there.

    Returns
    -------
    str
        Where to read more.

    Examples
    --------
    >>> from xpsolve.guides import guide
    >>> guide("adjoint")
    'See docs/howto/own-operator.md#test-the-adjoint.'
    """
    return f"See {PLACE}{GUIDES[topic]}."
