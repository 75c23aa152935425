import json

import keras
import numpy as np
import pytest

from keras_mtl.layers import TaskAttention
from tests.arrays import features
from tests.arrays import numpy

TASKS = ["right", "left"]
EPSILON = keras.layers.BatchNormalization().epsilon


def values_of(picked: dict) -> dict[str, np.ndarray]:
    return {task: numpy(tensor) for task, tensor in picked.items()}


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def weight(layer, name: str) -> np.ndarray:
    [found] = [v for v in layer.weights if v.path.endswith(name)]
    return numpy(found).astype("float64")


def plain_mask(layer, task: str, x: np.ndarray) -> np.ndarray:
    """The mask of a layer without batch normalisation."""
    hidden = x @ weight(layer, f"{task}_hidden/kernel")
    hidden = np.maximum(hidden + weight(layer, f"{task}_hidden/bias"), 0)
    logits = hidden @ weight(layer, f"{task}_mask/kernel")
    return sigmoid(logits + weight(layer, f"{task}_mask/bias"))


def normalized(layer, name: str, x: np.ndarray) -> np.ndarray:
    """With the statistics of these very values."""
    rows = x.reshape(-1, x.shape[-1])
    x = (x - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + EPSILON)
    gamma = weight(layer, f"{name}_normalization/gamma")
    return gamma * x + weight(layer, f"{name}_normalization/beta")


def disturb(layer) -> None:
    """Weights that are all of some consequence."""
    rng = np.random.default_rng(5)
    for v in layer.trainable_weights:
        v.assign(numpy(v) + rng.normal(size=v.shape, scale=0.5))


SHAPES = pytest.mark.parametrize(
    "size", [(), (4,), (3, 2)], ids=["vector", "sequence", "image"]
)


class TestValues:
    @SHAPES
    def test_first_stage_is_a_mask_on_the_shared_features(self, size):
        before, after = features(5, *size, 3), features(5, *size, 4, seed=1)
        layer = TaskAttention(TASKS, batch_normalization=False)
        layer(before, after)
        disturb(layer)
        picked = values_of(layer(before, after))
        assert list(picked) == TASKS
        for task in TASKS:
            mask = plain_mask(layer, task, before.astype("float64"))
            np.testing.assert_allclose(picked[task], mask * after, atol=1e-5)
        assert np.abs(picked["left"] - picked["right"]).max() > 1e-2

    @SHAPES
    def test_later_stages_also_see_what_a_task_picked(self, size):
        before, after = features(5, *size, 3), features(5, *size, 4, seed=1)
        previous = {
            task: features(5, *size, 2, seed=7 + index)
            for index, task in enumerate(TASKS)
        }
        layer = TaskAttention(TASKS, 6, batch_normalization=False)
        layer(before, after, previous)
        disturb(layer)
        picked = values_of(layer(before, after, previous))
        for task in TASKS:
            x = np.concatenate([before, previous[task]], axis=-1)
            mask = plain_mask(layer, task, x.astype("float64"))
            np.testing.assert_allclose(picked[task], mask * after, atol=1e-5)
        assert weight(layer, "left_hidden/kernel").shape == (5, 6)
        listed = layer(before, after, [previous[task] for task in TASKS])
        for task, values in values_of(listed).items():
            np.testing.assert_array_equal(values, picked[task])

    @pytest.mark.parametrize("share", [True, False])
    def test_transition_brings_them_to_the_size_of_the_stage(self, share):
        before, after = features(2, 2, 2, 3), features(2, 2, 2, 4, seed=1)
        previous = {
            task: features(2, 4, 4, 5, seed=len(task)) for task in TASKS
        }
        transition = keras.Sequential(
            [keras.layers.Dense(6), keras.layers.AveragePooling2D(2)]
        )
        layer = TaskAttention(
            TASKS,
            transition=transition,
            share_transition=share,
            batch_normalization=False,
        )
        picked = values_of(layer(before, after, previous))
        assert len(layer.transitions) == (1 if share else 2)
        for index, task in enumerate(TASKS):
            used = layer.transitions[0 if share else index]
            kernel, bias = map(numpy, used.weights)
            moved = previous[task].reshape(2, 2, 2, 2, 2, 5).mean(axis=(2, 4))
            x = np.concatenate([before, moved @ kernel + bias], axis=-1)
            mask = plain_mask(layer, task, x.astype("float64"))
            np.testing.assert_allclose(picked[task], mask * after, atol=1e-5)
        if not share:
            one, other = (numpy(t.weights[0]) for t in layer.transitions)
            assert np.abs(one - other).max() > 1e-2
        assert not transition.built

    def test_batch_normalization_is_of_the_batch_in_training(self):
        before, after = features(8, 3, 2), features(8, 3, 4, seed=1)
        layer = TaskAttention(["only"])
        layer(before, after)
        disturb(layer)
        picked = numpy(layer(before, after, training=True)["only"])
        x = before.astype("float64") @ weight(layer, "only_hidden/kernel")
        x = np.maximum(normalized(layer, "only_hidden", x), 0)
        x = normalized(
            layer, "only_mask", x @ weight(layer, "only_mask/kernel")
        )
        np.testing.assert_allclose(picked, sigmoid(x) * after, atol=1e-4)

    def test_masks_lie_between_zero_and_one(self):
        before, ones = features(64, 3) * 3, np.ones((64, 4), "float32")
        layer = TaskAttention(TASKS)
        layer(before, ones)
        disturb(layer)
        for mask in values_of(layer(before, ones, training=True)).values():
            assert 0 < mask.min() < 0.3 and 0.7 < mask.max() < 1

    @pytest.mark.parametrize("normalization", [True, False])
    @pytest.mark.parametrize("bias, share", [(1e3, 1.0), (-1e3, 0.0)])
    def test_a_large_bias_is_hard_sharing(self, normalization, bias, share):
        before, after = features(6, 3), features(6, 4, seed=1)
        layer = TaskAttention(
            TASKS,
            batch_normalization=normalization,
            mask_bias_initializer=keras.initializers.Constant(bias),
        )
        for training in (False, True):
            picked = layer(before, after, training=training)
            for values in values_of(picked).values():
                np.testing.assert_array_equal(values, share * after)

    def test_parameter_counts(self):
        layer = TaskAttention(TASKS, 5, batch_normalization=False)
        layer(features(2, 3), features(2, 4))
        trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_weights)
        assert trainable == 2 * (3 * 5 + 5 + 5 * 4 + 4)
        layer = TaskAttention(TASKS)
        layer(features(2, 3), features(2, 4))
        trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_weights)
        assert trainable == 2 * (3 * 4 + 2 * 4 + 4 * 4 + 2 * 4)


