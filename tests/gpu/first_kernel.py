"""Does anything run at all: a kernel that is compiled, sums, matrix products in the precision they claim, memory."""

from __future__ import annotations

import time

import numpy as np
from figures import cupy, finish, seconds, sized

cp = cupy()
wait = cp.cuda.Device().synchronize
found, wrong = {}, []

start = time.perf_counter()
twice = cp.ElementwiseKernel("T x", "T y", "y = x + x", "first")(cp.arange(6.0))
if twice.get().tolist() != [0, 2, 4, 6, 8, 10]:
    wrong.append(f"a kernel that doubles returned {twice.get().tolist()}")
found["seconds of the first kernel, compiling it included"] = time.perf_counter() - start

n, rng = sized(4096, 256), np.random.default_rng(0)
for dtype in ("float64", "float32"):
    A, B = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
    a, b = cp.asarray(A), cp.asarray(B)
    product, rows = (a @ b)[:8].get(), A[:8].astype("float64") @ B.astype("float64")
    error = float(np.max(np.abs(product - rows)) / np.sqrt(n))
    bound = 32 * float(np.finfo(dtype).eps)  # ten bits of TF32 are far above
    if not error < bound:
        wrong.append(f"{dtype} matrix product: error {error:.2g}, expected below {bound:.2g} (is TF32 on?)")
    time_ = seconds(lambda a=a, b=b: a @ b, wait)
    found[f"{dtype} matrix product, n = {n}"] = {"error": error, "Gflop/s": 2 * n**3 / time_ / 1e9}

x = cp.zeros(sized(1 << 27, 1 << 18))
time_ = seconds(lambda x=x: x + 1, wait)
found["GB/s of x + 1"] = 2 * x.nbytes / time_ / 1e9
small = cp.zeros(4)
found["microseconds of a small kernel, one after another"] = (
    seconds(lambda: [small + 1 for _ in range(200)], wait) * 5e3
)
found["microseconds of reading a number"] = seconds(lambda: [float(small[0]) for _ in range(50)], wait) * 2e4

pool = cp.get_default_memory_pool()
del x, twice, a, b
found["bytes the pool keeps after they were freed"] = int(pool.total_bytes())
pool.free_all_blocks()
free, total = cp.cuda.Device().mem_info
found["GiB free, total"] = [free / 2**30, total / 2**30]

for name, figure in found.items():
    print(name, figure)
rates = [found[f"{d} matrix product, n = {n}"]["Gflop/s"] for d in ("float64", "float32")]
finish(found, f"float64 {rates[0]:.3g} and float32 {rates[1]:.3g} Gflop/s, {found['GB/s of x + 1']:.3g} GB/s", wrong)
