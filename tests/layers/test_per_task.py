import json

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl.layers import PerTask
from keras_mtl.layers.per_task import spread
from tests.arrays import features
from tests.arrays import numpy

TASKS = ["left", "right"]
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def functional() -> keras.Model:
    inputs = keras.Input((5,))
    hidden = layers.Dense(4, activation="tanh")(inputs)
    return keras.Model(inputs, layers.Dense(2)(hidden))


class Scale(layers.Layer):
    """A layer that Keras does not know, without a shape function."""

    def build(self, input_shape):
        self.scale = self.add_weight((input_shape[-1],), "uniform")

    def call(self, inputs):
        return inputs * self.scale


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(3),
        functional,
        lambda: keras.Sequential([layers.Dense(4), layers.Dense(3)]),
        Scale,
    ],
    ids=["layer", "functional", "sequential", "custom"],
)
def test_each_task_has_a_network_of_its_own(layer):
    tasks = PerTask(layer(), TASKS)
    x = features(6, 5)
    y = tasks(x)
    assert list(y) == TASKS
    for task, copy in zip(TASKS, tasks.copies, strict=True):
        np.testing.assert_array_equal(numpy(y[task]), numpy(copy(x)))
        symbolic = tasks(keras.Input((5,)))[task]
        assert symbolic.shape[1:] == y[task].shape[1:]
    assert np.abs(numpy(y["left"]) - numpy(y["right"])).max() > 1e-3
    assert len(tasks.trainable_weights) == 2 * len(
        tasks.copies[0].trainable_weights
    )


def test_a_dictionary_and_a_list_give_each_task_its_own_tensor():
    tasks = PerTask(layers.Dense(3), TASKS)
    left, right = features(6, 5), features(4, 5, seed=1)
    by_name = tasks({"right": right, "left": left})
    in_order = tasks([left, right])
    for task, copy, x in zip(TASKS, tasks.copies, (left, right), strict=True):
        expected = x @ numpy(copy.kernel)
        np.testing.assert_allclose(numpy(by_name[task]), expected, atol=1e-6)
        np.testing.assert_allclose(numpy(in_order[task]), expected, atol=1e-6)


def test_copies_may_differ_in_what_they_read_and_make():
    tasks = PerTask([layers.Dense(3), layers.Dense(1)], TASKS)
    shapes = {"left": (None, 5), "right": (None, 7, 2)}
    y = tasks({"left": features(6, 5), "right": features(6, 7, 2)})
    assert y["left"].shape == (6, 3)
    assert y["right"].shape == (6, 7, 1)
    assert tasks.compute_output_shape(shapes) == {
        "left": (None, 3),
        "right": (None, 7, 1),
    }


def test_training_reaches_the_copies():
    tasks = PerTask(
        keras.Sequential([layers.BatchNormalization(), layers.Dropout(0.5)]),
        TASKS,
    )
    x = 3.0 + features(64, 5)
    serving = tasks(x, training=False)
    np.testing.assert_allclose(numpy(serving["left"]), x, rtol=1e-2)
    training = {task: numpy(y) for task, y in tasks(x, training=True).items()}
    for task, copy in zip(TASKS, tasks.copies, strict=True):
        assert 0.3 < (training[task] == 0).mean() < 0.7
        assert np.all(numpy(copy.layers[0].moving_mean) > 0.01)
    # A mask of random numbers for each.
    assert np.any((training["left"] == 0) != (training["right"] == 0))


