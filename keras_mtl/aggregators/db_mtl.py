"""DB-MTL: gradients of log losses, all as long as the longest."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Column
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import number_to_one


@keras.saving.register_keras_serializable(package="keras_mtl")
class DBMTL(Aggregator):
    """Dual balancing: of the losses, by logarithms, and of the gradients.

    Each task has a moving average y_i of the gradient of its log loss,
    g_i / (l_i + 1e-8). The update is the sum of the averages after all are
    brought to the length of the longest, in step k = 1, 2, ...:

        y_i <- beta_k y_i + (1 - beta_k) g_i / (l_i + 1e-8)
        update = max_j |y_j| sum_i y_i / |y_i|

    beta_k is beta / k^beta_sigma. The averages start at zero, so that the first
    updates are short. The weights do not sum to a constant: the update is as
    long as log losses make it, and does not shrink as a loss does.

    `loss_weights` change no direction: every task ends as long as the longest.
    A negative loss has no logarithm; its size takes its place. A zero gradient
    adds nothing and changes nothing; a tiny one is stretched like any other.

    With `beta=0` there are no averages and no state. Else they take T times the
    memory of the model, and what the logs and `GradientMonitor` show
    (conflicts, cosines, norms) is of the averages, which this method arbitrates
    between. A task without labels in a batch takes no part in the step, and
    keeps its average and its count k.

    Args:
        beta: Share of the old average, in [0, 1). 0 means no averages.
        beta_sigma: Power with which `beta` decays; 0 (default) for no decay.
            The paper's experiments also use 0.5.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> aggregator = keras_mtl.aggregators.DBMTL(beta=0.0)
    >>> aggregator.weights([[9., 0.], [0., 16.]], losses=[1., 2.])
    [1. 0.75]

    Reference:

    - [Dual-Balancing for Multi-Task Learning](
        https://arxiv.org/abs/2308.12029), Lin et al. 2023
    """

    scale_free = True
    forgetting_hint = "Use `beta=0.0`."

    def __init__(
        self,
        beta: float = 0.9,
        beta_sigma: float = 0.0,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        # At 1 no gradient would ever count.
        self.beta = number_to_one("beta", beta, one=False)
        self.beta_sigma = number_from_zero("beta_sigma", beta_sigma)

    @property
    def transforms(self) -> bool:
        """Whether there are averages, in place of the gradients."""
        return self.beta > 0

    def create_state(self, spec: GradientSpec) -> None:
        """Makes the averages, and counts of the steps they have seen."""
        if self.transforms:
            self.averages = self.add_slots(
                "averages", spec.shapes, spec.num_tasks
            )
            self.steps = self.add_state("steps", (spec.num_tasks,))

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Moves the averages, and puts them in place of the gradients."""
        learning = slots.taking_part(step.present, len(gradients[0]))
        steps = self.steps + ops.cast(learning, "float32")
        keep = self.beta / ops.maximum(steps, 1.0) ** self.beta_sigma
        gain = (1.0 - keep) / _sizes(step.losses, "float32")
        self.steps.assign(steps)
        return slots.move_averages(
            self.averages,
            gradients,
            lambda t, held, g: keep[t] * held + gain[t] * g,
            learning,
        )

    def weights(self, gram: Tensor, losses: Tensor | None = None) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.
            losses: Float tensor or NumPy array `[T]`, the losses of the tasks
                without `loss_weights`. None says that the inner products are
                those of the averages, which are of log losses already.

        Returns:
            Float tensor `[..., T]`, nonnegative.
        """
        gram = to_gram(gram)
        sizes = ops.ones_like(diagonal(gram))
        if losses is not None or not self.transforms:
            sizes = _sizes(losses, gram.dtype)
        return _equal_lengths(gram, sizes, None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        gram = to_gram(gram)
        sizes = ops.ones_like(diagonal(gram))
        if not self.transforms:
            sizes = _sizes(step.losses, gram.dtype)
        return _equal_lengths(gram, sizes, step.present)

    def get_config(self) -> dict[str, Any]:
        return {
            "beta": self.beta,
            "beta_sigma": self.beta_sigma,
            **super().get_config(),
        }


def _sizes(losses: Tensor | None, dtype: str) -> Tensor:
    """What gradients are divided by to be those of log losses."""
    if losses is None:
        raise ValueError(
            "DBMTL divides by the losses: call `weights(gram, losses)` or "
            "`aggregator(jacobian, losses)`. Received: losses=None"
        )
    return ops.abs(ops.cast(ops.convert_to_tensor(losses), dtype)) + 1e-8


def _equal_lengths(
    gram: Tensor, sizes: Tensor, present: Tensor | None
) -> Tensor:
    """Weights that make rows as long as the longest row over its size."""
    present = slots.taking_part(present, gram.shape[-1])
    lengths = ops.sqrt(diagonal(normalize(gram)))
    lengths = ops.where(present, lengths, 0.0)
    longest = ops.max(lengths / sizes, axis=-1, keepdims=True)
    weights = ops.where(lengths == 0, 0.0, longest / divisor(lengths))
    return slots.nan_like(weights, gram)
