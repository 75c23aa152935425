"""Where methods end along preference rays."""

import pathlib

import numpy as np
import pytest

from examples.small_towers.rays import main as rays
from keras_mtl.pareto import preference_rays
from keras_mtl.pareto import ray_angle
from tests.tiers import slow_except


@pytest.mark.parametrize("ray", slow_except([1, 4], 1))
def test_epo_ends_on_the_ray(ray):
    """On the front as well: a descent from its middle no objective allows."""
    losses = rays.train(rays.Config("EPO", steps=100), ray)
    assert ray_angle(losses, preference_rays(2, 5)[ray]) < 2
    assert rays.distances_to_front(losses[None])[0] < 0.05


def test_committed_runs_of_epo_are_within_two_degrees_of_five_rays():
    folder = pathlib.Path(rays.__file__).parent / "results"
    angles = ray_angle(rays.load(folder)["EPO"], preference_rays(2, 5))
    assert angles.shape == (5,) and angles.max() < 2
    # The table beside them is theirs.
    text = (folder / "rays.md").read_text()
    assert text == rays.table(rays.load(folder)) + "\n"


def test_distance_to_the_front():
    middle = 1 - np.exp(-1)
    losses = np.array([[middle, middle], [middle + 0.03, middle + 0.04]])
    distances = rays.distances_to_front(losses)
    # The front is at right angles to (1, 1) there.
    np.testing.assert_allclose(distances, [0, 0.05], atol=1e-3)


def test_report(tmp_path):
    middle = 1 - np.exp(-1)
    ends = np.array([[middle, middle], [1, 0]])
    text = rays.table({"EPO": ends, "PBI": ends[::-1]})
    assert "ray at 81° | ray at 9° |" in text
    # (1, 0) lies at 0 degrees; the front ends at (1 - exp(-4), 0).
    assert "| EPO | 36.00°, 0.000 | 9.00°, 0.018 |" in text
    assert text.endswith("| PBI | 81.00°, 0.018 | 36.00°, 0.000 |")
    rays.plot({"EPO": ends, "PBI": ends}, tmp_path / "rays.png")
    assert (tmp_path / "rays.png").stat().st_size > 1000


def test_interrupted_runs_go_on(tmp_path, monkeypatch):
    trained = []

    def train(config, ray):
        if len(trained) == 2:
            trained.append(None)
            raise KeyboardInterrupt
        trained.append(ray)
        return np.array([0.5, 0.5])

    monkeypatch.setattr(rays, "train", train)
    config = rays.Config("PBI")
    with pytest.raises(KeyboardInterrupt):
        rays.run(config, tmp_path)
    rays.run(config, tmp_path)
    rays.run(config, tmp_path)
    assert trained == [0, 1, None, 2, 3, 4]
    assert rays.load(tmp_path)["PBI"].shape == (5, 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
