import numpy as np
import pytest
from keras import ops

from keras_mtl.trainers.gradient_conflict import GradientConflict

pytestmark = pytest.mark.backend


def gram_of(*cosines):
    """A Gram matrix of three unit gradients with these inner products."""
    gram = np.eye(3, dtype="float32")
    gram[np.triu_indices(3, 1)] = cosines
    return gram + np.triu(gram, 1).T


@pytest.mark.parametrize(
    "cosines, share",
    [
        ((0.5, 0.1, 0.2), 0.0),
        ((-0.5, 0.1, 0.2), 1 / 3),
        ((-0.5, 0.1, -0.2), 2 / 3),
        ((-0.5, -0.1, -0.2), 1.0),
        # No direction, no conflict.
        ((0.0, 0.0, -0.2), 1 / 3),
    ],
)
def test_share_of_pairs_with_negative_inner_product(cosines, share):
    metric = GradientConflict(3)
    metric.update_state(gram_of(*cosines), np.ones(3, "float32"))
    assert float(metric.result()) == pytest.approx(share)


def test_is_the_mean_over_steps():
    metric = GradientConflict(3)
    for cosines in [(-1, -1, -1), (1, 1, 1), (-1, 1, 1), (1, 1, 1)]:
        metric.update_state(gram_of(*cosines), np.ones(3, "float32"))
    assert float(metric.result()) == pytest.approx((1 + 1 / 3) / 4)
    assert int(metric.count) == 4


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_steps_that_overflow_do_not_count(bad):
    metric = GradientConflict(3)
    for cosines in [(-1, -1, -1), (bad, -1, 1), (1, 1, 1)]:
        metric.update_state(gram_of(*cosines), np.ones(3, "float32"))
    assert float(metric.result()) == pytest.approx(0.5)


@pytest.mark.parametrize("unit, square", [(2.0**-100, 0), (2.0**-10, 2**-20)])
def test_a_unit_tells_where_inner_products_are_rounded_to_zero(unit, square):
    metric = GradientConflict(3)
    gram = gram_of(-1, -1, 1)
    metric.update_state(gram, np.ones(3, "float32"), unit)
    assert float(metric.result()) == pytest.approx(2 / 3)
    np.testing.assert_array_equal(metric.gram, square * gram)
    np.testing.assert_array_equal(metric.scaled_gram, gram)
    assert float(metric.unit) == unit


def test_remembers_the_last_step():
    metric = GradientConflict(3)
    last = gram_of(-0.5, 0.25, 0.75)
    metric.update_state(gram_of(1, 1, 1), np.ones(3, "float32"))
    metric.update_state(last, np.array([1.0, 2.0, 3.0], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(metric.gram), last)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(metric.task_weights), [1, 2, 3]
    )


def test_reset_forgets_everything():
    metric = GradientConflict(3)
    metric.update_state(gram_of(-1, -1, -1), np.ones(3, "float32"))
    metric.reset_state()
    assert np.isnan(float(metric.result()))
    assert not np.any(ops.convert_to_numpy(metric.gram))


@pytest.mark.parametrize("steps", [0, 2])
def test_nothing_known_is_no_conflict_of_zero(steps):
    metric = GradientConflict(3)
    for _ in range(steps):
        metric.update_state(gram_of(np.nan, 1, 1), np.ones(3, "float32"))
    assert np.isnan(float(metric.result()))


def test_one_task_has_nobody_to_conflict_with():
    metric = GradientConflict(1)
    metric.update_state(np.ones((1, 1), "float32"), np.ones(1, "float32"))
    assert float(metric.result()) == 0.0


def test_is_called_gradient_conflict_in_the_logs():
    assert GradientConflict(2).name == "gradient_conflict"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
