"""Auxiliary branches: what they do to training, and that serving sees none."""

import json
import random
import zipfile

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_auxiliary_branches
from keras_mtl import add_self_auxiliaries
from keras_mtl import strip_auxiliaries
from keras_mtl.layers import AuxiliaryBranch

pytestmark = pytest.mark.backend

CROSS_ENTROPY = "sparse_categorical_crossentropy"
LOSS = {"left": CROSS_ENTROPY, "right": "mse"}
TAPS = ["early", "late"]
EXAMPLES = 32
# For small models the faster way on each backend.
EAGERLY = keras.backend.backend() == "tensorflow"


def make_model(dropout: float = 0.0) -> keras.Model:
    inputs = keras.Input((6, 4))
    x = layers.Conv1D(5, 3, activation="relu", name="early")(inputs)
    x = layers.Flatten()(x)
    x = layers.Dense(7, activation="relu", name="late")(x)
    x = layers.Dropout(dropout, seed=1)(x)
    left = layers.Dense(10, activation="softmax", name="left")(x)
    right = layers.Dense(1, name="right")(x)
    return keras.Model(inputs, {"left": left, "right": right}, name="net")


def make_data() -> tuple:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(EXAMPLES, 6, 4)).astype("float32")
    left = generator.integers(0, 10, EXAMPLES)
    right = generator.normal(size=(EXAMPLES, 1)).astype("float32")
    return x, {"left": left, "right": right}


def fresh(weight: float | None, **arguments) -> keras.Model:
    """The same start each time; with no auxiliaries where weight is None."""
    keras.utils.set_random_seed(0)
    model = make_model(arguments.pop("dropout", 0.0))
    if weight is None:
        return MultiTaskModel(model.input, model.output)
    taps = arguments.pop("taps", TAPS)
    return add_auxiliary_branches(model, taps, weight=weight, **arguments)


def weights_of(model: keras.Model) -> dict[str, np.ndarray]:
    """Trainable weights by path, without those of the auxiliaries."""
    return {
        v.path: np.copy(keras.ops.convert_to_numpy(v))
        for v in model.trainable_variables
        if "_aux" not in v.path
    }


def sgd_step(model: keras.Model, **compile_arguments) -> dict[str, np.ndarray]:
    """What one step of gradient descent subtracts from each weight."""
    x, y = make_data()
    model.compile(
        keras.optimizers.SGD(1.0),
        LOSS,
        run_eagerly=EAGERLY,
        **compile_arguments,
    )
    before = weights_of(model)
    model.train_on_batch(x, y)
    after = weights_of(model)
    return {path: before[path] - after[path] for path in before}


class TestBranches:
    def test_one_for_each_task_over_all_taps(self):
        model = fresh(0.5)
        auxiliaries = model.auxiliaries
        assert auxiliaries.representation == TAPS
        assert auxiliaries.weight == 0.5
        assert list(auxiliaries.heads) == ["left", "right"]
        for task, units in (("left", 10), ("right", 1)):
            branch = auxiliaries.heads[task]
            assert [a.kernel.shape for a in branch.adapters] == [(5, 7), (7, 7)]
            assert branch.head.units == units
        left = auxiliaries.heads["left"].head
        assert left.activation is keras.activations.softmax
        assert auxiliaries.count_params() == 2 * (5 * 7 + 7 + 7 * 7 + 7) + 88

    def test_a_layer_is_copied_for_each_task_and_tap(self):
        given = layers.Dense(3, "relu", kernel_initializer=seeded())
        branches = fresh(1.0, adapter=given).auxiliaries.heads
        kernels = [
            keras.ops.convert_to_numpy(branches[task].adapters[1].kernel)
            for task in ("left", "right")
        ]
        assert not given.built
        assert np.abs(kernels[0] - kernels[1]).max() > 1e-3
        assert branches["left"].adapters[0].activation is keras.activations.relu

    def test_adapters_by_tap(self):
        adapter = [layers.Conv1D(2, 2), lambda: layers.Dense(4)]
        branches = fresh(
            1.0, adapter=adapter, fusion="concat"
        ).auxiliaries.heads
        for branch in branches.values():
            assert isinstance(branch.adapters[0], layers.Conv1D)
            assert branch.adapters[1].units == 4
            assert branch.head.output_dense.kernel.shape[0] == 6

    def test_heads_by_task(self):
        head = {
            "right": keras.Sequential(
                [layers.Dense(5, "relu"), layers.Dense(1)]
            )
        }
        branches = fresh(1.0, head=head).auxiliaries.heads
        assert isinstance(branches["right"].head, keras.Sequential)
        assert branches["right"].head is not head["right"]
        assert branches["left"].head.units == 10

    def test_for_some_tasks(self):
        model = fresh(1.0, tasks=["right"], taps="late", width=3)
        assert list(model.auxiliaries.heads) == ["right"]
        assert model.auxiliaries.count_params() == 7 * 3 + 3 + 3 + 1


