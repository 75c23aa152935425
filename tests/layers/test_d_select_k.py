import itertools

import keras
import numpy as np
import pytest

from keras_mtl.layers import DSelectKGate
from keras_mtl.layers import MMoE
from tests.arrays import features
from tests.arrays import numpy

# Where the compiler is not what is tested, it only costs time.
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
QUICK = {"jit_compile": False} if ON_TENSORFLOW else {}


def smooth_step(t: float, gamma: float) -> float:
    """The three cases of the definition."""
    if t <= -gamma / 2:
        return 0.0
    if t >= gamma / 2:
        return 1.0
    return -2 * t**3 / gamma**3 + 3 * t / (2 * gamma) + 0.5


def expected_gate(
    z: np.ndarray, w: np.ndarray, num_experts: int, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gate and selectors of one example from `z [k, m]` and `w [k]`.

    Written with the digits of each number spelled out.
    """
    k, m = z.shape
    selectors = np.zeros((k, num_experts))
    for j, e in itertools.product(range(k), range(num_experts)):
        spelled = bin(e)[2:].zfill(m)
        selectors[j, e] = np.prod(
            [
                smooth_step(t, gamma)
                if digit == "1"
                else 1 - smooth_step(t, gamma)
                for t, digit in zip(z[j], spelled, strict=True)
            ]
        )
    shares = np.exp(w) / np.exp(w).sum()
    return shares @ selectors, selectors


def static_gate(z, w, num_experts: int, **kwargs) -> DSelectKGate:
    z, w = np.asarray(z, "float32"), np.asarray(w, "float32")
    gate = DSelectKGate(len(w), num_experts, routing="static", **kwargs)
    gate.build((None, 4))
    gate.set_weights([z.reshape(-1), w])
    return gate


@pytest.mark.parametrize("num_experts, gamma", [(8, 1.0), (5, 0.3), (2, 4.0)])
def test_gate_for_examples_is_as_defined(num_experts, gamma):
    gate = DSelectKGate(2, num_experts, gamma=gamma)
    x = 3 * features(6, 4)
    gate(x)
    rng = np.random.default_rng(1)
    gate.set_weights([rng.normal(size=v.shape) * gamma for v in gate.weights])
    kernel, bias, w_kernel, w_bias = (
        w.astype("float64") for w in gate.get_weights()
    )
    m = int(np.ceil(np.log2(num_experts)))
    assert kernel.shape == (4, 2 * m) and w_kernel.shape == (4, 2)
    expected = [
        expected_gate(
            (row @ kernel + bias).reshape(2, m),
            row @ w_kernel + w_bias,
            num_experts,
            gamma,
        )[0]
        for row in x.astype("float64")
    ]
    np.testing.assert_allclose(numpy(gate(x)), expected, atol=2e-6)


def test_static_gate_is_one_for_all_examples():
    z = features(3, 3) / 3
    w = features(3)
    gate = static_gate(z, w, num_experts=8)
    expected, _ = expected_gate(z, w, 8, 1.0)
    found = numpy(gate(features(5, 2, 4)))
    np.testing.assert_allclose(
        found, np.broadcast_to(expected, (5, 2, 8)), atol=1e-6
    )


def test_counts_of_parameters():
    for routing, count in [("example", (7 + 1) * (2 * 3 + 2)), ("static", 8)]:
        gate = DSelectKGate(2, num_experts=6, routing=routing)
        gate.build((None, 7))
        assert gate.count_params() == count


@pytest.mark.parametrize("num_experts", [2, 4, 8, 16])
def test_sums_to_one_for_powers_of_two(num_experts):
    gate = DSelectKGate(2, num_experts)
    sums = numpy(gate(100 * features(50, 4))).sum(-1)
    np.testing.assert_allclose(sums, 1.0, atol=1e-6)


def test_starts_near_the_uniform_gate():
    for routing in ("example", "static"):
        gate = DSelectKGate(3, num_experts=8, routing=routing)
        weights = numpy(gate(features(20, 4)))
        np.testing.assert_allclose(weights, 1 / 8, atol=0.05)


@pytest.mark.parametrize("gamma", [1.0, 0.7, 3e-3])
def test_at_most_k_experts_have_a_weight_once_digits_are_binary(gamma):
    """For every pair of codes, at the ends of the smooth step and beyond."""
    codes = np.array(list(itertools.product([-1, 1], repeat=3))) * gamma / 2
    for scale, (a, b) in itertools.product([1, 10], enumerate(codes)):
        gate = static_gate([b * scale, codes[3] * scale], [0.3, -1.0], 8)
        gate.gamma = gamma
        weights = numpy(gate(features(1, 4)))[0]
        assert np.count_nonzero(weights) == (1 if a == 3 else 2)
        assert set(np.flatnonzero(weights)) == {a, 3}
        assert weights.sum() == pytest.approx(1.0, abs=1e-6)


def test_is_smooth_where_the_pieces_meet():
    gate = DSelectKGate(1, num_experts=2, gamma=2.0)
    step = 1e-3
    z = np.arange(-1.5, 1.5, step, dtype="float32")
    values = numpy(gate._smooth_step(keras.ops.array(z)))
    slopes = np.diff(values.astype("float64")) / step
    assert slopes.min() > -1e-3
    assert np.abs(np.diff(slopes)).max() < 0.01
    assert slopes.max() == pytest.approx(3 / (2 * 2.0), rel=0.01)


def entropy(selectors: np.ndarray) -> float:
    return float(-np.sum(selectors * np.log(selectors + 1e-6)))


def test_entropy_of_selectors_is_a_loss_in_training_only():
    z, w = features(2, 2) / 3, features(2)
    gate = static_gate(z, w, 4, entropy_regularization=0.1)
    x = features(5, 4)
    gate(x)
    assert gate.losses == []
    gate(x, training=True)
    _, selectors = expected_gate(z, w, 4, 1.0)
    (loss,) = gate.losses
    assert float(loss) == pytest.approx(0.1 * entropy(selectors), rel=1e-4)


def test_losses_of_examples_are_means():
    gate = DSelectKGate(2, num_experts=6, entropy_regularization=0.5)
    x = features(7, 4)
    gate(x)
    gate.set_weights([10 * w for w in gate.get_weights()])
    weights = [w.astype("float64") for w in gate.get_weights()]
    entropies, lacking = [], []
    for row in x.astype("float64"):
        z = (row @ weights[0] + weights[1]).reshape(2, 3)
        _, selectors = expected_gate(z, np.zeros(2), 6, 1.0)
        entropies.append(entropy(selectors))
        lacking.append(np.sum(1 / selectors.sum(-1) - 1))
    gate(x, training=True)
    found = [float(loss) for loss in gate.losses]
    expected = [0.5 * np.mean(entropies), np.mean(lacking)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    gate(np.concatenate([x, x]), training=True)
    np.testing.assert_allclose(
        [float(loss) for loss in gate.losses][-2:], expected, rtol=1e-4
    )


def test_nothing_is_lacking_once_experts_are_reached():
    gate = static_gate([[1.0, -1.0, 1.0]], [0.0], 6)
    gate(features(2, 4), training=True)
    assert [float(loss) for loss in gate.losses] == [0.0]
    assert numpy(gate(features(2, 4)))[0].tolist() == [0, 0, 0, 0, 0, 1]


def test_a_selector_on_no_expert_keeps_the_loss_finite():
    gate = static_gate([[1.0, 1.0, 1.0]], [0.0], 6)
    gate(features(2, 4), training=True)
    assert np.isfinite([float(loss) for loss in gate.losses]).all()


def teacher(rows: int = 512) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, 3)).astype("float32")
    return x, {"a": x[:, :1] ** 2, "b": np.tanh(x[:, 1:2])}


@pytest.mark.slow
def test_training_selects_at_most_k_experts_for_each_task():
    """The losses reach the gates of all tasks."""
    inputs = keras.Input((3,))
    layer = MMoE(
        keras.layers.Dense(6, activation="relu"),
        ["a", "b"],
        num_experts=3,
        gate=DSelectKGate(1, entropy_regularization=0.3, routing="static"),
    )
    mixtures = layer(inputs)
    outputs = {
        task: keras.layers.Dense(1, name=task)(x)
        for task, x in mixtures.items()
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        keras.optimizers.Adam(0.02), {"a": "mse", "b": "mse"}, **QUICK
    )
    x, y = teacher()
    history = model.fit(x, y, batch_size=32, epochs=8, verbose=0).history
    losses = history["loss"]
    weights = [numpy(gate(x[:1]))[0] for gate in layer.gates]
    for row in weights:
        assert np.count_nonzero(row > 1e-3) == 1
        assert row.sum() == pytest.approx(1.0, abs=1e-3)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_gradients_reach_every_weight_and_stay_finite_far_out():
    for scale in (1.0, 1e30):
        gate = DSelectKGate(2, num_experts=5, entropy_regularization=1.0)
        model = keras.Sequential([keras.Input((4,)), gate])
        model.compile("sgd", "mse", **QUICK)
        before = model.get_weights()
        x = scale * features(16, 4)
        model.fit(x, np.eye(16, 5, dtype="float32"), verbose=0)
        after = model.get_weights()
        assert all(np.isfinite(w).all() for w in after)
        if scale == 1.0:
            for old, new in zip(before, after, strict=True):
                assert np.abs(old - new).max() > 0


def test_half_precision():
    gate = DSelectKGate(2, 5, entropy_regularization=0.1, dtype="mixed_float16")
    weights = gate(features(4, 3), training=True)
    assert keras.backend.standardize_dtype(weights.dtype) == "float16"
    assert {v.dtype for v in gate.weights} == {"float32"}
    for loss in gate.losses:
        assert keras.backend.standardize_dtype(loss.dtype) == "float32"


def test_config_and_shapes(tmp_path):
    gate = DSelectKGate(2, 6, 0.5, 1e-3, "static", name="gate")
    config = gate.get_config()
    assert DSelectKGate.from_config(config).get_config() == config
    assert gate.compute_output_shape((None, 7, 3)) == (None, 7, 6)
    inputs = keras.Input((None, 3))
    model = keras.Model(inputs, gate(inputs))
    assert model.output.shape == (None, None, 6)
    model.save(tmp_path / "gate.keras")
    loaded = keras.saving.load_model(tmp_path / "gate.keras")
    x = features(2, 4, 3)
    np.testing.assert_array_equal(numpy(model(x)), numpy(loaded(x)))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(num_nonzeros=0), "`num_nonzeros` must be an integer from 1 up"),
        (dict(num_nonzeros=1.5), "`num_nonzeros` must be an integer"),
        (dict(gamma=0), "`gamma` must be a number above 0"),
        (dict(entropy_regularization=-1.0), "`entropy_reg.*from 0 up"),
        (dict(routing="task"), "`routing` should be.*'task'"),
        (dict(num_experts=1), "selects 2 experts needs at least 2.*=1"),
        (dict(num_nonzeros=4, num_experts=3), "needs at least 4.*=3"),
        (dict(num_nonzeros=1, num_experts=1), "needs at least 2.*=1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DSelectKGate(**{"num_nonzeros": 2, **arguments})


def test_needs_to_know_the_number_of_experts():
    with pytest.raises(ValueError, match="does not know the number"):
        DSelectKGate(2)(features(2, 3))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
