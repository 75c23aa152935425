"""Tests of what the methods that remember the gradients of tasks share."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators.db_mtl import DBMTL
from keras_mtl.aggregators.excess_mtl import ExcessMTL
from keras_mtl.aggregators.mo_co import MoCo
from keras_mtl.aggregators.mo_do import MoDo
from keras_mtl.aggregators.sdm_grad import SDMGrad
from keras_mtl.methods import GradientSpec
from keras_mtl.trainers.combine import combine
from keras_mtl.trainers.objectives import Objectives
from tests.aggregators.common import flat_result
from tests.tiers import slow_except

SHAPES = [(3, 2), (2,), (4,)]
# The second variable is not reached by the second task.
REACHED = [[True] * 3, [True, False, True], [True] * 3]
LOSSES = np.array([1.0, 0.5, 2.0], "float32")
# Step sizes that let the weights move a lot, but not into corners.
METHODS = {
    "moco": (MoCo, {"gamma": 0.03, "beta": 0.5}),
    "moco_losses": (MoCo, {"gamma": 0.3, "scale_to_losses": True}),
    "dbmtl": (DBMTL, {"beta": 0.6}),
    "excess_mtl": (ExcessMTL, {"eta": 0.3}),
    "modo": (MoDo, {"gamma": 0.03}),
    "sdmgrad": (SDMGrad, {"learning_rate": 0.05}),
}
each_method = pytest.mark.parametrize("name", METHODS)


def make(name, **arguments):
    method, defaults = METHODS[name]
    return method(**defaults, **arguments)


def make_columns(step, scale=1.0):
    rng = np.random.default_rng(step)
    return [
        [
            (scale * rng.normal(size=shape)).astype("float32")
            if reach
            else None
            for reach in reached
        ]
        for shape, reached in zip(SHAPES, REACHED)
    ]


def flat(columns):
    """The rows as a matrix, zeros where a task does not reach."""
    rows = []
    for t in range(3):
        parts = [
            np.zeros(shape) if column[t] is None else column[t]
            for shape, column in zip(SHAPES, columns)
        ]
        rows.append(np.concatenate([p.ravel() for p in parts]))
    return np.stack(rows).astype("float32")


def step_of(method, columns, groups, present=None, scale=1.0):
    objectives = Objectives([], None, LOSSES, LOSSES, present, scale)
    return combine(method, columns, groups, objectives)


def ready(name, num_groups, **arguments):
    method = make(name, **arguments)
    method.build(GradientSpec(3, (num_groups,), tuple(SHAPES)))
    return method


def update_of(method, rows):
    return ops.convert_to_numpy(method(rows, losses=LOSSES))


def values(method):
    return [ops.convert_to_numpy(v).copy() for v in method.variables]


class TestColumns:
    @pytest.mark.slow
    @each_method
    def test_variables_are_one_vector(self, name):
        method, alone = ready(name, 1), make(name)
        for step in range(4):
            columns = make_columns(step)
            actual = flat_result(step_of(method, columns, [0, 0, 0]))
            expected = alone(flat(columns), losses=LOSSES)
            np.testing.assert_allclose(
                actual, ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-5
            )

    @pytest.mark.slow
    @pytest.mark.parametrize("name", [n for n in METHODS if n[-2:] != "es"])
    def test_groups_are_on_their_own(self, name):
        method = ready(name, 2, granularity="variable")
        alone = [make(name), make(name)]
        for step in range(4):
            columns = make_columns(step)
            rows = flat(columns)
            actual = flat_result(step_of(method, columns, [0, 0, 1]))
            expected = [
                alone[0](rows[:, :8], losses=LOSSES),
                alone[1](rows[:, 8:], losses=LOSSES),
            ]
            np.testing.assert_allclose(
                actual, np.concatenate(expected), rtol=1e-4, atol=1e-5
            )

    @pytest.mark.slow
    @each_method
    def test_loss_scale_changes_nothing(self, name):
        method, scaled = ready(name, 1), ready(name, 1)
        for step in range(3):
            expected = step_of(method, make_columns(step), [0, 0, 0])
            actual = step_of(
                scaled, make_columns(step, 1024.0), [0, 0, 0], scale=1024.0
            )
            np.testing.assert_allclose(
                flat_result(actual) / 1024,
                flat_result(expected),
                rtol=1e-4,
                atol=1e-6,
            )


class TestOverflow:
    """Outside of a model; in one, the trainer undoes what is not taken."""

    @each_method
    @pytest.mark.parametrize("value", slow_except([np.inf, np.nan], np.inf))
    @pytest.mark.parametrize("first", slow_except([0, 2], 2))
    def test_state_stays_and_the_update_shows_it(self, name, value, first):
        method, without = make(name), make(name)
        for step in range(first):
            for one in (method, without):
                update_of(one, flat(make_columns(step)))
        rows = flat(make_columns(7))
        rows[1, 0] = value
        assert not np.isfinite(update_of(method, rows)).all()
        for variable in method.variables:
            assert np.isfinite(ops.convert_to_numpy(variable)).all()
        # And it goes on as if that step had not been.
        rows = flat(make_columns(8))
        after = update_of(method, rows)
        np.testing.assert_array_equal(after, update_of(without, rows))
        for held, want in zip(values(method), values(without)):
            np.testing.assert_array_equal(held, want)

    @pytest.mark.parametrize("name", ["moco_losses", "dbmtl"])
    def test_losses_that_are_not_finite_leave_no_trace(self, name):
        method, without = make(name), make(name)
        rows = flat(make_columns(0))
        broken = np.float32([np.nan, 1.0, 1.0])
        method(rows, losses=broken)
        np.testing.assert_array_equal(
            update_of(method, rows), update_of(without, rows)
        )


class TestAbsentTasks:
    @pytest.mark.slow
    @each_method
    def test_their_state_stays(self, name):
        method = ready(name, 1)
        for step in range(3):
            step_of(method, make_columns(step), [0, 0, 0])
        before = values(method)
        columns = make_columns(5)
        for column in columns:
            column[2] = np.zeros_like(column[2])
        present = np.array([True, True, False])
        result = step_of(method, columns, [0, 0, 0], present)
        assert ops.convert_to_numpy(result.weights)[2] == 0
        assert np.isfinite(flat_result(result)).all()
        moved = 0
        for held, want in zip(values(method), before):
            if held.ndim == 0:
                continue
            if held.shape == (1, 3):
                held, want = held[0], want[0]
            np.testing.assert_array_equal(held[2], want[2])
            moved += (held[:2] != want[:2]).any()
        assert moved > 3

    @pytest.mark.slow
    @each_method
    def test_one_that_never_comes_leaves_the_others_alone(self, name):
        method, pair = ready(name, 1), make(name)
        present = np.array([True, True, False])
        for step in range(4):
            columns = make_columns(step)
            for column in columns:
                column[2] = np.zeros_like(column[2])
            result = step_of(method, columns, [0, 0, 0], present)
            if name == "dbmtl":
                expected = pair(flat(columns)[:2], losses=LOSSES[:2])
                np.testing.assert_allclose(
                    flat_result(result), expected, rtol=1e-4, atol=1e-5
                )
        weights = ops.convert_to_numpy(result.weights)
        assert weights[2] == 0 and (weights[:2] > 0).any()

    @pytest.mark.slow
    @each_method
    def test_nobody_is_present(self, name):
        method = ready(name, 1)
        step_of(method, make_columns(0), [0, 0, 0])
        nobody = np.array([False] * 3)
        columns = [
            [None if g is None else 0 * g for g in column]
            for column in make_columns(1)
        ]
        result = step_of(method, columns, [0, 0, 0], nobody)
        np.testing.assert_array_equal(flat_result(result), np.zeros(12))
        assert all(np.isfinite(value).all() for value in values(method))


def make_model(name, jit_compile=False, **arguments):
    inputs = keras.Input((3,))
    first = layers.Dense(4, "tanh", name="first")(inputs)
    shared = layers.Dense(2, "tanh", name="shared")(first)
    outputs = {task: layers.Dense(1, name=task)(shared) for task in "ab"}
    # One task alone has this layer, and another is out of its reach.
    outputs["c"] = layers.Dense(1, name="c")(layers.Dense(2)(first))
    model = MultiTaskModel(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(0.05),
        {task: "mse" for task in "abc"},
        aggregator=make(name, **arguments),
        jit_compile=jit_compile,
    )
    return model


def make_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 3)).astype("float32")
    target = x.sum(axis=1, keepdims=True)
    return x, {"a": target, "b": -target + 1, "c": target**2}


class TestInAModel:
    # XLA takes long to compile, so it compiles one of the two.
    @pytest.mark.slow
    @each_method
    def test_fit_by_layer(self, name):
        model = make_model(name, jit_compile=True, granularity="layer")
        history = model.fit(
            *make_data(), batch_size=8, epochs=3, shuffle=False, verbose=0
        )
        assert history.history["loss"][-1] < history.history["loss"][0]
        assert all(np.isfinite(v).all() for v in values(model.aggregator))

    @pytest.mark.parametrize("name", slow_except(METHODS))
    def test_save_and_go_on(self, name, tmp_path):
        model = make_model(name)
        model.fit(*make_data(), batch_size=8, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        kept = values(model.aggregator)
        assert len(kept) > 8
        for old, new in zip(kept, values(loaded.aggregator)):
            np.testing.assert_array_equal(new, old)
        for net in (model, loaded):
            net.fit(*make_data(), batch_size=8, shuffle=False, verbose=0)
        for one, other in zip(
            [*model.get_weights(), *values(model.aggregator)],
            [*loaded.get_weights(), *values(loaded.aggregator)],
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)

    @each_method
    def test_not_at_a_representation(self, name):
        model = make_model(name)
        with pytest.raises(ValueError, match=make(name).forgetting_hint):
            model.compile(
                "sgd",
                {task: "mse" for task in "abc"},
                aggregator=make(name),
                representation="first",
            )


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
