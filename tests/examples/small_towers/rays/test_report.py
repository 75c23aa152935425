"""The table of angles and distances, and the figure."""

import pathlib

import numpy as np
import pytest

from examples.small_towers.rays import report
from examples.small_towers.rays import runs
from keras_mtl.pareto import preference_rays
from keras_mtl.pareto import ray_angle


def test_committed_runs_of_epo_are_within_two_degrees_of_five_rays():
    folder = pathlib.Path(report.__file__).parent / "results"
    angles = ray_angle(runs.load(folder)["EPO"], preference_rays(2, 5))
    assert angles.shape == (5,) and angles.max() < 2
    # The table beside them is theirs.
    text = (folder / "rays.md").read_text()
    assert text == report.table(runs.load(folder)) + "\n"


def test_distance_to_the_front():
    middle = 1 - np.exp(-1)
    losses = np.array([[middle, middle], [middle + 0.03, middle + 0.04]])
    distances = report.distances_to_front(losses)
    # The front is at right angles to (1, 1) there.
    np.testing.assert_allclose(distances, [0, 0.05], atol=1e-3)


def test_report(tmp_path):
    middle = 1 - np.exp(-1)
    ends = np.array([[middle, middle], [1, 0]])
    text = report.table({"EPO": ends, "PBI": ends[::-1]})
    assert "ray at 81° | ray at 9° |" in text
    # (1, 0) lies at 0 degrees; the front ends at (1 - exp(-4), 0).
    assert "| EPO | 36.00°, 0.000 | 9.00°, 0.018 |" in text
    assert text.endswith("| PBI | 81.00°, 0.018 | 36.00°, 0.000 |")
    report.plot({"EPO": ends, "PBI": ends}, tmp_path / "rays.png")
    assert (tmp_path / "rays.png").stat().st_size > 1000


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
