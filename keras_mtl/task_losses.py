"""The losses of single tasks, taken from Keras' own loss computation.

`keras.Model.compile` makes a `CompileLoss` of the `loss` that the user gives.
It computes every loss once, with its sample weights, masks, names and
trackers; here each one is recorded as it passes.
"""

import contextlib
from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_mtl.class_weights import Judged
from keras_mtl.class_weights import check_weighted_values
from keras_mtl.class_weights import one_value_a_label
from keras_mtl.keras_internals import CompileLoss
from keras_mtl.keras_internals import CompileMetrics
from keras_mtl.keras_internals import flatten_with_path
from keras_mtl.keras_internals import get_keras_mask
from keras_mtl.keras_internals import unscale_loss_for_distribution
from keras_mtl.missing_labels import as_column
from keras_mtl.missing_labels import missing_label_of
from keras_mtl.missing_labels import multiply_weights
from keras_mtl.missing_labels import split_labels

Tensor = Any


class TaskRecord:
    """What one evaluation of the losses left behind, by task.

    Attributes:
        losses: One scalar a task, in the order of `TaskLosses.task_names`,
            without loss weights.
        auxiliary_losses: Task index to the scalar loss of its auxiliary head.
        labelled: Task index to the number of labels, where some can miss.
    """

    def __init__(self, predictions: dict[str, Tensor]):
        self.predictions = predictions
        self.losses: dict[int, Tensor] = {}
        self.auxiliary_losses: dict[int, Tensor] = {}
        self.labelled: dict[int, Tensor] = {}


