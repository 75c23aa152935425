"""Self-auxiliaries: what they do to training, and that serving sees none."""

import json
import random
import warnings
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl.aggregators import PCGrad
from keras_mtl.auxiliaries.auxiliary_towers import add_auxiliary_towers
from keras_mtl.auxiliaries.self_auxiliaries import SelfAuxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import add_self_auxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import strip_auxiliaries
from keras_mtl.layers import SelfAuxiliaryHead
from tests.auxiliary_models import CROSS_ENTROPY
from tests.auxiliary_models import EAGERLY
from tests.auxiliary_models import EXAMPLES
from tests.auxiliary_models import LOSS
from tests.auxiliary_models import fresh
from tests.auxiliary_models import make_data
from tests.auxiliary_models import make_model
from tests.tiers import slow
from tests.tiers import slow_except

pytestmark = pytest.mark.backend


def next_name(name: str) -> str:
    """The name that Keras gives after another: dense, dense_1, dense_2."""
    stem, _, number = name.partition("_")
    return f"{stem}_{int(number or 0) + 1}"


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Weights by path, without those of the auxiliaries."""
    return {
        v.path: keras.ops.convert_to_numpy(v)
        for v in model.trainable_variables
        if "_aux" not in v.path
    }


def auxiliary_weights_of(model: keras.Model) -> list[np.ndarray]:
    return [np.copy(w) for w in model.auxiliaries.get_weights()]


def assert_same_weights(one: keras.Model, other: keras.Model, atol: float):
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for path in one:
        np.testing.assert_allclose(
            one[path], other[path], atol=atol, rtol=0, err_msg=path
        )


def sgd_step(model: keras.Model, **compile_arguments) -> dict[str, np.ndarray]:
    """What one step of gradient descent subtracts from each weight."""
    x, y = make_data()
    arguments = {"loss": LOSS, **compile_arguments}
    model.compile(keras.optimizers.SGD(1.0), run_eagerly=EAGERLY, **arguments)
    before = weights_of(model)
    model.train_on_batch(x, y)
    after = weights_of(model)
    return {path: before[path] - after[path] for path in before}


class TestHeads:
    def test_one_for_each_task_with_its_units_and_activation(self):
        model = fresh(0.5, temperature=3.0)
        heads = model.auxiliaries.heads
        assert {task: h.units for task, h in heads.items()} == {
            "left": 10,
            "right": 1,
        }
        assert heads["left"].activation is keras.activations.softmax
        assert heads["right"].activation is keras.activations.linear
        assert {h.temperature for h in heads.values()} == {3.0}
        assert model.auxiliaries.weight == 0.5
        assert model.auxiliaries.as_tasks is False
        assert model.auxiliaries.representation == "shared"

    @pytest.mark.parametrize(
        "arguments, width, parameters",
        [
            ({}, 50, 510),
            ({"bottleneck": 8}, 50, 498),
            ({"pool_size": 20}, 200, 110),
        ],
    )
    def test_parameter_counts_of_the_paper(self, arguments, width, parameters):
        model = fresh(1.0, model={"width": width}, tasks=["left"], **arguments)
        assert model.auxiliaries.count_params() == parameters

    def test_pooled_head_of_one_unit_has_eleven_parameters(self):
        arguments = {"tasks": "right", "pool_size": 20}
        model = fresh(1.0, model={"width": 200}, **arguments)
        assert list(model.auxiliaries.heads) == ["right"]
        assert model.auxiliaries.count_params() == 11

    def test_predict_in_the_form_of_the_outputs(self):
        model = fresh(1.0)
        shared = keras.random.normal((4, 50))
        predictions = model.auxiliaries(shared)
        assert predictions["left"].shape == (4, 10)
        assert predictions["right"].shape == (4, 1)
        sums = keras.ops.sum(predictions["left"], axis=-1)
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(sums), np.ones(4), atol=1e-5
        )


class TestAddingChangesNothing:
    def test_same_variables_same_outputs_and_uncompiled(self):
        model = make_model()
        model.compile("adam", LOSS)
        x, _ = make_data()
        before = model.predict(x, verbose=0)
        new = add_self_auxiliaries(model, "shared")
        after = new.predict(x, verbose=0)
        for task in before:
            np.testing.assert_array_equal(before[task], after[task])
        own = {id(v) for v in new.variables}
        assert all(id(v) in own for v in model.variables)
        assert len(new.variables) == len(model.variables) + 4
        assert isinstance(new, MultiTaskModel)
        assert new.name == model.name
        assert not new.compiled and model.compiled

    def test_randomness_and_names_go_on_as_if_nothing_was_added(self):
        model = make_model()
        first = layers.Dense(3).name
        state = random.getstate()
        add_self_auxiliaries(model, "shared", bottleneck=2)
        assert random.getstate() == state
        second = layers.Dense(3).name
        assert second == next_name(first)

    def test_frozen_stays_frozen(self):
        model = make_model()
        model.get_layer("shared").trainable = False
        new = add_self_auxiliaries(model, "left_hidden", tasks=["left"])
        assert not new.get_layer("shared").trainable
        assert len(new.trainable_variables) == 6 + 2
        model.trainable = False
        assert add_self_auxiliaries(model, "shared").trainable is False
        assert strip_auxiliaries(model).trainable is False


class TestTraining:
    @pytest.mark.slow
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    def test_weight_zero_gives_the_trajectory_of_none(self, aggregator):
        x, y = make_data()
        histories, models = [], []
        # Batches are shuffled, and no seed is set after the heads are made.
        for weight in (None, 0.0):
            model = fresh(weight, model={"dropout": 0.3})
            model.compile("adam", LOSS, aggregator=aggregator)
            histories.append(
                model.fit(x, y, batch_size=16, epochs=3, verbose=0).history
            )
            models.append(model)
        assert_same_weights(*models, atol=1e-6)
        for name, values in histories[0].items():
            np.testing.assert_allclose(
                values, histories[1][name], atol=1e-5, err_msg=name
            )

    def test_gradient_of_the_trunk_adds_up_and_heads_keep_theirs(self):
        main = sgd_step(fresh(None))
        with_one = sgd_step(fresh(1.0))
        with_more = sgd_step(fresh(2.5))
        for path in main:
            auxiliary = with_one[path] - main[path]
            if path.startswith("shared"):
                assert np.abs(auxiliary).max() > 1e-3
            else:
                np.testing.assert_allclose(auxiliary, 0, atol=1e-6)
            np.testing.assert_allclose(
                with_more[path], main[path] + 2.5 * auxiliary, atol=1e-5
            )

    @pytest.mark.parametrize(
        "as_tasks, methods",
        [
            slow((False, {})),
            slow((True, {"aggregator": "sum"})),
            slow((False, {"aggregator": "sum", "representation": "shared"})),
            (True, {"aggregator": "sum", "representation": "shared"}),
        ],
    )
    def test_equals_stock_keras_on_the_joint_model(self, as_tasks, methods):
        x, y = make_data()
        sample_weight = {
            "left": np.linspace(0, 2, EXAMPLES, dtype="float32"),
            "right": np.linspace(1, 0, EXAMPLES, dtype="float32"),
        }
        weights = {"left": 0.3, "right": 2.0}
        ours = fresh(0.7, as_tasks=as_tasks, pool_size=5)
        joint = fresh(0.7, pool_size=5)
        shared = joint.get_layer("shared").output
        outputs = dict(joint.output)
        losses, joint_weights = dict(LOSS), dict(weights)
        labels, joint_sample_weight = dict(y), dict(sample_weight)
        for task, head in joint.auxiliaries.heads.items():
            name = f"{task}_aux"
            outputs[name] = head(shared)
            losses[name] = LOSS[task]
            joint_weights[name] = 0.7 * weights[task]
            labels[name] = y[task]
            joint_sample_weight[name] = sample_weight[task]
        joint = keras.Model(joint.input, outputs)
        joint.compile(
            keras.optimizers.SGD(0.1),
            losses,
            loss_weights=joint_weights,
            run_eagerly=EAGERLY,
        )
        ours.compile(
            keras.optimizers.SGD(0.1),
            LOSS,
            loss_weights=weights,
            run_eagerly=EAGERLY,
            **methods,
        )
        arguments = dict(batch_size=16, epochs=2, shuffle=False, verbose=0)
        expected = joint.fit(
            x, labels, sample_weight=joint_sample_weight, **arguments
        ).history
        history = ours.fit(
            x, y, sample_weight=sample_weight, **arguments
        ).history
        assert_same_weights(ours, joint, atol=1e-5)
        for name in ("left_loss", "left_aux_loss", "right_aux_loss"):
            np.testing.assert_allclose(
                history[name], expected[name], atol=1e-4, err_msg=name
            )

    def test_heads_as_tasks_meet_the_aggregator(self):
        model = fresh(1.0, as_tasks=True)
        folded = fresh(1.0)
        step = sgd_step(model, aggregator=PCGrad(seed=0))
        assert model.task_names == ["left", "right", "left_aux", "right_aux"]
        folded_step = sgd_step(folded, aggregator=PCGrad(seed=0))
        assert folded.task_names == ["left", "right"]
        shared = "shared/kernel"
        assert np.abs(step[shared] - folded_step[shared]).max() > 1e-5

    @pytest.mark.slow
    def test_logs_show_auxiliaries_in_training_only(self):
        x, y = make_data()
        model = fresh(1.0, tasks=["left"])
        model.compile("adam", LOSS)
        history = model.fit(x, y, validation_data=(x, y), verbose=0).history
        names = {"loss", "left_loss", "right_loss"}
        expected = names | {f"val_{name}" for name in names}
        assert set(history) == expected | {"left_aux_loss"}
        assert set(model.evaluate(x, y, return_dict=True, verbose=0)) == names

    def test_logs_tell_tasks_apart_in_any_order(self):
        x, y = make_data()
        model = fresh(1.0)
        shared = keras.Model(model.input, model.get_layer("shared").output)
        prediction = model.auxiliaries(shared(x))["right"]
        expected = np.mean(
            (keras.ops.convert_to_numpy(prediction) - y["right"]) ** 2
        )
        loss = {"right": "mse", "left": CROSS_ENTROPY}
        model.compile("sgd", loss, run_eagerly=EAGERLY)
        logs = model.train_on_batch(x, y, return_dict=True)
        np.testing.assert_allclose(logs["right_aux_loss"], expected, rtol=1e-4)

    def test_frozen_heads_still_teach_the_trunk(self):
        steps = {}
        for weight in (None, 1.0):
            model = fresh(weight)
            if weight is not None:
                model.auxiliaries.trainable = False
                before = auxiliary_weights_of(model)
            assert len(model.trainable_variables) == 8
            steps[weight] = sgd_step(model)["shared/kernel"]
        for old, new in zip(before, auxiliary_weights_of(model), strict=True):
            np.testing.assert_array_equal(old, new)
        assert np.abs(steps[1.0] - steps[None]).max() > 1e-3


class TestFiles:
    @pytest.mark.slow
    def test_model_from_a_file_is_improved_and_served(self, tmp_path):
        x, y = make_data()
        make_model().save(tmp_path / "found.keras")
        found = keras.saving.load_model(tmp_path / "found.keras")
        model = add_self_auxiliaries(found, "shared", bottleneck=4)
        model.compile("adam", LOSS, aggregator="pcgrad")
        model.fit(x, y, verbose=0)
        served = strip_auxiliaries(model)
        served.save(tmp_path / "served.keras")
        loaded = keras.saving.load_model(tmp_path / "served.keras")
        expected = model.predict(x, verbose=0)
        for plain in (served, loaded, found):
            outputs = plain.predict(x, verbose=0)
            for task in expected:
                np.testing.assert_array_equal(outputs[task], expected[task])
        assert len(loaded.variables) == len(found.variables)
        with zipfile.ZipFile(tmp_path / "served.keras") as archive:
            config = archive.read("config.json").decode()
        assert json.loads(config)["class_name"] == "Functional"
        assert "keras_mtl" not in config and "aux" not in config

    @pytest.mark.slow
    def test_whole_model_goes_on_where_it_stopped(self, tmp_path):
        x, y = make_data()
        model = fresh(0.5, bottleneck=4, temperature=2.0, as_tasks=True)
        model.compile(
            "adam", LOSS, aggregator=PCGrad(seed=1), run_eagerly=EAGERLY
        )
        model.fit(x, y, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        own, others = model.auxiliaries, loaded.auxiliaries
        assert isinstance(others, SelfAuxiliaries)
        assert others.get_config() == own.get_config()
        assert [v.path for v in loaded.trainable_variables] == [
            v.path for v in model.trainable_variables
        ]
        for one in (model, loaded):
            one.fit(x, y, shuffle=False, verbose=0)
        assert_same_weights(model, loaded, atol=1e-6)
        for mine, other in zip(
            own.get_weights(), others.get_weights(), strict=True
        ):
            np.testing.assert_allclose(mine, other, atol=1e-6)

    @pytest.mark.slow
    def test_exported_model_holds_no_auxiliary_weight(self, tmp_path):
        tf = pytest.importorskip("tensorflow")
        x, y = make_data()
        model = fresh(1.0)
        model.compile("adam", LOSS)
        model.fit(x, y, verbose=0)
        model.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(str(tmp_path / "exported"))
        assert len(exported.variables) == 8
        outputs = exported.serve(x)
        for task, expected in model.predict(x, verbose=0).items():
            np.testing.assert_allclose(outputs[task], expected, atol=1e-6)

    def test_auxiliaries_survive_serialization(self):
        heads = {
            "left": SelfAuxiliaryHead(10, bottleneck=2, activation="softmax"),
            "a/b": SelfAuxiliaryHead(1, pool_size=5, dtype="mixed_float16"),
        }
        auxiliaries = SelfAuxiliaries("shared", heads, 0.5, as_tasks=True)
        auxiliaries.build((None, 50))
        config = json.loads(
            json.dumps(keras.saving.serialize_keras_object(auxiliaries))
        )
        copy = keras.saving.deserialize_keras_object(config)
        assert copy.get_config() == auxiliaries.get_config()
        assert copy.built and len(copy.weights) == 6
        assert copy.heads["a/b"].dtype_policy.name == "mixed_float16"
        assert [v.path for v in copy.weights] == [
            v.path for v in auxiliaries.weights
        ]


def frozen_in(model: keras.Model) -> list[bool]:
    auxiliaries = model.auxiliaries
    trained = {id(v) for v in model.trainable_variables}
    return [id(v) not in trained for v in auxiliaries.weights]


class TestFrozen:
    """Two weights a head and layer: of left, then of right."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "freeze, frozen",
        [
            (lambda a: a, [True] * 8),
            (lambda a: a.heads["left"], [True] * 4 + [False] * 4),
            (
                lambda a: a.heads["right"].output_dense,
                [False] * 6 + [True] * 2,
            ),
        ],
    )
    def test_stays_so_in_files_and_clones(self, freeze, frozen, tmp_path):
        x, y = make_data()
        model = fresh(0.5, bottleneck=4)
        freeze(model.auxiliaries).trainable = False
        assert frozen_in(model) == frozen
        model.compile("adam", LOSS, aggregator="sum", run_eagerly=EAGERLY)
        model.fit(x, y, batch_size=EXAMPLES, verbose=0)
        model.save(tmp_path / "model.keras")
        with warnings.catch_warnings():
            # Such as that the state of the optimizer does not fit.
            warnings.simplefilter("error", UserWarning)
            loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert frozen_in(loaded) == frozen
        before = loaded.auxiliaries.get_weights()
        for one in (model, loaded):
            one.fit(x, y, batch_size=EXAMPLES, verbose=0)
        assert_same_weights(model, loaded, atol=1e-6)
        after = loaded.auxiliaries.get_weights()
        same = [
            np.array_equal(a, b) for a, b in zip(before, after, strict=True)
        ]
        assert same == frozen
        assert frozen_in(keras.models.clone_model(model)) == frozen


