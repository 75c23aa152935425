"""The loss of one task over the labels that are known."""

from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_mtl.backend import num_replicas
from keras_mtl.backend import sum_over_replicas
from keras_mtl.labels.cellwise import mean_axis
from keras_mtl.labels.cellwise import one_column
from keras_mtl.labels.cellwise import reduced_axes
from keras_mtl.labels.labelled_batch import LabelledBatch
from keras_mtl.labels.labelled_batch import labelled_batch
from keras_mtl.labels.missing_labels import known_values
from keras_mtl.labels.missing_labels import leave_out_masked
from keras_mtl.labels.missing_labels import multiply_weights
from keras_mtl.labels.missing_labels import whole_axes
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import get_keras_mask
from keras_mtl.utils.value_shape import is_by_example
from keras_mtl.utils.value_shape import unusual_size
from keras_mtl.utils.value_shape import value_shape


class LabelledLoss:
    """A loss of Keras that leaves out what has no label.

    It is the mean (or the sum, as the loss has it) over the values that both
    have a label and are not masked, be it by Keras or by the loss itself.
    Under `tf.distribute` the mean is over what all replicas have.

    Args:
        loss: A `keras.losses.Loss`.
        task: Name of the task, for error messages.
        output: Name of the output.
        missing_label: The value that marks a missing label.
        whole_labels: Where to note that labels are taken as a whole.

    Raises:
        ValueError: When called, if the loss gives no value of each example,
            so that none can be left out.
    """

    def __init__(
        self,
        loss: keras.losses.Loss,
        task: str,
        output: str,
        missing_label: float,
        whole_labels: WholeLabels,
    ):
        self.loss = loss
        self.task = task
        self.output = output
        self.missing_label = missing_label
        self.whole_labels = whole_labels
        self._is_checked = False

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> tuple[Tensor, Tensor]:
        """The scalar loss, and the number of labels that it is a mean of."""
        self._check_kind(y_true, y_pred)
        mask = get_keras_mask(y_pred)
        batch = labelled_batch(
            self.loss, y_true, y_pred, self.missing_label, self.loss.dtype
        )
        if not self._is_checked:
            self._is_checked = self._check_values(
                batch.labels, batch.predictions
            )
        found = self._values(batch)
        known = found.known
        for mask in (mask, found.mask):
            known = leave_out_masked(known, mask, f"loss of '{self.task}'")
        return self._reduce(found._replace(known=known), sample_weight)

    def _values(self, batch: LabelledBatch) -> "_Values":
        """Values of the loss and whether they are known, cell by cell if so."""
        labels, y_pred, missing, axis = batch
        if axis is None:
            values = self.loss.call(labels, y_pred)
            shape = tuple(getattr(values, "shape", ()))
            if not self._is_checked:
                self._check_shape(shape, y_pred.shape[0] or labels.shape[0])
            known = self._known(missing, shape)
            return _Values(values, known, get_keras_mask(values))
        values = self.loss.call(
            one_column(labels, axis), one_column(y_pred, axis)
        )
        known = known_values(missing, values.shape)
        return _Values(values, known, cells=ops.shape(values)[axis])

    def _known(self, missing: Tensor, shape: Sequence[int | None]) -> Tensor:
        rank = len(missing.shape)
        reduced = reduced_axes(self.loss, rank, len(shape))
        axes = whole_axes(missing.shape, shape, reduced)
        self.whole_labels.require(
            self.output,
            f"the loss of task '{self.task}', {_name(self.loss)},",
            self.missing_label,
            axes,
            rank,
        )
        return known_values(missing, shape, axes)

    def _reduce(
        self, found: "_Values", sample_weight: Any
    ) -> tuple[Tensor, Tensor]:
        values = ops.cast(found.values, _wide(self.loss.dtype))
        # In the shape of the values, so that each is counted.
        known = found.known + ops.zeros_like(values, dtype="float32")
        weights = multiply_weights(sample_weight, ops.cast(known, values.dtype))
        total = ops.sum(values * weights)
        # A label that is known in part is none to be counted, though its
        # value is NaN: were it counted out, nobody would hear of it.
        count = sum_over_replicas(ops.sum(ops.cast(known != 0, "float32")))
        if self.loss.reduction == "sum":
            total = total / ops.cast(found.cells, total.dtype)
        elif self.loss.reduction == "mean_with_sample_weight":
            divisor = sum_over_replicas(ops.sum(ops.stop_gradient(weights)))
            total = ops.divide_no_nan(total, divisor)
        else:
            total = total / ops.cast(ops.maximum(count, 1.0), total.dtype)
        # Of a sum over replicas each has its part: metrics add up again.
        count = count / ops.cast(found.cells, "float32") / num_replicas()
        return ops.cast(total, self.loss.dtype), count

    def _check_kind(self, y_true: Any, y_pred: Any) -> None:
        if keras.tree.is_nested(y_pred) or keras.tree.is_nested(y_true):
            raise ValueError(
                f"`missing_label` is for losses of one output, and task "
                f"'{self.task}' has one loss for several. Give each of them a "
                "loss of its own, or `missing_label` as a dict that does not "
                f"name '{self.output}', with sample weights of 0 for what has "
                "no label. Received: labels and predictions with the structure "
                f"{keras.tree.map_structure(lambda _: '*', y_pred)}"
            )
        if type(self.loss).__call__ is not keras.losses.Loss.__call__:
            raise ValueError(
                f"The loss of task '{self.task}', {_name(self.loss)}, has a "
                "`__call__` of its own, so that `missing_label` cannot see "
                "its values for single examples. Override `call`, to return "
                "one value an example, shape (batch_size, ...). Received: "
                f"missing_label={self.missing_label}"
            )
        if isinstance(self.loss, keras.losses.Circle):
            raise ValueError(
                f"The loss of task '{self.task}', {_name(self.loss)}, compares "
                "the examples of a batch with each other, those without a "
                "label too: `missing_label` cannot leave them out. Received: "
                f"missing_label={self.missing_label}"
            )

    def _check_values(self, labels: Tensor, y_pred: Tensor) -> bool:
        """Raises unless the number of values goes with that of examples.

        Returns:
            Whether that could be told before there are any values.
        """
        if mean_axis(self.loss) is not None:
            return True
        size = unusual_size(labels.shape, y_pred.shape)
        shape = value_shape(self.loss.call, labels, y_pred, size)
        if shape is None:
            return False
        self._check_shape(shape, size)
        return True

    def _check_shape(
        self, shape: Sequence[int | None], size: int | None
    ) -> None:
        if is_by_example(shape, size):
            return
        raise ValueError(
            f"`missing_label` needs the loss of task '{self.task}' to return "
            "one value an example, shape (batch_size, ...), so that those "
            f"without a label can be left out. {_name(self.loss)} returns "
            f"shape {tuple(shape)}, where the batch size does not come first. "
            "Leave the mean over the batch to Keras (for `keras.losses.Dice` "
            "and `Tversky`, give an `axis` that leaves out the first), or give "
            f"`missing_label` as a dict without '{self.output}'. Received: "
            f"missing_label={self.missing_label}"
        )


class _Values(NamedTuple):
    """What a loss gives for a batch.

    Attributes:
        values: One for each label, or for each cell of the labels.
        known: Float tensor that broadcasts against the values: 1 where there
            is a label, 0 where there is none, NaN where a part of one is.
        mask: What the loss itself masks, or `None`.
        cells: How many of the values Keras makes one of.
    """

    values: Tensor
    known: Tensor
    mask: Tensor | None = None
    cells: Any = 1


def _wide(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"


def _name(loss: Any) -> str:
    own = type(loss).__name__
    return f"'{loss.name}'" if own == "LossFunctionWrapper" else own
