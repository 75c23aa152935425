"""Rays that spread preferences over a front."""

import numpy as np
import pytest

from keras_mtl.pareto import loss_ray
from keras_mtl.pareto import preference_rays
from keras_mtl.pareto import ray_angle


class TestPreferenceRays:
    def test_two_tasks_are_spread_by_angle(self):
        rays = preference_rays(2, 5)
        np.testing.assert_allclose(rays.sum(axis=1), 1)
        degrees = np.degrees(np.arctan2(rays[:, 1], rays[:, 0]))
        np.testing.assert_allclose(degrees, [9, 27, 45, 63, 81])
        of_losses = loss_ray(rays)
        degrees = np.degrees(np.arctan2(of_losses[:, 1], of_losses[:, 0]))
        np.testing.assert_allclose(degrees, [81, 63, 45, 27, 9])

    def test_three_tasks_are_a_lattice(self):
        # Two halves, or two different ones of three, plus a half each.
        expected = [
            [2.5, 0.5, 0.5],
            [1.5, 1.5, 0.5],
            [1.5, 0.5, 1.5],
            [0.5, 2.5, 0.5],
            [0.5, 1.5, 1.5],
            [0.5, 0.5, 2.5],
        ]
        np.testing.assert_allclose(
            preference_rays(3, 6), np.divide(expected, 3.5)
        )

    @pytest.mark.parametrize("count", [1, 8, 36, 120])
    def test_eight_tasks(self, count):
        rays = preference_rays(8, count)
        assert rays.shape == (count, 8) and rays.dtype == "float64"
        assert (rays > 0).all() and len(np.unique(rays, axis=0)) == count
        np.testing.assert_allclose(rays.sum(axis=1), 1)
        # No task is preferred in sum.
        np.testing.assert_allclose(rays.mean(axis=0), 1 / 8)

    @pytest.mark.parametrize("tasks", [2, 5])
    def test_one_ray_is_the_middle(self, tasks):
        np.testing.assert_allclose(
            preference_rays(tasks, 1), [[1 / tasks] * tasks]
        )

    def test_no_lattice(self):
        with pytest.raises(ValueError, match="6 or 10. Received: num_rays=7"):
            preference_rays(3, 7)

    @pytest.mark.parametrize(
        "tasks, count", [(1, 3), (2, 0), (2.5, 1), (2, True)]
    )
    def test_bad_numbers(self, tasks, count):
        with pytest.raises(ValueError, match="num_"):
            preference_rays(tasks, count)


class TestLossRay:
    def test_products_are_equal(self):
        rays = preference_rays(4, 10)
        products = rays * loss_ray(rays)
        np.testing.assert_allclose(products / products[:, :1], 1)
        np.testing.assert_allclose(loss_ray([1, 3]), [0.75, 0.25])

    def test_far_apart(self):
        np.testing.assert_allclose(loss_ray([1e-300, 1e300]), [1, 0])

    @pytest.mark.parametrize(
        "bad", [[0, 1], [-1, 1], [np.nan, 1], [], "ab", 2.0]
    )
    def test_refuses(self, bad):
        with pytest.raises(ValueError, match="`preference` must"):
            loss_ray(bad)


class TestRayAngle:
    def test_degrees(self):
        assert ray_angle([1, 1], [5, 5]) == 0
        np.testing.assert_allclose(ray_angle([1, 0], [1, 1]), 45)
        # The ray of (1, sqrt 3) is at 30 degrees.
        np.testing.assert_allclose(ray_angle([0, 7], [1, 3**0.5]), 60)

    def test_small_angles_and_sizes(self):
        off = ray_angle([1e-200, 1e-200 * (1 + 2e-9)], [1, 1])
        np.testing.assert_allclose(off, np.degrees(1e-9), rtol=1e-6)

    def test_rows(self):
        losses = [[1, 1], [1, 0]]
        np.testing.assert_allclose(
            ray_angle(losses, [1, 1]), [0, 45], atol=1e-9
        )
        each = ray_angle(losses, [[1, 1], [1, 3**0.5]])
        np.testing.assert_allclose(each, [0, 30], atol=1e-9)

    @pytest.mark.parametrize(
        "losses", [[0, 0], [-1, 1], [np.inf, 1], [1, 2, 3], [[1, 1], [0, 0]]]
    )
    def test_refuses(self, losses):
        with pytest.raises(ValueError, match="`losses`"):
            ray_angle(losses, [1, 1])

    def test_rows_that_do_not_go_together(self):
        with pytest.raises(
            ValueError, match=r"\(3, 2\) and preference.*\(2, 2\)"
        ):
            ray_angle(np.ones((3, 2)), np.ones((2, 2)))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
