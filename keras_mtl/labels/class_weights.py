"""Class weights of single tasks, which stock Keras has for one output only."""

import math
import numbers
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_mtl.labels.missing_labels import multiply_weights
from keras_mtl.labels.whole_labels import array_of_numbers
from keras_mtl.losses.per_column import PerColumn
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import is_integer
from keras_mtl.utils.by_output import WITH_LABELS
from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.keras_internals import compute_output_spec
from keras_mtl.utils.keras_internals import setting_of

# Losses that take class indices, and those that judge each column on its own.
_OF_INDICES = (keras.losses.sparse_categorical_crossentropy,)
_BY_COLUMN = (
    keras.losses.binary_crossentropy,
    keras.losses.binary_focal_crossentropy,
    keras.losses.hinge,
    keras.losses.squared_hinge,
)
# Losses whose labels are amounts, which have no class.
_OF_AMOUNTS = (
    keras.losses.cosine_similarity,
    keras.losses.huber,
    keras.losses.log_cosh,
    keras.losses.mean_absolute_error,
    keras.losses.mean_absolute_percentage_error,
    keras.losses.mean_squared_error,
    keras.losses.mean_squared_logarithmic_error,
    keras.losses.poisson,
)


class Judged(NamedTuple):
    """How an output is judged, which decides what its labels can be.

    Attributes:
        shape: Static shape of the predictions, `None` if unknown.
        losses: The Keras losses of the output.
    """

    shape: tuple[int | None, ...] | None = None
    losses: Sequence[Any] = ()

    @property
    def class_axis(self) -> int:
        """Where the classes stand in one-hot labels and in predictions."""
        axes = [_setting(loss, "axis") for loss in self.losses]
        return next((axis for axis in axes if axis is not None), -1)

    def has_loss_among(self, functions: Sequence[Any]) -> bool:
        """Whether one of the losses is one of these functions."""
        return any(function in functions for function in self._functions)

    @property
    def is_of_amounts(self) -> bool:
        """Whether all of the losses are for regression."""
        found = self._functions
        return bool(found) and all(f in _OF_AMOUNTS for f in found)

    @property
    def _functions(self) -> list[Any]:
        # Where a model is all that Keras is, columns are judged by one loss.
        losses = [
            loss.loss if isinstance(loss, PerColumn) else loss
            for loss in self.losses
        ]
        return [getattr(loss, "fn", None) for loss in losses]

    def takes_one_hot(self, shape: tuple[int | None, ...]) -> bool:
        """Whether labels of this shape are no class indices.

        If nothing is known of the predictions, labels with several columns
        might be either.
        """
        if self.shape is None:
            return len(shape) > 1 and shape[-1] != 1
        if len(shape) != len(self.shape) or len(shape) == 1:
            return False
        sizes = (shape[self.class_axis], self.shape[self.class_axis])
        return 1 not in sizes and not self.has_loss_among(_OF_INDICES)


def is_per_task(class_weight: Any) -> bool:
    """Whether `class_weight` maps task names to dicts of class weights."""
    return isinstance(class_weight, dict) and any(
        isinstance(value, dict) or isinstance(key, str)
        for key, value in class_weight.items()
    )


def validate_class_weight(class_weight: dict, output_names: list[str]) -> None:
    """Raises a `ValueError` unless it is `{output: {class: weight}}`."""
    check_entries("class_weight", class_weight, output_names)
    for name, weights in class_weight.items():
        if not isinstance(weights, dict) or not weights:
            raise ValueError(
                f"`class_weight['{name}']` should be a dict from class "
                "indices (integers) to weights, e.g. {0: 1.0, 1: 5.0}. "
                f"Received: {weights}"
            )
        for index, weight in weights.items():
            if not is_integer(index) or index < 0:
                raise ValueError(
                    f"`class_weight['{name}']` should have class indices "
                    f"(integers from 0) as keys. Received: {index!r}"
                )
            is_number = isinstance(weight, numbers.Real)
            if not is_number or not 0 <= weight < math.inf:
                raise ValueError(
                    f"`class_weight['{name}'][{index}]` should be a number "
                    f"from 0 up. Received: {weight!r}"
                )


