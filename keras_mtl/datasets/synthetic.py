"""Two synthetic regression tasks that share some of their frequencies."""

import numpy as np

FREQUENCIES = {
    "y1": np.r_[0:30, 50:80, 100:130],
    "y2": np.r_[25:50, 75:100, 125:150],
}


def synthetic_sine(
    num_examples: int,
    seed: int = 0,
    noise: float = 0.2,
    num_features: int = 200,
    frequency_scale: float = 1.0,
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draws two sums of sines of one variable, the sum of all features.

    With `x = x_1 + ... + x_200` and uniform features in `[-0.5, 0.5]`, task
    `t` is `y_t = sum_w sin(w * x + noise * e_t)` over its frequencies `w`:
    90 integers up to 129 for `"y1"`, 75 up to 149 for `"y2"`, 15 in both.
    `e_t` is standard normal, one draw for each example and task. (Equation 6
    of the reference lacks the sine, which its authors' slides have.)

    For scale: predicting the mean leaves a squared error of about 45 for
    `"y1"` and 37 for `"y2"`.

    Args:
        num_examples: int, at least 1. The reference has 100,000 for training
            and 10,000 for test.
        seed: int. Use another one for test data.
        noise: float, standard deviation of the phases in radians. Defaults to
            `0.2`.
        num_features: int, at least 1. Defaults to `200`.
        frequency_scale: float, multiplies all frequencies. The reference's
            data are hard: a small network memorises 20,000 examples long
            before it predicts others. With 10 features and a scale of `0.3`
            it learns the functions within a minute. Defaults to `1.0`.

    Returns:
        `(x, {"y1": y1, "y2": y2})` with `float32` arrays of the shapes
        `(num_examples, num_features)` and `(num_examples, 1)`.

    Example:

    ```python
    x, y = keras_mtl.datasets.synthetic_sine(1_000)
    model.fit(x, y)
    ```

    References:

    - [Wang et al., 2020](https://arxiv.org/abs/2008.05808), appendix A.2.1
    """
    if num_examples < 1:
        raise ValueError(
            "`num_examples` must be at least 1. "
            f"Received: num_examples={num_examples}"
        )
    if noise < 0:
        raise ValueError(
            f"`noise` must not be negative. Received: noise={noise}"
        )
    if num_features < 1:
        raise ValueError(
            "`num_features` must be at least 1. "
            f"Received: num_features={num_features}"
        )
    if frequency_scale <= 0:
        raise ValueError(
            "`frequency_scale` must be above 0. "
            f"Received: frequency_scale={frequency_scale}"
        )
    rng = np.random.default_rng(seed)
    x = rng.uniform(-0.5, 0.5, (num_examples, num_features))
    # A task's noise is drawn after the features, whatever `noise` is, so that
    # the same seed gives the same features with and without it.
    phases = rng.standard_normal((len(FREQUENCIES), num_examples, 1))
    total = x.sum(axis=1, keepdims=True)
    labels = {
        task: _sines(total, frequency_scale * frequencies, noise * phase)
        for (task, frequencies), phase in zip(
            FREQUENCIES.items(), phases, strict=True
        )
    }
    return x.astype("float32"), labels


def _sines(
    total: np.ndarray, frequencies: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    y = np.zeros_like(total)
    # One frequency at a time: all at once would take gigabytes.
    for frequency in frequencies:
        y += np.sin(frequency * total + phase)
    return y.astype("float32")
