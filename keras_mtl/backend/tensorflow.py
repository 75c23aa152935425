"""TensorFlow: one tape, and a backward pass along it for each task."""

import contextlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.backend.neutral import Gradients
from keras_mtl.backend.neutral import Passes
from keras_mtl.backend.neutral import Scalars
from keras_mtl.backend.slices import Slices
from keras_mtl.types import Tensor

__all__ = [
    "TAKES_GRADIENTS",
    "apply_gradients",
    "batch_size",
    "compiled",
    "differentiate",
    "num_replicas",
    "on_all_replicas",
    "outside_trace",
    "sum_over_replicas",
    "task_gradients",
]

TAKES_GRADIENTS = True


def differentiate(
    forward: Callable,
    model: keras.Model,
    cuts: bool = False,
    sparse: bool = False,
) -> tuple[Any, Passes]:
    del cuts, sparse  # A tape hands rows of tables back by itself.
    leaves: list[Tensor] = []
    with tf.GradientTape(persistent=True) as tape:

        def cut(tensor: Tensor) -> Tensor:
            leaf = tf.stop_gradient(tensor)
            tape.watch(leaf)
            leaves.append(leaf)
            return leaf

        scalars, carried = forward(cut)
    return carried, TapePasses(tape, scalars, leaves, model)


class TapePasses(Passes):
    """Backward passes along one tape."""

    def __init__(
        self,
        tape: tf.GradientTape,
        scalars: Scalars,
        leaves: list[Tensor],
        model: keras.Model,
    ):
        self.tape = tape
        self.scalars = scalars
        self.leaves = leaves
        self.variables = model.trainable_variables

    def total(self) -> list[Any]:
        # Rows of tables stay as TensorFlow has them, for the optimizer.
        targets = self.scalars.tasks + self.scalars.rest
        return self.tape.gradient(targets, self.variables)

    def below(self, signal: Sequence[Tensor | None]) -> list[Tensor | None]:
        # To a tape, no gradient at the output means ones.
        used = [i for i, g in enumerate(signal) if g is not None]
        gradients = self.tape.gradient(
            [self.scalars.sources[i] for i in used],
            self.variables,
            output_gradients=[signal[i] for i in used],
        )
        return [_whole(gradient) for gradient in gradients]

    def _pass(self, select: Callable[[Scalars], list]) -> Gradients:
        # Of several targets a tape takes the gradient of the sum.
        sources = self.variables + self.leaves
        found = self.tape.gradient(select(self.scalars), sources)
        count = len(self.variables)
        gradients = [
            _to_slices(g, v.shape[0]) if isinstance(g, tf.IndexedSlices) else g
            for g, v in zip(found[:count], self.variables, strict=True)
        ]
        return Gradients(gradients, [_whole(g) for g in found[count:]])


def task_gradients(
    losses: Callable, values: list[Tensor]
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    with tf.GradientTape(
        persistent=True, watch_accessed_variables=False
    ) as tape:
        tape.watch(values)
        results = losses(values)
    rows = [tape.gradient(loss, values) for loss in results]
    return results, [[_whole(g) for g in row] for row in rows]


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Any],
    variables: Sequence[keras.Variable],
) -> list[Any]:
    if optimizer.loss_scale_factor is not None:
        # Keras divides by it, and TensorFlow divides no rows of a table.
        gradients = [_whole(gradient) for gradient in gradients]
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    return list(gradients)


def compiled(
    function: Callable,
    variables: Sequence[keras.Variable] = (),
    jit_compile: bool | str = True,
) -> Callable:
    # Keras traces its training step without autograph, too: with it, a Python
    # `if` on a tensor would pass here and fail in `fit`.
    return tf.function(function, jit_compile=jit_compile, autograph=False)


def batch_size(tensor: Tensor) -> Tensor:
    # Keras asks for the rank, which a dataset need not know.
    return tf.shape(tensor)[0]


def outside_trace() -> contextlib.AbstractContextManager:
    return tf.init_scope()


def num_replicas() -> int:
    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(values: Any) -> Any:
    # While replicas wait for each other, Python goes on in another replica's
    # thread: what a step keeps in attributes must be one value a thread.
    if num_replicas() == 1:
        return values
    context = tf.distribute.get_replica_context()
    # None outside of a step, as when Keras builds the losses.
    return values if context is None else context.all_reduce("SUM", values)


def on_all_replicas(flag: Tensor) -> Tensor:
    if num_replicas() == 1:
        return flag
    missing = tf.cast(tf.logical_not(flag), "float32")
    return tf.equal(sum_over_replicas(missing), 0.0)


def _whole(gradient: Tensor | tf.IndexedSlices | None) -> Tensor | None:
    is_rows = isinstance(gradient, tf.IndexedSlices)
    return tf.convert_to_tensor(gradient) if is_rows else gradient


def _to_slices(gradient: tf.IndexedSlices, num_rows: int) -> Slices:
    # An id that the table does not have is an error of the lookup, which says
    # in what layer, and not of what comes after it. Where lookups raise none,
    # as with XLA, it trains no row.
    ids = tf.clip_by_value(gradient.indices, 0, num_rows - 1)
    values = gradient.values
    known = tf.reshape(
        ids == gradient.indices, [-1] + [1] * (len(values.shape) - 1)
    )
    values = tf.where(known, values, tf.zeros((), values.dtype))
    return Slices(ids, values, num_rows, _origin(gradient.indices))


def _origin(indices: Tensor) -> Any:
    """Equal for indices that the gradients of two tasks take from one place.

    The backward pass of each makes them anew, out of those of the lookups.
    """
    if not tf.is_symbolic_tensor(indices):
        return id(indices)
    if indices.op.type in ("Identity", "Reshape"):
        return _origin(indices.op.inputs[0])
    if indices.op.type == "ConcatV2":
        return tuple(_origin(part) for part in indices.op.inputs[:-1])
    return indices.ref()
