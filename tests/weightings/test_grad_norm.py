"""GradNorm: single steps by hand, and where it settles."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings import Observed
from keras_mtl.weightings.grad_norm import GradNorm

NAN = float("nan")


def built(tasks="ab", **kwargs):
    weighting = GradNorm(**kwargs)
    weighting.build(list(tasks))
    return weighting


def update(weighting, losses, norms):
    observed = Observed(gradient_norms=np.array(norms, "float32"))
    weighting.update(np.array(losses, "float32"), observed)
    return ops.convert_to_numpy(weighting.task_weights)


def test_two_steps_by_hand():
    weighting = built(alpha=1.5, learning_rate=0.1)
    # All rates are one, the mean norm is 2: b is too long, a too short.
    raw = np.array([1 + 0.1 * 1, 1 - 0.1 * 3])
    first = 2 * raw / raw.sum()
    np.testing.assert_allclose(
        update(weighting, [2.0, 5.0], [1.0, 3.0]), first, rtol=1e-6
    )
    # Loss ratios of 1 / 2 and 1: rates of 2 / 3 and 4 / 3.
    targets = 2.25 * np.array([2 / 3, 4 / 3]) ** 1.5
    norms = np.array([1.5, 3.0])
    raw = first - 0.1 * np.sign(norms - targets) * norms / first
    np.testing.assert_allclose(
        update(weighting, [1.0, 5.0], norms), 2 * raw / raw.sum(), rtol=1e-5
    )


def test_gradient_is_that_of_the_published_objective():
    """By finite differences, with the target held."""
    lengths, weights = np.array([0.7, 2.0, 1.1]), np.ones(3)
    rates = np.array([0.5, 0.9, 0.2]) / np.mean([0.5, 0.9, 0.2])
    targets = (weights * lengths).mean() * rates**0.8

    def objective(values):
        return np.abs(values * lengths - targets).sum()

    slope = np.array(
        [
            (objective(weights + step) - objective(weights - step)) / 2e-6
            for step in 1e-6 * np.eye(3)
        ]
    )
    raw = weights - 0.01 * slope
    weighting = built("abc", alpha=0.8, learning_rate=0.01)
    weighting.first_losses.assign([1.0, 1.0, 1.0])
    np.testing.assert_allclose(
        update(weighting, [0.5, 0.9, 0.2], lengths),
        3 * raw / raw.sum(),
        rtol=1e-5,
    )


@pytest.mark.slow
def test_alpha_of_zero_makes_norms_equal():
    weighting, lengths = built(alpha=0, learning_rate=0.002), np.array([1, 4])
    weights = np.ones(2)
    for _ in range(500):
        weights = update(weighting, [1.0, 1.0], weights * lengths)
    np.testing.assert_allclose(weights, [1.6, 0.4], atol=0.02)


def test_a_task_that_lags_behind_gains():
    weighting = built(learning_rate=0.01)
    update(weighting, [1.0, 1.0], [1.0, 1.0])
    for _ in range(10):
        weights = update(weighting, [0.1, 0.9], [1.0, 1.0])
    assert weights[1] > 1 > weights[0]


def test_first_losses_are_the_first_that_are_finite():
    weighting = built()
    update(weighting, [NAN, 3.0], [NAN, 1.0])
    update(weighting, [np.inf, 2.0], [1.0, 1.0])
    update(weighting, [5.0, 1.0], [1.0, 1.0])
    first = ops.convert_to_numpy(weighting.first_losses)
    np.testing.assert_array_equal(first, [5, 3])


@pytest.mark.parametrize("bad", [NAN, np.inf])
def test_a_task_without_labels_keeps_its_weight(bad):
    weighting, others = built("abc"), built("ab")
    update(weighting, [1.0, 1.0, 1.0], [1.0, 2.0, 1.5])
    start = ops.convert_to_numpy(weighting.task_weights)
    weights = update(weighting, [1.0, 0.5, bad], [1.0, 2.0, bad])
    assert weights[2] == start[2]
    np.testing.assert_allclose(weights.sum(), 3, rtol=1e-6)
    # The others move as if there were no third.
    others.first_losses.assign([1.0, 1.0])
    others.task_weights.assign(start[:2])
    alone = update(others, [1.0, 0.5], [1.0, 2.0])
    np.testing.assert_allclose(weights[:2], alone, rtol=1e-6)


@pytest.mark.parametrize(
    "norms", [[1e30, 1e-30], [3e38, 3e38], [0.0, 0.0], [1e6, 1.0]]
)
def test_weights_stay_positive_and_sum_to_t(norms):
    weighting = built()
    for _ in range(5):
        weights = update(weighting, [1.0, 1.0], norms)
    assert (weights > 0).all() and np.isfinite(weights).all()
    np.testing.assert_allclose(weights.sum(), 2, rtol=1e-5)


def test_evens_out_two_tasks_of_different_scale():
    """The paper's toy: the same task, once ten times as large."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype("float32")
    y = {n: s * x @ rng.normal(size=(5, 2)) for n, s in (("a", 1), ("b", 3))}
    inputs = keras.Input((5,))
    shared = keras.layers.Dense(8, activation="tanh", name="shared")(inputs)
    outputs = {n: keras.layers.Dense(2, name=n)(shared) for n in y}
    model = MultiTaskModel(inputs, outputs)
    weighting = GradNorm(alpha=0.12, learning_rate=0.01)
    model.compile(
        keras.optimizers.SGD(0.01),
        loss={"a": "mse", "b": "mse"},
        weighting=weighting,
        jit_compile=False,
    )
    model.fit(x, y, batch_size=32, epochs=20, verbose=0)
    weights = ops.convert_to_numpy(weighting.task_weights)
    assert weights[0] > 1.3 and weights[1] < 0.7


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"alpha": -1}, "`alpha` must be a number from 0 up"),
        ({"learning_rate": 0}, "`learning_rate` must be a number above 0"),
        ({"norm_layer": 3}, "`norm_layer` must be the name of a layer"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradNorm(**arguments)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
