"""Class weights of single tasks, which stock Keras has for one output only."""

import math
import numbers
from typing import Any

import keras
from keras import ops

from keras_mtl.arguments import is_integer
from keras_mtl.missing_labels import multiply_weights

Tensor = Any


def is_per_task(class_weight: Any) -> bool:
    """Whether `class_weight` maps task names to dicts of class weights."""
    return isinstance(class_weight, dict) and any(
        isinstance(value, dict) or isinstance(key, str)
        for key, value in class_weight.items()
    )


def validate_class_weight(class_weight: dict, output_names: list[str]) -> None:
    """Raises a `ValueError` unless it is `{output: {class: weight}}`."""
    for name, weights in class_weight.items():
        if name not in output_names:
            raise ValueError(
                f"`class_weight` has an entry '{name}' that is no output of "
                f"the model. Outputs are {list(output_names)}. Received: "
                f"class_weight={class_weight}"
            )
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


def class_sample_weight(labels: Tensor, weights: dict[int, float]) -> Tensor:
    """One weight an example: that of its class, 1 for a class not named.

    Args:
        labels: Class indices of shape `(batch_size,)`, `(batch_size, 1)`,
            or one-hot of shape `(batch_size, num_classes)`; more axes before
            the last are time steps or pixels.
        weights: Class index to weight.
    """
    labels = ops.convert_to_tensor(labels)
    if len(labels.shape) > 1:
        if labels.shape[-1] == 1:
            labels = ops.squeeze(labels, axis=-1)
        else:
            labels = ops.argmax(labels, axis=-1)
    weight = ops.ones(ops.shape(labels), dtype=keras.backend.floatx())
    for index, value in weights.items():
        is_class = ops.equal(labels, ops.cast(index, labels.dtype))
        weight = ops.where(is_class, ops.cast(value, weight.dtype), weight)
    return weight


def with_class_weight(
    y: Any, sample_weight: Any, class_weight: dict, output_names: Any
) -> Any:
    """Sample weights, one array an output, times the class weights.

    Args:
        y: Labels as `fit` received them.
        sample_weight: Sample weights as `fit` received them, or `None`.
        class_weight: Output name to class weights.
        output_names: Names of the outputs, `None` if the model knows none.

    Returns:
        Sample weights in the structure of the labels.
    """
    labels = _labels_by_name(y, class_weight, output_names)
    weights = {}
    for index, (name, label) in enumerate(labels.items()):
        weights[name] = class_sample_weight(label, class_weight.get(name, {}))
        given = sample_weight
        if isinstance(sample_weight, dict):
            given = sample_weight.get(name)
        elif isinstance(sample_weight, (list, tuple)):
            given = sample_weight[index]
        weights[name] = multiply_weights(given, weights[name])
    if isinstance(y, dict):
        return weights
    flat = list(weights.values())
    return type(y)(flat) if isinstance(y, (list, tuple)) else flat[0]


def _labels_by_name(y: Any, class_weight: dict, output_names: Any) -> dict:
    if isinstance(y, dict):
        labels = y
    elif output_names:
        flat = y if isinstance(y, (list, tuple)) else [y]
        labels = dict(zip(output_names, flat))
    else:
        raise ValueError(
            "`class_weight` goes by the names of outputs, which this model "
            "does not have. Return a dict from `call` and give the labels as "
            f"a dict. Received: class_weight={class_weight}"
        )
    unknown = sorted(set(class_weight) - set(labels))
    nested = [k for k in class_weight if isinstance(labels.get(k), dict)]
    if unknown or nested:
        raise ValueError(
            f"`class_weight` has entries {unknown or nested} that are no "
            f"labels. There are labels for {list(labels)}. Received: "
            f"class_weight={class_weight}"
        )
    return labels
