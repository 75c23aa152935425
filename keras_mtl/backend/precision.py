"""Matrix products in full float32."""

import contextlib

import keras


def full_precision() -> contextlib.AbstractContextManager:
    """A context in which JAX multiplies matrices in full float32.

    GPUs and TPUs round the factors to 10 or 8 bits by default. A conflict is
    the sign of an inner product that can be small beside its factors.
    TensorFlow has no such switch for a single product; see
    `tf.config.experimental.enable_tensor_float_32_execution`.
    """
    if keras.backend.backend() != "jax":
        return contextlib.nullcontext()
    import jax

    return jax.default_matmul_precision("float32")
