import keras
import numpy as np
import pytest
from keras import layers

import keras_mtl
from keras_mtl.layers import CGC
from keras_mtl.layers import PLE
from keras_mtl.layers import DSelectKGate
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
    inputs: np.ndarray, kernel: np.ndarray, outputs: list[np.ndarray]
) -> np.ndarray:
    """What a gate makes of the outputs of experts, for one example."""
    powers = [np.exp(inputs @ column) for column in kernel.T]
    return sum(
        p / sum(powers) * out for p, out in zip(powers, outputs, strict=True)
    )


def expected_levels(layer: PLE, row: np.ndarray) -> dict[str, np.ndarray]:
    """The definition, for one example, with dense ReLU experts."""
    reads = dict.fromkeys([*TASKS, "shared"], row)
    for level in layer.levels:
        outputs = {}
        for group, experts in level.expert_groups.items():
            outputs[group] = []
            for expert in experts:
                kernel, bias = (
                    w.astype("float64") for w in expert.get_weights()
                )
                output = np.maximum(reads[group] @ kernel + bias, 0)
                outputs[group].append(output)
        kernels = [
            gate.get_weights()[0].astype("float64") for gate in level.gates
        ]
        mixtures = {
            task: mixture(
                reads[task], kernel, outputs[task] + outputs["shared"]
            )
            # All levels but the last have one more, for what is shared.
            for task, kernel in zip(TASKS, kernels, strict=False)
        }
        if len(kernels) == 3:
            everything = sum((outputs[g] for g in [*TASKS, "shared"]), [])
            mixtures["shared"] = mixture(
                reads["shared"], kernels[2], everything
            )
        reads = mixtures
    return reads


@pytest.mark.parametrize("num_levels", [2, 3])
def test_levels_read_the_mixtures_below(num_levels):
    """Against the definition, example by example, in float64."""
    layer = PLE(relu(4), TASKS, num_levels, 2, {"left": 1, "right": 2})
    x = features(5, 6)
    y = layer(x)
    for index, row in enumerate(x.astype("float64")):
        for task, expected in expected_levels(layer, row).items():
            np.testing.assert_allclose(
                numpy(y[task])[index], expected, atol=1e-5
            )


def test_all_levels_but_the_last_have_a_gate_over_all_experts():
    layer = PLE(relu(4), TASKS, 3, 2, 1)
    assert [len(level.gates) for level in layer.levels] == [3, 3, 2]
    assert [g.units for g in layer.levels[0].gates] == [3, 3, 4]
    assert list(layer(features(2, 5))) == TASKS


def test_one_level_is_cgc():
    levels = PLE(relu(4), TASKS, 1, 2, 1)
    customized = CGC(relu(4), TASKS, 2, 1)
    x = features(6, 5)
    levels(x)
    expected = customized(x)
    levels.set_weights(customized.get_weights())
    for task, found in levels(x).items():
        np.testing.assert_array_equal(numpy(found), numpy(expected[task]))


@pytest.mark.slow
def test_without_shared_experts_tasks_are_independent():
    layer = PLE(relu(4), TASKS, 2, 0, 2)
    assert [len(level.gates) for level in layer.levels] == [2, 2]
    model = model_of(layer, loss_weights={"left": 1.0, "right": 0.0})
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=16, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        change = np.abs(numpy(v) - old).max() > 0
        assert change == ("left" in v.path), v.path


def test_shared_experts_on_the_last_level_only():
    """Their gate has something to read, from all levels below."""
    layer = PLE(
        [
            {"left": relu(4), "right": relu(4), "shared": []},
            {"left": relu(4), "right": relu(4), "shared": []},
            {"left": relu(4), "right": relu(4), "shared": [relu(4)]},
        ],
        TASKS,
        num_levels=3,
        num_task_experts=1,
    )
    assert [len(level.gates) for level in layer.levels] == [3, 3, 2]
    x = features(3, 6)
    y = layer(x)
    for index, row in enumerate(x.astype("float64")):
        for task, expected in expected_levels(layer, row).items():
            np.testing.assert_allclose(
                numpy(y[task])[index], expected, atol=1e-5
            )


def test_count_of_parameters():
    layer = PLE([relu(4), relu(3)], TASKS, 2, 2, 1)
    layer.build((None, 5))
    trainable = sum(int(np.prod(v.shape)) for v in layer.trainable_variables)
    # Experts, gates of tasks and, below, the gate over all.
    first = 4 * (5 * 4 + 4) + 2 * 5 * 3 + 5 * 4
    second = 4 * (4 * 3 + 3) + 2 * 4 * 3
    assert trainable == first + second


def test_no_two_copies_start_alike():
    seeded = layers.Dense(
        5, kernel_initializer=keras.initializers.GlorotNormal(seed=3)
    )
    layer = PLE(seeded, TASKS, 2, 1, 1)
    layer.build((None, 5))
    kernels = {
        expert.get_weights()[0].tobytes()
        for level in layer.levels
        for experts in level.expert_groups.values()
        for expert in experts
    }
    assert len(kernels) == 6


def test_gates_by_level():
    layer = PLE(relu(4), TASKS, 2, 1, 1, gate=[lambda n: layers.Dense(n), None])
    biased = [[g.use_bias for g in level.gates] for level in layer.levels]
    assert biased == [[True] * 3, [False] * 2]
    layer = PLE(relu(4), TASKS, 2, 2, 1, gate=DSelectKGate(2))
    assert [
        [gate.num_experts for gate in level.gates] for level in layer.levels
    ] == [[3, 3, 4], [3, 3]]