@pytest.mark.usefixtures("no_garbage_collection")
class TestQuantized:
    @pytest.mark.parametrize("mode", ["int8", "int4", "float8"])
    # The optimizer has no state before the first step.
    @pytest.mark.filterwarnings(
        "ignore:Skipping variable loading for optimizer"
    )
    def test_comes_back_from_files(self, mode, tmp_path):
        x, _ = make_data()
        model = fresh(0.5, bottleneck=4)
        model.compile("adam", LOSS, aggregator="pcgrad", run_eagerly=EAGERLY)
        model.quantize(mode)
        model.save(tmp_path / "model.keras")
        model.save_weights(tmp_path / "model.weights.h5")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        again = type(model).from_config(model.get_config())
        again.load_weights(tmp_path / "model.weights.h5")
        features = np.random.default_rng(0).normal(size=(7, 50))
        for one in (loaded, again):
            for part, inputs in (("__call__", x), ("auxiliaries", features)):
                expected = getattr(model, part)(inputs)
                outputs = getattr(one, part)(inputs)
                for task in expected:
                    np.testing.assert_array_equal(
                        keras.ops.convert_to_numpy(outputs[task]),
                        keras.ops.convert_to_numpy(expected[task]),
                    )

    def test_outputs_get_heads_that_are_not(self):
        """Quantized ones would be made of zeros, and could not learn."""
        plain = make_model()
        plain.quantize("int8")
        model = add_self_auxiliaries(plain, "shared")
        for head in model.auxiliaries.heads.values():
            kernel = head.output_dense.kernel
            assert kernel.dtype == "float32" and np.any(kernel)
        x, y = make_data()
        model.compile("adam", LOSS, aggregator="sum", run_eagerly=EAGERLY)
        before = auxiliary_weights_of(model)
        model.fit(x, y, verbose=0)
        for old, new in zip(before, auxiliary_weights_of(model), strict=True):
            assert not np.array_equal(old, new)


