"""What is differentiated: losses times weights, with auxiliaries and scale."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.trainers.objectives import make_objectives
from keras_mtl.trainers.task_losses import TaskRecord
from keras_mtl.weightings import Uncertainty
from keras_mtl.weightings import Weighting

pytestmark = pytest.mark.backend


class LossesAsWeights(Weighting):
    def weights(self, losses):
        return losses


def make_record(auxiliary=None):
    record = TaskRecord({})
    record.losses = {0: ops.array(2.0), 1: ops.array(3.0)}
    record.auxiliary_losses = auxiliary or {}
    return record


def make(record=None, rest=None, **kwargs):
    arguments = {
        "task_weights": [1.0, 0.5],
        "auxiliaries": None,
        "weighting": None,
        "optimizer": keras.optimizers.SGD(),
        **kwargs,
    }
    return make_objectives(record or make_record(), rest, **arguments)


def values(tensors):
    return [float(tensor) for tensor in tensors]


def test_loss_weights():
    objectives = make()
    assert values(objectives.tasks) == [2.0, 1.5]
    assert values(objectives.losses) == [2.0, 3.0]
    assert values(objectives.seen) == [2.0, 1.5]
    assert objectives.present is None
    assert objectives.rest is None


def test_a_weight_of_zero_keeps_a_task_out():
    class SecondOnly(Weighting):
        def weights(self, losses):
            return ops.convert_to_tensor([0.0, 4.0])

    objectives = make(weighting=SecondOnly())
    assert values(objectives.tasks) == [0.0, 6.0]
    assert values(objectives.present) == [False, True]
    # It has labels all the same, and a weighting may learn from its loss.
    assert values(objectives.seen) == [2.0, 1.5]


def test_a_weighting_may_ask_who_is_present():
    class Asking(Weighting):
        def weigh(self, losses, step):
            assert step.present is not None
            return 2.0 * ops.cast(step.present, "float32")

    objectives = make(weighting=Asking(), task_weights=[0.0, 1.0])
    assert values(objectives.tasks) == [0.0, 6.0]
    assert values(objectives.present) == [False, True]


def test_auxiliaries_fold_into_their_task():
    auxiliaries = SimpleNamespace(as_tasks=False, weight=2.0)
    record = make_record({1: ops.array(10.0)})
    objectives = make(record, auxiliaries=auxiliaries)
    assert values(objectives.tasks) == [2.0, 0.5 * (3 + 2 * 10)]


def test_auxiliaries_as_tasks_of_their_own():
    auxiliaries = SimpleNamespace(as_tasks=True, weight=2.0)
    record = make_record({1: ops.array(10.0)})
    objectives = make(record, auxiliaries=auxiliaries)
    assert values(objectives.tasks) == [2.0, 1.5, 0.5 * 2 * 10]


def test_the_weighting_sees_losses_times_loss_weights():
    objectives = make(weighting=LossesAsWeights())
    assert values(objectives.tasks) == [4.0, 1.5**2]


def test_loss_scaling_reaches_tasks_and_rest_but_not_the_losses():
    optimizer = keras.optimizers.SGD(loss_scale_factor=8.0)
    objectives = make(rest=ops.array(1.0), optimizer=optimizer)
    assert values(objectives.tasks) == [16.0, 12.0]
    assert float(objectives.rest) == 8.0
    assert float(objectives.scale) == 8.0
    np.testing.assert_allclose(objectives.losses, [2.0, 3.0])


class Draws(Weighting):
    """A method that draws: each call is a new draw."""

    calls = 0

    def weights(self, losses):
        self.calls += 1
        return ops.array([self.calls, 10.0 * self.calls])


def test_a_weighting_is_asked_once_a_step():
    weighting = Draws()
    objectives = make(weighting=weighting)
    assert weighting.calls == 1
    assert values(objectives.tasks) == [2.0, 15.0]


def test_penalties_are_added_to_their_task():
    weighting = Uncertainty(["b"], initial_log_variance=1.0)
    weighting.build(["a", "b"])
    objectives = make(weighting=weighting)
    expected = [2.0 / np.e + 0.5, 1.5 / np.e / 2 + 0.5]
    np.testing.assert_allclose(values(objectives.tasks), expected, rtol=1e-6)
    # However small what is trained becomes, the task takes part.
    assert objectives.present is None


@pytest.mark.parametrize("reason", ["no_label", "no_weight"])
def test_a_task_that_is_absent_teaches_nothing(reason):
    """Not even by the terms that a weighting adds to its loss."""
    weighting = Uncertainty(initial_log_variance=1.0)
    weighting.build(["a", "b"])
    record = make_record()
    weights = [1.0, 1.0]
    if reason == "no_label":
        record.losses[0] = ops.array(0.0)
        record.labelled = {0: ops.array(0.0), 1: ops.array(4.0)}
    else:
        weights = [0.0, 1.0]
    objectives = make(record, weighting=weighting, task_weights=weights)
    assert float(objectives.tasks[0]) == 0.0
    assert float(objectives.tasks[1]) > 0.0
    assert np.isnan(values(objectives.seen)).tolist() == [True, False]
    np.testing.assert_array_equal(objectives.present, [False, True])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