def test_gate_use_of_each_level():
    layer = PLE(relu(4), TASKS, 2, 1, 1)
    layer(features(6, 5), training=True)
    first, second = layer.sharing_matrices()
    assert first.title == "gate use, level 0"
    assert first.rows == [*TASKS, "shared"] and second.rows == TASKS
    used = [[True, False, True], [False, True, True], [True, True, True]]
    np.testing.assert_array_equal(first.values > 0, used)
    np.testing.assert_array_equal(second.values > 0, used[:2])
    for matrix in (first, second):
        np.testing.assert_allclose(matrix.values.sum(-1), 1, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "policy, compiler", [("float32", WITH_XLA), ("mixed_float16", QUICK)]
)
def test_training_moves_every_weight(policy, compiler):
    keras.config.set_dtype_policy(policy)
    layer = PLE(layers.Dense(4), TASKS, 2, 1, 1)
    model = model_of(layer, aggregator="pcgrad", **compiler)
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=8, epochs=2, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        assert np.isfinite(numpy(v)).all()
        assert np.abs(numpy(v) - old).max() > 0, v.path


@pytest.mark.slow
def test_what_belongs_to_one_task():
    """What two tasks reach is aggregated, here to nothing."""
    nothing = keras_mtl.aggregators.Constant([0.0, 0.0])
    model = model_of(PLE(relu(4), TASKS, 2, 1, 1), aggregator=nothing)
    before = [numpy(v) for v in model.trainable_variables]
    model.fit(*data(), batch_size=16, verbose=0)
    for v, old in zip(model.trainable_variables, before, strict=True):
        change = np.abs(numpy(v) - old).max() > 0
        # All experts of the first level go into the mixture for all.
        of_all = "shared" in v.path or "level_0/" in v.path
        own_gate = "left_gate" in v.path or "right_gate" in v.path
        assert change == (own_gate or not of_all), v.path


def test_sequences_with_a_mask():
    tokens = keras.ops.convert_to_tensor([[1, 2, 0, 0], [3, 1, 2, 0]])
    embedded = layers.Embedding(5, 4, mask_zero=True)(tokens)
    layer = PLE(
        [layers.LSTM(3, return_sequences=True), layers.LSTM(3)], TASKS, 2, 1, 1
    )
    y = layer(embedded)
    assert layer.compute_output_shape((None, None, 4)) == dict.fromkeys(
        TASKS, (None, 3)
    )
    short = layer(embedded[:1, :2])
    for task in TASKS:
        assert getattr(y[task], "_keras_mask", None) is None
        np.testing.assert_allclose(
            numpy(y[task])[:1], numpy(short[task]), atol=1e-5
        )
    keeping = PLE(layers.Dense(3), TASKS, 2, 1, 1, gate_per="position")
    for mixed in keeping(embedded).values():
        np.testing.assert_array_equal(
            numpy(mixed._keras_mask), numpy(embedded._keras_mask)
        )


def test_inputs_by_task():
    layer = PLE(relu(4), TASKS, 2, 1, 1)
    x = {name: features(3, 5) for name in [*TASKS, "shared"]}
    by_task = layer(x)
    for task, expected in layer(x["shared"]).items():
        np.testing.assert_array_equal(numpy(by_task[task]), numpy(expected))
    other = layer({**x, "right": 2 * x["right"]})
    assert np.abs(numpy(other["left"]) - numpy(by_task["left"])).max() > 1e-4


@pytest.mark.slow
def test_survives_a_file(tmp_path):
    layer = PLE(
        [
            lambda: relu(4),
            {"left": relu(3), "right": relu(3), "shared": relu(3)},
        ],
        TASKS,
        2,
        2,
        1,
        gate=DSelectKGate(2),
        name="levels",
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
    again = loaded.get_layer("levels")
    assert again.get_config() == layer.get_config()
    for one, other in zip(
        again.sharing_matrices(), layer.sharing_matrices(), strict=True
    ):
        np.testing.assert_array_equal(one.values, other.values)
        assert one.values.sum() > 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(num_levels=0), "`num_levels` must be an integer from 1 up"),
        (dict(experts=[relu(4)]), "`experts` should have.*2 levels.*: 1 of"),
        (dict(gate=[None]), "`gate` should have an entry for each of the 2"),
        (dict(tasks=["left", "shared"]), "'shared' is what belongs"),
        (dict(num_shared_experts=None), "`num_shared_experts` should say"),
        (dict(gate_per="step"), "`gate_per`"),
    ],
)
def test_bad_input(arguments, message):
    given = dict(
        experts=relu(4), tasks=TASKS, num_shared_experts=1, num_task_experts=1
    )
    with pytest.raises(ValueError, match=message):
        PLE(**{**given, **arguments})


@pytest.mark.parametrize("argument", ["experts", "gate"])
def test_levels_share_no_layer(argument):
    level = {
        "experts": {
            name: [keras.layers.Dense(4)] for name in [*TASKS, "shared"]
        },
        "gate": [keras.layers.Dense(2) for _ in range(len(TASKS))],
    }[argument]
    given = dict(experts=relu(4), num_shared_experts=1, num_task_experts=1)
    given[argument] = [level, level]
    if argument == "gate":
        # So that the levels have equally many gates.
        given["num_shared_experts"] = 0
    with pytest.raises(ValueError, match="one layer for two places"):
        PLE(tasks=TASKS, **given)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
