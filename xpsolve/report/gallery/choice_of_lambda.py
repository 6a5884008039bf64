"""The curve of a choice of λ, drawn in two lines: score and standard error against λ, and the λ that was chosen.

Source: T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning (2009), Figure 3.8.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, panels, power_of_ten


def draw(backend: Backend) -> Any:
    """Ridge by leave-one-out on the left, the lasso by ten folds on the right."""
    data = xs.problems.diabetes(backend=backend.name)
    colour, _, other = list(COLOURS)[:3]
    ridge = xs.ridge_cv(data.A, data.y, backend.asarray(np.geomspace(1e-2, 1e3, 60)), method="loo")
    simple = xs.lasso_cv(data.A, data.y, n_lams=60, rule="one standard error")
    best = xs.lasso_cv(data.A, data.y, backend.asarray(backend.to_numpy(simple.lams)))

    figure, (left, right) = panels(2, height=3.9, sharey=True)
    for axes, found in ((left, ridge), (right, best)):
        lams, scores, spread = (backend.to_numpy(v) for v in (found.lams, found.scores, found.spread))
        axes.errorbar(lams, scores, spread, color=colour, ecolor=FAINT, elinewidth=0.8, linewidth=1.6)
        axes.set(xscale="log", xlabel="λ")
        axes.xaxis.set_major_formatter(power_of_ten)
    left.axvline(float(ridge.lam), color=colour, linewidth=1.0, dashes=(4, 3))
    for found, name, shade in ((best, "best", colour), (simple, "one standard error", other)):
        count = int(np.count_nonzero(backend.to_numpy(found.x)))
        line = {"color": shade, "linewidth": 1.0, "dashes": (4, 3)}
        right.axvline(float(found.lam), label=f"{name}, {count} features", **line)
    right.legend(loc="upper left", fontsize=9)
    left.set(ylabel="mean squared error of prediction", title="ridge, leave one out")
    right.set(title="lasso, ten folds")
    return figure


PICTURE = Picture(
    name="choice-of-lambda",
    family="lasso",
    title="Held-out error against λ: one standard error keeps 4 of 10 features",
    alt="Two panels of the mean squared error of prediction against λ, with standard errors as bars. Left, ridge by"
    " leave one out; right, the lasso by ten folds. Both are flat for small λ and rise steeply for large λ. Dashed"
    " lines mark the least error and, for the lasso, the larger λ within one standard error of it, with fewer"
    " features.",
    caption="442 patients, 10 features. found = xs.lasso_cv(A, y), or found = xs.ridge_cv(A, y, lams, method='loo'),"
    " holds the curve, which two lines draw: plt.errorbar(found.lams, found.scores, found.spread) and"
    " plt.axvline(found.lam)."
    " After T. Hastie, R. Tibshirani and J. Friedman, The Elements of Statistical Learning, Figure 3.8; the penalties"
    " as in G. Peyré, Mathematical Foundations of Data Sciences, §14.1.",
    draw=draw,
    seconds=2.0,
)
