"""f + R: against solvers that are not ours, certificates that bound, and the same answer on every library."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse
import sklearn.linear_model

import xpsolve as xs
from xpsolve import autodiff
from xpsolve import penalties as P
from xpsolve.testing import assert_close, check_solution

EVERYWHERE = pytest.mark.of("minimize")
N, WIDTH = 30, 8


def data(rng, n=N, p=WIDTH):
    A = rng.standard_normal((n, p))
    return A, A @ np.maximum(rng.standard_normal(p), 0) + 0.1 * rng.standard_normal(n)


def objective(f, penalty, x):
    return float(f.value(x)) + float(penalty.value(x))


# --- against others ---------------------------------------------------------------------------------


def test_lasso_and_relatives(rng):
    A, y = data(rng)
    f = xs.LeastSquares(A, y)
    options = {"fit_intercept": False, "tol": 1e-14, "max_iter": 100_000}
    for penalty, model in (
        (P.L1(0.1), sklearn.linear_model.Lasso(0.1, **options)),
        (P.L1(0.1) + P.NonNegative(), sklearn.linear_model.Lasso(0.1, positive=True, **options)),
        (P.ElasticNet(0.1, 0.5), sklearn.linear_model.ElasticNet(0.1, l1_ratio=0.5, **options)),
    ):
        solution = xs.minimize(f, penalty, tol=1e-13)
        assert solution.certificate.name.startswith("duality gap")
        assert_close(solution.x, model.fit(A, y).coef_, atol=1e-6)
    w = rng.uniform(0.5, 2.0, WIDTH)
    weighted = sklearn.linear_model.Lasso(0.1, **options).fit(A / w, y).coef_ / w
    assert_close(xs.minimize(f, P.L1(0.1, w), tol=1e-13).x, weighted, atol=1e-6)


def test_multi_task_lasso(rng):
    A, _ = data(rng)
    Y = A @ rng.standard_normal((WIDTH, 3))
    model = sklearn.linear_model.MultiTaskLasso(0.5, fit_intercept=False, tol=1e-14, max_iter=100_000)
    solution = xs.minimize(xs.LeastSquares(A, Y), P.GroupL1(0.5), tol=1e-13)
    assert_close(solution.x, model.fit(A, Y).coef_.T, atol=1e-6)


def test_bounds(rng):
    A, y = data(rng)
    f = xs.LeastSquares(A, y)
    assert_close(xs.nnls(A, y, tol=1e-10).x, scipy.optimize.nnls(A, y)[0], atol=1e-7)
    lower, upper = -0.1 * np.ones(WIDTH), np.linspace(0.1, 0.5, WIDTH)
    wanted = scipy.optimize.lsq_linear(A, y, (lower, upper), tol=1e-14).x
    assert_close(xs.minimize(f, P.Box(lower, upper), tol=1e-13).x, wanted, atol=1e-6)


def test_nnls_of_many_columns(rng):
    A, y = data(rng)
    Y = np.stack([y, -y, rng.standard_normal(N)], axis=1)
    X = xs.nnls(A, Y, tol=1e-10).x
    for j in range(3):
        assert_close(X[:, j], scipy.optimize.nnls(A, Y[:, j])[0], atol=1e-7)
    recorded = xs.nnls(A, y, record=True).history["objective"]
    assert recorded[-1] == pytest.approx(0.5 * scipy.optimize.nnls(A, y)[1] ** 2, rel=1e-6)


def test_sets_with_a_sum(rng):
    """The simplex and the ℓ¹ ball by SciPy's sequential quadratic programming."""
    A, y = data(rng)
    f, options = xs.LeastSquares(A, y), {"ftol": 1e-16, "maxiter": 1000}

    def solve(B, sense, total):
        def value(u):
            r = B @ u - y
            return 0.5 * r @ r / N, B.T @ r / N

        room = {"type": sense, "fun": lambda u: total - np.sum(u), "jac": lambda u: -np.ones_like(u)}
        start, bounds = np.full(B.shape[1], total / B.shape[1]), [(0, None)] * B.shape[1]
        return scipy.optimize.minimize(
            value, start, jac=True, method="SLSQP", bounds=bounds, constraints=[room], options=options
        ).x

    assert_close(xs.minimize(f, P.Simplex(0.7), tol=1e-13).x, solve(A, "eq", 0.7), atol=1e-6)
    for radius in (0.7, 100.0):  # on the sphere, and inside
        halves = np.split(solve(np.hstack([A, -A]), "ineq", radius), 2)
        assert_close(xs.minimize(f, P.L1Ball(radius), tol=1e-13).x, halves[0] - halves[1], atol=1e-6)


