"""Tests of telling whose loss is not finite."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.trainers.not_finite import NotFinite
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

ROWS = 12


def make_data(labels_of_b=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)).astype("float32")
    y = {n: rng.normal(size=(ROWS, 1)).astype("float32") for n in "ab"}
    if labels_of_b is not None:
        y["b"][4] = labels_of_b
    return x, y


def make_model(functional=True, **settings):
    shared = layers.Dense(4, activation="tanh")
    heads = {name: layers.Dense(1, name=name) for name in "ab"}

    class Subclassed(MultiTaskModel):
        def __init__(self):
            super().__init__()
            self.shared, self.heads = shared, heads

        def call(self, inputs):
            tensor = self.shared(inputs)
            return {name: head(tensor) for name, head in self.heads.items()}

    if functional:
        inputs = keras.Input((3,))
        tensor = shared(inputs)
        outputs = {name: head(tensor) for name, head in heads.items()}
        model = MultiTaskModel(inputs, outputs)
    else:
        model = Subclassed()
    model.compile(
        **{"optimizer": "sgd", "loss": {"a": "mae", "b": "mse"}, **settings}
    )
    return model


def told(function):
    """The warnings about losses, and what the function returned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = function()
    messages = [str(w.message) for w in caught]
    return [m for m in messages if "NaN or infinite" in m], result


def fit(model, data, **kwargs):
    kwargs = {"batch_size": 4, "epochs": 3, **kwargs}
    return model.fit(*data, shuffle=False, verbose=0, **kwargs).history


METHODS = {
    "aggregator": {"aggregator": "pcgrad"},
    "weighting": {"weighting": "uncertainty"},
    "both": {"aggregator": "mgda", "weighting": "dynamic_weight_average"},
    "xla": {"aggregator": "sum", "jit_compile": True},
    "steps": {"aggregator": "sum", "steps_per_execution": 2},
    # It evaluates the losses twice a step.
    "famo": {"weighting": "famo"},
}


@pytest.mark.parametrize(
    "method, functional",
    slow_except(
        [*((name, True) for name in METHODS), ("both", False)], ("both", False)
    ),
)
def test_fit_names_the_task_once(method, functional):
    """Batch 2 has the NaN, after which the loss of 'a' is NaN as well."""
    model = make_model(functional, **METHODS[method])
    data = make_data(np.nan)
    messages, history = told(
        lambda: fit(model, data, validation_data=make_data())
    )
    assert len(messages) == 1
    assert "task 'b' became" in messages[0]
    assert "`missing_label=float('nan')`" in messages[0]
    assert "diverged" in messages[0]
    assert np.isnan(history["a_loss"][-1])


def test_train_on_batch_names_the_task_once():
    model = make_model(aggregator="pcgrad")
    bad, good = make_data(np.nan), make_data()
    messages, _ = told(lambda: model.train_on_batch(*good))
    assert not messages
    messages, _ = told(lambda: model.train_on_batch(*bad, return_dict=True))
    assert len(messages) == 1 and "'b'" in messages[0]
    messages, _ = told(lambda: model.train_on_batch(*bad))
    assert not messages


@pytest.mark.parametrize("method", [{}, {"aggregator": "sum"}])
def test_a_metric_may_have_a_value_for_each_class(method):
    model = make_model(**method, metrics={"b": [ValueOfEachColumn()]})
    messages, logs = told(lambda: model.train_on_batch(*make_data()))
    assert not messages and len(logs) > 1


class ValueOfEachColumn(keras.metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        return keras.ops.ones((3,))


def test_with_missing_labels_the_advice_is_another():
    model = make_model(aggregator="sum", missing_label=-1.0)
    messages, _ = told(lambda: fit(model, make_data(np.nan)))
    assert len(messages) == 1
    assert "other than `missing_label`" in messages[0]
    assert "compile with" not in messages[0]


@pytest.mark.slow
def test_compiled_anew_it_tells_anew():
    model = make_model(aggregator="sum")
    for _ in range(2):
        messages, _ = told(lambda: fit(model, make_data(np.nan)))
        assert len(messages) == 1
        model = make_model(aggregator="sum")


def test_two_tasks_at_once_are_both_named():
    x, y = make_data(np.nan)
    y["a"][4] = np.inf
    messages, _ = told(lambda: fit(make_model(aggregator="sum"), (x, y)))
    assert len(messages) == 1
    assert "The losses of the tasks 'a', 'b' became" in messages[0]


def test_divergence_is_told_too():
    model = make_model(optimizer=keras.optimizers.SGD(1e20), aggregator="sum")
    messages, _ = told(lambda: fit(model, make_data()))
    assert len(messages) == 1


@pytest.mark.slow
def test_of_validation_nothing_is_said():
    model = make_model(aggregator="sum")
    messages, _ = told(
        lambda: fit(model, make_data(), validation_data=make_data(np.nan))
    )
    assert not messages


def test_stock_keras_is_silent():
    messages, history = told(lambda: fit(make_model(), make_data(np.nan)))
    assert np.isnan(history["b_loss"][0])
    assert not messages


def test_missing_labels_are_no_news():
    model = make_model(aggregator="sum", missing_label=float("nan"))
    messages, history = told(lambda: fit(model, make_data(np.nan)))
    assert not messages
    assert np.isfinite(history["b_loss"]).all()


def test_says_what_missing_label_is():
    model = make_model(aggregator="sum", missing_label=-1.0)
    messages, _ = told(lambda: fit(model, make_data(np.nan)))
    assert messages[0].endswith("Received: missing_label=-1.0")


@pytest.mark.slow
@pytest.mark.parametrize("representation", [False, True])
def test_conflict_is_not_zero_where_all_is_nan(representation):
    x, y = make_data()
    y["b"][:] = np.nan
    model = make_model()
    tapped = model.layers[1].name if representation else None
    loss = {"a": "mae", "b": "mse"}
    model.compile("sgd", loss, aggregator="pcgrad", representation=tapped)
    _, history = told(lambda: fit(model, (x, y)))
    assert np.isnan(history["gradient_conflict"]).all()


@pytest.mark.slow
def test_a_step_that_the_loss_scaler_skips_does_not_poison_the_conflict():
    """The first scaled gradients overflow, and only those."""
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=2.0**124
    )
    model = make_model(optimizer=optimizer, aggregator="pcgrad")
    x, y = make_data()
    y["b"] *= 1e2
    messages, history = told(lambda: fit(model, (x, y), epochs=8))
    conflict = np.array(history["gradient_conflict"])
    assert float(optimizer.dynamic_scale) < 2.0**124
    assert np.isfinite(conflict[-1])
    assert not messages
    for weight in model.get_weights():
        assert np.isfinite(weight).all()


def test_does_not_show_in_logs_or_metrics():
    model = make_model(aggregator="sum")
    history = fit(model, make_data())
    assert set(history) == {"loss", "a_loss", "b_loss", "gradient_conflict"}
    assert not any("finite" in metric.name for metric in model.metrics)
    assert len(model.get_weights()) == 6


class TestNotFinite:
    def test_the_highest_count_was_the_first(self):
        metric = NotFinite(["a", "b", "c"])
        for losses in ([1, 2, 3], [1, np.nan, 3], [1, 2, np.inf], [1, 2, 3]):
            metric.update_state(np.array(losses, "float32"))
        np.testing.assert_array_equal(np.array(metric.result()), [0, 3, 2])
        assert metric.first_tasks() == ["b"]

    def test_nothing_to_say(self):
        metric = NotFinite(["a", "b"])
        metric.update_state(np.ones(2, "float32"))
        assert metric.first_tasks() == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
