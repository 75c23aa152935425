"""Tests of what the methods that compare two batches share."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.aggregators.double_sampling import DoubleSampling


class Recorder(DoubleSampling):
    """Notes what it is given; its weights count the steps."""

    def moved_weights(self, held, products, norms, learning):
        self.given = [
            ops.convert_to_numpy(x) for x in (products, norms, learning)
        ]
        return held + 1.0


def test_compares_the_step_before_with_this_one():
    rng = np.random.default_rng(0)
    before, now = rng.standard_normal((2, 3, 5)).astype("float32")
    method = Recorder()
    method(before)
    products, _, learning = method.given
    np.testing.assert_array_equal(products, np.zeros((3, 3)))
    assert not learning.any()
    update = method(now)
    products, norms, learning = method.given
    np.testing.assert_allclose(products, before @ now.T, rtol=1e-4, atol=1e-5)
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(now, axis=1)
    np.testing.assert_allclose(norms, np.sqrt(lengths), rtol=1e-4)
    assert learning.all()
    # The weights of the update are those before the second move.
    np.testing.assert_allclose(
        ops.convert_to_numpy(update), (4 / 3) * now.sum(axis=0), rtol=1e-4
    )
    held = ops.convert_to_numpy(method.task_weights)
    np.testing.assert_allclose(held, [7 / 3] * 3, rtol=1e-6)


def test_the_rule_is_missing():
    with pytest.raises(NotImplementedError, match="moved_weights"):
        DoubleSampling()(np.eye(2, dtype="float32"))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
