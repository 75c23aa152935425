import keras
import numpy as np
import pytest

from keras_mtl.regularizers import SubspaceOrthogonality
from tests.arrays import numpy


def kernel(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def products(weights, subspaces: int) -> float:
    """Squared inner products of units of different subspaces, one by one."""
    weights = weights.reshape(-1, weights.shape[-1]).astype("float64")
    size = weights.shape[1] // subspaces
    total = 0.0
    for one in range(weights.shape[1]):
        for other in range(one + 1, weights.shape[1]):
            if one // size != other // size:
                total += float(weights[:, one] @ weights[:, other]) ** 2
    return total


@pytest.mark.parametrize("shape", [(5, 6), (3, 2, 6), (3, 3, 2, 6)])
@pytest.mark.parametrize("subspaces", [1, 2, 3])
def test_is_the_sum_of_squared_inner_products(shape, subspaces):
    weights = kernel(*shape)
    penalty = SubspaceOrthogonality(subspaces, strength=0.3)(weights)
    expected = 0.3 * products(weights, subspaces)
    np.testing.assert_allclose(numpy(penalty), expected, rtol=1e-5)


def test_strength_is_the_paper_s():
    weights = kernel(5, 4)
    np.testing.assert_allclose(
        numpy(SubspaceOrthogonality()(weights)),
        0.1 * products(weights, 2),
        rtol=1e-5,
    )


def test_is_zero_for_orthogonal_halves_and_only_for_them():
    weights = np.zeros((4, 4), "float32")
    weights[:2, :2] = kernel(2, 2)
    weights[2:, 2:] = kernel(2, 2)
    assert numpy(SubspaceOrthogonality()(weights)) == 0.0
    # The same units, of which each half now has one of either kind.
    assert numpy(SubspaceOrthogonality()(weights[:, [0, 2, 1, 3]])) > 1e-4


def test_splits_the_units_inside_each_gate():
    weights = kernel(5, 4 * 6)
    expected = sum(products(gate, 3) for gate in np.split(weights, 4, axis=-1))
    penalty = SubspaceOrthogonality(3, strength=1.0, num_gates=4)(weights)
    np.testing.assert_allclose(numpy(penalty), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "layer, gates, arguments",
    [
        (keras.layers.Dense, 1, ["kernel"]),
        (keras.layers.LSTM, 4, ["kernel", "recurrent"]),
        (keras.layers.GRU, 3, ["recurrent"]),
    ],
)
def test_is_a_regularizer_of_layers(layer, gates, arguments):
    regularizer = SubspaceOrthogonality(num_gates=gates, strength=1.0)
    made = layer(4, **{f"{a}_regularizer": regularizer for a in arguments})
    made.build((None, 5) if gates == 1 else (None, 3, 5))
    variables = {v.name: numpy(v) for v in made.weights}
    names = {"kernel": "kernel", "recurrent": "recurrent_kernel"}
    expected = sum(
        products(gate, 2)
        for argument in arguments
        for gate in np.split(variables[names[argument]], gates, axis=-1)
    )
    total = sum(float(numpy(loss)) for loss in made.losses)
    np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.slow
def test_pulls_the_halves_apart():
    inputs = keras.Input((4,))
    regularizer = SubspaceOrthogonality(strength=1.0)
    dense = keras.layers.Dense(4, kernel_regularizer=regularizer)
    model = keras.Model(inputs, dense(inputs))
    model.compile(keras.optimizers.SGD(0.05), lambda y, p: 0.0 * p[:, 0])
    before = products(numpy(dense.kernel), 2)
    x = np.zeros((64, 4))
    model.fit(x, x, batch_size=1, verbose=0)
    assert products(numpy(dense.kernel), 2) < 0.05 * before


def test_half_precision_is_computed_in_float32():
    weights = keras.ops.cast(np.full((100, 2), 10.0), "float16")
    penalty = SubspaceOrthogonality(strength=1.0)(weights)
    assert keras.backend.standardize_dtype(penalty.dtype) == "float32"
    np.testing.assert_allclose(numpy(penalty), 1e8, rtol=1e-6)


def test_survives_a_file(tmp_path):
    inputs = keras.Input((3,))
    regularizer = SubspaceOrthogonality(3, 0.2, num_gates=2)
    outputs = keras.layers.Dense(6, kernel_regularizer=regularizer)(inputs)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    config = loaded.layers[-1].kernel_regularizer.get_config()
    assert config == {"num_subspaces": 3, "strength": 0.2, "num_gates": 2}
    np.testing.assert_allclose(
        numpy(loaded.losses[0]), numpy(model.losses[0]), rtol=1e-6
    )


@pytest.mark.parametrize(
    "arguments",
    [
        dict(num_subspaces=0),
        dict(num_subspaces=2.0),
        dict(strength=-0.1),
        dict(strength=float("nan")),
        dict(num_gates=0),
    ],
)
def test_refuses_arguments_out_of_range(arguments):
    with pytest.raises(ValueError, match=f"{next(iter(arguments))}.*Received"):
        SubspaceOrthogonality(**arguments)


@pytest.mark.parametrize("shape, gates", [((6,), 1), ((4, 5), 1), ((4, 6), 4)])
def test_refuses_weights_that_it_cannot_split(shape, gates):
    with pytest.raises(ValueError, match="cannot|can split.*Received"):
        SubspaceOrthogonality(num_gates=gates)(kernel(*shape))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
