import keras
import numpy as np
import pytest

from keras_mtl.layers import CrossStitch
from tests.arrays import features
from tests.arrays import features_of_all
from tests.arrays import numpy

TASKS = ["income", "marriage", "age"]


def mixture(alpha, inputs) -> dict[str, np.ndarray]:
    """The formula, task by task and channel by channel, in float64."""
    names = sorted(inputs)
    outputs = {}
    for row, receiver in enumerate(names):
        outputs[receiver] = np.zeros(inputs[receiver].shape)
        for column, giver in enumerate(names):
            for channel in range(inputs[giver].shape[-1]):
                share = alpha[row, column]
                share = share[channel] if np.ndim(share) else share
                outputs[receiver][..., channel] += float(share) * inputs[giver][
                    ..., channel
                ].astype("float64")
    return outputs


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 2, 4)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_mixes_by_its_alphas_at_any_rank(shape, per_channel):
    layer = CrossStitch(per_channel, initializer="random_normal")
    inputs = features_of_all(TASKS, *shape)
    outputs = layer(inputs)
    alpha = layer.get_weights()[0]
    assert alpha.shape == ((3, 3, 4) if per_channel else (3, 3))
    for name, expected in mixture(alpha, inputs).items():
        np.testing.assert_allclose(numpy(outputs[name]), expected, atol=1e-6)


@pytest.mark.parametrize(
    "tasks, start",
    [
        (2, [[0.9, 0.1], [0.1, 0.9]]),
        (3, [[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]]),
    ],
)
@pytest.mark.parametrize("per_channel", [False, True])
def test_starts_as_published(tasks, start, per_channel):
    layer = CrossStitch(per_channel)
    layer.build([(None, 6)] * tasks)
    assert layer.count_params() == tasks**2 * (6 if per_channel else 1)
    alpha = layer.get_weights()[0]
    if per_channel:
        for channel in range(6):
            np.testing.assert_allclose(alpha[..., channel], start, atol=1e-7)
    else:
        np.testing.assert_allclose(alpha, start, atol=1e-7)


@pytest.mark.parametrize("multiplier", [1.0, 100.0, 49.0])
@pytest.mark.parametrize("per_channel", [False, True])
def test_identity_leaves_the_networks_independent(per_channel, multiplier):
    layer = CrossStitch(
        per_channel, self_weight=1.0, learning_rate_multiplier=multiplier
    )
    inputs = features_of_all(TASKS, 5, 4)
    for name, output in layer(inputs).items():
        np.testing.assert_allclose(
            numpy(output), inputs[name], rtol=0 if multiplier == 1.0 else 1e-6
        )


def test_equal_shares_give_equal_features():
    inputs = features_of_all(TASKS, 5, 4)
    del inputs["age"]
    outputs = CrossStitch(self_weight=0.5)(inputs)
    mean = (inputs["income"] + inputs["marriage"]) / 2
    np.testing.assert_array_equal(
        numpy(outputs["income"]), numpy(outputs["marriage"])
    )
    np.testing.assert_allclose(numpy(outputs["income"]), mean, atol=1e-6)


def test_rows_receive():
    layer = CrossStitch()
    layer.build({"b": (None, 2), "a": (None, 2)})
    layer.set_weights([np.array([[0.0, 1.0], [0.0, 0.0]])])
    outputs = layer({"b": np.full((1, 2), 5.0), "a": np.full((1, 2), 3.0)})
    np.testing.assert_array_equal(numpy(outputs["a"]), [[5.0, 5.0]])
    np.testing.assert_array_equal(numpy(outputs["b"]), [[0.0, 0.0]])
    matrix = layer.sharing_matrices()[0]
    assert (matrix.rows, matrix.columns) == (["a", "b"], ["a", "b"])
    np.testing.assert_array_equal(matrix.values, [[0.0, 1.0], [0.0, 0.0]])


def test_matrix_of_many_channels_is_their_mean():
    layer = CrossStitch(per_channel=True, learning_rate_multiplier=10.0)
    layer.build([(None, 2)] * 2)
    alpha = np.arange(8.0).reshape(2, 2, 2)
    layer.set_weights([alpha / 10.0])
    matrix = layer.sharing_matrices()[0]
    np.testing.assert_allclose(
        matrix.values, [[0.5, 2.5], [4.5, 6.5]], rtol=1e-6
    )
    assert "mean" in matrix.title


def two_networks(stitch=None, width=4) -> keras.Model:
    inputs = keras.Input((3,))
    hidden = {
        name: keras.layers.Dense(width, "tanh", name=f"{name}_hidden")(inputs)
        for name in TASKS[:2]
    }
    if stitch is not None:
        hidden = stitch(hidden)
    outputs = {
        name: keras.layers.Dense(1, name=name)(hidden[name]) for name in hidden
    }
    return keras.Model(inputs, outputs)


def train(model, optimizer, epochs=1) -> None:
    x = features(32, 3)
    y = {"income": x[:, :1], "marriage": -2.0 * x[:, 1:2]}
    model.compile(optimizer, "mse")
    model.fit(x, y, batch_size=32, epochs=epochs, shuffle=False, verbose=0)