class TestMasks:
    x = features(2, 4, 3)
    left = np.array([[True, True, False, False], [True, True, True, False]])
    right = np.array([[True, False, False, False], [True, True, True, True]])

    def embedded(self, mask):
        tokens = ops.convert_to_tensor(mask.astype("int32"))
        return layers.Embedding(2, 3, mask_zero=True)(tokens)

    def expected(self, tasks, masks):
        return [
            numpy(copy(ops.convert_to_tensor(self.x), mask=mask))
            for copy, mask in zip(tasks.copies, masks, strict=True)
        ]

    def test_of_tensors_reach_each_copy(self):
        tasks = PerTask(layers.GlobalAveragePooling1D(), TASKS)
        left, right = self.embedded(self.left), self.embedded(self.right)
        y = tasks({"left": left, "right": right})
        for task, x, mask in zip(
            TASKS, (left, right), (self.left, self.right), strict=True
        ):
            # All that is not masked is the one vector of token 1.
            np.testing.assert_allclose(
                numpy(y[task]), numpy(x)[mask][[0, -1]], atol=1e-6
            )

    # Keras warns of masks given to any model, which goes on to use them.
    @pytest.mark.filterwarnings("ignore:Layer .* was passed an input")
    @pytest.mark.parametrize(
        "layer",
        [
            layers.GlobalAveragePooling1D(),
            keras.Sequential(
                [layers.Identity(), layers.GlobalAveragePooling1D()]
            ),
        ],
        ids=["layer", "model"],
    )
    def test_by_argument_reach_each_copy(self, layer):
        tasks = PerTask(layer, TASKS)
        y = tasks(
            {"left": self.x, "right": self.x},
            mask={"left": self.left, "right": self.right},
        )
        expected = self.expected(tasks, (self.left, self.right))
        plain = self.expected(tasks, (None, None))
        for task, value, other in zip(TASKS, expected, plain, strict=True):
            np.testing.assert_allclose(numpy(y[task]), value, atol=1e-6)
            assert np.abs(value - other).max() > 1e-3

    def test_one_for_the_tensor_that_all_read(self):
        tasks = PerTask(layers.GlobalAveragePooling1D(), TASKS)
        y = tasks(self.x, mask=self.left)
        expected = self.expected(tasks, (self.left, self.left))
        for task, value in zip(TASKS, expected, strict=True):
            np.testing.assert_allclose(numpy(y[task]), value, atol=1e-6)

    def test_a_list_may_have_a_mask_for_some(self):
        tasks = PerTask(layers.GlobalAveragePooling1D(), TASKS)
        for masks in ([self.left, None], [None, None]):
            y = tasks([self.x, self.x], mask=masks)
            for task, value in zip(
                TASKS, self.expected(tasks, masks), strict=True
            ):
                np.testing.assert_allclose(numpy(y[task]), value, atol=1e-6)

    def test_go_on_with_steps_and_end_with_them(self):
        x = self.embedded(self.left)
        kept = PerTask(layers.Dense(2), TASKS)(x)
        ended = PerTask(layers.GlobalAveragePooling1D(), TASKS)(x)
        given = PerTask(layers.Dense(2), TASKS)(self.x, mask=self.left)
        for task in TASKS:
            np.testing.assert_array_equal(
                numpy(kept[task]._keras_mask), self.left
            )
            np.testing.assert_array_equal(
                numpy(given[task]._keras_mask), self.left
            )
            assert getattr(ended[task], "_keras_mask", None) is None

    def test_of_tasks_need_tensors_of_tasks(self):
        tasks = PerTask(layers.GlobalAveragePooling1D(), TASKS)
        with pytest.raises(ValueError, match="one mask with one tensor"):
            tasks(self.x, mask={"left": self.left, "right": self.right})


@pytest.mark.slow
def test_works_in_any_keras_model_and_survives_a_file(tmp_path):
    inputs = {
        "left": keras.Input((2, 3), name="left"),
        "right": keras.Input((2, 3), name="right"),
    }
    tower = keras.Sequential(
        [
            # Unrolled it compiles in a tenth of the time.
            layers.LSTM(3, unroll=True),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
        ]
    )
    hidden = PerTask(tower, TASKS, name="towers")(inputs)
    # A function is called for each task, and need not be saved.
    outputs = PerTask(lambda: layers.Dense(1), TASKS, name="heads")(hidden)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    x = {"left": features(16, 2, 3), "right": features(16, 2, 3, seed=1)}
    y = {task: features(16, 1, seed=2) for task in TASKS}
    before = [numpy(w) for w in model.trainable_weights]
    model.fit(x, y, batch_size=8, epochs=1, verbose=0)
    for old, new in zip(before, model.trainable_weights, strict=True):
        assert np.any(old != numpy(new)), new.path
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    found = loaded.predict(x, verbose=0)
    for task, value in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(found[task], value)
    for name in ("towers", "heads"):
        # As text: Keras itself turns tuples of shapes into lists.
        configs = [
            json.dumps(m.get_layer(name).get_config(), sort_keys=True)
            for m in (model, loaded)
        ]
        assert configs[0] == configs[1]


