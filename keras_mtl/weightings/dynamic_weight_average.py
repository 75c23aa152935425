"""Dynamic weight average: more weight where the loss falls slowly."""

from typing import Any

import keras
from keras import ops

from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import is_integer
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class DynamicWeightAverage(Weighting):
    """Weights a loss by how it changed from one epoch to the next (DWA).

    With the mean losses L(t) of epochs, or of windows of steps, and T tasks

        w_t = T softmax(r / temperature)_t,    r = L(t - 1) / L(t - 2).

    A loss that has fallen little gets more weight than one that has fallen a
    lot. The weights are positive and sum to T; they are ones for the first two
    epochs.

    Batches in which a task has no labels, or a loss that is not finite, do not
    count in its mean. A task with no labels in a whole epoch keeps its r.

    Args:
        temperature: Number above 0; the paper has 2. The larger, the nearer
            the weights are to ones.
        window: `"epoch"`, as published: epochs of `fit`. With loops of your
            own over `train_on_batch`, call `end_epoch()` after each. Or an
            integer: so many steps, counted on the device.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.DynamicWeightAverage(window=100),
    )
    ```

    Reference:

    - [End-to-End Multi-Task Learning with Attention](
        https://arxiv.org/abs/1803.10704), Liu et al. 2019
    """

    def __init__(
        self,
        temperature: float = 2.0,
        window: str | int = "epoch",
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.temperature = number_above_zero("temperature", temperature)
        by_steps = is_integer(window)
        if window != "epoch" and not (by_steps and window > 0):
            raise ValueError(
                "`window` must be 'epoch' or a number of steps, an integer "
                f"above 0. Received: window={window!r}"
            )
        self.window = int(window) if by_steps else window

    def create_state(self, task_names: tuple[str, ...]) -> None:
        shape = (len(task_names),)
        self.ratio = self.add_state("ratio", shape, "ones")
        # Of the window before, and whether there is one.
        self.mean = self.add_state("mean", shape)
        self.known = self.add_state("known", shape)
        # Of this window, and the steps that counted.
        self.total = self.add_state("total", shape)
        self.count = self.add_state("count", shape)
        if self.window != "epoch":
            self.step = self.add_state("step", initializer=0, dtype="int")

    def weights(self, losses: Tensor) -> Tensor:
        del losses
        self.check_built()
        ratio = ops.convert_to_tensor(self.ratio)
        return ratio.shape[0] * ops.softmax(ratio / self.temperature)

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        del observed
        counts = ops.isfinite(losses)
        self.total.assign(self.total + ops.where(counts, losses, 0.0))
        self.count.assign(self.count + ops.cast(counts, "float32"))
        if self.window == "epoch":
            return
        step = self.step + 1
        full = ops.equal(step, self.window)
        self._close_window(full)
        self.step.assign(ops.where(full, ops.zeros_like(step), step))

    def end_epoch(self) -> None:
        if self.window == "epoch":
            self._close_window(True)

    def _close_window(self, full: Tensor) -> None:
        """Takes the ratios to the window before, if this one is full."""
        total, count, old_mean, known, old_ratio = (
            ops.convert_to_tensor(variable)
            for variable in (
                self.total,
                self.count,
                self.mean,
                self.known,
                self.ratio,
            )
        )
        mean = total / divisor(count)
        moves = ops.logical_and(full, count > 0)
        moves = ops.logical_and(moves, ops.isfinite(mean))
        ratio = mean / divisor(old_mean)
        usable = ops.logical_and(known > 0, ops.isfinite(ratio))
        usable = ops.logical_and(usable, ops.not_equal(old_mean, 0.0))
        ratio = ops.where(usable, ratio, 1.0)
        self.ratio.assign(ops.where(moves, ratio, old_ratio))
        self.mean.assign(ops.where(moves, mean, old_mean))
        self.known.assign(ops.where(moves, 1.0, known))
        self.total.assign(ops.where(full, 0.0, total))
        self.count.assign(ops.where(full, 0.0, count))

    def get_config(self) -> dict[str, Any]:
        return {
            "temperature": self.temperature,
            "window": self.window,
            **super().get_config(),
        }
