"""A step that fails leaves the model as it was, on either backend."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
# Nothing here is about compilation, which takes long on TensorFlow.
QUICK = {"run_eagerly": True} if ON_TENSORFLOW else {}
LOSS = {"a": "sparse_categorical_crossentropy", "b": "mse"}
X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = {"a": np.arange(8) % 3, "b": X[:, :1]}


def make_model() -> MultiTaskModel:
    inputs = keras.Input((4,))
    shared = layers.Dense(3, activation="tanh", name="shared")(inputs)
    last = layers.BatchNormalization(name="last")(shared)
    outputs = {
        "a": layers.Dense(3, activation="softmax", name="a")(last),
        "b": layers.Dense(1, name="b")(last),
    }
    return MultiTaskModel(inputs, outputs)


def compiled(model: MultiTaskModel, **arguments) -> MultiTaskModel:
    settings = {"optimizer": "adam", "loss": LOSS, "aggregator": "pcgrad"}
    model.compile(**{**settings, **QUICK, **arguments})
    return model


def values(model: MultiTaskModel) -> list[np.ndarray]:
    """Weights and moving averages, and those of optimizer and metrics."""
    held = model.variables + model.metrics_variables
    if model.compiled:
        held = held + model.optimizer.variables
    return [keras.ops.convert_to_numpy(v) for v in held]


def assert_as_it_was(model: MultiTaskModel, before: list[np.ndarray]) -> None:
    pairs = zip(model.weights, model.get_weights(), before)
    for variable, now, then in pairs:
        # An eager forward pass has moved averages by the time it fails.
        if variable.trainable or not QUICK:
            np.testing.assert_array_equal(now, then)
    assert all(value is not None for value in values(model))


def assert_trains_and_saves(model: MultiTaskModel, tmp_path) -> None:
    before = model.get_weights()
    compiled(model)
    history = model.fit(X, Y, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"][0])
    moved = zip(before, model.get_weights())
    assert any(np.any(old != new) for old, new in moved)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0)["b"],
        model.predict(X, verbose=0)["b"],
        rtol=1e-6,
    )


def raises(y_true, y_pred):
    if isinstance(y_pred, keras.KerasTensor):
        return keras.ops.mean(y_pred, axis=-1)
    raise ArithmeticError("a loss of one's own")


def raises_anywhere(y_true, y_pred):
    raise ArithmeticError("a loss of one's own")


WRONG = {
    "a loss that raises": ({"loss": {**LOSS, "b": raises}}, Y),
    "a loss that raises at once": ({"loss": {**LOSS, "b": raises_anywhere}}, Y),
    "labels of a wrong shape": ({}, {**Y, "a": np.ones((8, 5))}),
    "a label that is no number": ({}, {**Y, "b": np.array([["x"]] * 8)}),
    "no cut": ({"representation": "a"}, Y),
    "without an aggregator": (
        {"aggregator": None, "loss": {**LOSS, "b": raises}},
        Y,
    ),
}


@pytest.mark.parametrize("run", ["fit", "train_on_batch", "evaluate"])
@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_costs_no_weights(mistake, run, tmp_path):
    settings, labels = WRONG[mistake]
    model = make_model()
    before = model.get_weights()
    compiled(model, **settings)
    quiet = {} if run == "train_on_batch" else {"verbose": 0}
    if (mistake, run) == ("no cut", "evaluate"):
        model.evaluate(X, labels, **quiet)
    else:
        with pytest.raises(Exception, match=r"\S"):
            getattr(model, run)(X, labels, **quiet)
    assert_as_it_was(model, before)
    if (mistake, run) == ("no cut", "fit"):
        assert_trains_and_saves(model, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("steps_per_execution", [1, 3])
def test_data_that_end_in_an_error_leave_the_last_good_step(
    steps_per_execution,
):
    def batches(count, raising):
        def generate():
            for _ in range(count):
                yield X, Y
            if raising:
                raise ArithmeticError("no more data")

        return generate()

    def train(model, data, steps):
        compiled(
            model,
            optimizer=keras.optimizers.SGD(0.1),
            run_eagerly=False,
            jit_compile=not ON_TENSORFLOW,
            steps_per_execution=steps,
        )
        model.fit(data, steps_per_epoch=6, verbose=0)

    failed, good = make_model(), make_model()
    good.set_weights(failed.get_weights())
    with pytest.raises(Exception, match="no more data"):
        train(failed, batches(5, raising=True), steps_per_execution)
    if ON_TENSORFLOW and steps_per_execution == 3:
        # The second execution of the graph failed as a whole or after two
        # steps; either way there are weights.
        assert np.all(np.isfinite(failed.get_weights()[0]))
        return
    compiled(good, optimizer=keras.optimizers.SGD(0.1))
    for _ in range(5):
        good.train_on_batch(X, Y)
    for ours, theirs in zip(failed.get_weights(), good.get_weights()):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("run", ["evaluate", "predict", "fit"])
def test_a_callback_that_raises_costs_no_weights(run):
    class Stop(keras.callbacks.Callback):
        def stop(self, batch, logs=None):
            raise ArithmeticError("stopped")

        on_train_batch_end = on_test_batch_end = on_predict_batch_end = stop

    model = compiled(make_model(), optimizer=keras.optimizers.SGD(0.0))
    before = model.get_weights()
    labels = () if run == "predict" else (Y,)
    with pytest.raises(ArithmeticError, match="stopped"):
        getattr(model, run)(X, *labels, callbacks=[Stop()], verbose=0)
    # The moving averages of the batch normalisation may have moved.
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    assert all(np.all(np.isfinite(value)) for value in values(model))


@pytest.mark.slow
def test_a_later_mistake_keeps_what_was_learnt():
    model = compiled(make_model())
    model.fit(X, Y, verbose=0)
    learnt = model.get_weights()
    state = [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables]
    with pytest.raises(Exception, match=r"\S"):
        model.fit(X, {**Y, "a": np.ones((8, 5))}, verbose=0)
    assert_as_it_was(model, learnt)
    for variable, then in zip(model.optimizer.variables, state):
        now = keras.ops.convert_to_numpy(variable)
        np.testing.assert_array_equal(now, then)
    model.fit(X, Y, verbose=0)
    assert int(model.optimizer.iterations) == 2


def test_prediction_of_a_wrong_shape_costs_no_weights():
    model = make_model()
    before = model.get_weights()
    with pytest.raises(Exception, match=r"\S"):
        model.predict(np.ones((8, 5), "float32"), verbose=0)
    assert_as_it_was(model, before)


@pytest.mark.slow
def test_auxiliaries_survive_too():
    model = add_self_auxiliaries(make_model(), "last")
    before = model.get_weights()
    compiled(model, loss={**LOSS, "b": raises})
    with pytest.raises(ArithmeticError):
        model.fit(X, Y, verbose=0)
    assert_as_it_was(model, before)
    compiled(model).fit(X, Y, verbose=0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
