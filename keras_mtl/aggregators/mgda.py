"""MGDA: the shortest convex combination of the task gradients."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.absent_tasks import stand_aside
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.min_norm import min_norm_weights
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean

NORMALIZATIONS = ("none", "l2", "loss", "loss+")
# Those that published code leaves to the swapped weights.
LEAST_SWAPPED = 0.001
MOST_SWAPPED = 0.999


@keras.saving.register_keras_serializable(package="keras_mtl")
class MGDA(Aggregator):
    """Multiple-gradient descent: the point of least norm in the convex hull.

    The weights minimise |sum_t w_t g_t|^2 over w >= 0, sum w = 1, and so sum
    to one. The update d has g_t . d >= |d|^2 for every task: no loss rises,
    and where d = 0 the model is Pareto-stationary. The minimum is found
    exactly, for any number of tasks, by an active-set method on the device.

    A task with a zero gradient is Pareto-stationary on its own: it takes the
    whole weight (several share it equally) and the update is zero.

    Normalisations change the problem that is solved: gradients are divided by
    their norms (`"l2"`), by their losses (`"loss"`) or both (`"loss+"`). The
    weights still apply to the gradients as they are, and sum to one.

    Args:
        normalization: `"none"` (default), `"l2"`, `"loss"` or `"loss+"`.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.
        swapped_weights: bool. For two tasks, and to reproduce published
            numbers alone: gives each task the weight of the other, between
            0.001 and 0.999. It is a mistake in the code of Wang et al. 2020,
            so their "MGDA-UB" follows the task with the longer gradient: none
            of what is said above holds, and losses may rise. Their batch
            modes and scaled heads are `representation_reduction` and
            `scale_heads` of `compile`.

    Example:

    >>> keras_mtl.aggregators.MGDA().weights([[18., -22.], [-22., 38.]])
    [0.6 0.4]

    References:

    - Désidéri, Multiple-gradient descent algorithm, 2012
    - [Multi-Task Learning as Multi-Objective Optimization](
        https://arxiv.org/abs/1810.04650), Sener and Koltun 2018
    - [Small Towers Make Big Differences](https://arxiv.org/abs/2008.05808),
        Wang et al. 2020, for `swapped_weights`
    """

    scale_free = True

    def __init__(
        self,
        normalization: str = "none",
        granularity: str = "model",
        name: str | None = None,
        *,
        swapped_weights: bool = False,
    ):
        super().__init__(granularity=granularity, name=name)
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {list(NORMALIZATIONS)}. "
                f"Received: normalization={normalization!r}"
            )
        self.normalization = normalization
        self.swapped_weights = boolean("swapped_weights", swapped_weights)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        if self.swapped_weights:
            _check_two(len(task_names), list(task_names))

    def weights(self, gram: Tensor, losses: Tensor | None = None) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.
            losses: Float tensor or NumPy array `[T]`, the losses of the tasks
                without `loss_weights`. `"loss"` and `"loss+"` need it.

        Returns:
            Float tensor `[..., T]`, nonnegative, summing to one.
        """
        return self._weights(gram, losses, None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self._weights(gram, step.losses, step.present)

    def _weights(
        self, gram: Tensor, losses: Tensor | None, present: Tensor | None
    ) -> Tensor:
        gram = normalize(to_gram(gram))
        if self.swapped_weights:
            _check_two(gram.shape[-1], f"gram.shape={tuple(gram.shape)}")
        sizes = ops.ones_like(diagonal(gram))
        if self.normalization in ("loss", "loss+"):
            sizes = sizes * self._loss_sizes(losses, gram)
        if self.normalization in ("l2", "loss+"):
            sizes = sizes * divisor(ops.sqrt(diagonal(gram)))
        gram = gram / sizes[..., :, None] / sizes[..., None, :]
        if present is not None:
            # Of lengths that are normalized already: a zero gradient would be
            # the shortest.
            gram = stand_aside(gram, present)
        weights = min_norm_weights(gram)
        return _swapped(weights, present) if self.swapped_weights else weights

    def _loss_sizes(self, losses: Tensor | None, gram: Tensor) -> Tensor:
        """Sizes of the losses, relative to the largest.

        None is below one millionth: no gradient may be divided by zero.
        """
        if losses is None:
            raise ValueError(
                f"MGDA with normalization={self.normalization!r} divides by "
                "the losses: call `weights(gram, losses)`. Received: "
                "losses=None"
            )
        sizes = ops.abs(ops.cast(ops.convert_to_tensor(losses), gram.dtype))
        largest = ops.max(sizes, axis=-1, keepdims=True)
        return ops.maximum(sizes / divisor(largest), 1e-6)

    def get_config(self) -> dict[str, Any]:
        return {
            "normalization": self.normalization,
            "swapped_weights": self.swapped_weights,
            **super().get_config(),
        }


def _swapped(weights: Tensor, present: Tensor | None) -> Tensor:
    """Of two tasks each with the weight of the other.

    A task without labels has no gradient that the other could be weighed by.
    """
    swapped = ops.clip(ops.flip(weights, axis=-1), LEAST_SWAPPED, MOST_SWAPPED)
    if present is None:
        return swapped
    return ops.where(ops.all(present), swapped, weights)


def _check_two(num_tasks: int, received: Any) -> None:
    if num_tasks != 2:
        raise ValueError(
            "MGDA with `swapped_weights=True` gives each of two tasks the "
            "weight of the other. Leave it out for other numbers of tasks. "
            f"Received: {num_tasks} task(s), {received}"
        )
