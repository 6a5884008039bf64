"""A logistic regression with an ℓ¹ penalty, weights and an intercept finds as good an answer as liblinear."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import xpsolve as xs

X, labels = load_breast_cancer(return_X_y=True)
A, y = StandardScaler().fit_transform(X), 2.0 * labels - 1
weights = np.where(X[:, 0] > np.median(X[:, 0]), 1.0, 3.0)  # small tumours count three times
lam = 0.01

f = xs.Logistic(A, y, weights=weights, class_weights="balanced", intercept=True)
answer = xs.minimize(f, xs.penalties.L1(lam), tol=1e-8)
print(f"{int(np.sum(answer.x != 0))} of {A.shape[1]} features, intercept {answer.intercept:.3f}")

# scikit-learn has C times the sum of the losses; liblinear penalises the intercept, which this scaling makes harmless
peer = LogisticRegression(l1_ratio=1, C=1 / (lam * weights.sum()), solver="liblinear", intercept_scaling=1e3, tol=1e-8)
peer.set_params(class_weight="balanced", max_iter=10_000).fit(A, labels, sample_weight=weights)
ours = f.value(np.append(answer.x, answer.intercept)) + lam * np.abs(answer.x).sum()
theirs = f.value(np.append(peer.coef_[0], peer.intercept_)) + lam * np.abs(peer.coef_).sum()
assert answer.converged
assert abs(ours - theirs) < 1e-5 * theirs
