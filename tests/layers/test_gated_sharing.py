import warnings

import keras
import numpy as np
import pytest

from keras_mtl.layers import GatedSharing
from tests.arrays import features
from tests.arrays import features_of_all
from tests.arrays import numpy

TASKS = ["main", "noise", "useful"]


def gates_of(layer, inputs) -> dict[tuple[str, str], np.ndarray]:
    """The gates by the formula, from the variables, in float64."""
    weights = {v.path.split("/", 1)[1]: numpy(v) for v in layer.weights}
    gates = {}
    for one in inputs:
        for other in inputs:
            if one != other:
                both = np.concatenate([inputs[one], inputs[other]], axis=-1)
                name = f"{one}_from_{other}"
                logits = (
                    both.astype("float64") @ weights[f"{name}/kernel"]
                    + weights[f"{name}/bias"]
                )
                gates[one, other] = 1 / (1 + np.exp(-logits))
    return gates


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 2, 4)])
@pytest.mark.parametrize("gate", ["vector", "scalar"])
def test_adds_what_the_gates_let_through(gate, shape):
    layer = GatedSharing(
        gate,
        bias_initializer="random_normal",
        scale_initializer="random_normal",
    )
    inputs = features_of_all(TASKS, *shape)
    outputs = layer(inputs)
    gates = gates_of(layer, inputs)
    assert all(0 < g.min() and g.max() < 1 for g in gates.values())
    assert gates["main", "noise"].shape[-1] == (4 if gate == "vector" else 1)
    # Rows are those of the tasks, without their own place.
    scale = numpy(layer.scale)
    scales = {
        (one, other): scale[i, j]
        for i, one in enumerate(TASKS)
        for j, other in enumerate([name for name in TASKS if name != one])
    }
    for one in TASKS:
        expected = inputs[one].astype("float64")
        for other in TASKS:
            if other != one:
                pair = one, other
                expected = expected + gates[pair] * scales[pair] * inputs[other]
        np.testing.assert_allclose(numpy(outputs[one]), expected, atol=1e-5)


@pytest.mark.parametrize("gate, units", [("vector", 4), ("scalar", 1)])
def test_parameter_count(gate, units):
    layer = GatedSharing(gate)
    layer.build([(None, 4)] * 3)
    trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_weights)
    assert trainable == 6 * (8 * units + units) + 6


@pytest.mark.parametrize("gate", ["vector", "scalar"])
def test_closed_gates_leave_the_networks_independent(gate):
    layer = GatedSharing(
        gate, bias_initializer=keras.initializers.Constant(-1e4)
    )
    inputs = features_of_all(TASKS, 5, 4)
    for name, output in layer(inputs).items():
        np.testing.assert_array_equal(numpy(output), inputs[name])


def test_gates_do_not_start_alike():
    layer = GatedSharing(
        kernel_initializer=keras.initializers.GlorotUniform(seed=1)
    )
    layer.build([(None, 4)] * 3)
    kernels = [numpy(v) for v in layer.trainable_weights if v.name == "kernel"]
    assert len(kernels) == 6
    for index, kernel in enumerate(kernels):
        for other in kernels[:index]:
            assert np.abs(kernel - other).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("gate", ["vector", "scalar"])
def test_prefers_the_useful_task_to_noise(gate):
    """The main task lacks what the useful one has; noise disturbs it."""
    x = {name: features(4096, 3, seed=seed) for seed, name in enumerate(TASKS)}
    y = (x["main"] + x["useful"]).sum(axis=1, keepdims=True)
    inputs = {name: keras.Input((3,), name=name) for name in TASKS}
    layer = GatedSharing(gate, momentum=0.9)
    outputs = keras.layers.Dense(1)(layer(inputs)["main"])
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.03), "mse")
    # The other tasks have no loss here, nor their gates a gradient.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Gradients do not exist")
        model.fit(x, y, batch_size=32, verbose=0)
    scale, gate = layer.sharing_matrices()
    row, noise, useful = (TASKS.index(n) for n in ("main", "noise", "useful"))
    worth = scale.values * gate.values
    assert scale.values[row, useful] > 2 * abs(scale.values[row, noise])
    assert worth[row, useful] > 3 * abs(worth[row, noise])