def check_labels(
    name: str,
    weights: dict[int, float],
    labels: Any,
    judged: Judged,
    missing_label: float | None = None,
) -> None:
    """Raises for labels that are known to stand for no classes.

    Args:
        name: Name of the output, for the message.
        weights: Its class weights, for the message.
        labels: Labels as they were given, where they are at hand; else `None`.
        judged: The predictions and the losses of the output.
        missing_label: What stands for a missing label, `None` if nothing does.
    """
    array = None
    if judged.is_of_amounts or "float" in str(getattr(labels, "dtype", "")):
        array = array_of_numbers(labels)
    one_hot = array is not None and judged.takes_one_hot(array.shape)
    if judged.is_of_amounts:
        # Some have a class a row and a squared error: Brier's score.
        if one_hot and _is_one_hot(array, judged, missing_label):
            return
        if not _are_classes(array, weights, judged, missing_label):
            raise _of_amounts(name, weights, judged)
    elif array is not None and not one_hot:
        _check_whole_numbers(name, array, missing_label)


def _has_label(array: np.ndarray, missing_label: float | None) -> np.ndarray:
    # NaN has no class, and weighs 1.
    return np.isfinite(array) & (array != missing_label)


def _is_one_hot(
    array: np.ndarray, judged: Judged, missing_label: float | None
) -> bool:
    present = _has_label(array, missing_label)
    are_truths = np.isin(array, (0, 1)) | ~present
    counts = np.sum(array, axis=judged.class_axis, where=present)
    is_row = np.any(present, axis=judged.class_axis)
    return bool(np.all(are_truths) and np.all(counts[is_row] == 1))


def _are_classes(
    array: np.ndarray | None,
    weights: dict,
    judged: Judged,
    missing_label: float | None,
) -> bool:
    """Whether the labels of one column are classes that have weights."""
    if array is None or judged.shape is None or judged.shape[-1] != 1:
        return False
    present = _has_label(array, missing_label)
    return bool(np.isin(array[present], list(weights)).all())


def _check_whole_numbers(
    name: str, array: np.ndarray, missing_label: float | None
) -> None:
    present = _has_label(array, missing_label)
    values = array[present]
    others = values[~np.isclose(values, np.round(values))]
    if others.size:
        raise ValueError(
            f"`class_weight['{name}']` needs labels of '{name}' that are class "
            f"indices, but {others.size} of {array.size} are no whole numbers. "
            "Where a task predicts amounts, weigh its examples by "
            f"`sample_weight`. Received: labels like {others.flat[0]}"
        )


def class_indices(name: str, labels: Tensor, judged: Judged) -> Tensor:
    """The classes of the labels, one for each value of the loss.

    The labels alone do not tell: `(batch_size, 5)` are five steps of a
    sequence or one class of five. Labels with one axis less than the
    predictions are indices.

    Args:
        name: Name of the output, for error messages.
        labels: Class indices of the shape of the predictions without the axis
            of the classes, which may be there with size 1; or one-hot.
        judged: The predictions and the losses of the output.

    Raises:
        ValueError: If the labels are no classes of single predictions.
    """
    labels = ops.convert_to_tensor(labels)
    if judged.shape is None:
        return _indices_of_any_output(name, labels)
    rank = len(judged.shape)
    if len(labels.shape) == rank + 1 and labels.shape[-1] == 1:
        # Keras' losses drop it, too.
        labels = ops.squeeze(labels, axis=-1)
    if len(labels.shape) == rank - 1 or len(labels.shape) == rank == 1:
        return labels
    if len(labels.shape) != rank:
        raise _unfit(name, labels, judged)
    num_classes = judged.shape[judged.class_axis]
    given = labels.shape[judged.class_axis]
    if judged.has_loss_among(_OF_INDICES):
        return _without_axis(labels, -1)
    if given == 1 or num_classes == 1:
        if given not in (1, None):
            raise _unfit(name, labels, judged)
        return _without_axis(labels, judged.class_axis)
    if judged.has_loss_among(_BY_COLUMN):
        raise _without_a_class(name, labels, judged)
    if None not in (given, num_classes) and given != num_classes:
        raise _unfit(name, labels, judged)
    return ops.argmax(labels, axis=judged.class_axis)