@pytest.mark.slow
def test_independent_networks_train_as_without_it():
    plain = two_networks()
    stitched = two_networks(CrossStitch(self_weight=1.0, trainable=False))
    names = [layer.name for layer in plain.layers if layer.weights]
    for name in names:
        weights = plain.get_layer(name).get_weights()
        stitched.get_layer(name).set_weights(weights)
    for model in (plain, stitched):
        train(model, keras.optimizers.Adam(0.01), epochs=3)
    assert len(names) == 4
    for name in names:
        weights = stitched.get_layer(name).get_weights()
        for a, b in zip(
            plain.get_layer(name).get_weights(), weights, strict=True
        ):
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("per_channel", [False, True])
def test_gradients_reach_all_weights(per_channel):
    model = two_networks(CrossStitch(per_channel))
    before = model.get_weights()
    train(model, "adam")
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.all(old != new)


@pytest.mark.slow
def test_alpha_alone_learns_faster():
    starts, moves = [], []
    for multiplier in (1.0, 100.0):
        keras.utils.set_random_seed(0)
        stitch = CrossStitch(learning_rate_multiplier=multiplier)
        model = two_networks(stitch)
        alpha = stitch.sharing_matrices()[0].values
        dense = model.get_layer("income").get_weights()[0]
        train(model, keras.optimizers.Adam(1e-3))
        starts.append(alpha)
        moves.append(
            (
                stitch.sharing_matrices()[0].values - alpha,
                model.get_layer("income").get_weights()[0] - dense,
            )
        )
    np.testing.assert_allclose(starts[0], starts[1], atol=1e-7)
    np.testing.assert_allclose(moves[1][0], 100.0 * moves[0][0], rtol=1e-2)
    np.testing.assert_allclose(moves[1][1], moves[0][1], rtol=1e-3)


@pytest.mark.slow
def test_learns_from_whom_to_take():
    """The income depends on the other's features alone."""
    inputs = {name: keras.Input((4,), name=name) for name in TASKS[:2]}
    stitch = CrossStitch(learning_rate_multiplier=10.0)
    outputs = {
        name: keras.layers.Dense(1)(x) for name, x in stitch(inputs).items()
    }
    model = keras.Model(inputs, outputs)
    x = {name: features(960, 4, seed=i) for i, name in enumerate(TASKS[:2])}
    y = {name: x["marriage"].sum(axis=1, keepdims=True) for name in x}
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(x, y, batch_size=16, verbose=0)
    (own, taken), (given, kept) = stitch.sharing_matrices()[0].values
    assert abs(taken) > 3 * abs(own)
    assert abs(kept) > 3 * abs(given)


def test_regularizer_and_constraint_see_alpha():
    layer = CrossStitch(
        regularizer=keras.regularizers.L1(1.0),
        constraint="non_neg",
        learning_rate_multiplier=100.0,
    )
    layer.build([(None, 2)] * 2)
    np.testing.assert_allclose(numpy(layer.losses[0]), 2.0, rtol=1e-6)
    assert layer.weights[0].constraint is not None


@pytest.mark.slow
def test_survives_a_file(tmp_path):
    model = two_networks(
        CrossStitch(
            True,
            0.8,
            initializer="random_normal",
            regularizer="l2",
            constraint="non_neg",
            learning_rate_multiplier=10.0,
            name="stitch",
        )
    )
    train(model, "adam")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = features(8, 3)
    expected = model.predict(x, verbose=0)
    for name, output in loaded.predict(x, verbose=0).items():
        np.testing.assert_array_equal(output, expected[name])
    old, new = model.get_layer("stitch"), loaded.get_layer("stitch")
    assert old.get_config() == new.get_config()
    assert new.get_config()["self_weight"] == 0.8
    np.testing.assert_array_equal(
        old.sharing_matrices()[0].values, new.sharing_matrices()[0].values
    )
    assert new.sharing_matrices()[0].rows == ["income", "marriage"]


def test_lists_survive_a_file_too(tmp_path):
    inputs = [keras.Input((3,)), keras.Input((3,))]
    model = keras.Model(inputs, CrossStitch()(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = [features(4, 3, seed=0), features(4, 3, seed=1)]
    for a, b in zip(
        model.predict(x, verbose=0), loaded.predict(x, verbose=0), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_half_precision_keeps_variables_and_the_gradient_of_alpha():
    """A sum over 65536 ones is more than float16 can hold."""
    inputs = {name: keras.Input((64, 64), name=name) for name in TASKS[:2]}
    stitch = CrossStitch(dtype="mixed_float16")
    outputs = stitch(inputs)
    assert {x.dtype for x in outputs.values()} == {"float16"}
    assert stitch.weights[0].dtype == "float32"
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.SGD(1.0),
        loss={
            name: lambda y, prediction: keras.ops.sum(prediction, axis=(1, 2))
            for name in outputs
        },
    )
    x = {name: np.ones((32, 64, 64), "float32") for name in inputs}
    before = stitch.get_weights()[0]
    model.fit(x, x, batch_size=32, verbose=0)
    np.testing.assert_allclose(
        before - stitch.get_weights()[0], np.full((2, 2), 4096.0), rtol=1e-3
    )


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "half", True])
def test_refuses_shares_that_are_none(value):
    with pytest.raises(ValueError, match="self_weight.*Received"):
        CrossStitch(self_weight=value)


@pytest.mark.parametrize("value", [0, -1.0, float("inf"), "fast"])
def test_refuses_multipliers_that_are_not_positive(value):
    with pytest.raises(ValueError, match="learning_rate_multiplier.*Received"):
        CrossStitch(learning_rate_multiplier=value)


def test_needs_the_number_of_channels_for_one_alpha_each():
    CrossStitch().build([(None, None)] * 2)
    with pytest.raises(ValueError, match="number of channels"):
        CrossStitch(per_channel=True).build([(None, None)] * 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
