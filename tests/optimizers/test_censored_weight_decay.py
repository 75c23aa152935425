"""CensoredWeightDecay: AdamW's decay, but never against the loss."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl.aggregators import Projection
from keras_mtl.optimizers import CensoredUpdate
from keras_mtl.optimizers import CensoredWeightDecay

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)).astype("float32")
Y = RNG.normal(size=(40, 1)).astype("float32")


def train(optimizer, epochs=3):
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(6, activation="relu", bias_initializer="ones"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizer, loss="mse")
    model.fit(X, Y, epochs=epochs, batch_size=8, shuffle=False, verbose=0)
    return model.get_weights()


@pytest.mark.slow
def test_without_a_rule_it_is_adamw():
    ours = train(
        CensoredWeightDecay(
            keras.optimizers.Adam(0.01), weight_decay=3.0, rule=None
        )
    )
    stock = train(keras.optimizers.AdamW(0.01, weight_decay=3.0))
    plain = train(keras.optimizers.Adam(0.01))
    for a, b in zip(ours, stock, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
    assert np.abs(ours[0] - plain[0]).max() > 0.05


@pytest.mark.slow
def test_excluded_variables_are_not_decayed():
    def with_exclusion(optimizer):
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return train(optimizer)

    ours = with_exclusion(
        CensoredWeightDecay(
            keras.optimizers.Adam(0.01), weight_decay=3.0, rule=None
        )
    )
    stock = with_exclusion(keras.optimizers.AdamW(0.01, weight_decay=3.0))
    for a, b in zip(ours, stock, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def test_decay_never_works_against_the_gradient():
    rng = np.random.default_rng(1)
    rule = Projection("main", smoothing=1.0)
    optimizer = CensoredWeightDecay(
        keras.optimizers.SGD(1.0), weight_decay=1.0, rule=rule
    )
    variable = keras.Variable(rng.normal(size=(4, 3)), dtype="float32")
    opposed = 0
    for _ in range(50):
        before = ops.convert_to_numpy(variable).astype("float64")
        gradient = rng.normal(size=(4, 3))
        opposed += (before * gradient).sum() < 0
        optimizer.apply([ops.array(gradient, "float32")], [variable])
        after = ops.convert_to_numpy(variable).astype("float64")
        decay = before - after - gradient
        assert (decay * gradient).sum() > -1e-4
        if (before * gradient).sum() >= 0:
            np.testing.assert_allclose(decay, before, atol=1e-4)
    assert 10 < opposed < 40


@pytest.mark.slow
def test_an_excessive_decay_does_less_harm():
    def error(rule):
        optimizer = CensoredWeightDecay(
            keras.optimizers.Adam(0.01), weight_decay=30.0, rule=rule
        )
        weights = train(optimizer, epochs=30)
        hidden = np.maximum(X @ weights[0] + weights[1], 0)
        return np.mean((hidden @ weights[2] + weights[3] - Y) ** 2)

    assert error("projection") < 0.9 * error(None)


def test_config_round_trip():
    optimizer = CensoredWeightDecay(
        keras.optimizers.Adam(0.01), 2.0, Projection("main", smoothing=0.5)
    )
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(copy, CensoredWeightDecay)
    assert copy.get_config() == optimizer.get_config()
    assert copy.weight == 2.0 and copy.rule.smoothing == 0.5


@pytest.mark.parametrize(
    "inner, kwargs, message",
    [
        ("adam", {"weight_decay": -1}, "`weight_decay` must be a number"),
        ("adamw", {}, "must not decay weights too"),
        (CensoredUpdate("adamw", 1.0), {}, "must not decay weights too"),
        ("nadal", {}, "nadal"),
    ],
)
def test_bad_arguments_are_refused(inner, kwargs, message):
    with pytest.raises(ValueError, match=message):
        CensoredWeightDecay(inner, **kwargs)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