class TestStrip:
    def test_of_a_model_without_auxiliaries(self):
        model = fresh(None)
        plain = strip_auxiliaries(model)
        assert not isinstance(plain, MultiTaskModel)
        expected = [v for layer in model.layers for v in layer.variables]
        assert len(plain.variables) == len(expected) == 8
        assert all(
            a is b for a, b in zip(plain.variables, expected, strict=True)
        )

    def test_then_add_again(self):
        model = fresh(1.0)
        again = add_self_auxiliaries(strip_auxiliaries(model), "shared")
        assert again.auxiliaries is not model.auxiliaries
        assert len(again.trainable_variables) == 8 + 4

    def test_refuses_a_model_without_a_graph(self):
        with pytest.raises(ValueError, match="`model` must be a functional"):
            strip_auxiliaries(Subclassed())


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


def train_once(model: keras.Model, x, y, loss) -> dict:
    model.compile("sgd", loss, run_eagerly=EAGERLY)
    return model.train_on_batch(x, y, return_dict=True)


def single_task_model(kind: str) -> keras.Model:
    keras.utils.set_random_seed(0)
    parts = [
        layers.Dense(8, activation="tanh", name="shared"),
        layers.Dense(6, activation="tanh", name="hidden"),
        layers.Dense(1, name="out"),
    ]
    if kind == "sequential":
        return keras.Sequential([keras.Input((12,)), *parts])
    inputs = keras.Input((12,))
    output = inputs
    for part in parts:
        output = part(output)
    outputs = {"tensor": output, "list": [output], "dict": {"out": output}}
    return keras.Model(inputs, outputs[kind])


