"""Weights from gradients at a representation that are reduced over a batch.

A float64 version in NumPy trains the same two tasks, with MGDA's closed form.
"""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from keras_mtl.trainers.batch_reduction import reduce_batch
from tests.tiers import slow_except
from tests.two_tasks import LOSS
from tests.two_tasks import QUICK
from tests.two_tasks import assert_close
from tests.two_tasks import gradients
from tests.two_tasks import make_data
from tests.two_tasks import make_model
from tests.two_tasks import summed_gradients

pytestmark = pytest.mark.backend

NAN = float("nan")
RATE = 0.3


def make_gaps():
    """Labels of b are missing here and there, and in the last batch of all."""
    x, y = make_data()
    y["b"][[0, 3, 4, 9, 15]] = NAN
    return x, y


def task_signals(values, x, y):
    """The gradients `[2, B, 4]` of both tasks at the output of `second`."""
    hidden, cut = forward(values, x)
    logits = cut @ values[4] + values[5]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors = odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[y["a"]]
    known = np.isfinite(y["b"])
    gaps = np.where(known, cut @ values[6] + values[7] - y["b"], 0)
    outputs = (errors / len(x), 2 * gaps / max(known.sum(), 1))
    signals = [
        outputs[0] @ values[4].T,
        outputs[1] @ values[6].T,
    ]
    return np.stack(signals), outputs, hidden, cut, known.any()


def forward(values, x):
    hidden = np.tanh(x @ values[0] + values[1])
    return hidden, np.tanh(hidden @ values[2] + values[3])


def reduced(signals, reduction):
    if reduction == "flatten":
        return signals.reshape(2, -1)
    return getattr(signals, reduction)(axis=1).reshape(2, -1)


def least_norm(rows):
    """MGDA of two gradients."""
    apart = rows[1] - rows[0]
    first = np.clip(apart @ rows[1] / (apart @ apart), 0, 1)
    return np.array([first, 1 - first])


def step(values, x, y, weigh, scale_heads=False):
    """Gradients of all variables, and the weights, of one batch."""
    signals, outputs, hidden, cut, has_b = task_signals(values, x, y)
    weights = weigh(signals) if has_b else np.array([1.0, 0.0])
    pace = weights if scale_heads else np.ones(2)
    found = [None] * 8
    for t, (error, place) in enumerate(zip(outputs, (4, 6), strict=True)):
        found[place] = pace[t] * cut.T @ error
        found[place + 1] = pace[t] * error.sum(axis=0)
    signal = np.tensordot(weights, signals, 1) * (1 - cut**2)
    found[2:4] = hidden.T @ signal, signal.sum(axis=0)
    signal = signal @ values[2].T * (1 - hidden**2)
    found[0:2] = x.T @ signal, signal.sum(axis=0)
    return found


def trained(values, x, y, batch_size, weigh, **arguments):
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        part = {name: label[rows] for name, label in y.items()}
        found = step(values, x[rows].astype(float), part, weigh, **arguments)
        values = [v - RATE * g for v, g in zip(values, found, strict=True)]
    return values


@pytest.mark.parametrize(
    ("reduction", "scale_heads"),
    slow_except(
        [("flatten", True), ("mean", True), ("sum", False)], ("mean", True)
    ),
)
def test_an_epoch_of_mgda_equals_the_closed_form(reduction, scale_heads):
    x, y = make_gaps()
    model = make_model()
    start = [value.astype(float) for value in model.get_weights()]
    model.compile(
        keras.optimizers.SGD(RATE),
        LOSS,
        aggregator="mgda",
        representation="second",
        representation_reduction=reduction,
        scale_heads=scale_heads,
        missing_label=NAN,
        **QUICK,
    )
    # The last batch has one example, and no label of b.
    model.fit(x, y, batch_size=5, shuffle=False, verbose=0)

    def weigh(signals):
        return least_norm(reduced(signals, reduction))

    expected = trained(start, x, y, 5, weigh, scale_heads=scale_heads)
    for found, value in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, value, atol=2e-6)


