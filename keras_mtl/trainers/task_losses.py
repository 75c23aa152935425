"""The losses of single tasks, taken from Keras' own loss computation.

`keras.Model.compile` makes a `CompileLoss` of the `loss` that the user gives.
It computes every loss once, with its sample weights, masks, names and
trackers; here each one is recorded as it passes.
"""

import contextlib
import functools
import operator
import threading
from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from keras_mtl.labels.class_weights import Judged
from keras_mtl.labels.class_weights import check_weighted_values
from keras_mtl.labels.class_weights import one_value_a_label
from keras_mtl.labels.labelled_loss import LabelledLoss
from keras_mtl.labels.missing_labels import missing_label_of
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.losses.per_column import Column
from keras_mtl.losses.per_column import PerColumn
from keras_mtl.trainers.task_errors import naming_task
from keras_mtl.types import Tensor
from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.by_output import check_nested_entries
from keras_mtl.utils.by_output import listed_by_output
from keras_mtl.utils.by_output import naming_entries
from keras_mtl.utils.by_output import spread_by_output
from keras_mtl.utils.keras_internals import OpenLosses
from keras_mtl.utils.keras_internals import flatten_with_path
from keras_mtl.utils.keras_internals import unscale_loss_for_distribution


class TaskRecord:
    """What one evaluation of the losses left behind, by task.

    Attributes:
        losses: One scalar a task, in the order of `TaskLosses.task_names`,
            without loss weights.
        auxiliary_losses: Task index to the scalar loss of its auxiliary head.
        labelled: Task index to the number of labels, where some can miss.
        auxiliary_labelled: The same for its auxiliary head, which may mask
            other time steps than the task's own.
    """

    def __init__(self, predictions: dict[str, Tensor]):
        self.predictions = predictions
        self.losses: dict[int, Tensor] = {}
        self.auxiliary_losses: dict[int, Tensor] = {}
        self.labelled: dict[int, Tensor] = {}
        self.auxiliary_labelled: dict[int, Tensor] = {}