class TestSharingMatrices:
    def masks(self, layer, before) -> np.ndarray:
        ones = np.ones((*before.shape[:-1], 4), "float32")
        picked = values_of(layer(before, ones, training=True))
        return np.stack(
            [picked[t].reshape(-1, 4).mean(axis=0) for t in layer.tasks]
        )

    def test_moving_average_of_the_masks_in_training(self):
        layer = TaskAttention(TASKS, momentum=0.6)
        ones = np.ones((8, 3, 4), "float32")
        layer(features(8, 3, 2), ones)
        disturb(layer)
        [matrix] = layer.sharing_matrices()
        assert np.isnan(matrix.values).all()
        # Equal weights at first, then a share of 0.4 for the last step.
        steps = [self.masks(layer, features(8, 3, 2, seed=s)) for s in range(4)]
        expected = (steps[0] + steps[1]) / 2
        for step in steps[2:]:
            expected = 0.6 * expected + 0.4 * step
        layer(features(8, 3, 2, seed=9) + 5, ones)
        [matrix] = layer.sharing_matrices()
        np.testing.assert_allclose(matrix.values, expected, atol=1e-6)
        assert matrix.rows == TASKS
        assert matrix.columns == ["0", "1", "2", "3"]
        assert (matrix.title, matrix.low, matrix.high) == ("mean mask", 0, 1)

    def test_padding_does_not_count(self):
        tokens = np.array([[1, 2, 0], [3, 0, 0]])
        embedded = keras.layers.Embedding(4, 2, mask_zero=True)(tokens)
        layer = TaskAttention(["only"])
        ones = np.ones((2, 3, 4), "float32")
        layer(embedded, ones)
        disturb(layer)
        layer(embedded, ones, training=True)
        # Padding was left out of the batch's mean, so of the moving one too.
        kept = numpy(embedded)[tokens != 0].astype("float64")
        x = kept @ weight(layer, "only_hidden/kernel")
        np.testing.assert_allclose(
            weight(layer, "only_hidden_normalization/moving_mean"),
            0.01 * x.mean(axis=0),
            atol=1e-6,
        )
        x = np.maximum(normalized(layer, "only_hidden", x), 0)
        x = normalized(
            layer, "only_mask", x @ weight(layer, "only_mask/kernel")
        )
        [matrix] = layer.sharing_matrices()
        np.testing.assert_allclose(
            matrix.values[0], sigmoid(x).mean(axis=0), atol=1e-4
        )

    def test_nothing_to_look_at_before_it_is_built(self):
        with pytest.raises(ValueError, match="'mine' has no weights yet"):
            TaskAttention(TASKS, name="mine").sharing_matrices()

    def test_nothing_but_padding_changes_nothing(self):
        layer = TaskAttention(TASKS)
        ones = np.ones((2, 3, 4), "float32")
        layer(features(2, 3, 2), ones, training=True)
        [before] = layer.sharing_matrices()
        nothing = np.zeros((2, 3), "int32")
        padding = keras.layers.Embedding(4, 2, mask_zero=True)(nothing)
        layer(padding, ones, training=True)
        [after] = layer.sharing_matrices()
        np.testing.assert_array_equal(before.values, after.values)


