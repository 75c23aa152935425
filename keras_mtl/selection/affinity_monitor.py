"""A callback that measures how tasks affect each other."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl.selection.lookahead import Lookahead
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_above_zero


class AffinityHistory(NamedTuple):
    """Affinities between T tasks at n steps of a training.

    Attributes:
        task_names: T names, in the order of the tasks.
        steps: integers `[n]`, how many steps were done.
        affinities: float `[n, T, T]`; entry `[k, i, j]` is the affinity of
            task i onto task j. NaN where task j has no loss.
    """

    task_names: list[str]
    steps: np.ndarray
    affinities: np.ndarray


class AffinityMonitor(keras.callbacks.Callback):
    """Measures in `fit` what training on one task does for the others.

    The affinity of task i onto task j is the share of the loss of j that goes
    away when the shared variables take one step on the loss of i alone:

        Z[i, j] = 1 - L_j(theta - learning_rate * dL_i / dtheta) / L_j(theta)

    Above 0 the step helps task j, below 0 it hurts it; of losses below 0 the
    size counts, L_j in the denominator being |L_j|. `group_tasks` makes
    groups of the mean over the training, `mean_affinity`: the method TAG.

    Only what tasks share takes the step, by plain gradient descent, whatever
    the model's optimizer. `loss_weights` scale the steps as they do in
    training; aggregators, weightings and auxiliary heads have no part in it.
    Layers work as in training, on the batch given here, and nothing of it
    remains: weights, moving averages, random seeds and metrics stay as they
    are, to the bit. One measurement takes T forward and T backward passes, and
    one forward pass more, compiled.

    Args:
        batch: `(x, y)` or `(x, y, sample_weight)`, a batch with labels for all
            tasks, as `fit` takes it. The paper measures on the training
            batch; one batch for all steps makes them comparable.
        frequency: `"epoch"`, to measure at the end of every epoch, or int: a
            measurement every so many steps. The paper has one every 10 steps.
        learning_rate: float > 0 or `None`, of the trial steps. By default
            the current one of the optimizer. It scales all affinities alike,
            as long as it is small.

    Attributes:
        history: A `keras_mtl.selection.AffinityHistory`. It grows over several
            calls of `fit`.

    Raises:
        ValueError: If an argument does not fit, or in `fit` if the model is no
            `keras_mtl.MultiTaskModel` with a loss.

    Example:

    ```python
    monitor = keras_mtl.selection.AffinityMonitor((x[:256], y_of_256))
    model.fit(x, y, epochs=10, callbacks=[monitor])
    monitor.mean_affinity  # [T, T]
    keras_mtl.selection.group_tasks(
        monitor.mean_affinity, num_groups=3, task_names=model.task_names
    )
    ```

    References:

    - [Fifty et al., "Efficiently Identifying Task Groupings for Multi-Task
      Learning", 2021](https://arxiv.org/abs/2109.04617)
    """

    def __init__(
        self,
        batch: Any,
        frequency: int | str = "epoch",
        learning_rate: float | None = None,
    ):
        super().__init__()
        if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
            raise ValueError(
                "`batch` must be a pair `(x, y)`, or with sample weights a "
                f"triple. Received: batch of type {type(batch).__name__}"
            )
        if frequency != "epoch":
            frequency = integer_from(1, "frequency", frequency)
        if learning_rate is not None:
            learning_rate = number_above_zero("learning_rate", learning_rate)
        if len(batch) == 3 and batch[2] is None:
            batch = batch[:2]
        _check_lengths(batch)
        self.batch = keras.tree.map_structure(_tensor, tuple(batch))
        self.frequency = frequency
        self.learning_rate = learning_rate
        self._lookahead: Lookahead | None = None
        self._task_names: list[str] = []
        self._steps: list[int] = []
        self._affinities: list[np.ndarray] = []
        self._step = 0
        self._epoch_start = 0
        self._in_flight = 0
        self._steps_at_once = 1

    @property
    def history(self) -> AffinityHistory:
        count = len(self._task_names)
        shape = len(self._steps), count, count
        return AffinityHistory(
            list(self._task_names),
            np.array(self._steps, "int64"),
            np.array(self._affinities, "float64").reshape(shape),
        )

    @property
    def mean_affinity(self) -> np.ndarray:
        """Mean affinities `[T, T]` over the measurements, without NaN."""
        affinities = self.history.affinities
        if not len(affinities):
            raise ValueError(
                "Nothing was measured yet. Train with the AffinityMonitor "
                "among the `callbacks` of `fit`, for at least as long as "
                f"`frequency` says. Received: frequency={self.frequency!r}"
            )
        known = np.isfinite(affinities)
        total = np.where(known, affinities, 0.0).sum(axis=0)
        count = known.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def measure(self) -> np.ndarray:
        """Affinities `[T, T]` now; `fit` calls it."""
        model = self.model
        if self._lookahead is None or self._lookahead.model is not model:
            self._lookahead = Lookahead(model)
        rate = self.learning_rate
        if rate is None:
            rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate)
        before, after = self._lookahead(self.batch, float(rate))
        before, after = before.astype("float64"), after.astype("float64")
        if not before.any():
            raise ValueError(
                "The `batch` of AffinityMonitor tells nothing of any task: it "
                f"has no labels, or all losses are zero. Received: {before} "
                f"for the tasks {self._lookahead.task_names}"
            )
        # A task without labels in the batch has no loss.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(
                before != 0, (before - after) / np.abs(before), np.nan
            )

    # A batch is looked at when the next one begins, because a callback with
    # `on_train_batch_end` makes Keras on JAX wait for the logs of every step.

    def on_train_begin(self, logs: Any = None) -> None:
        has_tasks = hasattr(self.model, "method_state")
        if not has_tasks or self.model.task_losses is None:
            raise ValueError(
                "AffinityMonitor measures the losses of tasks: train a "
                "`keras_mtl.MultiTaskModel` compiled with a `loss` for each. "
                f"Received: a {type(self.model).__name__}"
            )
        # It may have been compiled anew.
        self._lookahead = None
        # Not read at every step: on JAX, Keras then writes all variables back.
        self._steps_at_once = self.model.steps_per_execution

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._step == 0:
            # A training that was resumed goes on counting where it stopped.
            iterations = self.model.optimizer.iterations
            self._step = int(keras.ops.convert_to_numpy(iterations))
        self._epoch_start = self._step

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._advance(self._epoch_start + batch)
        self._in_flight = self._step + self._steps_at_once

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._advance(self._in_flight)
        if self.frequency == "epoch":
            self._record()

    def _advance(self, step: int) -> None:
        """Notes that so many steps are done; measures if that is due."""
        last, self._step = self._step, step
        if self.frequency == "epoch":
            return
        if self._step // self.frequency > last // self.frequency:
            self._record()

    def _record(self) -> None:
        affinity = self.measure()
        names = self._lookahead.task_names
        if self._steps and self._task_names != names:
            raise ValueError(
                "An AffinityMonitor follows one set of tasks, here "
                f"{self._task_names}. Make a new one for another model. "
                f"Received: a model with the tasks {names}"
            )
        self._task_names = names
        self._steps.append(self._step)
        self._affinities.append(affinity)


def _check_lengths(batch: Any) -> None:
    shapes = [np.shape(array) for array in keras.tree.flatten(list(batch))]
    lengths = [shape[0] if shape else 0 for shape in shapes]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(
            "The arrays in `batch` must have one length, which is the number "
            f"of examples. Received: lengths {lengths}"
        )


def _tensor(value: Any) -> Any:
    return keras.ops.convert_to_tensor(value)
