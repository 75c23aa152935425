"""Hypervolumes beside counts that share nothing with moocore."""

import numpy as np
import pytest

from keras_mtl.pareto import hypervolume
from keras_mtl.pareto import hypervolume_contributions
from keras_mtl.pareto import reference_point

RNG = np.random.default_rng(0)


def by_sweep(points, corner):
    """Area of two tasks, of which smaller is better: strip by strip."""
    area, height = 0.0, corner[1]
    for x, y in sorted(map(tuple, points)):
        if x < corner[0] and y < height:
            area += (corner[0] - x) * (height - y)
            height = y
    return area


def by_slices(points, corner):
    """Volume: between two heights of the last task it is an area times them."""
    points = points[np.argsort(points[:, -1])]
    thickness = np.diff(np.append(points[:, -1], corner[-1]))
    if points.shape[1] == 3:
        return thickness @ areas(points[:, :2], corner)
    below = [
        by_slices(points[: k + 1, :-1], corner[:-1]) for k in range(len(points))
    ]
    return thickness @ below


def areas(points, corner):
    """Areas `[n]` of the first k points, for k from 1 to n."""
    order = np.argsort(points[:, 0])
    x, y = points[order].T
    there = order[None] <= np.arange(len(points))[:, None]
    lowest = np.minimum.accumulate(np.where(there, y, corner[1]), axis=1)
    widths = np.diff(np.append(x, corner[0]))
    return (corner[1] - lowest) @ widths


def test_the_counts_themselves():
    """A staircase of unit squares, and two boxes that overlap."""
    assert by_sweep([(1, 3), (2, 2), (3, 1), (3, 3)], (4, 4)) == 6
    boxes = np.array([[0.0, 0, 1, 0, 0], [1, 1, 0, 1, 1]])
    # 2^4 * 1 + 1^4 * 2 - what both have, 1.
    assert by_slices(boxes, np.full(5, 2.0)) == 16 + 2 - 1


@pytest.mark.parametrize("front", [False, True])
def test_a_thousand_points_in_two_dimensions(front):
    points = RNG.random((1000, 2))
    if front:
        points = 2 - points / np.linalg.norm(points, axis=1, keepdims=True)
    found = hypervolume(points, [2.5, 2.25])
    expected = by_sweep(points, (2.5, 2.25))
    assert found == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("front", [False, True])
def test_a_hundred_points_in_five_dimensions(front):
    costs = RNG.random((100, 5))
    if front:
        costs = 2 - costs / np.linalg.norm(costs, axis=1, keepdims=True)
    corner = np.array([2.0, 2.1, 2.2, 2.3, 2.4])
    expected = by_slices(costs, corner)
    assert hypervolume(costs, corner) == pytest.approx(
        expected, rel=1e-9, abs=0
    )
    # The same front, where larger is better in three tasks.
    signs = np.array([1, -1, -1, 1, -1])
    turned = hypervolume(signs * costs, signs * corner, maximize=signs < 0)
    assert turned == pytest.approx(expected, rel=1e-9, abs=0)


def test_by_name():
    points = {"left": [0.75, 0.5], "right": [0.5, 0.75]}
    reference = {"right": 0.25, "left": 0.25}
    # Two rectangles of 1/2 times 1/4, and what both have.
    expected = 2 * 0.125 - 0.0625
    assert hypervolume(points, reference, maximize=True) == expected
    assert hypervolume(points, 0.25, maximize=True) == expected


@pytest.mark.parametrize("num_tasks", [1, 3])
def test_one_point_is_a_box(num_tasks):
    assert hypervolume([[1.0] * num_tasks], [3.0] * num_tasks) == 2**num_tasks


def test_the_reference_may_be_as_bad_as_the_front():
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [3, 3]) == 1


def test_what_is_dominated_may_be_beyond_the_reference():
    assert hypervolume([[1, 1], [5, 5]], [3, 3]) == 4


def test_a_reference_inside_the_front():
    points = {"left": [0.9, 0.8], "right": [0.7, 0.8]}
    with pytest.raises(ValueError) as caught:
        hypervolume(points, {"left": 0.85, "right": 0.5}, maximize=True)
    message = str(caught.value)
    assert "`reference`" in message and "inside" in message
    assert "task 'left'" in message and "larger values" in message
    assert "point 1 has 0.8" in message and "reference 0.85" in message