@pytest.mark.skipif(not ON_TENSORFLOW, reason="exports through TensorFlow")
def test_exports(tmp_path):
    import tensorflow as tf

    inputs = keras.Input((5,))
    model = keras.Model(inputs, PerTask(functional(), TASKS)(inputs))
    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(str(tmp_path / "exported"))
    x = features(3, 5)
    for task, value in model(x).items():
        np.testing.assert_allclose(
            numpy(served.serve(x)[task]), numpy(value), atol=1e-6
        )


def test_copies_keep_their_own_precision():
    tasks = PerTask(
        [layers.Dense(2), layers.Dense(2, dtype="mixed_float16")], TASKS
    )
    x = features(3, 5) + 1e-4
    y = tasks(x)
    dtypes = [keras.backend.standardize_dtype(y[task].dtype) for task in TASKS]
    symbolic = tasks(keras.Input((5,)))
    assert dtypes == ["float32", "float16"]
    assert [symbolic[task].dtype for task in TASKS] == dtypes
    np.testing.assert_allclose(
        numpy(y["left"]), x @ numpy(tasks.copies[0].kernel), atol=1e-6
    )


def test_embeds_integers():
    tasks = PerTask(layers.Embedding(7, 3), TASKS)
    y = tasks(np.array([[1, 6]]))
    for task, copy in zip(TASKS, tasks.copies, strict=True):
        np.testing.assert_array_equal(
            numpy(y[task])[0], numpy(copy.embeddings)[[1, 6]]
        )


@pytest.mark.parametrize("tasks", [[], ["a", "a"], "ab", [1, 2], None])
def test_refuses_names_that_are_none(tasks):
    with pytest.raises(ValueError, match="`tasks` should be.*Received"):
        PerTask(layers.Dense(2), tasks)


@pytest.mark.parametrize("layer", [layers.Dense, 3, [layers.Dense(2)], None])
def test_refuses_what_is_no_layer_for_each_task(layer):
    with pytest.raises(ValueError, match="`layer`.*Received"):
        PerTask(layer, TASKS)


@pytest.mark.parametrize(
    "inputs",
    [
        {"left": features(2, 3)},
        {"left": features(2, 3), "up": features(2, 3)},
        [features(2, 3)] * 3,
    ],
)
def test_refuses_inputs_of_other_tasks(inputs):
    with pytest.raises(ValueError, match="'towers' takes.*left.*Received"):
        PerTask(layers.Dense(2), TASKS, name="towers")(inputs)


def test_spread_tells_one_shape_from_many():
    assert spread("x", TASKS, (None, 3)) == [(None, 3)] * 2
    assert spread("x", TASKS, [None, 3]) == [[None, 3]] * 2
    assert spread("x", TASKS, [(None, 3), (None, 4)]) == [(None, 3), (None, 4)]
    assert spread("x", TASKS, {"right": 2, "left": 1}) == [1, 2]


# Keras warns where a layer is built and its own layers are not.
@pytest.mark.filterwarnings("error")
def test_layers_without_build():
    class Tower(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(3)

        def call(self, inputs):
            return self.dense(inputs)

    layer = PerTask(lambda: Tower(), ["a", "b"])
    layer.build((None, 5))
    assert len(layer.trainable_variables) == 4


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