def test_the_ways_differ():
    x, y = make_data()
    values = [v.astype(float) for v in make_model().get_weights()]
    signals = task_signals(values, x, y)[0]
    flat, mean = (least_norm(reduced(signals, r)) for r in ("flatten", "mean"))
    assert abs(flat[0] - mean[0]) > 0.01


class SquaredNorms(aggregators.Aggregator):
    """A rule that sees the scale of gradients."""

    def weights(self, gram):
        return ops.diagonal(gram, axis1=-2, axis2=-1)


@pytest.mark.parametrize(
    ("reduction", "compiler"),
    slow_except(
        [("mean", {"jit_compile": True}), ("sum", QUICK)], ("sum", QUICK)
    ),
)
def test_a_rule_sees_inner_products_of_their_scale(reduction, compiler):
    x, y = make_data()
    model = make_model()
    values = [value.astype(float) for value in model.get_weights()]
    model.compile(
        keras.optimizers.SGD(1.0),
        LOSS,
        aggregator=SquaredNorms(),
        representation="second",
        representation_reduction=reduction,
        **compiler,
    )
    model.train_on_batch(x, y)

    def weigh(signals):
        return (reduced(signals, reduction) ** 2).sum(axis=1)

    rows = reduced(task_signals(values, x, y)[0], reduction)
    gram = ops.convert_to_numpy(model.gradient_conflict.gram)
    np.testing.assert_allclose(gram, rows @ rows.T, rtol=1e-4)
    expected = step(values, x.astype(float), y, weigh)
    for found, value, gradient in zip(
        model.get_weights(), values, expected, strict=True
    ):
        np.testing.assert_allclose(value - found, gradient, atol=1e-5)


@pytest.mark.slow
def test_the_sum_of_the_losses_stays_stock_keras():
    found = gradients(
        aggregator="sum",
        representation="second",
        representation_reduction="mean",
        scale_heads=True,
    )
    assert_close(found, summed_gradients())


def test_only_the_axis_of_examples_goes():
    # As of two outputs of one layer, of which one task reaches the first.
    rng = np.random.default_rng(0)
    image, state = rng.normal(size=(5, 3, 2)), rng.normal(size=(5, 4))
    images, states = reduce_batch([[image, None], [state, 2 * state]], "mean")
    np.testing.assert_allclose(images[0], image.mean(0), atol=1e-6)
    assert images[1] is None
    np.testing.assert_allclose(states[1], 2 * state.mean(0), atol=1e-6)
    summed = reduce_batch([[image]], "sum")[0][0]
    np.testing.assert_allclose(summed, image.sum(0), atol=1e-6)
    empty = reduce_batch([[np.zeros((0, 3), "float32")]], "mean")[0][0]
    np.testing.assert_array_equal(empty, np.zeros(3))
    half = np.full((4096, 1), 30, "float16")
    assert float(reduce_batch([[half]], "sum")[0][0][0]) == 4096 * 30


def test_a_scalar_has_no_examples():
    inputs = keras.Input((2,))
    mean = ops.mean(layers.Dense(3, name="shared")(inputs))
    operation = mean._keras_history.operation.name
    outputs = {
        name: layers.Dense(1, name=name)(ops.broadcast_to(mean, (4, 1)))
        for name in "ab"
    }
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        "sgd",
        {"a": "mse", "b": "mse"},
        aggregator="mgda",
        representation=operation,
        representation_reduction="mean",
        **QUICK,
    )
    y = {name: np.ones((4, 1), "float32") for name in "ab"}
    with pytest.raises(ValueError, match="no axis of examples"):
        model.train_on_batch(np.ones((4, 2), "float32"), y)


def test_is_in_the_config_of_the_model():
    model = make_model()
    arguments = {"loss": LOSS, "aggregator": "mgda", "representation": "second"}
    model.compile("sgd", **arguments)
    assert "representation_reduction" not in model.get_compile_config()
    model.compile(
        "sgd", **arguments, representation_reduction="sum", scale_heads=True
    )
    config = model.get_compile_config()
    other = make_model()
    other.compile_from_config(config)
    again = other.get_compile_config()
    assert again["representation_reduction"] == "sum"
    assert again["scale_heads"] is True


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
