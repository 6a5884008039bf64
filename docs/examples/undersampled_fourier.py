"""A picture from a quarter of its Fourier coefficients, as in magnetic resonance imaging, by total variation."""

import numpy as np

import xpsolve as xs
from xpsolve.operators import Fourier, RealForm
from xpsolve.penalties import NonNegative, TotalVariation

shape, rng = (64, 64), np.random.default_rng(0)
i, j = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
picture = 1.0 * (i**2 + j**2 < 0.8) - 0.6 * (11 * i**2 + 4 * (j - 0.2) ** 2 < 1) + 0.4 * (np.hypot(i - 0.6, j) < 0.2)
x_true = picture.ravel()

frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij"))
kept = rng.random(shape) < 0.022 / np.maximum(frequency, 0.1) ** 2  # all below 0.15, fewer and fewer above
F = Fourier(shape, mask=kept)
y = F @ x_true + 0.01 * (rng.standard_normal(F.shape[0]) + 1j * rng.standard_normal(F.shape[0]))

R = RealForm(F)  # the data are complex, the picture is real
f = xs.LeastSquares(R, R.stacked(y))
answer = xs.minimize(f, TotalVariation(0.01 / f.n, shape) + NonNegative(), tol=1e-5)
zero_filled = (F.H @ y).real

error = {"zero-filled": zero_filled - x_true, "total variation": answer.x - x_true}
error = {name: np.linalg.norm(e) / np.linalg.norm(x_true) for name, e in error.items()}
print(f"{np.mean(kept):.0%} of the data; relative errors:", {name: f"{e:.1%}" for name, e in error.items()})
assert answer.converged
assert error["total variation"] < 0.2 * error["zero-filled"]
