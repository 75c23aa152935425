"""Tests of `clone_model` on models with auxiliaries."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.auxiliaries import add_self_auxiliaries

CROSS_ENTROPY = "sparse_categorical_crossentropy"
LOSS = {"left": CROSS_ENTROPY, "right": "mse"}
EXAMPLES = 48
# For small models the faster way on each backend.
EAGERLY = keras.backend.backend() == "tensorflow"


def make_model(dropout: float = 0.0, width: int = 50) -> keras.Model:
    inputs = keras.Input((12,))
    hidden = layers.Dense(width, activation="relu", name="shared")(inputs)
    hidden = layers.Dropout(dropout, seed=1)(hidden)
    left = layers.Dense(8, activation="relu", name="left_hidden")(hidden)
    left = layers.Dense(10, activation="softmax", name="left")(left)
    right = layers.Dense(1, name="right")(hidden)
    return keras.Model(inputs, {"left": left, "right": right}, name="net")


def make_data(shape: tuple = (12,)) -> tuple:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(EXAMPLES, *shape)).astype("float32")
    left = generator.integers(0, 10, EXAMPLES)
    right = generator.normal(size=(EXAMPLES, 1)).astype("float32")
    return x, {"left": left, "right": right}


def fresh(weight: float | None, **arguments) -> keras.Model:
    """The same start each time; with no auxiliaries where weight is None."""
    keras.utils.set_random_seed(0)
    model = make_model(**arguments.pop("model", {}))
    if weight is None:
        return MultiTaskModel(model.input, model.output)
    return add_self_auxiliaries(model, "shared", weight=weight, **arguments)


class TestClone:
    @pytest.mark.parametrize("compiled", [False, True])
    def test_keeps_the_auxiliaries_with_weights_of_its_own(self, compiled):
        x, y = make_data()
        model = fresh(0.5, bottleneck=4, as_tasks=True)
        if compiled:
            model.compile("sgd", LOSS, aggregator="pcgrad")
        clone = keras.models.clone_model(model)
        assert clone.auxiliaries is not model.auxiliaries
        assert clone.auxiliaries.get_config() == model.auxiliaries.get_config()
        kernels = [
            np.array(m.auxiliaries.heads["left"].output_dense.kernel)
            for m in (model, clone)
        ]
        assert kernels[0].shape == kernels[1].shape
        assert not np.array_equal(*kernels)
        if compiled:
            assert clone.task_names == model.task_names
        else:
            clone.compile("sgd", LOSS)
        clone.set_weights(model.get_weights())
        if not compiled:
            model.compile("sgd", LOSS)
        logs = [
            one.train_on_batch(x, y, return_dict=True) for one in (model, clone)
        ]
        assert "left_aux_loss" in logs[0]
        for name, value in logs[0].items():
            np.testing.assert_allclose(logs[1][name], value, rtol=1e-5)

    def test_with_functions_and_tensors_of_the_user(self):
        def renamed(layer):
            config = layer.get_config()
            config["name"] += "_clone"
            return type(layer).from_config(config)

        model = fresh(0.5)
        inputs = keras.Input((12,), name="other")
        calls = []

        def call(layer, *args, **kwargs):
            calls.append(layer.name)
            return layer(*args, **kwargs)

        clone = keras.models.clone_model(
            model,
            input_tensors=inputs,
            clone_function=renamed,
            call_function=call,
        )
        assert clone.auxiliaries.representation == "shared_clone"
        assert "shared_clone" in calls
        assert model.auxiliaries.representation == "shared"
        x, y = make_data()
        clone.compile("sgd", LOSS, run_eagerly=EAGERLY)
        logs = clone.train_on_batch(x, y, return_dict=True)
        assert np.isfinite(logs["left_aux_loss"])

    def test_shares_where_the_function_does(self):
        model = fresh(0.5)
        clone = keras.models.clone_model(model, clone_function=lambda x: x)
        assert clone.auxiliaries is model.auxiliaries
        # One on the same outputs is another model, without.
        other = MultiTaskModel(clone.input, clone.output)
        assert other.auxiliaries is None

    def test_within_another_model(self):
        model = fresh(0.5)
        inputs = keras.Input((12,))
        outer = keras.Model(inputs, model(inputs))
        clone = keras.models.clone_model(outer, recursive=True)
        (inner,) = [x for x in clone.layers if isinstance(x, MultiTaskModel)]
        assert inner.auxiliaries is not None
        assert inner.auxiliaries is not model.auxiliaries


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
