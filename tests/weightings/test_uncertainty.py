"""Weighting by uncertainty: closed forms, and both ways of training it."""

import keras
import numpy as np
import pytest

from keras_mtl import weightings
from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings import Uncertainty

LOSSES = np.array([0.5, 8.0], "float32")


def built(**kwargs):
    weighting = Uncertainty(**kwargs)
    weighting.build(["a", "b"])
    return weighting


def test_starts_as_the_plain_losses():
    np.testing.assert_allclose(built().weighted_losses(LOSSES), LOSSES)


def test_both_forms():
    weighting = built(regression_tasks=["b"], initial_log_variance=1.0)
    expected = [
        np.exp(-1.0) * LOSSES[0] + 0.5,
        0.5 * np.exp(-1.0) * LOSSES[1] + 0.5,
    ]
    np.testing.assert_allclose(
        weighting.weighted_losses(LOSSES), expected, rtol=1e-6
    )


def test_optimum_is_the_closed_form():
    """Variance 2 L for a classification task, L for a regression task."""
    weighting = built(regression_tasks=["b"], learning_rate=0.2)
    for _ in range(300):
        weighting.update(LOSSES)
    variance = np.exp(keras.ops.convert_to_numpy(weighting.log_variance))
    np.testing.assert_allclose(variance, [1.0, 8.0], rtol=1e-4)


def test_bounds_stop_the_training():
    weighting = built(max_log_variance=0.5, learning_rate=0.2)
    for _ in range(300):
        weighting.update(LOSSES)
    values = keras.ops.convert_to_numpy(weighting.log_variance)
    assert values[1] >= 0.5 and values[1] < 2.0
    np.testing.assert_allclose(weighting.weights(LOSSES)[1], np.exp(-0.5))


def test_an_overflow_does_not_poison_the_state():
    weighting = built(learning_rate=0.1)
    weighting.update(np.array([np.inf, 1.0], "float32"))
    values = keras.ops.convert_to_numpy(weighting.log_variance)
    assert values[0] == 0 and np.isfinite(values[1]) and values[1] != 0


@pytest.mark.slow
@pytest.mark.parametrize("learning_rate", [None, 0.05])
def test_recovers_the_noise_of_two_regressions(learning_rate):
    """Kendall's toy problem: noise of 1 and of 10 standard deviations."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 1)).astype("float32")
    y = {
        "quiet": 2 * x + 1 + rng.normal(size=x.shape),
        "loud": 3 * x + 3 + 10 * rng.normal(size=x.shape),
    }
    inputs = keras.Input((1,))
    outputs = {name: keras.layers.Dense(1, name=name)(inputs) for name in y}
    model = MultiTaskModel(inputs, outputs)
    weighting = Uncertainty(list(y), learning_rate=learning_rate)
    model.compile(
        keras.optimizers.Adam(0.2),
        loss={name: "mse" for name in y},
        weighting=weighting,
        steps_per_execution=120,
    )
    # One epoch is thirty: what fit does between epochs takes long.
    x = np.tile(x, (30, 1))
    y = {name: np.tile(target, (30, 1)) for name, target in y.items()}
    model.fit(x, y, batch_size=128, epochs=4, verbose=0)
    deviation = np.exp(keras.ops.convert_to_numpy(weighting.log_variance) / 2)
    np.testing.assert_allclose(deviation, [1.0, 10.0], rtol=0.1)


def test_log_variances_are_weights_only_where_the_optimizer_trains_them():
    assert built().log_variance.trainable
    assert not built(learning_rate=0.1).log_variance.trainable


def test_config_round_trip():
    weighting = Uncertainty(["a"], 0.5, -1.0, 2.0, learning_rate=0.1)
    copy = weightings.deserialize(weightings.serialize(weighting))
    assert copy.get_config() == weighting.get_config()
    assert isinstance(weightings.get("uncertainty"), Uncertainty)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"regression_tasks": "a"}, "sequence of task names"),
        ({"min_log_variance": 1.0, "max_log_variance": 0.0}, "less than"),
        ({"learning_rate": 0.0}, "`learning_rate` must be a number above 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Uncertainty(**arguments)


def test_unknown_regression_task():
    with pytest.raises(
        ValueError, match=r"`regression_tasks` has entries \['c'\]"
    ):
        built(regression_tasks=["c"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
