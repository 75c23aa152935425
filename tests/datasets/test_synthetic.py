import numpy as np
import pytest

from keras_mtl.datasets import synthetic_sine
from keras_mtl.datasets.synthetic import FREQUENCIES


class TestFrequencies:
    def test_counts_and_overlap_as_published(self):
        first, second = map(set, FREQUENCIES.values())
        assert (len(first), len(second), len(first & second)) == (90, 75, 15)
        assert (max(first), max(second)) == (129, 149)


class TestSyntheticSine:
    def test_shapes_and_types(self):
        x, y = synthetic_sine(7)
        assert x.shape == (7, 200)
        assert x.dtype == np.float32
        assert list(y) == ["y1", "y2"]
        for label in y.values():
            assert label.shape == (7, 1)
            assert label.dtype == np.float32

    def test_is_the_formula_without_noise(self):
        x, y = synthetic_sine(50, noise=0.0)
        total = x.astype("float64").sum(axis=1)
        for task, frequencies in FREQUENCIES.items():
            expected = np.sin(np.outer(total, frequencies)).sum(axis=1)
            # x was rounded to float32 before it was added up here.
            np.testing.assert_allclose(y[task][:, 0], expected, atol=0.05)

    def test_noise_is_one_phase_for_each_example_and_task(self):
        x, clean = synthetic_sine(2000, noise=0.0)
        same_x, noisy = synthetic_sine(2000, noise=0.05)
        np.testing.assert_array_equal(x, same_x)
        total = x.astype("float64").sum(axis=1)
        phases = []
        for task, frequencies in FREQUENCIES.items():
            # sum sin(w x + p) = size * sin(angle + p), solved for p.
            sines = clean[task][:, 0]
            cosines = np.cos(np.outer(total, frequencies)).sum(axis=1)
            size, angle = np.hypot(sines, cosines), np.arctan2(sines, cosines)
            ratio = noisy[task][:, 0] / size
            # Where the sine is flat its inverse is not to be trusted.
            steep = (np.abs(np.cos(angle)) > 0.5) & (size > 1)
            sign = np.sign(np.cos(angle))
            solved = np.arcsin(np.clip(ratio, -1, 1))
            phase = sign * (solved - np.arcsin(np.sin(angle)))
            phases.append(np.where(steep, phase, np.nan))
            np.testing.assert_allclose(np.nanstd(phases[-1]), 0.05, rtol=0.1)
        both = np.isfinite(phases).all(axis=0)
        first, second = np.array(phases)[:, both]
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.1

    def test_moments_as_published(self):
        x, y = synthetic_sine(20_000)
        assert x.min() >= -0.5
        assert x.max() <= 0.5
        np.testing.assert_allclose(x.sum(axis=1).std(), 4.08, rtol=0.03)
        np.testing.assert_allclose(y["y1"].var(), 45, rtol=0.08)
        np.testing.assert_allclose(y["y2"].var(), 37.5, rtol=0.08)
        correlation = np.corrcoef(y["y1"][:, 0], y["y2"][:, 0])[0, 1]
        np.testing.assert_allclose(correlation, 0.18, atol=0.08)
        assert 55 < np.abs(y["y1"]).max() < 90

    def test_seed_decides(self):
        first, again, other = (
            synthetic_sine(5, seed=seed) for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(first[0], again[0])
        np.testing.assert_array_equal(first[1]["y2"], again[1]["y2"])
        assert not np.array_equal(first[0], other[0])

    def test_features_and_frequency_scale(self):
        x, y = synthetic_sine(
            50, noise=0.0, num_features=3, frequency_scale=0.01
        )
        assert x.shape == (50, 3)
        waves = np.sin(np.outer(x.sum(axis=1), 0.01 * FREQUENCIES["y1"]))
        np.testing.assert_allclose(y["y1"][:, 0], waves.sum(axis=1), atol=1e-3)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("num_examples", 0),
            ("noise", -0.1),
            ("num_features", 0),
            ("frequency_scale", 0.0),
        ],
    )
    def test_names_a_wrong_argument(self, name, value):
        arguments = {"num_examples": 5, name: value}
        with pytest.raises(ValueError, match=f"`{name}`.*{name}={value}"):
            synthetic_sine(**arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
