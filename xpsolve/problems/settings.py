"""The two settings in which ridge regression is met: inverse problems, and statistical learning.

Both solve (C + λI) f = u with u = C f + r.  In an inverse problem C = AᵀA is exact and r = Aᵀw is bounded,
‖r‖ = ε.  In learning from n samples C is only seen through C_n = XᵀX/n, and r_n = Xᵀε/n is random with
‖r_n‖ ~ n^(−1/2).  (G. Peyré, Mathematical Foundations of Data Sciences, 2020, chapter 14 and its slides.)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xpsolve.problems._problem import Problem, check_level, check_size, placer
from xpsolve.problems.synthetic import Harmonics, assemble, draw_factors, spectrum_values


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class InverseProblem(Problem):
    """y = A f + w with an exact operator and a bounded perturbation.

    Parameters
    ----------
    name, A, y, x_true, noise, backend, source, feature_names, target_names, factors
        As in `Problem`.
    epsilon : float
        The noise level ‖Aᵀw‖.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.inverse_problem(60, 40, epsilon=0.1)
    >>> problem.C.shape, problem.u.shape, problem.r.shape
    ((40, 40), (40,), (40,))
    """

    epsilon: float

    @cached_property
    def C(self) -> Any:
        """The exact covariance AᵀA, shape (p, p)."""
        return self.A.T @ self.A

    @cached_property
    def u(self) -> Any:
        """The data as they enter the normal equations, u = Aᵀy = C f + r, shape (p,)."""
        return self.A.T @ self.y

    @cached_property
    def r(self) -> Any:
        """The perturbation of the normal equations, r = Aᵀw, shape (p,)."""
        return self.A.T @ self.noise


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StatisticalLearning(Problem):
    """n independent samples x_i ~ N(0, C), y_i = ⟨x_i, f⟩ + ε_i; X is ``A`` and f is ``x_true``.

    Empirical risk minimisation with penalty λ is ``solution(n * lam)``, since C_n and u_n carry 1/n.

    Parameters
    ----------
    name, A, y, x_true, noise, backend, source, feature_names, target_names, factors
        As in `Problem`.
    sigma : float
        The standard deviation of the errors ε_i.
    population : tuple
        V and c on the host, with C = V diag(c) Vᵀ.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.statistical_learning(1000, 5)
    >>> problem.C.shape, problem.C_n.shape, problem.r_n.shape
    ((5, 5), (5, 5), (5,))
    """

    sigma: float
    population: tuple[Any, Any]

    @cached_property
    def C(self) -> Any:
        """The covariance of the population, E(x xᵀ), shape (p, p)."""
        V, c = self.population
        return placer(self.backend, self.dtype)(assemble((V, c, V)))

    @cached_property
    def C_n(self) -> Any:
        """The covariance of the sample, XᵀX/n, shape (p, p)."""
        return self.A.T @ self.A / self.shape[0]

    @property
    def covariance_error(self) -> Any:
        """C_n − C, shape (p, p), of order n^(−1/2)."""
        return self.C_n - self.C

    @cached_property
    def u(self) -> Any:
        """E(y x) = C f, shape (p,)."""
        return self.C @ self.x_true

    @cached_property
    def u_n(self) -> Any:
        """What the sample gives for `u`: Xᵀy/n = C_n f + r_n, shape (p,)."""
        return self.A.T @ self.y / self.shape[0]

    @cached_property
    def r_n(self) -> Any:
        """The random noise Xᵀε/n, shape (p,)."""
        return self.A.T @ self.noise / self.shape[0]

    @property
    def noise_level(self) -> float:
        """The root mean square of ‖r_n‖ over samples, σ (tr C / n)^(1/2)."""
        return float(self.sigma * np.sqrt(self.population[1].sum() / self.shape[0]))


def inverse_problem(
    n: int,
    p: int,
    *,
    epsilon: float = 0.01,
    spectrum: Any = "power",
    condition: float | None = None,
    seed: int = 0,
    backend: str = "numpy",
    dtype: str = "float64",
) -> InverseProblem:
    """A deterministic inverse problem y = A f + w with ‖Aᵀw‖ = ε.

    The perturbation w lies in the range of A: what lies outside changes nothing.

    Parameters
    ----------
    n, p : int
        Numbers of observations and of unknowns.
    epsilon : float
        The noise level ‖Aᵀw‖.
    spectrum : str or array, shape (min(n, p),)
        The singular values of A, as in `least_squares` but for "gaussian".
    condition : float, optional
        Largest over smallest singular value, for "power" and "exponential"; 100 unless given.
    seed : int
        Settles A, f and the direction of w.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    InverseProblem
        With C = AᵀA, u = Aᵀy and r = Aᵀw.

    Raises
    ------
    ValueError
        If a size, a level, the spectrum, the condition, the dtype or the backend is none of the above.
    RuntimeError
        If the backend is not available here.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import problems
    >>> problem = problems.inverse_problem(60, 40, epsilon=0.1)
    >>> round(float(np.linalg.norm(problem.r)), 12)
    0.1
    """
    place = placer(backend, dtype)
    n, p = check_size("n", n), check_size("p", p)
    epsilon = check_level("epsilon", epsilon)
    rng = np.random.default_rng(seed)
    factors = draw_factors(n, p, spectrum_values(spectrum, condition, min(n, p)), rng)
    U, s, _ = factors
    f = rng.standard_normal(p)
    direction = (s > 0) * rng.standard_normal(s.size)
    # ‖Aᵀ U c‖ = ‖s c‖, since V has orthonormal columns
    w = U @ (direction * (epsilon / np.linalg.norm(s * direction)))
    A = assemble(factors)
    return InverseProblem(
        name="inverse problem",
        A=place(A),
        y=place(A @ f + w),
        x_true=place(f),
        noise=place(w),
        backend=backend,
        source=f"synthetic, spectrum {spectrum if isinstance(spectrum, str) else 'given'}, seed {seed}",
        factors=factors,
        epsilon=epsilon,
    )


def statistical_learning(
    n: int,
    p: int,
    *,
    sigma: float = 1.0,
    spectrum: Any = "power",
    condition: float | None = None,
    seed: int = 0,
    backend: str = "numpy",
    dtype: str = "float64",
) -> StatisticalLearning:
    """Learn f from n independent samples of a population with known covariance.

    The population (C and f) depends on `p` and `seed` alone, and samples are nested: those of a smaller
    n are the first of those of a larger.

    Parameters
    ----------
    n, p : int
        Numbers of samples and of features.
    sigma : float
        The standard deviation of the errors ε_i.
    spectrum : str or array, shape (p,)
        The eigenvalues of C: "flat", "power", "exponential", or their values.
    condition : float, optional
        Largest over smallest eigenvalue, for "power" and "exponential"; 100 unless given.
    seed : int
        Settles the population and the sample.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    StatisticalLearning
        With C, C_n, C_n − C, u, u_n and r_n.

    Raises
    ------
    ValueError
        If a size, a level, the spectrum, the condition, the dtype or the backend is none of the above.
    RuntimeError
        If the backend is not available here.

    Examples
    --------
    >>> import numpy as np
    >>> from xpsolve import problems
    >>> few, many = (problems.statistical_learning(n, 5) for n in (100, 10_000))
    >>> bool(np.linalg.norm(many.r_n) < np.linalg.norm(few.r_n))
    True
    """
    place = placer(backend, dtype)
    n, p = check_size("n", n), check_size("p", p)
    sigma = check_level("sigma", sigma)
    c = spectrum_values(spectrum, condition, p)
    # one stream each, so that neither the population nor the first samples depend on n
    population, samples, errors = np.random.default_rng(seed).spawn(3)
    V = Harmonics.draw(p, p, population)
    f = population.standard_normal(p)
    X = (V @ (np.sqrt(c)[:, None] * samples.standard_normal((n, p)).T)).T
    noise = sigma * errors.standard_normal(n)
    return StatisticalLearning(
        name="statistical learning",
        A=place(X),
        y=place(X @ f + noise),
        x_true=place(f),
        noise=place(noise),
        backend=backend,
        source=f"synthetic, {n} samples of N(0, C), seed {seed}",
        sigma=sigma,
        population=(V, c),
    )
