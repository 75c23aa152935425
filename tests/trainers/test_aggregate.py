"""What becomes of task gradients between the tape and the optimizer."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from tests.tiers import slow_except
from tests.two_tasks import AGGREGATORS
from tests.two_tasks import HEADS
from tests.two_tasks import LOSS
from tests.two_tasks import QUICK
from tests.two_tasks import SHARED
from tests.two_tasks import assert_close
from tests.two_tasks import each_aggregator
from tests.two_tasks import flat
from tests.two_tasks import gradients
from tests.two_tasks import make_data
from tests.two_tasks import make_model
from tests.two_tasks import summed_gradients
from tests.two_tasks import task_gradients

pytestmark = pytest.mark.backend


class TestWhatIsAggregated:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "granularity, groups",
        {
            "model": [SHARED],
            "layer": [SHARED[:2], SHARED[2:]],
            "variable": [[path] for path in SHARED],
        }.items(),
    )
    def test_pcgrad_over_each_granularity(self, granularity, groups):
        a, b = task_gradients()
        expected, conflicts = dict(a), 0
        for group in groups:
            u, v = flat(a, group), flat(b, group)
            dot = min(u @ v, 0)
            conflicts += dot < 0
            wu, wv = 1 - dot / (u @ u), 1 - dot / (v @ v)
            for path in group:
                expected[path] = wu * a[path] + wv * b[path]
        expected |= {path: a[path] + b[path] for path in HEADS}
        found = gradients(aggregator=aggregators.PCGrad(granularity))
        assert_close(found, expected)
        assert conflicts > 0
        plain = gradients()
        assert max(np.abs(plain[p] - found[p]).max() for p in SHARED) > 1e-3

    @each_aggregator
    def test_heads_keep_their_own_gradient(self, aggregator):
        plain = summed_gradients()
        found = gradients(aggregator=AGGREGATORS[aggregator]())
        for path in HEADS:
            np.testing.assert_allclose(
                found[path], plain[path], atol=1e-6, err_msg=path
            )

    def test_a_main_task_is_found_by_name_in_the_order_of_loss(self):
        a, b = task_gradients()
        u, v = flat(a, SHARED), flat(b, SHARED)
        rule = aggregators.Projection("b", smoothing=1.0, granularity="model")
        found = gradients(
            loss={"b": LOSS["b"], "a": LOSS["a"]}, aggregator=rule
        )
        expected = u - min(u @ v, 0) / (v @ v) * v + v
        np.testing.assert_allclose(flat(found, SHARED), expected, atol=1e-6)

    def test_regularisers_are_added_and_never_projected(self):
        rule = aggregators.PCGrad()
        without = gradients(aggregator=rule)
        model = make_model(keras.regularizers.L2(0.3))
        kernel = np.array(model.get_layer("second").kernel)
        found = gradients(model=model, aggregator=aggregators.PCGrad())
        without["second/kernel"] += 2 * 0.3 * kernel
        assert_close(found, without)

    def test_loss_weights_scale_the_task_gradients(self):
        a, b = task_gradients()
        weights = {"a": 0.5, "b": 4.0}
        found = gradients(aggregator=aggregators.Mean(), loss_weights=weights)
        for path in SHARED:
            expected = (0.5 * a[path] + 4.0 * b[path]) / 2
            np.testing.assert_allclose(found[path], expected, atol=1e-6)

    def test_a_stock_model_takes_negative_loss_weights(self):
        a, b = task_gradients()
        found = gradients(loss_weights={"a": 1.0, "b": -0.5})
        assert_close(found, {path: a[path] - 0.5 * b[path] for path in a})
        variable = keras.Variable(-0.5)
        found = gradients(loss_weights={"a": 1.0, "b": variable})
        assert_close(found, {path: a[path] - 0.5 * b[path] for path in a})

    @pytest.mark.parametrize("granularity", ["model", "variable"])
    def test_a_method_that_needs_the_rows(self, granularity):
        class Agreement(aggregators.Aggregator):
            """Keeps the coordinates in which all tasks have one sign."""

            sees = "gradients"

            def combine(self, jacobian, step):
                signs = ops.abs(ops.sum(ops.sign(jacobian), axis=0))
                agreed = ops.cast(signs == jacobian.shape[0], jacobian.dtype)
                return agreed * ops.sum(jacobian, axis=0)

        a, b = task_gradients()
        found = gradients(aggregator=Agreement(granularity))
        for path in SHARED:
            agreed = a[path] * b[path] > 0
            expected = agreed * (a[path] + b[path])
            np.testing.assert_allclose(found[path], expected, atol=1e-6)
        for path in HEADS:
            np.testing.assert_allclose(
                found[path], a[path] + b[path], atol=1e-6
            )

    def test_gram_and_weights_of_the_step_can_be_read(self):
        a, b = task_gradients()
        rows = np.stack([flat(a, SHARED), flat(b, SHARED)])
        model = make_model()
        gradients(model=model, aggregator=aggregators.MGDA())
        metric = model.gradient_conflict
        np.testing.assert_allclose(metric.gram, rows @ rows.T, atol=1e-6)
        assert abs(float(ops.sum(metric.task_weights)) - 1) < 1e-6
        assert model.task_names == ["a", "b"]


class TestLossScaling:
    @pytest.mark.parametrize(
        "aggregator",
        slow_except(
            ["pcgrad", "projection_of_a", "orthogonal", "mgda_loss+"], "pcgrad"
        ),
    )
    def test_an_overflow_leaves_no_trace(self, aggregator):
        x, y = make_data()
        arguments = {"loss": LOSS, "loss_weights": {"a": 100.0, "b": 100.0}}

        def compiled(optimizer: Any) -> MultiTaskModel:
            model, rule = make_model(), AGGREGATORS[aggregator]()
            model.compile(optimizer, aggregator=rule, **arguments, **QUICK)
            return model

        scaler = keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.001), initial_scale=2.0**127
        )
        scaled = compiled(scaler)
        start = scaled.get_weights()
        scaled.train_on_batch(x, y)
        for before, after in zip(start, scaled.get_weights()):
            np.testing.assert_array_equal(before, after)
        assert int(scaler.inner_optimizer.iterations) == 0
        for slot in getattr(scaled.aggregator, "reference", []):
            np.testing.assert_array_equal(slot, np.zeros(slot.shape))
        # From here on the scale is one that training would have.
        scaler.dynamic_scale.assign(2.0**15)
        for _ in range(3):
            scaled.train_on_batch(x, y)
        assert int(scaler.inner_optimizer.iterations) == 3
        plain = compiled(keras.optimizers.SGD(0.001))
        for _ in range(3):
            plain.train_on_batch(x, y)
        for one, other in zip(scaled.get_weights(), plain.get_weights()):
            np.testing.assert_allclose(one, other, atol=2e-6)
        references = [
            getattr(m.aggregator, "reference", []) for m in (scaled, plain)
        ]
        for one, other in zip(*references):
            np.testing.assert_allclose(one, other, atol=1e-6)

    @pytest.mark.slow
    def test_nan_gradients_are_not_hidden(self):
        x, y = make_data()
        x[0, 0] = np.nan
        for aggregator in ("pcgrad", "mgda", "projection_of_a"):
            with pytest.warns(UserWarning, match="became NaN or infinite"):
                found = gradients((x, y), aggregator=AGGREGATORS[aggregator]())
            assert all(np.isnan(found[p]).any() for p in SHARED), aggregator


class TestSizeOfGradients:
    """Float32 has gradients of 1e-20 and 1e20, and not their squares."""

    def step(self, method, size):
        """Weights after a step of one size, whatever the losses' is."""
        x, y = make_data()
        model = make_model()
        model.compile(
            keras.optimizers.SGD(1 / size),
            loss=LOSS,
            loss_weights={"a": size, "b": size},
            aggregator=AGGREGATORS[method](),
            **QUICK,
        )
        logs = model.train_on_batch(x, y, return_dict=True)
        return model.get_weights(), logs["gradient_conflict"]

    @pytest.mark.parametrize("size", [1e-20, 1e19])
    @pytest.mark.parametrize("method", ["pcgrad", "mgda", "projection_of_b"])
    def test_changes_nothing(self, method, size):
        expected, conflict = self.step(method, 1.0)
        weights, found = self.step(method, size)
        assert found == conflict
        for left, right in zip(weights, expected):
            np.testing.assert_allclose(left, right, atol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
