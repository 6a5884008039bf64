"""A search over a pipeline of scikit-learn: scaling, then the logistic regression of xpsolve, on real data."""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpsolve.estimators import LogisticRegression

X, y = load_breast_cancer(return_X_y=True, as_frame=True)  # 569 tumours, 30 features in a data frame
X_fit, X_test, y_fit, y_test = train_test_split(X, y, stratify=y, random_state=0)

pipeline = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
grid = {"logisticregression__C": np.geomspace(0.01, 1, 5), "logisticregression__l1_ratio": [0.0, 1.0]}
search = GridSearchCV(pipeline, grid, cv=3).fit(X_fit, y_fit)

model = search.best_estimator_[-1]
assert model.solution_.converged  # the certificate of the answer, from the solver
print(search.best_params_, f"accuracy {search.score(X_test, y_test):.3f}")
print(f"{np.sum(model.coef_ != 0)} of {X.shape[1]} features are used")
assert search.score(X_test, y_test) > 0.93
