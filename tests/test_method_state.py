"""The layer that holds the variables of methods for the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators import Projection
from keras_mtl.method_state import MethodState
from keras_mtl.weightings import Uncertainty


def make_methods():
    projection = Projection(main_task=0)
    projection.build(["a", "b"])
    projection.build_rows([(2, 3), (3,)], num_tasks=2)
    uncertainty = Uncertainty()
    uncertainty.build(["a", "b"])
    return projection, uncertainty


def held(**methods):
    state = MethodState()
    state.hold(**methods)
    return state


def saved(state):
    store = {}
    state.save_own_variables(store)
    return store


def test_only_trained_variables_are_weights():
    projection, uncertainty = make_methods()
    state = held(aggregator=projection, weighting=uncertainty)
    assert len(state.variables) == 3
    assert state.weights == [uncertainty.log_variance]
    assert state.trainable_variables == [uncertainty.log_variance]


def test_holds_what_it_was_given_last():
    projection, _ = make_methods()
    state = held(aggregator=projection)
    state.hold(aggregator=PCGrad(seed=1), weighting=None)
    assert len(state.variables) == 1


@pytest.mark.parametrize("order", ["load_first", "hold_first"])
def test_loads_before_and_after_the_variables_exist(order):
    projection, uncertainty = make_methods()
    for variable in projection.variables + uncertainty.variables:
        variable.assign(keras.random.normal(variable.shape))
    store = saved(held(aggregator=projection, weighting=uncertainty))
    other_projection, other_uncertainty = make_methods()
    methods = {"aggregator": other_projection, "weighting": other_uncertainty}
    state = MethodState()
    if order == "load_first":
        state.load_own_variables(store)
        state.hold(**methods)
    else:
        state.hold(**methods)
        state.load_own_variables(store)
    loaded = saved(state)
    assert loaded.keys() == store.keys()
    for key, value in store.items():
        np.testing.assert_array_equal(loaded[key], value)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow"
)
@pytest.mark.parametrize("order", ["restore_first", "hold_first"])
def test_is_in_a_checkpoint_of_tensorflow(order, tmp_path):
    methods = [make_methods(), make_methods()]
    for variable in [v for method in methods[0] for v in method.variables]:
        variable.assign(keras.random.normal(variable.shape))
    roles = ("aggregator", "weighting")
    path = tf.train.Checkpoint(state=held(**dict(zip(roles, methods[0])))).save(
        tmp_path / "step"
    )
    state = MethodState()
    if order == "hold_first":
        state.hold(**dict(zip(roles, methods[1])))
    status = tf.train.Checkpoint(state=state).restore(path)
    if order == "restore_first":
        state.hold(**dict(zip(roles, methods[1])))
    status.assert_consumed()
    for one, other in zip(*methods):
        for left, right in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(left.numpy(), right.numpy())


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="is about TensorFlow"
)
def test_a_checkpoint_forgets_methods_that_are_replaced(tmp_path):
    state = held(aggregator=make_methods()[0])
    state.hold()
    path = tf.train.Checkpoint(state=state).save(tmp_path / "step")
    names = [name for name, _ in tf.train.list_variables(path)]
    assert not [name for name in names if "aggregator" in name]


def test_state_of_another_method_is_not_dropped_in_silence():
    projection, _ = make_methods()
    store = saved(held(aggregator=projection))
    state = held(aggregator=PCGrad(seed=0))
    with pytest.warns(UserWarning, match="compile with it before"):
        state.load_own_variables(store)


def test_state_of_other_tasks_is_left_aside():
    _, uncertainty = make_methods()
    store = saved(held(weighting=uncertainty))
    other = Uncertainty()
    other.build(["a", "b", "c"])
    state = held(weighting=other)
    with pytest.warns(UserWarning, match="or of other tasks"):
        state.load_own_variables(store)
    np.testing.assert_array_equal(other.log_variance, np.zeros(3))


def test_files_without_state_leave_the_methods_fresh():
    state = held(aggregator=PCGrad(seed=3))
    before = saved(state)
    state.load_own_variables({})
    assert all(np.array_equal(v, before[k]) for k, v in saved(state).items())


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
