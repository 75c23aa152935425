"""EPO: down to the Pareto-optimal point on a preferred ray."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.exact_pareto import exact_pareto_weights
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class EPO(PreferenceAggregator):
    """Exact Pareto Optimal search: to a preferred ray, and down along it.

    With the preference r it looks for the Pareto-optimal point where r_t l_t
    is equal for all tasks: a task with twice the preference ends with half the
    loss. How far the losses l are from that is the non-uniformity

        mu(l) = KL(s || 1 / T),    s_t = r_t l_t / sum_i r_i l_i,

    and a_t = r_t (log(T s_t) - mu), r as a unit vector, is proportional to its
    derivatives. In each step a linear programme gives weights w >= 0 that sum
    to one. With the inner products K of the task gradients it is

    - balance, where mu > tolerance: the largest w' K a. The loss whose r_t l_t
      is the largest does not rise; others may (controlled ascent), none by more
      than along a, but those that fall along a are free. Where none falls along
      a, none may rise.
    - descent, elsewhere: the largest sum of K w, such that no loss rises and
      that losses stay on the ray: w' K a >= min(max(K a), 0).

    The programmes are solved on the device, from inner products and losses
    alone. Balance always has a solution, the point of `MGDA` being one that it
    allows. Where descent has none (off the middle of the ray, from three tasks
    on), or rounding leaves none, as of opposed gradients, the weights are those
    of `MGDA`: no loss rises, and where gradients cancel the update is zero.
    A solution is a corner, so that weights jump from step to step: near the ray
    the two programmes take turns, and the losses end as near to it as one step
    goes. Let the learning rate decay.

    Losses are taken as they are, without `loss_weights`, which would scale the
    gradients alone: leave those out. They must not be negative, for a ray has
    nothing there: a loss below zero counts as zero in training, which is as far
    ahead of the others as can be, and is an error where `weights` is given
    numbers. A task with a preference of zero takes no part: its weight is
    zero. So is that of a task without labels in a batch.

    The weights sum to one. The authors' code for networks multiplies them by T,
    that for their toy problem by max(mu, 0.1): that is in the learning rate
    here.

    Args:
        preference: The r: numbers from 0 up, not all zero, as a dict by names
            of tasks or a sequence in the order of `loss`. None means equal
            numbers. `keras_mtl.pareto.preference_rays` makes such.
        tolerance: The mu up to which losses are on the ray, from 0 up. The
            authors have 1e-4: for two tasks, half a degree.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> aggregator = keras_mtl.aggregators.EPO(preference=[1.0, 3.0])
    >>> aggregator.weights([[1.0, 0.0], [0.0, 1.0]], losses=[1.0, 1.0])
    [0. 1.]

    Reference:

    - [Multi-Task Learning with User Preferences: Gradient Descent with
        Controlled Ascent in Pareto Optimization](
        https://proceedings.mlr.press/v119/mahapatra20a.html), Mahapatra and
        Rajan 2020
    """

    scale_free = True

    def __init__(
        self,
        preference: Any = None,
        tolerance: float = 1e-4,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(
            preference=preference, granularity=granularity, name=name
        )
        self.tolerance = number_from_zero("tolerance", tolerance)

    def weights(self, gram: Tensor, losses: Tensor | None = None) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.
            losses: Float tensor or NumPy array `[T]`, from 0 up: the losses of
                the tasks without `loss_weights`.

        Returns:
            Float tensor `[..., T]`, nonnegative, summing to one.

        Raises:
            ValueError: If there are no losses, or negative numbers.
        """
        if isinstance(losses, (list, tuple, np.ndarray)):
            _refuse_negative(losses)
        return self._weights(gram, losses, None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        return self._weights(gram, step.losses, step.present)

    def _weights(
        self, gram: Tensor, losses: Tensor | None, present: Tensor | None
    ) -> Tensor:
        if losses is None:
            raise ValueError(
                "EPO looks where the losses are: call `weights(gram, losses)`. "
                "Received: losses=None"
            )
        gram = to_gram(gram)
        losses = ops.cast(ops.convert_to_tensor(losses), gram.dtype)
        preference = self.preference_of(gram, default=1.0)
        return exact_pareto_weights(
            gram, losses, preference, self.tolerance, present
        )

    def get_config(self) -> dict[str, Any]:
        return {"tolerance": self.tolerance, **super().get_config()}


def _refuse_negative(losses: Any) -> None:
    if np.any(np.asarray(losses) < 0):
        raise ValueError(
            "`losses` must not be negative: no ray of EPO leads there. Add a "
            f"lower bound to them. Received: losses={losses}"
        )
