"""Tests of PCD, against an enumeration of all sets of constraints."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_mtl import testing
from keras_mtl.aggregators.pcd import PCD
from keras_mtl.methods import StepInfo
from tests.tiers import slow_except


def value(tensor):
    return ops.convert_to_numpy(tensor).astype("float64")


def updates_of(rule, rows):
    """The updates `[B, n]` of float32 gradients `[B, T, n]`, in one call."""
    weights = value(rule.update(rows @ rows.transpose(0, 2, 1)))
    return np.einsum("bt,btn->bn", weights, rows.astype("float64"))


def direction(rows, tau):
    """The update for gradients whose mean squares are theirs: by hand."""
    lengths = np.linalg.norm(rows, axis=1)
    unit = rows / lengths[:, None]
    best, nearest = unit[0], np.inf
    auxiliaries = range(1, len(rows))
    for count in range(len(rows)):
        for chosen in itertools.combinations(auxiliaries, count):
            active = unit[list(chosen)]
            # The nearest point where the chosen conditions hold exactly.
            lack = tau - active @ unit[0]
            point = unit[0] + active.T @ (
                np.linalg.pinv(active @ active.T) @ lack
            )
            distance = np.linalg.norm(point - unit[0])
            meets = (unit[1:] @ point >= tau - 1e-9).all()
            if meets and distance < nearest:
                best, nearest = point, distance
    return best * lengths[0] / np.linalg.norm(best)


class TestUpdate:
    def test_by_hand(self):
        # g_2 . d = 0: what is left of g_1 lies along (1, 1), as long as g_1.
        weights = PCD(0, tau=0.0).update([[1.0, -1.0], [-1.0, 2.0]])
        np.testing.assert_allclose(
            value(weights), [2**0.5, 0.5 * 2**0.5], rtol=1e-5
        )

    @pytest.mark.parametrize("size", slow_except([2, 3, 5], 3))
    @pytest.mark.parametrize("tau", [0.0, 0.02, 0.5])
    def test_nearest_direction_in_which_all_gain(self, size, tau):
        rng = np.random.default_rng(size)
        norms = 10.0 ** rng.uniform(-1, 1, (10, size, 1))
        rows = (rng.standard_normal((10, size, 7)) * norms).astype("float32")
        updates = updates_of(PCD(0, tau=tau), rows)
        for jacobian, update in zip(rows.astype("float64"), updates):
            error = np.linalg.norm(update - direction(jacobian, tau))
            assert error < 2e-4 * np.linalg.norm(jacobian[0])

    @pytest.mark.parametrize("size", [2, 3])
    def test_what_rounding_makes_of_nearly_opposed_gradients(self, size):
        """The inner products round 1 + cosine, which is all that is left.

        As the docstring says: 1e-7 (|g| / |d|)^2, times 20 at most. A gap of
        4e-4 in an update of 2.8, as training with momentum once gave, is such
        a case, and no fault of the step.
        """
        rng = np.random.default_rng(size)
        rows = rng.standard_normal((200, size, 12))
        apart = 10.0 ** rng.uniform(-3, 0, (200, 1))
        rows[:, 1] = apart * rows[:, 1] - rows[:, 0]
        rows = rows.astype("float32")
        grams = rows @ rows.transpose(0, 2, 1)
        weights = value(PCD(0, tau=0.02).update(grams))
        rows = rows.astype("float64")
        updates = np.einsum("bt,btn->bn", weights, rows)
        expected = np.stack([direction(jacobian, 0.02) for jacobian in rows])
        main = np.linalg.norm(rows[:, 0], axis=1)
        errors = np.linalg.norm(updates - expected, axis=1) / main
        # (|g| / |d|)^2: the main gradient's weight says how d was stretched.
        stretch = (weights[:, 0] * main) ** 2 / (updates**2).sum(axis=1)
        assert (errors < 20 * 1e-7 * stretch).all()
        # Seen, so that the sentence is no excuse for what does not happen.
        assert 1e-4 < errors.max() < 5e-3

    @pytest.mark.parametrize("tau, expected", [(0.0, 0.002), (0.5, 0.0)])
    def test_narrow_cone(self, tau, expected):
        # |x| <= 0.002 y - tau: d is (4e-6, 0.002) and (0, 250), where the
        # update was 0, as if no loss could fall, and the main gradient.
        rows = [[3.0, 0.0], [-1.0, 0.002], [1.0, 0.002], [0.0, 1.0]]
        update = value(PCD(0, tau=tau)(np.array(rows, "float32")))
        np.testing.assert_allclose(update, [3 * expected, 3], atol=3e-4)

    def test_no_conflict_leaves_the_main_gradient(self):
        rows = np.array([[3.0, 1.0], [1.0, 0.5], [0.0, 9.0]], "float32")
        update = value(PCD(0)(rows))
        np.testing.assert_allclose(update, rows[0], rtol=1e-6)

    def test_opposed_auxiliaries_leave_the_main_gradient(self):
        rows = np.array([[3.0, 1.0], [1.0, 0.5], [-1.0, -0.5]], "float32")
        update = value(PCD(0)(rows))
        np.testing.assert_allclose(update, rows[0], rtol=1e-6)

    def test_zero_main_gradient_stops(self):
        rows = np.array([[0.0, 0.0], [1.0, 0.5]], "float32")
        np.testing.assert_array_equal(value(PCD(0)(rows)), 0.0)

    def test_zero_auxiliary_changes_nothing(self):
        rows = np.array([[1.0, 0.0], [0.0, 0.0], [-1.0, 1.0]], "float32")
        pair = value(PCD(0)(rows[[0, 2]]))
        np.testing.assert_allclose(value(PCD(0)(rows)), pair, rtol=1e-5)

    @pytest.mark.parametrize("main", [0, 1, 2])
    def test_any_task_can_be_the_main_one(self, main):
        rows = np.random.default_rng(1).standard_normal((3, 4))
        others = [t for t in range(3) if t != main]
        first = value(PCD(0)(rows[[main, *others]]))
        np.testing.assert_allclose(value(PCD(main)(rows)), first)

    @pytest.mark.parametrize("scale", [1e-15, 1e15])
    def test_common_scale(self, scale):
        rows = np.random.default_rng(2).standard_normal((3, 5))
        small = value(PCD(0)((rows * scale).astype("float32")))
        expected = value(PCD(0)(rows.astype("float32")))
        # epsilon adds to mean squares: below it tau is a share of less.
        np.testing.assert_allclose(small / scale, expected, atol=0.05)


class TestMeanSquares:
    def test_sequence(self):
        # A task whose gradients have fallen asks for less.
        rng = np.random.default_rng(3)
        rule = PCD(0, tau=0.5, beta=0.5, epsilon=1e-12)
        mean, total = np.zeros(2), 0.0
        for factor in (1.0, 0.1, 0.01):
            rows = rng.standard_normal((2, 3)) * [[1.0], [factor]]
            mean = 0.5 * mean + 0.5 * (rows**2).sum(axis=1)
            total = 0.5 * total + 0.5
            scaled = rows / np.sqrt(mean / total)[:, None]
            lack = 0.5 * scaled[1] @ scaled[1] - scaled[1] @ scaled[0]
            share = max(lack, 0) / (scaled[1] @ scaled[1])
            expected = scaled[0] + share * scaled[1]
            length = np.linalg.norm(expected)
            expected *= np.linalg.norm(rows[0]) / length
            update = value(rule(rows.astype("float32")))
            np.testing.assert_allclose(update, expected, rtol=1e-4, atol=1e-5)

    def test_loss_weight_of_an_auxiliary_does_not_matter(self):
        rng = np.random.default_rng(4)
        rules = PCD(0), PCD(0)
        for _ in range(3):
            rows = rng.standard_normal((3, 4)).astype("float32")
            heavy = rows * np.array([[1.0], [50.0], [1.0]], "float32")
            a, b = (value(r(x)) for r, x in zip(rules, (rows, heavy)))
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    def test_absent_tasks_leave_them_alone(self):
        rule = PCD(0)
        rule.update(np.eye(3))
        squares = value(rule.squares)
        gram = np.diag([4.0, 0.0, 4.0])
        rule.update(gram, StepInfo(present=np.array([True, False, True])))
        moved = value(rule.squares) != squares
        np.testing.assert_array_equal(moved, [True, False, True])

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_overflow_shows(self, bad):
        """And the trainer undoes what it did to the mean squares."""
        assert np.isnan(value(PCD(0).update(np.full((3, 3), bad)))).all()

    def test_a_look_is_no_step(self):
        rule = PCD(0)
        rule.update(np.eye(3))
        before = [value(v) for v in rule.variables]
        seen = value(rule.weights(np.diag([4.0, 1.0, 2.0])))
        for variable, held in zip(rule.variables, before, strict=True):
            np.testing.assert_array_equal(value(variable), held)
        again = value(rule.update(np.diag([4.0, 1.0, 2.0])))
        np.testing.assert_array_equal(seen, again)


@pytest.mark.parametrize("steps", [1, 2, 1000])
def test_mean_squares_count_their_steps_to_the_last_digit(steps):
    """1 - 0.999^steps as a difference in float32 is off by 1e-5."""
    method = PCD(0, beta=0.999, epsilon=1e-30)
    gram = np.diag([4.0, 9.0]).astype("float32")
    method.update(gram)
    right = 1 - 0.999 ** np.float64(steps)
    method.steps.assign(np.full(2, steps - 1.0))
    # Squares of 4 and 9 whose mean it is to be.
    held = (right - 0.001) / 0.999 * np.array([4.0, 9.0])
    method.squares.assign(held)
    moved = method._moved_squares(ops.convert_to_tensor(gram), StepInfo())
    scales = value(method._scales(*moved))
    np.testing.assert_allclose(scales, [1 / 2, 1 / 3], rtol=1e-6)


@pytest.mark.slow
def test_keeps_what_aggregators_promise():
    # epsilon is added to mean squares, whatever the scale.
    testing.check_aggregator(
        PCD(0, tau=0.1),
        [testing.assert_structure],
    )


@pytest.mark.parametrize(
    "kwargs, message",
    [
        ({"main_task": None}, "`main_task` must be the name"),
        ({"main_task": 0, "tau": 1.5}, "`tau` must be a number"),
        ({"main_task": 0, "beta": 1.0}, "`beta` must be a number"),
        ({"main_task": 0, "epsilon": 0}, "`epsilon` must be a number above"),
    ],
)
def test_bad_arguments_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PCD(**kwargs)


def test_unknown_tasks_are_refused():
    with pytest.raises(ValueError, match="does not know its tasks yet"):
        PCD("main").update(np.eye(2))
    with pytest.raises(ValueError, match="must be one of the tasks"):
        PCD("main").build(["a", "b"])
    with pytest.raises(ValueError, match="an index below 2"):
        PCD(2).update(np.eye(2))


def test_a_single_task_keeps_its_gradient():
    weights = PCD(0).update(np.float32([[2.0]]))
    assert ops.convert_to_numpy(weights).tolist() == [1.0]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