ADDERS = {
    "head": lambda model: add_self_auxiliaries(model, "shared", weight=0.5),
    "towers": lambda model: add_auxiliary_towers(
        model, "shared", copies=2, weight=0.5
    ),
}


class TestSingleTasks:
    """Self-auxiliaries beside the only task of a model, its whole life."""

    @pytest.mark.parametrize(
        ("kind", "added"),
        slow_except(
            [
                ("sequential", "head"),
                ("dict", "head"),
                ("tensor", "towers"),
            ],
            ("sequential", "head"),
        ),
    )
    def test_trains_as_stock_keras_with_an_output_more(
        self, kind, added, tmp_path
    ):
        x, y = make_data()
        plain = single_task_model(kind)
        model = ADDERS[added](plain)
        loss = {"out": "mse"} if kind == "dict" else "mse"
        labels = {"out": y["right"]} if kind == "dict" else y["right"]

        # The same in stock Keras: the second predictions are outputs.
        features = plain.get_layer("shared").output
        heads = model.auxiliaries.heads["out"](features)
        heads = heads if isinstance(heads, list) else [heads]
        output = keras.tree.flatten(plain.outputs)[0]
        stock = keras.models.clone_model(
            keras.Model(plain.inputs, [output, *heads])
        )
        stock.set_weights(
            keras.Model(plain.inputs, [output, *heads]).get_weights()
        )
        stock.compile(
            keras.optimizers.SGD(0.1),
            ["mse"] * (1 + len(heads)),
            loss_weights=[1.0] + [0.5] * len(heads),
            run_eagerly=EAGERLY,
        )
        stock.fit(x, [y["right"]] * (1 + len(heads)), verbose=0, shuffle=False)

        model.compile(keras.optimizers.SGD(0.1), loss, run_eagerly=EAGERLY)
        logs = model.fit(x, labels, verbose=0, shuffle=False).history
        assert set(logs) >= {"loss", "out_aux_loss"}
        for name in ("shared", "hidden", "out"):
            for found, expected in zip(
                model.get_layer(name).get_weights(),
                stock.get_layer(name).get_weights(),
                strict=True,
            ):
                np.testing.assert_allclose(found, expected, atol=1e-6)

        predictions = keras.tree.flatten(model.predict(x, verbose=0))[0]
        error = np.mean((predictions - y["right"]) ** 2)
        found = model.evaluate(x, labels, verbose=0, return_dict=True)
        np.testing.assert_allclose(found["loss"], error, rtol=1e-5)

        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        before = model.train_on_batch(x, labels)
        assert loaded.train_on_batch(x, labels) == pytest.approx(before)
        stripped = strip_auxiliaries(loaded)
        assert not isinstance(stripped, MultiTaskModel)
        assert stripped.count_params() == plain.count_params()
        served = keras.tree.flatten(stripped.predict(x, verbose=0))[0]
        expected = keras.tree.flatten(plain.predict(x, verbose=0))[0]
        np.testing.assert_allclose(served, expected, atol=1e-6)