def class_sample_weight(indices: Tensor, weights: dict[int, float]) -> Tensor:
    """One weight a label: that of its class, 1 for a class not named.

    Args:
        indices: Classes, of any shape, integers or floats as Keras has them.
        weights: Class index to weight.
    """
    indices = ops.convert_to_tensor(indices)
    if "float" in keras.backend.standardize_dtype(indices.dtype):
        # In float32, because float16 has no integer above 2048.
        indices = ops.round(ops.cast(indices, "float32"))
    else:
        # As they are, small integers and booleans cannot hold every class.
        indices = ops.cast(indices, "int32")
    table = np.ones(max(weights) + 2, keras.backend.floatx())
    for index, weight in weights.items():
        table[index] = weight
    # The last entry is that of labels which are not in the table, as NaN.
    other = len(table) - 1
    known = ops.logical_and(indices >= 0, indices < other)
    places = ops.where(known, indices, ops.cast(other, indices.dtype))
    return ops.take(ops.convert_to_tensor(table), ops.cast(places, "int32"))


def with_class_weight(
    y: Any,
    sample_weight: Any,
    class_weight: dict,
    output_names: Any,
    judged: dict[str, Judged],
) -> Any:
    """Sample weights, one array an output, times the class weights.

    Args:
        y: Labels as `fit` received them.
        sample_weight: Sample weights as `fit` received them, or `None`.
        class_weight: Output name to class weights.
        output_names: Names of the outputs, `None` if the model knows none.
        judged: Output name to what is known of its predictions and losses.

    Returns:
        Sample weights in the structure of the labels. Those of an output
        without class weights stay as they are, `None` where there are none.
    """
    labels = _labels_by_name(y, class_weight, output_names)
    given = _given_weights(sample_weight, labels)
    for name, weights in class_weight.items():
        how = judged.get(name, Judged())
        _check_classes(name, weights, how)
        indices = class_indices(name, labels[name], how)
        factor = class_sample_weight(indices, weights)
        given[name] = multiply_weights(given[name], factor)
    if isinstance(y, dict):
        return given
    flat = [given[name] for name in labels]
    return type(y)(flat) if isinstance(y, (list, tuple)) else flat[0]


def one_value_a_label(
    loss: Any, y_true: Tensor, y_pred: Tensor
) -> tuple[Tensor, Tensor]:
    """Gives labels and predictions the axis that Keras' losses average over.

    Of predictions `(batch_size,)`, and of labels `(batch_size, steps)` with
    predictions `(batch_size, steps, 1)`, Keras' losses make one number for
    all labels, or for those of an example. A mean is the same either way, but
    then it has a value for each label, to be weighted on its own.
    """
    if loss.reduction not in ("sum_over_batch_size", "mean"):
        return y_true, y_pred
    y_true = ops.convert_to_tensor(y_true)
    if len(y_pred.shape) == 1:
        y_pred = ops.expand_dims(y_pred, axis=-1)
    missing = len(y_pred.shape) - len(y_true.shape)
    if missing == 1 and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, axis=-1)
    return y_true, y_pred


def check_weighted_values(
    name: str, loss: Any, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor
) -> None:
    """Raises unless the loss has a value for each of the class weights."""
    specs = [
        keras.KerasTensor(tensor.shape, loss.dtype)
        for tensor in (y_true, y_pred)
    ]
    values = tuple(compute_output_spec(loss.call, *specs).shape)
    weights = tuple(sample_weight.shape)
    if len(values) == len(weights) and all(
        None in pair or pair[0] == pair[1]
        for pair in zip(values, weights, strict=True)
    ):
        return
    raise ValueError(
        f"`class_weight['{name}']` weights labels of shape {weights} one by "
        f"one, but the loss '{loss.name}' has values of shape {values}. It "
        "must return one value for each label, without a mean over them; "
        "labels must have the shape of the predictions, or no axis for the "
        f"classes. Received: labels of shape {tuple(y_true.shape)}, "
        f"predictions of shape {tuple(y_pred.shape)}"
    )


def _given_weights(sample_weight: Any, labels: dict) -> dict[str, Any]:
    """Sample weights by output name, with an entry for each of the labels."""
    if isinstance(sample_weight, (list, tuple)):
        if len(sample_weight) != len(labels):
            raise ValueError(
                "`sample_weight` should have one array for each of the labels "
                f"{list(labels)}. Received: {len(sample_weight)} arrays"
            )
        sample_weight = dict(zip(labels, sample_weight, strict=True))
    if not isinstance(sample_weight, dict):
        return dict.fromkeys(labels, sample_weight)
    check_entries("sample_weight", sample_weight, labels, WITH_LABELS)
    return {**dict.fromkeys(labels), **sample_weight}


