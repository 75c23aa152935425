"""Running a method as a compiled training step would."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl import backend


def compiled(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable] = (),
    jit_compile: bool = True,
) -> Callable[..., Any]:
    """Compiles a function of tensors that may update variables.

    Args:
        function: Function of tensors, in Keras operations.
        variables: The variables that it assigns, as `aggregator.variables`.
        jit_compile: On TensorFlow, whether XLA compiles the graph. JAX always
            compiles, and PyTorch runs the function as it is.

    Returns:
        A function of the same arguments and results. Its effect on
        `variables` is as if it were not compiled. As in `fit`, there is no
        Python `if` or `for` on the value of a tensor.

    Raises:
        NotImplementedError: On a backend that takes no gradients.

    Example:

    >>> aggregator = keras_mtl.aggregators.PCGrad(seed=0)
    >>> weights = compiled(aggregator.weights, aggregator.variables)
    >>> weights(gram)
    """
    jit_compile = jit_compile or keras.backend.backend() == "jax"
    return backend.compiled(function, variables, jit_compile)
