"""Transport between samples of which one has outliers: with a price on the marginals, far mass is given up."""

import numpy as np

import xpsolve as xs

rng = np.random.default_rng(0)
x = rng.normal(0.0, 0.3, (200, 2))
y = np.concatenate([rng.normal(1.0, 0.3, (190, 2)), rng.normal(8.0, 0.1, (10, 2))])  # ten outliers
a, b = np.full(200, 1 / 200), np.full(200, 1 / 200)

cloud, eps = xs.PointCloud(x, y, cost="euclidean"), 0.1
balanced = xs.sinkhorn(a, b, cloud, eps)
unbalanced = xs.sinkhorn(
    a, b, cloud, eps, marginal=2.0
)  # moving mass by more than about 4 costs more than giving it up

for solution in (balanced, unbalanced):
    arrived = solution.plan().sum(axis=0)
    share = float(arrived[190:].sum() / b[190:].sum())
    print(f"{share:.0%} of the outliers' mass arrives, certificate {solution.certificate.value:.0e}")
    assert solution.converged

assert share < 0.2
