import keras
import numpy as np
import pytest

from keras_mtl.layers import CrossStitch
from keras_mtl.layers import LayerMixture
from keras_mtl.layers import Sluice
from tests.arrays import features
from tests.arrays import features_of_all
from tests.arrays import numpy

TASKS = ["chunk", "ner"]


def stitched(alpha, inputs, subspaces) -> list[np.ndarray]:
    """The paper's product with stacked subspaces, in float64.

    Every example and step on its own: all subspaces of all tasks are the rows
    of a matrix, and alpha multiplies it.
    """
    leading = inputs[0].shape[:-1]
    outputs = [np.zeros(x.shape) for x in inputs]
    for place in np.ndindex(*leading):
        rows = np.concatenate(
            [x[place].astype("float64").reshape(subspaces, -1) for x in inputs]
        )
        rows = np.asarray(alpha, "float64") @ rows
        for task, output in enumerate(outputs):
            own = rows[task * subspaces : (task + 1) * subspaces]
            output[place] = np.concatenate(list(own))
    return outputs


@pytest.mark.parametrize("shape", [(5, 6), (2, 3, 6), (2, 3, 2, 6)])
@pytest.mark.parametrize("tasks, subspaces", [(2, 2), (3, 2), (2, 3), (2, 1)])
def test_mixes_subspaces_at_any_rank(shape, tasks, subspaces):
    layer = Sluice(subspaces, initializer="random_normal")
    inputs = [features(*shape, seed=seed) for seed in range(tasks)]
    outputs = layer(inputs)
    alpha = layer.get_weights()[0]
    assert alpha.shape == (tasks * subspaces,) * 2
    expected = stitched(alpha, inputs, subspaces)
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(numpy(output), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "initializer, subspaces, tasks, own, others",
    [
        ("balanced", 2, 2, 0.25, 0.25),
        ("balanced", 1, 3, 1 / 3, 1 / 3),
        ("imbalanced", 1, 2, 0.9, 0.1),
        ("imbalanced", 1, 3, 0.9, 0.05),
        ("imbalanced", 2, 2, 0.95, 0.05 / 3),
    ],
)
def test_starts_as_published(initializer, subspaces, tasks, own, others):
    layer = Sluice(subspaces, initializer)
    layer.build([(None, 4)] * tasks)
    alpha = layer.get_weights()[0]
    np.testing.assert_allclose(np.diag(alpha), own, rtol=1e-6)
    rest = alpha[~np.eye(len(alpha), dtype=bool)]
    np.testing.assert_allclose(rest, others, rtol=1e-6)
    np.testing.assert_allclose(alpha.sum(axis=1), 1.0, rtol=1e-6)


def test_one_subspace_and_the_last_layer_alone_are_a_cross_stitch():
    inputs = features_of_all(TASKS, 5, 4)
    outputs = Sluice(1, "imbalanced")(inputs)
    mixture = LayerMixture()
    outputs = {name: [inputs[name], x] for name, x in outputs.items()}
    mixture(outputs)
    mixture.set_weights([np.array([0.0, 1.0])] * 2)
    mixed = mixture(outputs)
    for name, expected in CrossStitch()(inputs).items():
        np.testing.assert_array_equal(numpy(mixed[name]), numpy(expected))


def test_identity_and_the_last_layer_alone_are_independent_networks():
    inputs = features_of_all(TASKS, 5, 4)
    mixture = LayerMixture()
    depths = {
        name: [inputs[name] * 7.0, x]
        for name, x in Sluice(2, "identity")(inputs).items()
    }
    mixture(depths)
    mixture.set_weights([np.array([0.0, 1.0])] * 2)
    for name, output in mixture(depths).items():
        np.testing.assert_array_equal(numpy(output), inputs[name])


@pytest.mark.parametrize("subspaces", [1, 2])
def test_equal_alphas_and_tied_inputs_are_hard_sharing(subspaces):
    """Each task gets the mean over tasks, which is what they all have."""
    alpha = np.kron(np.full((2, 2), 0.5), np.eye(subspaces))
    layer = Sluice(subspaces)
    x = features(5, 4)
    layer({"a": x, "b": x})
    layer.set_weights([alpha])
    for output in layer({"a": x, "b": x}).values():
        np.testing.assert_array_equal(numpy(output), x)


def test_balanced_start_gives_all_tasks_the_same():
    a, b = Sluice()([features(5, 4, seed=0), features(5, 4, seed=1)])
    np.testing.assert_array_equal(numpy(a), numpy(b))
    np.testing.assert_array_equal(numpy(a)[:, :2], numpy(a)[:, 2:])


