import numpy as np
import pytest

from keras_mtl.callbacks import GradientHistory


def history_of(*jacobians, names=("a", "b")):
    grams = [np.array(j) @ np.array(j).T for j in jacobians]
    return GradientHistory.from_grams(
        names, range(1, len(grams) + 1), grams, [[1.0, 1.0]] * len(grams)
    )


def test_cosines_and_norms_of_known_vectors():
    history = history_of([[3, 4], [0, 2]], [[1, 0], [-2, 0]])
    np.testing.assert_allclose(history.norms, [[5, 2], [1, 2]])
    np.testing.assert_allclose(
        history.cosines, [[[1, 0.8], [0.8, 1]], [[1, -1], [-1, 1]]]
    )
    np.testing.assert_array_equal(history.steps, [1, 2])
    assert history.task_names == ("a", "b")


@pytest.mark.parametrize("scale", [1e-18, 1e-3, 1e18])
def test_scale_changes_norms_only(scale):
    rows = np.array([[1.0, 2.0, -1.0], [0.5, -1.0, 3.0]])
    small, plain = history_of(rows * scale), history_of(rows)
    np.testing.assert_allclose(small.cosines, plain.cosines, rtol=1e-12)
    np.testing.assert_allclose(small.norms, scale * plain.norms, rtol=1e-12)


def test_rounding_leaves_no_cosine_beyond_one():
    gram = np.array([[1.0, 1.0000001], [1.0000001, 1.0]])
    history = GradientHistory.from_grams("ab", [1], [gram], [[1, 1]])
    np.testing.assert_array_equal(history.cosines, np.ones((1, 2, 2)))


def test_a_zero_gradient_has_no_direction():
    history = history_of([[0, 0], [0, 2]])
    np.testing.assert_array_equal(history.norms, [[0, 2]])
    np.testing.assert_array_equal(
        history.cosines, [[[np.nan, np.nan], [np.nan, 1]]]
    )


def test_overflow_stays_visible():
    gram = np.array([[np.inf, 1.0], [1.0, 1.0]])
    history = GradientHistory.from_grams("ab", [1], [gram], [[1, 1]])
    assert history.norms[0, 0] == np.inf
    assert np.isnan(history.cosines[0, 0, 0])


def test_no_step_makes_empty_arrays():
    history = history_of()
    assert history.steps.shape == (0,)
    assert history.cosines.shape == (0, 2, 2)
    assert history.norms.shape == history.weights.shape == (0, 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