def test_mean_gates_are_averages_over_training_batches():
    layer = GatedSharing(momentum=0.6, bias_initializer="random_normal")
    batches = [
        {
            name: features(5, 4, seed=10 * batch + seed)
            for seed, name in enumerate(TASKS)
        }
        for batch in range(4)
    ]
    # In turn 1, 1/2 and then 1 - 0.6, which is above 1/3 and 1/4.
    expected = np.zeros((3, 3))
    for batch, rate in zip(batches, (1.0, 0.5, 0.4, 0.4), strict=True):
        layer(batch, training=True)
        gates = gates_of(layer, batch)
        for (one, other), values in gates.items():
            place = TASKS.index(one), TASKS.index(other)
            expected[place] += rate * (values.mean() - expected[place])
    np.fill_diagonal(expected, 1.0)
    matrix = layer.sharing_matrices()[1]
    np.testing.assert_allclose(matrix.values, expected, rtol=1e-5)
    assert (matrix.rows, matrix.columns) == (TASKS, TASKS)
    assert (matrix.low, matrix.high) == (0.0, 1.0)


def test_mean_gates_rest_at_inference():
    layer = GatedSharing()
    inputs = features_of_all(TASKS, 5, 4)
    layer(inputs, training=True)
    before = layer.sharing_matrices()[1].values
    other = {name: 5.0 * x for name, x in inputs.items()}
    layer(other)
    layer(other, training=False)
    np.testing.assert_array_equal(layer.sharing_matrices()[1].values, before)
    layer(other, training=True)
    assert np.any(layer.sharing_matrices()[1].values != before)


