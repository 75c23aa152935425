"""Krum: the task gradients that lie closest to the others."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from


@keras.saving.register_keras_serializable(package="keras_mtl")
class Krum(Aggregator):
    """Averages the task gradients that most others agree with.

    The score of a task is the sum of the squared distances of its gradient to
    the T - f - 2 closest others, where f is `num_byzantine`. The update is the
    mean of the m = `num_selected` gradients with the lowest scores, so the
    weights are 1 / m or zero. m = 1 is Krum, m > 1 Multi-Krum. (Distances are
    squared as published; some implementations take them as they are.)

    The method needs T >= f + 3 tasks; the paper's guarantee needs
    T >= 2 f + 3. Long gradients are far from all others and seldom selected,
    and a task without labels in the batch counts as one of them. Of tasks with
    equal scores the first is selected; float32 cannot tell scores apart whose
    distances differ by less than 1e-6 of the squared length of the longest
    gradient.

    Args:
        num_byzantine: How many gradients f may be far from the truth.
        num_selected: How many gradients m are averaged.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.Krum(num_byzantine=0).weights(
    ...     [[1., 1., -4.], [1., 2., -4.], [-4., -4., 20.]])
    [1. 0. 0.]

    Reference:

    - [Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent](
        https://arxiv.org/abs/1703.02757), Blanchard et al. 2017
    """

    scale_free = True

    def __init__(
        self,
        num_byzantine: int = 1,
        num_selected: int = 1,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.num_byzantine = integer_from(0, "num_byzantine", num_byzantine)
        self.num_selected = integer_from(1, "num_selected", num_selected)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that there are enough tasks."""
        self._check_number(len(task_names))

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`, summing to one.
        """
        gram = normalize(to_gram(gram))
        self._check_number(gram.shape[-1])
        rank = _ranks(self._scores(gram))
        selected = ops.cast(rank < self.num_selected, gram.dtype)
        # What is not finite ends up last; the loss scaler must see it all the
        # same.
        finite = ops.all(ops.isfinite(gram), axis=(-2, -1))[..., None]
        return ops.where(finite, selected / self.num_selected, float("nan"))

    def _scores(self, gram: Tensor) -> Tensor:
        """Sums `[..., T]` of the distances to the closest others."""
        size = gram.shape[-1]
        squares = diagonal(gram)
        distances = squares[..., :, None] + squares[..., None, :] - 2 * gram
        # A gradient itself adds nothing. The farthest are put out, which is
        # faster than sorting and cannot cancel as subtracting them does.
        others = 1.0 - ops.eye(size, dtype=gram.dtype)
        distances = ops.maximum(distances, 0.0) * others
        for _ in range(self.num_byzantine + 1):
            farthest = ops.argmax(distances, axis=-1)
            hit = ops.one_hot(farthest, size, dtype="bool")
            distances = ops.where(hit, 0.0, distances)
        return ops.sum(distances, axis=-1)

    def _check_number(self, num_tasks: int) -> None:
        if num_tasks < self.num_byzantine + 3:
            raise ValueError(
                "`num_byzantine` must be at most the number of tasks less "
                f"three, here {num_tasks} - 3: a gradient is compared with "
                "those that remain. Received: "
                f"num_byzantine={self.num_byzantine}"
            )
        if num_tasks < self.num_selected:
            raise ValueError(
                "`num_selected` must be at most the number of tasks, here "
                f"{num_tasks}. Received: num_selected={self.num_selected}"
            )

    def get_config(self) -> dict[str, Any]:
        return {
            "num_byzantine": self.num_byzantine,
            "num_selected": self.num_selected,
            **super().get_config(),
        }


def _ranks(scores: Tensor) -> Tensor:
    """How many scores come before each; of equal ones the first does."""
    size = scores.shape[-1]
    mine, others = scores[..., :, None], scores[..., None, :]
    earlier = np.tri(size, k=-1, dtype="bool")
    before = (others < mine) | ((others == mine) & earlier)
    return ops.sum(ops.cast(before, "int32"), axis=-1)
