"""UW-SO: what its weights are, at the ends and for losses that are absent."""

import keras
import numpy as np
import pytest

from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings import UWSO
from keras_mtl.weightings import get
from tests.weightings.common import weights_of

LOSSES = np.array([0.5, 2.0, 1.25])


@pytest.mark.backend
@pytest.mark.parametrize("temperature", [0.3, 1.0, 7.0])
def test_the_published_rule(temperature):
    """In float64: exp(1 / (l T)), over their sum."""
    powers = np.exp(1 / (LOSSES * temperature))
    np.testing.assert_allclose(
        weights_of(UWSO(temperature), LOSSES),
        powers / powers.sum(),
        rtol=2e-6,
    )


def test_by_hand():
    """1 / 0.5 and 1 / 1 over 2 are half apart: e^0.5 is 1.6487."""
    weights = weights_of(UWSO(2.0), [0.5, 1.0])
    np.testing.assert_allclose(weights[0] / weights[1], 1.6487213, rtol=1e-6)
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-6)


def test_the_ends():
    np.testing.assert_allclose(weights_of(UWSO(1e6), LOSSES), 1 / 3, rtol=1e-5)
    np.testing.assert_allclose(
        weights_of(UWSO(1e-3), LOSSES), [1, 0, 0], atol=1e-6
    )


def test_a_scale_of_all_losses_is_one_of_the_temperature():
    np.testing.assert_allclose(
        weights_of(UWSO(0.5), 8 * LOSSES),
        weights_of(UWSO(4.0), LOSSES),
        rtol=1e-6,
    )


@pytest.mark.parametrize("absent", [0.0, -1.0])
def test_tasks_without_a_loss_leave_it_to_the_others(absent):
    weights = weights_of(UWSO(), [0.5, absent, 2.0])
    others = weights_of(UWSO(), [0.5, 2.0])
    np.testing.assert_allclose(weights, [others[0], 0.0, others[1]], rtol=1e-6)
    np.testing.assert_array_equal(weights_of(UWSO(), [0.0, absent]), [0, 0])


@pytest.mark.parametrize("temperature", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("losses", [[1e-37, 1e38], [1e-37, 1e-37], [1e38] * 2])
def test_of_any_size_they_sum_to_one(temperature, losses):
    weights = weights_of(UWSO(temperature), losses)
    np.testing.assert_allclose(weights.sum(), 1.0, rtol=1e-6)


@pytest.mark.backend
def test_weights_are_constants_to_the_gradient():
    """One step of y = w x on labels of zero, by hand in float64."""
    inputs = keras.Input((1,))
    shared = keras.layers.Dense(1, use_bias=False, name="shared")(inputs)
    scales = {"a": 1.0, "b": 2.0}
    outputs = {
        n: keras.layers.Rescaling(scale, name=n)(shared)
        for n, scale in scales.items()
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.01),
        loss={"a": "mse", "b": "mse"},
        weighting=UWSO(0.5),
        aggregator="sum",
        jit_compile=False,
    )
    model.get_layer("shared").set_weights([np.array([[0.9]])])
    zeros = {n: np.zeros((1, 1)) for n in scales}
    model.train_on_batch(np.ones((1, 1)), zeros)
    factors = np.array([1.0, 2.0]) ** 2
    powers = np.exp(1 / (factors * 0.9**2) / 0.5)
    gradient = (powers / powers.sum()) @ factors * 2 * 0.9
    (found,) = model.get_layer("shared").get_weights()
    np.testing.assert_allclose(found, [[0.9 - 0.01 * gradient]], rtol=1e-6)


def test_by_name():
    assert get("uwso").temperature == 1.0


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, "hot"])
def test_bad_temperature(temperature):
    with pytest.raises(ValueError, match="`temperature` must be a number"):
        UWSO(temperature)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
