"""Counting replicas, and what they add up where labels are missing."""

import keras
import numpy as np
import pytest

from keras_mtl.backend import num_replicas
from keras_mtl.backend import sum_over_replicas
from tests import two_replicas

pytestmark = pytest.mark.backend

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def test_without_a_strategy_there_is_one():
    assert num_replicas() == 1
    assert sum_over_replicas(np.float32(3.0)) == 3.0


MISSING = r"""
from tests import two_replicas

two_replicas.split_processor()
import keras
import numpy as np
from keras import layers

from keras_mtl import MultiTaskModel
from keras_mtl import add_self_auxiliaries

rng = np.random.default_rng(0)
X = rng.normal(size=(15, 4)).astype("float32")
Y = {
    "a": rng.integers(0, 3, 15).astype("float32"),
    "b": rng.normal(size=(15, 1)).astype("float32"),
    "c": rng.normal(size=(15, 3)).astype("float32"),
}
# Of the first batch, one replica has all labels of b; of c, cells are missing.
Y["b"][[0, 1, 2, 7, 9, 14]] = np.nan
Y["c"][rng.random((15, 3)) < 0.4] = np.nan
Y["a"][[1, 2, 8]] = np.nan
W = {name: rng.uniform(0.5, 2, 15).astype("float32") for name in "abc"}


def losses(**kwargs):
    return {
        "a": keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, ignore_class=2, **kwargs
        ),
        "b": keras.losses.MeanSquaredError(**kwargs),
        "c": keras.losses.MeanAbsoluteError(**kwargs),
    }


BY_WEIGHT = "mean_with_sample_weight"
RULES = {
    "stock": {},
    "auxiliary heads": {"heads": True, "aggregator": "pcgrad"},
    "weights": {"loss": losses(reduction=BY_WEIGHT), "weights": W},
    "reduced over the batch": {
        "aggregator": "mgda", "representation": "shared",
        "representation_reduction": "mean", "scale_heads": True,
    },
}


def train(rule):
    rule = dict(rule)
    loss, weights = rule.pop("loss", None), rule.pop("weights", None)
    heads = rule.pop("heads", False)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    shared = layers.Dense(6, "tanh", name="shared")(inputs)
    outputs = {
        name: layers.Dense(units, name=name)(shared)
        for name, units in zip("abc", (3, 1, 3))
    }
    model = MultiTaskModel(inputs, outputs)
    if heads:
        model = add_self_auxiliaries(model, "shared")
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=loss or losses(),
        missing_label=float("nan"),
        metrics={"b": ["mae"], "c": ["mse"]},
        weighted_metrics={"c": ["mae"]},
        jit_compile=False,
        **rule,
    )
    # The last batch has three examples: two for one replica.
    logs = model.fit(
        X, Y, sample_weight=weights, batch_size=6, shuffle=False, verbose=0,
        validation_data=(X, Y),
    ).history
    return [np.array(v) for v in model.variables], logs


two_replicas.compare(train, RULES)
"""


@pytest.mark.slow
@pytest.mark.skipif(not ON_TENSORFLOW, reason="tf.distribute is TensorFlow's")
def test_two_replicas_with_missing_labels_equal_one_device():
    two_replicas.run(MISSING)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
