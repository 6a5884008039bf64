"""Blurs have sum 1 and the width that was asked for; pictures are what the operator makes of the truth."""

import numpy as np
import pytest
import scipy.ndimage

import xpsolve as xs
from xpsolve import problems
from xpsolve.arrays import backends

DISC = (np.hypot(*np.meshgrid(np.arange(24) - 11.5, np.arange(24) - 11.5)) < 7).astype(float)


@pytest.mark.parametrize("blur", ["gaussian", "motion"])
@pytest.mark.parametrize("boundary", ["zero", "periodic"])
def test_the_picture_is_that_of_the_operator(blur, boundary):
    problem = problems.blurred_picture(shape=(24, 24), blur=blur, width=2.5, boundary=boundary, picture=DISC)
    np.testing.assert_allclose(problem.y, problem.A @ problem.x_true + problem.noise)
    np.testing.assert_array_equal(problem.x_true, DISC.reshape(-1))
    kernel = problem.A.w[0, 0]
    assert kernel.sum() == pytest.approx(1)
    mode = {"zero": "constant", "periodic": "wrap"}[boundary]
    blurred = scipy.ndimage.convolve(DISC, kernel, mode=mode).reshape(-1)
    np.testing.assert_allclose(problem.A @ problem.x_true, blurred, atol=1e-13)
    assert np.std(problem.noise) == pytest.approx(0.01, rel=0.1)


def test_a_gaussian_has_its_deviation_and_a_line_its_length_and_angle():
    def moments(**options):
        kernel = problems.blurred_picture(shape=(24, 24), noise=0, picture=DISC, **options).A.w[0, 0]
        place = np.arange(len(kernel)) - len(kernel) // 2
        row, column = np.meshgrid(place, place, indexing="ij")
        return [np.sum(kernel * a * b) for a, b in ((row, row), (column, column), (row, column))]

    np.testing.assert_allclose(moments(blur="gaussian", width=2.0), (4, 4, 0), rtol=0.05, atol=1e-12)
    a = np.deg2rad(30)
    third = 9.0**2 / 12  # of a segment, and what sharing between pixels adds: at most ¼
    wanted = (third * np.sin(a) ** 2, third * np.cos(a) ** 2, -third * np.sin(a) * np.cos(a))
    np.testing.assert_allclose(moments(blur="motion", width=9.0, angle=30), wanted, atol=0.3)


def test_the_photograph_is_the_default_and_psnr_is_its_formula():
    problem = problems.blurred_picture(shape=(40, 32))
    np.testing.assert_array_equal(problem.x_true, problems.photograph(shape=(40, 32)).reshape(-1))
    assert problem.psnr(problem.x_true + 0.1) == pytest.approx(20)
    assert problem.psnr(problem.y) < 30


@pytest.mark.parametrize("name", backends.available())
def test_they_stay_on_their_backend(name):
    there, here = (
        problems.blurred_picture(shape=(24, 24), picture=DISC, backend=b, dtype="float32") for b in (name, "numpy")
    )
    np.testing.assert_allclose(backends.to_numpy(there.y), here.y, atol=1e-6)
    assert there.psnr(there.y) == pytest.approx(here.psnr(here.y), rel=1e-5)


def test_sparse_coefficients_deblur_better_than_ridge():
    """In Haar's wavelets boxes are sparse; λ is the best for the truth on either side."""
    boxes = np.zeros((24, 24))
    boxes[5:14, 8:19], boxes[15:21, 3:9] = 1, 0.5
    problem = problems.blurred_picture(shape=(24, 24), blur="motion", width=5, picture=boxes)
    W = xs.operators.haar_basis(24, like=problem.y)
    wavelets = xs.Kronecker(W, W)
    ridge = max(problem.psnr(xs.ridge(problem.A, problem.y, lam, method="cg").x) for lam in (1e-3, 3e-3, 1e-2))
    assert problem.psnr(problem.y) + 2 < ridge
    for solve, options in ((xs.lasso, {}), (xs.elastic_net, {"theta": 0.05})):
        runs = [
            solve(problem.A @ wavelets, problem.y, lam, method="fista", tol=1e-4, **options) for lam in (1e-3, 2e-3)
        ]
        assert all(run.converged for run in runs)
        assert max(problem.psnr(wavelets @ run.x) for run in runs) > ridge + 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blur": "fog"}, "blur: expected one of gaussian, motion, got 'fog'"),
        ({"width": -1.0}, "width: expected a finite number ≥ 0"),
        ({"width": 30.0}, "width: expected a kernel within the picture"),
        ({"shape": (24, 0)}, "shape: expected an integer ≥ 1"),
        ({"shape": (24, 23)}, r"picture: expected shape \(24, 23\)"),
        ({"boundary": "odd"}, "boundary: .*'zero', 'periodic'"),
    ],
)
def test_bad_arguments_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        problems.blurred_picture(**{"shape": (24, 24), "picture": DISC, **options})
