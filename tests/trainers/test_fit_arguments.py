"""Arguments of `fit` and its like: by output, and once they are mended."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.tiers import slow_except
from tests.two_tasks import LOSS
from tests.two_tasks import QUICK
from tests.two_tasks import ROWS
from tests.two_tasks import make_data
from tests.two_tasks import make_model

pytestmark = pytest.mark.backend


class TestSampleWeight:
    @pytest.mark.parametrize("aggregator", [None, "pcgrad"])
    def test_of_some_outputs(self, aggregator):
        """In arrays and in a dataset, for losses and for metrics."""
        x, y = make_data()
        weights = {"b": np.linspace(0.0, 2.0, ROWS, dtype="float32")}
        model = make_model()
        model.compile(
            keras.optimizers.SGD(0.0),
            loss=LOSS,
            aggregator=aggregator,
            weighted_metrics={"a": ["accuracy"], "b": ["mae"]},
            **QUICK,
        )
        batches = tf.data.Dataset.from_tensor_slices((x, y, weights))
        logs = [
            model.train_on_batch(x, y, weights, return_dict=True),
            model.evaluate(
                x, y, ROWS, 0, sample_weight=weights, return_dict=True
            ),
            model.evaluate(batches.batch(ROWS), verbose=0, return_dict=True),
        ]
        predictions = model.predict(x, verbose=0)
        errors = (predictions["b"] - y["b"])[:, 0]
        hits = predictions["a"].argmax(-1) == y["a"]
        for found in logs:
            expected = {
                "b_loss": np.mean(weights["b"] * errors**2),
                "b_mae": np.average(np.abs(errors), weights=weights["b"]),
                "a_accuracy": np.mean(hits),
            }
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-5)


MISTAKES = {
    "a name misspelt": lambda x, y: (x, {"a": y["a"], "B": y["b"]}),
    "no labels": lambda x, y: (x, None),
    "one-hot": lambda x, y: (x, y | {"a": np.eye(7)[y["a"]]}),
    "inputs too wide": lambda x, y: (np.concatenate([x, x], axis=1), y),
}


@pytest.mark.parametrize(
    "mistake", slow_except(MISTAKES, "a name misspelt", "one-hot")
)
@pytest.mark.parametrize("method", slow_except(["fit", "evaluate"], "fit"))
@pytest.mark.parametrize("aggregator", slow_except([None, "pcgrad"], "pcgrad"))
def test_a_call_that_is_mended_goes_on(aggregator, method, mistake):
    """On TensorFlow an error left a trace that refused new variables."""
    x, y = make_data()
    model = make_model()
    model.compile("adam", loss=LOSS, aggregator=aggregator, jit_compile=False)
    call = getattr(model, method)
    with pytest.raises(Exception):
        call(*MISTAKES[mistake](x, y), verbose=0)
    call(x, y, verbose=0)
    model.fit(x, y, verbose=0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
