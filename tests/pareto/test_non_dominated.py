"""Fronts beside the obvious O(n^2) definition."""

import numpy as np
import pytest

from keras_mtl.pareto import non_dominated


def obvious(points, maximize):
    """As the definition says, pair by pair."""
    costs = np.where(maximize, -points, points)
    a, b = costs[:, None], costs[None]
    dominates = (a <= b).all(axis=-1) & (a < b).any(axis=-1)
    return ~dominates.any(axis=0)


def test_the_four_points_of_the_definition():
    points = [(1, 3), (2, 2), (3, 1), (3, 3)]
    assert non_dominated(points).tolist() == [True, True, True, False]
    assert non_dominated(points, maximize=True).tolist() == [
        *[False] * 3,
        True,
    ]


def test_equals_the_obvious_version_on_random_sets_with_ties():
    rng = np.random.default_rng(0)
    ties = 0
    for _ in range(10_000):
        shape = rng.integers(1, 21), rng.integers(1, 6)
        points = rng.integers(0, 5, shape).astype("float64")
        maximize = rng.random(shape[1]) < 0.5
        expected = obvious(points, maximize)
        np.testing.assert_array_equal(non_dominated(points, maximize), expected)
        ties += len(np.unique(points, axis=0)) < len(points)
    assert ties > 2000


def test_equal_points_are_all_kept():
    points = [[1, 2], [2, 1], [1, 2], [1, 3]]
    assert non_dominated(points).tolist() == [True, True, True, False]


def test_mixed_directions():
    points = {"accuracy": [0.9, 0.8, 0.8], "loss": [0.5, 0.3, 0.4]}
    maximize = {"loss": False, "accuracy": True}
    assert non_dominated(points, maximize).tolist() == [True, True, False]


def test_negative_zero_is_zero():
    assert non_dominated([[0.0, 1.0], [-0.0, 1.0]]).all()
    assert non_dominated([[0.0, 1.0], [-0.0, 1.0]], maximize=True).all()


def test_many_points():
    """On a front of a thousand, none is lost."""
    angles = np.linspace(0, np.pi / 2, 1000)
    front = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.concatenate([front * 0.99, front])
    found = non_dominated(points, maximize=True)
    np.testing.assert_array_equal(found, np.arange(2000) >= 1000)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
