"""Task gradients of a function of values, on TensorFlow."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_mtl.backend.tensorflow import _gradients

Tensor = Any


def task_gradients(
    losses: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor]
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    """T losses, and the gradients of each; `None` where there is no path."""
    with tf.GradientTape(
        persistent=True, watch_accessed_variables=False
    ) as tape:
        tape.watch(values)
        results = losses(values)
    return results, [_gradients(tape, loss, values) for loss in results]


def compiled(function: Callable, model: Any) -> Callable:
    """The function, compiled as the model's training step is."""
    if model.run_eagerly:
        return function
    # As Keras does: what autograph converts, it wraps errors of.
    return tf.function(function, jit_compile=model.jit_compile, autograph=False)
