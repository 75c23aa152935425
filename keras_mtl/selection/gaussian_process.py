"""Where a function that is costly to evaluate may have its maximum."""

import math
import warnings
from typing import Any

import numpy as np

RESTARTS = 2


def fit_gaussian_process(
    points: np.ndarray, values: np.ndarray, noise: float, seed: int
) -> Any:
    """A Gaussian process through the values of a function.

    Its covariance is a Matern kernel of smoothness 5/2, alike in all
    directions, with a length scale and a variance of greatest likelihood.

    Args:
        points: float `[n, d]`.
        values: float `[n]`.
        noise: Variance of the values, in units of their variance.
        seed: Of the restarts of the search for the kernel's parameters.

    Returns:
        A fitted `sklearn.gaussian_process.GaussianProcessRegressor`.

    Raises:
        ImportError: If scikit-learn is not installed.
    """
    gaussian_process, threadpool_limits = _import_sklearn()
    kernels = gaussian_process.kernels
    kernel = kernels.ConstantKernel(1.0, (1e-3, 1e3))
    kernel *= kernels.Matern(0.3, (1e-2, 1e2), nu=2.5)
    process = gaussian_process.GaussianProcessRegressor(
        kernel,
        alpha=noise,
        normalize_y=True,
        n_restarts_optimizer=RESTARTS,
        random_state=seed,
    )
    # On matrices as small as these, threads only wait for each other.
    with threadpool_limits(1), warnings.catch_warnings():
        # A length scale at its bound is a flat or a smooth function, and no
        # failure.
        warnings.simplefilter("ignore")
        return process.fit(points, values)


def expected_improvement(
    mean: np.ndarray, deviation: np.ndarray, best: float
) -> np.ndarray:
    """E[max(f - best, 0)] for Gaussian f.

    Args:
        mean: float `[n]`.
        deviation: float `[n]`, standard deviations from 0 up.
        best: The largest value so far.

    Returns:
        float `[n]`, from 0 up.
    """
    gain = mean - best
    safe = np.where(deviation > 0, deviation, 1.0)
    z = gain / safe
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    share = 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2)))
    improvement = gain * share + safe * density
    return np.where(deviation > 0, improvement, np.maximum(gain, 0.0))


def _import_sklearn() -> tuple[Any, Any]:
    try:
        import sklearn.gaussian_process
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(
            "The search for mixing ratios fits Gaussian processes with "
            "scikit-learn, which is not installed. Run: "
            "pip install 'keras_mtl[selection]'"
        ) from error
    return sklearn.gaussian_process, threadpool_limits
