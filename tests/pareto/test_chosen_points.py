"""The point that stands for a front."""

import numpy as np
import pytest

from keras_mtl.pareto import best_mean
from keras_mtl.pareto import middle_point


class TestMiddlePoint:
    def test_is_the_median_of_the_sorted_front(self):
        points = [[3, 1], [1, 3], [3, 3], [2, 2]]
        assert middle_point(points) == 3

    def test_of_an_even_number_the_better_in_the_first_task(self):
        costs = np.array([[4, 1], [3, 2], [2, 3], [1, 4]])
        assert middle_point(costs) == 2
        # 40 is the best of the first task, and 30 comes next.
        assert middle_point(costs * 10, maximize=True) == 1

    def test_is_one_of_the_front(self):
        """Many that are dominated do not move it."""
        points = [[1, 3], [2, 2], [3, 1], *[[1, 9]] * 20]
        assert middle_point(points) == 1

    def test_counts_a_point_once(self):
        points = [[1, 3], [1, 3], [1, 3], [2, 2], [3, 1]]
        assert middle_point(points) == 3

    def test_mixed_directions(self):
        points = {"error": [1, 2, 3], "auc": [1, 2, 3]}
        assert middle_point(points, {"error": False, "auc": True}) == 1

    def test_more_tasks_need_one_to_sort_by(self):
        points = {"a": [1, 2, 3], "b": [3, 1, 2], "c": [2, 3, 1]}
        assert middle_point(points, False, along="a") == 1
        assert middle_point(points, False, along="b") == 2
        assert middle_point(np.stack(list(points.values()), 1), along=2) == 0
        with pytest.raises(ValueError, match="`along`.*'a', 'b', 'c'.*None"):
            middle_point(points, False)
        with pytest.raises(ValueError, match="`along`.*'d'"):
            middle_point(points, False, along="d")


class TestBestMean:
    def test_where_larger_and_where_smaller_is_better(self):
        points = [[0.9, 0.5], [0.8, 0.7], [0.1, 0.2]]
        assert best_mean(points, maximize=True) == 1
        assert best_mean(points) == 2

    def test_the_first_of_several(self):
        assert best_mean([[3, 3], [1, 2], [2, 1]]) == 1

    def test_mixed_directions_need_baselines(self):
        points = {"auc": [0.8, 0.9], "rmse": [10.0, 12.0]}
        maximize = {"auc": True, "rmse": False}
        with pytest.raises(ValueError, match="mixes directions.*`baselines`"):
            best_mean(points, maximize)
        # A fifth worse is more than an eighth better.
        baselines = {"auc": 0.8, "rmse": 10.0}
        assert best_mean(points, maximize, baselines) == 0
        baselines = {"auc": 0.4, "rmse": 20.0}
        assert best_mean(points, maximize, baselines) == 1


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
