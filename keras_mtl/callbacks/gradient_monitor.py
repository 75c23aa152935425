"""A callback that follows the gradients of the tasks."""

import os
from itertools import combinations
from typing import Any

import keras
import numpy as np

from keras_mtl.callbacks.gradient_history import GradientHistory
from keras_mtl.callbacks.plot_gradients import plot_gradients
from keras_mtl.callbacks.scalar_writer import ScalarWriter
from keras_mtl.callbacks.scalar_writer import check_log_dir
from keras_mtl.utils.argument_validation import integer_from


class GradientMonitor(keras.callbacks.Callback):
    """Follows cosines, norms and weights of the task gradients in `fit`.

    Every `every_n_steps` training steps it reads what the aggregator of a
    `keras_mtl.MultiTaskModel` saw and decided: the cosine of each pair of task
    gradients, the norm of each, and the weight that each got. These are the
    gradients of the batch of that step (the averages, where `MoCo` or `DBMTL`
    puts these in their place), over the variables that tasks share, or at the
    `representation` where the model was compiled with one. Other steps cost
    nothing: no state is read, and the device is not waited for.

    With `log_dir` it writes scalars for TensorBoard to `log_dir/train`, where
    `keras.callbacks.TensorBoard(log_dir)` writes too:
    `gradient_cosine/<task>_<task>`, `gradient_norm/<task>` and
    `task_weight/<task>`. Undefined values are left out.

    Args:
        log_dir: Folder for TensorBoard, or `None` to keep the values in memory
            only.
        every_n_steps: integer, from 1. With `steps_per_execution=k`, only
            every k-th step can be seen: it takes the next one.

    Attributes:
        history: A `keras_mtl.callbacks.GradientHistory` of NumPy arrays:
            `steps` `[n]`, `cosines` `[n, T, T]`, `norms` `[n, T]` and `weights`
            `[n, T]`. It grows over several calls of `fit`.

    Raises:
        ValueError: If `log_dir` is no path, if `every_n_steps` is no integer
            from 1, or, in `fit`, if the model has no aggregator.

    Example:

    ```python
    monitor = keras_mtl.callbacks.GradientMonitor("logs", every_n_steps=50)
    model.compile("adam", loss=losses, aggregator="pcgrad")
    model.fit(x, y, epochs=5, callbacks=[monitor])
    monitor.history.cosines[-1]  # [T, T]
    monitor.plot("gradients.png")
    ```
    """

    def __init__(
        self,
        log_dir: str | os.PathLike | None = None,
        every_n_steps: int = 100,
    ):
        super().__init__()
        self.log_dir = check_log_dir(log_dir)
        self.every_n_steps = integer_from(1, "every_n_steps", every_n_steps)
        self._writer: ScalarWriter | None = None
        self._task_names: list[str] = []
        self._steps: list[int] = []
        self._grams: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []
        self._step = 0
        self._epoch_start = 0
        self._in_epoch = False

    @property
    def history(self) -> GradientHistory:
        return GradientHistory.from_grams(
            self._task_names, self._steps, self._grams, self._weights
        )

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draws the history; see `keras_mtl.callbacks.plot_gradients`."""
        return plot_gradients(self, path)

    # A step is read at the beginning of the next one, because a callback with
    # `on_train_batch_end` makes Keras on JAX wait for the logs of every step.

    def on_train_begin(self, logs: Any = None) -> None:
        if getattr(self.model, "aggregator", None) is None:
            raise ValueError(
                "GradientMonitor reads what an aggregator saw, and the model "
                f"'{self.model.name}' has none. Use a `keras_mtl."
                "MultiTaskModel` and compile it with an aggregator; "
                '`aggregator="sum"` trains as stock Keras does.'
            )
        if self.log_dir is not None:
            self._writer = ScalarWriter(os.path.join(self.log_dir, "train"))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._step == 0:
            # A training that was resumed goes on counting where it stopped.
            self._step = int(_numpy(self.model.optimizer.iterations))
        self._epoch_start = self._step
        self._in_epoch = True

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._advance(self._epoch_start + batch)

    def on_test_begin(self, logs: Any = None) -> None:
        # Validation resets the metrics, and with them the last step.
        self._end_epoch()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._end_epoch()

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _end_epoch(self) -> None:
        if not self._in_epoch:
            return
        self._in_epoch = False
        # The last execution may have had fewer batches than the others.
        count = round(float(_numpy(self.model.gradient_conflict.count)))
        self._advance(self._epoch_start + count)
        if self._writer is not None:
            self._writer.flush()

    def _advance(self, step: int) -> None:
        """Notes that so many steps are done; records the last one if due."""
        last, self._step = self._step, max(self._step, step)
        if self._step // self.every_n_steps > last // self.every_n_steps:
            self._record()

    def _record(self) -> None:
        # On JAX, `self.model` brings the state of the training into the model.
        model = self.model
        if self._steps and self._task_names != model.task_names:
            raise ValueError(
                "A GradientMonitor follows one set of tasks, here "
                f"{self._task_names}. Make a new one for another model. "
                f"Received: a model with the tasks {model.task_names}"
            )
        self._task_names = list(model.task_names)
        self._steps.append(self._step)
        conflict = model.gradient_conflict
        # In float64, which has the squares of gradients of 1e-20 and 1e20.
        unit = float(_numpy(conflict.unit))
        gram = _numpy(conflict.scaled_gram).astype("float64") * unit**2
        self._grams.append(gram)
        self._weights.append(_numpy(conflict.task_weights))
        if self._writer is not None:
            self._writer.write(self._step, self._last_scalars())

    def _last_scalars(self) -> dict[str, float]:
        """Values of the last recorded step by tag, without undefined ones."""
        last = GradientHistory.from_grams(
            self._task_names,
            self._steps[-1:],
            self._grams[-1:],
            self._weights[-1:],
        )
        names = last.task_names
        scalars = {
            f"gradient_cosine/{names[i]}_{names[j]}": last.cosines[0, i, j]
            for i, j in combinations(range(len(names)), 2)
        }
        for t, name in enumerate(names):
            scalars[f"gradient_norm/{name}"] = last.norms[0, t]
            scalars[f"task_weight/{name}"] = last.weights[0, t]
        return {
            tag: value for tag, value in scalars.items() if not np.isnan(value)
        }


def _numpy(tensor: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(tensor))
