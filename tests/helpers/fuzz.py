"""Calls with hostile input: every public function on nasty numbers, shapes, dtypes, layouts, containers and options.

    python tests/helpers/fuzz.py 50000 [first seed]

runs that many seeded calls and prints what went wrong, by kind, with the seed of an example each.  `one(seed)` runs a
single one.  What must hold: a TypeError or ValueError whose message begins with an argument's name, or an answer that
is finite where it is called converged and right in extended precision; one ConvergenceWarning where it is not
converged and no other warning; inputs as they were; library and dtype kept; the same bits when called twice.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import re
import sys
import warnings
from collections import Counter
from fractions import Fraction

import numpy as np
import oracle
import scipy.sparse

import xpsolve as xs
from xpsolve.arrays import is_array, library, namespace_of
from xpsolve.arrays.backends import to_numpy

SIZES = (0, 1, 1, 2, 2, 3, 4, 5, 7, 8, 11, 13, 16)
BAD = {
    "text": "x",
    "minus one": -1,
    "zero": 0,
    "one and a half": 1.5,
    "nan": float("nan"),
    "inf": float("inf"),
    "huge integer": 10**400,
    "none": None,
    "list": [],
    "array": np.ones(2),
    "matrix": np.ones((2, 3)),
    "flag": True,
    "fraction": Fraction(1, 2),
    "longdouble": np.longdouble(1),
    "complex": 1j,
    "object": object(),
    "beyond float32": 1e39,
    "tiny": 1e-300,
    "numpy bool": np.bool_(True),
    "numpy float": np.float32(0.5),
}


class Draw:
    """Random pieces of a call."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def chance(self, p):
        return bool(self.rng.random() < p)

    def pick(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def size(self):
        return int(self.rng.choice(SIZES))

    def values(self, *shape):
        """Numbers of a nasty distribution."""
        rng, x = self.rng, self.rng.standard_normal(shape)
        kind = self.pick(
            "plain",
            "plain",
            "plain",
            "rank",
            "zero",
            "constant",
            "duplicates",
            "scale",
            "columns",
            "subnormal",
            "spread",
            "whole",
        )
        if kind == "rank" and x.ndim == 2 and min(shape) > 1:
            x = x[:, :1] * x[:1, :]
        elif kind == "zero":
            x = x * 0
        elif kind == "constant":
            x = x * 0 + 3.0
        elif kind == "duplicates" and x.ndim == 2 and shape[1] > 1:
            x[:, 1] = x[:, 0]
        elif kind == "scale":
            x = x * 10.0 ** rng.integers(-300, 300)
        elif kind == "columns" and x.ndim == 2 and x.size:
            x[:, 0] *= 10.0 ** rng.integers(-12, 12)
        elif kind == "subnormal":
            x = x * 1e-310
        elif kind == "spread":
            x = x * 10.0 ** rng.integers(-20, 20, shape)
        elif kind == "whole":
            x = np.round(3 * x)
        if x.size and self.chance(0.08):
            x.flat[int(rng.integers(x.size))] = self.pick(np.nan, np.inf, -np.inf)
        return x

    def weights(self, n):
        """A histogram."""
        w = self.rng.random(n)
        if n > 1 and self.chance(0.2):
            w[0] = 0
        if self.chance(0.05):
            return self.values(n)
        return w / w.sum() if n else w

    def array(self, x):
        """x in a dtype, layout and library."""
        x = np.asarray(x)
        dtype = self.pick(*["float64"] * 6, *["float32"] * 3, "int64", "bool", "float16", "complex128", "int8")
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x = x.astype(dtype)
            if dtype == "complex128" and self.chance(0.7):
                x = x * np.exp(2j * np.pi * self.rng.random(x.shape))
        layout = self.pick("C", "C", "F", "reversed", "read-only", "strided")
        if layout == "F":
            x = np.asfortranarray(x)
        elif layout == "reversed" and x.ndim:
            x = x[::-1].copy()[::-1]
        elif layout == "strided" and x.ndim:
            x = np.repeat(x, 2, axis=0)[::2]
        elif layout == "read-only":
            x = x.copy()
            x.flags.writeable = False
        return x

    def lam(self):
        return self.pick(0.0, 1e-8, 0.1, 1.0, 10.0, 1e5, 1, np.float32(0.5), 1e-300, 1e39)


def _move(x, to):
    """An argument in another library, where that has its dtype."""
    if isinstance(x, list):
        return [_move(v, to) for v in x]
    if not isinstance(x, np.ndarray) or to == "numpy" or x.dtype == np.float16:
        return x
    if to == "torch":
        import torch

        return torch.asarray(np.array(x))
    import array_api_strict

    return array_api_strict.asarray(np.array(x))


# --- what is called: each builder returns a function, its positional arguments by name, and options --


def _linear(d, function, **options):
    n, p = d.size(), d.size()
    A = d.array(d.values(n, p))
    y = d.array(d.values(*d.pick((n,), (n,), (n, 2), (n, 1), (n + 1,))) if d.chance(0.95) else d.values(p))
    if d.chance(0.1) and A.dtype.kind == "f" and A.dtype.itemsize >= 4:
        A = scipy.sparse.csr_array(A)
    return function, {"A": A, "y": y}, options


def ridge(d):
    f, given, _ = _linear(d, xs.ridge)
    return (
        f,
        {**given, "lam": d.pick(d.lam(), d.lam(), [0.1, 1.0])},
        {"method": d.pick("auto", "normal", "woodbury", "svd", "cg"), "max_iter": 60},
    )


def lstsq(d):
    return _linear(d, xs.lstsq)


def lasso(d):
    f, given, _ = _linear(d, xs.lasso)
    return f, {**given, "lam": d.lam()}, {"method": d.pick("auto", "ista", "fista", "working_set"), "max_iter": 80}


def elastic_net(d):
    f, given, _ = _linear(d, xs.elastic_net)
    return f, {**given, "lam": d.lam(), "theta": d.pick(0.0, 0.3, 1.0, 0.5)}, {"max_iter": 80}


def lasso_path(d):
    f, given, _ = _linear(d, xs.lasso_path)
    return f, given, {"n_lams": d.pick(1, 2, 3), "max_iter": 80}


def ridge_cv(d):
    f, given, _ = _linear(d, xs.ridge_cv)
    options = {"method": d.pick("gcv", "loo", "kfold"), "folds": d.pick(2, 3), "per_target": d.chance(0.3)}
    return f, {**given, "lams": d.pick([0.1, 1.0], [0.0, 1e-3], [d.lam()])}, {**options, "intercept": d.chance(0.3)}


def lasso_cv(d):
    f, given, options = _linear(d, d.pick(xs.lasso_cv, xs.elastic_net_cv), intercept=d.chance(0.3))
    return f, given, {"n_lams": d.pick(1, 3), "folds": d.pick(2, 3), "max_iter": 80, **options}


def lasso_sure(d):
    f, given, _ = _linear(d, xs.lasso_sure)
    return f, {**given, "sigma": d.pick(0.1, 1.0)}, {"n_lams": d.pick(1, 3), "max_iter": 80}


def discrepancy(d):
    f, given, _ = _linear(d, xs.discrepancy)
    return f, {**given, "noise": d.pick(0.1, 1.0)}, {"penalty": d.pick("ridge", "lasso")}


def basis_pursuit(d):
    f, given, _ = _linear(d, xs.basis_pursuit)
    return f, given, {"max_iter": 40}


def dictionary_learning(d):
    X = d.array(d.values(d.size(), d.size()))
    return xs.dictionary_learning, {"X": X, "n_atoms": d.pick(1, 2, 3), "lam": d.lam()}, {"max_iter": 10}


def nnls(d):
    f, given, _ = _linear(d, xs.nnls)
    return f, given, {"max_iter": 80}


def minimize(d):
    """With a penalty for any x, or one that may not suit it."""
    kind, given = _model(d)
    p, lam = given["A"].shape[1], d.lam()
    made = d.pick(
        lambda: xs.penalties.L1(lam),
        lambda: xs.penalties.ElasticNet(lam, 0.5),
        xs.penalties.NonNegative,
        lambda: xs.penalties.Box(-1.0, lam),
        lambda: xs.penalties.GroupL1(lam),
        lambda: xs.penalties.L1Ball(1.0),
        lambda: xs.penalties.Simplex() + xs.penalties.L1(lam),
        lambda: xs.penalties.TotalVariation(lam, (max(p, 1),)),
        lambda: None,
    )

    def call(A, y, lam, weights=None, **more):
        return xs.minimize(kind(A, y, lam, weights=weights), made(), **more)

    call.__signature__ = inspect.signature(xs.minimize)
    call.__name__ = "minimize"
    return call, given, {"max_iter": 60}


def soft_threshold(d):
    return xs.soft_threshold, {"x": d.array(d.values(d.size(), d.size())), "t": d.lam()}, {}


def _model(d):
    n, p = d.size(), d.size()
    kind = d.pick(xs.LeastSquares, xs.LeastSquares, xs.Logistic, xs.Multinomial)
    A = d.array(d.values(n, p))
    if kind is xs.LeastSquares:
        y = d.array(d.values(n))
    elif kind is xs.Logistic:
        y = d.rng.choice([-1.0, 1.0], n)
    else:
        y = d.rng.integers(0, 3, n)
    given = {"A": A, "y": y, "lam": d.lam()}
    if d.chance(0.3):
        given["weights"] = d.array(d.weights(n))
    return functools.partial(kind, intercept=d.chance(0.3)), given


def _descent(solver, *, stream=False, **options):
    def build(d):
        kind, given = _model(d)

        def call(A, y, lam, weights=None, **more):
            if stream:
                more = {"batches": [(A, y)] * 2, **more}
                return solver(lambda A, y: kind(A, y, lam, weights=weights), **more)
            return solver(kind(A, y, lam, weights=weights), **more)

        call.__signature__ = inspect.signature(solver)  # type: ignore[attr-defined]
        call.__name__ = solver.__name__
        return call, given, dict(options)

    build.__name__ = solver.__name__
    return build


def _transport(function, **options):
    def build(d):
        n, m = d.size(), d.size()
        a, b = d.weights(n), d.weights(m)
        M = np.abs(d.values(n, m)) if d.chance(0.9) else d.values(n, m)
        eps = d.pick(0.01, 0.1, 1.0, 1.0, 10.0, 1e-300)
        given = {"a": d.array(a), "b": d.array(b), "M": d.array(M), "eps": eps}
        if d.chance(0.7):  # one dtype for all, else most calls end at the first check
            given = {
                k: (np.array(v, dtype="float64") if is_array(v) else v)
                for k, v in (("a", a), ("b", b), ("M", M), ("eps", eps))
            }
        marginal = {"marginal": d.pick(1e-3, 0.1, 1.0, 10.0, 1e3)} if d.chance(0.3) else {}
        return function, given, {**options, **marginal, "method": d.pick("auto", "scaling", "stabilized", "log")}

    build.__name__ = function.__name__
    return build


def sinkhorn_divergence(d):
    n, m = d.size(), d.size()
    x, y = d.values(n, 2), d.values(m, 2)
    return (
        xs.sinkhorn_divergence,
        {"a": d.weights(n), "b": d.weights(m), "M": xs.PointCloud(x, y), "eps": d.pick(0.1, 1.0)},
        {"max_iter": 60},
    )


def barycenter(d):
    n = d.size()
    a = np.stack([d.weights(n), d.weights(n)])
    x = d.values(n, 2)
    M = np.abs(d.values(n, n)) if d.chance(0.7) else xs.PointCloud(x, x)
    given = {"A": a, "M": M, "eps": d.pick(0.1, 1.0)}
    if d.chance(0.5):
        given["weights"] = d.pick(d.weights(2), d.weights(2), d.weights(3), np.asarray([0.0, 1.0]))
    return xs.barycenter, given, {"max_iter": 40, "method": d.pick("auto", "scaling", "log")}


def _along_an_axis(function, *more):
    def build(d):
        x = d.array(d.values(*d.pick((d.size(),), (d.size(), d.size()))))
        return function, {"x": x}, {name: value for name, value in more if d.chance(0.5)}

    build.__name__ = function.__name__
    return build


def convolve(d):
    z = d.array(d.values(d.pick(1, 2), d.pick(1, 2), d.size()))
    w = d.array(d.values(d.pick(1, 3), z.shape[1] if d.chance(0.9) else 3, d.pick(1, 2, 3, 5)))
    options = {
        "mode": d.pick("valid", "same", "full"),
        "boundary": d.pick("zero", "periodic"),
        "method": d.pick("auto", "fft", "im2col", "shift"),
    }
    return xs.convolve, {"z": z, "w": w}, options


def one_hot(d):
    labels = d.rng.integers(-1, 4, d.size())
    return xs.one_hot, {"labels": labels, "m": d.pick(3, 4)}, {}


def mlp_forward(d):
    n, m, k = d.size(), d.size(), d.size()
    return (
        xs.mlp_forward,
        {"weights": [d.array(d.values(m, n))], "biases": [d.array(d.values(m))], "Z": d.array(d.values(n, k))},
        {},
    )


def convolve_adjoint(d):
    _, given, options = convolve(d)
    z, w = given["z"], given["w"]
    try:
        e = xs.convolve(z, w, **options)
    except (TypeError, ValueError):
        e = z
    return xs.operators.convolve_adjoint, {"e": d.pick(e, e, e, z), **given}, options


def cnn_forward(d):
    n, c, o, k = d.pick(0, 1, 2), d.pick(1, 2), d.pick(1, 2), d.pick(1, 2, 3)
    weights = [d.array(d.values(o, c, k))]
    return (
        xs.networks.cnn_forward,
        {"weights": weights, "biases": [d.array(d.values(o))], "Z": d.array(d.values(n, c, d.size()))},
        {"mode": d.pick("valid", "same", "full"), "activation": d.pick("relu", "tanh", "softplus")},
    )


def single_layer(d):
    m, n, q = d.size(), d.size(), d.size()
    given = {"A": d.values(m, n), "b": d.values(m), "B": d.values(q, m), "Y": d.values(n, d.size())}
    return (
        xs.networks.single_layer,
        {name: d.array(x) for name, x in given.items()},
        {"activation": d.pick("softmax", "relu", "sigmoid")},
    )


def recurrent_step(d):
    n, m, u, k = d.size(), d.size(), d.size(), d.size()
    theta = [d.values(n, n), d.values(n, u), d.values(n), d.values(m, n), d.values(m)]
    x = [d.array(d.values(n, k)), d.array(d.values(m, k))]
    return (
        xs.networks.recurrent_step,
        {"x": x, "theta": [d.array(v) for v in theta], "u": d.array(d.values(u, k))},
        {},
    )


def residual_step(d):
    n, k = d.size(), d.size()
    theta = [d.array(d.values(d.size(), n)), d.array(d.values(n, n))]
    return xs.networks.residual_step, {"x": d.array(d.values(n, k)), "theta": theta}, {}


def _loss(function):
    def build(d):
        shape = d.size(), d.size()
        Y = d.array(d.values(*shape) if d.chance(0.5) else d.rng.random(shape))
        return function, {"X": d.array(d.values(*shape)), "Y": Y}, {}

    build.__name__ = function.__name__
    return build


def chain_jacobian(d):
    sizes = [d.size() for _ in range(d.pick(2, 3, 4))]
    factors = [d.array(d.values(n, p)) for p, n in itertools.pairwise(sizes)]
    return (
        xs.autodiff.chain_jacobian,
        {"jacobians": factors},
        {"order": d.pick("optimal", "forward", "reverse")},
    )


def _blur(sides):
    return lambda w: xs.Convolution(w, sides, boundary="zero")


def _with_an_operator(solver, **options):
    """A solver on a product of small matrices along axes, or on a convolution."""

    def build(d):
        if d.chance(0.5):
            w, sides = d.array(d.values(d.pick(1, 2, 3))), d.pick(1, 2, 3, 5, 7)
            make, n = _blur(sides), sides
            given = {"w": w}
        else:
            B, C = d.array(d.values(d.size(), d.size())), d.array(d.values(d.pick(1, 2, 3), d.pick(1, 2, 3)))
            make, n = xs.Kronecker, B.shape[0] * C.shape[0]
            given = {"matrices": B, "matrices_1": C}

        def call(y, lam, **more):
            parts = [more.pop(name) for name in given]
            return solver(make(*parts), y, lam, **more)

        call.__signature__ = inspect.signature(solver)  # type: ignore[attr-defined]
        call.__name__ = f"{solver.__name__} of an operator"
        return call, {**given, "y": d.array(d.values(n)), "lam": d.lam()}, dict(options)

    build.__name__ = solver.__name__
    return build


def lasso_from_a_start(d):
    f, given, _ = _linear(d, xs.lasso)
    p = given["A"].shape[1]
    options = {"x0": d.values(p), "callback": d.pick(None, _never, _at_once), "record": d.chance(0.5)}
    return f, {**given, "lam": d.lam()}, {**options, "max_iter": 80}


def _never(k, state):
    return False


def _at_once(k, state):
    return True


def _through(name, make):
    """Products with an operator that has no array of its own, forward and backward."""

    def build(d):
        sides = tuple(d.pick(1, 2, 4, 6) for _ in range(d.pick(1, 2, 3)))
        A = make(d, sides)
        p = A.shape[1]

        def call(x):
            with np.errstate(all="ignore"):  # products warn as those of NumPy do
                return A.rmatvec(A.matvec(x))

        call.__name__ = name
        many = (d.pick(1, 3),) if d.chance(0.3) else ()
        return call, {"x": d.array(d.values(p, *many))}, {}

    build.__name__ = name
    return build


def _wavelet(d, sides):
    halves = min((n & -n).bit_length() - 1 for n in sides)
    return xs.operators.Wavelet(sides, d.pick(1, 2, 3, 8), d.pick(*range(halves + 1)))


def operator_norm(d):
    return xs.operator_norm, {"A": d.array(d.values(d.size(), d.size()))}, {}


def dot_test(d):
    return xs.dot_test, {"A": d.array(d.values(d.size(), d.size()))}, {}


BUILDERS = [
    *([ridge, lasso, lstsq] * 3),
    *([elastic_net, lasso_path, basis_pursuit, dictionary_learning] * 2),
    *([nnls, minimize] * 2),
    *(ridge_cv, lasso_cv, lasso_sure, discrepancy),
    soft_threshold,
    *([_descent(xs.newton, max_iter=30), _descent(xs.gradient_descent, max_iter=40)] * 2),
    _descent(xs.coordinate_descent, max_iter=20),
    _descent(xs.sgd, epochs=1),
    _descent(xs.sga, epochs=1),
    _descent(xs.sgd, stream=True),
    _descent(xs.sag, epochs=2),
    *([_transport(xs.sinkhorn, max_iter=60)] * 3),
    _transport(xs.sinkhorn_gradient, max_iter=60),
    sinkhorn_divergence,
    barycenter,
    _along_an_axis(xs.logsumexp, ("axis", 0), ("eps", 0.5)),
    _along_an_axis(xs.softmax, ("axis", 0), ("eps", 0.5)),
    _along_an_axis(xs.softmax_jacobian),
    _along_an_axis(xs.networks.project_simplex, ("total", 2.0)),
    *(_along_an_axis(getattr(xs.networks, name)) for name in ("relu", "tanh", "sigmoid", "softplus", "leaky_relu")),
    convolve,
    convolve,
    one_hot,
    mlp_forward,
    convolve_adjoint,
    cnn_forward,
    single_layer,
    recurrent_step,
    residual_step,
    _loss(xs.networks.squared_loss),
    _loss(xs.networks.cross_entropy),
    chain_jacobian,
    *(_with_an_operator(solver, max_iter=60) for solver in (xs.ridge, xs.lasso)),
    lasso_from_a_start,
    operator_norm,
    dot_test,
    _through("gradient", lambda d, sides: xs.operators.Gradient(sides)),
    _through("wavelet", _wavelet),
    _through("fourier", lambda d, sides: xs.operators.Fourier(sides, d.pick(None, [0]))),
]


# --- one call, and what must hold -------------------------------------------------------------------


class Wrong(Exception):
    """A promise that was broken."""


def _single(x):
    return "float32" in str(x.dtype) or "complex64" in str(x.dtype)


def _bytes(tree):
    if isinstance(tree, dict):
        return [_bytes(v) for v in tree.values()]
    if isinstance(tree, list | tuple):
        return [_bytes(v) for v in tree]
    if scipy.sparse.issparse(tree):
        return [tree.data.tobytes(), tree.indices.tobytes(), tree.indptr.tobytes()]
    if is_array(tree):
        return np.ascontiguousarray(to_numpy(tree)).tobytes()
    return None


def _answer(out):
    return out.x if isinstance(out, xs.Solution) else out


def _arrays(tree):
    if isinstance(tree, xs.PointCloud):
        tree = [tree.x, tree.y]
    if isinstance(tree, list | tuple):
        return [x for v in tree for x in _arrays(v)]
    return [tree] if is_array(tree) else []


_PARTS = {"recurrent_step": set("hoWVbCc"), "residual_step": set("WVb"), "cnn_forward": {"layer"}}
"""Arguments that messages call by the names of their parts."""


def _named(function, given, message):
    names = set(given) | set(inspect.signature(function).parameters) | {"A", "y", "Y", "lam", "M", "f", "a", "b"}
    names |= _PARTS.get(function.__name__, set())
    begins = re.match(r"(\w+)", message)
    return begins is not None and begins.group(1) in names


def one(seed):
    """Run the call of a seed; the function's name, or `Wrong`."""
    d = Draw(seed)
    function, given, options = d.pick(*BUILDERS)(d)
    if d.chance(0.35):  # one argument is something else altogether
        choices = [
            k for k in inspect.signature(function).parameters if k not in ("f", "penalty", "options", "args", "kwargs")
        ]
        if "of an operator" in function.__name__:  # whose A is made of its parts
            choices.remove("A")
        name = d.pick(*choices, *given)
        kind = d.pick(*BAD)
        if (name, kind) == ("max_iter", "huge integer"):  # allowed, and without end where nothing converges
            kind = "zero"
        value = BAD[kind]
        if name in given:
            given[name] = value
        else:
            options[name] = value
    to = d.pick("numpy", "numpy", "numpy", "numpy", "torch", "strict")
    given = {name: _move(x, to) for name, x in given.items()}
    what = f"{function.__name__}({', '.join(f'{k}={_short(v)}' for k, v in {**given, **options}.items())})"
    before = _bytes(given)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            out = function(**given, **options)
        except (TypeError, ValueError) as error:
            if _bytes(given) != before:
                raise Wrong(f"inputs written: {what}") from error
            if not _named(function, given | options, str(error)):
                raise Wrong(f"no argument named: {what}: {type(error).__name__}: {error}") from error
            if caught:
                raise Wrong(f"warning before an error: {what}: {caught[0].message}") from error
            return function.__name__
        except Exception as error:
            if function is xs.dot_test and "rtol" in options and isinstance(error, AssertionError):
                return function.__name__  # its message for an operator whose adjoint is further off than `rtol`
            raise Wrong(f"leaked {type(error).__name__}: {what}: {error}") from error
    foreign = [w for w in caught if not issubclass(w.category, xs.ConvergenceWarning)]
    if foreign:
        raise Wrong(f"leaked warning: {what}: {foreign[0].category.__name__}: {foreign[0].message}")
    if _bytes(given) != before:
        raise Wrong(f"inputs written: {what}")
    _check(function, given, options, out, what, len(caught))
    return function.__name__


def _check(function, given, options, out, what, warned):
    if isinstance(out, xs.Solution):
        status = out.status
        if status is xs.Status.CONVERGED:
            if not all(np.isfinite(to_numpy(x)).all() for x in _arrays(out.x) if "sinkhorn" not in function.__name__):
                raise Wrong(f"false CONVERGED: {what}: not finite")
            call = dict(given)
            if "lam" in given and "A" in given and function.__name__ not in ("ridge", "lasso", "elastic_net"):
                call = {}  # models are made inside
            name = function.__name__
            if call and name in oracle.TRUTHS:
                try:
                    oracle.judge(name, call, out)
                except AssertionError as error:
                    raise Wrong(f"false CONVERGED: {what}: {error}") from error
                except (AttributeError, ValueError, TypeError):
                    pass  # sparse or of another library: no oracle here
            if warned:
                raise Wrong(f"warned although converged: {what}")
        elif status is not xs.Status.STOPPED and warned != 1:
            raise Wrong(f"{status.name} with {warned} warnings: {what}")
    arrays = [x for value in (*given.values(), *options.values()) for x in _arrays(value)]
    if arrays and not any(scipy.sparse.issparse(x) for x in given.values()):
        wanted = library(namespace_of(arrays[0]))
        for x in _arrays(_answer(out)):
            if library(namespace_of(x)) != wanted:
                raise Wrong(f"library changed: {what}: {library(namespace_of(x))}")
            if not _single(x) and all(map(_single, arrays)):
                raise Wrong(f"dtype changed: {what}: {x.dtype}")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        again = function(**given, **options)
    if [_bytes(x) for x in _arrays(_answer(out))] != [_bytes(x) for x in _arrays(_answer(again))]:
        raise Wrong(f"other bits the second time: {what}")


def _short(x):
    if is_array(x) or scipy.sparse.issparse(x):
        return f"<{type(x).__module__.split('.')[0]} {x.dtype} {tuple(x.shape)}>"
    text = repr(x)
    return text if len(text) < 40 else f"<{type(x).__name__}>"


def main(calls, first=0):
    """Run calls and print the table of what went wrong."""
    wrong: dict[tuple[str, str], list[str]] = {}
    done: Counter[str] = Counter()
    for seed in range(first, first + calls):
        try:
            done[one(seed)] += 1
        except Wrong as error:
            kind, _, rest = str(error).partition(": ")
            wrong.setdefault((kind, rest.partition("(")[0]), []).append(f"seed {seed}: {rest}")
    print(f"{calls} calls, {sum(len(v) for v in wrong.values())} wrong; seeds {first} to {first + calls - 1}")
    for (kind, function), examples in sorted(wrong.items(), key=lambda item: -len(item[1])):
        print(f"{len(examples):6d}  {kind}: {function}\n        {examples[0][:400]}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