def seeded() -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=4)


class TestAddingChangesNothing:
    def test_outputs_randomness_and_variables(self):
        model = make_model()
        x, _ = make_data()
        before = model.predict(x, verbose=0)
        state = random.getstate()
        new = add_auxiliary_branches(model, TAPS)
        assert random.getstate() == state
        after = new.predict(x, verbose=0)
        for task in before:
            np.testing.assert_array_equal(before[task], after[task])
        own = {id(v) for v in new.variables}
        assert all(id(v) in own for v in model.variables)


class TestTraining:
    @pytest.mark.slow
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    def test_weight_zero_gives_the_trajectory_of_none(self, aggregator):
        x, y = make_data()
        histories, weights = [], []
        for weight in (None, 0.0):
            model = fresh(weight, dropout=0.3)
            model.compile("adam", LOSS, aggregator=aggregator)
            run = model.fit(x, y, batch_size=16, epochs=2, verbose=0)
            histories.append(run.history)
            weights.append(weights_of(model))
        for path, values in weights[0].items():
            np.testing.assert_allclose(values, weights[1][path], atol=1e-6)
        for name, values in histories[0].items():
            np.testing.assert_allclose(values, histories[1][name], atol=1e-5)

    @pytest.mark.slow
    def test_gradient_of_the_trunk_adds_up_and_heads_keep_theirs(self):
        main = sgd_step(fresh(None))
        with_one = sgd_step(fresh(1.0))
        with_more = sgd_step(fresh(2.5))
        for path in main:
            auxiliary = with_one[path] - main[path]
            if path.startswith(("early", "late")):
                assert np.abs(auxiliary).max() > 1e-3
            else:
                np.testing.assert_allclose(auxiliary, 0, atol=1e-6)
            np.testing.assert_allclose(
                with_more[path], main[path] + 2.5 * auxiliary, atol=1e-5
            )

    @pytest.mark.parametrize("methods", [{}, {"aggregator": "sum"}])
    def test_equals_stock_keras_on_the_joint_model(self, methods):
        """With state and losses of the adapters' own, and as tasks."""
        x, y = make_data()
        ours = fresh(
            0.7, adapter=busy_adapter, as_tasks=bool(methods), tasks=["right"]
        )
        joint = fresh(0.7, adapter=busy_adapter, tasks=["right"])
        taps = [joint.get_layer(name).output for name in TAPS]
        branch = joint.auxiliaries.heads["right"]
        outputs = {**joint.output, "right_aux": branch(taps)}
        joint = keras.Model(joint.input, outputs)
        joint.compile(
            keras.optimizers.SGD(0.1),
            {**LOSS, "right_aux": "mse"},
            loss_weights={"left": 1.0, "right": 1.0, "right_aux": 0.7},
            run_eagerly=EAGERLY,
        )
        ours.compile(
            keras.optimizers.SGD(0.1), LOSS, run_eagerly=EAGERLY, **methods
        )
        arguments = dict(batch_size=16, shuffle=False, verbose=0)
        labels = {**y, "right_aux": y["right"]}
        expected = joint.fit(x, labels, **arguments).history
        history = ours.fit(x, y, **arguments).history
        for path, values in weights_of(ours).items():
            np.testing.assert_allclose(
                values, weights_of(joint)[path], atol=1e-5
            )
        own = ours.auxiliaries.heads["right"].get_weights()
        for values, other in zip(own, branch.get_weights(), strict=True):
            np.testing.assert_allclose(values, other, atol=1e-5)
        np.testing.assert_allclose(
            history["right_aux_loss"], expected["right_aux_loss"], atol=1e-4
        )

    def test_single_tap_with_a_linear_adapter_is_a_self_auxiliary(self):
        steps, models = [], []
        for add, arguments in (
            (add_self_auxiliaries, {"bottleneck": 3}),
            (add_auxiliary_branches, {"adapter": layers.Dense(3)}),
        ):
            keras.utils.set_random_seed(0)
            models.append(add(make_model(), "late", weight=0.5, **arguments))
        for task, head in models[0].auxiliaries.heads.items():
            branch = models[1].auxiliaries.heads[task]
            weights = head.bottleneck_dense.get_weights()
            branch.adapters[0].set_weights(weights)
            weights = head.output_dense.get_weights()
            branch.head.set_weights(weights)
        steps = [sgd_step(model) for model in models]
        for path, step in steps[0].items():
            np.testing.assert_allclose(step, steps[1][path], atol=1e-6)
        assert (
            models[0].auxiliaries.count_params()
            == models[1].auxiliaries.count_params()
        )

    @pytest.mark.slow
    def test_branches_as_tasks_meet_the_aggregator(self):
        model = fresh(1.0, as_tasks=True)
        step = sgd_step(model, aggregator="mgda")
        assert model.task_names == ["left", "right", "left_aux", "right_aux"]
        folded = sgd_step(fresh(1.0), aggregator="mgda")
        assert np.abs(step["late/kernel"] - folded["late/kernel"]).max() > 1e-5

    @pytest.mark.slow
    def test_taps_before_a_representation_go_around_it(self):
        model = fresh(1.0)
        with pytest.raises(ValueError, match="'late' is no cut of the model"):
            sgd_step(model, aggregator="mgda", representation="late")
        plain = sgd_step(
            fresh(1.0, taps="late"), aggregator="sum", representation="late"
        )
        expected = sgd_step(fresh(1.0, taps="late"))
        for path, step in expected.items():
            np.testing.assert_allclose(plain[path], step, atol=1e-5)

    def test_logs_show_auxiliaries_in_training_only(self):
        x, y = make_data()
        model = fresh(1.0, tasks=["left"])
        model.compile("adam", LOSS, run_eagerly=EAGERLY)
        history = model.fit(x, y, validation_data=(x, y), verbose=0).history
        names = {"loss", "left_loss", "right_loss"}
        assert set(history) == (
            names | {f"val_{name}" for name in names} | {"left_aux_loss"}
        )