class TestModels:
    def test_list_outputs_are_named_after_their_layers(self):
        x, y = make_data()
        inner = make_model()
        outputs = [inner.output["right"], inner.output["left"]]
        model = add_self_auxiliaries(
            keras.Model(inner.input, outputs), "shared"
        )
        assert list(model.auxiliaries.heads) == ["right", "left"]
        logs = train_once(
            model, x, [y["right"], y["left"]], ["mse", CROSS_ENTROPY]
        )
        assert {"left_aux_loss", "right_aux_loss"} <= set(logs)
        assert isinstance(strip_auxiliaries(model).output, list)

    @pytest.mark.parametrize("kind", ["tensor", "sequential"])
    def test_single_task(self, kind):
        x, y = make_data()
        if kind == "tensor":
            inner = make_model()
            inner = keras.Model(inner.input, inner.output["right"])
        else:
            inner = keras.Sequential(
                [
                    keras.Input((12,)),
                    layers.Dense(8, name="shared"),
                    layers.Dense(1, name="right"),
                ]
            )
        model = add_self_auxiliaries(inner, "shared")
        assert list(model.auxiliaries.heads) == ["right"]
        logs = train_once(model, x, y["right"], "mse")
        assert "right_aux_loss" in logs
        expected = inner.predict(x, verbose=0)
        outputs = strip_auxiliaries(model).predict(x, verbose=0)
        np.testing.assert_array_equal(outputs, expected)

    def test_nested_outputs(self):
        x, y = make_data()
        inner = make_model()
        nested = {"a": {"b": inner.output["left"]}, "c": inner.output["right"]}
        model = add_self_auxiliaries(keras.Model(inner.input, nested), "shared")
        assert list(model.auxiliaries.heads) == ["a/b", "c"]
        logs = train_once(
            model,
            x,
            {"a": {"b": y["left"]}, "c": y["right"]},
            {"a": {"b": CROSS_ENTROPY}, "c": "mse"},
        )
        assert {"a/b_aux_loss", "c_aux_loss"} <= set(logs)

    @pytest.mark.parametrize("representation", ["backbone", "deep"])
    def test_nested_models(self, representation):
        x, y = make_data()
        inner_in = keras.Input((12,))
        hidden = layers.Dense(6, activation="relu", name="deep")(inner_in)
        backbone = keras.Model(
            inner_in, layers.Dense(5, name="top")(hidden), name="backbone"
        )
        tower_in = keras.Input((5,))
        tower = keras.Model(
            tower_in, layers.Dense(10, activation="softmax")(tower_in)
        )
        inputs = keras.Input((12,))
        shared = backbone(inputs)
        outputs = {
            "left": tower(shared),
            "right": layers.Dense(1)(shared),
        }
        model = add_self_auxiliaries(
            keras.Model(inputs, outputs), representation
        )
        width = {"backbone": 5, "deep": 6}[representation]
        assert model.auxiliaries.count_params() == width * 11 + 11
        assert model.auxiliaries.heads["left"].activation is (
            keras.activations.softmax
        )
        assert "left_aux_loss" in train_once(model, x, y, LOSS)

    def test_tensor_as_representation(self):
        inner = make_model()
        tensor = inner.get_layer("shared").output
        model = add_self_auxiliaries(inner, tensor)
        assert model.auxiliaries.representation == "shared"

    def test_operation_as_representation(self):
        x, y = make_data()
        inputs = keras.Input((12,))
        shared = keras.ops.relu(layers.Dense(7)(inputs))
        outputs = {
            "left": layers.Dense(10, activation="softmax")(shared),
            "right": layers.Dense(1)(shared),
        }
        model = add_self_auxiliaries(keras.Model(inputs, outputs), shared)
        assert "left_aux_loss" in train_once(model, x, y, LOSS)
        assert model.auxiliaries.count_params() == 8 * 10 + 8

    def test_heads_follow_the_precision_of_the_outputs(self):
        x, y = make_data()
        keras.config.set_dtype_policy("mixed_float16")
        inputs = keras.Input((12,))
        shared = layers.Dense(8, activation="relu", name="shared")(inputs)
        left = layers.Dense(10)(shared)
        outputs = {
            "left": layers.Activation("softmax", dtype="float32")(left),
            "right": layers.Dense(1)(shared),
        }
        inner = keras.Model(inputs, outputs)
        keras.config.set_dtype_policy("float32")
        model = add_self_auxiliaries(inner, "shared")
        heads = model.auxiliaries.heads
        assert heads["left"].dtype_policy.name == "float32"
        assert heads["left"].activation is keras.activations.softmax
        assert heads["right"].dtype_policy.name == "mixed_float16"
        assert {v.dtype for v in model.auxiliaries.weights} == {"float32"}
        logs = train_once(model, x, y, LOSS)
        assert np.isfinite(logs["left_aux_loss"])
        assert np.isfinite(logs["right_aux_loss"])

    def test_activation_can_be_given(self):
        inner = make_model()
        squared = layers.Lambda(lambda t: t * t, name="square")
        outputs = {
            "left": squared(inner.output["left"]),
            "right": inner.output["right"],
        }
        inner = keras.Model(inner.input, outputs)
        with pytest.raises(ValueError, match="'left'.*square.*Lambda.*activ"):
            add_self_auxiliaries(inner, "shared")
        for activation in ({"left": "softplus"}, "softplus"):
            model = add_self_auxiliaries(inner, "shared", activation=activation)
            head = model.auxiliaries.heads["left"]
            assert head.activation is keras.activations.softplus


