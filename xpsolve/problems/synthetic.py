"""Least-squares problems with a prescribed spectrum, A = U diag(s) Vᵀ.

The orthogonal factors are Hartley matrices with random signs and a random choice of columns: dense and
incoherent, but applied in O(n log n) and stored in O(n).  So A costs two fast transforms instead of two QR
factorisations, and its exact solutions stay known at any size.  (R. N. Bracewell, "Discrete Hartley
transform", J. Opt. Soc. Am. 73, 1983.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xpsolve.problems._problem import Problem, check_level, check_size, placer

SPECTRA = ("flat", "power", "exponential")


@dataclass(frozen=True, eq=False)
class Harmonics:
    """An n × k matrix with orthonormal columns, S H P: signs, the Hartley matrix, k of its columns."""

    signs: Any
    columns: Any
    transposed: bool = False

    @classmethod
    def draw(cls, n: int, k: int, rng: np.random.Generator) -> Harmonics:
        """A random one; `k` is at most `n`."""
        return cls(rng.choice([-1.0, 1.0], size=n), rng.permutation(n)[:k])

    @property
    def T(self) -> Harmonics:
        """The transpose."""
        return Harmonics(self.signs, self.columns, not self.transposed)

    def __matmul__(self, z: Any) -> Any:
        signs = self.signs.reshape(-1, *(1,) * (z.ndim - 1))
        if self.transposed:
            return _hartley(signs * z)[self.columns]
        full = np.zeros((self.signs.size, *z.shape[1:]))
        full[self.columns] = z
        return signs * _hartley(full)


def _hartley(z: Any) -> Any:
    """Σ_j cas(2π ij/n) z_j / √n along the first axis: real, orthogonal and its own inverse."""
    n = z.shape[0]
    half = np.fft.rfft(z, axis=0, norm="ortho")
    out = np.empty(z.shape)
    m = half.shape[0]
    np.subtract(half.real, half.imag, out=out[:m])
    # the other frequencies are conjugate to the first, read backwards
    np.add(half.real[n - m : 0 : -1], half.imag[n - m : 0 : -1], out=out[m:])
    return out


def spectrum_values(spectrum: Any, condition: float | None, k: int, names: tuple[str, ...] = SPECTRA) -> Any:
    """The k values that `spectrum` names or gives, checked; None for a name that fixes none ("gaussian")."""
    if isinstance(spectrum, str) and spectrum not in names:
        message = f"spectrum: expected one of {', '.join(names)}, or {k} values, got {spectrum!r}."
        raise ValueError(message)
    if isinstance(spectrum, str) and spectrum in ("power", "exponential"):
        ratio = 100.0 if condition is None else check_level("condition", condition)
        if ratio < 1:
            message = f"condition: expected a number ≥ 1, got {condition!r}."
            raise ValueError(message)
        j = np.arange(k)
        # both run from 1 to 1/condition: along j^(−a), or along a geometric sequence
        place = np.log1p(j) / np.log(max(k, 2)) if spectrum == "power" else j / max(k - 1, 1)
        return ratio**-place
    if condition is not None:
        given = repr(spectrum) if isinstance(spectrum, str) else "the array"
        message = (
            f"condition: expected None, since spectrum={given} leaves no choice, got {condition!r}; "
            "use spectrum='power' or 'exponential'."
        )
        raise ValueError(message)
    if isinstance(spectrum, str):
        return np.ones(k) if spectrum == "flat" else None
    values = np.array(spectrum, dtype="float64")
    if values.shape != (k,) or not np.all(np.isfinite(values) & (values >= 0)) or not values.any():
        message = f"spectrum: expected {k} finite values ≥ 0, not all zero, got an array of shape {values.shape}."
        raise ValueError(message)
    return np.sort(values)[::-1]


def draw_factors(n: int, p: int, values: Any, rng: np.random.Generator) -> tuple[Harmonics, Any, Harmonics]:
    """Factors U, s, V of a random n × p matrix with those singular values."""
    k = values.size
    return Harmonics.draw(n, k, rng), values, Harmonics.draw(p, k, rng)


def assemble(factors: tuple[Any, Any, Any]) -> Any:
    """U diag(s) Vᵀ as one dense array."""
    U, s, V = factors
    return U @ (V @ np.diag(s)).T


def least_squares(
    n: int,
    p: int,
    *,
    spectrum: Any = "power",
    condition: float | None = None,
    noise: float = 0.01,
    k: int | None = None,
    seed: int = 0,
    backend: str = "numpy",
    dtype: str = "float64",
) -> Problem:
    """A least-squares problem y = A x + w with prescribed singular values.

    Parameters
    ----------
    n, p : int
        Numbers of samples and of features.
    spectrum : str or array, shape (min(n, p),)
        The singular values of A, j = 1, 2, …: "flat", all 1; "power", j^(−a); "exponential", geometric;
        the last two from 1 down to 1/condition.  An array gives them, zeros for a deficient rank.
        "gaussian" draws the entries of A from N(0, 1/max(n, p)) instead: fastest, and least memory.
    condition : float, optional
        Largest over smallest singular value, for "power" and "exponential"; 100 unless given.
    noise : float
        ‖w‖ / ‖A x‖.
    k : int, optional
        Number of targets: `y` is (n, k) and `x_true` is (p, k).  None leaves them one-dimensional.
    seed : int
        The same seed gives the same problem on every backend.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    Problem
        With `x_true`, `noise`, and exact solutions by its ``solution(lam)``.

    Raises
    ------
    ValueError
        If a size, a level, the spectrum, the condition, the dtype or the backend is none of the above.
    RuntimeError
        If the backend is not available here.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.least_squares(200, 50, spectrum="exponential", condition=1e3)
    >>> float(problem.spectrum.max() / problem.spectrum.min())
    1000.0
    """
    place = placer(backend, dtype)
    n, p = check_size("n", n), check_size("p", p)
    level = check_level("noise", noise)
    targets = () if k is None else (check_size("k", k),)
    values = spectrum_values(spectrum, condition, min(n, p), (*SPECTRA, "gaussian"))
    rng = np.random.default_rng(seed)
    factors = None if values is None else draw_factors(n, p, values, rng)
    A = rng.standard_normal((n, p)) / np.sqrt(max(n, p)) if factors is None else assemble(factors)
    x = rng.standard_normal((p, *targets))
    signal = A @ x
    w = rng.standard_normal(signal.shape)
    w *= level * np.linalg.norm(signal) / np.linalg.norm(w)
    return Problem(
        name="least squares",
        A=place(A),
        y=place(signal + w),
        x_true=place(x),
        noise=place(w),
        backend=backend,
        source=f"synthetic, spectrum {spectrum if isinstance(spectrum, str) else 'given'}, seed {seed}",
        factors=factors,
    )
