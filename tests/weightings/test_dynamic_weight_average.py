"""Dynamic weight average against sequences computed by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_mtl.model import MultiTaskModel
from keras_mtl.weightings.dynamic_weight_average import DynamicWeightAverage

NAN = float("nan")


def built(**kwargs):
    weighting = DynamicWeightAverage(**kwargs)
    weighting.build(["a", "b"])
    return weighting


def weights_of(weighting):
    return ops.convert_to_numpy(weighting.weights(np.zeros(2, "float32")))


def expected(ratios, temperature=2.0):
    powers = np.exp(np.array(ratios) / temperature)
    return len(ratios) * powers / powers.sum()


def run(weighting, epochs):
    """The weights in each epoch."""
    seen = []
    for epoch in epochs:
        seen.append(weights_of(weighting))
        for losses in epoch:
            weighting.update(np.array(losses, "float32"))
        weighting.end_epoch()
    return seen + [weights_of(weighting)]


# Means: (2, 4), (1, 3), (0.5, 3).
EPOCHS = [
    [[3.0, 4.0], [1.0, 4.0]],
    [[1.0, 3.0], [1.0, 3.0]],
    [[0.5, 2.0], [0.5, 4.0]],
]


@pytest.mark.parametrize("temperature", [2.0, 0.5])
def test_epochs(temperature):
    seen = run(built(temperature=temperature), EPOCHS)
    want = [
        [1, 1],
        [1, 1],
        expected([1 / 2, 3 / 4], temperature),
        expected([0.5, 1.0], temperature),
    ]
    np.testing.assert_allclose(seen, want, rtol=1e-6)


def test_windows_of_steps_are_epochs_of_as_many():
    steps = [[step] for epoch in EPOCHS for step in epoch]
    by_steps = run(built(window=2), steps)
    by_epochs = run(built(), EPOCHS)
    np.testing.assert_array_equal(by_steps[::2], by_epochs)
    np.testing.assert_array_equal(by_steps[1::2], by_epochs[:-1])


def test_steps_without_labels_do_not_count():
    epochs = [
        [[2.0, NAN], [NAN, 4.0]],
        [[1.0, 3.0], [np.inf, NAN]],
    ]
    seen = run(built(), epochs)
    np.testing.assert_allclose(seen[-1], expected([0.5, 0.75]), rtol=1e-6)


def test_an_epoch_without_labels_keeps_the_ratio():
    epochs = EPOCHS[:2] + [[[0.25, NAN]], [[0.25, 1.5]]]
    seen = run(built(), epochs)
    np.testing.assert_allclose(seen[-2], expected([0.25, 0.75]), rtol=1e-6)
    np.testing.assert_allclose(seen[-1], expected([1.0, 0.5]), rtol=1e-6)


def test_a_loss_of_zero_has_no_ratio():
    seen = run(built(), [[[0.0, 1.0]], [[1.0, 1.0]]])
    np.testing.assert_allclose(seen[-1], [1, 1])


def test_fit_ends_epochs():
    """The means are those that the history shows."""
    inputs = keras.Input((3,))
    outputs = {n: keras.layers.Dense(1, name=n)(inputs) for n in "ab"}
    model = MultiTaskModel(inputs, outputs)
    weighting = DynamicWeightAverage()
    model.compile(
        keras.optimizers.SGD(0.05),
        loss={"a": "mse", "b": "mse"},
        weighting=weighting,
        jit_compile=False,
    )
    rng = np.random.default_rng(0)
    x = rng.normal(size=(8, 3)).astype("float32")
    y = {n: x @ rng.normal(size=(3, 1)) for n in "ab"}
    history = model.fit(x, y, batch_size=4, epochs=3, verbose=0).history
    ratios = [history[f"{n}_loss"][2] / history[f"{n}_loss"][1] for n in "ab"]
    np.testing.assert_allclose(
        weights_of(weighting), expected(ratios), rtol=1e-5
    )


@pytest.mark.parametrize("window", [0, -1, 1.5, "step", True])
def test_bad_window(window):
    with pytest.raises(ValueError, match="`window` must be 'epoch' or"):
        DynamicWeightAverage(window=window)


def test_bad_temperature():
    with pytest.raises(ValueError, match="`temperature` must be a number"):
        DynamicWeightAverage(temperature=0)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
