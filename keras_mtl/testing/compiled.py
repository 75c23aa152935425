"""Running a method as a compiled training step would."""

from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras


def compiled(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable] = (),
    jit_compile: bool = True,
) -> Callable[..., Any]:
    """Compiles a function of tensors that may update variables.

    Args:
        function: Function of tensors, in Keras operations.
        variables: The variables that it assigns, as `aggregator.variables`.
        jit_compile: On TensorFlow, whether XLA compiles the graph; JAX always
            compiles.

    Returns:
        A function of the same arguments and results. Its effect on
        `variables` is as if it were not compiled. As in `fit`, there is no
        Python `if` or `for` on the value of a tensor.

    Raises:
        ValueError: If the backend is neither TensorFlow nor JAX.

    Example:

    >>> aggregator = keras_mtl.aggregators.PCGrad(seed=0)
    >>> weights = compiled(aggregator.weights, aggregator.variables)
    >>> weights(gram)
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # Keras traces its training step without autograph, too: with it, a
        # Python `if` on a tensor would pass here and fail in `fit`.
        return tf.function(function, jit_compile=jit_compile, autograph=False)
    if backend == "jax":
        return _jax_compiled(function, list(variables))
    raise ValueError(
        "`compiled` knows the backends 'tensorflow' and 'jax'. Received: "
        f"{backend!r}"
    )


def _jax_compiled(
    function: Callable[..., Any], variables: list[keras.Variable]
) -> Callable[..., Any]:
    import jax

    @jax.jit
    def stateless(values: list[Any], *args: Any) -> tuple[Any, list[Any]]:
        with keras.StatelessScope(zip(variables, values, strict=True)) as scope:
            result = function(*args)
        return result, [scope.get_current_value(v) for v in variables]

    def run(*args: Any) -> Any:
        result, values = stateless([v.value for v in variables], *args)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return result

    return run
