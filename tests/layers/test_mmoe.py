import keras
import numpy as np
import pytest
from keras import layers

import keras_mtl
from keras_mtl.layers import DSelectKGate
from keras_mtl.layers import MMoE
from tests.arrays import features
from tests.arrays import numpy
from tests.layers.common import QUICK
from tests.layers.common import TASKS
from tests.layers.common import data
from tests.layers.common import model_of

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
WITH_XLA = {"jit_compile": True} if ON_TENSORFLOW else {}


def mlp() -> keras.Sequential:
    return keras.Sequential(
        [layers.Dense(6, activation="relu"), layers.Dense(4)]
    )


def moved(model, before: list[np.ndarray]) -> dict[str, bool]:
    """Which trainable variables are others than before, by path."""
    return {
        v.path: bool(np.abs(numpy(v) - old).max() > 0)
        for v, old in zip(model.trainable_variables, before, strict=True)
    }


def test_is_the_sum_of_experts_times_gates():
    """Against the definition, example by example, in float64."""
    layer = MMoE(mlp, TASKS, 3)
    x = features(6, 5)
    y = layer(x)
    experts = [
        [w.astype("float64") for w in expert.get_weights()]
        for expert in layer.experts
    ]
    for gate, task in zip(layer.gates, TASKS, strict=True):
        (kernel,) = gate.get_weights()
        for row, found in zip(x.astype("float64"), numpy(y[task]), strict=True):
            logits = [row @ column for column in kernel.T.astype("float64")]
            powers = [np.exp(logit) for logit in logits]
            expected = np.zeros(4)
            for power, (k1, b1, k2, b2) in zip(powers, experts, strict=True):
                hidden = np.maximum(row @ k1 + b1, 0)
                expected += power / sum(powers) * (hidden @ k2 + b2)
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_one_expert_is_hard_sharing():
    layer = MMoE(mlp(), TASKS, 1)
    x = features(6, 5)
    y = layer(x)
    for task in TASKS:
        np.testing.assert_allclose(
            numpy(y[task]), numpy(layer.experts[0](x)), atol=1e-6
        )


@keras.saving.register_keras_serializable(package="test_mmoe")
class Fixed(layers.Layer):
    """A gate that gives all to one expert."""

    def __init__(self, chosen: int, **kwargs):
        super().__init__(**kwargs)
        self.chosen = chosen

    def call(self, inputs):
        logits = np.full(3, -np.inf, "float32")
        logits[self.chosen] = 0
        return keras.ops.zeros_like(inputs[..., :1]) + logits

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 3)


@pytest.mark.slow
def test_gates_on_different_experts_are_independent_networks():
    layer = MMoE(mlp(), TASKS, 3, gate=[Fixed(0), Fixed(2)])
    model = model_of(layer, loss_weights={"left": 1.0, "right": 0.0})
    x, y = data()
    mixtures = layer(x)
    for task, expert in zip(
        TASKS, (layer.experts[0], layer.experts[2]), strict=True
    ):
        np.testing.assert_array_equal(numpy(mixtures[task]), numpy(expert(x)))
    before = model.get_weights()
    model.fit(x, y, batch_size=16, verbose=0)
    changed = [
        np.abs(new - old).max() > 0
        for old, new in zip(before, model.get_weights(), strict=True)
    ]
    paths = [v.path for v in model.weights]
    for path, change in zip(paths, changed, strict=True):
        if "gate_use" not in path:
            assert change == ("expert_0/" in path or "left/" in path), path


def test_count_of_parameters():
    layer = MMoE(mlp(), TASKS, 8)
    layer.build((None, 5))
    expert = 5 * 6 + 6 + 6 * 4 + 4
    trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_variables)
    assert trainable == 8 * expert + 2 * 5 * 8


def test_experts_start_apart():
    seeded = layers.Dense(
        4, kernel_initializer=keras.initializers.GlorotNormal(seed=1024)
    )
    layer = MMoE(seeded, TASKS, 3)
    layer.build((None, 5))
    kernels = [expert.get_weights()[0] for expert in layer.experts]
    for first in range(3):
        for second in range(first):
            gap = np.abs(kernels[first] - kernels[second]).max()
            assert gap > 1e-3
    assert not seeded.built


