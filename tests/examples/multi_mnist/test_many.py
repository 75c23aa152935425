import numpy as np
import pytest

from examples.figures import STYLES
from examples.multi_mnist import many
from examples.multi_mnist import methods


def run(left, right, epochs=3):
    history = [
        {
            f"{part}_{task}_accuracy": value - 0.1 / epoch
            for part in ("val", "test")
            for task, value in (("left", left), ("right", right))
        }
        for epoch in range(1, epochs + 1)
    ]
    result = {"test_accuracy": {"left": left, "right": right}}
    return {"history": history, "result": result}


@pytest.fixture
def runs():
    """More than there are colours; one is far behind."""
    rng = np.random.default_rng(0)
    names = (*methods.PARTS, "pcgrad+self_auxiliary")
    assert len(names) > len(STYLES)
    runs = {name: [run(*rng.normal(0.9, 0.01, 2))] for name in names}
    runs["sum"].append(run(0.9, 0.9, epochs=2))
    runs["mgda"] = [run(0.3, 0.2)]
    return runs


@pytest.mark.slow
@pytest.mark.parametrize("plot", [many.plot_accuracy, many.plot_curves])
def test_draws(runs, plot, tmp_path):
    path = tmp_path / "figure.png"
    plot("mnist", "large", runs, path)
    assert path.read_bytes().startswith(b"\x89PNG")


class TestLimits:
    def test_leave_out_those_far_behind(self):
        rng = np.random.default_rng(0)
        points = rng.normal(90, 1, (30, 2))
        points[0] = 30
        low, high = many._limits(points)
        assert (low > 80).all()
        assert (points.max(axis=0) < high).all()

    def test_hold_all_others(self):
        points = np.random.default_rng(0).uniform(90, 91, (30, 2))
        low, high = many._limits(points)
        assert ((low < points) & (points < high)).all()


class TestSpread:
    def test_labels_keep_apart(self):
        anchors = np.random.default_rng(0).uniform(0, 300, (40, 2))
        anchors[1] = anchors[0]
        places = many.spread(anchors)
        assert np.abs(places - anchors).max() < 8 * many.GAP
        apart = np.linalg.norm(places[:, None] - places, axis=-1)
        np.fill_diagonal(apart, np.inf)
        assert apart.min() > 0.5 * many.GAP


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
