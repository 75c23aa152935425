"""How many replicas of `tf.distribute` share a batch."""

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


def on_all_replicas(flag: Tensor) -> Tensor:
    """Whether a boolean is true on every replica: all of them get one answer.

    Args:
        flag: Boolean scalar, in a training step.
    """
    if num_replicas() == 1:
        return flag
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    missing = tf.cast(tf.logical_not(flag), tf.float32)
    return tf.equal(context.all_reduce("SUM", missing), 0.0)
