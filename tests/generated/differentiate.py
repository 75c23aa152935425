"""The gradient of one scalar by one forward pass, on either backend."""

from collections.abc import Callable
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl.utils.keras_internals import get_keras_mask

Tensor = Any


class Derivatives(NamedTuple):
    """What one pass gives, in NumPy.

    Attributes:
        value: The scalar.
        alone: Another scalar, of which no gradient is taken.
        gradients: One for each trainable variable, `None` without a path.
        at_shared: The gradient at the output of the lower half.
        state: Values that the variables that are not trained would get.
    """

    value: float
    alone: float
    gradients: list[np.ndarray | None]
    at_shared: np.ndarray | None
    state: list[np.ndarray]


def differentiate(
    lower: keras.Model,
    upper: keras.Model,
    x: np.ndarray,
    scalar: Callable[[dict, list], tuple[Tensor, Tensor]],
) -> Derivatives:
    """Runs both halves and takes the gradient.

    No variable changes.

    Args:
        lower: From the inputs to the shared layer.
        upper: From there to a dict of outputs.
        x: The inputs.
        scalar: Makes both scalars of the outputs and the models' own losses.
    """
    if keras.backend.backend() == "tensorflow":
        return _with_tape(lower, upper, x, scalar)
    return _with_jax(lower, upper, x, scalar)


def trained(lower: keras.Model, upper: keras.Model) -> list[keras.Variable]:
    return lower.trainable_variables + upper.trainable_variables


def untrained(lower: keras.Model, upper: keras.Model) -> list[keras.Variable]:
    return lower.non_trainable_variables + upper.non_trainable_variables


def _with_tape(lower: Any, upper: Any, x: Any, scalar: Any) -> Derivatives:
    import tensorflow as tf

    variables = trained(lower, upper)
    rest = untrained(lower, upper)
    held = [v.numpy() for v in rest]
    with tf.GradientTape() as tape:
        shared = lower(x, training=True)
        tape.watch(shared)
        outputs = upper(shared, training=True, mask=get_keras_mask(shared))
        value, alone = scalar(outputs, lower.losses + upper.losses)
    sources = [v.value for v in variables] + [shared]
    found = [_to_numpy(g) for g in tape.gradient(value, sources)]
    state = [v.numpy() for v in rest]
    for variable, old in zip(rest, held, strict=True):
        variable.assign(old)
    return Derivatives(float(value), float(alone), found[:-1], found[-1], state)


def _to_numpy(gradient: Any) -> np.ndarray | None:
    import tensorflow as tf

    if gradient is None:
        return None
    return tf.cast(tf.convert_to_tensor(gradient), "float64").numpy()


def _with_jax(lower: Any, upper: Any, x: Any, scalar: Any) -> Derivatives:
    import jax
    import jax.numpy as jnp

    variables, rest = trained(lower, upper), untrained(lower, upper)
    # Only for its shape: what is added there has the gradient at it.
    nudge = jnp.zeros_like(lower(x, training=False))

    def run(values: list, nudge: Tensor) -> tuple:
        mapping = list(zip(variables, values, strict=True))
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            shared = lower(x, training=True)
            mask = get_keras_mask(shared)
            outputs = upper(shared + nudge, training=True, mask=mask)
            value, alone = scalar(outputs, lower.losses + upper.losses)
        found = [scope.get_current_value(v) for v in rest]
        state = [
            v.value if s is None else s
            for v, s in zip(rest, found, strict=True)
        ]
        return value, (alone, state)

    (value, (alone, state)), (gradients, at_shared) = jax.value_and_grad(
        run, argnums=(0, 1), has_aux=True
    )([v.value for v in variables], nudge)
    found = [np.asarray(g, "float64") for g in gradients]
    # JAX has zeros where no path leads.
    found = [g if g.any() else None for g in found]
    return Derivatives(
        float(value),
        float(alone),
        found,
        np.asarray(at_shared, "float64"),
        [np.asarray(s) for s in state],
    )