def test_matrix_names_tasks_and_subspaces():
    layer = Sluice(learning_rate_multiplier=10.0)
    layer.build({"b": (None, 4), "a": (None, 4)})
    matrix = layer.sharing_matrices()[0]
    assert matrix.rows == matrix.columns == ["a 1", "a 2", "b 1", "b 2"]
    np.testing.assert_allclose(matrix.values, np.full((4, 4), 0.25))
    plain = Sluice(1)
    plain.build({"b": (None, 4), "a": (None, 4)})
    assert plain.sharing_matrices()[0].rows == ["a", "b"]


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 3)])
def test_mixture_is_a_weighted_sum_of_depths(depth, shape):
    layer = LayerMixture("random_normal")
    tensors = [features(*shape, seed=seed) for seed in range(depth)]
    output = layer(tensors)
    beta = layer.get_weights()[0].astype("float64")
    expected = np.tensordot(beta, np.stack(tensors).astype("float64"), 1)
    assert beta.shape == (depth,)
    np.testing.assert_allclose(numpy(output), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [dict, list])
def test_mixture_has_a_beta_for_each_task(kind):
    a = [features(5, 3, seed=seed) for seed in range(2)]
    b = [features(5, 2, seed=seed) for seed in range(2, 4)]
    layer = LayerMixture()
    inputs = {"b": b, "a": a} if kind is dict else [a, b]
    layer(inputs)
    layer.set_weights([np.array([1.0, 0.0]), np.array([0.0, 1.0])])
    outputs = layer(inputs)
    assert isinstance(outputs, kind)
    first, second = (outputs["a"], outputs["b"]) if kind is dict else outputs
    np.testing.assert_array_equal(numpy(first), a[0])
    np.testing.assert_array_equal(numpy(second), b[1])
    matrix = layer.sharing_matrices()[0]
    assert matrix.rows == (["a", "b"] if kind is dict else ["0", "1"])
    assert matrix.columns == ["layer 1", "layer 2"]
    np.testing.assert_array_equal(matrix.values, np.eye(2))


@pytest.mark.parametrize(
    "arguments, depth, start",
    [
        ({}, 3, [0.05, 0.05, 0.9]),
        ({}, 1, [1.0]),
        (dict(initializer="imbalanced"), 2, [0.1, 0.9]),
        (dict(initializer="balanced"), 4, [0.25] * 4),
    ],
)
def test_mixture_starts_as_published(arguments, depth, start):
    layer = LayerMixture(**arguments)
    layer.build([(None, 3)] * depth)
    np.testing.assert_allclose(layer.get_weights()[0], start, rtol=1e-6)
    assert layer.sharing_matrices()[0].rows == ["output"]


def test_masks():
    embed = keras.layers.Embedding(3, 4, mask_zero=True)
    a = embed(np.array([[1, 2, 0]]))
    b = embed(np.array([[1, 0, 0]]))
    outputs = Sluice()({"a": a, "b": b})
    np.testing.assert_array_equal(
        numpy(outputs["a"]._keras_mask), [[True, True, False]]
    )
    mixed = LayerMixture()({"x": [a, b], "y": [b, a]})
    np.testing.assert_array_equal(
        numpy(mixed["x"]._keras_mask), [[True, False, False]]
    )
    np.testing.assert_array_equal(
        numpy(mixed["y"]._keras_mask), [[True, True, False]]
    )
    one = LayerMixture()([b, a])
    np.testing.assert_array_equal(numpy(one._keras_mask), [[True, True, False]])


def sluice_network() -> keras.Model:
    inputs = keras.Input((3,))
    hidden = dict.fromkeys(TASKS, inputs)
    depths = {name: [] for name in TASKS}
    for depth in range(2):
        hidden = {
            name: keras.layers.Dense(4, "tanh")(hidden[name]) for name in TASKS
        }
        if depth:
            hidden = Sluice(initializer="imbalanced", name="sluice")(hidden)
        for name in TASKS:
            depths[name].append(hidden[name])
    mixed = LayerMixture(learning_rate_multiplier=2.0, name="mixture")(depths)
    outputs = {
        name: keras.layers.Dense(1, name=name)(mixed[name]) for name in TASKS
    }
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    return model


@pytest.mark.slow
def test_network_trains_all_its_weights_and_survives_a_file(tmp_path):
    model = sluice_network()
    x = features(32, 3)
    before = model.get_weights()
    model.fit(
        x, {"chunk": x[:, :1], "ner": x[:, 1:2]}, batch_size=32, verbose=0
    )
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.all(old != new)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = model.predict(x, verbose=0)
    for name, output in loaded.predict(x, verbose=0).items():
        np.testing.assert_array_equal(output, expected[name])
    for name in ("sluice", "mixture"):
        old, new = model.get_layer(name), loaded.get_layer(name)
        assert old.get_config() == new.get_config()
        for a, b in zip(
            old.sharing_matrices(), new.sharing_matrices(), strict=True
        ):
            np.testing.assert_array_equal(a.values, b.values)
            assert (a.rows, a.columns) == (b.rows, b.columns)


