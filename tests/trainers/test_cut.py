"""Gradients that stop at a representation."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import aggregators
from tests.two_tasks import ROWS
from tests.two_tasks import assert_close
from tests.two_tasks import gradients
from tests.two_tasks import make_data
from tests.two_tasks import make_model

pytestmark = pytest.mark.backend


class TestRepresentation:
    def linear_model(self) -> MultiTaskModel:
        keras.utils.set_random_seed(4)
        inputs = keras.Input((4,))
        shared = layers.Dense(3, use_bias=False, name="shared")(inputs)
        outputs = {
            name: layers.Dense(1, use_bias=False, name=name)(shared)
            for name in "ab"
        }
        return MultiTaskModel(inputs, outputs)

    def test_mgda_ub_in_closed_form(self):
        x, y = make_data()
        y = {"a": y["b"] + 2, "b": y["b"] - 1}
        model = self.linear_model()
        trunk, head_a, head_b = [np.array(v) for v in model.weights]
        z = x @ trunk
        grads = [
            2 / ROWS * (z @ head - y[name]) @ head.T
            for name, head in (("a", head_a), ("b", head_b))
        ]
        u, v = (g.ravel() for g in grads)
        share = np.clip((v - u) @ v / ((u - v) @ (u - v)), 0, 1)
        assert 0 < share < 1
        found = gradients(
            (x, y),
            model,
            loss="mse",
            aggregator="mgda",
            representation="shared",
        )
        expected = x.T @ (share * grads[0] + (1 - share) * grads[1])
        np.testing.assert_allclose(found["shared/kernel"], expected, atol=1e-6)
        for name, head in (("a", head_a), ("b", head_b)):
            expected = 2 / ROWS * z.T @ (z @ head - y[name])
            np.testing.assert_allclose(
                found[f"{name}/kernel"], expected, atol=1e-6
            )
        weights = np.array(model.gradient_conflict.task_weights)
        np.testing.assert_allclose(weights, [share, 1 - share], atol=1e-6)

    def test_one_example_of_ones_is_as_the_parameters_see_it(self):
        # With x = 1 the gradient of the kernel is that of the representation.
        x, y = np.ones((1, 1), "float32"), np.ones((1, 1), "float32")
        found = []
        for representation in (None, "shared"):
            keras.utils.set_random_seed(5)
            inputs = keras.Input((1,))
            shared = layers.Dense(6, use_bias=False, name="shared")(inputs)
            outputs = {
                name: layers.Dense(1, name=name)(shared) for name in "abc"
            }
            model = MultiTaskModel(inputs, outputs)
            labels = {"a": y, "b": -3 * y, "c": 5 * y}
            arguments = {"aggregator": aggregators.PCGrad(seed=9)}
            arguments["representation"] = representation
            found.append(gradients((x, labels), model, loss="mse", **arguments))
        assert_close(*found, atol=1e-5)

    @pytest.mark.slow
    def test_a_tensor_or_a_name(self):
        model = make_model()
        tensor = model.get_layer("second").output
        by_tensor = gradients(
            model=model, aggregator="mgda", representation=tensor
        )
        by_name = gradients(aggregator="mgda", representation="second")
        assert_close(by_tensor, by_name)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
