import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl.callbacks import SharingMonitor
from keras_mtl.layers import TaskAttention
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from tests.callbacks.common import read_scalars
from tests.tiers import slow_except

TASKS = ["left", "right"]
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = {task: X[:, :1] * (index + 1) for index, task in enumerate(TASKS)}


class Mix(keras.layers.Layer):
    """What it shares is the number of its training steps."""

    def __init__(self, columns=("a", "b"), extra=False, **kwargs):
        super().__init__(**kwargs)
        self.columns = list(columns)
        self.extra = extra

    def build(self, input_shape):
        self.steps = self.add_weight(
            shape=(), initializer="zeros", trainable=False
        )

    def call(self, inputs, training=None):
        if training:
            self.steps.assign_add(1.0)
        return inputs

    def sharing_matrices(self):
        steps = float(keras.ops.convert_to_numpy(self.steps))
        places = np.arange(2 * len(self.columns)).reshape(2, -1)
        values = [steps + places]
        if self.extra:
            values.append(np.where(places == 0, np.nan, -steps))
        return [
            SharingMatrix(title, value, TASKS, list(self.columns))
            for title, value in zip(("alpha", "mean gate"), values)
        ]


def make_model(*layers, **kwargs) -> MultiTaskModel:
    inputs = keras.Input((3,))
    x = inputs
    for layer in layers:
        x = layer(x)
    outputs = {task: keras.layers.Dense(1, name=task)(x) for task in TASKS}
    model = MultiTaskModel(inputs, outputs)
    model.compile("sgd", "mse", **kwargs)
    return model


def fit(model, *callbacks, **kwargs):
    kwargs = {"batch_size": 4, "verbose": 0, "epochs": 3, **kwargs}
    return model.fit(X, Y, callbacks=list(callbacks), **kwargs).history


@pytest.mark.parametrize("aggregator", slow_except([None, "pcgrad"], None))
def test_values_are_logged_and_kept(aggregator):
    layers = keras.layers.Dense(2), Mix(name="mix")
    model = make_model(*layers, aggregator=aggregator)
    monitor = SharingMonitor()
    logs = fit(model, monitor, validation_data=(X, Y))
    # Two steps an epoch; validation is none.
    assert logs["sharing/mix/left_a"] == [2, 4, 6]
    assert logs["sharing/mix/left_b"] == [3, 5, 7]
    assert logs["sharing/mix/right_b"] == [5, 7, 9]
    history = monitor.history["mix"]
    assert history.title == "alpha"
    assert (history.rows, history.columns) == (TASKS, ["a", "b"])
    np.testing.assert_array_equal(history.epochs, [0, 1, 2])
    np.testing.assert_array_equal(history.values[1], np.array([[4, 5], [6, 7]]))


@pytest.mark.slow
def test_several_matrices_of_nested_models_without_undefined_values():
    inner = keras.Sequential([keras.Input((3,)), Mix(extra=True, name="mix")])
    monitor = SharingMonitor()
    logs = fit(make_model(inner), monitor, epochs=1)
    names = {name for name in logs if name.startswith("sharing")}
    cells = {"left_a", "left_b", "right_a", "right_b"}
    expected = {f"sharing/mix/alpha/{cell}" for cell in cells}
    expected |= {f"sharing/mix/mean_gate/{cell}" for cell in cells}
    assert names == expected - {"sharing/mix/mean_gate/left_a"}
    assert logs["sharing/mix/mean_gate/right_b"] == [-2]
    assert list(monitor.history) == ["mix/alpha", "mix/mean_gate"]
    assert np.isnan(monitor.history["mix/mean_gate"].values[0, 0, 0])


@pytest.mark.slow
def test_large_matrices_are_logged_as_means_of_rows():
    columns = [str(index) for index in range(10)]
    model = make_model(Mix(columns, name="mix"))
    monitor = SharingMonitor(max_values=19)
    logs = fit(model, monitor, epochs=1)
    names = {name for name in logs if name.startswith("sharing")}
    assert names == {"sharing/mix/left_mean", "sharing/mix/right_mean"}
    assert logs["sharing/mix/left_mean"] == [2 + 4.5]
    assert monitor.history["mix"].values.shape == (1, 2, 10)
    logs = fit(make_model(Mix(columns)), SharingMonitor(max_values=20))
    assert sum(name.startswith("sharing") for name in logs) == 20


