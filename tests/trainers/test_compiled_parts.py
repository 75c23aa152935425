"""Losses that have one name."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_mtl import MultiTaskModel
from tests.two_tasks import QUICK

pytestmark = pytest.mark.backend


class TestEqualLosses:
    """Outputs without names are called after their losses."""

    @staticmethod
    def make_pair(cls):
        class Pair(cls):
            def __init__(self):
                super().__init__()
                self.shared = layers.Dense(2)
                self.heads = [layers.Dense(1), layers.Dense(1)]

            def call(self, inputs):
                shared = self.shared(inputs)
                return [head(shared) for head in self.heads]

        keras.utils.set_random_seed(0)
        return Pair()

    @pytest.mark.parametrize("aggregator", [None, "sum"])
    def test_of_a_subclassed_model_train_as_in_keras(self, aggregator):
        x = np.ones((4, 3), "float32")
        y = [np.zeros((4, 1)), np.ones((4, 1))]
        found = []
        own = {"aggregator": aggregator}
        for cls, own in ((keras.Model, {}), (MultiTaskModel, own)):
            model = self.make_pair(cls)
            model.compile("sgd", ["mse", "mse"], **own, **QUICK)
            logs = model.fit(x, y, epochs=2, verbose=0).history
            found.append((logs, model.get_weights()))
        (stock_logs, stock_weights), (logs, weights) = found
        for theirs, ours in zip(stock_weights, weights):
            np.testing.assert_allclose(ours, theirs, rtol=1e-5)
        assert logs.pop("gradient_conflict", None) is None or aggregator
        # Keras shows the second of the two losses that it calls "mse_loss".
        second = "mse_loss" if aggregator is None else "mse_1_loss"
        np.testing.assert_allclose(logs[second], stock_logs["mse_loss"])
        expected = {"loss", "mse_loss"} | ({second} if aggregator else set())
        assert set(logs) == expected and set(stock_logs) == {"loss", "mse_loss"}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