def by_factors(value, slope, *starts):
    """SciPy's L-BFGS on a norm written as the least ½(‖u‖² + ‖v‖²) over products uv."""
    sizes = np.cumsum([start.size for start in starts])[:-1]

    def both(w):
        parts = [part.reshape(start.shape) for part, start in zip(np.split(w, sizes), starts, strict=True)]
        return value(*parts), np.concatenate([g.ravel() for g in slope(*parts)])

    w = np.concatenate([start.ravel() for start in starts])
    options = {"maxiter": 50_000, "maxfun": 50_000, "ftol": 0.0, "gtol": 1e-11}
    found = scipy.optimize.minimize(both, w, jac=True, method="L-BFGS-B", options=options).x
    return [part.reshape(start.shape) for part, start in zip(np.split(found, sizes), starts, strict=True)]


@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0]])
def test_groups_by_labels(rng, weights):
    A, y = data(rng)
    labels, lam = np.asarray([0, 1, 2, 0, 1, 2, 2, 0]), 0.4
    lams = lam * (np.ones(3) if weights is None else np.asarray(weights))

    def value(u, v):
        r = A @ (u[labels] * v) - y
        return 0.5 * r @ r / N + 0.5 * np.sum(lams * u * u) + 0.5 * np.sum(lams[labels] * v * v)

    def slope(u, v):
        g = A.T @ (A @ (u[labels] * v) - y) / N
        return np.bincount(labels, g * v) + lams * u, g * u[labels] + lams[labels] * v

    u, v = by_factors(value, slope, np.ones(3), rng.standard_normal(WIDTH))
    solution = xs.minimize(xs.LeastSquares(A, y), P.GroupL1(lam, labels.tolist(), weights), tol=1e-13)
    assert_close(solution.x, u[labels] * v, atol=1e-6)


def test_nuclear_norm(rng):
    A, _ = data(rng)
    Y = A @ rng.standard_normal((WIDTH, 2)) @ rng.standard_normal((2, 5)) + 0.1 * rng.standard_normal((N, 5))
    lam = 0.5

    def value(U, V):
        R = A @ U @ V - Y
        return 0.5 * np.sum(R * R) / N + 0.5 * lam * (np.sum(U * U) + np.sum(V * V))

    def slope(U, V):
        G = A.T @ (A @ U @ V - Y) / N
        return G @ V.T + lam * U, U.T @ G + lam * V

    U, V = by_factors(value, slope, rng.standard_normal((WIDTH, 5)), rng.standard_normal((5, 5)))
    assert_close(xs.minimize(xs.LeastSquares(A, Y), P.Nuclear(lam), tol=1e-13).x, U @ V, atol=1e-6)
    # where the columns of A are orthonormal the singular values of AᵀY are shrunk by nλ
    Q = np.linalg.qr(A)[0]
    P1, s, Qh = np.linalg.svd(Q.T @ Y, full_matrices=False)
    lam = float(s[1] + s[2]) / 2 / N
    wanted = (P1 * np.maximum(s - N * lam, 0)) @ Qh
    assert_close(xs.minimize(xs.LeastSquares(Q, Y), P.Nuclear(lam), tol=1e-13).x, wanted, atol=1e-6)


