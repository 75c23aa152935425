"""One output with a label in each column: every column a task."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import LossFunctionWrapper
from keras_mtl.utils.keras_internals import get_keras_mask
from keras_mtl.utils.keras_internals import set_keras_mask
from keras_mtl.utils.keras_internals import wrapped_function

# They compare the columns of an example with each other.
OF_ALL_COLUMNS = (
    keras.losses.categorical_crossentropy,
    keras.losses.categorical_focal_crossentropy,
    keras.losses.categorical_hinge,
    keras.losses.circle,
    keras.losses.cosine_similarity,
    keras.losses.ctc,
    keras.losses.dice,
    keras.losses.kl_divergence,
    keras.losses.sparse_categorical_crossentropy,
    keras.losses.tversky,
)


@keras.saving.register_keras_serializable(package="keras_mtl")
class PerColumn(keras.losses.Loss):
    """Makes each column of one output a task.

    Data with several labels an example often come as one matrix, and models
    for them end in one `Dense(num_labels, activation="sigmoid")`. In a
    `MultiTaskModel` with this loss every column is a task with a name, a log
    and a gradient of its own, while labels, predictions and metrics stay one
    matrix.

    Its value is the mean over the columns, which for losses that average over
    the last axis (`"binary_crossentropy"`, `"mse"`, ...) is their value of the
    whole matrix. Accordingly each task has `1 / num_columns` of the weight of
    the output in `loss_weights`: with `aggregator="sum"` the model trains as
    with `loss` itself. Without aggregator, weighting and missing labels, and
    in a plain `keras.Model`, it is one loss with one log.

    Args:
        loss: The loss of a column: a `keras.losses.Loss`, a function of labels
            and predictions of shape `(batch_size, ..., 1)`, or its name.
        names: Names of the tasks, one for each column. By default the name of
            the output and the number of the column: `labels_0`, `labels_1`.
        name: Name of the loss.

    Call arguments:
        y_true: Labels of shape `(batch_size, ..., num_columns)`.
        y_pred: Predictions of the same shape.
        sample_weight: `None`, weights as Keras takes them for an output, or
            `(batch_size, ..., num_columns)`: one for each label.

    Raises:
        ValueError: If the names are not distinct strings, if `loss` compares
            columns with each other (as categorical ones do), and in the call
            if there are not as many columns of labels, predictions and names.

    Example:

    ```python
    labels = keras.layers.Dense(12, activation="sigmoid", name="labels")(shared)
    model = keras_mtl.MultiTaskModel(inputs, labels)
    model.compile(
        "adam",
        loss=keras_mtl.losses.PerColumn("binary_crossentropy", names=names),
        metrics=["binary_accuracy"],
        aggregator="pcgrad",
    )
    model.fit(x, y)  # y: (num_examples, 12)
    ```
    """

    def __init__(
        self,
        loss: Any,
        names: Sequence[str] | None = None,
        name: str = "per_column",
    ):
        self.loss = _as_loss(loss)
        super().__init__(name=name, reduction=self.loss.reduction)
        self.names = None if names is None else _check_names(names)
        self._given = loss

    def columns(self, output: str, num_columns: int | None) -> list["Column"]:
        """The losses of the columns.

        Args:
            output: Name of the output.
            num_columns: How many columns it has.
        """
        names = self.names
        if names is None:
            names = [f"{output}_{i}" for i in range(num_columns or 0)]
        if len(names) != num_columns or not names:
            raise ValueError(
                "`PerColumn` needs predictions with a last axis of known size, "
                f"and as many names as columns. Received: {num_columns} "
                f"columns of the output '{output}', names={self.names}"
            )
        return [
            Column(self.loss, index, num_columns, name)
            for index, name in enumerate(names)
        ]

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> Tensor:
        columns = self.columns(self.name, y_pred.shape[-1])
        values = [column(y_true, y_pred, sample_weight) for column in columns]
        return sum(values) / len(values)

    def get_config(self) -> dict[str, Any]:
        loss = self._given
        if not isinstance(loss, (str, dict)):
            loss = keras.losses.serialize(loss)
        return {"loss": loss, "names": self.names, "name": self.name}


class Column:
    """The loss of one column of an output.

    Args:
        loss: Loss of labels and predictions of shape `(batch_size, ..., 1)`.
        index: Which column.
        num_columns: Of how many.
        name: Name of the task.
    """

    def __init__(
        self, loss: keras.losses.Loss, index: int, num_columns: int, name: str
    ):
        self.loss = loss
        self.index = index
        self.num_columns = num_columns
        self.name = name
        self.reduction = loss.reduction
        self.dtype = loss.dtype

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> Tensor:
        return self.loss(*self.select(y_true, y_pred, sample_weight))

    def select(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> tuple[Tensor, Tensor, Any]:
        """The column of labels, predictions and weights."""
        y_true = ops.convert_to_tensor(y_true)
        if not self._has_columns(y_true, y_pred):
            raise ValueError(
                f"The labels of '{self.name}' and of the other columns of its "
                "output must have the shape of the predictions. Received: "
                f"labels of shape {tuple(y_true.shape)} for predictions of "
                f"shape {tuple(y_pred.shape)}"
            )
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight)
            if self._has_columns(sample_weight, y_pred):
                sample_weight = self._column(sample_weight)
        return self._column(y_true), self.predictions(y_pred), sample_weight

    def predictions(self, y_pred: Tensor) -> Tensor:
        """The column of predictions, with the mask that they carry."""
        column = self._column(y_pred)
        mask = get_keras_mask(y_pred)
        if mask is not None:
            set_keras_mask(column, mask)
        return column

    def _has_columns(self, tensor: Tensor, y_pred: Tensor) -> bool:
        is_whole = len(tensor.shape) == len(y_pred.shape)
        return is_whole and tensor.shape[-1] == self.num_columns

    def _column(self, tensor: Tensor) -> Tensor:
        return tensor[..., self.index : self.index + 1]


def _as_loss(identifier: Any) -> keras.losses.Loss:
    loss = keras.losses.get(identifier)
    if not isinstance(loss, keras.losses.Loss):
        if not callable(loss):
            raise ValueError(
                "`loss` must be a loss, a function or its name. Received: "
                f"loss={identifier!r}"
            )
        name = getattr(loss, "__name__", "loss")
        loss = LossFunctionWrapper(loss, name=name)
    if _is_of_all_columns(loss):
        raise ValueError(
            "`loss` must judge a column by itself, as 'binary_crossentropy' "
            f"and 'mse' do; '{loss.name}' compares the columns of an example "
            f"with each other. Received: loss={identifier!r}"
        )
    return loss


def _is_of_all_columns(loss: keras.losses.Loss) -> bool:
    """Whether it is one of Keras, whatever it is called here."""
    if not isinstance(loss, LossFunctionWrapper):
        return False
    function, _ = wrapped_function(loss)
    return any(function is other for other in OF_ALL_COLUMNS)


def _check_names(names: Sequence[str]) -> list[str]:
    found = [] if isinstance(names, str) else list(names)
    are_strings = all(isinstance(name, str) and name for name in found)
    if not found or not are_strings or len(set(found)) < len(found):
        raise ValueError(
            "`names` must be a list of different strings, one for each "
            f"column. Received: names={names!r}"
        )
    return found
