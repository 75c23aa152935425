"""Frozen layers train heads alone; tasks that never share are a mistake."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries
from keras_mtl import aggregators
from keras_mtl import weightings
from keras_mtl.trainers.nothing_shared import frozen_variables
from keras_mtl.trainers.nothing_shared import shared_variables
from tests.tiers import slow_except

pytestmark = pytest.mark.backend

QUICK = {"run_eagerly": True}
LOSS = {"a": "mse", "b": "mse"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 4)).astype("float32")
Y = {name: RNG.normal(size=(8, 1)).astype("float32") for name in "ab"}


def make_model(cls: type = MultiTaskModel) -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    trunk = layers.Dense(3, activation="tanh", name="trunk")(inputs)
    outputs = {name: layers.Dense(1, name=name)(trunk) for name in "ab"}
    return cls(inputs, outputs)


class Subclassed(MultiTaskModel):
    def __init__(self):
        super().__init__()
        self.trunk = layers.Dense(3, activation="tanh", name="trunk")
        self.heads = {name: layers.Dense(1, name=name) for name in "ab"}

    def call(self, inputs):
        features = self.trunk(inputs)
        return {name: self.heads[name](features) for name in "ab"}


def make_subclassed() -> MultiTaskModel:
    keras.utils.set_random_seed(0)
    model = Subclassed()
    model(X)
    return model


def train(model: keras.Model, epochs: int = 2, **methods) -> dict:
    optimizer = keras.optimizers.SGD(0.1)
    model.compile(optimizer, LOSS, **methods, **QUICK)
    return model.fit(X, Y, epochs=epochs, batch_size=8, verbose=0).history


def trunk_of(model: keras.Model) -> layers.Layer:
    return next(layer for layer in model.layers if layer.name == "trunk")


METHODS = {
    "sum": {"aggregator": "sum"},
    "pcgrad": {"aggregator": "pcgrad"},
    "by variable": {"aggregator": aggregators.GradVac(granularity="variable")},
    "of rows": {"aggregator": "con_fig"},
    "elementwise": {"aggregator": "grad_drop"},
    "with averages": {"aggregator": aggregators.MoCo()},
    "with a reference": {"aggregator": aggregators.Projection("a")},
    "representation": {"aggregator": "mgda", "representation": "trunk"},
    "grad_norm": {"weighting": weightings.GradNorm()},
    "grad_norm at": {"weighting": weightings.GradNorm(norm_layer="trunk")},
    "olaux": {"weighting": weightings.OLAUX("a")},
    "uncertainty": {"weighting": "uncertainty"},
    "both": {"aggregator": "pcgrad", "weighting": weightings.GradNorm()},
}
# They leave the losses as they are, at first or always.
PLAIN = set(METHODS) - {"uncertainty"}


@pytest.mark.parametrize(
    "name, make",
    slow_except(
        [(name, make_model) for name in METHODS]
        + [(name, make_subclassed) for name in ("with averages", "both")],
        ("uncertainty", make_model),
        ("both", make_subclassed),
    ),
)
def test_two_phases_need_one_way_to_compile(name, make):
    # Each run with methods of its own, but both phases with the same.
    methods = {
        key: value.from_config(value.get_config())
        if hasattr(value, "from_config")
        else value
        for key, value in METHODS[name].items()
    }
    model = make()
    stock = make_model(keras.Model)
    for part in (model, stock):
        trunk_of(part).trainable = False
    stock.set_weights(model.get_weights())
    frozen = trunk_of(model).get_weights()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        logs = train(model, **methods)
    said = [w for w in caught if "are frozen" in str(w.message)]
    assert len(said) == (0 if name == "uncertainty" else 1)
    for now, before in zip(trunk_of(model).get_weights(), frozen, strict=True):
        np.testing.assert_array_equal(now, before)
    if name in PLAIN:
        # What is not shared trains as in Keras.
        expected = train(stock)
        np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-5)
    if methods.get("aggregator"):
        assert np.all(np.isnan(logs["gradient_conflict"]))

    trunk_of(model).trainable = True
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        logs = train(model, epochs=1, **methods)
    assert np.any(trunk_of(model).get_weights()[0] != frozen[0])
    assert np.isfinite(logs["loss"][0])
    if methods.get("aggregator"):
        assert np.isfinite(logs["gradient_conflict"][0])


@pytest.mark.parametrize("eager", [True, False])
def test_a_representation_over_frozen_layers_sees_no_conflict(eager):
    # The tasks want the opposite of the representation, whose layer is frozen.
    labels = {"a": Y["a"], "b": -Y["a"]}
    conflicts = {}
    for trainable in (True, False):
        model = make_model()
        model.get_layer("b").set_weights(model.get_layer("a").get_weights())
        trunk_of(model).trainable = trainable
        model.compile(
            "sgd",
            LOSS,
            aggregator="pcgrad",
            representation="trunk",
            run_eagerly=eager and QUICK["run_eagerly"],
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            logs = model.train_on_batch(X, labels, return_dict=True)
        said = [w for w in caught if "`gradient_conflict`" in str(w.message)]
        assert len(said) == (not trainable)
        conflicts[trainable] = float(logs["gradient_conflict"])
    assert conflicts[True] in (0.0, 1.0)
    assert np.isnan(conflicts[False])


def test_a_representation_over_nothing_at_all_is_a_mistake():
    class Towers(MultiTaskModel):
        def __init__(self):
            super().__init__()
            self.scale = layers.Rescaling(2.0, name="scale")
            self.heads = {name: layers.Dense(1, name=name) for name in "ab"}

        def call(self, inputs):
            features = self.scale(inputs)
            return {name: self.heads[name](features) for name in "ab"}

    model = Towers()
    with pytest.raises(ValueError, match="No variable is reached by two"):
        train(model, aggregator="mgda", representation="scale")


def test_says_it_once_a_compile():
    model = make_model()
    trunk_of(model).trainable = False
    for _ in range(2):
        with pytest.warns(UserWarning, match="are frozen"):
            train(model, aggregator="pcgrad")
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            model.fit(X, Y, verbose=0)


def test_of_a_subclassed_model_nobody_knows_what_is_shared():
    model = make_subclassed()
    trunk_of(model).trainable = False
    with pytest.warns(
        UserWarning, match="share no layer that trains, and some"
    ):
        train(model, aggregator="pcgrad")


def test_grad_norm_waits_for_the_trunk():
    model = make_model()
    trunk_of(model).trainable = False
    with pytest.warns(UserWarning, match="are frozen"):
        train(model, weighting="grad_norm")
    weights = keras.ops.convert_to_numpy(model.weighting.task_weights)
    np.testing.assert_array_equal(weights, [1.0, 1.0])


@pytest.mark.slow
def test_auxiliaries_on_a_frozen_trunk():
    for as_tasks in (False, True):
        model = add_self_auxiliaries(make_model(), "trunk", as_tasks=as_tasks)
        trunk_of(model).trainable = False
        with pytest.warns(UserWarning, match="are frozen"):
            logs = train(model, aggregator="pcgrad")
        assert logs["a_aux_loss"][1] < logs["a_aux_loss"][0]
        trunk_of(model).trainable = True
        train(model, aggregator="pcgrad")


@pytest.mark.parametrize(
    "methods",
    [{"aggregator": "pcgrad"}, {"weighting": "grad_norm"}, {}],
    ids=str,
)
def test_nothing_trainable_at_all_is_as_in_keras(methods):
    found = []
    for cls, arguments in ((keras.Model, {}), (MultiTaskModel, methods)):
        model = make_model(cls)
        model.trainable = False
        before = model.get_weights()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            logs = train(model, **arguments)
        for now, then in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(now, then)
        said = {str(w.message) for w in caught}
        found.append((logs["loss"], "any trainable weights" in str(said)))
    assert found[0] == found[1]


def test_towers_that_never_meet_are_a_mistake_also_when_frozen():
    inputs = keras.Input((4,))
    towers = {n: layers.Dense(3, name=f"tower_{n}")(inputs) for n in "ab"}
    outputs = {n: layers.Dense(1, name=n)(towers[n]) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    model.get_layer("tower_a").trainable = False
    with pytest.raises(ValueError, match="Let the tasks share layers"):
        model.compile("sgd", LOSS, aggregator="pcgrad")


def test_a_stopped_gradient_is_no_frozen_layer():
    inputs = keras.Input((4,))
    trunk = layers.Dense(3, name="trunk")(inputs)
    trunk = layers.Lambda(keras.ops.stop_gradient, output_shape=(3,))(trunk)
    outputs = {name: layers.Dense(1, name=name)(trunk) for name in "ab"}
    model = MultiTaskModel(inputs, outputs)
    with pytest.raises(ValueError, match="No variable is reached by two"):
        train(model, aggregator="pcgrad")


def test_what_is_frozen_and_what_is_shared():
    model = make_model()
    assert not frozen_variables(model)
    trunk = trunk_of(model)
    trunk.trainable = False
    assert {id(v) for v in frozen_variables(model)} == set(
        map(id, trunk.variables)
    )
    assert shared_variables(model, ["a", "b"]) == set(map(id, trunk.variables))
    assert shared_variables(model, ["a"]) == set()
    assert shared_variables(model, ["a", "a"]) > set(map(id, trunk.variables))
    assert shared_variables(make_subclassed(), ["a", "b"]) is None


def test_moving_averages_are_not_frozen():
    inputs = keras.Input((4,))
    model = MultiTaskModel(inputs, layers.BatchNormalization()(inputs))
    assert not frozen_variables(model)
    model.layers[1].trainable = False
    assert [v.name for v in frozen_variables(model)] == ["gamma", "beta"]


def test_a_frozen_norm_layer_is_no_frozen_trunk():
    inputs = keras.Input((4,))
    first = layers.Dense(3, name="first")(inputs)
    second = layers.Dense(3, name="second", trainable=False)(first)
    outputs = {name: layers.Dense(1, name=name)(second) for name in "ab"}
    model = MultiTaskModel(inputs, outputs)
    with pytest.raises(ValueError, match="`norm_layer`.*is frozen"):
        train(model, weighting=weightings.GradNorm(norm_layer="second"))
    train(model, weighting=weightings.GradNorm(norm_layer="first"))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
