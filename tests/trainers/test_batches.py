"""Class weights by task, as `fit` takes them."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from tests.two_tasks import CROSS_ENTROPY
from tests.two_tasks import LOSS
from tests.two_tasks import QUICK
from tests.two_tasks import ROWS
from tests.two_tasks import make_data
from tests.two_tasks import make_model

pytestmark = pytest.mark.backend


class TestClassWeight:
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    @pytest.mark.parametrize("with_weights", [False, True])
    def test_is_a_sample_weight_of_the_task(self, aggregator, with_weights):
        x, y = make_data()
        y["b"] = np.eye(3, dtype="float32")[y["a"][::-1]]
        by_class = {"a": {0: 2.0, 2: 0.25}, "b": {1: 3.0}}
        given = np.linspace(0.5, 1.5, ROWS, dtype="float32")
        weights = {
            "a": np.array([2.0, 1.0, 0.25])[y["a"]],
            "b": np.array([1.0, 3.0, 1.0])[y["a"][::-1]],
        }
        if with_weights:
            weights = {k: v * given for k, v in weights.items()}
        logs, trained = [], []
        for way in ("class", "sample"):
            keras.utils.set_random_seed(0)
            inputs = keras.Input((4,))
            shared = layers.Dense(5, name="shared")(inputs)
            outputs = {
                name: layers.Dense(3, name=name)(shared) for name in "ab"
            }
            model = MultiTaskModel(inputs, outputs)
            loss = {"a": CROSS_ENTROPY, "b": "mse"}
            model.compile(
                "sgd",
                loss=loss,
                weighted_metrics={"a": ["accuracy"]},
                aggregator=aggregator,
                **QUICK,
            )
            arguments: dict[str, Any] = {"sample_weight": weights}
            if way == "class":
                plain = {"a": given, "b": given} if with_weights else None
                arguments = {"class_weight": by_class, "sample_weight": plain}
            history = model.fit(
                x, y, batch_size=8, shuffle=False, verbose=0, **arguments
            )
            logs.append(history.history)
            trained.append(model.get_weights())
        for one, other in zip(*trained):
            np.testing.assert_allclose(one, other, atol=1e-6)
        for name, value in logs[0].items():
            np.testing.assert_allclose(value, logs[1][name], rtol=1e-5)

    @pytest.mark.slow
    def test_counts_in_one_call_of_fit_only(self):
        x, y = make_data()
        found = []
        for class_weight in ({"a": {0: 0.0, 1: 0.0, 2: 0.0}}, None):
            model = make_model()
            model.compile(
                keras.optimizers.SGD(0.0), LOSS, aggregator="sum", **QUICK
            )
            fit = {"batch_size": ROWS, "verbose": 0}
            model.fit(x, y, class_weight=class_weight, **fit)
            second = model.fit(x, y, validation_data=(x, y), **fit)
            found.append(second.history["a_loss"])
        assert found[0] == found[1] and found[0][0] > 0


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
