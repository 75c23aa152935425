import keras
import numpy as np
import pytest

from keras_mtl.layers import SubNetworkRouting
from tests.arrays import features
from tests.arrays import numpy

LOW, HIGH = -0.1, 1.1


def mean_gate(log_alpha: np.ndarray) -> np.ndarray:
    log_alpha = np.asarray(log_alpha, "float64")
    return np.clip((HIGH - LOW) / (1 + np.exp(-log_alpha)) + LOW, 0, 1)


def sample(log_alpha: float, temperature: float, count: int) -> np.ndarray:
    """Hard concrete samples, drawn as differences of logarithms."""
    rng = np.random.default_rng(0)
    # A logistic variable, of which the layer makes a quotient of uniforms.
    logistic = rng.logistic(size=count)
    s = 1 / (1 + np.exp(-(logistic + log_alpha) / temperature))
    return np.minimum(1, np.maximum(0, s * (HIGH - LOW) + LOW))


@pytest.mark.parametrize("shape", [(5, 4), (2, 3, 4), (2, 3, 2, 4)])
def test_average_is_a_sum_by_gates(shape):
    layer = SubNetworkRouting(2, initializer="random_normal")
    inputs = [features(*shape, seed=seed) for seed in range(3)]
    layer(inputs)
    log_alpha = 3.0 * features(2, 3, seed=5)
    layer.log_alpha.assign(log_alpha)
    outputs = layer(inputs)
    gates = mean_gate(log_alpha)
    assert isinstance(outputs, list)
    assert len(outputs) == 2
    for gate, output in zip(gates, outputs, strict=True):
        expected = np.tensordot(gate, np.stack(inputs).astype("float64"), 1)
        np.testing.assert_allclose(numpy(output), expected, atol=1e-5)
    np.testing.assert_allclose(
        layer.sharing_matrices()[0].values, gates, atol=1e-6
    )


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_transform_is_a_sum_of_products_by_gates(shape):
    sizes = (4, 2, 3)
    layer = SubNetworkRouting(2, "transform", units=5)
    inputs = [features(*shape, size, seed=size) for size in sizes]
    layer(inputs)
    log_alpha = 3.0 * features(2, 3, seed=5)
    layer.log_alpha.assign(log_alpha)
    outputs = layer(inputs)
    gates = mean_gate(log_alpha)
    assert layer.count_params() == sum(sizes) * 2 * 5 + 2 * 3
    for j, output in enumerate(outputs):
        kernels = np.split(numpy(layer.kernel)[:, j], np.cumsum(sizes)[:-1])
        expected = sum(
            gates[j, i] * (x.astype("float64") @ kernel)
            for i, (x, kernel) in enumerate(zip(inputs, kernels, strict=True))
        )
        assert output.shape == (*shape, 5)
        np.testing.assert_allclose(numpy(output), expected, atol=1e-5)


@pytest.mark.parametrize("form", ["average", "transform"])
def test_open_gates_share_everything_and_closed_ones_nothing(form):
    layer = SubNetworkRouting(2, form)
    inputs = [features(5, 4, seed=seed) for seed in range(2)]
    layer(inputs)
    if form == "transform":
        eye = np.stack([np.eye(4)] * 2, axis=1)
        layer.kernel.assign(np.concatenate([eye, eye]))
    for training in (False, True):
        layer.log_alpha.assign(np.full((2, 2), 50.0))
        for output in layer(inputs, training=training):
            np.testing.assert_allclose(
                numpy(output), inputs[0] + inputs[1], atol=1e-6
            )
        layer.log_alpha.assign(100.0 * np.eye(2) - 50.0)
        for x, output in zip(
            inputs, layer(inputs, training=training), strict=True
        ):
            np.testing.assert_array_equal(numpy(output), x)


@pytest.mark.parametrize("log_alpha", [-1.5, 0.0, 2.0])
@pytest.mark.parametrize("temperature", [0.5, 2 / 3])
def test_samples_are_hard_concrete(log_alpha, temperature):
    """Many gates at once: from one input to very many outputs."""
    layer = SubNetworkRouting(
        40_000,
        temperature=temperature,
        initializer=keras.initializers.Constant(log_alpha),
    )
    layer.build([(None, 1)])
    drawn = numpy(layer._sampled_gates()).ravel()
    expected = sample(log_alpha, temperature, 400_000)
    assert drawn.min() >= 0.0 and drawn.max() <= 1.0
    for of in (
        lambda z: np.mean(z == 0.0),
        lambda z: np.mean(z == 1.0),
        np.mean,
        np.std,
    ):
        np.testing.assert_allclose(of(drawn), of(expected), atol=0.01)
    probability = layer.sharing_matrices()[1].values
    np.testing.assert_allclose(
        probability[0, 0], np.mean(expected > 0), atol=0.005
    )