def test_experts_of_different_classes():
    x = features(3, 6, 5)
    experts = [
        layers.LSTM(4, return_sequences=True),
        layers.Conv1D(4, 3, padding="same"),
        keras.Sequential([layers.Dense(7), layers.Dense(4)]),
    ]
    layer = MMoE(experts, TASKS)
    y = layer(x)
    assert layer.experts == experts
    gate = numpy(layer.gates[1](x.mean(1)))
    gate = np.exp(gate) / np.exp(gate).sum(-1, keepdims=True)
    expected = sum(
        gate[:, e, None, None] * numpy(expert(x))
        for e, expert in enumerate(experts)
    )
    np.testing.assert_allclose(numpy(y["right"]), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy, compiler", [("float32", WITH_XLA), ("mixed_float16", QUICK)]
)
def test_training_moves_every_weight(policy, compiler):
    keras.config.set_dtype_policy(policy)
    layer = MMoE(mlp(), TASKS, 2)
    model = model_of(layer, aggregator="pcgrad", **compiler)
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=8, epochs=2, verbose=0)
    assert all(moved(model, before).values())
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert layer.sharing_matrices()[0].values.min() > 0


@pytest.mark.slow
def test_gates_belong_to_their_tasks_and_experts_to_all():
    """What two tasks reach is aggregated, here to nothing."""
    layer = MMoE(mlp(), TASKS, 2)
    nothing = keras_mtl.aggregators.Constant([0.0, 0.0])
    model = model_of(layer, aggregator=nothing)
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=16, verbose=0)
    for path, change in moved(model, before).items():
        assert change == ("expert_" not in path), path


@pytest.mark.slow
@pytest.mark.parametrize(
    "experts, gate",
    [
        (lambda: keras.Sequential([layers.Dense(4)]), None),
        (layers.Dense(4), lambda n: layers.Dense(n)),
        ([layers.Dense(4), layers.Dense(4, "relu")], DSelectKGate(1)),
    ],
    ids=["functions", "gate function", "list and DSelectK"],
)
def test_survives_a_file(experts, gate, tmp_path):
    layer = MMoE(experts, TASKS, 2, gate, name="mix")
    model = model_of(layer)
    model.fit(*data(), batch_size=8, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x, _ = data()
    for task, expected in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(
            loaded.predict(x, verbose=0)[task], expected
        )
    again = loaded.get_layer("mix")
    assert [type(e) for e in again.experts] == [type(e) for e in layer.experts]
    assert [type(g) for g in again.gates] == [type(g) for g in layer.gates]
    np.testing.assert_array_equal(
        again.sharing_matrices()[0].values, layer.sharing_matrices()[0].values
    )
    assert again.sharing_matrices()[0].values.sum() > 0


def test_config_makes_the_same_layer():
    layer = MMoE(
        mlp,
        TASKS,
        2,
        gate=DSelectKGate(1),
        gate_per="position",
        dtype="mixed_bfloat16",
    )
    config = layer.get_config()
    again = MMoE.from_config(config)
    assert again.get_config() == config
    assert again.dtype_policy.name == "mixed_bfloat16"
    assert (again.tasks, again.gate_per) == (TASKS, "position")


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="exports for TensorFlow")
def test_exports(tmp_path):
    import tensorflow as tf

    model = model_of(MMoE(mlp(), TASKS, 2))
    model.export(str(tmp_path / "served"), verbose=False)
    served = tf.saved_model.load(str(tmp_path / "served"))
    x, _ = data()
    for task, expected in model.predict(x, verbose=0).items():
        np.testing.assert_allclose(served.serve(x)[task], expected, atol=1e-6)


@pytest.mark.parametrize(
    "experts, count, message",
    [
        (layers.Dense(4), None, "`num_experts` should say how many"),
        (layers.Dense(4), 0, "`num_experts` must be an integer from 1 up"),
        (layers.Dense(4), 2.5, "`num_experts` must be an integer"),
        ([layers.Dense(4)], 2, "`experts` should hold 2 layers"),
        ([], None, "`num_experts` must be an integer from 1 up"),
        ("dense", 2, "`experts` should be a Keras layer"),
        (layers.Dense, 2, "`experts` should be a Keras layer"),
    ],
)
def test_bad_experts(experts, count, message):
    with pytest.raises(ValueError, match=message):
        MMoE(experts, TASKS, count)


def test_one_layer_twice():
    expert = layers.Dense(4)
    with pytest.raises(ValueError, match="gives one layer twice"):
        MMoE([expert, expert], TASKS)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