def _indices_of_any_output(name: str, labels: Tensor) -> Tensor:
    """Indices whatever the predictions are, for losses that Keras never saw."""
    if len(labels.shape) < 2:
        return labels
    if labels.shape[-1] == 1:
        return ops.squeeze(labels, axis=-1)
    raise ValueError(
        f"`class_weight['{name}']`: labels of shape {tuple(labels.shape)} may "
        "be class indices or one-hot, and without a loss from `compile` there "
        "is nothing to tell. Give the weights as `sample_weight`."
    )


def _of_amounts(name: str, weights: dict, judged: Judged) -> ValueError:
    losses = [loss.name for loss in judged.losses]
    return ValueError(
        f"`class_weight['{name}']` is for labels that are classes, but the "
        f"loss of '{name}', {losses[0]!r}, is for regression. (It may be used "
        "for arrays of labels that are one-hot, or of one column and none but "
        "classes with weights.) Weigh examples by "
        f"`sample_weight={{'{name}': ...}}`, and the task by `loss_weights`. "
        f"Received: class_weight['{name}']={weights}"
    )


def _check_classes(name: str, weights: dict, judged: Judged) -> None:
    """Raises for classes that a classifier cannot predict."""
    if judged.shape is None or not judged.has_loss_among(_OF_INDICES):
        return
    num_classes = judged.shape[judged.class_axis]
    ignored = [_setting(loss, "ignore_class") for loss in judged.losses]
    for index in weights:
        if num_classes and index >= num_classes and index not in ignored:
            raise ValueError(
                f"`class_weight['{name}']` has a weight for class {index}, "
                f"but '{name}' predicts {num_classes} classes, from 0. "
                f"Received: {weights}"
            )


def _setting(loss: Any, name: str) -> Any:
    """An argument that a Keras loss was made with, `None` if it has none."""
    value = setting_of(loss, name)
    return value if is_integer(value) else None


def _without_axis(tensor: Tensor, axis: int) -> Tensor:
    """Drops an axis of size 1, also where its size is known to no one yet."""
    shape = list(ops.shape(tensor))
    del shape[axis]
    return ops.reshape(tensor, shape)


def _without_a_class(name: str, labels: Tensor, judged: Judged) -> ValueError:
    by_column = next(
        loss for loss in judged.losses if getattr(loss, "fn", 0) in _BY_COLUMN
    )
    return ValueError(
        f"`class_weight['{name}']` needs one class for each example, but the "
        f"loss '{by_column.name}' judges the {judged.shape[-1]} columns of "
        f"'{name}' each on its own. Give weights by example as "
        "`sample_weight`; for one-hot labels take a categorical loss; where "
        "the columns are steps of a sequence, let predictions and labels end "
        "in an axis of size 1. Received: labels of shape "
        f"{tuple(labels.shape)}, predictions of shape {judged.shape}"
    )


def _unfit(name: str, labels: Tensor, judged: Judged) -> ValueError:
    return ValueError(
        f"`class_weight['{name}']` needs labels that are class indices, of "
        "the shape of the predictions without their last axis, or one-hot, of "
        f"the shape of the predictions. Received: labels of shape "
        f"{tuple(labels.shape)}, predictions of shape {judged.shape}"
    )


def _labels_by_name(y: Any, class_weight: dict, output_names: Any) -> dict:
    if isinstance(y, dict):
        labels = y
    elif output_names:
        flat = y if isinstance(y, (list, tuple)) else [y]
        if isinstance(y, (list, tuple)) and len(y) != len(output_names):
            raise ValueError(
                "`class_weight` goes by the names of outputs. Give the labels "
                "as a dict from these, because there are not as many as "
                f"outputs. Received: {len(y)} arrays of labels for the "
                f"outputs {list(output_names)}"
            )
        # An array by itself is of the first output.
        labels = dict(zip(output_names, flat, strict=False))
    else:
        raise ValueError(
            "`class_weight` goes by the names of outputs, which this model "
            "does not have. Return a dict from `call` and give the labels as "
            f"a dict. Received: class_weight={class_weight}"
        )
    arrays = [k for k, v in labels.items() if not isinstance(v, dict)]
    check_entries("class_weight", class_weight, arrays, WITH_LABELS)
    return labels
