"""Tests of Krum."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.krum import Krum

# Gradients along one ray are equally far apart: rounding decides there.
ZOO = {
    name: rows
    for name, rows in testing.jacobians((3, 8)).items()
    if "dominated" not in name
}


def weights_of(rows, *args, **kwargs):
    rows = np.asarray(rows, "float64")
    gram = (rows @ rows.T).astype("float32")
    return ops.convert_to_numpy(Krum(*args, **kwargs).weights(gram))


def reference_scores(rows, num_byzantine):
    """The least sum over all sets of T - f - 2 others, in float64."""
    size = len(rows)
    scores = []
    for i in range(size):
        others = [j for j in range(size) if j != i]
        scores.append(
            min(
                sum(((rows[i] - rows[j]) ** 2).sum() for j in chosen)
                for chosen in itertools.combinations(
                    others, size - num_byzantine - 2
                )
            )
        )
    return np.array(scores)


class TestWeights:
    def test_golden(self):
        rows = [[1, 1, 1], [1, 0, 1], [75, -666, 23], [1, 2, 3], [2, 0, 1]]
        weights = weights_of(rows, num_byzantine=1, num_selected=4)
        np.testing.assert_array_equal(weights, [0.25, 0.25, 0, 0.25, 0.25])
        update = Krum(1, 4)(np.array(rows, "float32"))
        update = ops.convert_to_numpy(update)
        np.testing.assert_allclose(update, [1.25, 0.75, 1.5], rtol=1e-6)

    def test_distances_are_squared(self):
        # The two others closest to the fifth are 1 + sqrt(13) = 4.6 away, and
        # those closest to the fourth 2 + sqrt(8) = 4.8; but 1 + 13 > 4 + 8.
        rows = [[0, 2], [6, 4], [2, 6], [4, 6], [0, 3]]
        np.testing.assert_array_equal(weights_of(rows), [0, 0, 0, 1, 0])

    @pytest.mark.parametrize("num_byzantine", [0, 1, 3])
    @pytest.mark.parametrize("num_selected", [1, 3])
    def test_against_all_sets(self, num_byzantine, num_selected):
        rng = np.random.default_rng(0)
        rows = rng.standard_normal((40, 7, 5))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        method = Krum(num_byzantine, num_selected)
        weights = ops.convert_to_numpy(method.weights(grams))
        for weight, jacobian in zip(weights, rows, strict=True):
            order = np.argsort(reference_scores(jacobian, num_byzantine))
            expected = np.zeros(7)
            expected[order[:num_selected]] = 1 / num_selected
            np.testing.assert_allclose(weight, expected, rtol=1e-6)

    def test_outliers_are_left_out(self):
        rows = np.random.default_rng(1).standard_normal((9, 6))
        rows[[2, 5, 7]] *= 1e4
        weights = weights_of(rows, num_byzantine=3, num_selected=6)
        np.testing.assert_array_equal(weights[[2, 5, 7]], [0, 0, 0])
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-6)

    def test_of_equal_scores_the_first(self):
        weights = weights_of(np.zeros((5, 2)), num_selected=2)
        np.testing.assert_array_equal(weights, [0.5, 0.5, 0, 0, 0])

    def test_not_finite(self):
        gram = np.eye(5, dtype="float32")
        gram[4, 4] = np.inf
        grams = np.stack([gram, np.eye(5, dtype="float32")])
        weights = ops.convert_to_numpy(Krum().weights(grams))
        assert np.isnan(weights[0]).all()
        np.testing.assert_array_equal(weights[1], [1, 0, 0, 0, 0])


class TestProperties:
    def test_order_of_tasks(self):
        matrices = {name: ZOO[name] for name in ("normal_8", "uneven_8")}
        checks = [testing.assert_permutation_equivariant]
        testing.check_aggregator(Krum(2, 3), checks, matrices)


class TestArguments:
    def test_configuration(self):
        method = Krum(2, 3, granularity="layer", name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()

    @pytest.mark.parametrize("value", [-1, 1.0, True, None])
    def test_bad_num_byzantine(self, value):
        with pytest.raises(ValueError, match="`num_byzantine` must be an int"):
            Krum(num_byzantine=value)

    @pytest.mark.parametrize("value", [0, 2.0, True, None])
    def test_bad_num_selected(self, value):
        with pytest.raises(ValueError, match="`num_selected` must be an int"):
            Krum(num_selected=value)

    def test_too_few_tasks(self):
        with pytest.raises(ValueError, match=r"`num_byzantine`.*here 3 - 3"):
            Krum().weights(np.eye(3))
        with pytest.raises(ValueError, match=r"`num_selected`.*here 3"):
            Krum(0, 4).build(["a", "b", "c"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
