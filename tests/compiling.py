"""What tests compile, so that they are quick."""

from collections.abc import Callable
from typing import Any

import keras

from keras_mtl import testing


def compiled_on_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function with loops on JAX, where each call else would.

    TensorFlow and PyTorch run it as it is, sooner than TensorFlow traces it.

    Args:
        function: Function of tensors, in Keras operations.
    """
    if keras.backend.backend() == "jax":
        return testing.compiled(function)
    return function
