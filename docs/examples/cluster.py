"""The lasso on a cluster of Dask: 2.4 GB of rows, and two workers that may use 1 GB each.

Both workers are on this machine; on a real cluster only the address that `Client` takes is another one.
"""

import dask.array as da
import distributed
import numpy as np

import xpsolve as xs

N, P, ROWS = 1_200_000, 250, 10_000


def rows(index):
    """Some rows of [A y].  Real ones would be read here, from where every worker can read."""
    rng = np.random.default_rng(int(index[0]))
    A = rng.standard_normal((len(index), P))
    return np.column_stack([A, A[:, :5].sum(axis=1) + rng.standard_normal(len(index))])


def peak(dask_worker):
    """Most bytes that a worker has had in memory."""
    return max(dask_worker.monitor.quantities["memory"])


if __name__ == "__main__":
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": "1GB", "dashboard_address": ":0"}
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        index = da.arange(N, chunks=ROWS)
        shape = {"new_axis": 1, "chunks": (index.chunks[0], (P + 1,)), "meta": np.empty((0, P + 1))}
        both = index.map_blocks(rows, **shape)
        solution = xs.lasso(both[:, :P], both[:, P], 0.1 * N)
        assert solution.converged
        assert np.flatnonzero(solution.x.compute()).tolist() == [0, 1, 2, 3, 4]
        assert max(client.run(peak).values()) < 1e9