def image_model(**outputs) -> keras.Model:
    inputs = keras.Input((6, 6, 1))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")(inputs)
    made = {name: make(shared) for name, make in outputs.items()}
    return keras.Model(inputs, made)


class TestSpatialRepresentations:
    def test_each_head_gives_the_shape_of_its_output(self):
        inner = image_model(
            left=lambda t: layers.Dense(10, activation="softmax")(
                layers.Flatten()(t)
            ),
            mask=layers.Conv2D(2, 1),
        )
        model = add_self_auxiliaries(inner, "shared")
        flat, kept = model.auxiliaries.heads.values()
        assert flat.count_params() == 6 * 6 * 4 * 10 + 10
        assert kept.count_params() == 4 * 2 + 2
        x, y = make_data((6, 6, 1))
        labels = {"left": y["left"], "mask": np.zeros((EXAMPLES, 6, 6, 2))}
        loss = {"left": CROSS_ENTROPY, "mask": "mse"}
        logs = train_once(model, x, labels, loss)
        assert {"left_aux_loss", "mask_aux_loss"} <= set(logs)

    @pytest.mark.parametrize(
        "make",
        [
            lambda t: layers.Conv2D(2, 1, strides=2)(t),
            lambda t: layers.Reshape((36, 4))(t),
            lambda t: keras.ops.mean(t, axis=(1, 2, 3)),
        ],
        ids=["smaller image", "sequence", "no units"],
    )
    def test_refuses_outputs_of_another_shape(self, make):
        with pytest.raises(ValueError, match="No head.*'shared'.*'odd'"):
            add_self_auxiliaries(
                image_model(odd=make), "shared", activation="linear"
            )

    def test_refuses_to_flatten_what_has_no_known_size(self):
        inputs = keras.Input((None, None, 1))
        shared = layers.Conv2D(4, 3, name="shared")(inputs)
        pooled = layers.GlobalAveragePooling2D(name="pooled")(shared)
        inner = keras.Model(inputs, {"left": layers.Dense(10)(pooled)})
        with pytest.raises(ValueError, match="how many features.*pool"):
            add_self_auxiliaries(inner, "shared")
        add_self_auxiliaries(inner, "pooled")

    def test_padding_stays_masked(self):
        tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
        labels = np.arange(8).reshape(2, 4) % 3
        inputs = keras.Input((4,), dtype="int32")
        shared = layers.Embedding(6, 5, mask_zero=True, name="shared")(inputs)
        tags = layers.Dense(3, activation="softmax", name="tags")(shared)
        model = add_self_auxiliaries(keras.Model(inputs, tags), "shared")
        dense, head = model.get_layer("tags"), model.auxiliaries.heads["tags"]
        head.output_dense.set_weights(dense.get_weights())
        logs = train_once(model, tokens, labels, CROSS_ENTROPY)
        # Equal heads and equal masks give equal losses.
        np.testing.assert_allclose(
            logs["tags_aux_loss"], logs["loss"], rtol=1e-5
        )