def test_l1_logistic(rng):
    A, y = data(rng)
    y = np.sign(y + rng.standard_normal(N))
    lam = 0.02
    model = sklearn.linear_model.LogisticRegression(
        penalty="l1", C=1 / (N * lam), fit_intercept=False, solver="liblinear", tol=1e-12, max_iter=100_000
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of options change between versions
        wanted = model.fit(A, y).coef_[0]
    solution = xs.minimize(xs.Logistic(A, y), P.L1(lam), tol=1e-13)
    assert_close(solution.x, wanted, atol=1e-5)
    f, h = xs.Logistic(A, y), P.L1(lam)
    assert objective(f, h, solution.x) <= objective(f, h, wanted) + 1e-13


def test_huber_is_robust(rng):
    A, y = data(rng)
    y[0] = 1e6
    x = xs.minimize(xs.Huber(A, y, 1e-6, delta=0.5), tol=1e-9).x

    def value(x):
        r = A @ x - y
        d = np.clip(r, -0.5, 0.5)
        return np.mean(np.abs(d) * (np.abs(r) - 0.5 * np.abs(d))) + 0.5e-6 * x @ x

    found = scipy.optimize.minimize(value, x, method="BFGS", options={"gtol": 1e-10})
    assert_close(x, found.x, atol=1e-5)


def _tv_by_programming(y, lam, shape, isotropic):
    """½‖x − y‖² + λTV by SciPy's trust region on a smoothed norm, whose smoothing goes to 0."""
    D = np.asarray(xs.operators.Gradient(shape).matvec(np.eye(y.shape[0])))
    d = len(shape)
    x = y.copy()
    for eps in 10.0 ** -np.arange(1, 8):

        def value(x, eps=eps):
            g = (D @ x).reshape(d, -1)
            size = np.sqrt(np.sum(g * g, axis=0) + eps**2) if isotropic else np.sqrt(g * g + eps**2)
            slope = x - y + lam * (D.T @ (g / size).reshape(-1))
            return 0.5 * np.sum((x - y) ** 2) + lam * np.sum(size), slope

        x = scipy.optimize.minimize(
            value, x, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-16, "gtol": 1e-10}
        ).x
    return x


@pytest.mark.parametrize("isotropic", [True, False])
def test_total_variation(rng, isotropic):
    shape, lam = (5, 6), 0.3
    picture = np.zeros(shape)
    picture[1:4, 2:5] = 1
    y = (picture + 0.1 * rng.standard_normal(shape)).ravel()
    f = xs.LeastSquares(np.eye(30), y)
    tv = P.TotalVariation(lam / 30, shape, isotropic=isotropic)
    solution = xs.minimize(f, tv, tol=1e-7, max_iter=50_000)
    assert solution.converged
    assert solution.method == "primal_dual"
    wanted = _tv_by_programming(y, lam, shape, isotropic)
    assert objective(f, tv, solution.x) <= objective(f, tv, wanted) + 1e-9
    assert_close(solution.x, wanted, atol=2e-3)


def test_total_variation_by_its_dual(rng):
    """max −½n‖Lᵀz‖² + ⟨Lᵀz, y⟩ with ‖z_i‖ ≤ λ by SciPy's sequential quadratic programming; x = y − nLᵀz."""
    shape, lam = (3, 4), 0.03
    y = rng.standard_normal(12)
    L = np.asarray(xs.operators.Gradient(shape).matvec(np.eye(12)))

    def value(z):
        pulled = L.T @ z
        return 6 * pulled @ pulled - pulled @ y, L @ (12 * pulled - y)

    def room(z):
        return lam**2 - np.sum(z.reshape(2, 12) ** 2, axis=0)

    def slope(z):
        return -2 * np.hstack([np.diag(part) for part in z.reshape(2, 12)])

    inside = {"type": "ineq", "fun": room, "jac": slope}
    options = {"ftol": 1e-16, "maxiter": 2000}
    found = scipy.optimize.minimize(
        value, np.zeros(24), jac=True, method="SLSQP", constraints=[inside], options=options
    )
    f = xs.LeastSquares(np.eye(12), y)
    solution = xs.minimize(f, P.TotalVariation(lam, shape), tol=1e-13, max_iter=100_000)
    assert_close(solution.x, y - 12 * (L.T @ found.x), atol=1e-6)


