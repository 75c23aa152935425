"""PCD: the main gradient, moved until every other task gains a little."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.main_task import check_main_task
from keras_mtl.methods.main_task import index_of_main_task
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import in_units
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.priority import priority_weights
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_to_one


@keras.saving.register_keras_serializable(package="keras_mtl")
class PCD(Aggregator):
    """Priority-constrained descent.

    The direction nearest to the main gradient in which every auxiliary loss
    falls, by at least a share `tau` of what a step along its own gradient
    would give:

        argmin_d |d - g_main|^2 with g_t . d >= tau |g_t|^2 for all others

    It is as long as the main gradient. `Projection` and its kin change the
    auxiliary gradients so that they do the main task no harm. PCD changes the
    main gradient so that the auxiliary tasks gain, and leaves their gradients
    out where they gain enough already: the main task pays. Where a gradient
    is nearly the reverse of the main one, the main loss rises, unless `tau` is
    0. So training does not end on the Pareto front, where that is so, before
    the auxiliary losses cannot fall any more.

    All gradients are divided by a moving root mean square of their norms
    first, so that `loss_weights` do not matter (but for the main task's, which
    is the scale of the update, and for norms near the root of `epsilon`) and a
    fall in a task's gradients does.

    If no direction meets all of the conditions, as for opposed auxiliary
    gradients, the update is the main gradient. It is zero where that is zero,
    so every batch needs labels of the main task.

    Inner products in float32 hold the angle between nearly opposed gradients to
    few digits. With d the direction before it is made as long as the main
    gradient g, rounding changes the update by about 1e-7 (|g| / |d|)^2 of its
    length (20 times that at most, in random trials): by 1e-4 to 1e-3 where an
    auxiliary gradient is the reverse of g and `tau` is 0.02, as |d| / |g| is
    near `tau` there. With more tasks than coordinates angles are known better,
    and d down to 1e-4 of g's length is told from none.

    Args:
        main_task: Name of the main task, or its index in the order of `loss`.
        tau: The share, from 0 to 1. 0 asks that no auxiliary loss rises.
        beta: Share of the old mean square, from 0 to below 1.
        epsilon: Added to mean squares, a number above 0.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> rule = keras_mtl.aggregators.PCD(main_task=0, tau=0.0)
    >>> rule.weights([[1.0, -1.0], [-1.0, 2.0]])  # g = (1, 0), (-1, 1)
    [1.414 0.707]

    Reference:

    - [Not All Objectives Are Born Equal: Priority-Constrained Descent for
        Hierarchical Multi-Objective Optimization](
        https://arxiv.org/abs/2606.29521), 2026
    """

    scale_free = True

    def __init__(
        self,
        main_task: str | int,
        tau: float = 0.02,
        beta: float = 0.999,
        epsilon: float = 1e-8,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.main_task = check_main_task(main_task)
        self.tau = number_to_one("tau", tau)
        self.beta = number_to_one("beta", beta, one=False)
        self.epsilon = number_above_zero("epsilon", epsilon)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that the main task is one of the tasks."""
        index_of_main_task(self.main_task, task_names)

    def create_state(self, spec: GradientSpec) -> None:
        """Makes the mean squares `[..., T]` and the steps they are of."""
        shape = (*spec.group_shape, spec.num_tasks)
        self.squares = self.add_state("squares", shape)
        self.steps = self.add_state("steps", shape)

    def weights(self, gram: Tensor) -> Tensor:
        """What a step with these inner products would give; it takes none.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = to_gram(gram)
        return self._constrained(gram, *self._moved_squares(gram, ALONE))

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Moves the mean squares but those of tasks without labels."""
        gram = to_gram(gram)
        squares, steps = self._moved_squares(gram, step)
        self.squares.assign(squares)
        self.steps.assign(steps)
        return self._constrained(gram, squares, steps)

    def _constrained(
        self, gram: Tensor, squares: Tensor, steps: Tensor
    ) -> Tensor:
        size = gram.shape[-1]
        scales = ops.cast(self._scales(squares, steps), gram.dtype)
        scaled = gram * scales[..., :, None] * scales[..., None, :]
        main = self._index(size)
        order = np.array([main, *(t for t in range(size) if t != main)])
        places = np.argsort(order)
        scaled = ops.take(ops.take(scaled, order, axis=-2), order, axis=-1)
        if size == 1:
            # Nothing to be in conflict with, and no system to solve.
            return slots.nan_like(ops.ones_like(gram[..., 0]), gram)
        weights, square = priority_weights(scaled, self.tau)
        length = ops.sqrt(divisor(square) / divisor(scaled[..., 0, :1]))
        weights = ops.where(square == 0, 0.0, weights / length)
        weights = ops.take(weights, places, axis=-1)
        # As long as the main gradient, which is not scaled itself.
        weights = weights * scales / scales[..., main : main + 1]
        weights = ops.where(gram[..., main, main][..., None] > 0, weights, 0.0)
        return slots.nan_like(weights, gram)

    def _index(self, size: int) -> int:
        names = self.task_names or range(size)
        if not self.built and isinstance(self.main_task, str):
            self.check_built()
        return index_of_main_task(self.main_task, list(names))

    def _moved_squares(
        self, gram: Tensor, step: StepInfo
    ) -> tuple[Tensor, Tensor]:
        """The mean squares after a step, and the steps they are of."""
        self.build_for(gram)
        new = ops.cast(diagonal(in_units(gram, step.unit)), "float32")
        moves = slots.taking_part(step.present, gram.shape[-1])
        old = ops.convert_to_tensor(self.squares)
        squares = ops.where(moves, self.beta * old + (1 - self.beta) * new, old)
        return squares, self.steps + ops.cast(moves, "float32")

    def _scales(self, squares: Tensor, steps: Tensor) -> Tensor:
        """One over the root mean squares."""
        # The mean starts at zero, so it is that of the steps so far.
        share = divisor(self._share(steps))
        return 1 / ops.sqrt(squares / share + self.epsilon)

    def _share(self, steps: Tensor) -> Tensor:
        """1 - beta^steps without the rounding of a difference."""
        if self.beta == 0:
            return ops.ones_like(steps)
        return -ops.expm1(steps * math.log(self.beta))

    def get_config(self) -> dict[str, Any]:
        return {
            "main_task": self.main_task,
            "tau": self.tau,
            "beta": self.beta,
            "epsilon": self.epsilon,
            **super().get_config(),
        }