def shared_twice() -> keras.Model:
    inputs = keras.Input((12,))
    shared = layers.Dense(12, name="shared")
    return keras.Model(
        inputs, {"left": layers.Dense(1)(shared(shared(inputs)))}
    )


def several_tensors() -> keras.Model:
    inputs = keras.Input((5, 3))
    sequence, state, _ = layers.LSTM(
        4, return_sequences=True, return_state=True, name="shared"
    )(inputs)
    pooled = layers.GlobalAveragePooling1D()(sequence)
    return keras.Model(
        inputs, {"left": layers.Dense(1)(layers.Add()([pooled, state]))}
    )


def integers() -> keras.Model:
    inputs = keras.Input((12,))
    shared = layers.Discretization([0.0], name="shared")(inputs)
    return keras.Model(inputs, {"left": layers.Dense(1)(shared)})


MISTAKES = {
    "no model": (lambda: "net", {}, "`model` must be a functional.*'net'"),
    "subclassed model": (Subclassed, {}, "SelfAuxiliaryHead` in its `call`"),
    "sequential model without input": (
        lambda: keras.Sequential([layers.Dense(1, name="shared")]),
        {},
        "built Sequential.*keras.Input",
    ),
    "auxiliaries already": (
        lambda: add_self_auxiliaries(make_model(), "shared"),
        {},
        "has auxiliaries already.*strip_auxiliaries",
    ),
    "unknown layer": (
        make_model,
        {"representation": "sharde"},
        "`representation` is no layer.*'shared'.*sharde",
    ),
    "several layers": (
        make_model,
        {"representation": ["shared", "left_hidden"]},
        "`representation` must be the name.*Received.*left_hidden",
    ),
    "no representation": (
        make_model,
        {"representation": None},
        "`representation` must be the name.*Received.*None",
    ),
    "layer called twice": (
        shared_twice,
        {},
        "`representation` must stand for one tensor.*2 calls.*Identity",
    ),
    "layer with several outputs": (
        several_tensors,
        {},
        "`representation` must stand for one tensor.*3, of 1 calls",
    ),
    "integers": (integers, {}, "floating-point.*'shared' gives int"),
    "representation of one task only": (
        make_model,
        {"representation": "left_hidden"},
        "'left_hidden' is not on the way to the output 'right'.*`tasks`",
    ),
    "unknown task": (make_model, {"tasks": ["lft"]}, "`tasks`.*'left'.*lft"),
    "no task": (make_model, {"tasks": []}, "`tasks` must name.*tasks=\\[\\]"),
    "task named twice": (make_model, {"tasks": ["left", "left"]}, "`tasks`"),
    "negative weight": (make_model, {"weight": -0.1}, "`weight`.*weight=-0.1"),
    "weight not a number": (make_model, {"weight": "1"}, "`weight`.*from 0 up"),
    "NaN weight": (make_model, {"weight": float("nan")}, "`weight`.*nan"),
    "pool too large": (
        make_model,
        {"pool_size": 51},
        "`pool_size`.*at most the number of features.*50.*51",
    ),
    "pool of zero": (make_model, {"pool_size": 0}, "`pool_size`.*=0"),
    "no bottleneck": (make_model, {"bottleneck": -1}, "`bottleneck`.*=-1"),
    "as tasks": (make_model, {"as_tasks": "no"}, "`as_tasks`.*='no'"),
    "cold": (make_model, {"temperature": 0.0}, "`temperature`.*=0.0"),
    "activation of an unknown task": (
        make_model,
        {"activation": {"lft": "softmax"}},
        "`activation` has entries.*lft",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    make, arguments, message = MISTAKES[name]
    arguments = {"representation": "shared", **arguments}
    with pytest.raises(ValueError, match=f"(?s){message}"):
        add_self_auxiliaries(make(), **arguments)


def test_input_and_foreign_tensors_are_no_representation():
    model = make_model()
    with pytest.raises(ValueError, match="is the input.*Name a layer"):
        add_self_auxiliaries(model, model.input)
    # A layer of the same name in another model.
    foreign = make_model().get_layer("shared").output
    with pytest.raises(ValueError, match="is no layer.* no tensor of this"):
        add_self_auxiliaries(model, foreign)
    with pytest.raises(ValueError, match="list of names. Received.*Dense"):
        SelfAuxiliaries(model.get_layer("shared"), {}, 1.0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