@pytest.mark.slow
def test_every_n_epochs_over_several_fits():
    model = make_model(Mix(name="mix"))
    monitor = SharingMonitor(every_n_epochs=2)
    logs = fit(model, monitor, epochs=5)
    assert logs["sharing/mix/left_a"] == [4, 8]
    fit(model, monitor, initial_epoch=5, epochs=6)
    np.testing.assert_array_equal(monitor.history["mix"].epochs, [1, 3, 5])
    np.testing.assert_array_equal(
        monitor.history["mix"].values[:, 0, 0], [4, 8, 12]
    )


def test_writes_scalars_for_tensorboard(tmp_path):
    model = make_model(Mix(name="mix"))
    logs = fit(model, SharingMonitor(tmp_path, in_logs=False), epochs=2)
    assert not any(name.startswith("sharing") for name in logs)
    assert read_scalars(tmp_path / "train") == {
        (f"sharing/mix/{row}_{column}", epoch): 2 * (epoch + 1) + place
        for epoch in range(2)
        for place, (row, column) in enumerate(
            (row, column) for row in TASKS for column in "ab"
        )
    }


@pytest.mark.slow
def test_task_attention():
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(3)(inputs)
    picked = TaskAttention(TASKS, name="attention")(inputs, shared)
    model = MultiTaskModel(
        inputs, {t: keras.layers.Dense(1)(x) for t, x in picked.items()}
    )
    model.compile("sgd", "mse", aggregator="pcgrad")
    monitor = SharingMonitor()
    logs = fit(model, monitor)
    layer = model.get_layer("attention")
    [matrix] = layer.sharing_matrices()
    np.testing.assert_array_equal(
        monitor.history["attention"].values[-1], matrix.values
    )
    assert logs["sharing/attention/left_2"][-1] == matrix.values[0, 2]
    assert 0 < matrix.values.min() and matrix.values.max() < 1
    assert np.ptp(monitor.history["attention"].values, axis=0).min() > 0


@pytest.mark.slow
def test_leaves_training_as_it_is():
    weights = []
    for callbacks in ([], [SharingMonitor()]):
        keras.utils.set_random_seed(1)
        model = make_model(Mix(), keras.layers.Dense(2), aggregator="pcgrad")
        fit(model, *callbacks)
        weights.append(model.get_weights())
    for plain, monitored in zip(*weights):
        np.testing.assert_array_equal(plain, monitored)


class Subclassed(keras.Model):
    """It makes its layers as it is built."""

    def build(self, input_shape):
        self.mix = Mix(name="mix")
        self.idle = Mix(name="idle")
        self.head = keras.layers.Dense(1)

    def call(self, inputs):
        return self.head(self.mix(inputs))


def test_layers_that_are_made_late_and_layers_that_are_idle():
    model = Subclassed()
    model.compile("sgd", "mse")
    monitor = SharingMonitor()
    model.fit(X, Y["left"], callbacks=[monitor], verbose=0)
    assert list(monitor.history) == ["mix"]


def test_nothing_to_show_is_said_before_training():
    model = make_model(keras.layers.Dense(2))
    before = model.get_weights()
    with pytest.raises(ValueError, match="no layer of.*CrossStitch or MMoE"):
        fit(model, SharingMonitor())
    for old, new in zip(before, model.get_weights()):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_follows_one_model():
    monitor = SharingMonitor()
    fit(make_model(Mix(name="mix")), monitor, epochs=1)
    with pytest.raises(ValueError, match="follows one model.*'mix'.*'c'"):
        fit(make_model(Mix(["c", "d"], name="mix")), monitor, epochs=1)


def test_plots_the_model():
    pytest.importorskip("matplotlib")
    monitor = SharingMonitor()
    fit(make_model(Mix(name="mix")), monitor, epochs=1)
    assert list(monitor.plot()) == ["mix"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"log_dir": 10}, "log_dir=10"),
        ({"every_n_epochs": 0}, "every_n_epochs=0"),
        ({"max_values": -1}, "max_values=-1"),
        ({"in_logs": "no"}, "in_logs='no'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=f"Received: {message}"):
        SharingMonitor(**arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