def test_points_beyond_the_reference_can_add_nothing():
    points = [[0.9, 0.7], [0.8, 0.8]]
    found = hypervolume(points, [0.85, 0.5], True, ignore_beyond=True)
    assert found == pytest.approx(0.05 * 0.2)
    assert hypervolume(points, [0.95, 0.95], True, ignore_beyond=True) == 0


@pytest.mark.parametrize(
    "reference, message",
    [
        ([1, 2, 3], "a number for each of the 2 columns.*1, 2, 3"),
        ([[1, 2]], "a number for each of"),
        ([9, np.nan], "`reference` must be finite.*column 1"),
        ("9", "`reference` must be finite"),
        ({"a": 9, "b": 9}, "by name of task.*no names"),
    ],
)
def test_bad_references(reference, message):
    with pytest.raises(ValueError, match=message):
        hypervolume([[1, 2], [2, 1]], reference)


def test_a_reference_of_other_tasks():
    points = {"left": [1.0], "right": [2.0]}
    with pytest.raises(ValueError, match="'lef'.*Did you mean 'left'"):
        hypervolume(points, {"lef": 3, "right": 3}, False)
    with pytest.raises(ValueError, match="without .'right'"):
        hypervolume(points, {"left": 3}, False)


def test_contributions_that_do_not_fit_a_float():
    with pytest.raises(ValueError, match="too large"):
        hypervolume_contributions([[-1e200, -1e200]], [1e200, 1e200])


def test_what_does_not_fit_a_float():
    with pytest.raises(ValueError, match="too large"):
        hypervolume([[-1e200, -1e200]], [1e200, 1e200])


def test_contributions_are_what_a_front_loses():
    points = RNG.random((12, 3))
    points[3] = points[0] + 0.1  # dominated
    reference = [2.0, 2.0, 2.0]
    kept = points[hypervolume_contributions(points, reference) > 0]
    found = hypervolume_contributions(kept, reference)
    whole = by_slices(kept, reference)
    expected = [
        whole - by_slices(np.delete(kept, place, 0), reference)
        for place in range(len(kept))
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_contributions_where_larger_is_better():
    points = [[1.0, 0.5], [0.5, 1.0], [0.25, 0.25], [0.5, 1.0]]
    found = hypervolume_contributions(points, [0, 0], maximize=True)
    # Of two that are equal, neither adds anything alone.
    assert found.tolist() == [0.25, 0, 0, 0]
    with pytest.raises(ValueError, match="inside"):
        hypervolume_contributions(points, [0.75, 0], maximize=True)


def test_contributions_of_points_beyond_the_reference():
    points = [[0.9, 0.7], [0.8, 0.8], [0.95, 0.6]]
    found = hypervolume_contributions(
        points, [0.85, 0.5], True, ignore_beyond=True
    )
    np.testing.assert_allclose(found, [0.05 * 0.1, 0, 0.05 * 0.1])


class TestReferencePoint:
    def test_is_worse_than_all_fronts(self):
        fronts = {"sum": [[1, 30], [3, 10]], "pcgrad": [[2, 20], [1, 50]]}
        assert reference_point(fronts, margin=0.5) == [4, 70]
        for points in fronts.values():
            assert hypervolume(points, reference_point(fronts)) > 0

    def test_by_name_and_direction(self):
        points = {"error": [1.0, 3.0], "auc": [0.5, 1.0]}
        maximize = {"error": False, "auc": True}
        found = reference_point(points, maximize, margin=0.25)
        assert found == {"error": 3.5, "auc": 0.375}

    def test_of_one_value(self):
        assert reference_point([[2.0, 0.0, -4.0]], margin=0.5) == [3, 0.5, -2]

    def test_bad_margin(self):
        with pytest.raises(ValueError, match="`margin`.*-1"):
            reference_point([[1, 2]], margin=-1)


def test_contributions_to_one_task():
    # The better of two is all there is beyond the worse one.
    found = hypervolume_contributions([[3.0], [1.0], [2.5]], [4.0])
    np.testing.assert_allclose(found, [0, 1.5, 0])
    found = hypervolume_contributions([[1.0], [1.0]], [4.0])
    np.testing.assert_allclose(found, [0, 0])
    found = hypervolume_contributions([[1.0]], [4.0])
    np.testing.assert_allclose(found, [3])


def test_a_reference_that_does_not_fit_a_float():
    with pytest.raises(ValueError, match="too large for a float"):
        reference_point([[1e308, 1.0], [-1e308, 2.0]])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
