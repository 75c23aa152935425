"""How many replicas of `tf.distribute` share a batch."""

import keras


def num_replicas() -> int:
    """Replicas in sync under the current strategy; 1 on JAX.

    JAX's step sees the whole batch, however many devices hold it.
    """
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync
