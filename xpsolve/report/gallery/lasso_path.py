"""The regularisation path of the lasso, x(λ) = argmin ½‖Ax − y‖² + λ‖x‖₁, on the diabetes data.

From λ = max |Aᵀy| on nothing is left of x; as λ falls the features enter one by one.

Source: G. Peyré, Mathematical Foundations of Data Sciences (2020), §14.1.3; the data are those of Efron, Hastie,
Johnstone and Tibshirani, Least angle regression (2004).
"""

from __future__ import annotations

from typing import Any

import xpsolve as xs
from xpsolve.arrays.backends import Backend
from xpsolve.report.gallery._picture import Picture
from xpsolve.report.style import COLOURS, FAINT, label_ends, panels, power_of_ten


def draw(backend: Backend) -> Any:
    """A line for each feature, its name at the end."""
    data = xs.problems.diabetes(backend=backend.name)
    path = xs.lasso_path(data.A, data.y)
    lams, x = backend.to_numpy(path.lams), backend.to_numpy(path.x)
    shares = lams / lams[0]

    figure, axes = panels(height=4.4)
    axes.axhline(0, color=FAINT, linewidth=0.8)
    styles = [(colour, dashes) for dashes in ((None, None), (4, 1.5)) for colour in COLOURS]
    ends = []
    for values, name, (colour, dashes) in zip(x.T, data.feature_names, styles, strict=False):
        axes.plot(shares, values, color=colour, linewidth=1.6, dashes=dashes)
        ends.append((shares[-1], values[-1], name, colour))
    axes.set_xscale("log")
    axes.set_xlim(shares[0], shares[-1])  # from the largest λ down: lines end where there is space for names
    axes.xaxis.set_major_formatter(power_of_ten)
    axes.set(xlabel="λ / max |Aᵀy|", ylabel="coefficient")
    label_ends(axes, ends, room=0.058, leaders=True)
    return figure


PICTURE = Picture(
    name="lasso-path",
    family="lasso",
    title="Diabetes data: as λ falls, the lasso selects features one by one",
    alt="The ten coefficients against λ / max |Aᵀy|, from 1 at the left to 0.001 at the right. All start at 0; "
    "bmi and s5 enter first and grow to about 25 and 35, then bp, s3 and sex; at small λ the correlated s1 "
    "and s2 run apart.",
    caption="442 patients, 10 features of mean 0 and variance 1; xs.lasso_path at 100 values of λ, each "
    "certified to a duality gap of 1e-6·½‖y‖². Coefficients are of a feature's standard "
    "deviation. After G. Peyré, Mathematical Foundations of Data Sciences, §14.1.3.",
    draw=draw,
    seconds=1.4,
)
