"""The launches and host reads of each solver, by counting: what `xpsolve.costs.launches` and docs/launches.md hold.

    python tests/helpers/launch_table.py [--write]

counts small problems (`xpsolve.count`) with several numbers of iterations and checks, and solves for the launches of
the start and of each part.  They must be whole numbers that explain every run exactly.  Without --write it prints what
has changed.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

import xpsolve as xs
from xpsolve import costs
from xpsolve.arrays import iterate
from xpsolve.costs.launches import TABLE
from xpsolve.costs.model import checks, reduced
from xpsolve.trace import repeat
from xpsolve.trace.launches import joined

ROOT = Path(__file__).parents[2]
TABLE_FILE, PAGE = ROOT / "xpsolve" / "costs" / "launches.py", ROOT / "docs" / "launches.md"
COMMAND = "python tests/helpers/launch_table.py --write"

Parts = dict[str, tuple[int, int]]  # launches and host reads of the start and of each part
Run = tuple[str, dict[str, int], Any]  # a row, how often each part was done, and what `xpsolve.count` returned

STEPS = (0, 1, 10, 25, 40)


def regression(n: int, p: int, k: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + 100 * p)
    return rng.standard_normal((n, p)), rng.standard_normal(n if k is None else (n, k))


def checked(n_iter: int, check_every: int = costs.CHECK_EVERY) -> dict[str, int]:
    return {"iteration": n_iter, "check": checks(n_iter, check_every)}


def exactly(n_iter: int, check_every: int = costs.CHECK_EVERY) -> dict[str, Any]:
    """Options to do so many iterations."""
    return {"max_iter": n_iter, "tol": 0.0, "check_every": check_every}


# --- linear


def proximal_gradient() -> Iterator[Run]:
    for method, n_iter in itertools.product(("ista", "fista"), STEPS):
        for n, p in ((12, 20), (20, 12), (30, 35), (35, 30)):
            A, y = regression(n, p)
            kind = method + ", Gram matrix" * (n > p)
            options = {"method": method, "max_iter": n_iter, "tol": 1e-300, "check_finite": False}
            yield f"lasso, {kind}", checked(n_iter), xs.count(xs.lasso, A, y, 0.1, **options)
            yield f"elastic_net, {kind}", checked(n_iter), xs.count(xs.elastic_net, A, y, 0.1, 0.3, **options)


def ridge() -> Iterator[Run]:
    lams = [0.1, 1.0, 10.0]
    paths = ("", 0.5, None), ("", 0.5, 4), (", path", lams, None), (", path of columns", lams, 4)
    for (path, lam, k), (n, p) in itertools.product(paths, ((60, 20), (20, 60), (40, 40), (30, 10))):
        A, y = regression(n, p, k)
        for method in ("normal", "woodbury"):
            yield f"ridge, {method}{path}", {}, xs.count(xs.ridge, A, y, lam, method=method, check_finite=False)
        qr = {"qr": reduced(n, p)}
        yield f"ridge, svd{path}", qr, xs.count(xs.ridge, A, y, lam, method="svd", check_finite=False)
        for n_iter in (1, 5, 10, 25):
            call = {"method": "cg", "max_iter": n_iter, "tol": 1e-300, "check_finite": False}
            run = xs.count(xs.ridge, A, 1e3 * y, lam, **call)
            yield f"ridge, cg{path}", checked(run[0].n_iter), run
        if not path:
            yield "lstsq", qr, xs.count(xs.lstsq, A, y, check_finite=False)
            yield "lstsq, checked", qr, xs.count(xs.lstsq, A, y, check_finite=True)


def ridge_cv() -> Iterator[Run]:
    lams = [1.0, 10.0, 100.0]
    for method, (n, p) in itertools.product(("gcv", "loo"), ((60, 20), (20, 60), (30, 10), (25, 25))):
        run = xs.count(xs.ridge_cv, *regression(n, p), lams, method=method, check_finite=False)
        yield f"ridge_cv, {method}, {run[0].method}", {}, run


def basis_pursuit() -> Iterator[Run]:
    for n_iter, (n, p) in itertools.product((0, 20, 40, 50), ((20, 60), (12, 12), (10, 13))):
        A = regression(n, p)[0]
        x = np.zeros(p)
        x[:5] = 1.0
        run = xs.count(xs.basis_pursuit, A, A @ x, tol=1e-300, max_iter=n_iter, check_finite=False)
        looks = checks(run[0].n_iter, 2 * costs.CHECK_EVERY, costs.LATE)
        yield "basis_pursuit", {"iteration": n_iter, "check": looks, "qr": reduced(n, p)}, run


def dictionary_learning() -> Iterator[Run]:
    for n_iter, steps, (n, p, m) in itertools.product((0, 1, 13, 25), (1, 10), ((20, 6, 4), (30, 5, 8), (4, 3, 8))):
        X = regression(n, p)[0]
        options = {"tol": 1e-300, "max_iter": n_iter, "code_steps": steps, "check_finite": False}
        run = xs.count(xs.dictionary_learning, X, m, 0.1, **options)
        times = {**checked(n_iter), "code_step": (n_iter + 1) * steps}
        yield "dictionary_learning" + ", more atoms than samples" * (m > n), times, run


def streams() -> Iterator[Run]:
    for count, steps, (n, p, m) in itertools.product((1, 2, 5), (1, 10), ((20, 6, 4), (30, 5, 8), (4, 3, 8))):
        batches = [regression(n, p)[0] + k for k in range(count)]
        run = xs.count(xs.dictionary_learning, batches, m, 0.1, code_steps=steps, tol=1e-300, check_finite=False)
        times = {"batch": count, "code_step": costs.STREAM_ROUNDS * count * steps}
        yield "dictionary_learning, stream" + ", more atoms than samples" * (m > n), times, run
    for count, arrays in itertools.product((1, 2, 5, costs.STREAM_LOOK + 1), (1, 2, 4)):
        theta = [np.ones(3) for _ in range(arrays)]
        batches = [(np.ones(2),)] * count
        run = xs.count(xs.networks.train, _no_work, theta, batches=batches, step=0.1, tol=0.0)
        looks = count // costs.STREAM_LOOK
        times = {"later_batch": count - 1, "look": looks, "array": arrays, "array_step": arrays * count}
        yield "train, stream", times, run


def _no_work(theta: Any, x: Any) -> tuple[Any, Any]:
    """A loss without operations, as far as these are counted, and its gradient."""
    return x[0], theta


# --- stochastic


def objective(loss: str, n: int, p: int, m: int = 3) -> Any:
    A, y = regression(n, p)
    if loss == "least_squares":
        return xs.LeastSquares(A, y, 0.1, check_finite=False)
    if loss == "logistic":
        return xs.Logistic(A, np.where(y > 0, 1.0, -1.0), 0.1, check_finite=False)
    return xs.Multinomial(A, np.eye(m)[np.random.default_rng(0).integers(0, m, n)], 0.1, check_finite=False)


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "heavy_ball": {"momentum": "heavy_ball"},
    "nesterov": {"momentum": "nesterov"},
    "armijo": {"line_search": True},
    "exact": {"line_search": "exact"},
}


def gradient_descent() -> Iterator[Run]:
    for loss, (variant, options) in itertools.product(costs.LOSSES, VARIANTS.items()):
        if variant == "exact" and loss != "least_squares":
            continue
        steps: tuple[dict[str, float], ...] = ({},) if variant == "exact" else ({}, {"step": 1e-3})
        for n_iter, (n, p), step in itertools.product((0, 1, 10, 25), ((20, 5), (30, 6), (262, 260)), steps):
            if n > 256 and n_iter > 1:
                continue
            run = xs.count(xs.gradient_descent, objective(loss, n, p), **step, **options, **exactly(n_iter))
            norm = {"norm": int(not step), "lanczos": int(not step and p > 256)} if len(steps) > 1 else {}
            yield f"gradient_descent, {variant}, {loss}", checked(n_iter) | norm, run


def lipschitz() -> Iterator[Run]:
    for n, p in ((20, 5), (5, 20), (30, 40), (300, 260)):
        run = xs.count(lambda f: f.lipschitz(), objective("logistic", n, p))
        yield "lipschitz", {"lanczos": int(min(n, p) > 256)}, run


def coordinate_descent() -> Iterator[Run]:
    for loss, n_iter, (n, p) in itertools.product(costs.LOSSES, (0, 1, 12), ((20, 5), (30, 18))):
        f, row = objective(loss, n, p), f"coordinate_descent, {loss}"
        for block in (1, 2, 3, p):
            run = xs.count(xs.coordinate_descent, f, max_iter=n_iter, tol=0.0, block=block)
            blocks = -(-p // block)
            if block == 1 and loss == "least_squares":
                yield f"{row}, single coordinates", checked(n_iter), run
            elif blocks == 1:
                yield f"{row}, one block", checked(n_iter), run
            else:
                times = {"block": blocks, "visit": n_iter * blocks, "joined": n_iter * joined(blocks)}
                yield row, {"check": checks(n_iter)} | times, run


def newton() -> Iterator[Run]:
    for loss, k in itertools.product(costs.LOSSES, range(5)):
        for n, p in ((30, 8), (60, 40)):
            f = objective(loss, n, p)
            if loss != "multinomial":
                run = xs.count(xs.newton, f, max_iter=k, tol=0.0, method="cholesky")
                yield f"newton, cholesky, {loss}", {"iteration": k}, run
            run = xs.count(xs.newton, f, max_iter=k, tol=0.0, method="cg")
            solved = run[0].n_iter
            inner = run[1].syncs - 1 - 2 * solved  # one read for each Newton step, one for the start of each solve
            yield f"newton, cg, {loss}", {"iteration": solved, "cg_check": inner}, run


# --- transport


def histogram(rng: np.random.Generator, *shape: int) -> np.ndarray:
    a = rng.random(shape) + 0.1
    return a / a.sum(axis=-1, keepdims=True)


def points(rng: np.random.Generator, n: int, m: int, span: float) -> np.ndarray:
    """Squared distances, of which the largest is `span`."""
    M = np.sum((rng.random((n, 1, 2)) - rng.random((m, 2))) ** 2, axis=-1)
    return span * M / np.max(M)


def sinkhorn() -> Iterator[Run]:
    for method, span in itertools.product(costs.SINKHORN_METHODS, (0.1, 2.8)):
        for n_iter, every, (n, m) in ((40, 10, (20, 30)), (50, 10, (12, 12)), (70, 10, (9, 7)), (55, 5, (9, 7))):
            rng = np.random.default_rng(n_iter)
            problem = histogram(rng, n), histogram(rng, m), points(rng, n, m, span), 0.05
            for more in ({}, {"marginal": 0.1}):
                yield from sinkhorn_runs(problem, method, n_iter, every, more)


def sinkhorn_runs(
    problem: tuple[Any, ...], method: str, n_iter: int, every: int, more: dict[str, Any]
) -> Iterator[Run]:
    """In full and with increments, which "scaling" begins on the way, or at once where it reads the span."""
    seen: list[tuple[int, bool, float]] = []

    def watch(k: int, state: Any) -> None:
        seen.append((k, getattr(state, "low", None) is not None, float(state.eps)))

    def counted(*, mixed: bool, check_finite: bool = False) -> Any:
        options = {"method": method, "relaxation": 1.0, "mixed": mixed, "check_finite": check_finite} | more
        seen.clear()
        module = sys.modules["xpsolve.transport._solve"]
        with mock.patch.object(module, "iterate", lambda *a, **o: iterate(*a, **o | {"callback": watch})):
            xs.sinkhorn(*problem, **options, **exactly(n_iter, every))
        return xs.count(xs.sinkhorn, *problem, **options, **exactly(n_iter, every))[1]

    row, looks, times = f"sinkhorn, {method}", checks(n_iter, every), checked(n_iter, every)
    kind = ", unbalanced" if more else ""
    full = counted(mixed=False)
    if method != "scaling":
        times["renewal"] = len({eps for _, _, eps in seen}) - 1
    yield row + kind, times, (None, full)
    if method == "log" or more:
        return
    mixed = counted(mixed=True)
    exact = {"exact_check": (mixed.by_op["matmul"].calls - full.by_op["matmul"].calls) // 2}
    if method == "stabilized":
        yield f"{row}, increments", times | exact, (None, mixed)
        return
    low = [k for k, is_low, _ in seen if is_low]
    if low:
        before = low[0] - every
        later = {"low_iteration": n_iter - before, "low_check": looks - before // every}
        yield f"{row}, increments later", checked(before, every) | exact | later, (None, mixed)
    full_read, mixed_read = (counted(mixed=m, check_finite=True) for m in (False, True))
    if seen[0][1]:
        tally = SimpleNamespace(  # without the reading
            launches=mixed_read.launches - full_read.launches + full.launches,
            syncs=mixed_read.syncs - full_read.syncs + full.syncs,
        )
        exact = {"exact_check": (mixed_read.by_op["matmul"].calls - full_read.by_op["matmul"].calls) // 2}
        yield f"{row}, increments", times | exact, (None, tally)


def barycenter() -> Iterator[Run]:
    rng = np.random.default_rng(0)
    for method, (n_iter, every), (k, n) in itertools.product(
        ("scaling", "log"), ((10, 10), (30, 10), (30, 5), (50, 10)), ((3, 9), (4, 12))
    ):
        call = {"method": method, "check_finite": False, **exactly(n_iter, every)}
        problem = histogram(rng, k, n), 0.01 * rng.random((n, n)), 0.5
        yield f"barycenter, {method}", checked(n_iter, every), xs.count(xs.barycenter, *problem, **call)
        run = xs.count(xs.barycenter, *problem, debiased=True, **call)
        yield f"barycenter, {method}, debiased", checked(n_iter, every), run


# --- the table


def solved(row: str, runs: list[tuple[dict[str, int], Any]]) -> Parts:
    """Launches and host reads of the start and of each part, which explain all runs."""
    parts = ["start", *runs[0][0]]
    times = np.asarray([[1, *(done[part] for part in parts[1:])] for done, _ in runs])
    counts = np.asarray([[tally.launches, tally.syncs] for _, tally in runs])
    found, _, rank, _ = np.linalg.lstsq(times, counts, rcond=None)
    whole = np.rint(found).astype(int)
    if rank < len(parts):
        message = f"{row}: {len(runs)} runs do not tell its parts apart: {', '.join(parts)}.\n{times}"
        raise ValueError(message)
    if np.any(times @ whole != counts):
        seen = np.hstack([times, counts, times @ whole])
        message = f"{row}: its parts do not explain what was counted: parts, counted, explained.\n{seen}"
        raise ValueError(message)
    return {part: (int(launches), int(reads)) for part, (launches, reads) in zip(parts, whole, strict=True)}


CASES = (
    proximal_gradient,
    ridge,
    ridge_cv,
    basis_pursuit,
    dictionary_learning,
    streams,
    gradient_descent,
    lipschitz,
    coordinate_descent,
    newton,
    sinkhorn,
    barycenter,
)


def generate() -> dict[str, Parts]:
    """The table as it is now."""
    runs: dict[str, list[tuple[dict[str, int], Any]]] = {}
    # the runs are short: what is replayed from the 40th step on is looked at from the 20th on
    with warnings.catch_warnings(), mock.patch.object(repeat, "SOON", 20):
        warnings.simplefilter("ignore", xs.ConvergenceWarning)
        for case in CASES:
            for row, done, (_, tally) in case():
                runs.setdefault(row, []).append((done, tally))
    solvers = [row.split(",")[0] for row in runs]
    rows = sorted(runs, key=lambda row: solvers.index(row.split(",")[0]))
    return {row: with_replay(solved(row, runs[row]), [tally for _, tally in runs[row]]) for row in rows}


def with_replay(parts: Parts, tallies: list[Any]) -> Parts:
    """The parts, and what an iteration starts where it is replayed: that of the loop whose step is an iteration."""
    plain, reads = parts.get("iteration", (0, 0))
    steps = [step for tally in tallies for step in getattr(tally, "steps", {}).values()]
    found = [each for before, each in steps if before == plain]
    return parts | {"replayed": (max(found), reads)} if found else parts


# --- what is written


def table_file(table: dict[str, Parts]) -> str:
    """The text of `xpsolve.costs.launches`."""
    lines = [
        '"""Launches and host reads of the solvers: of the start, and of each part every time that it is done.',
        "",
        f"Generated by ``{COMMAND}``, which counts them (`xpsolve.count`) with",
        "``check_finite=False``, products and factorisations included.  A test counts again: no number may grow.",
        '"""',
        "",
        "TABLE: dict[str, dict[str, tuple[int, int]]] = {",
    ]
    for row, parts in table.items():
        items = [f'"{part}": {both}' for part, both in parts.items()]
        line = f'    "{row}": {{{", ".join(items)}}},'
        lines += [line] if len(line) <= 120 else [f'    "{row}": {{', *(f"        {item}," for item in items), "    },"]
    return "\n".join([*lines, "}", ""])