def test_scales_are_in_their_places():
    layer = GatedSharing()
    layer.build({name: (None, 4) for name in TASKS})
    layer.scale.assign([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(
        layer.sharing_matrices()[0].values,
        [[1.0, 1.0, 2.0], [3.0, 1.0, 4.0], [5.0, 6.0, 1.0]],
    )


def test_masked_steps_do_not_count():
    layer = GatedSharing(bias_initializer="random_normal")
    inputs = features_of_all(TASKS, 2, 3, 4)
    masks = {
        "main": np.array([[True, True, False], [True, False, False]]),
        "noise": None,
        "useful": np.array([[True, True, True], [False, False, True]]),
    }
    layer(inputs, training=True, mask=masks)
    gates = gates_of(layer, inputs)
    found = layer.sharing_matrices()[1].values
    for (one, other), values in gates.items():
        kept = values if masks[one] is None else values[masks[one]]
        np.testing.assert_allclose(
            found[TASKS.index(one), TASKS.index(other)],
            kept.mean(),
            rtol=1e-5,
        )


def test_masks_of_images_and_of_nothing():
    layer = GatedSharing(bias_initializer="random_normal")
    inputs = features_of_all(TASKS, 2, 3, 2, 4)
    steps = np.array([[True, True, False], [True, False, False]])
    layer(inputs, training=True, mask=dict.fromkeys(inputs, steps))
    before = layer.sharing_matrices()[1].values
    gate = gates_of(layer, inputs)["main", "noise"]
    np.testing.assert_allclose(before[0, 1], gate[steps].mean(), rtol=1e-5)
    layer(inputs, training=True, mask=dict.fromkeys(inputs, 0 * steps))
    np.testing.assert_array_equal(layer.sharing_matrices()[1].values, before)


def test_masks_come_from_layers_before_and_go_on():
    embed = keras.layers.Embedding(3, 4, mask_zero=True)
    inputs = {
        "a": embed(np.array([[1, 2, 0]])),
        "b": embed(np.array([[1, 0, 0]])),
    }
    layer = GatedSharing()
    outputs = layer(inputs, training=True)
    np.testing.assert_array_equal(
        numpy(outputs["a"]._keras_mask), [[True, True, False]]
    )
    np.testing.assert_array_equal(
        numpy(outputs["b"]._keras_mask), [[True, False, False]]
    )
    found = layer.sharing_matrices()[1].values
    arrays = {name: numpy(x) for name, x in inputs.items()}
    gate = gates_of(layer, arrays)["a", "b"]
    np.testing.assert_allclose(found[0, 1], gate[:, :2].mean(), rtol=1e-5)


def network(**arguments) -> keras.Model:
    inputs = keras.Input((3,))
    hidden = {name: keras.layers.Dense(4, "tanh")(inputs) for name in TASKS[:2]}
    hidden = GatedSharing(name="gated", **arguments)(hidden)
    outputs = {
        name: keras.layers.Dense(1, name=name)(x) for name, x in hidden.items()
    }
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    return model


@pytest.mark.slow
def test_network_trains_all_its_weights_and_survives_a_file(tmp_path):
    model = network(
        gate="scalar",
        momentum=0.5,
        bias_initializer=keras.initializers.Constant(-1.0),
        kernel_regularizer="l2",
        scale_regularizer="l1",
    )
    x = features(32, 3)
    before = model.get_weights()
    model.fit(
        x, {"main": x[:, :1], "noise": x[:, 1:2]}, batch_size=32, verbose=0
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.all(old != new)
    # Two kernels and one of the scales.
    assert len(model.losses) == 3
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    for name, output in loaded.predict(x, verbose=0).items():
        np.testing.assert_array_equal(output, expected[name])
    old, new = model.get_layer("gated"), loaded.get_layer("gated")
    assert old.get_config() == new.get_config()
    for a, b in zip(
        old.sharing_matrices(), new.sharing_matrices(), strict=True
    ):
        np.testing.assert_array_equal(a.values, b.values)
        assert a.rows == b.rows
    assert numpy(new.num_updates) == 1.0


def test_lists():
    inputs = list(features_of_all(TASKS, 5, 4).values())
    layer = GatedSharing()
    outputs = layer(inputs, training=True)
    assert isinstance(outputs, list)
    assert [x.shape for x in outputs] == [(5, 4)] * 3
    assert layer.sharing_matrices()[1].rows == ["0", "1", "2"]
    symbols = GatedSharing()([keras.Input((None, 4)), keras.Input((None, 4))])
    assert [x.shape for x in symbols] == [(None, None, 4)] * 2


def test_half_precision_keeps_variables():
    layer = GatedSharing(dtype="mixed_float16")
    outputs = layer(features_of_all(TASKS, 2, 4), training=True)
    for tensor in outputs.values():
        assert keras.backend.standardize_dtype(tensor.dtype) == "float16"
    assert {v.dtype for v in layer.weights} == {"float32"}
    assert 0.0 < layer.sharing_matrices()[1].values[0, 1] < 1.0


@pytest.mark.parametrize(
    "arguments",
    [
        dict(gate="matrix"),
        dict(gate=None),
        dict(momentum=1.0),
        dict(momentum=-0.1),
        dict(momentum="slow"),
    ],
)
def test_refuses_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))}.*Received"):
        GatedSharing(**arguments)


def test_needs_the_number_of_channels():
    with pytest.raises(ValueError, match="number of channels"):
        GatedSharing().build([(None, None)] * 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_mean_gates_are_known_in_every_precision(dtype):
    layer = GatedSharing(dtype=dtype, bias_initializer="ones")
    x = np.zeros((3, 4))
    layer([x, x], training=True)
    gate = layer.sharing_matrices()[1].values
    np.testing.assert_allclose(gate[0, 1], 1 / (1 + np.exp(-1)), rtol=5e-3)
    assert layer.mean_gate.dtype == layer.num_updates.dtype == "float32"


def test_gates_may_be_initialized_by_a_function():
    def start(shape, dtype=None):
        return keras.ops.full(shape, 2.0, dtype)

    layer = GatedSharing(kernel_initializer=start, bias_initializer=start)
    layer.build({"a/b": (None, 4), "c": (None, 4)})
    for gate in layer.gates:
        np.testing.assert_array_equal(numpy(gate.kernel), np.full((8, 4), 2.0))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
