"""Copies of towers: what they do to the trunk, and that they stay frozen."""

import random
import warnings

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import add_auxiliary_towers
from keras_mtl import strip_auxiliaries
from keras_mtl.auxiliaries import AuxiliaryTowers
from keras_mtl.losses import PerColumn
from tests.auxiliary_models import CROSS_ENTROPY
from tests.auxiliary_models import EAGERLY
from tests.auxiliary_models import EXAMPLES
from tests.auxiliary_models import LOSS
from tests.auxiliary_models import make_data
from tests.auxiliary_models import make_model
from tests.tiers import slow

pytestmark = pytest.mark.backend

TRUNK = "shared"


def with_towers(weight=1.0, **arguments):
    keras.utils.set_random_seed(0)
    model = make_model(**arguments.pop("model", {}))
    return add_auxiliary_towers(model, TRUNK, weight=weight, **arguments)


def values_of(variables):
    return [np.copy(keras.ops.convert_to_numpy(v)) for v in variables]


def assert_same_bits(before, after):
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def busy_model():
    """Towers with all that a copy may get wrong."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((12,))
    shared = layers.Dense(9, activation="relu", name=TRUNK)(inputs)
    twice = layers.Dense(
        9,
        name="twice",
        kernel_initializer=keras.initializers.GlorotUniform(seed=3),
        kernel_regularizer="l2",
    )
    left = layers.BatchNormalization()(twice(twice(shared)))
    left = layers.Dropout(0.3)(left) * 2.0 + keras.ops.sin(left)
    left = layers.Dense(10, activation="softmax", name="left")(left)
    nested = keras.Sequential([keras.Input((9,)), layers.Dense(4)])
    right = layers.Dense(1, name="right")(nested(shared))
    return keras.Model(inputs, {"left": left, "right": right})


class TestCopies:
    @pytest.mark.parametrize("copies", [slow(2), 3, slow(4)])
    def test_have_the_shape_of_the_tower_and_weights_of_their_own(self, copies):
        model = with_towers(copies=copies)
        shapes = {
            "left": [(50, 8), (8,), (8, 10), (10,)],
            "right": [(50, 1), (1,)],
        }
        for task, head in model.auxiliaries.heads.items():
            assert len(head.towers) == copies
            main = model.get_layer(f"{task}_hidden" if task == "left" else task)
            kernels = [main.kernel, *(t.weights[0] for t in head.towers)]
            for tower in head.towers:
                assert [w.shape for w in tower.weights] == shapes[task]
            kernels = values_of(kernels)
            for place, kernel in enumerate(kernels):
                for other in kernels[:place]:
                    assert np.abs(kernel - other).max() > 1e-2
        # As many to train as without.
        assert len(model.trainable_variables) == len(make_model().variables)

    def test_of_busy_towers(self):
        """Shared layers stay shared, seeds differ, operations are kept."""
        main = busy_model()
        model = add_auxiliary_towers(main, TRUNK, copies=2)
        left, right = model.auxiliaries.heads.values()
        names = {layer.name for layer in main.layers}
        for tower in left.towers:
            # One of "twice", four of batch normalization, one of "left".
            assert len(tower.weights) == 8
            assert names.isdisjoint(layer.name for layer in tower.layers)
        seeded = [main.get_layer("twice").kernel]
        seeded += [tower.weights[0] for tower in left.towers]
        first, second, third = values_of(seeded)
        assert (
            min(
                np.abs(first - second).max(),
                np.abs(first - third).max(),
                np.abs(second - third).max(),
            )
            > 1e-2
        )
        assert [len(tower.weights) for tower in right.towers] == [4, 4]

    def test_compute_what_the_tower_does(self):
        main = busy_model()
        model = add_auxiliary_towers(main, TRUNK, copies=1)
        x, _ = make_data()
        trunk = keras.Model(main.input, main.get_layer(TRUNK).output)
        expected = model.predict(x, verbose=0)
        weights = {
            "left": ["twice", "batch_normalization", "left"],
            "right": ["sequential", "right"],
        }
        for task, head in model.auxiliaries.heads.items():
            (tower,) = head.towers
            own = [
                layer
                for layer in main.layers
                if any(layer.name.startswith(n) for n in weights[task])
            ]
            tower.set_weights([w for o in own for w in o.get_weights()])
            found = tower(trunk(x), training=False)
            np.testing.assert_allclose(found, expected[task], atol=1e-5)

    def test_adding_them_changes_nothing(self):
        model = make_model()
        x, _ = make_data()
        before = model.predict(x, verbose=0)
        state = random.getstate()
        new = add_auxiliary_towers(model, TRUNK)
        assert random.getstate() == state
        for task, outputs in new.predict(x, verbose=0).items():
            np.testing.assert_array_equal(outputs, before[task])
        served = strip_auxiliaries(new)
        assert len(served.variables) == len(model.variables)

    def test_of_a_sequential_model(self):
        layers_ = [layers.Dense(3, name=TRUNK), layers.Dense(1, name="out")]
        model = keras.Sequential([keras.Input((4,)), *layers_])
        found = add_auxiliary_towers(model, TRUNK, copies=1)
        assert len(found.auxiliaries.weights) == 2


class TestTraining:
    @pytest.mark.parametrize("methods", [slow({}), {"aggregator": "sum"}])
    def test_the_step_is_that_of_the_joint_loss(self, methods):
        """In float64 by hand: the trunk learns from all, towers from none."""
        x, y = make_data()
        model = linear_model(0.7, frozen=True)
        model.compile(
            keras.optimizers.SGD(0.1),
            {"a": "mse", "b": "mse"},
            jit_compile=False,
            **methods,
        )
        targets = {"a": y["right"], "b": 2 * y["right"] - 1}
        start = by_hand(model)
        frozen = values_of(model.auxiliaries.weights)
        logs = model.train_on_batch(x, targets, return_dict=True)
        assert_same_bits(frozen, values_of(model.auxiliaries.weights))
        expected, losses = step_by_hand(start, x, targets, 0.7, 0.1)
        found = by_hand(model)
        # Some weights are nearly zero.
        near = dict(rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found["trunk"], expected["trunk"], **near)
        for task in "ab":
            np.testing.assert_allclose(found[task][0], expected[task], **near)
            np.testing.assert_allclose(
                logs[f"{task}_aux_loss"], losses[task], rtol=1e-5
            )

    def test_thawed_copies_train(self):
        """The large auxiliary towers of the paper's ablation."""
        x, y = make_data()
        model = with_towers(copies=1, frozen=False)
        start = values_of(model.auxiliaries.weights)
        model.compile("sgd", LOSS, aggregator="sum", run_eagerly=EAGERLY)
        model.train_on_batch(x, y)
        after = values_of(model.auxiliaries.weights)
        assert not any(
            np.array_equal(a, b) for a, b in zip(start, after, strict=True)
        )

    @pytest.mark.slow
    def test_as_tasks_of_their_own(self):
        x, y = make_data()
        folded, apart = (with_towers(0.5, as_tasks=f) for f in (False, True))
        for model in (folded, apart):
            model.compile("sgd", LOSS, aggregator="sum", run_eagerly=EAGERLY)
            model.train_on_batch(x, y)
        assert apart.task_names == ["left", "right", "left_aux", "right_aux"]
        for one, other in zip(
            values_of(folded.trainable_variables),
            values_of(apart.trainable_variables),
            strict=True,
        ):
            np.testing.assert_allclose(one, other, atol=1e-6)

    @pytest.mark.parametrize("loss", ["mse", slow("columns")])
    def test_equal_towers_have_equal_losses(self, loss):
        """Of masked steps, weighted examples, and of columns, too."""
        inputs = keras.Input((5,), dtype="int32")
        x = layers.Embedding(7, 4, mask_zero=True)(inputs)
        shared = layers.Dense(4, name=TRUNK)(x)
        outputs = {n: layers.Dense(2, name=n)(shared) for n in "ab"}
        main = keras.Model(inputs, outputs)
        model = add_auxiliary_towers(main, TRUNK, copies=3)
        for task, head in model.auxiliaries.heads.items():
            head.set_weights(3 * main.get_layer(task).get_weights())
        made = loss if loss == "mse" else PerColumn("mae", ["c", "d"])
        model.compile("sgd", {"a": made, "b": "mse"}, run_eagerly=EAGERLY)
        rng = np.random.default_rng(0)
        x = rng.integers(0, 7, (6, 5))
        y = {n: rng.normal(size=(6, 5, 2)) for n in "ab"}
        weights = {n: rng.uniform(1, 2, (6, 5)) for n in "ab"}
        logs = model.train_on_batch(x, y, weights, return_dict=True)
        names = [name for name in logs if name.endswith("_aux_loss")]
        assert len(names) == len(model.task_names)
        for name in names:
            main_loss = logs[name.replace("_aux", "")]
            np.testing.assert_allclose(logs[name], 3 * main_loss, rtol=1e-5)

    @pytest.mark.slow
    def test_missing_labels_count_once(self):
        """An example without a label teaches no copy."""
        x, y = make_data()
        labels = y["right"].copy()
        labels[: EXAMPLES // 2] = np.nan
        logs = {}
        for name, examples in (("all", slice(None)), ("half", slice(24, None))):
            model = with_towers(tasks=["right"])
            model.compile(
                "sgd", LOSS, missing_label=np.nan, run_eagerly=EAGERLY
            )
            logs[name] = model.train_on_batch(
                x[examples],
                {"left": y["left"][examples], "right": labels[examples]},
                return_dict=True,
            )
        np.testing.assert_allclose(
            logs["all"]["right_aux_loss"],
            logs["half"]["right_aux_loss"],
            rtol=1e-5,
        )


def linear_model(weight, **arguments):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((12,))
    shared = layers.Dense(3, use_bias=False, name=TRUNK)(inputs)
    outputs = {n: layers.Dense(1, use_bias=False, name=n)(shared) for n in "ab"}
    model = keras.Model(inputs, outputs)
    return add_auxiliary_towers(
        model, TRUNK, copies=3, weight=weight, **arguments
    )


def by_hand(model):
    """The kernels in float64: the trunk, and the towers of each task."""
    found = {"trunk": model.get_layer(TRUNK).get_weights()[0]}
    for task, head in model.auxiliaries.heads.items():
        main = model.get_layer(task).get_weights()
        found[task] = np.array([*main, *head.get_weights()], "float64")
    found["trunk"] = np.array(found["trunk"], "float64")
    return found


def step_by_hand(start, x, targets, weight, rate):
    """One step, and the sum of the losses of the copies."""
    x = np.asarray(x, "float64")
    hidden = x @ start["trunk"]
    stepped, losses = {"trunk": start["trunk"].copy()}, {}
    for task, target in targets.items():
        losses[task] = 0.0
        for place, kernel in enumerate(start[task]):
            error = hidden @ kernel - target
            factor = 1.0 if place == 0 else weight
            slope = 2 * error / len(x)
            stepped["trunk"] -= rate * factor * x.T @ (slope @ kernel.T)
            if place == 0:
                stepped[task] = kernel - rate * hidden.T @ slope
            else:
                losses[task] += (error**2).mean()
    return stepped, losses


class TestFrozen:
    def test_to_the_bit_after_fit_and_files(self, tmp_path):
        x, y = make_data()
        model = add_auxiliary_towers(busy_model(), TRUNK, copies=2)
        before = values_of(model.auxiliaries.weights)
        assert len(before) == 2 * 8 + 2 * 4
        model.compile("adam", LOSS, aggregator="pcgrad", run_eagerly=EAGERLY)
        arguments = dict(batch_size=EXAMPLES, verbose=0)
        model.fit(x, y, epochs=2, **arguments)
        assert_same_bits(before, values_of(model.auxiliaries.weights))
        model.save(tmp_path / "model.keras")
        with warnings.catch_warnings():
            # Such as that the state of the optimizer does not fit.
            warnings.simplefilter("error", UserWarning)
            loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert_same_bits(before, values_of(loaded.auxiliaries.weights))
        assert not loaded.auxiliaries.trainable_variables
        assert [v.shape for v in loaded.trainable_variables] == [
            v.shape for v in model.trainable_variables
        ]
        trunk = values_of(loaded.get_layer(TRUNK).weights)
        loaded.fit(x, y, **arguments)
        assert_same_bits(before, values_of(loaded.auxiliaries.weights))
        moved = values_of(loaded.get_layer(TRUNK).weights)
        assert not np.array_equal(trunk[0], moved[0])
        clone = keras.models.clone_model(loaded)
        assert not clone.auxiliaries.trainable_variables
        assert len(clone.auxiliaries.weights) == len(before)

    def test_in_files_of_weights(self, tmp_path):
        model = with_towers()
        model.save_weights(tmp_path / "model.weights.h5")
        other = add_auxiliary_towers(make_model(), TRUNK)
        before = values_of(model.auxiliaries.weights)
        assert not np.array_equal(
            before[0], values_of(other.auxiliaries.weights)[0]
        )
        other.load_weights(tmp_path / "model.weights.h5")
        assert_same_bits(before, values_of(other.auxiliaries.weights))

    def test_the_layer_alone(self):
        towers = AuxiliaryTowers(
            [layers.Dense(2), layers.Dense(2)], trainable=False
        )
        towers.build((None, 3))
        assert not towers.trainable_variables and len(towers.weights) == 4
        copy = AuxiliaryTowers.from_config(towers.get_config())
        assert [p.shape for p in copy(np.ones((5, 3)))] == [(5, 2)] * 2
        assert len(copy.weights) == 4
        assert not any(v.trainable for v in copy.variables)


class NoConfig(layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.inner = layers.Dense(units)

    def call(self, x):
        return self.inner(x)


def around():
    inputs = keras.Input((12,), name="features")
    shared = layers.Dense(4, name=TRUNK)(inputs)
    joined = layers.Concatenate()([shared, inputs])
    return keras.Model(inputs, layers.Dense(1, name="out")(joined))


def bare():
    inputs = keras.Input((12,))
    shared = layers.Dense(4, name=TRUNK)(inputs)
    return keras.Model(inputs, layers.Activation("relu", name="out")(shared))


def own_layer():
    inputs = keras.Input((12,))
    shared = layers.Dense(4, name=TRUNK)(inputs)
    return keras.Model(inputs, NoConfig(3)(shared))


@pytest.mark.parametrize(
    "make, arguments, message",
    [
        (make_model, {"copies": 0}, "`copies` must be an integer"),
        (make_model, {"copies": 1.5}, "`copies` must be an integer"),
        (make_model, {"weight": -1.0}, "`weight` must be a number"),
        (make_model, {"frozen": 1}, "`frozen` must be"),
        (make_model, {"tasks": ["middle"]}, "middle"),
        (around, {}, "'out' does not read.*input 'features' around it"),
        (bare, {}, "'out'.*has no weights"),
        (own_layer, {}, "cannot be copied: its layer"),
        (lambda: with_towers(), {}, "has auxiliaries already"),
    ],
)
def test_bad_input(make, arguments, message):
    with pytest.raises(ValueError, match=message):
        add_auxiliary_towers(make(), TRUNK, **arguments)


def test_quantized_towers_are_refused():
    model = make_model()
    model.get_layer("right").quantize("int8")
    with pytest.raises(ValueError, match="'right' is quantized"):
        add_auxiliary_towers(model, TRUNK)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_in_other_types(policy):
    if (keras.backend.backend(), policy) == ("jax", "float64"):
        pytest.skip("JAX is in 32 bits")
    keras.config.set_dtype_policy(policy)
    x, y = make_data()
    model = with_towers()
    before = values_of(model.auxiliaries.weights)
    model.compile("adam", {"left": CROSS_ENTROPY, "right": "mse"})
    history = model.fit(x, y, verbose=0).history
    assert np.isfinite(history["left_aux_loss"]).all()
    assert_same_bits(before, values_of(model.auxiliaries.weights))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
