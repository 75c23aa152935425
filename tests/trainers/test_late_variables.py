"""An optimizer that was built before the model knew its tasks."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel

pytestmark = pytest.mark.backend

LOSS = {"a": "mse", "b": "mse"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = {name: RNG.normal(size=(8, 1)).astype("float32") for name in "ab"}


class Subclassed(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.trunk = layers.Dense(3, name="trunk")
        self.heads = {name: layers.Dense(1, name=name) for name in "ab"}

    def call(self, inputs):
        features = self.trunk(inputs)
        return {name: self.heads[name](features) for name in "ab"}


def make_model() -> MultiTaskModel:
    model = Subclassed()
    model(X)
    return model


@pytest.mark.parametrize("wrap", [False, True])
def test_says_what_to_do(wrap):
    model = make_model()
    optimizer = keras.optimizers.Adam(0.1)
    if wrap:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, LOSS, weighting="uncertainty")
    before = model.trunk.get_weights()
    with pytest.raises(ValueError, match="before the model.*log_variance"):
        model.fit(X, Y, verbose=0)
    for held, want in zip(model.trunk.get_weights(), before, strict=True):
        np.testing.assert_array_equal(held, want)
    # And with a new one it trains all.
    model.compile(keras.optimizers.Adam(0.1), LOSS, weighting="uncertainty")
    model.fit(X, Y, verbose=0)
    trained = ops.convert_to_numpy(model.weighting.log_variance)
    assert (trained != 0).all()


def test_an_optimizer_that_fit_builds_trains_all():
    model = make_model()
    model.compile(keras.optimizers.Adam(0.1), LOSS, weighting="uncertainty")
    model.fit(X, Y, verbose=0)
    model.fit(X, Y, verbose=0)
    trained = ops.convert_to_numpy(model.weighting.log_variance)
    assert (trained != 0).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
