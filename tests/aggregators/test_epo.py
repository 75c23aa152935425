"""Tests of EPO. Its programmes have tests of their own."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.aggregators import EPO
from keras_mtl.methods import StepInfo
from tests.compiling import compiled_on_jax

GRAM = np.array([[1.0, -0.5], [-0.5, 2.0]], "float32")


def values(weights):
    return ops.convert_to_numpy(weights)


def tensor(numbers):
    return ops.convert_to_tensor(np.array(numbers, "float32"))


def balanced(losses, preference):
    """Weights where the second task is behind, and along a the first rises.

    It may rise by as much as along a: w_1 - w_2 / 2 = a_1 - a_2 / 2. Of what
    that allows the second task's weight is the largest.
    """
    preference = np.array(preference) / np.linalg.norm(preference)
    shares = preference * losses / (preference @ losses)
    ahead = np.log(2 * shares)
    anchors = preference * (ahead - shares @ ahead)
    first = (0.5 + GRAM[0] @ anchors) / 1.5
    return [first, 1 - first]


class TestWeights:
    def test_most_is_for_the_task_behind(self):
        """Each group has weights of its own."""
        grams = np.stack([GRAM, np.eye(2)])
        weights = compiled_on_jax(EPO([1.0, 3.0]).weights)
        found = values(weights(tensor(grams), tensor([1.0, 1.0])))
        expected = balanced([1.0, 1.0], [1.0, 3.0])
        assert 0.07 < expected[0] < 0.08
        np.testing.assert_allclose(found[0], expected, rtol=1e-4)
        np.testing.assert_allclose(found[1], [0, 1], atol=1e-6)
        found = values(weights(tensor(grams), tensor([9.0, 1.0])))
        np.testing.assert_allclose(found[1], [1, 0], atol=1e-6)

    def test_preference_is_by_name_and_without_scale(self):
        method = EPO({"b": 30.0, "a": 10.0})
        method.build(["a", "b"])
        weights = compiled_on_jax(method.weights)
        found = values(weights(tensor(GRAM), tensor([0.5, 0.5])))
        expected = balanced([1.0, 1.0], [1.0, 3.0])
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    @pytest.mark.slow
    def test_tolerance(self):
        """Losses that are off the ray by less are let down together."""
        losses = [1.0, 1.2]
        assert (GRAM @ balanced(losses, [1, 1])).min() < -0.01
        weights = compiled_on_jax(EPO(tolerance=0.1).weights)
        found = values(weights(tensor(GRAM), tensor(losses)))
        assert (GRAM @ found).min() > -1e-6


class TestLosses:
    def test_are_needed(self):
        with pytest.raises(ValueError, match="losses=None"):
            EPO().weights(GRAM)

    @pytest.mark.parametrize("losses", [[-1.0, 1.0], np.array([1.0, -1e-9])])
    def test_negative_numbers_are_refused(self, losses):
        with pytest.raises(ValueError, match="must not be negative"):
            EPO().weights(GRAM, losses)

    def test_below_zero_counts_as_zero_in_training(self):
        """The second task is behind all that there is: it is all weight."""
        update = compiled_on_jax(
            lambda gram, losses: EPO().update(gram, StepInfo(losses=losses))
        )
        found = values(update(tensor(GRAM), tensor([-5.0, 1.0])))
        np.testing.assert_allclose(found, [0, 1], atol=1e-6)


class TestArguments:
    @pytest.mark.parametrize("tolerance", [-1, None, "a", float("nan")])
    def test_bad_tolerance(self, tolerance):
        with pytest.raises(ValueError, match="`tolerance` must"):
            EPO(tolerance=tolerance)

    def test_bad_preference(self):
        with pytest.raises(ValueError, match="`preference` must"):
            EPO(preference=[1.0, -1.0])
        with pytest.raises(ValueError, match="`preference` must have a number"):
            EPO(preference=[1, 2, 3]).build(["a", "b"])

    def test_config(self):
        method = EPO({"a": 1, "b": 2}, 0.01, granularity="layer", name="mine")
        again = keras.saving.deserialize_keras_object(
            keras.saving.serialize_keras_object(method)
        )
        assert again.get_config() == method.get_config()
        assert again.preference == {"a": 1.0, "b": 2.0}
        assert (again.tolerance, again.granularity) == (0.01, "layer")

    def test_has_no_state(self):
        assert EPO().variables == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
