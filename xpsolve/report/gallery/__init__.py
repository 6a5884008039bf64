"""Figures of the course, redrawn from live runs of the library: a file for each subject, each figure an example of use.

To add one: a function ``draw(backend) -> Figure`` in a file here, under ``@picture``, with its words as docstring.
``xpsolve figures`` draws them, ``xpsolve report`` shows what was drawn.  "MFDS" stands for G. Peyré, Mathematical
Foundations of Data Sciences (2020).
"""

from importlib import import_module

from xpsolve.report.gallery._picture import Picture
from xpsolve.report.gallery._record import Drawn, read
from xpsolve.report.gallery._together import draw_all, left_out

__all__ = ["PICTURES", "Drawn", "Picture", "draw_all", "left_out", "read"]

SUBJECTS = ("sparse", "restoration", "autodiff", "stochastic", "transport", "networks")  # in the order of the page

PICTURES: dict[str, Picture]
"""Every figure there is by its name, in the order of the page; imported when it is first asked for."""


def __getattr__(name: str) -> dict[str, Picture]:
    if name != "PICTURES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = (one for subject in SUBJECTS for one in vars(import_module(f"{__name__}.{subject}")).values())
    pictures = {one.name: one for one in found if isinstance(one, Picture)}
    globals()[name] = pictures
    return pictures
