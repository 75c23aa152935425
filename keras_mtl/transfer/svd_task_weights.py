"""Task weights that are robust to label noise."""

from typing import Any

import numpy as np

from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import is_integer


def svd_task_weights(
    features: Any,
    labels: dict[str, Any],
    rank: int = 1,
    center: bool = False,
) -> dict[str, float]:
    """Weights tasks by the part of their signal that lies in common directions.

    With features X and the labels y_t of task t let theta_t = X'y_t, and U the
    left singular vectors of [theta_1, ..., theta_T] that belong to the `rank`
    largest singular values. The weights are |theta_t' U|, divided by their
    mean (the paper leaves their scale open). Random labels depend on the
    features in no direction, least of all in one that other tasks share.

    It is for tasks with the same inputs and labels of the same kind: twice the
    labels are twice the weight. Code two classes as -1 and 1, or as 0 and 1
    with `center=True`; one-hot encode more than two. A task with several
    columns has a theta of as many, and the Frobenius norm is taken.

    Computed once, in NumPy and float64.

    Args:
        features: Array `[n, d]`, the inputs or what a frozen model makes of
            them (the layer before the heads, pooled); further axes are
            flattened.
        labels: A dict from names of tasks to numeric arrays `[n]` or `[n, m]`.
        rank: How many directions count, from 1 to the number of columns of all
            labels. With all of them, weights are |theta_t| over the mean.
        center: Whether to subtract its mean from each column of the labels, as
            a head with a bias does. The paper does not. Wherever features have
            a mean that is far from zero (after a ReLU) and labels too (0 and
            1), that mean would hide what the labels depend on.

    Returns:
        A dict from names of tasks to weights; not negative, with mean one.

    Raises:
        ValueError: If shapes do not fit, or entries are missing.

    Example:

    >>> x = np.eye(2)
    >>> svd_task_weights(x, {"a": x[:, 0], "b": x[:, 0], "c": x[:, 1] / 2})
    {'a': 1.5, 'b': 1.5, 'c': 0.0}

    Reference:

    - [Understanding and Improving Information Transfer in Multi-Task Learning](
        https://arxiv.org/abs/2005.00944), Wu, Zhang and Re 2020, algorithm 2
    """
    if not isinstance(labels, dict) or not labels:
        raise ValueError(
            "`labels` must be a dict from names of tasks to arrays. Received: "
            f"labels of type {type(labels).__name__}"
        )
    center = boolean("center", center)
    features = _matrix("features", features)
    columns = {
        name: _labels(name, values, len(features), center)
        for name, values in labels.items()
    }
    thetas = {name: features.T @ values for name, values in columns.items()}
    stacked = np.concatenate(list(thetas.values()), axis=1)
    if not is_integer(rank) or not 1 <= rank <= stacked.shape[1]:
        raise ValueError(
            "`rank` must be an integer from 1 to the number of columns of the "
            f"labels, {stacked.shape[1]}. Received: rank={rank!r}"
        )
    directions = np.linalg.svd(stacked, full_matrices=False)[0][:, :rank]
    shares = {
        name: float(np.linalg.norm(theta.T @ directions))
        for name, theta in thetas.items()
    }
    mean = sum(shares.values()) / len(shares)
    if mean == 0:
        raise ValueError(
            "`labels` of every task are orthogonal to all `features`, so there "
            "is nothing to compare."
        )
    return {name: share / mean for name, share in shares.items()}


def _matrix(argument: str, values: Any) -> np.ndarray:
    """The values as float64 `[n, columns]`, none of them missing."""
    values = np.asarray(values, "float64")
    if values.ndim == 0 or not np.isfinite(values).all():
        raise ValueError(
            f"`{argument}` must be an array with an entry for each example, "
            "without NaN or infinity. Leave examples with missing labels out, "
            f"for all tasks. Received: an array of shape {values.shape}"
        )
    return values.reshape(len(values), -1)


def _labels(name: str, values: Any, count: int, center: bool) -> np.ndarray:
    argument = f"labels[{name!r}]"
    values = _matrix(argument, values)
    if len(values) != count:
        raise ValueError(
            f"`{argument}` must have an entry for each of the {count} examples "
            f"in `features`. Received: {len(values)} entries"
        )
    return values - values.mean(axis=0) if center else values
