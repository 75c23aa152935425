import sys

import numpy as np
import pytest
from scipy import integrate
from scipy import stats

from keras_mtl.selection.gaussian_process import expected_improvement
from keras_mtl.selection.gaussian_process import fit_gaussian_process


class TestProcess:
    def test_interpolates_points_without_noise(self):
        random = np.random.default_rng(0)
        points = random.uniform(size=(12, 2))
        values = np.sin(5 * points[:, 0]) + points[:, 1] ** 2
        process = fit_gaussian_process(points, values, 1e-10, seed=0)
        mean, deviation = process.predict(points, return_std=True)
        np.testing.assert_allclose(mean, values, atol=1e-4)
        assert deviation.max() < 1e-3
        far = process.predict(points + 10, return_std=True)[1]
        assert far.min() > 0.1

    def test_is_the_process_of_its_kernel(self):
        """Mean and deviation by linear algebra, from the fitted kernel."""
        points = np.array([[0.0], [0.3], [0.9]])
        values = np.array([1.0, 2.0, -1.0])
        new = np.array([[0.5], [2.0]])
        process = fit_gaussian_process(points, values, 1e-3, seed=0)
        variance = process.kernel_.k1.constant_value
        length = process.kernel_.k2.length_scale

        def kernel(left, right):
            r = np.sqrt(5) * np.abs(left - right.T) / length
            return variance * (1 + r + r**2 / 3) * np.exp(-r)

        scaled = (values - values.mean()) / values.std()
        inverse = np.linalg.inv(kernel(points, points) + 1e-3 * np.eye(3))
        cross = kernel(new, points)
        mean, deviation = process.predict(new, return_std=True)
        np.testing.assert_allclose(
            mean, cross @ inverse @ scaled * values.std() + values.mean()
        )
        reduction = np.sum(cross @ inverse * cross, axis=1)
        np.testing.assert_allclose(
            deviation, np.sqrt(variance - reduction) * values.std(), rtol=1e-6
        )

    def test_noise_is_smoothed(self):
        random = np.random.default_rng(0)
        points = np.linspace(0, 1, 40)[:, None]
        truth = points[:, 0] ** 2
        values = truth + 0.1 * random.normal(size=40)
        process = fit_gaussian_process(points, values, 0.1, seed=0)
        error = np.abs(process.predict(points) - truth).mean()
        assert error < 0.5 * np.abs(values - truth).mean()

    def test_says_how_to_get_scikit_learn(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.gaussian_process", None)
        with pytest.raises(ImportError, match=r"keras_mtl\[selection\]"):
            fit_gaussian_process(np.zeros((1, 1)), np.zeros(1), 1e-3, 0)


class TestExpectedImprovement:
    @pytest.mark.parametrize("mean", [-1.0, 0.3, 2.0])
    @pytest.mark.parametrize("deviation", [0.1, 1.0])
    def test_is_the_integral(self, mean, deviation):
        best = 0.5
        expected, _ = integrate.quad(
            lambda f: (f - best) * stats.norm.pdf(f, mean, deviation),
            best,
            mean + 12 * deviation,
            points=[max(mean, best)],
        )
        (found,) = expected_improvement(
            np.array([mean]), np.array([deviation]), best
        )
        np.testing.assert_allclose(found, expected, atol=1e-9)

    def test_of_what_is_known(self):
        found = expected_improvement(np.array([0.0, 2.0]), np.zeros(2), 0.5)
        np.testing.assert_array_equal(found, [0, 1.5])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