@pytest.mark.parametrize("initializer", ["balanced", "identity", "glorot"])
@pytest.mark.parametrize("kind", [Sluice, LayerMixture])
def test_configuration_makes_an_equal_layer(kind, initializer):
    if initializer == "glorot":
        initializer = keras.initializers.GlorotNormal(seed=3)
    layer = kind(
        initializer=initializer,
        regularizer="l1",
        constraint="non_neg",
        learning_rate_multiplier=5.0,
    )
    config = layer.get_config()
    assert kind.from_config(config).get_config() == config


def test_shapes_of_symbols():
    inputs = {name: keras.Input((None, 4)) for name in TASKS}
    outputs = Sluice()(inputs)
    assert {x.shape for x in outputs.values()} == {(None, None, 4)}
    mixed = LayerMixture()({name: [x, x] for name, x in outputs.items()})
    assert {x.shape for x in mixed.values()} == {(None, None, 4)}
    assert LayerMixture()(list(outputs.values())).shape == (None, None, 4)


def test_half_precision_keeps_variables():
    layer = Sluice(dtype="mixed_float16")
    mixture = LayerMixture(dtype="mixed_float16")
    outputs = layer(features_of_all(TASKS, 2, 4))
    mixed = mixture(list(outputs.values()))
    for tensor in (*outputs.values(), mixed):
        assert keras.backend.standardize_dtype(tensor.dtype) == "float16"
    assert {v.dtype for v in layer.weights + mixture.weights} == {"float32"}


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", True])
def test_refuses_numbers_of_subspaces_that_are_none(value):
    with pytest.raises(ValueError, match="num_subspaces.*Received"):
        Sluice(value)


def test_refuses_channels_that_cannot_be_split():
    with pytest.raises(ValueError, match="2 subspaces.*5 channels"):
        Sluice().build([(None, 5)] * 2)
    with pytest.raises(ValueError, match="number of channels"):
        Sluice().build([(None, None)] * 2)


@pytest.mark.parametrize("kind", [Sluice, LayerMixture])
@pytest.mark.parametrize("value", [None, "unbalanced", 0.5])
def test_refuses_initializers_that_are_none(kind, value):
    with pytest.raises(ValueError, match="initializer"):
        kind(initializer=value)


@pytest.mark.parametrize(
    "shapes, message",
    [
        ((None, 3), "list of tensors"),
        ([], "list of tensors"),
        ([(None, 3), (None, 4)], "'layer 2' of shape"),
        ({"a": (None, 3)}, "list of tensors"),
        ({"a": [(None, 3)], "b": [(None, 3)] * 2}, "'a': 1, 'b': 2"),
    ],
)
def test_mixture_refuses_other_inputs(shapes, message):
    with pytest.raises(ValueError, match=message):
        LayerMixture().build(shapes)


def test_mixture_refuses_another_number_of_layers_in_a_later_call():
    layer = LayerMixture()
    x = features(2, 3)
    layer([x, x])
    for inputs in ([x], [x, x, x], x):
        with pytest.raises(ValueError, match="lists of 2 tensors"):
            layer(inputs)


def test_shapes_are_known_before_it_is_built():
    shapes = [(None, 4), (None, 4)]
    assert LayerMixture().compute_output_shape(shapes) == (None, 4)
    by_name = {"b": shapes, "a": shapes}
    expected = {"b": (None, 4), "a": (None, 4)}
    assert LayerMixture().compute_output_shape(by_name) == expected
    pairs = LayerMixture().compute_output_shape([shapes, shapes])
    assert pairs == [(None, 4), (None, 4)]


@pytest.mark.parametrize("seed", [None, 3])
def test_random_betas_differ_between_tasks(seed):
    layer = LayerMixture(keras.initializers.RandomNormal(seed=seed))
    layer.build({"a": [(None, 4)] * 3, "b": [(None, 4)] * 3})
    one, other = (beta.numpy() for beta in layer.betas)
    assert np.abs(one - other).min() > 0


def test_alpha_may_start_as_an_array():
    alpha = np.array([[0.5, 0.25], [0.0, 1.0]], "float32")
    layer = Sluice(num_subspaces=1, initializer=alpha)
    layer.build([(None, 4)] * 2)
    np.testing.assert_array_equal(layer.alpha.numpy(), alpha)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