@pytest.mark.slow
def test_tasks_pick_the_features_that_they_need():
    x = features(256, 4)
    inputs = keras.Input((4,))
    picked = TaskAttention(TASKS, name="attention", momentum=0.9)(
        inputs, inputs
    )
    # A fixed head adds up what a task has picked.
    total = {t: keras.ops.sum(x, -1, keepdims=True) for t, x in picked.items()}
    model = keras.Model(inputs, total)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    y = {task: x[:, index : index + 1] for index, task in enumerate(TASKS)}
    model.fit(x, y, batch_size=64, epochs=25, verbose=0)
    [matrix] = model.get_layer("attention").sharing_matrices()
    needed = np.eye(2, 4, dtype=bool)
    assert matrix.values[needed].min() > 0.8
    assert matrix.values[~needed].max() < 0.2


def two_stages(**arguments) -> keras.Model:
    inputs = keras.Input((6, 3))
    before = keras.layers.Dense(4, activation="relu")(inputs)
    after = keras.layers.Dense(5, activation="relu")(before)
    picked = TaskAttention(TASKS, name="one", **arguments)(before, after)
    before = keras.layers.AveragePooling1D(2)(after)
    after = keras.layers.Dense(4, activation="relu")(before)
    transition = lambda: keras.Sequential(  # noqa: E731
        [
            keras.layers.Conv1D(2, 2, padding="same", activation="relu"),
            keras.layers.MaxPool1D(2),
        ]
    )
    picked = TaskAttention(
        TASKS, transition=transition, name="two", **arguments
    )(before, after, picked)
    outputs = {
        task: keras.layers.Dense(1, name=task)(keras.layers.Flatten()(x))
        for task, x in picked.items()
    }
    return keras.Model(inputs, outputs)


