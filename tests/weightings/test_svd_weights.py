"""Fixed weights. How they come from data: tests/transfer."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.transfer import svd_task_weights
from keras_mtl.weightings.svd_weights import SVDWeights

LOSSES = np.ones(3, "float32")


def weights_of(weighting):
    weighting.build(["a", "b", "c"])
    return ops.convert_to_numpy(
        weighting.weights(ops.convert_to_tensor(LOSSES))
    )


def test_by_name_with_one_for_the_rest():
    weights = weights_of(SVDWeights({"c": 0.5, "a": np.float32(2)}))
    np.testing.assert_array_equal(weights, [2, 1, 0.5])


def test_from_data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    labels = {name: rng.normal(size=50) + 1 for name in "abc"}
    for options in ({}, {"rank": 2}, {"center": True}):
        weighting = SVDWeights.from_data(x, labels, **options, name="mine")
        assert weighting.name == "mine"
        expected = svd_task_weights(x, labels, **options)
        np.testing.assert_allclose(
            weights_of(weighting), list(expected.values()), rtol=1e-6
        )


@pytest.mark.parametrize(
    "task_weights, message",
    [
        ([1.0, 2.0], "`task_weights` must be a dict"),
        ({"a": -1.0}, r"`task_weights\['a'\]` must be a number from 0 up"),
    ],
)
def test_bad_weights(task_weights, message):
    with pytest.raises(ValueError, match=message):
        SVDWeights(task_weights)


def test_unknown_task():
    with pytest.raises(ValueError, match=r"`task_weights` has entries \['x'\]"):
        weights_of(SVDWeights({"x": 1.0}))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
