import keras
import pytest

from examples.budget import count_parameters
from examples.budget import fit_width


class TestFitWidth:
    @pytest.mark.parametrize("budget", [5000, 5050, 10_000, 12_345])
    def test_is_the_nearest(self, budget):
        sizes = {width: width**2 + 3 * width for width in range(1, 300)}
        width = fit_width(sizes.get, budget)
        nearest = min(sizes, key=lambda w: abs(sizes[w] - budget))
        assert width == nearest

    def test_step(self):
        assert fit_width(lambda width: 10 * width, 1000, step=4) == 100

    def test_a_budget_that_cannot_be_met(self):
        with pytest.raises(ValueError, match="`budget`.*width is 1.*=150"):
            fit_width(lambda width: 100 * width, 150)
        with pytest.raises(ValueError, match="width is 1, with 100"):
            fit_width(lambda width: 100 * width, 3)


class TestCountParameters:
    def test_trained_ones(self):
        model = keras.Sequential(
            [
                keras.Input((3,)),
                keras.layers.Dense(2),
                keras.layers.BatchNormalization(),
            ]
        )
        assert count_parameters(model) == 3 * 2 + 2 + 2 * 2


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
