import keras
import numpy as np
import pytest
from keras import layers

import keras_mtl
from keras_mtl.layers import CGC
from keras_mtl.layers import DSelectKGate
from keras_mtl.layers import MMoE
from tests.arrays import features
from tests.arrays import numpy
from tests.layers.common import QUICK
from tests.layers.common import TASKS
from tests.layers.common import data
from tests.layers.common import model_of
from tests.layers.common import relu

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
WITH_XLA = {"jit_compile": True} if ON_TENSORFLOW else {}


def mixture(
    row: np.ndarray, kernel: np.ndarray, experts: list[list[np.ndarray]]
) -> np.ndarray:
    """The definition, for one example, with dense ReLU experts."""
    powers = [np.exp(row @ column) for column in kernel.T]
    return sum(
        power / sum(powers) * np.maximum(row @ weights + bias, 0)
        for power, (weights, bias) in zip(powers, experts, strict=True)
    )


def test_a_task_mixes_its_own_experts_and_the_shared_ones():
    """Against the definition, example by example, in float64."""
    layer = CGC(relu(4), TASKS, 2, {"left": 1, "right": 3})
    x = features(6, 5)
    y = layer(x)
    weights = {
        group: [
            [w.astype("float64") for w in expert.get_weights()]
            for expert in experts
        ]
        for group, experts in layer.expert_groups.items()
    }
    assert {g: len(e) for g, e in weights.items()} == {
        "left": 1,
        "right": 3,
        "shared": 2,
    }
    for gate, task in zip(layer.gates, TASKS, strict=True):
        kernel = gate.get_weights()[0].astype("float64")
        for row, found in zip(x.astype("float64"), numpy(y[task]), strict=True):
            expected = mixture(row, kernel, weights[task] + weights["shared"])
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_experts_of_tasks_it_is_mmoe():
    customized = CGC(relu(4), TASKS, 3, 0)
    mixed = MMoE(relu(4), TASKS, 3)
    x = features(6, 5)
    customized(x)
    expected = mixed(x, training=True)
    customized.set_weights(mixed.get_weights())
    found = customized(x, training=True)
    for task in TASKS:
        np.testing.assert_array_equal(numpy(found[task]), numpy(expected[task]))
    (one,), (other,) = (
        layer.sharing_matrices() for layer in (customized, mixed)
    )
    assert one.columns == other.columns


@pytest.mark.slow
def test_without_shared_experts_tasks_are_independent():
    layer = CGC(relu(4), TASKS, 0, 2)
    model = model_of(layer, loss_weights={"left": 1.0, "right": 0.0})
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=16, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        change = np.abs(numpy(v) - old).max() > 0
        assert change == ("left" in v.path), v.path


def test_one_shared_expert_is_hard_sharing():
    layer = CGC(relu(4), TASKS, 1, 0)
    x = features(6, 5)
    y = layer(x)
    (expert,) = layer.expert_groups["shared"]
    for task in TASKS:
        np.testing.assert_allclose(numpy(y[task]), numpy(expert(x)), atol=1e-6)


def test_count_of_parameters():
    layer = CGC(relu(4), TASKS, 3, {"left": 2, "right": 1})
    layer.build((None, 5))
    trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_variables)
    assert trainable == 6 * (5 * 4 + 4) + 5 * (2 + 3) + 5 * (1 + 3)


def test_experts_of_each_group_may_differ():
    shared = [layers.Dense(4), keras.Sequential([relu(7), layers.Dense(4)])]
    layer = CGC(
        {"left": relu(4), "right": lambda: layers.Dense(4), "shared": shared},
        TASKS,
        num_task_experts=2,
    )
    layer.build((None, 5))
    assert layer.expert_groups["shared"] == shared
    activations = [
        [expert.activation.__name__ for expert in layer.expert_groups[task]]
        for task in TASKS
    ]
    assert activations == [["relu"] * 2, ["linear"] * 2]


def test_no_two_copies_start_alike():
    """Though the seed of the expert is given, and so are its groups."""
    seeded = layers.Dense(
        4, kernel_initializer=keras.initializers.GlorotNormal(seed=3)
    )
    layer = CGC(seeded, TASKS, 2, 2)
    layer.build((None, 5))
    kernels = {
        expert.get_weights()[0].tobytes()
        for experts in layer.expert_groups.values()
        for expert in experts
    }
    assert len(kernels) == 6


