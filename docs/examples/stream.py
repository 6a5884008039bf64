"""A logistic regression learns from a stream that is never stored, as well as scikit-learn's partial_fit does."""

from functools import partial

import numpy as np
from sklearn.linear_model import SGDClassifier

import xpsolve as xs

lam, w = 1e-4, np.random.default_rng(0).standard_normal(20) / 2


def stream(seed, batches, rows=1000):
    """Samples of two classes."""
    rng = np.random.default_rng(seed)
    for _ in range(batches):
        A = rng.standard_normal((rows, 20))
        yield A, np.where(rng.random(rows) < 1 / (1 + np.exp(-A @ w)), 1.0, -1.0)


logistic = partial(xs.Logistic, lam=lam)  # the objective of one batch
answer = xs.sga(logistic, batches=stream(1, 150), tol=0.5)
answer = xs.sga(logistic, answer, batches=stream(2, 150), tol=0.5)  # goes on where the first stream ended
print(f"{answer.n_iter} samples, running objective {answer.objective:.4f}")

peer = SGDClassifier(loss="log_loss", alpha=lam, fit_intercept=False)
for A, y in (*stream(1, 150), *stream(2, 150)):
    peer.partial_fit(A, y, classes=[-1, 1])
f = logistic(*next(stream(3, 1, rows=100_000)))  # samples that neither has seen
assert f.value(answer.x) < 1.01 * f.value(peer.coef_[0])