@keras.saving.register_keras_serializable(package="test_auxiliary_branches")
class Busy(layers.Layer):
    """A layer with a loss of its own."""

    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs**2))
        return inputs


def busy_adapter() -> keras.Model:
    return keras.Sequential(
        [layers.Dense(3), layers.BatchNormalization(), Busy()]
    )


class TestFiles:
    @pytest.mark.slow
    def test_served_model_holds_nothing_of_it(self, tmp_path):
        x, y = make_data()
        model = fresh(1.0)
        model.compile("adam", LOSS, aggregator="pcgrad", run_eagerly=EAGERLY)
        model.fit(x, y, verbose=0)
        served = strip_auxiliaries(model)
        served.save(tmp_path / "served.keras")
        loaded = keras.saving.load_model(tmp_path / "served.keras")
        expected = model.predict(x, verbose=0)
        for plain in (served, loaded):
            outputs = plain.predict(x, verbose=0)
            for task in expected:
                np.testing.assert_array_equal(outputs[task], expected[task])
        assert len(loaded.variables) == len(make_model().variables)
        with zipfile.ZipFile(tmp_path / "served.keras") as archive:
            config = archive.read("config.json").decode()
        assert json.loads(config)["class_name"] == "Functional"
        assert "keras_mtl" not in config and "aux" not in config

    @pytest.mark.slow
    def test_whole_model_goes_on_where_it_stopped(self, tmp_path):
        x, y = make_data()
        model = fresh(
            0.5,
            adapter=lambda: keras.Sequential(
                [layers.Dense(4), layers.BatchNormalization()]
            ),
            fusion="concat",
        )
        model.compile("adam", LOSS, run_eagerly=EAGERLY)
        model.fit(x, y, shuffle=False, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.auxiliaries.representation == TAPS
        assert [v.path for v in loaded.variables] == [
            v.path for v in model.variables
        ]
        for one in (model, loaded):
            one.fit(x, y, shuffle=False, verbose=0)
        for one, other in zip(
            model.get_weights(), loaded.get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, other, atol=1e-6)

    @pytest.mark.slow
    def test_exported_model_holds_no_auxiliary_weight(self, tmp_path):
        tf = pytest.importorskip("tensorflow")
        x, _ = make_data()
        model = fresh(1.0)
        model.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(str(tmp_path / "exported"))
        assert len(exported.variables) == len(make_model().variables)
        outputs = exported.serve(x)
        for task, expected in model.predict(x, verbose=0).items():
            np.testing.assert_allclose(outputs[task], expected, atol=1e-6)


class TestImages:
    def test_taps_of_two_sizes_and_outputs_of_two_ranks(self):
        inputs = keras.Input((8, 8, 1))
        x = layers.Conv2D(3, 3, padding="same", name="early")(inputs)
        x = layers.AveragePooling2D(2)(x)
        x = layers.Conv2D(4, 3, padding="same", name="late")(x)
        outputs = {
            "mask": layers.Conv2D(2, 1)(x),
            "label": layers.Dense(3)(layers.Flatten()(x)),
        }
        inner = keras.Model(inputs, outputs)
        model = add_auxiliary_branches(inner, TAPS, width=2)
        model.compile("sgd", "mse", run_eagerly=EAGERLY)
        x = np.ones((4, 8, 8, 1), "float32")
        y = {"mask": np.ones((4, 4, 4, 2)), "label": np.ones((4, 3))}
        logs = model.train_on_batch(x, y, return_dict=True)
        assert {"mask_aux_loss", "label_aux_loss"} <= set(logs)
        label = model.auxiliaries.heads["label"]
        assert label.head.output_dense.kernel.shape == (4 * 4 * 2, 3)
        # The first alone has another size than the outputs.
        with pytest.raises(ValueError, match="No head on `taps`.*'mask'"):
            add_auxiliary_branches(inner, TAPS[:1])

    def test_padding_stays_masked(self):
        tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
        labels = np.arange(8).reshape(2, 4) % 3
        inputs = keras.Input((4,), dtype="int32")
        x = layers.Embedding(6, 5, mask_zero=True, name="early")(inputs)
        x = layers.LSTM(4, return_sequences=True, name="late")(x)
        tags = layers.Dense(3, activation="softmax", name="tags")(x)
        # The first tap adds nothing: the branch is the second alone.
        adapter = [
            layers.Dense(4, kernel_initializer="zeros"),
            layers.Identity(),
        ]
        model = add_auxiliary_branches(
            keras.Model(inputs, tags), TAPS, adapter=adapter
        )
        head = model.auxiliaries.heads["tags"].head
        head.set_weights(model.get_layer("tags").get_weights())
        model.compile("sgd", CROSS_ENTROPY, run_eagerly=EAGERLY)
        logs = model.train_on_batch(tokens, labels, return_dict=True)
        # Equal heads and equal masks give equal losses.
        np.testing.assert_allclose(
            logs["tags_aux_loss"], logs["loss"], rtol=1e-5
        )


MISTAKES = {
    "no model": ({"model": "net"}, "`model` must be a functional.*'net'"),
    "no taps": ({"taps": []}, "`taps` must be a list.*taps=\\[\\]"),
    "no name": ({"taps": [3]}, "`taps` must be the name.*taps=3"),
    "unknown tap": (
        {"taps": ["early", "latte"]},
        "`taps` is no layer.*'early'.*'latte'",
    ),
    "tap named twice": (
        {"taps": ["late", "late"]},
        "`taps` must.* each .*once",
    ),
    "tap of one task": (
        {"taps": ["early", "left"]},
        "`taps` 'left' is not on the way to the output 'right'",
    ),
    "taps in the wrong order": (
        {"taps": ["late", "early"]},
        "`taps` must be in the order.*'late' is.* from \\['early'\\]",
    ),
    "as tasks": ({"as_tasks": "no"}, "`as_tasks`.*True or False.*'no'"),
    "adapters for other taps": (
        {"adapter": [layers.Dense(2)]},
        "`adapter`.*'early', 'late'.*1 of them",
    ),
    "no adapter": ({"adapter": "dense"}, "`adapter` should be.*'dense'"),
    "adapters of two widths": (
        {"adapter": [layers.Dense(2), layers.Dense(3)]},
        'adds up.*\'?fusion="concat"',
    ),
    "width and adapter": (
        {"adapter": layers.Dense(2), "width": 3},
        "`width`.*width=3",
    ),
    "unknown fusion": ({"fusion": "max"}, "`fusion`.*'max'"),
    "head of no task": (
        {"head": {"lft": layers.Dense(1)}},
        "`head` has entries \\['lft'\\]",
    ),
    "head of another shape": (
        {"head": layers.Dense(1)},
        "'left' predicts.*\\(None, 1\\).*\\(None, 10\\)",
    ),
    "no head": ({"head": 3}, "`head` should be a Keras layer.*head=3"),
    "unknown task": ({"tasks": ["lft"]}, "`tasks`.*'left'.*lft"),
    "no tasks": ({"tasks": 3}, "`tasks`.*'left'.*tasks=3"),
    "negative weight": ({"weight": -0.1}, "`weight`.*from 0 up.*=-0.1"),
    "activation of an unknown task": (
        {"activation": {"lft": "softmax"}},
        "`activation` has entries.*lft",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name):
    arguments, message = MISTAKES[name]
    arguments = {"model": None, "taps": TAPS, **arguments}
    if arguments["model"] is None:
        arguments["model"] = make_model()
    with pytest.raises(ValueError, match=f"(?s){message}"):
        add_auxiliary_branches(**arguments)


def test_auxiliaries_already():
    with pytest.raises(ValueError, match="has auxiliaries already.*strip"):
        add_auxiliary_branches(fresh(1.0), TAPS)


def test_taps_may_be_layers_and_tensors():
    model = make_model()
    taps = [model.get_layer(TAPS[0]), model.get_layer(TAPS[1]).output]
    model = add_auxiliary_branches(model, taps)
    assert model.auxiliaries.representation == TAPS
    assert isinstance(model.auxiliaries.heads["left"], AuxiliaryBranch)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
