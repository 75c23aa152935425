"""A metric of one output over the labels that are known."""

import functools
from typing import Any

import keras

from keras_mtl.labels.cellwise import column_of
from keras_mtl.labels.cellwise import has_cells
from keras_mtl.labels.cellwise import one_column
from keras_mtl.labels.cellwise import reduced_axes
from keras_mtl.labels.cellwise import weighs_cells
from keras_mtl.labels.labelled_batch import labelled_batch
from keras_mtl.labels.missing_labels import known_values
from keras_mtl.labels.missing_labels import leave_out_masked
from keras_mtl.labels.missing_labels import multiply_weights
from keras_mtl.labels.missing_labels import whole_axes
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import get_keras_mask
from keras_mtl.utils.keras_internals import wrapped_function
from keras_mtl.utils.value_shape import is_by_example
from keras_mtl.utils.value_shape import unusual_size
from keras_mtl.utils.value_shape import value_shape


class LabelledMetric:
    """A metric of Keras that leaves out what has no label.

    Labels get the sample weight 1 where they are known and 0 where they are
    missing, times the sample weights that the metric has anyway.

    Args:
        metric: A `keras.metrics.Metric`.
        output: Name of the output.
        missing_label: The value that marks a missing label.
        whole_labels: Where to note that labels are taken as a whole.

    Raises:
        ValueError: If the metric cannot leave out an example.
    """

    def __init__(
        self,
        metric: keras.metrics.Metric,
        output: str,
        missing_label: float,
        whole_labels: WholeLabels,
    ):
        self.metric = metric
        self.output = output
        self.missing_label = missing_label
        self.whole_labels = whole_labels
        if getattr(metric, "num_regressors", 0):
            raise ValueError(
                f"The metric '{metric.name}' of '{output}' counts the examples "
                "to adjust R², those without a label too: with "
                "`missing_label`, leave `num_regressors` at 0. Received: "
                f"num_regressors={metric.num_regressors}"
            )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> None:
        mask = get_keras_mask(y_pred) if self._wraps_function else None
        labels, y_pred, missing, axis = labelled_batch(
            self.metric, y_true, y_pred, self.missing_label
        )
        if axis is not None:
            known = known_values(missing, missing.shape)
            labels = one_column(labels, axis)
            y_pred = one_column(y_pred, axis)
        elif weighs_cells(self.metric) and has_cells(labels, y_pred):
            known = self._weights_of_cells(missing)
        else:
            known = self._known(labels, y_pred, missing)
        if mask is not None:
            known = leave_out_masked(known, mask, f"metric '{self._name}'")
        self.metric.update_state(
            labels, y_pred, sample_weight=multiply_weights(sample_weight, known)
        )

    @property
    def _name(self) -> str:
        return f"{self.output}_{self.metric.name}"

    @property
    def _wraps_function(self) -> bool:
        """Whether Keras wraps a function in it, and applies masks to that."""
        wrapper = keras.metrics.MeanMetricWrapper
        return (
            isinstance(self.metric, wrapper)
            and type(self.metric).update_state is wrapper.update_state
        )

    def _weights_of_cells(self, missing: Tensor) -> Tensor:
        column = column_of(self.metric)
        if column is not None:
            missing = missing[..., column]
        return known_values(missing, missing.shape)

    def _known(self, labels: Tensor, y_pred: Tensor, missing: Tensor) -> Tensor:
        shape = None
        if self._wraps_function:
            shape = self._shape_of_values(labels, y_pred)
        if shape is None:
            # One weight for all that lies in the last axis, as Keras has it.
            shape = (*y_pred.shape[:-1],) or (None,)
        reduced = reduced_axes(self.metric, len(missing.shape), len(shape))
        axes = whole_axes(missing.shape, shape, reduced)
        self.whole_labels.require(
            self.output,
            f"the metric '{self.metric.name}'",
            self.missing_label,
            axes,
            len(missing.shape),
        )
        return known_values(missing, shape, axes)

    def _shape_of_values(self, labels: Tensor, y_pred: Tensor) -> tuple | None:
        function, arguments = wrapped_function(self.metric)
        function = functools.partial(function, **arguments)
        size = unusual_size(labels.shape, y_pred.shape)
        shape = value_shape(function, labels, y_pred, size)
        if shape is None or is_by_example(shape, size):
            return shape
        raise ValueError(
            f"`missing_label` needs the metric '{self.metric.name}' of "
            f"'{self.output}' to return one value an example, shape "
            "(batch_size, ...), so that those without a label can be left "
            f"out. It returns shape {shape}, where the batch size does not "
            "come first. Leave the mean over the batch to Keras, or give "
            "`missing_label` as a dict "
            f"without '{self.output}'. Received: "
            f"missing_label={self.missing_label}"
        )
