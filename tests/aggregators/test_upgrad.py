"""Tests of UPGrad. Its solver has tests of its own."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import testing
from keras_mtl.aggregators import DualProj
from keras_mtl.aggregators import PCGrad
from keras_mtl.aggregators.upgrad import UPGrad

# Checks compile an aggregator once, so they share it.
SHARED = UPGrad()
ZOO = testing.jacobians()
GRAM = np.array([[18.0, -22.0], [-22.0, 38.0]], "float32")


class TestTwoTasks:
    def test_golden(self):
        # TorchJD gives 1.1109, .7894: it adds 1e-4 of the trace.
        weights = ops.convert_to_numpy(UPGrad().weights(GRAM))
        np.testing.assert_allclose(weights, [10 / 9, 15 / 19], rtol=1e-6)
        jacobian = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]], "float32")
        update = ops.convert_to_numpy(UPGrad()(jacobian))
        expected = [0.2923977, 1.9005848, 1.9005848]
        np.testing.assert_allclose(update, expected, rtol=1e-5)

    def test_preference_of_ones_is_pcgrad(self):
        rows = np.random.default_rng(0).standard_normal((200, 2, 3))
        grams = (rows @ rows.transpose(0, 2, 1)).astype("float32")
        weights = ops.convert_to_numpy(UPGrad([1, 1]).weights(grams))
        expected = ops.convert_to_numpy(PCGrad().weights(grams))
        np.testing.assert_allclose(weights, expected, rtol=1e-4)

    def test_opposed(self):
        rows = np.array([[3.0, 1.0], [-3.0, -1.0]], "float32")
        update = ops.convert_to_numpy(UPGrad()(rows))
        np.testing.assert_allclose(update, [0, 0], atol=1e-6)


class TestDependentGradients:
    # Zero lies in the hull of these three gradients with two coordinates.
    ROWS = np.array(
        [
            [-0.0928071365, 0.703980982],
            [0.807306945, 0.45234549],
            [-0.556481063, -0.318047076],
        ],
        "float32",
    )

    @pytest.mark.slow
    @pytest.mark.parametrize("method", [UPGrad(), DualProj()])
    @pytest.mark.parametrize("jit_compile", [None, False, True])
    def test_nothing_serves_all(self, method, jit_compile):
        combine = method
        if jit_compile is not None:
            combine = testing.compiled(method, jit_compile=jit_compile)
        update = combine(ops.convert_to_tensor(self.ROWS))
        np.testing.assert_allclose(
            ops.convert_to_numpy(update), [0, 0], atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("method", [UPGrad, DualProj])
def test_three_tasks_over_two_units_keep_their_model(method):
    # At one step in a thousand weights of any size used to come.
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    shared = keras.layers.Dense(2, name="shared")(inputs)
    model = MultiTaskModel(
        inputs, {n: keras.layers.Dense(1, name=n)(shared) for n in "abc"}
    )
    model.compile(
        keras.optimizers.SGD(0.01),
        loss=dict.fromkeys("abc", "mse"),
        aggregator=method(granularity="variable"),
        steps_per_execution=250,
    )
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2000, 3)).astype("float32")
    y = {n: rng.standard_normal((2000, 1)).astype("float32") for n in "abc"}
    model.fit(x, y, batch_size=2, epochs=3, verbose=0)
    assert max(np.abs(w).max() for w in model.get_weights()) < 2


class TestLinearity:
    @pytest.mark.slow
    def test_scaling_a_gradient_scales_its_projection(self):
        # Each gradient counts in proportion to its length.
        rows = np.random.default_rng(1).standard_normal((4, 5))
        scales = 10 ** np.array([-2.0, 1.0, 0.0, 2.0])

        def update(factors):
            scaled = (factors[:, None] * rows).astype("float32")
            return ops.convert_to_numpy(SHARED(scaled))

        parts = [
            (a - 1) * (update(1 + np.eye(4)[i]) - update(np.ones(4)))
            for i, a in enumerate(scales)
        ]
        expected = update(np.ones(4)) + np.sum(parts, axis=0)
        np.testing.assert_allclose(update(scales), expected, atol=2e-4)


class TestProperties:
    def test_zero_gradient_changes_nothing_for_the_others(self):
        rows = ZOO["normal_3"].copy()
        rows[1] = 0
        update = ops.convert_to_numpy(UPGrad([1, 5, 2])(rows))
        pair = ops.convert_to_numpy(UPGrad([1, 2])(rows[[0, 2]]))
        np.testing.assert_allclose(update, pair, rtol=1e-4, atol=1e-5)

    def test_all_zero(self):
        weights = ops.convert_to_numpy(SHARED.weights(np.zeros((2, 4, 4))))
        np.testing.assert_array_equal(weights, np.full((2, 4), 0.25))

    def test_gradients_that_are_not_finite_stay_so(self):
        rows = np.array([[1.0, 2.0], [np.nan, 1.0]], "float32")
        update = ops.convert_to_numpy(SHARED(rows))
        assert not np.isfinite(update).all()


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