def test_analysis_with_a_square_operator_is_a_lasso(rng):
    A, y = data(rng)
    L = np.eye(WIDTH) + 0.3 * rng.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5
    back = np.linalg.inv(L)
    model = sklearn.linear_model.Lasso(0.1, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(A @ back, y)
    solution = xs.minimize(xs.LeastSquares(A, y), P.Analysis(0.1, L), tol=1e-12, max_iter=50_000)
    assert_close(solution.x, back @ model.coef_, atol=1e-6)


def test_squares_are_ridge_regression(rng):
    A, y = data(rng)
    wanted = np.linalg.solve(A.T @ A / N + 0.3 * np.eye(WIDTH), A.T @ y / N)
    assert_close(xs.minimize(xs.LeastSquares(A, y), P.SquaredL2(0.3), tol=1e-13).x, wanted, atol=1e-6)


def test_one_pixel_has_no_variation():
    solution = xs.minimize(xs.LeastSquares(np.eye(1), np.ones(1)), P.TotalVariation(0.1, (1,)))
    assert solution.converged
    assert_close(solution.x, [1.0], atol=1e-5)


def test_total_variation_of_a_signal_is_exact(rng):
    """In one dimension the fused lasso of two points has its answer by hand."""
    f = xs.LeastSquares(np.eye(2), np.asarray([0.0, 1.0]))
    solution = xs.minimize(f, P.TotalVariation(0.1, (2,)), tol=1e-9)
    assert_close(solution.x, [0.2, 0.8], atol=1e-8)


def test_a_sum_with_a_constraint(rng):
    y = rng.standard_normal(12)
    f = xs.LeastSquares(np.eye(12), y)
    tv = P.TotalVariation(0.02, (3, 4))
    both = xs.minimize(f, tv + P.NonNegative(), tol=1e-8, max_iter=50_000)
    assert both.converged
    assert float(np.min(both.x)) >= 0
    free = xs.minimize(f, tv, tol=1e-8, max_iter=50_000)
    assert objective(f, tv, free.x) <= objective(f, tv, both.x)
    # two sets at once: the simplex within a box
    inside = xs.minimize(f, P.Simplex() + P.Box(0.0, 0.3), tol=1e-9, max_iter=50_000).x
    assert_close(np.sum(inside), 1.0, atol=1e-7)
    assert float(np.max(inside)) <= 0.3 + 1e-8


def test_analysis_with_the_identity_is_the_lasso(rng):
    A, y = data(rng)
    f = xs.LeastSquares(A, y)
    wanted = xs.minimize(f, P.L1(0.1), tol=1e-13).x
    assert_close(xs.minimize(f, P.Analysis(0.1, np.eye(WIDTH)), tol=1e-9).x, wanted, atol=1e-7)
    assert_close(xs.minimize(f, P.L1(0.1), method="primal_dual", tol=1e-10).x, wanted, atol=1e-6)
    assert_close(xs.minimize(f, P.L1(0.1), method="ista", tol=1e-12).x, wanted, atol=1e-5)


def test_newton_ends_where_the_free_entries_are_found(rng):
    """Least squares with a separable penalty is solved to rounding, whatever the conditioning of the free columns."""
    A, y = data(rng)
    A = A * np.logspace(0, -2, WIDTH)
    f = xs.LeastSquares(A, y)
    for penalty in (P.NonNegative(), P.L1(1e-3) + P.Box(-0.5, 2.0), P.ElasticNet(1e-2, 0.5)):
        solution = xs.minimize(f, penalty, tol=1e-8)
        assert solution.certificate.value < 1e-13
        if isinstance(penalty, P.NonNegative):
            assert_close(solution.x, scipy.optimize.nnls(A, y)[0], rtol=1e-8, atol=1e-9)


# --- certificates -----------------------------------------------------------------------------------

LOSSES = {
    "least squares": lambda A, y, lam: xs.LeastSquares(A, y, lam),
    "huber": lambda A, y, lam: xs.Huber(A, y, lam, delta=0.3),
    "logistic": lambda A, y, lam: xs.Logistic(A, np.where(y > 0, 1.0, -1.0), lam),
    "multinomial": lambda A, y, lam: xs.Multinomial(A, np.digitize(y, [-0.5, 0.5]), lam),
}
SIMPLE = [
    P.L1(0.03),
    P.ElasticNet(0.03, 0.5),
    P.SquaredL2(0.1),
    P.Box(-0.2, 0.3),
    P.NonNegative(),
    P.Simplex(),
    P.L1Ball(0.5),
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("lam", [0.0, 0.1])
@pytest.mark.parametrize("penalty", SIMPLE, ids=repr)
@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_gaps_bound_what_is_left(rng, loss, lam, penalty):
    """Along the way the certificate is at least what the objective still falls, and it goes to 0."""
    A, y = data(rng)
    if (loss, lam, repr(penalty)) == ("multinomial", 0.0, "NonNegative()"):
        return  # without a minimiser
    f = LOSSES[loss](A, y, lam)
    best = xs.minimize(f, penalty, tol=1e-11, max_iter=50_000)
    least = objective(f, penalty, best.x)
    assert best.certificate.value < 1e-7
    at_zero = float(f.value(f.zeros())) if loss != "least squares" else 0.5 * float(np.mean(y * y))
    for k in (1, 5, 20):
        found = xs.minimize(f, penalty, tol=0, max_iter=k)
        left = objective(f, penalty, found.x) - least
        if found.certificate.name.startswith("duality gap"):
            assert found.certificate.value * at_zero >= left - 1e-9


@pytest.mark.filterwarnings("ignore::xpsolve.ConvergenceWarning")
def test_an_exhausted_solve_says_so(rng):
    A, y = data(rng)
    assert xs.minimize(xs.LeastSquares(A, y), P.L1(0.01), tol=1e-12, max_iter=5).status is xs.Status.MAX_ITER
    with pytest.warns(xs.ConvergenceWarning, match="minimize"):
        xs.minimize(xs.LeastSquares(A, y), P.TotalVariation(0.1, (WIDTH,)), max_iter=1)


@pytest.mark.parametrize("exponent", [-250, -100, 100, 250])
def test_units_of_y_do_not_matter(rng, exponent):
    A, y = data(rng)
    unit = 2.0**exponent
    for penalty in (P.L1(0.1), P.GroupL1(0.1, 2), P.TotalVariation(0.1, (WIDTH,))):
        wanted = xs.minimize(xs.LeastSquares(A, y), penalty)
        found = xs.minimize(xs.LeastSquares(A, y * unit), penalty.scaled(1.0, 1 / unit))
        assert found.n_iter == wanted.n_iter
        assert_close(found.x / unit, wanted.x, rtol=1e-9)


@pytest.mark.parametrize("exponent", [-300, 300])
def test_units_of_A_do_not_matter(rng, exponent):
    A, y = data(rng)
    unit = 2.0**exponent
    wanted = xs.nnls(A, y)
    found = xs.nnls(A * unit, y)
    assert found.converged
    assert_close(found.x * unit, wanted.x, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("a", "c"), [(1.0, 1.0), (1.0, 64.0), (2.0**-300, 1.0)])
def test_dual_variables_are_in_the_units_of_the_caller(rng, a, c):
    A, y = data(rng)
    f, lam = xs.LeastSquares(a * A, c * y), 0.1 * a * c
    solution = xs.minimize(f, P.TotalVariation(lam, (WIDTH,)), tol=1e-9)
    (z,), L = solution.stats["dual"], xs.operators.Gradient((WIDTH,))
    assert float(np.max(np.abs(z))) <= lam * (1 + 1e-12)
    assert_close(L.rmatvec(z) / (a * c), -f.gradient(solution.x) / (a * c), atol=1e-6)


def test_a_warm_start_is_not_lost(rng):
    A, y = data(rng)
    f = xs.LeastSquares(A, y)
    for penalty in (P.L1(0.1), P.Box(-0.1, 0.2), P.GroupL1(0.1, 2)):
        first = xs.minimize(f, penalty, tol=1e-12)
        assert xs.minimize(f, penalty, x0=first.x, tol=1e-10).n_iter == 0


# --- objectives of the user's own ------------------------------------------------------------------------


class Quartic:
    """Σ (x_j − c_j)⁴ and no Lipschitz constant."""

    def __init__(self, c):
        self.c = c

    def value(self, x):
        return ((x - self.c) ** 4).sum()

    def gradient(self, x):
        return 4 * (x - self.c) ** 3


@pytest.mark.parametrize("method", ["ista", "fista"])
def test_an_objective_without_a_lipschitz_constant(method):
    c = np.asarray([2.0, -1.0, 0.1])
    solution = xs.minimize(Quartic(c), P.L1(0.5), x0=np.zeros(3), method=method, tol=1e-9)
    assert solution.converged
    assert_close(solution.x, [2 - 0.5, -1 + 0.5, 0.0], atol=1e-6)  # 4·0.5³ = 0.5
    with pytest.raises(TypeError, match="lipschitz"):
        xs.minimize(Quartic(c), P.TotalVariation(0.1, (3,)), x0=np.zeros(3))


def test_a_penalty_of_ones_own(rng):
    class Fixed(P.Penalty):
        """The indicator of {x_0 = 1}."""

        def value(self, x):
            return np.where(x[0] == 1, 0.0, np.inf)

        def prox(self, v, t):
            return np.concatenate([np.ones(1), v[1:]])

    A, y = data(rng)
    x = xs.minimize(xs.LeastSquares(A, y), Fixed(), tol=1e-9).x
    assert_close(x[1:], np.linalg.lstsq(A[:, 1:], y - A[:, 0], rcond=None)[0], atol=1e-7)
    assert xs.minimize(xs.LeastSquares(A, 64 * y), Fixed(), tol=1e-9).converged  # in the units that came


# --- every library ----------------------------------------------------------------------------------


@EVERYWHERE
@pytest.mark.parametrize(
    "penalty",
    [P.ElasticNet(0.05, 0.3), P.L1(0.05) + P.NonNegative(), P.GroupL1(0.05, 2), P.TotalVariation(0.05, (WIDTH,))],
    ids=repr,
)
def test_everywhere(xp, rng, penalty):
    A, y = data(rng)
    tol = 1e-8 if xp.exact else 1e-4
    solution = xs.minimize(xs.LeastSquares(xp(A), xp(y)), penalty, tol=tol)
    wanted = xs.minimize(xs.LeastSquares(A, y), penalty, tol=1e-10)
    check_solution(solution, like=xp(y))
    assert_close(solution.x, wanted.x, like=xp(y), atol=1e-4 if xp.exact else 2e-3)


@EVERYWHERE
@pytest.mark.parametrize("penalty", [P.L1(0), P.GroupL1(0, 2)])
def test_a_penalty_of_weight_zero_is_none(xp, rng, penalty):
    A, y = data(rng)
    solution = xs.minimize(xs.LeastSquares(xp(A), xp(1e3 * y)), penalty, tol=1e-7 if xp.exact else 1e-4)
    assert solution.converged
    assert_close(solution.x, np.linalg.lstsq(A, 1e3 * y)[0], like=xp(y), atol=1e-2 if xp.exact else 1.0)


@EVERYWHERE
def test_nnls_everywhere(xp, rng):
    A, y = data(rng)
    tol = 1e-7 if xp.exact else 1e-4
    solution = xs.nnls(xp(A), xp(y), tol=tol)
    assert_close(solution.x, scipy.optimize.nnls(A, y)[0], like=xp(y), atol=1e-3)


def test_sparse_and_operators(rng):
    A, y = data(rng)
    wanted = xs.minimize(xs.LeastSquares(A, y), P.L1(0.1), tol=1e-12).x
    for B in (scipy.sparse.csr_array(A), xs.operators.Dense(A) * 1.0):
        assert_close(xs.minimize(xs.LeastSquares(B, y), P.L1(0.1), tol=1e-12).x, wanted, atol=1e-9)


def test_under_jit(rng):
    jax = pytest.importorskip("jax")
    A, y = (jax.numpy.asarray(v) for v in data(rng))
    for penalty in (P.L1(0.1), P.ElasticNet(0.1, 0.5), P.NonNegative(), P.TotalVariation(0.1, (WIDTH,))):
        run = jax.jit(lambda A, y, penalty=penalty: xs.minimize(xs.LeastSquares(A, y), penalty, tol=1e-9).x)
        assert_close(
            np.asarray(run(A, y)),
            xs.minimize(xs.LeastSquares(np.asarray(A), np.asarray(y)), penalty, tol=1e-9).x,
            atol=1e-9,
        )


@pytest.mark.parametrize(
    "penalty", [P.L1(0.05), P.NonNegative(), P.GroupL1(0.05, 2), P.TotalVariation(0.05, (8,))], ids=repr
)
def test_derivatives(rng, penalty):
    A, y = data(rng)
    d, w, h = rng.standard_normal(N), rng.standard_normal(WIDTH), 1e-6

    def solve(y):
        return xs.minimize(xs.LeastSquares(A, y), penalty, tol=1e-11, max_iter=20_000).x

    wanted = w @ (solve(y + h * d) - solve(y - h * d)) / (2 * h)
    assert float(autodiff.grad(lambda y: w @ solve(y))(y) @ d) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert float(w @ autodiff.jvp(solve, (y,), (d,))[1]) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_callbacks_and_records(rng):
    A, y = data(rng)
    seen = []
    solution = xs.minimize(
        xs.LeastSquares(A, y),
        P.L1(0.1),
        tol=1e-10,
        record=True,
        callback=lambda k, s: seen.append((k, s.x.shape, s.measure)),
    )
    assert [k for k, *_ in seen] == list(range(0, solution.n_iter + 1, 10))
    assert set(solution.history) == {"objective", "certificate"}
    assert solution.history["objective"].shape == (solution.n_iter + 1,)
    stopped = xs.minimize(xs.LeastSquares(A, y), P.TotalVariation(0.1, (WIDTH,)), tol=0, callback=lambda k, s: k >= 20)
    assert stopped.status is xs.Status.STOPPED
    assert stopped.n_iter == 20


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"f": 1}, TypeError, "f: expected LeastSquares"),
        ({"penalty": 1.0}, TypeError, "penalty: expected one of xpsolve.penalties"),
        ({"method": "newton"}, ValueError, "method: expected one of"),
        ({"x0": np.zeros(3)}, ValueError, "x0: expected the shape of the answer"),
        ({"x0": np.full(WIDTH, np.nan)}, ValueError, "x0: expected finite numbers"),
        ({"tol": -1.0}, ValueError, "tol: expected a finite number"),
        ({"method": "fista", "penalty": P.TotalVariation(1.0, (WIDTH,))}, TypeError, "expected 'primal_dual'"),
        ({"penalty": P.TotalVariation(1.0, (3, 3))}, ValueError, "penalty: expected an operator with 8 columns"),
        ({"penalty": P.L1(1.0, np.ones(3))}, ValueError, r"penalty: expected weights and bounds of shape \(8,\)"),
        ({"penalty": P.Box(np.zeros(3), 1.0)}, ValueError, r"penalty: expected weights and bounds of shape \(8,\)"),
    ],
)
def test_bad_input(rng, change, error, words):
    A, y = data(rng)
    arguments = {"f": xs.LeastSquares(A, y), "penalty": P.L1(0.1)} | change
    with pytest.raises(error, match=words):
        xs.minimize(arguments.pop("f"), arguments.pop("penalty"), **arguments)


