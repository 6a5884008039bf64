"""Small real data that scikit-learn and matplotlib carry with them: nothing is downloaded."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from xpsolve.problems._problem import Problem, check_size, placer


def diabetes(*, standardise: bool = True, backend: str = "numpy", dtype: str = "float64") -> Problem:
    """Disease progression of 442 patients after one year, from 10 measurements.

    Parameters
    ----------
    standardise : bool
        Centre the columns and scale them to variance 1, and centre the target, so that a model needs no
        intercept.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    Problem
        A (442, 10), y (442,).

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problems.diabetes()
    Problem('diabetes', n=442, p=10, backend='numpy', dtype='float64')
    """
    place = placer(backend, dtype)
    data = _need("sklearn.datasets", "scikit-learn").load_diabetes(scaled=False)
    y = data.target - data.target.mean() if standardise else data.target
    return Problem(
        name="diabetes",
        A=place(_columns(data.data, standardise)),
        y=place(y),
        backend=backend,
        source="scikit-learn; Efron, Hastie, Johnstone and Tibshirani, Least angle regression, 2004",
        feature_names=tuple(data.feature_names),
        target_names=("disease progression",),
    )


def breast_cancer(*, standardise: bool = True, backend: str = "numpy", dtype: str = "float64") -> Problem:
    """Whether 569 tumours are benign (+1) or malignant (−1), from 30 features of an image.

    Parameters
    ----------
    standardise : bool
        Centre the columns and scale them to variance 1.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    Problem
        A (569, 30), y (569,) of −1 and +1.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.breast_cancer()
    >>> problem.shape, sorted(set(problem.y.tolist()))
    ((569, 30), [-1.0, 1.0])
    """
    place = placer(backend, dtype)
    data = _need("sklearn.datasets", "scikit-learn").load_breast_cancer()
    return Problem(
        name="breast cancer",
        A=place(_columns(data.data, standardise)),
        y=place(2.0 * data.target - 1.0),
        backend=backend,
        source="scikit-learn; Wolberg, Mangasarian, Street and Street, Breast cancer Wisconsin, 1995",
        feature_names=tuple(map(str, data.feature_names)),
        target_names=tuple(map(str, data.target_names)),
    )


def digits(*, standardise: bool = True, backend: str = "numpy", dtype: str = "float64") -> Problem:
    """Which digit is written in 1797 images of 8 × 8 pixels.

    Parameters
    ----------
    standardise : bool
        Centre the columns and scale them to variance 1; a pixel that never changes is then 0.
    backend : str
        Where the arrays are put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    Problem
        A (1797, 64), of deficient rank; y (1797, 10), 1 in the column of the digit and 0 elsewhere.

    Raises
    ------
    ImportError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problem = problems.digits()
    >>> problem.shape, problem.y.shape
    ((1797, 64), (1797, 10))
    """
    place = placer(backend, dtype)
    data = _need("sklearn.datasets", "scikit-learn").load_digits()
    return Problem(
        name="digits",
        A=place(_columns(data.data, standardise)),
        y=place(np.eye(10)[data.target]),
        backend=backend,
        source="scikit-learn; Alpaydin and Kaynak, Optical recognition of handwritten digits, 1998",
        feature_names=tuple(data.feature_names),
        target_names=tuple(map(str, data.target_names)),
    )


def photograph(*, shape: tuple[int, int] | None = None, backend: str = "numpy", dtype: str = "float64") -> Any:
    """A grey photograph with values in [0, 1]: the portrait of Grace Hopper that matplotlib carries.

    Parameters
    ----------
    shape : tuple of two int, optional
        Rows and columns to resample to; None keeps its own.
    backend : str
        Where the array is put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    array, shape `shape`
        Row 0 is the top of the picture.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `shape` is not two integers of at least 1.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problems.photograph(shape=(64, 54)).shape
    (64, 54)
    """
    place = placer(backend, dtype)
    size = None if shape is None else [check_size("shape", length) for length in shape]
    if size is not None and len(size) != 2:
        message = f"shape: expected (rows, columns), got {shape!r}."
        raise ValueError(message)
    path = _need("matplotlib.cbook", "matplotlib").get_sample_data("grace_hopper.jpg", asfileobj=False)
    # Pillow comes with matplotlib, which reads no JPEG without it
    with _need("PIL.Image", "matplotlib").open(path) as picture:
        grey = picture.convert("L")
    if size is not None:
        grey = grey.resize(size[::-1])
    return place(np.asarray(grey) / 255.0)


def patches(
    *, size: int = 8, count: int = 10_000, seed: int = 0, backend: str = "numpy", dtype: str = "float64"
) -> Any:
    """Square patches of the photograph at random places, each less its mean.

    Parameters
    ----------
    size : int
        Length of a side, at most that of the photograph.
    count : int
        How many; those of a smaller count are the first of those of a larger.
    seed : int
        Settles the places, which may coincide.
    backend : str
        Where the array is put: a name in ``xpsolve.arrays.backends.NAMES``.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    array, shape (count, size²)
        One patch a row, its rows of pixels one after another.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If `size` or `count` is not an integer of at least 1, or `size` is more than the photograph has.

    Examples
    --------
    >>> from xpsolve import problems
    >>> problems.patches(size=8, count=100).shape
    (100, 64)
    """
    place = placer(backend, dtype)
    size, count = check_size("size", size), check_size("count", count)
    picture = photograph()
    if size > min(picture.shape):
        message = f"size: expected at most {min(picture.shape)}, the shorter side of the photograph, got {size}."
        raise ValueError(message)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (size, size))
    corner = np.random.default_rng(seed).integers(windows.shape[:2], size=(count, 2))
    X = windows[corner[:, 0], corner[:, 1]].reshape(count, size * size)
    return place(X - X.mean(axis=1, keepdims=True))


def _columns(A: Any, standardise: bool) -> Any:
    if not standardise:
        return A
    deviation = A.std(axis=0)
    return (A - A.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)


def _need(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f'this data set comes with {package}, which is missing: pip install "xpsolve[bench]".'
        raise ImportError(message) from error