INTRODUCTION = f"""# Launches and host reads

Generated by `{COMMAND}`; the numbers are in
[costs/launches.py](../xpsolve/costs/launches.py), where the functions of `xpsolve.costs` look them up.

How many operations a solver starts on an accelerator, as `xpsolve.count` counts them with `check_finite=False` and
without a callback: at its start, in each iteration, in each check of the certificate, and in each of the other parts.
Products and factorisations are included. A solve with n iterations and c checks takes start + n·iteration + c·check
launches at most. A test counts again: a number may fall, and then the table is generated anew; it may not grow.

Flops, bytes and memory are formulas, in the functions of `xpsolve.costs`.

| part | what it is |
|---|---|
| start | what is done once, the end included |
| iteration | of the method's own loop: a sweep of coordinate descent, a step of Newton's method |
| replayed | an iteration from the 40th on, where CuPy replays it as kernels that do several operations each |
| check | a check of the certificate after the first, and what is computed anew with it |
| qr | once, where one side of A is at least 5/3 of the other: a QR factorisation before the singular values |
| code step | a step of the codes in dictionary learning |
| batch, later batch | a batch of a stream; one after the first |
| look | each hundred batches of training, at whether the loss is finite |
| array, array step | of the parameters that are trained: each, and each in each batch, without the gradient itself |
| norm | once, where no step is given: one from the norm of A |
| lanczos | once more, where both sides of A are over 256: its norm by Lanczos steps and not from its Gram matrix |
| block | coordinate descent: each block, at the start |
| visit, joined | coordinate descent: each block in each sweep; the pieces of x that a sweep joins, 1 for over 8 |
| cg check | up to three iterations of conjugate gradients in a Newton step, and the check after them |
| renewal | Sinkhorn: ε lowered, or potentials absorbed, and a new kernel |
| exact check | Sinkhorn with increments in float32: marginals in full, at every second check |
| low iteration, low check | Sinkhorn with increments that begin later: after they have begun |

| solver | start | iteration | replayed | check | other parts | host reads |
|---|---|---|---|---|---|---|
"""


