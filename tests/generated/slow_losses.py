"""Losses written out, and Keras' losses of the same names."""

from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
DELTA = 0.7
# Keras keeps probabilities and logarithms that far from zero.
EPSILON = 1e-7


def keras_loss(kind: str) -> Any:
    """What a user would give to `compile`."""
    made = {
        "huber": lambda: keras.losses.Huber(DELTA),
        "bce": lambda: keras.losses.BinaryCrossentropy(from_logits=True),
        "sparse_cce": lambda: keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        ),
        "cce": lambda: keras.losses.CategoricalCrossentropy(from_logits=True),
        "kld": keras.losses.KLDivergence,
    }
    return made[kind]() if kind in made else kind


def _mse(y: Tensor, p: Tensor) -> Tensor:
    return ops.mean((y - p) ** 2, axis=-1)


def _mae(y: Tensor, p: Tensor) -> Tensor:
    return ops.mean(ops.abs(y - p), axis=-1)


def _huber(y: Tensor, p: Tensor) -> Tensor:
    gap = ops.abs(y - p)
    far = DELTA * gap - DELTA**2 / 2
    return ops.mean(ops.where(gap <= DELTA, gap**2 / 2, far), axis=-1)


def _log_cosh(y: Tensor, p: Tensor) -> Tensor:
    return ops.mean(ops.log(ops.cosh(p - y)), axis=-1)


def _bce(y: Tensor, z: Tensor) -> Tensor:
    return ops.mean(ops.softplus(z) - y * z, axis=-1)


def _cce(y: Tensor, z: Tensor) -> Tensor:
    return ops.logsumexp(z, axis=-1) - ops.sum(y * z, axis=-1)


def _kld(y: Tensor, p: Tensor) -> Tensor:
    y, p = ops.clip(y, EPSILON, 1.0), ops.clip(p, EPSILON, 1.0)
    return ops.sum(y * (ops.log(y) - ops.log(p)), axis=-1)


def _poisson(y: Tensor, p: Tensor) -> Tensor:
    return ops.mean(p - y * ops.log(p + EPSILON), axis=-1)


VALUES = {
    "mse": _mse,
    "mae": _mae,
    "huber": _huber,
    "log_cosh": _log_cosh,
    "bce": _bce,
    "sparse_cce": _cce,
    "cce": _cce,
    "kld": _kld,
    "poisson": _poisson,
}


def task_loss(
    kind: str,
    labels: np.ndarray,
    prediction: Tensor,
    weights: np.ndarray,
    counts: np.ndarray,
) -> Tensor:
    """The mean over what counts of value times weight, in float64.

    Args:
        kind: Name of the loss.
        labels: As the model gets them, without missing ones.
        prediction: Output of the model.
        weights: One an example, `[N]`.
        counts: Booleans of the shape of the loss values.
    """
    prediction = ops.cast(prediction, "float64")
    labels = labels.astype("float64")
    if kind == "sparse_cce":
        labels = np.eye(prediction.shape[-1])[labels.astype("int64")]
    factors = counts / max(counts.sum(), 1)
    factors = factors * weights.reshape((-1,) + (1,) * (counts.ndim - 1))
    return ops.sum(VALUES[kind](labels, prediction) * factors)
