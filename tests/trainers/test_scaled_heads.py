"""Heads whose gradients take the weights of their tasks."""

import keras
import numpy as np
import pytest

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from keras_mtl.losses import PerColumn
from tests.tiers import slow_except
from tests.two_tasks import QUICK
from tests.two_tasks import SHARED
from tests.two_tasks import assert_close
from tests.two_tasks import flat
from tests.two_tasks import gradients
from tests.two_tasks import make_model
from tests.two_tasks import task_gradients

pytestmark = pytest.mark.backend

WEIGHTS = [0.3, 1.4]


def scaled(a, b, weights):
    return {path: weights[0] * a[path] + weights[1] * b[path] for path in a}


@pytest.mark.parametrize(
    "representation", slow_except([None, "second"], "second")
)
def test_is_what_weights_on_the_losses_are(representation):
    rule = aggregators.Constant(WEIGHTS)
    found = gradients(
        aggregator=rule, representation=representation, scale_heads=True
    )
    assert_close(found, scaled(*task_gradients(), WEIGHTS))


def test_mgda_over_the_shared_variables():
    a, b = task_gradients()
    u, v = (flat(g, SHARED).astype(float) for g in (a, b))
    first = np.clip((v - u) @ v / ((v - u) @ (v - u)), 0, 1)
    found = gradients(aggregator="mgda", scale_heads=True)
    assert_close(found, scaled(a, b, [first, 1 - first]))


@pytest.mark.slow
def test_regularisers_are_not_scaled():
    model = make_model(keras.regularizers.L2(0.3))
    kernel = np.array(model.get_layer("second").kernel)
    rule = aggregators.Constant(WEIGHTS)
    found = gradients(model=model, aggregator=rule, scale_heads=True)
    expected = scaled(*task_gradients(), WEIGHTS)
    expected["second/kernel"] += 2 * 0.3 * kernel
    assert_close(found, expected)


@pytest.mark.slow
def test_what_a_weighting_trains_is_not_scaled():
    values = []
    for scale_heads in (False, True):
        model = make_model()
        gradients(
            model=model,
            aggregator=aggregators.Constant([0.0, 1.0]),
            weighting="uncertainty",
            scale_heads=scale_heads,
        )
        values.append([np.array(v) for v in model.weighting.variables])
    for left, right in zip(*values, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
    assert np.abs(values[0][0]).min() > 1e-3


def column_model(**arguments):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, "tanh", name="hidden")(inputs)
    output = keras.layers.Dense(2, name="out")(hidden)
    model = MultiTaskModel(inputs, output)
    model.compile(
        keras.optimizers.SGD(1.0),
        PerColumn("mse", ["p", "q"]),
        **QUICK,
        **arguments,
    )
    return model


def test_columns_of_one_kernel_take_one_weight_each():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    steps = {}
    for scale_heads in (False, True):
        model = column_model(
            aggregator=aggregators.Constant(WEIGHTS), scale_heads=scale_heads
        )
        before = model.get_weights()
        model.train_on_batch(x, y)
        after = model.get_weights()
        steps[scale_heads] = [b - a for b, a in zip(before, after, strict=True)]
    for place, factors in enumerate(
        [1, 1, np.array(WEIGHTS), np.array(WEIGHTS)]
    ):
        np.testing.assert_allclose(
            steps[True][place], steps[False][place] * factors, atol=1e-6
        )


@pytest.mark.slow
@pytest.mark.parametrize("representation", [None, "second"])
def test_where_nothing_shared_trains_heads_learn_as_they_do(representation):
    model = make_model()
    for name in ("first", "second"):
        model.get_layer(name).trainable = False
    with pytest.warns(UserWarning, match="frozen|shared"):
        found = gradients(
            model=model,
            aggregator=aggregators.Constant(WEIGHTS),
            representation=representation,
            scale_heads=True,
        )
    a, b = task_gradients()
    assert_close(found, {path: a[path] + b[path] for path in found})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