def test_gate_use_is_of_all_experts():
    layer = CGC(relu(4), TASKS, 1, {"left": 1, "right": 2})
    layer(features(6, 5), training=True)
    (matrix,) = layer.sharing_matrices()
    assert matrix.rows == TASKS
    assert matrix.columns == [
        "left_expert_0",
        "right_expert_0",
        "right_expert_1",
        "shared_expert_0",
    ]
    used = [[True, False, False, True], [False, True, True, True]]
    np.testing.assert_array_equal(matrix.values > 0, used)
    np.testing.assert_allclose(matrix.values.sum(-1), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy, compiler", [("float32", WITH_XLA), ("mixed_float16", QUICK)]
)
def test_training_moves_every_weight(policy, compiler):
    keras.config.set_dtype_policy(policy)
    layer = CGC(relu(4), TASKS, 1, 1)
    model = model_of(layer, aggregator="pcgrad", **compiler)
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=8, epochs=2, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        assert np.isfinite(numpy(v)).all()
        assert np.abs(numpy(v) - old).max() > 0, v.path


@pytest.mark.slow
def test_only_shared_experts_belong_to_all():
    """What two tasks reach is aggregated, here to nothing."""
    nothing = keras_mtl.aggregators.Constant([0.0, 0.0])
    model = model_of(CGC(relu(4), TASKS, 1, 1), aggregator=nothing)
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=16, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        change = np.abs(numpy(v) - old).max() > 0
        assert change == ("shared_expert" not in v.path), v.path


def test_sequences():
    layer = CGC(layers.Dense(4), TASKS, 1, 1, gate_per="position")
    x = features(3, 6, 5)
    y = layer(x)
    (shared,) = layer.expert_groups["shared"]
    (own,) = layer.expert_groups["right"]
    logits = numpy(layer.gates[1](x)).astype("float64")
    share = 1 / (1 + np.exp(logits[..., 1:] - logits[..., :1]))
    expected = share * numpy(own(x)) + (1 - share) * numpy(shared(x))
    np.testing.assert_allclose(numpy(y["right"]), expected, atol=1e-5)


def test_each_reads_its_own_input():
    layer = CGC(relu(4), TASKS, 1, 1)
    x = {name: features(3, 5) * k for k, name in enumerate(TASKS, 1)}
    x["shared"] = features(3, 8)
    y = layer(x)
    (shared,) = layer.expert_groups["shared"]
    for task, gate in zip(TASKS, layer.gates, strict=True):
        (own,) = layer.expert_groups[task]
        logits = numpy(gate(x[task])).astype("float64")
        share = 1 / (1 + np.exp(logits[:, 1:] - logits[:, :1]))
        expected = share * numpy(own(x[task]))
        expected = expected + (1 - share) * numpy(shared(x["shared"]))
        np.testing.assert_allclose(numpy(y[task]), expected, atol=1e-5)


@pytest.mark.slow
def test_survives_a_file(tmp_path):
    layer = CGC(
        {"left": relu(4), "right": lambda: relu(4), "shared": [relu(4)]},
        TASKS,
        num_task_experts={"left": 1, "right": 2},
        gate=DSelectKGate(2),
        name="mix",
    )
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
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(
        again.sharing_matrices()[0].values, layer.sharing_matrices()[0].values
    )


def test_config_makes_the_same_layer():
    layer = CGC(relu(4), TASKS, 2, 1, lambda n: layers.Dense(n), "position")
    config = layer.get_config()
    again = CGC.from_config(config)
    assert again.get_config() == config
    assert [gate.units for gate in again.gates] == [3, 3]


@pytest.mark.parametrize(
    "experts, arguments, message",
    [
        ([relu(4)], (1, 1), "does not say whose they are"),
        ({"left": relu(4)}, (1, 1), "entry for each of.*Received: ..left"),
        (relu(4), (None, 1), "`num_shared_experts` should say"),
        (relu(4), (1, None), "`num_task_experts` should say"),
        (relu(4), (-1, 1), "`num_shared_experts`.*from 0 up"),
        (relu(4), (1, {"left": 1}), "a number for each of the tasks"),
        (relu(4), (1, 1.5), "`num_task_experts` must be an integer"),
        (relu(4), (0, {"left": 1, "right": 0}), "no expert.*'right'"),
        (
            {"left": relu(4), "right": relu(4), "shared": [relu(4)]},
            (2, 1),
            "`experts` should hold 2 layers",
        ),
    ],
)
def test_bad_input(experts, arguments, message):
    with pytest.raises(ValueError, match=message):
        CGC(experts, TASKS, *arguments)


def test_one_expert_of_two_groups():
    expert = layers.Dense(4)
    experts = {"a": [expert], "b": [expert], "shared": [layers.Dense(4)]}
    with pytest.raises(ValueError, match="one layer for two places"):
        CGC(experts, ["a", "b"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