def page(table: dict[str, Parts]) -> str:
    """The text of docs/launches.md."""
    lines = []
    for row, parts in table.items():
        launches = {part.replace("_", " "): f"≤ {count}" for part, (count, _) in parts.items()}
        main = [launches.pop(part, "") for part in ("start", "iteration", "replayed", "check")]
        others = ", ".join(f"{part} {count}" for part, count in launches.items())
        reads = {part.replace("_", " "): count for part, (_, count) in parts.items() if count and part != "replayed"}
        said = [f"{count} per {part}" if part != "start" else str(count) for part, count in reads.items()]
        solver, *kind = row.split(", ")
        cells = [", ".join([f"`{solver}`", *kind]), *main, others, " + ".join(said) or "0"]
        lines.append(f"| {' | '.join(cells)} |")
    return INTRODUCTION + "\n".join(lines) + "\n"


def compared(found: dict[str, Parts]) -> tuple[list[str], list[str]]:
    """What has grown or is new or gone, and what has fallen, since the table was written."""
    grown = [f"{row}: {'new' if row in found else 'gone'}" for row in found.keys() ^ TABLE.keys()]
    fallen = []
    for row, parts in found.items():
        was = TABLE.get(row, {})
        for part, now in parts.items():
            for what, before, after in zip(("launches", "host reads"), was.get(part, (0, 0)), now, strict=True):
                change = f"{row}: {what} of {part}: {before} before, {after} now"
                grown += [change] * (row in TABLE and after > before)
                fallen += [change] * (after < before)
    return grown, fallen


def main() -> None:
    found = generate()
    grown, fallen = compared(found)
    print("\n".join([*grown, *fallen]) or "Nothing has changed.")
    if "--write" in sys.argv[1:]:
        TABLE_FILE.write_text(table_file(found), "utf-8")
        PAGE.write_text(page(found), "utf-8")


if __name__ == "__main__":
    main()
