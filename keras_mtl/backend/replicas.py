"""How many replicas of `tf.distribute` share a batch, and what they add up."""

from typing import Any

import keras

Tensor = Any


def num_replicas() -> int:
    """Replicas in sync under the current strategy; 1 on JAX.

    JAX's step sees the whole batch, however many devices hold it.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def sum_over_replicas(tensor: Tensor) -> Tensor:
    """The sum of what the replicas have; the tensor itself where it is one.

    While replicas wait for each other, Python goes on in another replica's
    thread: what a step keeps in attributes must be one value a thread.
    """
    if num_replicas() == 1:
        return tensor
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    # None outside of a step, as when Keras builds the losses.
    return tensor if context is None else context.all_reduce("SUM", tensor)


def on_all_replicas(flag: Tensor) -> Tensor:
    """Whether a boolean is true on every replica: all of them get one answer.

    Args:
        flag: Boolean scalar, in a training step.
    """
    if num_replicas() == 1:
        return flag
    missing = keras.ops.cast(keras.ops.logical_not(flag), "float32")
    return keras.ops.equal(sum_over_replicas(missing), 0.0)
