"""What a cost is, the ceilings of a machine, and the costs of single products and factorisations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from xpsolve.costs.launches import TABLE
from xpsolve.trace import launches
from xpsolve.trace.launches import FACTORISATIONS


@dataclass(frozen=True)
class Ceilings:
    """What a machine can do at most, measured in the same run as the times it is compared with.

    Parameters
    ----------
    flops_per_s : float
        Rate of a large matrix product, flop/s.
    bytes_per_s : float
        Rate of streaming a large array from memory, byte/s.
    launch_s : float
        Time of the smallest array call, s.
    """

    flops_per_s: float
    bytes_per_s: float
    launch_s: float


TYPICAL = {"cpu": Ceilings(5e10, 1.5e10, 2e-6), "gpu": Ceilings(1e13, 1e12, 1e-5)}
"""Round numbers for choosing a method where nothing was measured: only ratios matter there."""


@dataclass(frozen=True)
class Cost:
    """Resources that an algorithm needs.

    Parameters
    ----------
    flops : int
        Floating-point operations in products, factorisations and solves.
    bytes : int
        Least traffic with memory: every operand of a product once.
    launches : int
        Launches on an accelerator, as `xpsolve.count` has them.
    syncs : int
        Host reads.
    memory : int
        Bytes of the largest temporaries alive together, inputs not counted.
    operand : int
        Bytes of the largest array that a product reads or gives: what a cache must hold for the next one to find it.
    products, results : int
        Number of products, and bytes of what they give.  Elementwise work is on arrays as large as that.
    taped : int
        Of the launches, those whose derivative is noted on a tape.
    factored : int
        Of the flops, those of QR factorisations, eigenvalues and singular values, which are slower than products.

    Examples
    --------
    >>> from xpsolve import costs
    >>> two_products = costs.gemm(10, 20, 30) + costs.gemm(10, 20, 30)
    >>> two_products.flops
    24000
    """

    flops: int = 0
    bytes: int = 0
    launches: int = 0
    syncs: int = 0
    memory: int = 0
    operand: int = 0
    products: int = 0
    results: int = 0
    taped: int = 0
    factored: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.bytes + other.bytes,
            self.launches + other.launches,
            self.syncs + other.syncs,
            max(self.memory, other.memory),
            max(self.operand, other.operand),
            self.products + other.products,
            self.results + other.results,
            self.taped + other.taped,
            self.factored + other.factored,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(
            self.flops * times,
            self.bytes * times,
            self.launches * times,
            self.syncs * times,
            self.memory,
            self.operand,
            self.products * times,
            self.results * times,
            self.taped * times,
            self.factored * times,
        )

    __rmul__ = __mul__

    def time(self, ceilings: Ceilings) -> float:
        """Predicted seconds, nothing overlapping: flops/P + bytes/BW + launches·t."""
        return self.flops / ceilings.flops_per_s + self.bytes / ceilings.bytes_per_s + self.launches * ceilings.launch_s

    def floor(self, ceilings: Ceilings) -> float:
        """Least seconds on a machine with these ceilings: max(flops/P, bytes/BW, launches·t)."""
        return max(
            self.flops / ceilings.flops_per_s,
            self.bytes / ceilings.bytes_per_s,
            self.launches * ceilings.launch_s,
        )


def counted(work: Cost, row: str, **times: int) -> Cost:
    """`work` with the launches and host reads of a row of `xpsolve.costs.launches`: its start, and each part so often.

    Examples
    --------
    >>> from xpsolve.costs.model import Cost, counted
    >>> from xpsolve.costs.launches import TABLE
    >>> one, two = (counted(Cost(), "lasso, fista", iteration=k, check=1) for k in (1, 2))
    >>> (two.launches - one.launches, two.syncs - one.syncs) == TABLE["lasso, fista"]["iteration"]
    True
    """
    if row not in TABLE:
        message = f"{row}: there is no such solver, or its launches were not counted (see docs/howto/new-algorithm.md)."
        raise ValueError(message)
    parts = {part: both for part, both in TABLE[row].items() if part != "replayed"}
    times = {"start": 1} | times
    if parts.keys() != times.keys():
        message = f"{row}: expected {', '.join(parts)}, got {', '.join(times)}."
        raise TypeError(message)
    each, reads = (sum(count[i] * times[part] for part, count in parts.items()) for i in (0, 1))
    return replace(work, launches=each, syncs=reads)


def gemm(m: int, n: int, k: int, *, itemsize: int = 8) -> Cost:
    """(m, k) by (k, n): 2mnk flops."""
    left, right, out = itemsize * m * k, itemsize * k * n, itemsize * m * n
    return Cost(2 * m * n * k, left + right + out, 1, 0, out, max(left, right, out), 1, out)


def copy(n: int, *, itemsize: int = 8) -> Cost:
    """n elements read and written."""
    return Cost(0, 2 * itemsize * n, 1, 0, itemsize * n)


def gram(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """AᵀA of (n, p), one triangle: np² flops, half of the general product."""
    operand, out = itemsize * n * p, itemsize * p * p
    return Cost(n * p * p, operand + out, 1, 0, out, max(operand, out), 1)


def cholesky(p: int, *, itemsize: int = 8) -> Cost:
    """L of a (p, p) matrix, p³/3 flops."""
    return Cost(p**3 // 3, 2 * itemsize * p * p, FACTORISATIONS["cholesky"], 0, itemsize * p * p)


def cholesky_solve(p: int, k: int = 1, *, itemsize: int = 8) -> Cost:
    """Two triangular solves with k right-hand sides: 2p²k flops."""
    traffic = itemsize * (p * p + 2 * p * k)
    return Cost(2 * p * p * k, traffic, 2 * FACTORISATIONS["solve_triangular"], 0, itemsize * p * k)


def eigh(p: int, *, itemsize: int = 8) -> Cost:
    """Eigenvalues and vectors of a symmetric (p, p) matrix: about 9p³ flops (§8.3)."""
    flops = 9 * p**3
    return Cost(flops, 3 * itemsize * p * p, FACTORISATIONS["eigh"], 0, 2 * itemsize * p * p, factored=flops)


def thin_svd(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """Thin SVD: 14mq² + 8q³ flops directly, 6mq² + 20q³ after a QR reduction (§8.6), m ≥ q the two lengths."""
    m, q = max(n, p), min(n, p)
    flops = 6 * m * q * q + 20 * q**3 if reduced(n, p) else 14 * m * q * q + 8 * q**3
    traffic, kept = itemsize * (2 * m * q + q * q), itemsize * (m * q + q * q)
    return Cost(flops, traffic, launches.thin_svd(n, p), 0, kept, factored=flops)


def reduced(n: int, p: int) -> int:
    """1 where the singular value decomposition of a matrix (n, p) begins with a QR factorisation, 0 elsewhere."""
    return int(3 * max(n, p) >= 5 * min(n, p))


def largest_singular_value(n: int, p: int, *, itemsize: int = 8) -> Cost:
    """The product of (n, p) with its adjoint, 2mq² flops, q the shorter side; eigenvalues of the square count none."""
    m, q = max(n, p), min(n, p)
    if q == 1:  # a length
        return Cost(0, itemsize * m, 23 if m > 1 else 2)
    return gemm(q, q, m, itemsize=itemsize) + Cost(launches=25)


CHECK_EVERY = 10
"""Steps between two convergence checks, in costs and as the default of solvers."""
LATE = 0.1
"""By what fraction of the steps so far a check may come late, where checks would be many."""


def checks(n_iter: int, check_every: int = CHECK_EVERY, late: float = 0.0) -> int:
    """Convergence checks after the first, in so many steps of `xpsolve.arrays.loops.iterate`."""
    done = looks = 0
    while done < n_iter:
        done += max(1, int(late * done) // check_every) * check_every
        looks += 1
    return looks


def cheapest(options: Mapping[str, Cost], ceilings: Ceilings = TYPICAL["cpu"]) -> str:
    """Name of the option with the least predicted time on a machine with these ceilings.

    Parameters
    ----------
    options : mapping of str to Cost
        What there is to choose from.
    ceilings : Ceilings
        Of the machine.

    Returns
    -------
    str
        The cheapest; of equals, the first.

    Examples
    --------
    >>> from xpsolve import costs
    >>> costs.cheapest({m: costs.ridge(100, 5000, method=m) for m in ("normal", "woodbury")})
    'woodbury'
    """
    return min(options, key=lambda name: options[name].time(ceilings))
