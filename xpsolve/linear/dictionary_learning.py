"""Dictionary learning  min over D, Z of ½‖X − ZDᵀ‖² + λ‖Z‖₁ with ‖D_j‖ = 1 (Olshausen & Field 1996).

The steps are in `xpsolve.linear._factorisation`, and those through a stream in `xpsolve.linear._dictionary_stream`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xpsolve import costs
from xpsolve.arrays import (
    MOST,
    Array,
    Namespace,
    check_count,
    check_iteration,
    check_ndim,
    device_of,
    enter,
    is_concrete,
    is_scalar,
    iterate,
    power_of_two,
    regularisation,
    thin_svd,
)
from xpsolve.arrays import check_finite as _check_finite
from xpsolve.capabilities import EAGER, capabilities
from xpsolve.linear._dictionary_stream import Options, is_stream, learn_from
from xpsolve.linear._factorisation import Factorisation, State, check_start, first_atoms
from xpsolve.linear._problem import lost_in_units
from xpsolve.solution import Callback, Certificate, Solution, Status, StreamSolution, finish, seen_by

_CERTIFICATE = "what codes alone and atoms alone can still gain, relative to half of ‖X‖²"
_ADVICE = {Status.MAX_ITER: "Raise max_iter, or start from a better x0.", Status.INACCURATE: "Loosen tol."}


@dataclass(frozen=True, repr=False, eq=False)
class DictionarySolution(Solution):
    """A dictionary and the codes of the samples in it.

    Parameters
    ----------
    x, method, certificate, n_iter, history, stats, ended, advice, intercept
        As in `Solution`; x is the dictionary D, (p, m).
    codes : array, shape (n, m)
        Z, one sample per row.

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> X = np.asarray([[3.0, 0.0], [0.0, 4.0], [2.0, 0.0], [0.0, 1.0]])
    >>> xs.dictionary_learning(X, 2, 0.5, seed=1)
    DictionarySolution(x: 2×2, method='alternating', n_iter=0, status=CONVERGED)
    """

    codes: Any = None


@capabilities(backends=EAGER, batch="rows of X", syncs=2, numbers=("lam", "tol"))
def dictionary_learning(
    X: Array,
    n_atoms: int,
    lam: Any,
    *,
    seed: int = 0,
    code_steps: int = costs.CODE_STEPS,
    tol: float = 1e-6,
    max_iter: int = 1000,
    x0: Array | None = None,
    check_every: int = costs.CHECK_EVERY,
    record: bool = False,
    callback: Callback = None,
    check_finite: bool = True,
) -> DictionarySolution | StreamSolution:
    """Minimise ½‖X − ZDᵀ‖² + λ‖Z‖₁ over codes Z and dictionaries D with columns of length 1.

    Parameters
    ----------
    X : array, shape (n, p), or iterable of such
        Samples as rows.  An iterable of arrays, or of tuples of one, is a stream that need not end: each batch is taken
        once and forgotten.  It ends with the iterable, or when the callback says so; `max_iter` and `check_every` have
        no part in it.
    n_atoms : int
        Columns m of D; there may be more than features.
    lam : float or 0-d array
        λ ≥ 0.  From the length of the longest row on, all codes are 0.  The number 0 gives the best D of rank m,
        which the singular value decomposition gives.
    seed : int
        Of the draw of a first dictionary, made on the host so that backends agree.
    code_steps : int
        Steps of FISTA in one iteration.
    tol : float
        The certificate to reach.
    max_iter : int
        Most iterations, each an update of the atoms and one of the codes.
    x0 : array, shape (p, m), or StreamSolution, optional
        The first dictionary, whose columns are scaled to length 1.  None draws m samples, of the first batch of a
        stream.  What this function returned for the batches so far continues that stream, as if it had not been cut.
    check_every : int
        Iterations between two convergence checks, each one host read.
    record : bool
        Whether to keep objective and certificate after every iteration, at the price of three products each.
    callback : callable, optional
        Called as ``callback(iteration, progress)`` at every check with x = D in a `Progress`, and after every batch of
        a stream, with the running ``progress.objective``; a true answer stops.
    check_finite : bool
        Whether to check for NaN and infinities in X, and for zero columns in `x0`, first, which costs a host read each;
        for λ = 0 also whether to check the certificate in the end.

    Returns
    -------
    DictionarySolution, or StreamSolution
        ``.x`` is D (p, m) and ``.codes`` is Z (n, m).  The certificate, from both, is the lasso's duality gap of Z, a
        bound of what codes can still gain with this D, and what every atom can gain alone, summed, over ½‖X‖².  The
        problem is not convex: 0 means that neither Z nor any one atom can do better, not that no other pair can.

        Of a stream there are no codes; ``.n_iter`` counts batches, ``.objective`` is the mean of the objective of a
        sample over the last twenty batches or so, of each before its step, and the certificate is what every atom can
        gain alone with the codes so far, over ½‖X‖² of their samples, and the gap of recent codes over theirs.

    Raises
    ------
    TypeError
        If an argument is not an array of the right kind, or libraries are mixed.
    ValueError
        If shapes disagree, λ is negative or a path, x0 has a zero column, devices are mixed, a number is not finite or
        an option is out of range.

    Warns
    -----
    ConvergenceWarning
        If the answer is not certified, and no callback has stopped it.

    See Also
    --------
    lasso : The codes of other samples in the same dictionary, ``lasso(D, X_new.T, lam).x.T``.

    Notes
    -----
    An atom that no sample uses is replaced, at a check, by the residual of the sample that is represented worst: this
    changes no product ZDᵀ, and the next codes gain from it where that residual is longer than λ.  Atoms that start
    alike, as two drawn samples that are multiples of one another, stay alike: another seed helps.

    The atoms of a stream minimise the fit of all samples with the codes that they got when they came (Mairal et al.
    2010), where those of batch t count t times: early ones were found with worse atoms.

    References
    ----------
    J. Mairal, F. Bach, J. Ponce and G. Sapiro, J. Mach. Learn. Res. 11 (2010).
    K. Lange, MM Optimization Algorithms (2016).

    Examples
    --------
    >>> import numpy as np
    >>> import xpsolve as xs
    >>> X = np.asarray([[3.0, 0.0], [0.0, 4.0], [2.0, 0.0], [0.0, 1.0]])
    >>> learnt = xs.dictionary_learning(X, 2, 0.5, seed=1)
    >>> np.abs(learnt.codes).sum(axis=1).round(6)  # each row is one atom, and λ less
    array([2.5, 3.5, 1.5, 0.5])
    >>> codes = xs.lasso(learnt.x, np.asarray([[2.0, 1.0]]).T, 0.5).x.T  # of a new sample
    >>> np.sort(np.abs(codes)).round(4)
    array([[0.5, 1.5]])
    """
    check_count(n_atoms, "n_atoms", 1, MOST)
    tol = check_iteration(
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        callback=callback,
        check_finite=check_finite,
        record=record,
    )
    check_count(seed, "seed", 0)
    check_count(code_steps, "code_steps", 1, MOST)
    if is_stream(X):
        options = Options(n_atoms, lam, seed, code_steps, tol, x0, record, callback, check_finite)
        return learn_from(X, options)
    xp, (X, *given) = enter(X=X, **({} if x0 is None else {"x0": x0}))
    check_ndim(X, "X", 2, shape="(n, p)")
    weight = regularisation(xp, lam, "lam", like=X, check_values=check_finite)
    if weight.ndim:
        message = f"lam: expected one number, got {weight.shape[0]}. Solve for one λ after another."
        raise ValueError(message)
    if given:
        check_start(xp, given[0], (X.shape[1], n_atoms), read=check_finite)
    unit = power_of_two(X)  # so that no square of X overflows or underflows; codes and λ are scaled alike
    X, weight = X / unit, weight / unit
    D = first_atoms(xp, X, n_atoms, seed, *(x / power_of_two(x, axis=0) for x in given))
    if check_finite:
        _check_finite(xp, lambda: D.T @ X.T, X=X, **({"x0": given[0]} if given else {}))

    problem = Factorisation(xp, X, weight, int(code_steps))
    if is_scalar(lam) and lam == 0:
        return _without_penalty(problem, n_atoms, unit, tol, read=check_finite)
    C = problem.code(D, xp.zeros((n_atoms, X.shape[0]), dtype=X.dtype, device=device_of(X)))
    run = iterate(
        problem.step,
        problem.refresh(State(D, C, xp.zeros_like(weight))),
        measure=lambda s: s.error,
        tol=tol,
        max_iter=max_iter,
        check_every=check_every,
        refresh=problem.refresh,
        record=(lambda s: problem.recorded(s, unit)) if record else None,
        callback=seen_by(callback, lambda s: s.D, lambda s: s.error),
    )
    D, C = run.state.D, run.state.C
    return finish(
        "dictionary_learning",
        D,
        method="alternating",
        certificate=Certificate(_CERTIFICATE, run.state.error + xp.max(lost_in_units(C, unit)), tol),
        reason=run.reason,
        measure=None if run.reason == "traced" else run.measure,
        n_iter=run.n_iter,
        history=run.history,
        stats={"host_reads": run.reads},
        advice=_ADVICE,
        cls=DictionarySolution,
        codes=C.T * unit,
    )


def _without_penalty(
    problem: Factorisation, n_atoms: int, unit: Array, tol: float, *, read: bool
) -> DictionarySolution:
    """The case λ = 0: the principal components."""
    xp, X = problem.xp, problem.X
    D, C = _principal(xp, X, n_atoms)
    error = problem.certify(D, C, X.T - D @ C, orthonormal=True) + xp.max(lost_in_units(C, unit))
    return finish(
        "dictionary_learning",
        D,
        method="svd",
        certificate=Certificate(_CERTIFICATE, error, tol),
        measure=float(error) if read and is_concrete(error) else None,
        advice=_ADVICE,
        cls=DictionarySolution,
        codes=C.T * unit,
    )


def _principal(xp: Namespace, X: Array, m: int) -> tuple[Array, Array]:
    """D and C of the best ZDᵀ of rank m; with more atoms than that takes, they repeat, with codes 0."""
    _, _, Vh = thin_svd(X)
    q = Vh.shape[0]
    if m <= q:
        return Vh[:m, :].T, Vh[:m, :] @ X.T
    C = Vh @ X.T
    return (
        xp.concat([Vh] * -(-m // q), axis=0)[:m, :].T,
        xp.concat([C, xp.zeros((m - q, X.shape[0]), dtype=X.dtype, device=device_of(X))], axis=0),
    )
