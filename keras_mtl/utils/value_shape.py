"""What a loss or a metric function returns, asked without values."""

from collections.abc import Callable

import keras

from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import compute_output_spec


def unusual_size(*shapes: Shape) -> int:
    """An even number, greater than all lengths in these shapes.

    A batch of that size shows which axis of a result is that of the batch.
    """
    return 2 + 2 * max(size or 1 for shape in shapes for size in shape)


def value_shape(
    function: Callable[[Tensor, Tensor], Tensor],
    y_true: Tensor,
    y_pred: Tensor,
    size: int,
) -> tuple[int | None, ...] | None:
    """Shape of what a function returns for a batch of another size.

    With the batch at hand one could not tell one value an example from one a
    column, or from a single value, where it happens to have as many examples.

    Args:
        function: Of labels and predictions.
        y_true: Labels.
        y_pred: Predictions.
        size: The batch size to ask for.

    Returns:
        The shape, or `None` if the function cannot be asked, as where it needs
        the values themselves.
    """
    specs = [
        keras.KerasTensor((size, *tensor.shape[1:]), dtype=tensor.dtype)
        for tensor in (y_true, y_pred)
    ]
    try:
        values = compute_output_spec(function, *specs)
    except Exception:
        # If it is a mistake, then the step makes it too, and will say so.
        return None
    return tuple(getattr(values, "shape", ()))


def is_by_example(shape: Shape, size: int | None) -> bool:
    """Whether there is one value an example, or several.

    Args:
        shape: Shape of the values; `None` for an axis of unknown length.
        size: The batch size.
    """
    return len(shape) > 0 and shape[0] in (None, size)
