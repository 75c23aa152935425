"""Batches of one task for a model that has several."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_mtl.labels.missing_labels import validate_missing_label
from keras_mtl.types import Tensor
from keras_mtl.utils.by_output import check_entries


class TaskLabels:
    """Labels of one task beside missing ones of all others.

    Args:
        specs: By task, the `tf.TensorSpec` of its labels.
        missing_label: Number that stands for a missing label, or a dict of
            them by task, as in `keras_mtl.MultiTaskModel.compile`.
    """

    def __init__(self, specs: Mapping[str, Any], missing_label: Any):
        validate_missing_label(missing_label)
        self.specs = dict(specs)
        if isinstance(missing_label, dict):
            check_entries(
                "missing_label", missing_label, self.specs, "tasks in `data`"
            )
        self.missing = {
            task: _missing_value(task, spec, missing_label)
            for task, spec in self.specs.items()
        }

    def arrays(self, task: str, y: Any) -> dict[str, np.ndarray]:
        """From labels of one task to labels of all, as NumPy arrays."""
        y = np.asarray(y)
        return {
            name: y
            if name == task
            else np.full(
                (len(y), *spec.shape[1:]), self.missing[name], _dtype(spec)
            )
            for name, spec in self.specs.items()
        }

    def tensors(self, task: str, y: Tensor) -> dict[str, Tensor]:
        """From labels of one task to labels of all, in a `tf.data` pipeline."""
        import tensorflow as tf

        return {
            name: y
            if name == task
            else tf.fill(
                (tf.shape(y)[0], *spec.shape[1:]),
                tf.cast(self.missing[name], spec.dtype),
            )
            for name, spec in self.specs.items()
        }


def common_spec(specs: Mapping[str, Any]) -> Any:
    """What the inputs of all tasks have in common.

    Args:
        specs: By task, a structure of `tf.TensorSpec`s.

    Returns:
        One such structure, with sizes that differ as `None`.
    """
    first, *others = specs.values()
    try:
        return keras.tree.map_structure(_common, first, *others)
    except (TypeError, ValueError) as error:
        listed = "\n".join(f"  {task}: {spec}" for task, spec in specs.items())
        raise ValueError(
            "The inputs x of all tasks must have the same structure, ranks "
            f"and types, those of the model. Received:\n{listed}"
        ) from error


def _common(spec: Any, *others: Any) -> Any:
    merged = spec.most_specific_common_supertype(others)
    if merged is None or merged.shape.rank is None:
        raise ValueError(f"{spec} differs from {others}")
    return merged


def _missing_value(task: str, spec: Any, missing_label: Any) -> float:
    value = missing_label
    if isinstance(missing_label, dict):
        value = missing_label.get(task)
    if value is None:
        raise ValueError(
            "`missing_label` must be a number, or a dict that names every "
            f"task. Received: missing_label={missing_label!r}, without a "
            f"value for the task '{task}'"
        )
    if not (spec.dtype.is_integer or spec.dtype.is_floating):
        raise ValueError(
            f"The labels of task '{task}' are of type {spec.dtype.name}, which "
            f"cannot hold the missing label {value}. Give them as integers or "
            "as floats."
        )
    if spec.dtype.is_integer and not _fits(value, spec.dtype):
        raise ValueError(
            f"The labels of task '{task}' are of type {spec.dtype.name}, which "
            f"cannot hold the missing label {value}. Give a number that is no "
            f"class, e.g. `missing_label={{'{task}': -1, ...}}` here and in "
            "`compile`."
        )
    if None in spec.shape[1:]:
        raise ValueError(
            f"The labels of task '{task}' must have a known shape, so that "
            "missing ones can be made for the batches of other tasks. "
            f"Received: shape {tuple(spec.shape)}"
        )
    return value


def _fits(value: float, dtype: Any) -> bool:
    is_whole = math.isfinite(value) and float(value).is_integer()
    return is_whole and dtype.min <= value <= dtype.max


def _dtype(spec: Any) -> Any:
    return spec.dtype.as_numpy_dtype
