import keras
import numpy as np
import pytest

from examples.gallery import updates
from keras_mtl.aggregators import MGDA
from keras_mtl.aggregators import Aggregator
from keras_mtl.aggregators import Sum

JACOBIAN = updates.PAIRS["conflicting"]


class TestPairs:
    def test_are_as_they_are_called(self):
        for name, (first, second) in updates.PAIRS.items():
            assert (first @ second < 0) == (name == "conflicting")
            # Unequal, so that methods differ in what they make of lengths.
            assert np.linalg.norm(second) > 2 * np.linalg.norm(first)

    def test_the_sum_hurts_a_task(self):
        assert (JACOBIAN @ JACOBIAN.sum(axis=0)).min() < 0


class TestChoose:
    def test_main_tasks_are_given(self):
        choice = updates.choose()
        assert choice.makers["projection"]().main_task == 0


class TestCompute:
    def test_same_update_each_step(self):
        computed = updates.compute(Sum(), JACOBIAN, steps=3)
        assert computed.title == "Sum"
        assert not computed.random
        np.testing.assert_allclose(
            computed.points, [JACOBIAN.sum(axis=0)] * 3, rtol=1e-6
        )

    def test_mgda_hurts_no_task(self):
        shown = updates.compute(MGDA(), JACOBIAN, steps=1).shown
        assert (JACOBIAN @ shown).min() >= -1e-5

    def test_draws_and_losses(self):
        class Noise(Aggregator):
            """Draws a direction, and looks at the losses."""

            def __init__(self):
                super().__init__()
                self.seeds = self.add_seed("seeds", 0)

            def update(self, gram, step):
                noise = keras.random.uniform((2,), seed=self.seeds)
                return noise * step.losses

        computed = updates.compute(Noise(), JACOBIAN, steps=8)
        assert computed.random
        assert len(np.unique(computed.points, axis=0)) == 8
        np.testing.assert_allclose(computed.shown, computed.points.mean(axis=0))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
