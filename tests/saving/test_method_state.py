"""The layer that holds the variables of methods for the model."""

import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators import Projection
from keras_mtl.methods import GradientSpec
from keras_mtl.saving.method_state import MethodState
from keras_mtl.weightings import GradNorm
from keras_mtl.weightings import Uncertainty
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

# For small models the faster way on each backend.
EAGERLY = keras.backend.backend() == "tensorflow"


def make_methods():
    projection = Projection(main_task=0)
    projection.build(GradientSpec(2, (2,), ((2, 3), (3,)), ("a", "b")))
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
    path = tf.train.Checkpoint(
        state=held(**dict(zip(roles, methods[0], strict=True)))
    ).save(tmp_path / "step")
    state = MethodState()
    if order == "hold_first":
        state.hold(**dict(zip(roles, methods[1], strict=True)))
    status = tf.train.Checkpoint(state=state).restore(path)
    if order == "restore_first":
        state.hold(**dict(zip(roles, methods[1], strict=True)))
    status.assert_consumed()
    for one, other in zip(*methods, strict=True):
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


@pytest.mark.filterwarnings("ignore:The file does not hold all")
def test_state_of_other_tasks_is_left_aside():
    _, uncertainty = make_methods()
    store = saved(held(weighting=uncertainty))
    other = Uncertainty()
    other.build(["a", "b", "c"])
    state = held(weighting=other)
    with pytest.warns(UserWarning, match="or of other tasks"):
        state.load_own_variables(store)
    np.testing.assert_array_equal(other.log_variance, np.zeros(3))


@pytest.mark.parametrize("order", ["load_first", "hold_first"])
def test_state_that_a_file_lacks_is_named(order):
    projection, uncertainty = make_methods()
    store = saved(held(aggregator=projection, weighting=uncertainty))
    lacking = "aggregator.projection.reference.1"
    del store[lacking]
    methods = dict(
        zip(("aggregator", "weighting"), make_methods(), strict=True)
    )
    state = MethodState()
    with pytest.warns(UserWarning, match="fresh start") as warned:
        if order == "load_first":
            state.load_own_variables(store)
            state.hold(**methods)
        else:
            state.hold(**methods)
            state.load_own_variables(store)
    (warning,) = warned
    assert f"Missing: ['{lacking}']" in str(warning.message)


@pytest.mark.parametrize("order", ["load_first", "hold_first"])
def test_files_without_state_leave_the_methods_fresh_and_say_so(order):
    projection, uncertainty = make_methods()
    state = MethodState()
    with pytest.warns(UserWarning, match="fresh start.*reference.0") as warned:
        if order == "load_first":
            state.load_own_variables({})
        state.hold(aggregator=projection, weighting=uncertainty)
        before = saved(state)
        if order == "hold_first":
            state.load_own_variables({})
    # NumPy has words of its own, about Keras' variables.
    assert sum("fresh start" in str(w.message) for w in warned) == 1
    assert all(np.array_equal(v, before[k]) for k, v in saved(state).items())


def test_methods_that_had_not_begun_lack_nothing():
    """Saved before the first batch of a subclassed model."""
    waiting = MethodState()
    waiting.hold()
    waiting.await_tasks()
    store = saved(waiting)
    state = MethodState()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        state.load_own_variables(store)
        state.hold(aggregator=make_methods()[0])
    # What it holds by now is not that of the file.
    with pytest.warns(UserWarning, match="fresh start"):
        state.load_own_variables(store)
    assert not saved(MethodState())
    assert waiting.variables == []


class Wrapped(PCGrad):
    """With a seed in what it holds."""

    def __init__(self):
        super().__init__(seed=3, name="wrapped")
        self.inner = self.add_method("inner", PCGrad(seed=4))


@pytest.mark.parametrize("order", ["load_first", "hold_first"])
@pytest.mark.parametrize("make", [lambda: PCGrad(seed=3), Wrapped])
def test_seeds_may_be_lacking(order, make):
    """As they are of Dropout in every file of weights."""
    state = MethodState()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        if order == "load_first":
            state.load_own_variables({})
        state.hold(aggregator=make())
        state.load_own_variables({})
    assert saved(state)["aggregator." + make().name + ".seed_generator"][0] == 3


