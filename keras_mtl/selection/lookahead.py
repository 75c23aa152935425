"""Task losses after a trial step on each single task."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl import backend
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.trainers.batches import prepare_batch
from keras_mtl.trainers.settings import arbitrated_variables
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import call_for_training


class Lookahead:
    """Looks at what a step on one task alone would do to all tasks.

    The steps are those of plain gradient descent on the variables that two
    tasks or more share. They are taken on copies: no variable of the model
    changes, neither weights nor moving averages nor random seeds, and as the
    seeds are the same before and after a step, so are dropout's masks.

    Args:
        model: A compiled and built `keras_mtl.MultiTaskModel`.
    """

    def __init__(self, model: Any):
        self.model = model
        # The method that arbitrates has variables too, which no loss reaches.
        self._trainable = arbitrated_variables(model)
        mine = {id(v) for v in self._trainable}
        self._others = [
            v
            for v in model.variables + model.metrics_variables
            if id(v) not in mine
        ]
        self._measure = self._losses_and_steps
        if not model.run_eagerly:
            self._measure = backend.compiled(
                self._measure, jit_compile=model.jit_compile
            )

    @property
    def task_names(self) -> list[str]:
        return list(self.model.task_losses.task_names)

    def __call__(
        self, batch: Any, learning_rate: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Takes a trial step on each task.

        Args:
            batch: `(x, y)` or `(x, y, sample_weight)`.
            learning_rate: Of the steps.

        Returns:
            Losses `[T]` before, and losses `[T, T]` after a step: row i holds
            those of all tasks after the step on task i.
        """
        before, after = self._measure(
            [ops.convert_to_tensor(v.value) for v in self._trainable],
            [ops.convert_to_tensor(v.value) for v in self._others],
            batch,
            ops.convert_to_tensor(learning_rate, "float32"),
            # Gradients in half precision are as small as in training.
            ops.convert_to_tensor(self.model.optimizer.scale_loss(1.0)),
        )
        return ops.convert_to_numpy(before), ops.convert_to_numpy(after)

    def _losses_and_steps(
        self,
        values: list[Tensor],
        others: list[Tensor],
        batch: Any,
        learning_rate: Tensor,
        scale: Tensor,
    ) -> tuple[Tensor, Tensor]:
        def losses(values: list[Tensor]) -> list[Tensor]:
            return self._losses(values, others, batch)

        def scaled(values: list[Tensor]) -> list[Tensor]:
            return [loss * scale for loss in losses(values)]

        before, rows = backend.task_gradients(scaled, values)
        shared = [
            len(tasks_of(column)) > 1 for column in zip(*rows, strict=True)
        ]
        after = []
        for row, weight in zip(
            rows, self.model.task_losses.task_weights, strict=True
        ):
            rate = learning_rate * weight / scale
            moved = [
                value - ops.cast(rate * ops.cast(g, "float32"), value.dtype)
                if is_shared and g is not None
                else value
                for value, g, is_shared in zip(values, row, shared, strict=True)
            ]
            after.append(ops.stack(losses(moved)))
        return ops.stack(before) / scale, ops.stack(after)

    def _losses(
        self, values: list[Tensor], others: list[Tensor], batch: Any
    ) -> list[Tensor]:
        """Task losses of the batch where the variables have these values."""
        model = self.model
        mapping = [
            *zip(self._trainable, values, strict=True),
            *zip(self._others, others, strict=True),
        ]
        with keras.StatelessScope(state_mapping=mapping):
            x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(
                prepare_batch(model, batch)
            )
            y_pred = call_for_training(model, x)
            with model.task_losses.recording() as record:
                model.task_losses(y, y_pred, sample_weight)
        return [
            ops.cast(record.losses[t], "float32")
            for t in range(len(record.losses))
        ]
