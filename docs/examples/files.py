"""A logistic regression on rows of a file that is never in memory as a whole: Newton, and one epoch of SGD."""

import tempfile
from pathlib import Path

import numpy as np

import xpsolve as xs

rng, w = np.random.default_rng(0), np.asarray([1.0, -2.0, 0.0, 0.5])
path = Path(tempfile.mkdtemp()) / "A.npy"
file = np.lib.format.open_memmap(path, mode="w+", dtype="float32", shape=(200_000, 4))
for i in range(0, len(file), 10_000):
    file[i : i + 10_000] = rng.standard_normal((10_000, 4))

A = xs.Rows(file, dtype="float64", block=10_000)  # a data set of h5py or Zarr can be passed as it is
y = np.where(A @ w + rng.logistic(size=len(file)) > 0, 1.0, -1.0)
f = xs.Logistic(A, y, 1e-3)
best = xs.newton(f)  # one pass over the file for a step
print(f"newton: {best.n_iter} steps, x = {best.x.round(2)}")
near = xs.sga(f, epochs=1, tol=0.1)  # chunk after chunk, in random order
assert f.value(near.x) < f.value(best.x) + 1e-3
near = xs.sga(xs.Logistic, batches=A.batches(y, size=1000, seed=1), tol=1.0)  # the same as a stream
assert f.value(near.x) < f.value(best.x) + 1e-2
path.unlink()
path.parent.rmdir()
