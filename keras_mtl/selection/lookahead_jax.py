"""Task gradients of a function of values, on JAX."""

from collections.abc import Callable
from typing import Any

import jax

from keras_mtl.backend.jax import _BackwardPasses

Tensor = Any


def task_gradients(
    losses: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor]
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    """T losses, and the gradients of each; `None` where there is no path."""

    def forward(values: list[Tensor]) -> tuple:
        return losses(values), [], []

    outputs, pushforward = jax.linearize(forward, values)
    passes = _BackwardPasses(outputs, pushforward, values)
    return outputs[0], [passes.task(t)[0] for t in range(len(outputs[0]))]


def compiled(function: Callable, model: Any) -> Callable:
    """The function, compiled as the model's training step is."""
    if model.run_eagerly or not model.jit_compile:
        return function
    return jax.jit(function)
