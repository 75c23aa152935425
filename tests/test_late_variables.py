"""Optimizers that are built before a weighting has its variables."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.late_variables import let_train

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = {"a": X[:, :1] - X[:, 1:2], "b": X[:, 1:2] + X[:, 2:]}


def variables(count, start=0):
    return [
        keras.Variable(np.full(2, i, "float32"), name=f"v{i}")
        for i in range(start, start + count)
    ]


def scaled_adam():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1))


OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(0.1, use_ema=True),
    "sgd": lambda: keras.optimizers.SGD(
        0.1, 0.9, gradient_accumulation_steps=2
    ),
    "schedule": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    ),
    "scaled": scaled_adam,
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_goes_on_with_the_others_as_it_would(make):
    """Two steps, then one with a variable more, beside one with the old."""
    if make is scaled_adam and keras.backend.backend() == "jax":
        pytest.skip("Keras applies it within a compiled step alone")
    ends = []
    for has_late in (False, True):
        optimizer, old = make(), variables(2)
        optimizer.build(old)
        gradients = [keras.ops.ones(2), keras.ops.ones(2) * 2]
        for _ in range(3):
            optimizer.apply(gradients, old)
        late = variables(1, start=2)
        if has_late:
            let_train(optimizer, [late[0], *old], late)
            optimizer.apply([keras.ops.ones(2), *gradients], [late[0], *old])
        else:
            optimizer.apply(gradients, old)
        ends.append([v.numpy() for v in old])
    np.testing.assert_array_equal(*ends)


def test_leaves_what_is_none_of_its_business():
    optimizer, old = keras.optimizers.Adam(0.1), variables(2)
    late = variables(1, start=2)
    let_train(None, old, late)
    let_train(optimizer, [*old, *late], late)
    assert not optimizer.built
    optimizer.build(old)
    before = list(optimizer.variables)
    for all_of_them in (old, [*old, *late, *variables(1, start=3)]):
        let_train(optimizer, all_of_them, late)
        assert all(a is b for a, b in zip(before, optimizer.variables))


class Subclassed(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.shared = layers.Dense(4)
        self.heads = [layers.Dense(1), layers.Dense(1)]

    def call(self, inputs):
        x = self.shared(inputs)
        return {name: head(x) for name, head in zip("ab", self.heads)}


def make_model(optimizer, **kwargs):
    keras.utils.set_random_seed(0)
    model = Subclassed()
    model(X)
    model.compile(
        optimizer, {"a": "mse", "b": "mse"}, weighting="uncertainty", **kwargs
    )
    return model


@pytest.mark.parametrize("aggregator", [None, "pcgrad"])
@pytest.mark.parametrize("train", ["fit", "train_on_batch"])
@pytest.mark.parametrize("make", [keras.optimizers.Adam, scaled_adam])
def test_a_subclassed_model_may_build_it_early(aggregator, train, make):
    ends = []
    for early in (False, True):
        optimizer = make()
        model = make_model(optimizer, aggregator=aggregator)
        if early:
            optimizer.build(model.trainable_variables)
        for _ in range(2):
            getattr(model, train)(X, Y)
        optimizer.learning_rate = 0.01
        getattr(model, train)(X, Y)
        ends.append(model.get_weights())
        assert len(ends[-1]) == 7
    for late, early in zip(*ends, strict=True):
        np.testing.assert_array_equal(late, early)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
