"""Tests of Averaged: any rule on moving averages of the gradients."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Averaged
from keras_mtl.aggregators import GradDrop
from keras_mtl.aggregators import MoCo
from keras_mtl.aggregators import PCGrad
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo
from tests.tiers import slow_except


def value(tensor):
    return ops.convert_to_numpy(tensor)


def make_steps(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, 3, 6)).astype("float32")


def test_is_the_rule_on_averages():
    averaged, rule = Averaged(PCGrad(seed=1), decay=0.75), PCGrad(seed=1)
    average = None
    for rows in make_steps(4):
        average = rows if average is None else 0.75 * average + 0.25 * rows
        np.testing.assert_allclose(
            value(averaged(rows)), value(rule(average)), rtol=1e-4, atol=1e-5
        )


def test_no_decay_is_the_rule():
    averaged = Averaged("mgda", decay=0.0)
    for rows in make_steps(2):
        np.testing.assert_allclose(
            value(averaged(rows)), value(MGDA()(rows)), rtol=1e-5, atol=1e-6
        )


def test_an_absent_task_keeps_its_average():
    averaged = Averaged("sum", decay=0.5)
    averaged.build(GradientSpec(2, (1,), ((2,),)))
    ones = [np.ones(2, "float32"), np.ones(2, "float32")]
    averaged.transform([ones], StepInfo())
    zero = [ones[0], np.zeros(2, "float32")]
    here = StepInfo(present=np.array([True, False]))
    averaged.transform([zero], here)
    np.testing.assert_array_equal(value(averaged.averages[0]), [[1, 1], [1, 1]])


def test_its_first_gradient_is_its_first_average():
    """Also where the task comes later than others."""
    averaged = Averaged("sum", decay=0.9)
    averaged.build(GradientSpec(2, (1,), ((2,),)))
    first = [np.ones(2, "float32"), np.zeros(2, "float32")]
    averaged.transform([first], StepInfo(present=np.array([True, False])))
    second = [np.ones(2, "float32"), np.full(2, 3.0, "float32")]
    rows = averaged.transform([second], StepInfo())
    np.testing.assert_allclose(value(rows[0][1]), [3, 3])


@pytest.mark.parametrize(
    "granularity", slow_except(["model", "variable"], "variable")
)
def test_in_a_model(granularity, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3)).astype("float32")
    y = {name: rng.normal(size=(8, 1)).astype("float32") for name in "ab"}
    inputs = keras.Input((3,))
    shared = layers.Dense(2, "tanh", name="shared")(inputs)
    model = MultiTaskModel(
        inputs, {name: layers.Dense(1, name=name)(shared) for name in "ab"}
    )
    model.compile(
        keras.optimizers.SGD(0.1),
        {"a": "mse", "b": "mse"},
        aggregator=Averaged(PCGrad(granularity, seed=0), decay=0.5),
    )
    model.fit(x, y, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    names = list(loaded.aggregator.named_variables())
    assert names[0] == "aggregator.seed_generator"
    assert {"averages.0", "averages.1", "seen"} <= set(names)
    for net in (model, loaded):
        net.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    for left, right in zip(model.get_weights(), loaded.get_weights()):
        np.testing.assert_allclose(left, right, atol=1e-6)


@pytest.mark.parametrize("aggregator", [GradDrop(), MoCo()])
def test_rules_that_need_gradients_are_refused(aggregator):
    with pytest.raises(ValueError, match="the gradients themselves"):
        Averaged(aggregator)


@pytest.mark.parametrize("decay", [-0.1, 1, None])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match="`decay` must be a number from 0"):
        Averaged(decay=decay)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
