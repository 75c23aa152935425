"""What `fit` and its like take beyond Keras, and how they explain errors."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any

import keras

from keras_mtl import backend
from keras_mtl.labels.label_structure import refuse_other_structure
from keras_mtl.labels.label_structure import warn_of_sorted_names
from keras_mtl.labels.string_labels import labels_given
from keras_mtl.labels.string_labels import refuse_string_labels
from keras_mtl.trainers.settings import is_stock
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.settings import takes_task_gradients
from keras_mtl.trainers.validation import refuse_entries_by_task
from keras_mtl.utils.argument_validation import refuse_compile_arguments
from keras_mtl.utils.by_output import WITH_LABELS
from keras_mtl.utils.by_output import labels_by_output
from keras_mtl.utils.by_output import spread_by_output
from keras_mtl.utils.did_you_mean import refuse_unknown_arguments
from keras_mtl.utils.did_you_mean import refuse_unknown_identifier
from keras_mtl.utils.keras_internals import output_structure


def bind(method: str, args: tuple, kwargs: dict[str, Any]) -> Any:
    """The arguments of a call of a method of `keras.Model`, by name."""
    signature = inspect.signature(getattr(keras.Model, method))
    return signature.bind_partial(None, *args, **kwargs)


@contextlib.contextmanager
def explaining(
    model: Any, method: str, args: tuple, kwargs: dict[str, Any]
) -> Iterator[None]:
    """Turns errors into such as name the argument or task at fault.

    Args:
        model: A `MultiTaskModel`.
        method: Name of the method that was called.
        args, kwargs: Its arguments.
    """
    trains = method in ("fit", "train_on_batch")
    if trains and takes_task_gradients(model) and not backend.TAKES_GRADIENTS:
        backend.refuse(f"`{method}`")
    refuse_compile_arguments(f"`{method}`", kwargs)
    refuse_unknown_arguments(getattr(keras.Model, method), kwargs)
    data = dict(zip(("x", "y"), args, strict=False)) | kwargs
    warn_of_sorted_names(data.get("y"), output_structure(model))
    try:
        with _watching_labels(model, data):
            yield
    except Exception as error:
        _forget_traces(model)
        labels = labels_given(data.get("x"), data.get("y"))
        names = getattr(model, "output_names", None) or ()
        try:
            refuse_unknown_identifier(error)
            refuse_string_labels(labels, names)
            refuse_other_structure(error, labels, names)
        except ValueError as explained:
            raise explained from error
        raise


def _forget_traces(model: Any) -> None:
    """Lets the next call trace its step anew.

    TensorFlow goes on with what an error left of a trace, and refuses the
    variables that a corrected call makes.
    """
    model.train_function = None
    model.test_function = None
    model.predict_function = None


def spread_sample_weights(
    model: Any, method: str, args: tuple, kwargs: dict[str, Any]
) -> tuple[tuple, dict[str, Any]]:
    """Completes sample weights of some outputs, which Keras refuses.

    Args:
        model: A `MultiTaskModel`.
        method: Name of the method that was called.
        args, kwargs: Its arguments.

    Returns:
        The arguments that Keras may have.
    """
    bound = bind(method, args, kwargs)
    arguments = bound.arguments
    names = getattr(model, "output_names", None)
    spread = functools.partial(
        spread_by_output, "sample_weight", kind=WITH_LABELS
    )
    y = arguments.get("y")
    if not is_stock(model):
        weights = arguments.get("sample_weight")
        refuse_entries_by_task(model, model.loss, sample_weight=weights)
    if y is not None and isinstance(arguments.get("sample_weight"), dict):
        outputs = output_structure(model)
        if isinstance(y, (list, tuple)) and isinstance(outputs, dict):
            # Keras takes listed labels of a dict in this order.
            y = arguments["y"] = labels_by_output(y, names) or y
        arguments["sample_weight"] = spread(
            arguments["sample_weight"], y, names
        )
    held_out = arguments.get("validation_data")
    if isinstance(held_out, (list, tuple)) and len(held_out) == 3:
        x, y, weights = held_out
        arguments["validation_data"] = x, y, spread(weights, y, names)
    return bound.args[1:], bound.kwargs


def _watching_labels(
    model: Any, data: dict[str, Any]
) -> contextlib.AbstractContextManager:
    """Looks at labels in arrays, which a compiled step cannot do.

    Args:
        model: A `MultiTaskModel`.
        data: Arguments of `fit` or its like.
    """
    stack = contextlib.ExitStack()
    settings = settings_of(model)
    names = getattr(model, "output_names", None)
    if data.get("class_weight") is not None:
        settings.labels_at_hand = labels_by_output(data.get("y"), names)
        stack.callback(settings.labels_at_hand.clear)
    if model.missing_label is None:
        return stack
    held_out = data.get("validation_data")
    held_out = held_out if isinstance(held_out, (list, tuple)) else ()
    by_output = [
        labels_by_output(y, names) for y in (data.get("y"), *held_out[1:2])
    ]
    stack.enter_context(settings.whole_labels.watching(*by_output))
    return stack