class TaskLosses(OpenLosses):
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
        whole_labels: Where to note which labels are taken as a whole.
    """

    def __init__(
        self,
        loss: Any,
        loss_weights: Any = None,
        output_names: list[str] | None = None,
        missing_label: Any = None,
        as_stock: bool = False,
        whole_labels: WholeLabels | None = None,
    ):
        loss_weights = listed_by_output(
            "loss_weights", loss_weights, loss, output_names
        )
        super().__init__(loss, loss_weights, output_names=output_names)
        self.missing_label = missing_label
        self.as_stock = as_stock
        self._task_names: list[str] = []
        # Path, name and static shape of each output.
        self._outputs: list[tuple[tuple, str, tuple]] = []
        self.whole_labels = whole_labels or WholeLabels()
        # The replicas of `tf.distribute` are threads that take turns.
        self._thread = threading.local()

    @property
    def record(self) -> TaskRecord | None:
        """The record that this thread keeps just now, if it does."""
        return getattr(self._thread, "record", None)

    @property
    def task_names(self) -> list[str]:
        return list(self._task_names)

    @property
    def task_outputs(self) -> list[str]:
        """Name of the output that each task judges."""
        return [entry.loss.output for entry in self.entries]

    @property
    def task_weights(self) -> list[float]:
        """Loss weights as given in `compile`, 1 where there is none."""
        weights = [entry.loss_weights for entry in self.entries]
        return [1.0 if weight is None else weight for weight in weights]

    @property
    def split_outputs(self) -> dict[str, int]:
        """Numbers of columns, by name, of the outputs that are split."""
        losses = [entry.loss for entry in self.entries]
        return {
            loss.output: loss.column.num_columns
            for loss in losses
            if loss.column is not None
        }

    @property
    def outputs_without_loss(self) -> list[str]:
        """Names of the outputs, or their positions, that no task judges."""
        paths = {entry.path for entry in self.entries}
        # One loss may stand for all outputs below its path.
        return [
            name
            for path, name, _ in self._outputs
            if paths.isdisjoint([(name,), *_beginnings(path)])
        ]

    @property
    def only_columns(self) -> tuple[str, int] | None:
        """Name and number of columns, if there is one output that has any."""
        if len(self._outputs) != 1 or len(self._outputs[0][2]) < 2:
            return None
        _, name, shape = self._outputs[0]
        return name or self.task_outputs[0], shape[-1] or 0

    def judged(self) -> dict[str, Judged]:
        """What is known of the outputs that have a loss, by name."""
        found: dict[str, Judged] = {}
        for loss in [entry.loss for entry in self.entries or ()]:
            if getattr(loss, "shape", None) is None:
                continue
            others = found.get(loss.output, Judged()).losses
            found[loss.output] = Judged(loss.shape, (*others, loss.loss))
        return found

    def expect_class_weight(self, outputs: Collection[str]) -> None:
        """Tells the losses of these outputs that labels have class weights.

        It holds for the next evaluation: no validation has them.
        """
        for entry in self.entries or ():
            entry.loss.has_class_weight = entry.loss.output in outputs

    def build(self, y_true: Any, y_pred: Any) -> None:
        check = functools.partial(self._check_names, y_pred)
        if not self.as_stock:
            check()
        with naming_entries(check):
            super().build(y_true, y_pred)
        if self.as_stock:
            check()
        self._outputs = _outputs(y_pred, self.output_names)
        outputs = [entry.name for entry in self.entries]
        if not self.as_stock:
            outputs = self._split_columns()
        self._task_names = _distinct_names(self.entries)
        if not self.as_stock:
            _check_reductions(self._task_names, self.entries)
            # Keras makes no trackers where there is one loss.
            for name, tracker in zip(
                self._task_names, self.trackers, strict=False
            ):
                tracker.name = f"{name}_loss"
        self.entries = [
            entry._replace(
                loss=_RecordedLoss(self, index, task, output, entry.loss)
            )
            for index, (task, output, entry) in enumerate(
                zip(self._task_names, outputs, self.entries, strict=True)
            )
        ]
        if self.missing_label is not None:
            self.trackers[:] = [_LabelledMean(m.name) for m in self.trackers]
        _check_missing_label_names(self.missing_label, self.entries)

    def _check_names(self, y_pred: Any) -> None:
        """Raises for entries of what is no output.

        Keras says that structures do not match, or takes values in their
        order. Where there is one output it takes any name.
        """
        for argument, given in self.given.items():
            if not isinstance(given, dict):
                continue
            if isinstance(y_pred, dict):
                check_nested_entries(argument, given, y_pred)
            elif not self.output_names and keras.tree.is_nested(y_pred):
                check_entries(argument, given, None)

    def _split_columns(self) -> list[str]:
        """Puts a loss a column in the place of each `PerColumn`.

        Returns:
            For each loss the name of its output.
        """
        found = []
        for entry in self.entries:
            parts = [entry.loss]
            if isinstance(entry.loss, PerColumn):
                sizes = [
                    shape[-1]
                    for path, name, shape in self._outputs
                    if entry.path in (path, (name,)) and shape
                ]
                size = sizes[0] if len(sizes) == 1 else None
                parts = entry.loss.columns(entry.name, size)
            for part in parts:
                weight, name = entry.loss_weights, entry.name
                if isinstance(part, Column):
                    weight = (1.0 if weight is None else weight) / len(parts)
                    name = part.name
                part = entry._replace(loss=part, loss_weights=weight, name=name)
                found.append((entry.name, part))
        if len(found) > len(self.entries):
            self.entries = [part for _, part in found]
            names = [part.name for part in self.entries]
            self.trackers[:] = [keras.metrics.Mean(name) for name in names]
        return [output for output, _ in found]

    def call(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> Tensor:
        sample_weight = spread_by_output(
            "sample_weight", sample_weight, y_pred, self.output_names
        )
        if not keras.tree.is_nested(y_pred):
            y_true = spread_by_output("y", y_true, y_pred, self.output_names)
        if keras.tree.is_nested(y_true) or keras.tree.is_nested(y_pred):
            self._check_labels(y_true, y_pred)
            return super().call(y_true, y_pred, sample_weight)
        if not self.built:
            self.build(y_true, y_pred)
        if self.as_stock or len(self.entries) == 1:
            return super().call(y_true, y_pred, sample_weight)
        # Keras' own path for a single output keeps the first loss only.
        total = 0.0
        for entry, weight, tracker in zip(
            self.entries, self.task_weights, self.trackers, strict=False
        ):
            value = entry.loss(y_true, y_pred, sample_weight)
            tracker.update_state(
                unscale_loss_for_distribution(value),
                sample_weight=y_pred.shape[0],
            )
            total += ops.cast(value, self.dtype) * weight
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
        if not isinstance(y_true, dict) or not is_nested:
            return
        if not outputs:
            check_entries("y", y_true, None)
        needed = outputs
        losses = self.given["loss"]
        if isinstance(losses, dict):
            needed = [name for name in outputs if losses.get(name) is not None]
        elif keras.tree.is_nested(losses):
            needed = []
        check_entries("y", y_true, outputs)
        without = [name for name in needed if name not in y_true]
        if without:
            raise ValueError(
                f"There must be labels of all outputs that have a loss, "
                f"{needed}; where `keras_mtl.selection` makes the labels, they "
                "are those of the tasks in its `data`. Received: labels of "
                f"{list(y_true)}, without {without}"
            )

    def num_labelled(self, output: str) -> float | None:
        """How many labels of an output its logged loss is a mean of.

        `None` where that is not counted: without `missing_label`, or with one
        task.
        """
        if self.missing_label is None or not self.built:
            return None
        trackers = dict(zip(self.task_outputs, self.trackers, strict=False))
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
                to be judged by the same loss on the same labels; to a list of
                them where it has several, whose losses are added up.
        """
        record = self._thread.record = TaskRecord(predictions or {})
        try:
            yield record
        finally:
            self._thread.record = None