class TaskLosses(CompileLoss):
    """Keras' `CompileLoss` that can also tell the loss of every task.

    A task is one entry of `loss`, with the name that Keras' logs have for it.
    With several losses on one output each is a task of its own, named after
    the output and the loss; names that are still equal (of outputs without
    names, which are called after their loss) are numbered: `mse`, `mse_1`.

    Args:
        loss, loss_weights, output_names: As for `keras.Model.compile`.
        missing_label: Value that marks a missing label, or a dict from output
            names to values. An example with no label gives its task no loss;
            the loss of a task is the mean over its labelled examples.
        as_stock: Whether logs and total are to be Keras' own, also where
            these tell less: losses of one name are one log, and of several
            losses on a single output the first one counts.
    """

    def __init__(
        self,
        loss: Any,
        loss_weights: Any = None,
        output_names: list[str] | None = None,
        missing_label: Any = None,
        as_stock: bool = False,
    ):
        super().__init__(loss, loss_weights, output_names=output_names)
        self.missing_label = missing_label
        self.as_stock = as_stock
        self._task_names: list[str] = []
        self._record: TaskRecord | None = None

    @property
    def task_names(self) -> list[str]:
        return list(self._task_names)

    @property
    def task_outputs(self) -> list[str]:
        """Name of the output that each task judges."""
        return [entry.loss.output for entry in self._flat_losses]

    @property
    def task_weights(self) -> list[float]:
        """Loss weights as given in `compile`, 1 where there is none."""
        weights = [entry.loss_weights for entry in self._flat_losses]
        return [1.0 if weight is None else weight for weight in weights]

    def judged(self) -> dict[str, Judged]:
        """What is known of the outputs that have a loss, by name."""
        found: dict[str, Judged] = {}
        for loss in [entry.loss for entry in self._flat_losses or ()]:
            if getattr(loss, "shape", None) is None:
                continue
            others = found.get(loss.output, Judged()).losses
            found[loss.output] = Judged(loss.shape, (*others, loss.loss))
        return found

    def expect_class_weight(self, outputs: Collection[str]) -> None:
        """Tells the losses of these outputs that labels have class weights.

        It holds for the next evaluation: no validation has them.
        """
        for entry in self._flat_losses or ():
            entry.loss.has_class_weight = entry.loss.output in outputs

    def build(self, y_true: Any, y_pred: Any) -> None:
        super().build(y_true, y_pred)
        self._task_names = _distinct_names(self._flat_losses)
        if not self.as_stock:
            _check_reductions(self._task_names, self._flat_losses)
            for name, tracker in zip(self._task_names, self._metrics):
                tracker.name = f"{name}_loss"
        self._flat_losses = [
            entry._replace(
                loss=_RecordedLoss(self, index, entry.name, entry.loss)
            )
            for index, entry in enumerate(self._flat_losses)
        ]
        if self.missing_label is not None:
            self._metrics[:] = [_LabelledMean(m.name) for m in self._metrics]
        _check_missing_label_names(self.missing_label, self._flat_losses)

    def call(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> Tensor:
        if keras.tree.is_nested(y_true) or keras.tree.is_nested(y_pred):
            self._check_labels(y_true, y_pred)
            sample_weight = self._by_output(sample_weight, y_pred)
            return super().call(y_true, y_pred, sample_weight)
        if not self.built:
            self.build(y_true, y_pred)
        if self.as_stock or len(self._flat_losses) == 1:
            return super().call(y_true, y_pred, sample_weight)
        # Keras' own path for a single output keeps the first loss only.
        total = 0.0
        for entry, weight, tracker in zip(
            self._flat_losses, self.task_weights, self._metrics
        ):
            value = entry.loss(y_true, y_pred, sample_weight)
            tracker.update_state(
                unscale_loss_for_distribution(value),
                sample_weight=y_pred.shape[0],
            )
            total += value * weight
        return total

    def _check_labels(self, y_true: Any, y_pred: Any) -> None:
        """Raises if labels by name are not those of the outputs.

        Keras would take names for labels, and fail where these are used.
        """
        if isinstance(y_pred, dict):
            outputs = list(y_pred)
        else:
            outputs = list(self.output_names or ())
        is_nested = isinstance(y_pred, (dict, list, tuple))
        if not isinstance(y_true, dict) or not is_nested or not outputs:
            return
        needed = outputs
        if isinstance(self._user_loss, dict):
            losses = self._user_loss
            needed = [name for name in outputs if losses.get(name) is not None]
        elif keras.tree.is_nested(self._user_loss):
            needed = []
        unknown = [name for name in y_true if name not in outputs]
        without = [name for name in needed if name not in y_true]
        if unknown or without:
            raise ValueError(
                f"The labels must be those of the model's outputs {outputs}, "
                "for each that has a loss; where `keras_mtl.selection` makes "
                "the labels, they are those of the tasks in its `data`. "
                f"Received: labels of {list(y_true)} (unknown: {unknown}, "
                f"missing: {without})"
            )

    def _by_output(self, sample_weight: Any, y_pred: Any) -> Any:
        """Completes a dict of sample weights, as a list for listed outputs.

        Keras finds labels by output name there, but not sample weights.
        """
        if not isinstance(sample_weight, dict):
            return sample_weight
        if isinstance(y_pred, dict):
            # Tasks that are not named have no sample weights.
            return {**dict.fromkeys(y_pred), **sample_weight}
        if not isinstance(y_pred, (list, tuple)):
            return sample_weight
        unknown = sorted(set(sample_weight) - set(self.output_names or ()))
        if unknown:
            raise ValueError(
                f"`sample_weight` has entries {unknown} that are no outputs "
                f"of the model. Its outputs are {self.output_names}."
            )
        return [sample_weight.get(name) for name in self.output_names]

    def num_labelled(self, output: str) -> float | None:
        """How many labels of an output its logged loss is a mean of.

        `None` where that is not counted: without `missing_label`, or with one
        task.
        """
        if self.missing_label is None or not self.built:
            return None
        trackers = dict(zip(self.task_outputs, self._metrics))
        if output not in trackers:
            return None
        return float(keras.ops.convert_to_numpy(trackers[output].count))

    @contextlib.contextmanager
    def recording(
        self, predictions: dict[str, Tensor] | None = None
    ) -> Iterator[TaskRecord]:
        """Records the task losses that are computed inside the context.

        Args:
            predictions: Output name to the prediction of its auxiliary head,
                to be judged by the same loss on the same labels.
        """
        self._record = TaskRecord(predictions or {})
        try:
            yield self._record
        finally:
            self._record = None


class TaskMetrics(CompileMetrics):
    """Keras' `CompileMetrics` that leaves out examples without a label."""

    def __init__(
        self,
        metrics: Any,
        weighted_metrics: Any,
        output_names: list[str] | None = None,
        missing_label: Any = None,
    ):
        super().__init__(metrics, weighted_metrics, output_names=output_names)
        self.missing_label = missing_label

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        if not self.built:
            self.build(y_true, y_pred)
        flat_true = self._flatten_y(y_true)
        flat_pred = self._flatten_y(y_pred)
        if sample_weight is None:
            flat_weight = [None] * len(flat_pred)
        else:
            flat_weight = self._flatten_y(sample_weight)
            if len(flat_weight) < len(flat_pred):
                flat_weight = [flat_weight[0]] * len(flat_pred)
        names = self._names_of_outputs(y_pred)
        for i, (labels, prediction) in enumerate(zip(flat_true, flat_pred)):
            missing = missing_label_of(self.missing_label, names[i])
            weight, mask = flat_weight[i], None
            if missing is not None:
                labels = as_column(labels, prediction)
                prediction = as_column(prediction, prediction)
                labels, mask = split_labels(labels, prediction, missing)
                mask = ops.cast(mask, self.dtype)
                weight = multiply_weights(weight, mask)
            if self._flat_metrics[i]:
                self._flat_metrics[i].update_state(labels, prediction, mask)
            if self._flat_weighted_metrics[i]:
                self._flat_weighted_metrics[i].update_state(
                    labels, prediction, weight
                )

    def _names_of_outputs(self, y_pred: Any) -> list[str]:
        """Names as the losses have them: keys, joined by `/` where nested."""
        if self._resolved_output_names:
            return self._resolved_output_names
        paths = [path for path, _ in flatten_with_path(y_pred)]
        if self.output_names and not any(
            isinstance(key, str) for path in paths for key in path
        ):
            return self.output_names
        return ["/".join(str(key) for key in path) for path in paths]


class _RecordedLoss:
    """The loss of one task: drops unlabelled examples and keeps a record."""

    def __init__(self, owner: TaskLosses, index: int, output: str, loss: Any):
        self.owner = owner
        self.index = index
        self.output = output
        self.loss = loss
        self.name = loss.name
        # Static shape of the predictions, from the first evaluation on.
        self.shape: tuple[int | None, ...] | None = None
        self.has_class_weight = False
        self._checked: list[tuple] | None = None

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> Tensor:
        missing = missing_label_of(self.owner.missing_label, self.output)
        has_class_weight = self._take_class_weight(y_pred)
        if missing is not None:
            y_true = as_column(ops.convert_to_tensor(y_true), y_pred)
            y_pred = as_column(y_pred, y_pred)
            y_true, mask = split_labels(y_true, y_pred, missing)
            sample_weight = self._weight_of_labelled(
                sample_weight, mask, get_keras_mask(y_pred)
            )
        if has_class_weight and sample_weight is not None:
            y_true, y_pred = one_value_a_label(self.loss, y_true, y_pred)
            self._check_class_weight(y_true, y_pred, sample_weight)
        value = self.loss(y_true, y_pred, sample_weight)
        record = self.owner._record
        if record is not None:
            record.losses[self.index] = value
            if self.output in record.predictions:
                prediction = record.predictions[self.output]
                if missing is not None:
                    prediction = as_column(prediction, prediction)
                record.auxiliary_losses[self.index] = self.loss(
                    y_true, prediction, sample_weight
                )
        return value

    def _take_class_weight(self, y_pred: Any) -> bool:
        """Whether sample weights are class weights, which is told once.

        Raises:
            ValueError: If labels were taken for those of other predictions.
        """
        if keras.tree.is_nested(y_pred):
            # One loss over several outputs.
            return False
        known, self.shape = self.shape, tuple(y_pred.shape)
        expected, self.has_class_weight = self.has_class_weight, False
        if expected and known is not None and len(known) != len(self.shape):
            raise ValueError(
                f"`class_weight['{self.output}']` was applied to predictions "
                f"of shape {known}. Compile the model anew for predictions "
                f"with another number of axes. Received: shape {self.shape}"
            )
        return expected

    def _check_class_weight(self, *arrays: Tensor) -> None:
        """Checks once that the loss has a value for each class weight."""
        shapes = [tuple(array.shape) for array in arrays]
        if shapes != self._checked:
            check_weighted_values(self.output, self.loss, *arrays)
        # Without a graph, every step comes here.
        self._checked = shapes

    def _weight_of_labelled(
        self, sample_weight: Any, mask: Tensor, keras_mask: Tensor | None
    ) -> Tensor:
        """As Keras treats masks: a mean is over what is labelled.

        Where Keras has a mask as well, it turns the mean over all values into
        one over those unmasked; what is left is to go from these to the
        labelled among them.
        """
        dtype = self.loss.dtype
        mask = ops.cast(mask, dtype)
        total = ops.cast(ops.size(mask), dtype)
        labelled = ops.sum(mask)
        if keras_mask is not None:
            unmasked = ops.cast(keras_mask, dtype)
            total = ops.sum(unmasked)
            labelled = ops.sum(multiply_weights(unmasked, mask))
        if self.owner._metrics:
            self.owner._metrics[self.index].labelled = labelled
        if self.owner._record is not None:
            self.owner._record.labelled[self.index] = labelled
        weight = multiply_weights(sample_weight, mask)
        if self.loss.reduction in ("mean", "sum_over_batch_size"):
            weight = weight * (total / ops.maximum(labelled, 1))
        return weight


class _LabelledMean(keras.metrics.Mean):
    """Mean of a task's loss over its labelled examples, not over batches."""

    labelled = None

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        # The recorded loss counted the labels of this very batch.
        if self.labelled is not None:
            sample_weight, self.labelled = self.labelled, None
        super().update_state(values, sample_weight=sample_weight)


def _distinct_names(entries: list) -> list[str]:
    """Names of tasks: those of Keras' logs as far as these are distinct."""
    paths = [entry.path for entry in entries]
    names = [
        f"{entry.name}_{entry.loss.name}"
        # An output without a name is called after its loss already.
        if paths.count(entry.path) > 1 and entry.name != entry.loss.name
        else entry.name
        for entry in entries
    ]
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 0
        # Not what another task is called already, or is by right.
        while candidate in distinct or (number and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        distinct.append(candidate)
    return distinct


def _check_reductions(names: list[str], entries: list) -> None:
    for name, entry in zip(names, entries):
        if entry.loss.reduction in (None, "none"):
            raise ValueError(
                f"The loss of task '{name}' should be a scalar. Give it a "
                "reduction, e.g. `reduction='sum_over_batch_size'`. Received: "
                f"reduction={entry.loss.reduction!r}"
            )


def _check_missing_label_names(missing_label: Any, entries: list) -> None:
    if not isinstance(missing_label, dict):
        return
    known = [entry.loss.output for entry in entries]
    unknown = sorted(set(missing_label) - set(known))
    if unknown:
        raise ValueError(
            f"`missing_label` has entries {unknown} that are no outputs with "
            f"a loss. The outputs with a loss are {known}. Received: "
            f"missing_label={missing_label}"
        )
