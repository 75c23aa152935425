"""What MMoE, CGC and PLE have in common, shown with the simplest of them."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_mtl.layers import CGC
from keras_mtl.layers import DSelectKGate
from keras_mtl.layers import MMoE
from keras_mtl.layers.parts.expert_mixture import FEW
from keras_mtl.layers.parts.expert_mixture import make_experts
from tests.arrays import features
from tests.arrays import numpy

TASKS = ["left", "right"]


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits.astype("float64"))
    return powers / powers.sum(-1, keepdims=True)


def gate_kernels(layer) -> list[np.ndarray]:
    return [numpy(gate.kernel).astype("float64") for gate in layer.gates]


# Few experts are added up one by one, and many in one product.
few_and_many = pytest.mark.parametrize("count", [FEW, FEW + 1])


class TestRanks:
    @few_and_many
    def test_gate_of_a_sequence_reads_the_mean(self, count):
        layer = MMoE(layers.Dense(4), TASKS, count)
        x = features(5, 6, 7)
        y = layer(x)
        outputs = [numpy(expert(x)) for expert in layer.experts]
        for kernel, mixture in zip(
            gate_kernels(layer), y.values(), strict=True
        ):
            gate = softmax(x.mean(1) @ kernel)
            expected = sum(
                gate[:, e, None, None] * outputs[e] for e in range(count)
            )
            np.testing.assert_allclose(numpy(mixture), expected, atol=1e-5)

    @few_and_many
    def test_gate_of_each_position(self, count):
        layer = MMoE(layers.Dense(4), TASKS, count, gate_per="position")
        x = features(5, 6, 7)
        y = layer(x)
        outputs = np.stack([numpy(expert(x)) for expert in layer.experts])
        for kernel, mixture in zip(
            gate_kernels(layer), y.values(), strict=True
        ):
            gate = softmax(x @ kernel)
            expected = np.einsum("bse,ebsf->bsf", gate, outputs)
            np.testing.assert_allclose(numpy(mixture), expected, atol=1e-5)

    @few_and_many
    @pytest.mark.parametrize("gate_per", ["example", "position"])
    def test_images(self, gate_per, count):
        layer = MMoE(
            layers.Conv2D(4, 3, padding="same"),
            TASKS,
            count,
            gate_per=gate_per,
        )
        x = features(2, 5, 6, 3)
        y = layer(x)
        outputs = np.stack([numpy(expert(x)) for expert in layer.experts])
        read = x if gate_per == "position" else x.mean((1, 2), keepdims=True)
        for kernel, mixture in zip(
            gate_kernels(layer), y.values(), strict=True
        ):
            gate = np.broadcast_to(
                softmax(read @ kernel), (*x.shape[:-1], count)
            )
            expected = np.einsum("bhwe,ebhwf->bhwf", gate, outputs)
            np.testing.assert_allclose(numpy(mixture), expected, atol=1e-5)

    def test_experts_may_drop_axes(self):
        layer = MMoE(layers.LSTM(4), TASKS, 2)
        assert layer(features(3, 6, 7))["left"].shape == (3, 4)
        shape = layer.compute_output_shape((None, None, 7))
        assert shape == {"left": (None, 4), "right": (None, 4)}

    @few_and_many
    def test_sizes_that_are_not_known(self, count):
        inputs = keras.Input((None, None, 3))
        conv = layers.Conv2D(4, 3, strides=2)
        outputs = MMoE(conv, TASKS, count)(inputs)
        assert outputs["left"].shape == (None, None, None, 4)
        model = keras.Model(inputs, outputs)
        for size in (7, 9):
            x = features(2, size, size, 3)
            side = (size - 1) // 2
            assert model(x)["left"].shape == (2, side, side, 4)
            assert model.predict(x, verbose=0)["right"].shape[1] == side


class TestMasks:
    @pytest.mark.parametrize("gate_per", ["example", "position"])
    def test_hidden_steps_change_nothing(self, gate_per):
        layer = MMoE(layers.Dense(4), TASKS, 3, gate_per=gate_per)
        mask = np.arange(6) < np.array([[2], [6], [4]])
        x = features(3, 6, 5)
        other = np.where(mask[..., None], x, 100 * features(3, 6, 5, seed=1))
        results = []
        for value in (x, other):
            y = layer(value, mask=ops.array(mask), training=True)
            steps = np.where(mask[..., None], numpy(y["left"]), 0)
            use = layer.sharing_matrices()[0].values
            results.append((steps, use))
        for first, second in zip(*results, strict=True):
            np.testing.assert_allclose(first, second, atol=1e-5)

    # Keras warns of any Sequential that is given a mask and drops it.
    @pytest.mark.filterwarnings("ignore:Layer 'sequential")
    def test_goes_on_where_experts_keep_the_steps(self):
        tokens = ops.convert_to_tensor([[1, 2, 0, 0], [3, 1, 2, 0]])
        embedded = layers.Embedding(5, 4, mask_zero=True)(tokens)
        mask = embedded._keras_mask
        keeping = [
            layers.Dense(3),
            keras.Sequential([layers.Dense(5), layers.Dense(3)]),
            layers.LSTM(3, return_sequences=True),
        ]
        y = MMoE(keeping, TASKS)(embedded)
        for mixture in y.values():
            np.testing.assert_array_equal(
                numpy(mixture._keras_mask), numpy(mask)
            )
        dropping = [layers.LSTM(3), keras.Sequential([layers.GRU(3)])]
        for mixture in MMoE(dropping, TASKS)(embedded).values():
            assert getattr(mixture, "_keras_mask", None) is None

    def test_shorter_sequences_have_no_mask(self):
        layer = MMoE(layers.Conv1D(3, 2), TASKS, 2)
        layer.build((None, None, 4))
        mask = ops.ones((2, 5), "bool")
        assert layer.compute_mask(None, mask) == dict.fromkeys(TASKS)

    def test_reaches_experts(self):
        x = features(2, 6, 4)
        mask = np.arange(6) < np.array([[3], [5]])
        layer = MMoE(layers.LSTM(3), TASKS, 2)
        masked = layer(x, mask=ops.array(mask))
        for row, length in enumerate([3, 5]):
            short = layer(x[row : row + 1, :length])
            for task in TASKS:
                np.testing.assert_allclose(
                    numpy(masked[task])[row], numpy(short[task])[0], atol=1e-5
                )


class WithoutBuild(layers.Layer):
    """As many write their layers: weights come with the first call."""

    def __init__(self, units: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = layers.Dense(units)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class TestLayersWithoutBuild:
    def test_as_experts_and_gates(self, tmp_path):
        inputs = keras.Input((5,))
        mixture = MMoE(
            WithoutBuild(4), TASKS, 3, gate=lambda n: WithoutBuild(n)
        )
        model = keras.Model(inputs, mixture(inputs))
        assert len(model.trainable_variables) == 2 * (3 + 2)
        x = features(6, 5)
        outputs = np.stack([numpy(e(x)) for e in mixture.experts])
        y = model(x)
        for gate, task in zip(mixture.gates, TASKS, strict=True):
            expected = np.einsum("be,ebf->bf", softmax(numpy(gate(x))), outputs)
            np.testing.assert_allclose(numpy(y[task]), expected, atol=1e-5)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(
            tmp_path / "model.keras", {"WithoutBuild": WithoutBuild}
        )
        for task, mixed in loaded(x).items():
            np.testing.assert_array_equal(numpy(mixed), numpy(y[task]))


class TestInputsByTask:
    def test_experts_read_what_is_shared_and_gates_their_own(self):
        layer = MMoE(layers.Dense(4), TASKS, 3)
        x = {
            "shared": features(5, 7),
            "left": features(5, 2),
            "right": features(5, 3),
        }
        y = layer(x)
        outputs = np.stack([numpy(e(x["shared"])) for e in layer.experts])
        for task, kernel in zip(TASKS, gate_kernels(layer), strict=True):
            gate = softmax(x[task] @ kernel)
            expected = np.einsum("be,ebf->bf", gate, outputs)
            np.testing.assert_allclose(numpy(y[task]), expected, atol=1e-5)

    def test_equal_inputs_are_one_input(self):
        layer = CGC(layers.Dense(4), TASKS, 2, 1)
        x = features(5, 7)
        by_task = layer({"left": x, "right": x, "shared": x})
        for task, mixture in layer(x).items():
            np.testing.assert_array_equal(numpy(by_task[task]), numpy(mixture))

    def test_means_and_masks_are_of_each_input(self):
        layer = MMoE(layers.LSTM(4), TASKS, 2)
        x = {
            name: features(2, steps, 3)
            for name, steps in [("shared", 4), ("left", 5), ("right", 6)]
        }
        mask = {
            "shared": None,
            "left": ops.array(np.arange(5) < np.array([[2], [5]])),
            "right": None,
        }
        y = layer(x, mask=mask, training=True)
        outputs = np.stack([numpy(e(x["shared"])) for e in layer.experts])
        means = {
            "left": np.stack([x["left"][0, :2].mean(0), x["left"][1].mean(0)]),
            "right": x["right"].mean(1),
        }
        for task, kernel in zip(TASKS, gate_kernels(layer), strict=True):
            gate = softmax(means[task] @ kernel)
            expected = np.einsum("be,ebf->bf", gate, outputs)
            np.testing.assert_allclose(numpy(y[task]), expected, atol=1e-5)

    def test_masks_of_outputs_are_those_that_experts_read(self):
        layer = MMoE(layers.Dense(4), TASKS, 2)
        steps = {"shared": 4, "left": 5, "right": 6}
        layer.build({name: (None, None, 3) for name in steps})
        masks = {
            n: ops.ones((2, length), "bool") for n, length in steps.items()
        }
        found = layer.compute_mask(None, masks)
        assert [found[task] is masks["shared"] for task in TASKS] == [True] * 2
        found = layer.compute_mask(None, {**masks, "shared": None})
        assert found == dict.fromkeys(TASKS)

    def test_a_gate_may_read_a_vector_beside_masked_steps(self):
        layer = MMoE(layers.Dense(4), TASKS, 2)
        layer.build(
            {"shared": (None, None, 3), "left": (2, 5), "right": (2, 6)}
        )
        mask = ops.ones((2, 4), "bool")
        masks = {"shared": mask, "left": None, "right": None}
        assert layer.compute_mask(None, masks)["left"] is mask

    def test_steps_of_own_or_shared_experts_count(self):
        layer = CGC(layers.Dense(4), TASKS, 1, 1)
        layer.build((None, None, 3))
        masks = {
            "left": ops.array([[True, False, False]]),
            "right": None,
            "shared": ops.array([[True, True, False]]),
        }
        found = layer.compute_mask(None, masks)
        assert numpy(found["left"]).tolist() == [[True, True, False]]
        assert found["right"] is None

    def test_are_no_list(self):
        layer = MMoE(layers.Dense(4), TASKS, 2)
        with pytest.raises(ValueError, match="not a list.*Received"):
            layer([features(2, 3), features(2, 3)])

    def test_names_are_checked(self):
        layer = MMoE(layers.Dense(4), TASKS, 2)
        with pytest.raises(ValueError, match="takes the tasks.*Received"):
            layer({"left": features(2, 3), "right": features(2, 3)})


class TestGateUse:
    def test_is_the_mean_gate_of_training_steps(self):
        layer = MMoE(layers.Dense(4), TASKS, 3)
        steps = [features(16, 5, seed=s) for s in range(4)]
        layer(steps[0])
        (matrix,) = layer.sharing_matrices()
        assert matrix.values.max() == 0
        kernels = gate_kernels(layer)
        means = []
        for x in steps:
            layer(x, training=True)
            layer(100 * x)
            means.append([softmax(x @ kernel).mean(0) for kernel in kernels])
        # The latest step counts most.
        shares = 0.99 ** np.arange(4)[::-1]
        expected = np.tensordot(shares / shares.sum(), means, 1)
        (matrix,) = layer.sharing_matrices()
        np.testing.assert_allclose(matrix.values, expected, atol=1e-6)
        assert matrix.title == "gate use"
        assert matrix.rows == TASKS
        assert matrix.columns == ["expert_0", "expert_1", "expert_2"]
        assert (matrix.low, matrix.high) == (0, 1)

    def test_of_positions(self):
        layer = MMoE(layers.Dense(4), TASKS, 3, gate_per="position")
        x = features(4, 6, 5)
        layer(x, training=True)
        expected = [softmax(x @ k).mean((0, 1)) for k in gate_kernels(layer)]
        np.testing.assert_allclose(
            layer.sharing_matrices()[0].values, expected, atol=1e-6
        )

    def test_stays_out_of_half_precision_and_of_training(self):
        layer = MMoE(layers.Dense(4), TASKS, 3, dtype="mixed_float16")
        for _ in range(3):
            layer(features(4, 5), training=True)
        assert layer.gate_use.dtype == "float32"
        half = MMoE(layers.Dense(4), TASKS, 3, dtype="float16")
        half.build((None, 5))
        assert half.gate_use.dtype == "float32"
        assert not layer.gate_use.trainable
        np.testing.assert_allclose(
            layer.sharing_matrices()[0].values.sum(-1), 1.0, atol=1e-6
        )

    def test_needs_a_built_layer(self):
        with pytest.raises(ValueError, match="before it is built"):
            MMoE(layers.Dense(4), TASKS, 3).sharing_matrices()


class TestGates:
    def test_layers_and_models_give_logits(self):
        hidden = keras.Sequential(
            [layers.Dense(6, activation="tanh"), layers.Dense(3)]
        )
        for gate in (hidden, lambda n: layers.Dense(n)):
            layer = MMoE(layers.Dense(4), TASKS, 3, gate=gate)
            x = features(5, 7)
            y = layer(x)
            outputs = np.stack([numpy(e(x)) for e in layer.experts])
            for own, task in zip(layer.gates, TASKS, strict=True):
                expected = np.einsum(
                    "be,ebf->bf", softmax(numpy(own(x))), outputs
                )
                np.testing.assert_allclose(numpy(y[task]), expected, atol=1e-5)
            first, second = (gate.get_weights()[0] for gate in layer.gates)
            assert np.abs(first - second).max() > 1e-3

    def test_that_select(self):
        gate = DSelectKGate(2, entropy_regularization=0.1)
        for gate_per, shape in [("example", (5,)), ("position", (5, 6))]:
            layer = MMoE(
                layers.Dense(4), TASKS, 3, gate=gate, gate_per=gate_per
            )
            x = features(*shape, 7)
            y = layer(x, training=True)
            # For both tasks: entropy, and that three is no power of two.
            assert len(layer.losses) == 4
            outputs = np.stack([numpy(e(x)) for e in layer.experts])
            for own, task in zip(layer.gates, TASKS, strict=True):
                expected = np.einsum("...e,e...f->...f", numpy(own(x)), outputs)
                np.testing.assert_allclose(numpy(y[task]), expected, atol=1e-5)

    def test_read_the_mask_of_positions(self):
        """Backwards, padding comes first."""

        def make_gate(count: int) -> layers.Layer:
            both = layers.LSTM(count, return_sequences=True)
            return layers.Bidirectional(both, merge_mode="sum")

        layer = MMoE(
            layers.Dense(4), TASKS, 3, gate=make_gate, gate_per="position"
        )
        x = features(2, 6, 4)
        mask = np.arange(6) < np.array([[3], [3]])
        other = np.where(mask[..., None], x, features(2, 6, 4, seed=1))
        first, second = (
            numpy(layer(value, mask=ops.array(mask))["left"])[:, :3]
            for value in (x, other)
        )
        np.testing.assert_allclose(first, second, atol=1e-5)

    def test_losses_leave_out_masked_positions(self):
        gate = DSelectKGate(2, entropy_regularization=0.1)
        layer = MMoE(layers.Dense(4), TASKS, 3, gate=gate, gate_per="position")
        mask = np.arange(6) < np.array([[2], [4]])
        x = features(2, 6, 5)
        other = np.where(mask[..., None], x, 100 * features(2, 6, 5, seed=1))
        losses = []
        for value in (x, other):
            layer(value, mask=ops.array(mask), training=True)
            losses.append([float(loss) for loss in layer.losses[-4:]])
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)

    def test_must_give_a_value_for_each_expert(self):
        layer = MMoE(layers.Dense(4), TASKS, 3, gate=layers.Dense(2))
        with pytest.raises(
            ValueError, match="gate of 'left'.*one value for each expert"
        ):
            layer.build((None, 5))


class TestPrecision:
    def test_follows_its_policy(self):
        experts = [layers.Dense(4), layers.Dense(4, dtype="mixed_float16")]
        layer = MMoE(experts, TASKS, dtype="mixed_float16")
        y = layer(features(3, 5), training=True)
        for mixture in y.values():
            assert keras.backend.standardize_dtype(mixture.dtype) == "float16"
        assert {v.dtype for v in layer.weights} == {"float32"}
        symbolic = layer(keras.Input((5,)))
        assert symbolic["left"].dtype == "float16"

    def test_is_near_full_precision(self):
        full = MMoE(layers.Dense(4), TASKS, 3)
        keras.config.set_dtype_policy("mixed_float16")
        half = MMoE(layers.Dense(4), TASKS, 3)
        x = features(3, 5)
        expected = full(x)
        half(x)
        half.set_weights(full.get_weights())
        for task, mixture in half(x).items():
            np.testing.assert_allclose(
                numpy(mixture), numpy(expected[task]), atol=0.02
            )


class TestBadInput:
    @pytest.mark.parametrize(
        "tasks", ["left", [], ["left", "left"], [1, 2], None]
    )
    def test_tasks(self, tasks):
        with pytest.raises(ValueError, match="`tasks` should be a list"):
            MMoE(layers.Dense(4), tasks, 2)

    def test_no_task_is_called_shared(self):
        with pytest.raises(ValueError, match="'shared' is what belongs"):
            MMoE(layers.Dense(4), ["left", "shared"], 2)

    def test_gate_per(self):
        with pytest.raises(ValueError, match="`gate_per`.*'step'"):
            MMoE(layers.Dense(4), TASKS, 2, gate_per="step")

    def test_experts_of_different_shapes(self):
        layer = MMoE([layers.Dense(4), layers.Dense(5)], TASKS)
        with pytest.raises(
            ValueError, match="'expert_0' gives .*4.*'expert_1' gives .*5"
        ):
            layer.build((None, 3))

    def test_vectors_without_features(self):
        with pytest.raises(ValueError, match="batch, ..., features"):
            MMoE(layers.Dense(4), TASKS, 2).build((None,))

    @pytest.mark.parametrize(
        "expert", [layers.LSTM(4), layers.Conv1D(4, 3)], ids=["LSTM", "Conv1D"]
    )
    def test_experts_that_do_not_keep_positions(self, expert):
        layer = MMoE(expert, TASKS, 2, gate_per="position")
        with pytest.raises(ValueError, match="experts should keep all its"):
            layer.build((None, None, 3))


class TestMakeExperts:
    def test_seeds_differ_from_those_of_earlier_copies(self):
        expert = layers.Dense(
            4, kernel_initializer=keras.initializers.GlorotNormal(seed=1)
        )
        made = make_experts(expert, 2, "e", "num_experts", start=3)
        assert [e.kernel_initializer.seed for e in made] == [4, 5]
        assert [e.name for e in made] == ["e_0", "e_1"]

    def test_counts(self):
        given = [layers.Dense(4), layers.Dense(4)]
        assert make_experts(given, None, "e", "num_experts") == given
        assert make_experts(layers.Dense(4), 0, "e", "num_experts") == []
        with pytest.raises(ValueError, match="`num_experts` should say how"):
            make_experts(layers.Dense(4), None, "e", "num_experts")
        with pytest.raises(ValueError, match="`num_experts`.*from 1 up"):
            make_experts(layers.Dense(4), 0, "e", "num_experts", low=1)
        with pytest.raises(ValueError, match="hold 3 layers"):
            make_experts(given, 3, "e", "num_experts")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
