"""Making variables while a training step is being traced."""

import contextlib

import keras


def lifted() -> contextlib.AbstractContextManager:
    """A context in which variables are made outside the function traced."""
    if keras.backend.backend() != "tensorflow":
        return contextlib.nullcontext()
    import tensorflow as tf

    return tf.init_scope()
