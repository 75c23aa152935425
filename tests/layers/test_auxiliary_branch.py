import json

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl.layers import AuxiliaryBranch
from tests.arrays import numpy


def features(*shape: int) -> np.ndarray:
    return (
        np.random.default_rng(len(shape)).normal(size=shape).astype("float32")
    )


def dense(layer, x) -> np.ndarray:
    kernel, bias = (numpy(v).astype("float64") for v in layer.weights)
    return x @ kernel + bias


def plain_config(layer) -> dict:
    return json.loads(json.dumps(layer.get_config()))


def halves(image: np.ndarray) -> np.ndarray:
    """Means over squares of four pixels."""
    batch, height, width, channels = image.shape
    squares = image.reshape(batch, height // 2, 2, width // 2, 2, channels)
    return squares.mean(axis=(2, 4))


class TestValues:
    def test_single_tap_is_a_linear_bottleneck(self):
        branch = AuxiliaryBranch(layers.Dense(3), width=2)
        x = features(5, 7)
        branch.build(x.shape)
        expected = dense(branch.head, dense(branch.adapters[0], x))
        np.testing.assert_allclose(numpy(branch(x)), expected, atol=1e-5)
        np.testing.assert_allclose(numpy(branch([x])), expected, atol=1e-5)
        assert branch.count_params() == 7 * 2 + 2 + 2 * 3 + 3

    def test_sums_up_from_tap_to_tap(self):
        branch = AuxiliaryBranch(layers.Dense(3), width=4)
        early, late = features(2, 4, 6, 3), features(2, 2, 3, 5)
        last = features(2, 8)
        prediction = numpy(branch([early, late, last]))
        one, two, three = branch.adapters
        x = halves(dense(one, early)) + dense(two, late)
        x = x.mean(axis=(1, 2)) + dense(three, last)
        np.testing.assert_allclose(prediction, dense(branch.head, x), atol=1e-5)

    def test_concatenates_from_tap_to_tap(self):
        branch = AuxiliaryBranch(
            layers.Dense(3), [layers.Dense(4), layers.Dense(2)], fusion="concat"
        )
        early, late = features(2, 6, 3), features(2, 5)
        prediction = numpy(branch([early, late]))
        one, two = branch.adapters
        x = [dense(one, early).mean(axis=1), dense(two, late)]
        expected = dense(branch.head, np.concatenate(x, axis=-1))
        np.testing.assert_allclose(prediction, expected, atol=1e-5)
        assert branch.head.kernel.shape == (6, 3)

    def test_width_is_that_of_the_last_tap(self):
        branch = AuxiliaryBranch(layers.Dense(1))
        branch.build([(None, 8, 3), (None, 5)])
        assert [a.units for a in branch.adapters] == [5, 5]

    @pytest.mark.parametrize(
        "size, target, cells",
        [
            (6, 3, [(0, 2), (2, 4), (4, 6)]),
            # Where sizes do not divide, cells overlap.
            (5, 3, [(0, 2), (1, 4), (3, 5)]),
            (7, 2, [(0, 4), (3, 7)]),
            (2, 4, [(0, 1), (0, 1), (1, 2), (1, 2)]),
            (2, 3, [(0, 1), (0, 2), (1, 2)]),
        ],
    )
    def test_cells_of_another_size_are_means(self, size, target, cells):
        identity = [layers.Identity() for _ in range(2)]
        branch = AuxiliaryBranch(layers.Identity(), identity)
        x = features(2, size, 3)
        result = numpy(branch([x, np.zeros((2, target, 3), "float32")]))
        for cell, (start, end) in enumerate(cells):
            mean = x[:, start:end].mean(axis=1)
            np.testing.assert_allclose(result[:, cell], mean, atol=1e-6)

    def test_sizes_may_be_unknown(self):
        inputs = [keras.Input((None, None, 3)), keras.Input((None, None, 5))]
        branch = AuxiliaryBranch(layers.Dense(2))
        model = keras.Model(inputs, branch(inputs))
        assert model.output.shape == (None, None, None, 2)
        early, late = features(2, 4, 6, 3), features(2, 2, 3, 5)
        one, two = branch.adapters
        x = halves(dense(one, early)) + dense(two, late)
        np.testing.assert_allclose(
            model.predict([early, late], verbose=0),
            dense(branch.head, x),
            atol=1e-5,
        )


class TestMasks:
    tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 0], [0, 0, 0, 0]])

    def embedded(self, width):
        return layers.Embedding(6, width, mask_zero=True)(self.tokens)

    def test_padding_does_not_count_in_means(self):
        branch = AuxiliaryBranch(
            layers.Identity(), [layers.Identity(), layers.Identity()]
        )
        x = self.embedded(3)
        means = numpy(branch([x, np.zeros((3, 3), "float32")]))
        x = numpy(x)
        np.testing.assert_allclose(means[0], x[0, :2].mean(axis=0), atol=1e-6)
        np.testing.assert_allclose(means[1], x[1, :3].mean(axis=0), atol=1e-6)
        np.testing.assert_array_equal(means[2], np.zeros(3))

    def test_mask_of_the_last_tap_goes_on_to_the_prediction(self):
        branch = AuxiliaryBranch(layers.Dense(2))
        prediction = branch([features(3, 4, 5), self.embedded(3)])
        np.testing.assert_array_equal(
            numpy(prediction._keras_mask), self.tokens != 0
        )

    def test_flat_prediction_has_none(self):
        branch = AuxiliaryBranch(layers.Dense(2))
        prediction = branch([self.embedded(3), features(3, 5)])
        assert getattr(prediction, "_keras_mask", None) is None

    def test_heads_that_heed_masks_get_them(self):
        branch = AuxiliaryBranch(
            layers.GlobalAveragePooling1D(), [layers.Identity()]
        )
        x = self.embedded(3)
        means = numpy(branch([x]))
        x = numpy(x)
        np.testing.assert_allclose(means[0], x[0, :2].mean(axis=0), atol=1e-6)


