"""A method along five rays."""

import numpy as np
import pytest

from examples.small_towers.rays import report
from examples.small_towers.rays import runs
from keras_mtl.pareto import preference_rays
from keras_mtl.pareto import ray_angle


@pytest.mark.slow
@pytest.mark.parametrize("ray", [1, 4])
def test_epo_ends_on_the_ray(ray):
    """On the front as well: a descent from its middle no objective allows."""
    losses = runs.train(runs.Config("EPO", steps=100), ray)
    assert ray_angle(losses, preference_rays(2, 5)[ray]) < 2
    assert report.distances_to_front(losses[None])[0] < 0.05


def test_interrupted_runs_go_on(tmp_path, monkeypatch):
    trained = []

    def train(config, ray):
        if len(trained) == 2:
            trained.append(None)
            raise KeyboardInterrupt
        trained.append(ray)
        return np.array([0.5, 0.5])

    monkeypatch.setattr(runs, "train", train)
    config = runs.Config("PBI")
    with pytest.raises(KeyboardInterrupt):
        runs.run(config, tmp_path)
    runs.run(config, tmp_path)
    runs.run(config, tmp_path)
    assert trained == [0, 1, None, 2, 3, 4]
    assert runs.load(tmp_path)["PBI"].shape == (5, 2)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