class _RecordedLoss:
    """The loss of one task: drops unlabelled examples and keeps a record."""

    def __init__(
        self, owner: TaskLosses, index: int, task: str, output: str, loss: Any
    ):
        self.owner = owner
        self.index = index
        self.task = task
        self.output = output
        self.column = loss if isinstance(loss, Column) else None
        self.loss = loss.loss if isinstance(loss, Column) else loss
        self.name = loss.name
        # Static shape of the predictions, from the first evaluation on.
        self.shape: tuple[int | None, ...] | None = None
        self.has_class_weight = False
        self._checked: list[tuple] | None = None
        missing = missing_label_of(owner.missing_label, output)
        self.labelled = None
        if missing is not None:
            # A column has one entry, which is not missing in part.
            whole = owner.whole_labels if self.column is None else WholeLabels()
            self.labelled = LabelledLoss(
                self.loss, task, output, missing, whole
            )

    def __call__(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any = None
    ) -> Tensor:
        if all(weight is None for weight in keras.tree.flatten(sample_weight)):
            # So it is for one loss of several outputs without weights.
            sample_weight = None
        has_class_weight = self._take_class_weight(y_pred)
        if self.column is not None:
            y_true, y_pred, sample_weight = self.column.select(
                y_true, y_pred, sample_weight
            )
        if has_class_weight and sample_weight is not None:
            y_true, y_pred = one_value_a_label(self.loss, y_true, y_pred)
            self._check_class_weight(y_true, y_pred, sample_weight)
        value, count = self._evaluate(y_true, y_pred, sample_weight)
        record = self.owner.record
        if record is not None:
            self._keep(record, value, count)
            self._keep_auxiliary(record, y_true, sample_weight)
        if count is not None and self.owner.trackers:
            # Last of all: while the replicas of `tf.distribute` wait for each
            # other, another one would take it for its own.
            self.owner.trackers[self.index].labelled = count
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

    def _keep(
        self, record: TaskRecord, value: Tensor, count: Tensor | None
    ) -> None:
        record.losses[self.index] = self._scalar(value)
        if count is not None:
            record.labelled[self.index] = count

    def _keep_auxiliary(
        self, record: TaskRecord, y_true: Tensor, sample_weight: Any
    ) -> None:
        if self.output not in record.predictions:
            return
        predictions = record.predictions[self.output]
        if not isinstance(predictions, (list, tuple)):
            predictions = [predictions]
        if self.column is not None:
            predictions = [self.column.predictions(p) for p in predictions]
        found = [
            self._evaluate(y_true, prediction, sample_weight)
            for prediction in predictions
        ]
        record.auxiliary_losses[self.index] = functools.reduce(
            operator.add, [self._scalar(value) for value, _ in found]
        )
        count = found[0][1]
        if count is not None:
            record.auxiliary_labelled[self.index] = count

    def _evaluate(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Any
    ) -> tuple[Tensor, Tensor | None]:
        """The loss, and the number of its labels where some can miss."""
        as_stock = self.owner.as_stock
        with naming_task(self.task, y_true, y_pred, sample_weight, as_stock):
            if self.labelled is None:
                return self.loss(y_true, y_pred, sample_weight), None
            return self.labelled(y_true, y_pred, sample_weight)

    def _scalar(self, value: Tensor) -> Tensor:
        """In the type of the total loss, and a scalar of an empty batch too.

        Keras makes a loss of shape (0,) of a batch with no example.
        """
        value = ops.sum(value) if len(value.shape) else value
        return ops.cast(value, self.owner.dtype)


class _LabelledMean(keras.metrics.Mean):
    """Mean of a task's loss over its labelled examples, not over batches."""

    labelled = None

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        # The recorded loss counted the labels of this very batch.
        if self.labelled is not None:
            sample_weight, self.labelled = self.labelled, None
        super().update_state(values, sample_weight=sample_weight)


def _outputs(y_pred: Any, names: list[str] | None) -> list[tuple]:
    """Path, name (empty where there is none) and static shape of outputs."""
    found = flatten_with_path(y_pred)
    if names is None or len(names) != len(found):
        names = ["/".join(map(str, path)) for path, _ in found]
    return [
        (tuple(path), name, tuple(output.shape))
        for name, (path, output) in zip(names, found, strict=True)
    ]


def _beginnings(path: tuple) -> list[tuple]:
    return [path[:length] for length in range(len(path) + 1)]


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
    for name, entry in zip(names, entries, strict=True):
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
    check_entries("missing_label", missing_label, known, "outputs with a loss")
