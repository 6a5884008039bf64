"""One lasso by two processes, which hold half of the rows each: the same code as for one.

Each process would run on a machine of its own; here both are on this one.
"""

import socket
import subprocess
import sys

import numpy as np

if len(sys.argv) == 1:  # this program starts the two
    with socket.create_server(("localhost", 0)) as server:
        command = [sys.executable, __file__, f"localhost:{server.getsockname()[1]}"]
    both = [subprocess.Popen([*command, str(i)]) for i in range(2)]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
else:
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    import xpsolve as xs

    jax.config.update("jax_enable_x64", True)
    jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]))
    rows = NamedSharding(jax.sharding.Mesh(jax.devices(), ("rows",)), PartitionSpec("rows"))

    rng = np.random.default_rng(0)  # with real data each process reads its own part alone
    A, y = rng.standard_normal((2000, 50)), rng.standard_normal(2000)
    half = slice(0, 1000) if sys.argv[2] == "0" else slice(1000, 2000)
    x = xs.lasso(*[jax.make_array_from_process_local_data(rows, part[half]) for part in (A, y)], 80.0).x
    np.testing.assert_allclose(x, xs.lasso(A, y, 80.0).x, atol=1e-6)