def test_says_it_once():
    state = MethodState()
    state.load_own_variables({})
    with pytest.warns(UserWarning, match="fresh start"):
        state.hold(aggregator=make_methods()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        state.hold()
        state.hold(aggregator=make_methods()[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_state_that_is_not_finite_is_named(value):
    projection, _ = make_methods()
    projection.reference[1].assign([0.0, value, 0.0])
    store = saved(held(aggregator=projection))
    state = held(aggregator=make_methods()[0])
    with pytest.warns(UserWarning, match="reference.1' is not finite"):
        state.load_own_variables(store)


class Pair(PCGrad):
    """Two variables that look alike, made in one order or in the other."""

    def __init__(self, names):
        super().__init__(seed=1, name="pair")
        for name in names:
            setattr(self, name, self.add_state(name, (2,)))


def test_names_and_not_places_say_what_is_what(tmp_path):
    one, other = Pair(["left", "right"]), Pair(["right", "left"])
    one.left.assign([1.0, 2.0])
    one.right.assign([3.0, 4.0])
    held(aggregator=other).load_own_variables(saved(held(aggregator=one)))
    np.testing.assert_array_equal(other.left, [1.0, 2.0])
    np.testing.assert_array_equal(other.right, [3.0, 4.0])


class Swapped(GradNorm):
    """The same, with two lines in another order."""

    def create_state(self, task_names):
        shape = (len(task_names),)
        self.first_losses = self.add_state("first_losses", shape)
        self.task_weights = self.add_state("task_weights", shape, "ones")


def test_lines_of_a_method_may_be_swapped():
    one, other = GradNorm(name="grad_norm"), Swapped(name="grad_norm")
    for method in (one, other):
        method.build(["a", "b"])
    one.task_weights.assign([0.5, 1.5])
    one.first_losses.assign([3.0, 4.0])
    held(weighting=other).load_own_variables(saved(held(weighting=one)))
    np.testing.assert_array_equal(other.task_weights, [0.5, 1.5])
    np.testing.assert_array_equal(other.first_losses, [3.0, 4.0])


def old_store(**methods):
    """What files held before variables had names: places."""
    return {
        f"{role}.{method.name}.{index}": np.array(variable)
        for role, method in methods.items()
        for index, variable in enumerate(method.variables)
    }


def test_old_files_load_by_place():
    methods = dict(
        zip(("aggregator", "weighting"), make_methods(), strict=True)
    )
    for method in methods.values():
        for variable in method.variables:
            variable.assign(keras.random.normal(variable.shape))
    state = held(**dict(zip(methods, make_methods(), strict=True)))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        state.load_own_variables(old_store(**methods))
    expected = saved(held(**methods))
    for key, value in saved(state).items():
        np.testing.assert_array_equal(value, expected[key])


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow"
)
@pytest.mark.parametrize("order", ["restore_first", "hold_first"])
def test_old_checkpoints_restore_by_place(order, tmp_path):
    methods = [make_methods()[0], make_methods()[0]]
    old = tf.__internal__.tracking.AutoTrackable()
    for index, variable in enumerate(methods[0].variables):
        variable.assign(keras.random.normal(variable.shape))
        old._track_trackable(variable, f"aggregator.projection.{index}")
    path = tf.train.Checkpoint(state=old).save(tmp_path / "step")
    state = MethodState()
    if order == "hold_first":
        state.hold(aggregator=methods[1])
    status = tf.train.Checkpoint(state=state).restore(path)
    if order == "restore_first":
        state.hold(aggregator=methods[1])
    status.assert_consumed()
    for one, other in zip(*(m.variables for m in methods), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


class TestModel:
    """Seen from the model, the state is no layer."""

    @pytest.mark.parametrize("aggregator", [None, "mo_co"])
    def test_layers_and_summary_are_those_of_the_user(self, aggregator):
        model, plain = make_subclassed(MultiTaskModel), make_subclassed()
        model.compile("sgd", "mse", aggregator=aggregator, run_eagerly=EAGERLY)
        train(model)
        plain(np.zeros((1, 4), "float32"))
        assert model.layers == [model.shared, model.a, model.b]
        assert model.get_layer(index=0) is model.shared
        # A list, as Keras' own is.
        assert model._flatten_layers(include_self=False) == model.layers
        for one in (model, plain):
            assert len(one.get_weights()) == 6
            assert one.count_params() == 3 * 4 + 3 + 2 * (3 + 1)
        lines = []
        model.summary(print_fn=lines.append)
        assert "method_state" not in "".join(lines)
        if aggregator is not None:
            held = {id(v) for v in model.method_state.variables}
            assert held and held <= {id(v) for v in model.variables}

    def test_layers_of_a_model_within_a_model(self):
        within, inputs = make_functional(), keras.Input((4,))
        plain = keras.Model(within.inputs, within.output)
        ours = MultiTaskModel(inputs, within(inputs))
        plain = keras.Model(inputs, plain(inputs))
        assert len(ours._flatten_layers()) == len(plain._flatten_layers())

    @pytest.mark.usefixtures("no_garbage_collection")
    @pytest.mark.slow
    @pytest.mark.parametrize("within", [False, True])
    def test_a_quantized_model_is_compiled_and_trained_on(self, within):
        model = make_functional()
        quantized = model
        if within:
            inputs = keras.Input((4,))
            quantized = keras.Model(inputs, model(inputs))
        model.compile("sgd", "mse", aggregator="pcgrad", run_eagerly=EAGERLY)
        train(model)
        quantized.quantize("int8")
        model.compile("sgd", "mse", aggregator="mo_co", run_eagerly=EAGERLY)
        train(model)
        steps = np.array(model.aggregator.steps)
        np.testing.assert_array_equal(steps, [1.0, 1.0])

    @pytest.mark.slow
    @pytest.mark.parametrize("ending", ["keras", "weights.h5"])
    def test_a_file_without_the_state_says_so(self, ending, tmp_path):
        path = tmp_path / f"model.{ending}"
        model = make_functional()
        model.compile("sgd", "mse", aggregator="mo_co", run_eagerly=EAGERLY)
        train(model)
        model.save(path) if ending == "keras" else model.save_weights(path)
        drop_from_file(path, "aggregator.mo_co.averages.0")
        other = make_functional()
        other.compile("sgd", "mse", aggregator="mo_co", run_eagerly=EAGERLY)
        with pytest.warns(UserWarning, match="mo_co.averages.0'"):
            if ending == "keras":
                keras.saving.load_model(path)
            else:
                other.load_weights(path)

    @pytest.mark.parametrize("make", ["functional", "subclassed"])
    @pytest.mark.parametrize("aggregator", ["mo_co", "pcgrad"])
    @pytest.mark.parametrize(
        "first", slow_except(["compile", "load", None], "load")
    )
    def test_weights_of_a_plain_model(self, make, aggregator, first, tmp_path):
        """A method that begins anew says so, unless it is compiled later."""
        model = make_model(make)
        model.save_weights(tmp_path / "x.weights.h5")
        model = make_model(make)
        if first == "load":
            model.load_weights(tmp_path / "x.weights.h5")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.compile(
                "sgd", "mse", aggregator=aggregator, run_eagerly=EAGERLY
            )
            if first == "compile":
                model.load_weights(tmp_path / "x.weights.h5")
            train(model)
            train(model)
        said = [w for w in caught if "fresh start" in str(w.message)]
        expected = first == "compile" and aggregator == "mo_co"
        assert len(said) == expected

    @pytest.mark.slow
    @pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
    def test_weights_of_one_that_was_not_trained(self, ending, tmp_path):
        """Nothing was lost, so nothing is said."""
        models = [make_model("subclassed") for _ in range(2)]
        for model in models:
            model.compile(
                "sgd",
                "mse",
                aggregator="mo_co",
                weighting="uncertainty",
                run_eagerly=EAGERLY,
            )
        path = tmp_path / f"x{ending}"
        with warnings.catch_warnings():
            warnings.filterwarnings("error", ".*fresh start")
            if ending == ".keras":
                models[0].save(path)
            else:
                models[0].save_weights(path)
            models[1].load_weights(path)
            for model in models:
                train(model)
        for left, right in zip(*[m.get_weights() for m in models], strict=True):
            # Two programs for XLA may differ in a last digit.
            np.testing.assert_allclose(left, right, rtol=1e-5)


def make_model(kind):
    if kind == "functional":
        return make_functional()
    model = make_subclassed(MultiTaskModel)
    model(np.zeros((1, 4), "float32"))
    return model


def make_functional():
    inputs = keras.Input((4,))
    shared = keras.layers.Dense(3, name="shared")(inputs)
    outputs = {t: keras.layers.Dense(1, name=t)(shared) for t in "ab"}
    return MultiTaskModel(inputs, outputs)


def make_subclassed(base=keras.Model):
    class Model(base):
        def __init__(self):
            super().__init__()
            self.shared = keras.layers.Dense(3)
            self.a = keras.layers.Dense(1)
            self.b = keras.layers.Dense(1)

        def call(self, inputs):
            shared = self.shared(inputs)
            return {"a": self.a(shared), "b": self.b(shared)}

    return Model()


def train(model):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
    y = {t: x[:, :1] for t in "ab"}
    model.fit(x, y, batch_size=8, verbose=0)


def drop_from_file(path, key):
    """Takes one variable of the method out of a file."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(path.parent)
        inner = path.parent / "model.weights.h5"
        drop_from_file(inner, key)
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("metadata.json", "config.json", inner.name):
                archive.write(path.parent / name, name)
        return
    with h5py.File(path, "r+") as file:
        del file[f"method_state/vars/{key}"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