class TestAsALayer:
    @pytest.mark.slow
    def test_two_stages_train_and_survive_a_file(self, tmp_path):
        model = two_stages()
        model.compile("sgd", "mse", run_eagerly=True)
        x = features(8, 6, 3)
        y = {task: features(8, 1, seed=3) for task in TASKS}
        model.fit(x, y, batch_size=4, verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        expected = model.predict(x, verbose=0)
        for task, values in loaded.predict(x, verbose=0).items():
            np.testing.assert_array_equal(values, expected[task])
        for name in ("one", "two"):
            layer, other = model.get_layer(name), loaded.get_layer(name)
            assert layer.get_config() == other.get_config()
            np.testing.assert_array_equal(
                layer.sharing_matrices()[0].values,
                other.sharing_matrices()[0].values,
            )

    def test_every_weight_learns(self):
        # A normalisation takes away what the bias of a transition does.
        model = two_stages(batch_normalization=False)
        before = [np.copy(numpy(v)) for v in model.trainable_weights]
        model.compile(keras.optimizers.SGD(0.5), "mse", run_eagerly=True)
        y = {task: features(8, 1, seed=len(task)) for task in TASKS}
        model.train_on_batch(features(8, 6, 3), y)
        for old, new in zip(before, model.trainable_weights, strict=True):
            assert np.abs(numpy(new) - old).max() > 1e-7, new.path

    def test_configuration_survives_json(self):
        layer = TaskAttention(
            TASKS,
            hidden_units=3,
            transition=lambda: keras.layers.Dense(2),
            share_transition=False,
            batch_normalization=False,
            hidden_activation="tanh",
            kernel_initializer="he_normal",
            mask_bias_initializer="ones",
            kernel_regularizer="l2",
            momentum=0.5,
            dtype="mixed_float16",
        )
        config = json.loads(json.dumps(layer.get_config()))
        copy = TaskAttention.from_config(config)
        assert copy.get_config() == layer.get_config()
        copy(features(2, 3), features(2, 4), [features(2, 5)] * 2)
        assert len(copy.losses) == 4
        assert weight(copy, "left_mask/bias").tolist() == [1.0] * 4

    def test_mask_of_frames(self):
        layer = TaskAttention(["only"], momentum=0.5)
        x = features(2, 4, 3, 5)
        mask = np.arange(4) < np.array([[2], [4]])
        other = np.where(mask[..., None, None], x, features(2, 4, 3, 5, seed=1))
        found = []
        for value in (x, other):
            picked = layer(
                value,
                x,
                shared_before_mask=keras.ops.array(mask),
                training=True,
            )
            kept = values_of(picked)["only"][mask]
            found.append((kept, layer.sharing_matrices()[0].values))
        for first, second in zip(*found, strict=True):
            np.testing.assert_allclose(first, second, atol=1e-5)

    def test_mask_goes_with_the_steps(self):
        tokens = keras.ops.convert_to_tensor([[1, 2, 0, 0]])
        embedded = keras.layers.Embedding(5, 3, mask_zero=True)(tokens)
        picked = TaskAttention(TASKS)(embedded, features(1, 4, 2))
        for task in TASKS:
            np.testing.assert_array_equal(
                numpy(picked[task]._keras_mask), [[True, True, False, False]]
            )

    def test_symbolic_shapes(self):
        before, after = keras.Input((None, 3)), keras.Input((None, 4))
        picked = TaskAttention(TASKS)(before, after)
        assert {t: x.shape for t, x in picked.items()} == dict.fromkeys(
            TASKS, (None, None, 4)
        )

    def test_mixed_precision(self):
        layer = TaskAttention(TASKS, dtype="mixed_float16")
        picked = layer(features(8, 3), features(8, 4), training=True)
        for x in picked.values():
            assert keras.backend.standardize_dtype(x.dtype) == "float16"
        assert {v.dtype for v in layer.variables} == {"float32"}
        [matrix] = layer.sharing_matrices()
        assert np.isfinite(matrix.values).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(tasks="left"), "`tasks` should be a list"),
        (dict(tasks=["a", "a"]), "`tasks` should be a list"),
        (dict(hidden_units=0), "`hidden_units`.*from 1.*=0"),
        (dict(momentum=1.0), "`momentum`.*below 1.*=1.0"),
        (dict(momentum=-0.1), "`momentum`.*from 0.*=-0.1"),
        (dict(share_transition="no"), "`share_transition`.*True or False"),
        (dict(batch_normalization=1), "`batch_normalization`.*=1"),
        (dict(transition=3), "`transition` should be a Keras layer"),
        (
            dict(transition=[keras.layers.Dense(1)], share_transition=False),
            "`transition` should hold 2 layers",
        ),
    ],
)
def test_refuses_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        TaskAttention(**{"tasks": TASKS, **arguments})


@pytest.mark.parametrize(
    "arguments, shapes, message",
    [
        ({}, [(2, 4, 3), (2, 2, 3)], "needs `shared_after`.*\\(2, 2, 3\\)"),
        ({}, [(2, 4, 3), (2, 3)], "needs `shared_after` in the size"),
        (
            {},
            [(2, 4, 3), (2, 4, 3), {"left": (2, 4, 1), "right": (2, 2, 1)}],
            "needs `previous` of the task 'right'.*give a `transition`",
        ),
        (
            {},
            [(2, 3), (2, 3), {"left": (2, 3), "right": (2, 7)}],
            "'task_attention.*`previous`.*one size.*Received.*7",
        ),
        ({}, [(2, 3), (2, 3), {"left": (2, 3)}], "takes the tasks.*'left'"),
        ({}, [(2, 3), (2, 3), [(2, 3)] * 3], "one tensor for each of the"),
        (
            {"transition": keras.layers.Dense(2)},
            [(2, 3), (2, 3)],
            "`previous` must be given.*first stage",
        ),
    ],
)
def test_refuses_shapes(arguments, shapes, message):
    layer = TaskAttention(TASKS, **arguments)
    with pytest.raises(ValueError, match=message):
        layer.build(*shapes)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