@pytest.mark.parametrize(
    ("penalty", "method"),
    [
        (P.L1, "fista"),
        (P.L1, "ista"),
        (lambda lam: P.L1(lam) + P.NonNegative(), "auto"),
        (lambda lam: P.ElasticNet(lam, 0.5), "auto"),
        (lambda lam: P.TotalVariation(lam, (WIDTH,)), "auto"),
    ],
    ids=["fista", "ista", "positive", "elastic-net", "variation"],
)
@pytest.mark.parametrize("kind", [xs.LeastSquares, xs.Logistic])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_lam_alone_may_be_followed_by_a_derivative(rng, penalty, method, kind, library):
    make = np.asarray if library == "numpy" else pytest.importorskip("torch").asarray
    A, y = data(rng)
    y = y + 3 * rng.standard_normal(N)
    logistic = kind is xs.Logistic
    f = kind(make(A), make(np.sign(y) if logistic else y), intercept=logistic)  # from outside

    def norm(lam):
        x = xs.minimize(f, penalty(lam), method=method, tol=1e-10, max_iter=20_000).x
        return x @ x

    slope, h = float(autodiff.grad(norm)(make(0.05))), 1e-5
    wanted = (float(norm(0.05 + h)) - float(norm(0.05 - h))) / (2 * h)
    assert slope == pytest.approx(wanted, rel=1e-3, abs=1e-5)
