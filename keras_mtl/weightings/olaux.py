"""OL-AUX: auxiliary weights that follow what helps the main task."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.methods.main_task import check_main_task
from keras_mtl.methods.main_task import index_of_main_task
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.scale_invariant import ScaleInvariant
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class OLAUX(Weighting):
    """Learns the weights of auxiliary tasks from their use for a main task.

    A step along the gradient u of an auxiliary loss lets the main loss, whose
    gradient is v, fall by v . u times the learning rate, to first order. So
    every `horizon` steps the weight of each auxiliary task moves by

        beta * sum v . u,

    the sum being over these steps: a task that helps gains weight, one that
    hurts loses it. (The sign is that of the derivation; the code of the
    censoring paper has the opposite one, and so its negative result says
    nothing of the method.) All weights start at one, on top of `loss_weights`,
    and the main task keeps its own. Inner products are taken over all
    variables that tasks share, at the cost of a backward pass a task, which
    an aggregator takes in any case; with `representation`, there. An
    aggregator such as `Projection` acts after the weights and does not change
    what is learned.

    A task without labels in a batch, and one whose product with the main
    gradient is not finite, add nothing in that step.

    Args:
        main_task: Name of the main task, or its index in the order of `loss`.
        beta: Step size of the weights, from 0 up; at 0 they stay at one. In
            the papers the network's learning rate is a factor of it: the
            censoring paper tries 0.1 to 100 in this unit.
        horizon: int. Steps between two updates of the weights, N.
        floor: Smallest weight, above 0: a weight of zero could never rise, as
            no gradient would be left to see.
        log: bool. Whether the logarithms of the losses are minimised, all of
            them, as in the paper of the method: then their scales, and with
            them `loss_weights`, do not matter. A task whose loss is not above
            zero takes no part in the step.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"main": "mse", "hint": "mse"},
        weighting=keras_mtl.weightings.OLAUX(main_task="main"),
        aggregator=keras_mtl.aggregators.Projection(main_task="main"),
    )
    ```

    References:

    - [Adaptive Auxiliary Task Weighting for Reinforcement Learning](
        https://papers.nips.cc/paper/2019/hash/0e900ad84f63618452210ab8baae0218-Abstract.html),
        Lin et al. 2019
    - Tran-Thien, Censoring the auxiliary loss gradient to mitigate risks of
        negative transfer, appendix D.4
    """

    reads = frozenset({"losses", "gradient_gram"})

    def __init__(
        self,
        main_task: str | int,
        beta: float = 1.0,
        horizon: int = 5,
        floor: float = 1e-3,
        log: bool = False,
        name: str | None = None,
    ):
        super().__init__(name=name)
        self.main_task = check_main_task(main_task)
        self.beta = number_from_zero("beta", beta)
        self.horizon = integer_from(1, "horizon", horizon)
        self.floor = number_above_zero("floor", floor)
        self.log = boolean("log", log)

    def create_state(self, task_names: tuple[str, ...]) -> None:
        index_of_main_task(self.main_task, task_names)
        shape = (len(task_names),)
        self.task_weights = self.add_state("task_weights", shape, "ones")
        # Sums of v . u since the last update.
        self.gains = self.add_state("gains", shape)
        self.step = self.add_state("step", dtype="int32")

    def weights(self, losses: Tensor) -> Tensor:
        self.check_built()
        weights = ops.convert_to_tensor(self.task_weights)
        if not self.log:
            return weights
        # The gradient of a logarithm is one over the loss.
        return weights * ScaleInvariant().weights(losses)

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        del losses
        main = index_of_main_task(self.main_task, self.task_names)
        old = ops.convert_to_tensor(self.task_weights)
        # Of the weighted losses; the main task's weight is one.
        products = observed.gradient_gram[main] / old
        gained = ops.convert_to_tensor(self.gains)
        # NaN is the product with a task without labels. The sum of finite
        # ones may be infinite.
        gained = gained + ops.where(ops.isfinite(products), products, 0.0)
        gained = ops.where(ops.isfinite(gained), gained, 0.0)

        step = ops.convert_to_tensor(self.step) + 1
        due = step >= self.horizon
        moved = ops.maximum(old + self.beta * gained, self.floor)
        moved = ops.where(ops.isfinite(moved), moved, old)
        auxiliary = np.arange(len(self.task_names)) != main
        moves = ops.logical_and(due, ops.convert_to_tensor(auxiliary))
        self.task_weights.assign(ops.where(moves, moved, old))
        self.gains.assign(ops.where(due, 0.0, gained))
        self.step.assign(ops.where(due, 0, step))

    def get_config(self) -> dict[str, Any]:
        return {
            "main_task": self.main_task,
            "beta": self.beta,
            "horizon": self.horizon,
            "floor": self.floor,
            "log": self.log,
            **super().get_config(),
        }
