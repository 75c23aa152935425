import numpy as np
import pytest
from keras import ops

from examples.toy import methods
from keras_mtl.weightings import Weighting

LOSSES = np.array([[1.0, 2.0], [3.0, 4.0]], "float32")
GRADIENTS = np.array(
    [[[1.0, 0.0], [0.0, 2.0]], [[3.0, 4.0], [1.0, 0.0]]], "float32"
)


class Observer(Weighting):
    """Weights by the losses, and remembers what it was shown."""

    reads = frozenset({"losses", "losses_after", "gradient_norms"})

    def weights(self, losses):
        return losses

    def update(self, losses, observed):
        self.seen = [losses, observed.losses_after, observed.gradient_norms]


class TestChoose:
    def test_has_arguments(self):
        aggregators = methods.choose("aggregator")
        assert aggregators.makers["projection"]().main_task == 0
        weightings = methods.choose("weighting")
        assert weightings.makers["uncertainty"]().learning_rate == 0.025


class TestWeighted:
    def test_each_start_has_its_own(self):
        weighted = methods.Weighted(Observer, 2)
        update = weighted.update(
            ops.convert_to_tensor(LOSSES), ops.convert_to_tensor(GRADIENTS)
        )
        np.testing.assert_allclose(update, [[1, 4], [13, 12]], rtol=1e-6)
        weighted.observe(LOSSES, LOSSES / 2, ops.convert_to_tensor(GRADIENTS))
        losses, after, norms = weighted.weightings[1].seen
        np.testing.assert_allclose(losses, [3, 4])
        np.testing.assert_allclose(after, [1.5, 2])
        # Of the weighted losses.
        np.testing.assert_allclose(norms, [15, 4], rtol=1e-6)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