def test_penalty_is_the_expected_number_of_open_gates():
    layer = SubNetworkRouting(2, strength=0.3)
    inputs = [features(5, 4, seed=seed) for seed in range(3)]
    layer(inputs)
    log_alpha = 2.0 * features(2, 3)
    layer.log_alpha.assign(log_alpha)
    layer(inputs)
    # Of a gate to be open: that its noise is above where it closes.
    closing = 2 / 3 * np.log(-LOW / HIGH)
    expected = 1 / (1 + np.exp(closing - log_alpha.astype("float64")))
    assert len(layer.losses) == 1
    np.testing.assert_allclose(
        numpy(layer.losses[0]), 0.3 * expected.sum(), rtol=1e-5
    )
    np.testing.assert_allclose(
        layer.sharing_matrices()[1].values, expected, rtol=1e-5
    )
    plain = SubNetworkRouting(2)
    plain(inputs)
    assert not plain.losses


def test_samples_in_training_only_and_by_its_seed():
    inputs = [features(5, 4, seed=seed) for seed in range(3)]
    one, same, other = (SubNetworkRouting(2, seed=s) for s in (1, 1, 2))
    first = numpy(one(inputs, training=True)[0])
    np.testing.assert_array_equal(first, numpy(same(inputs, training=True)[0]))
    assert np.any(first != numpy(other(inputs, training=True)[0]))
    assert np.any(first != numpy(one(inputs, training=True)[0]))
    rest = numpy(one(inputs)[0])
    np.testing.assert_array_equal(rest, numpy(other(inputs)[0]))
    np.testing.assert_array_equal(rest, numpy(one(inputs, training=False)[0]))


@pytest.mark.parametrize("seed", [None, 3])
def test_kernels_do_not_start_alike(seed):
    layer = SubNetworkRouting(
        2,
        "transform",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
    )
    layer.build([(None, 4)] * 2)
    kernel = numpy(layer.kernel)
    assert np.abs(kernel[:, 0] - kernel[:, 1]).max() > 1e-2
    # Glorot's limit for all that an output adds up.
    assert 0.5 < np.abs(kernel).max() / np.sqrt(6 / (8 + 4)) <= 1.0


def test_outputs_and_inputs_by_name():
    layer = SubNetworkRouting(tasks=["click", "buy"])
    inputs = {"b": features(5, 4, seed=0), "a": features(5, 4, seed=1)}
    layer(inputs)
    layer.log_alpha.assign([[50.0, -50.0], [-50.0, 50.0]])
    outputs = layer(inputs)
    assert list(outputs) == ["click", "buy"]
    np.testing.assert_array_equal(numpy(outputs["click"]), inputs["a"])
    np.testing.assert_array_equal(numpy(outputs["buy"]), inputs["b"])
    gate, probability = layer.sharing_matrices()
    for matrix in (gate, probability):
        assert (matrix.rows, matrix.columns) == (["click", "buy"], ["a", "b"])
        assert (matrix.low, matrix.high) == (0.0, 1.0)
    np.testing.assert_array_equal(gate.values, np.eye(2))


@pytest.mark.slow
def test_opens_the_connections_that_a_task_needs():
    """Of two inputs each task needs one; the penalty closes the other."""
    x = [features(4096, 3, seed=seed) for seed in range(2)]
    y = {
        name: x[i].sum(axis=1, keepdims=True)
        for i, name in enumerate(("left", "right"))
    }
    inputs = [keras.Input((3,)), keras.Input((3,))]
    layer = SubNetworkRouting(tasks=["left", "right"], strength=0.02, seed=0)
    outputs = {
        name: keras.layers.Dense(1, name=name)(u)
        for name, u in layer(inputs).items()
    }
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(0.05), "mse")
    model.fit(x, y, batch_size=32, verbose=0)
    gates = layer.sharing_matrices()[0].values
    assert np.diag(gates).min() > 0.8
    assert gates[[0, 1], [1, 0]].max() < 0.1