def full() -> AuxiliaryBranch:
    adapters = [
        keras.Sequential(
            [layers.Dense(4, "relu"), layers.BatchNormalization()]
        ),
        layers.Dense(3),
    ]
    return AuxiliaryBranch(layers.Dense(2), adapters, fusion="concat")


class TestAsALayer:
    @pytest.mark.parametrize(
        "make",
        [full, lambda: AuxiliaryBranch(layers.Dense(2), width=3)],
        ids=["own adapters", "default adapters"],
    )
    def test_survives_a_file(self, make, tmp_path):
        inputs = [keras.Input((4, 4, 2)), keras.Input((5,))]
        branch = make()
        model = keras.Model(inputs, branch(inputs))
        model.compile("sgd", "mse")
        x = [features(8, 4, 4, 2), features(8, 5)]
        model.fit(x, features(8, 2), verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(
            loaded.predict(x, verbose=0), model.predict(x, verbose=0)
        )
        assert plain_config(loaded.layers[-1]) == plain_config(branch)

    def test_configuration_survives_json(self):
        branch = full()
        copy = AuxiliaryBranch.from_config(plain_config(branch))
        assert plain_config(copy) == plain_config(branch)
        assert copy.adapters[0] is not branch.adapters[0]

    @pytest.mark.parametrize("fusion", ["sum", "concat"])
    @pytest.mark.parametrize(
        "shapes", [[(4, 6, 3), (2, 3, 5)], [(6, 3), (3, 5), (4,)], [(7,)]]
    )
    def test_shape_is_the_computed_one(self, shapes, fusion):
        branch = AuxiliaryBranch(layers.Dense(2), width=3, fusion=fusion)
        symbolic = [(None, *shape) for shape in shapes]
        branch.build(symbolic)
        expected = branch.compute_output_shape(symbolic)
        prediction = branch([features(2, *shape) for shape in shapes])
        assert expected == (None, *prediction.shape[1:])

    def test_follows_its_dtype_policy(self):
        branch = AuxiliaryBranch(
            layers.Dense(2, dtype="mixed_float16"), dtype="mixed_float16"
        )
        prediction = branch([features(2, 6, 3), features(2, 4, 5)])
        assert keras.backend.standardize_dtype(prediction.dtype) == "float16"
        assert {v.dtype for v in branch.weights} == {"float32"}

    def test_every_weight_learns(self):
        inputs = [keras.Input((4, 3)), keras.Input((5,))]
        branch = full()
        model = keras.Model(inputs, branch(inputs))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        before = [np.copy(w) for w in map(numpy, model.trainable_weights)]
        model.train_on_batch(
            [features(8, 4, 3), features(8, 5)], features(8, 2)
        )
        for old, new in zip(before, model.trainable_weights, strict=True):
            assert np.abs(numpy(new) - old).max() > 1e-6, new.path


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(head=3), "`head` should be a Keras layer.*head=3"),
        (dict(adapters=layers.Dense(2)), "`adapters` should be a list"),
        (dict(adapters=[lambda x: x]), "`adapters` should be a list"),
        (dict(adapters=[]), "a different layer for each tap"),
        (dict(adapters=[layers.Dense(2)], width=3), "`width`.*width=3"),
        (dict(width=0), "`width`.*integer from 1.*width=0"),
        (dict(fusion="max"), "`fusion`.*'sum', 'concat'.*'max'"),
    ],
)
def test_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        AuxiliaryBranch(**{"head": layers.Dense(1), **arguments})


def test_refuses_one_adapter_for_two_taps():
    one = layers.Dense(2)
    with pytest.raises(ValueError, match="a different layer for each tap"):
        AuxiliaryBranch(layers.Dense(1), [one, one])


@pytest.mark.parametrize(
    "shapes, message",
    [
        ([(None, 4), (None, 3)], "adds up.*equal.*concat"),
        ([(None, 4)], "2 `adapters`.*as many inputs"),
        ([(None, 2), (None, 4, 2)], "carry.*order"),
        ([(None, 4, 4, 2), (None, 4, 2)], "carry.*order"),
    ],
)
def test_refuses_taps_that_cannot_be_fused(shapes, message):
    identity = [layers.Identity(), layers.Identity()]
    branch = AuxiliaryBranch(layers.Dense(1), identity, name="mine")
    with pytest.raises(ValueError, match=f"'mine'.*({message})"):
        branch.build(shapes)


def test_width_that_is_not_known():
    branch = AuxiliaryBranch(keras.layers.Dense(2))
    with pytest.raises(ValueError, match="Give `width`"):
        branch.build((None, None, None))


def test_head_is_no_adapter():
    layer = keras.layers.Dense(3)
    with pytest.raises(ValueError, match="none that is the head"):
        AuxiliaryBranch(layer, [layer])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
