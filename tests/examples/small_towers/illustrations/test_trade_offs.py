import numpy as np
import pytest

from examples.small_towers.illustrations import trade_offs


def labels(a, b):
    return {
        "y1": np.array([a], "float32"),
        "y2": np.array([b], "float32"),
    }


class TestQuadratics:
    @pytest.mark.parametrize(
        "weight",
        [
            0.2,
            pytest.param(0.5, marks=pytest.mark.slow),
            pytest.param(0.9, marks=pytest.mark.slow),
        ],
    )
    def test_reaches_the_front_by_its_weight(self, weight):
        # The minimum is at weight * a + (1 - weight) * b, and |a - b| is 5.
        found = trade_offs.quadratics(labels([1, 0], [-2, 4]), weight)
        assert found["y1"] == pytest.approx(25 * (1 - weight) ** 2, rel=1e-4)
        assert found["y2"] == pytest.approx(25 * weight**2, rel=1e-4)
        roots = np.sqrt(list(found.values())).sum()
        assert roots == pytest.approx(5, rel=1e-6)


@pytest.fixture(scope="module")
def data():
    return trade_offs.random_labels()


@pytest.fixture(scope="module")
def squared(data):
    """The square of the distance between the labels of the two tasks."""
    y = data[1]
    return float(np.sum((y["y1"] - y["y2"]) ** 2, dtype="float64"))


def test_random_labels(data, squared):
    assert data[0].shape == (20, 10)
    assert {part.shape for part in data[1].values()} == {(20, 1)}
    assert squared > 1


class TestWideNetwork:
    @pytest.mark.slow
    def test_with_one_output_pays_for_one_task_with_the_other(
        self, data, squared
    ):
        found = trade_offs.wide_network(*data, weight=0.5, heads=False)
        # No function has a smaller sum.
        assert sum(found.values()) == pytest.approx(squared / 2, rel=1e-5)
        roots = np.sqrt(list(found.values())).sum()
        assert roots == pytest.approx(squared**0.5, rel=1e-5)

    @pytest.mark.slow
    def test_with_two_outputs_pays_nothing(self, data):
        found = trade_offs.wide_network(*data, weight=0.5, heads=True)
        assert max(found.values()) < 1e-3


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