def test_masks_of_all_inputs_count():
    embed = keras.layers.Embedding(3, 4, mask_zero=True)
    a, b = embed(np.array([[1, 2, 0]])), embed(np.array([[0, 2, 1]]))
    plain = features(1, 3, 4)
    outputs = SubNetworkRouting(tasks=["x", "y"])([a, plain, b])
    for output in outputs.values():
        np.testing.assert_array_equal(
            numpy(output._keras_mask), [[False, True, False]]
        )
    output = SubNetworkRouting(1)([plain, plain])[0]
    assert getattr(output, "_keras_mask", None) is None


@pytest.mark.slow
@pytest.mark.parametrize("form", ["average", "transform"])
def test_trains_all_its_weights_and_survives_a_file(form, tmp_path):
    inputs = keras.Input((3,))
    low = [keras.layers.Dense(4, "tanh")(inputs) for _ in range(2)]
    routing = SubNetworkRouting(
        form=form,
        tasks=["left", "right"],
        units=5 if form == "transform" else None,
        strength=0.1,
        temperature=0.5,
        kernel_regularizer="l2",
        seed=7,
        name="routing",
    )
    outputs = {
        name: keras.layers.Dense(1, name=name)(u)
        for name, u in routing(low).items()
    }
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    x = features(32, 3)
    before = [numpy(v) for v in model.trainable_weights]
    model.fit(
        x, {"left": x[:, :1], "right": x[:, 1:2]}, batch_size=8, verbose=0
    )
    for old, new in zip(before, model.trainable_weights, strict=True):
        assert np.any(old != numpy(new))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    for name, output in loaded.predict(x, verbose=0).items():
        np.testing.assert_array_equal(output, expected[name])
    new = loaded.get_layer("routing")
    assert routing.get_config() == new.get_config()


def test_shapes_of_symbols():
    inputs = [keras.Input((None, 4)), keras.Input((None, 4))]
    outputs = SubNetworkRouting(3)(inputs)
    assert [u.shape for u in outputs] == [(None, None, 4)] * 3
    outputs = SubNetworkRouting(2, "transform")(inputs)
    assert [u.shape for u in outputs] == [(None, None, 4)] * 2
    outputs = SubNetworkRouting(tasks=["a"], form="transform", units=7)(inputs)
    assert {n: u.shape for n, u in outputs.items()} == {"a": (None, None, 7)}


@pytest.mark.parametrize("form", ["average", "transform"])
def test_half_precision_keeps_variables_and_the_penalty(form):
    layer = SubNetworkRouting(2, form, strength=1.0, dtype="mixed_float16")
    outputs = layer([features(5, 4)] * 2, training=True)
    for tensor in outputs:
        assert keras.backend.standardize_dtype(tensor.dtype) == "float16"
    assert {v.dtype for v in layer.trainable_weights} == {"float32"}
    assert keras.backend.standardize_dtype(layer.losses[0].dtype) == "float32"


@pytest.mark.parametrize(
    "argument, arguments",
    [
        ("num_outputs", dict()),
        ("num_outputs", dict(num_outputs=0)),
        ("num_outputs", dict(num_outputs=3, tasks=["a", "b"])),
        ("tasks", dict(tasks=["a", "a"])),
        ("tasks", dict(tasks=[])),
        ("form", dict(num_outputs=1, form="aver")),
        ("units", dict(num_outputs=1, units=4)),
        ("units", dict(num_outputs=1, form="transform", units=0)),
        ("strength", dict(num_outputs=1, strength=-1.0)),
        ("temperature", dict(num_outputs=1, temperature=0.0)),
        ("`seed`", dict(num_outputs=1, seed=True)),
        ("`seed`", dict(num_outputs=1, seed="3")),
    ],
)
def test_refuses_arguments_that_do_not_fit(argument, arguments):
    with pytest.raises(ValueError, match=f"{argument}.*Received"):
        SubNetworkRouting(**arguments)


def test_takes_a_seed_of_numpy():
    assert type(SubNetworkRouting(2, seed=np.int64(3)).seed) is int


@pytest.mark.parametrize(
    "form, shapes, message",
    [
        ("average", [(None, 3), (None, 4)], "shapes must be equal"),
        ("transform", [(None, 2, 3), (None, 3, 3)], "shapes must be equal"),
        ("transform", [(None, 3), (None, None)], "number of channels"),
        ("average", (None, 3), "one tensor for each"),
    ],
)
def test_refuses_inputs_that_do_not_fit(form, shapes, message):
    with pytest.raises(ValueError, match=message):
        SubNetworkRouting(2, form).build(shapes)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
