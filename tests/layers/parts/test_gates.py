import keras
import numpy as np
import pytest

from keras_mtl.layers import DSelectKGate
from keras_mtl.layers.parts.gates import ExpertGate
from keras_mtl.layers.parts.gates import gate_weights
from keras_mtl.layers.parts.gates import make_gates
from keras_mtl.layers.parts.gates import mean_over_positions
from tests.arrays import features
from tests.arrays import numpy

SIZES = {"left": 3, "right": 5}


@keras.saving.register_keras_serializable(package="test_gates")
class Everything(ExpertGate):
    """Gives all to the first expert."""

    def call(self, inputs):
        ones = keras.ops.ones_like(inputs[..., :1])
        zeros = keras.ops.zeros_like(ones)
        rest = [zeros] * (self.num_experts - 1)
        return keras.ops.concatenate([ones, *rest], -1)


def test_none_is_a_linear_map_without_bias():
    gates = make_gates(None, SIZES, "mixed_float16")
    assert [gate.name for gate in gates] == ["left_gate", "right_gate"]
    assert [gate.units for gate in gates] == [3, 5]
    assert not any(gate.use_bias for gate in gates)
    assert gates[0].dtype_policy.name == "mixed_float16"


def test_a_layer_is_copied_with_weights_and_seeds_of_its_own():
    template = keras.layers.Dense(
        4, kernel_initializer=keras.initializers.GlorotNormal(seed=7)
    )
    gates = make_gates(template, {"a": 4, "b": 4}, "float32", start=2)
    assert template not in gates
    assert [g.kernel_initializer.seed for g in gates] == [9, 10]


def test_a_function_takes_the_number_of_experts():
    gates = make_gates(lambda n: keras.layers.Dense(n), SIZES, "float32")
    assert [gate.units for gate in gates] == [3, 5]


def test_an_expert_gate_is_told_the_number_of_experts():
    gates = make_gates(DSelectKGate(2), SIZES, "float32")
    assert [gate.num_experts for gate in gates] == [3, 5]
    with pytest.raises(ValueError, match="choose among 5 .*num_experts=3"):
        make_gates(DSelectKGate(2, num_experts=3), SIZES, "float32")


def test_a_list_is_used_as_it_is():
    given = [keras.layers.Dense(3), keras.layers.Dense(5)]
    assert make_gates(given, SIZES, "float32") == given


def test_softmax_of_logits_but_not_of_weights():
    x = features(4, 3)
    logits = keras.layers.Dense(3, kernel_initializer="identity")
    expected = np.exp(x) / np.exp(x).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        numpy(gate_weights(logits, x)), expected, atol=1e-6
    )
    (gate,) = make_gates(Everything(), {"a": 3}, "float32")
    np.testing.assert_array_equal(
        numpy(gate_weights(gate, x)), [[1.0, 0.0, 0.0]] * 4
    )


def test_one_expert_has_weight_one_and_no_warning(recwarn):
    gate = keras.layers.Dense(1)
    weights = gate_weights(gate, features(4, 3))
    np.testing.assert_array_equal(numpy(weights), np.ones((4, 1)))
    assert not recwarn.list


def test_weights_have_the_precision_of_float32_or_more():
    for policy, dtype in [
        ("mixed_float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
    ]:
        gate = keras.layers.Dense(3, dtype=policy)
        weights = gate_weights(gate, features(4, 3))
        if keras.backend.backend() == "jax":
            # It has no float64 unless asked for.
            dtype = "float32"
        assert keras.backend.standardize_dtype(weights.dtype) == dtype


@pytest.mark.parametrize(
    "given, message",
    [
        ("dense", "`gate` should be None.*Received: 'dense'"),
        (keras.layers.Dense, "`gate` should be None"),
        (lambda: keras.layers.Dense(3), "take the number of experts"),
        (lambda n: n, "`gate` should return a new Keras layer"),
        ([keras.layers.Dense(3)], "`gate` should hold 2 layers"),
    ],
)
def test_bad_gates(given, message):
    with pytest.raises(ValueError, match=message):
        make_gates(given, SIZES, "float32")


def test_mean_over_positions():
    x = features(2, 3, 4, 5)
    np.testing.assert_allclose(
        numpy(mean_over_positions(x, None)), x.mean((1, 2)), atol=1e-6
    )
    vectors = x[:, 0, 0]
    for mask in (None, np.ones((2, 3), bool)):
        assert mean_over_positions(vectors, mask) is vectors


def test_mean_over_positions_that_are_not_masked():
    x = features(3, 4, 5)
    mask = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], bool)
    expected = [x[0, :2].mean(0), x[1, [0, 2, 3]].mean(0), np.zeros(5)]
    found = mean_over_positions(keras.ops.array(x), keras.ops.array(mask))
    np.testing.assert_allclose(numpy(found), expected, atol=1e-6)
    # A mask of steps, and frames in each.
    frames = np.stack([x, 3 * x], axis=2)
    found = mean_over_positions(keras.ops.array(frames), keras.ops.array(mask))
    np.testing.assert_allclose(numpy(found), 2 * np.array(expected), atol=1e-6)


def test_mean_of_many_positions_stays_in_the_range_of_float16():
    x = keras.ops.full((1, 4000, 1), 100.0, dtype="float16")
    mask = keras.ops.ones((1, 4000), "bool")
    assert numpy(mean_over_positions(x, mask)) == pytest.approx(100, rel=0.01)


def test_a_function_has_to_make_a_gate_for_each():
    gate = keras.layers.Dense(2)
    with pytest.raises(ValueError, match="`gate` gives one layer twice"):
        make_gates(lambda n: gate, {"a": 2, "b": 2}, None)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("count", [300, 70_000])
def test_mean_of_many_positions_is_exact_in_half_precision(dtype, count):
    x = keras.ops.ones((1, count, 2), dtype)
    mean = mean_over_positions(x, keras.ops.ones((1, count), "bool"))
    assert keras.backend.standardize_dtype(mean.dtype) == dtype
    assert numpy(keras.ops.cast(mean, "float32")).tolist() == [[1.0, 1.0]]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
