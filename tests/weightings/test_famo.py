"""FAMO against its Jacobian and Adam written out in float64."""

import numpy as np
import pytest
from keras import ops

from keras_mtl.weightings import Observed
from keras_mtl.weightings.famo import FAMO

NAN = float("nan")
NAMES = ["a", "b", "c"]


def built(tasks=NAMES, **kwargs):
    weighting = FAMO(**kwargs)
    weighting.build(tasks)
    return weighting


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def reference(before, after, gamma=1e-3, rate=0.025):
    """Logits after steps: the whole Jacobian, and Adam as published."""
    logits = first = second = np.zeros(before.shape[1])
    for t, (old, new) in enumerate(zip(before, after), start=1):
        z = softmax(logits)
        jacobian = np.diag(z) - np.outer(z, z)
        gradient = jacobian.T @ (np.log(old) - np.log(new)) + gamma * logits
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        unbiased = first / (1 - 0.9**t), second / (1 - 0.999**t)
        logits = logits - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    return logits


def run(weighting, before, after):
    for old, new in zip(before, after):
        observed = Observed(losses_after=np.array(new, "float32"))
        weighting.update(np.array(old, "float32"), observed)
    return ops.convert_to_numpy(weighting.logits)


RNG = np.random.default_rng(0)
BEFORE = RNG.uniform(0.5, 2.0, (30, 3))
AFTER = BEFORE * RNG.uniform(0.7, 1.05, (30, 3))


@pytest.mark.parametrize("gamma", [1e-3, 0.5])
def test_thirty_steps(gamma):
    np.testing.assert_allclose(
        run(built(gamma=gamma), BEFORE, AFTER),
        reference(BEFORE, AFTER, gamma),
        atol=2e-5,
    )


def test_weights():
    weighting = built(min_losses={"b": 0.5})
    logits = np.array([0.3, -0.2, 0.1])
    weighting.logits.assign(logits)
    losses = np.array([1.0, 2.0, 4.0], "float32")
    shares = softmax(logits) / (losses - [0, 0.5, 0])
    np.testing.assert_allclose(
        weighting.weights(losses), shares / shares.sum(), rtol=1e-5
    )


def test_bounds_are_subtracted():
    bounds = [0.1, 0.2, 0.0]
    weighting = built(min_losses=bounds)
    np.testing.assert_allclose(
        run(weighting, BEFORE + bounds, AFTER + bounds),
        reference(BEFORE, AFTER),
        atol=2e-4,
    )


def test_less_progress_gains_weight():
    logits = run(built(), [[1.0, 1.0, 1.0]], [[0.5, 0.9, 0.8]])
    assert logits[1] > 0 > logits[0]


@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_a_task_without_labels_stays_as_it_is(bad):
    """The others move as if there were only them."""
    weighting = built()
    run(weighting, BEFORE, AFTER)
    state = [ops.convert_to_numpy(v).copy() for v in weighting.variables]
    others = built(["a", "b"])
    for variable, value in zip(others.variables, state):
        variable.assign(value[:2])
    logits = run(weighting, [[1.0, 2.0, bad]], [[0.5, 1.9, bad]])
    alone = run(others, [[1.0, 2.0]], [[0.5, 1.9]])
    np.testing.assert_allclose(logits[:2], alone, rtol=1e-6)
    for variable, value in zip(weighting.variables, state):
        assert ops.convert_to_numpy(variable)[2] == value[2]


def test_a_loss_at_its_bound_takes_no_part():
    weights = ops.convert_to_numpy(
        built().weights(np.array([1.0, 0.0, 1.0], "float32"))
    )
    np.testing.assert_allclose(weights, [0.5, 0, 0.5], rtol=1e-6)


def test_an_absent_task_takes_no_part_above_a_negative_bound():
    weighting = built(min_losses=-1.0)
    losses = ops.convert_to_tensor(np.array([2.0, 0.0, 2.0], "float32"))
    weights = weighting.weights(losses, present=np.array([True, False, True]))
    np.testing.assert_allclose(weights, [0.5, 0.0, 0.5])


def test_all_losses_at_their_bounds():
    weights = built().weights(np.zeros(3, "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(weights), 0)


def test_scales_of_losses_do_not_matter():
    """A loss a thousand times as large has the same say."""
    weighting = built()
    weighting.logits.assign([0.3, -0.2, 0.1])
    losses = np.array([1.0, 2.0, 4.0], "float32")
    shares = []
    for scales in ([1.0, 1.0, 1.0], [1e-3, 1.0, 1e5]):
        scaled = losses * np.array(scales, "float32")
        weights = ops.convert_to_numpy(weighting.weights(scaled))
        np.testing.assert_allclose(weights.sum(), 1, rtol=1e-5)
        shares.append(weights * scaled / (weights * scaled).sum())
    np.testing.assert_allclose(shares[0], shares[1], rtol=1e-4)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"learning_rate": 0}, "`learning_rate` must be a number above 0"),
        ({"gamma": -1}, "`gamma` must be a number from 0 up"),
        ({"min_losses": "zero"}, "`min_losses` must be a dict"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        FAMO(**arguments)


def test_bounds_of_other_tasks():
    with pytest.raises(ValueError, match=r"`min_losses` has entries \['d'\]"):
        built(min_losses={"d": 1.0})


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
