"""Tests of Random."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.random_weights import Random

EYE = np.eye(4, dtype="float32")


def draws_of(aggregator, count, gram=EYE):
    return np.stack(
        [ops.convert_to_numpy(aggregator.update(gram)) for _ in range(count)]
    )


class TestRandom:
    # What seed 3 gives, on every backend.
    golden = np.array(
        [
            [0.385911, 0.067074, 0.436040, 0.110975],
            [0.425026, 0.222500, 0.094541, 0.257934],
        ]
    )

    def test_golden(self):
        draws = draws_of(Random(seed=3), 2)
        np.testing.assert_allclose(draws, self.golden, rtol=1e-4)

    def test_golden_compiled(self):
        aggregator = Random(seed=3)
        run = testing.compiled(aggregator.update, aggregator.variables)
        draws = [ops.convert_to_numpy(run(EYE)) for _ in range(2)]
        np.testing.assert_allclose(draws, self.golden, rtol=1e-4)

    def test_logarithms_are_normal(self):
        aggregator = Random(seed=0)
        run = testing.compiled(aggregator.update, aggregator.variables)
        draws = np.stack([ops.convert_to_numpy(run(EYE)) for _ in range(600)])
        np.testing.assert_allclose(draws.sum(axis=1), 1, rtol=1e-5)
        # Differences of two standard normal numbers.
        gaps = np.log(draws[:, ::2] / draws[:, 1::2])
        assert np.abs(gaps.mean(axis=0)).max() < 4 * (2 / 600) ** 0.5
        np.testing.assert_allclose(gaps.var(axis=0), [2, 2], atol=0.5)
        assert abs(np.corrcoef(gaps.T)[0, 1]) < 4 / 600**0.5
        assert abs(np.corrcoef(gaps[:-1, 0], gaps[1:, 0])[0, 1]) < 0.16

    def test_the_gradients_do_not_matter(self):
        left = draws_of(Random(seed=1), 3)
        right = draws_of(Random(seed=1), 3, np.stack([EYE, 9 * EYE]))
        np.testing.assert_array_equal(left, right[:, 0])
        np.testing.assert_array_equal(left, right[:, 1])
        assert np.abs(left - draws_of(Random(seed=2), 3)).max() > 1e-2

    def test_state_resumes_the_sequence(self):
        aggregator = Random()
        draws_of(aggregator, 2)
        state = [ops.convert_to_numpy(v) for v in aggregator.variables]
        expected = draws_of(aggregator, 3)
        resumed = Random()
        for variable, value in zip(resumed.variables, state):
            variable.assign(value)
        np.testing.assert_array_equal(draws_of(resumed, 3), expected)

    def test_configuration(self):
        method = Random(seed=3, granularity="layer", name="mine")
        config = keras.saving.serialize_keras_object(method)
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == method.get_config()
        assert Random().name == "random"

    def test_bad_seed(self):
        with pytest.raises(ValueError, match="`seed` must be an integer"):
            Random(seed=0.5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
