"""GradNorm: gradients of such norms that tasks train at the same rate."""

from typing import Any

import keras
from keras import ops

from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting

# A weight at zero could never rise: its gradient has no norm.
FLOOR = 1e-3


@keras.saving.register_keras_serializable(package="keras_mtl")
class GradNorm(Weighting):
    """Learns loss weights from the norms of the task gradients.

    At one layer that tasks share, let N_t be the norm of the gradient of the
    weighted loss, and r_t the loss over its first value, divided by the mean
    of these over the tasks: the larger, the slower the task trains. The
    weights descend on

        sum_t |N_t - mean(N) r_t^alpha|

    with the target taken as constant. So a task that lags behind is given a
    longer gradient. (Some implementations have r^-alpha, which does the
    opposite.) After each step the weights are divided so that they sum to T.

    The step is plain gradient descent, with the gradient's length |g_t| in it;
    the paper trains weights with the optimizer of the model. Where norms are
    far from one, choose the learning rate accordingly. Weights stay above
    0.001 before they are divided.

    A first loss is that of the first step in which it is finite and above
    zero. A task without labels in a batch, or whose loss or norm is not
    finite, keeps its weight, and the others share what is left.

    Args:
        alpha: Strength of the balance, from 0 up: 0 makes all norms equal. The
            paper has 1.5 for tasks that differ much, 0.12 for similar ones.
        learning_rate: Step size of the weights, above 0; the paper's is 0.025.
        norm_layer: Name of the layer at which norms are taken. None is the
            last one with a kernel that tasks share, as published: a
            normalisation after it does not count.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.GradNorm(alpha=0.12),
    )
    ```

    Reference:

    - [GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep
        Multitask Networks](https://arxiv.org/abs/1711.02257), Chen et al. 2018
    """

    reads = frozenset({"losses", "gradient_norms"})

    def __init__(
        self,
        alpha: float = 1.5,
        learning_rate: float = 0.025,
        norm_layer: str | None = None,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.alpha = number_from_zero("alpha", alpha)
        self.learning_rate = number_above_zero("learning_rate", learning_rate)
        if norm_layer is not None and not isinstance(norm_layer, str):
            raise ValueError(
                "`norm_layer` must be the name of a layer or None; that of a "
                "layer is `layer.name`. Received: "
                f"norm_layer={norm_layer!r}"
            )
        self.norm_layer = norm_layer

    def create_state(self, task_names: tuple[str, ...]) -> None:
        shape = (len(task_names),)
        self.task_weights = self.add_state("task_weights", shape, "ones")
        # Zero until there is one.
        self.first_losses = self.add_state("first_losses", shape)

    def weights(self, losses: Tensor) -> Tensor:
        del losses
        self.check_built()
        return ops.convert_to_tensor(self.task_weights)

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        first = self._remember_first(losses)
        norms = observed.gradient_norms
        seen = ops.logical_and(ops.isfinite(losses), ops.isfinite(norms))
        seen = ops.logical_and(seen, first > 0)
        rates = ops.where(seen, losses / divisor(first), 0.0)
        rates = ops.maximum(rates, 0.0)
        rates = rates / divisor(_mean(rates, seen))
        norms = ops.where(seen, norms, 0.0)
        targets = _mean(norms, seen) * ops.power(rates, self.alpha)
        old = ops.convert_to_tensor(self.task_weights)
        gradient = ops.sign(norms - targets) * norms / old
        new = ops.maximum(old - self.learning_rate * gradient, FLOOR)
        # Those that are seen share what they had: the sum remains T.
        new = new * (_sum(old, seen) / divisor(_sum(new, seen)))
        # The sum of finite norms may be infinite.
        moves = ops.logical_and(seen, ops.all(ops.isfinite(new)))
        self.task_weights.assign(ops.where(moves, new, old))

    def _remember_first(self, losses: Tensor) -> Tensor:
        first = ops.convert_to_tensor(self.first_losses)
        usable = ops.logical_and(ops.isfinite(losses), losses > 0)
        new = ops.logical_and(usable, ops.equal(first, 0.0))
        first = ops.where(new, losses, first)
        self.first_losses.assign(first)
        return first

    def get_config(self) -> dict[str, Any]:
        return {
            "alpha": self.alpha,
            "learning_rate": self.learning_rate,
            "norm_layer": self.norm_layer,
            **super().get_config(),
        }


def _sum(values: Tensor, among: Tensor) -> Tensor:
    return ops.sum(ops.where(among, values, 0.0))


def _mean(values: Tensor, among: Tensor) -> Tensor:
    count = ops.sum(ops.cast(among, "float32"))
    return _sum(values, among) / divisor(count)
