"""MoCo: MGDA, step by step, on moving averages of the task gradients."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.gradients.gram import norms_of
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.simplex_projection import simplex_projection
from keras_mtl.types import Column
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import number_to_one

SIMPLEX = ("projection", "softmax")


@keras.saving.register_keras_serializable(package="keras_mtl")
class MoCo(Aggregator):
    """Multi-objective gradient correction: tracks gradients and weights.

    The gradients of a batch are noisy, and least-norm weights made of them are
    biased. So each task has a moving average y_i of its gradient, and the
    weights w move by one gradient step a batch, in step k = 1, 2, ...:

        y_i <- y_i - beta_k (y_i - g_i)
        w   <- P(w - gamma_k (Y Y' + rho I) w)
        update = sum_i w_i y_i

    P is the nearest point of the simplex (w >= 0, sum w = 1), beta_k is
    beta / k^beta_sigma and gamma_k is gamma / k^gamma_sigma. The averages start
    at zero, so the first updates are short; the weights start equal. They sum
    to one.

    The step on w sees the squares of the gradients: `gamma` must suit their
    scale, and with very long gradients one task takes all the weight. A task
    whose gradient is zero draws the weight slowly, as it does in MGDA.

    What the logs and `GradientMonitor` show (conflicts, cosines, norms) is of
    the averages, which this method arbitrates between: without the noise of
    single batches, and late by some 1 / beta_k steps.

    The averages take T times the memory of the model. A task without
    labels in a batch takes no part in the step, and keeps its average, its
    count k and its weight.

    The projection onto balls, which the theory asks of the averages, is left
    out, as in the authors' code. That code has two variants, which LibMTL
    unites: gradients of the length of their losses and a softmax for P. They
    are `scale_to_losses` and `simplex`. (A softmax of numbers from 0 to 1 is
    never far from equal weights.)

    Args:
        beta: Step size of the averages, in (0, 1].
        gamma: Step size of the weights.
        rho: How much equal weights are preferred.
        beta_sigma: Power with which `beta` decays; 0 for no decay.
        gamma_sigma: Power with which `gamma` decays.
        scale_to_losses: Whether to track l_i g_i / |g_i|, with the task's loss
            l_i and the norm over all shared variables, in place of g_i.
        simplex: `"projection"` (default, as published) or `"softmax"`.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`: each with weights of its own.
        name: Name of the method.

    Example:

    >>> model.compile("sgd", loss=losses,
    ...               aggregator=keras_mtl.aggregators.MoCo(gamma=0.01))

    Reference:

    - [Mitigating Gradient Bias in Multi-objective Learning](
        https://arxiv.org/abs/2210.12624), Fernando et al. 2023
    """

    transforms = True
    forgetting_hint = "Use `MGDA`, which MoCo approaches."

    def __init__(
        self,
        beta: float = 0.1,
        gamma: float = 0.1,
        rho: float = 0.0,
        beta_sigma: float = 0.5,
        gamma_sigma: float = 0.5,
        scale_to_losses: bool = False,
        simplex: str = "projection",
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.beta = number_to_one("beta", beta, zero=False)
        self.gamma = number_from_zero("gamma", gamma)
        self.rho = number_from_zero("rho", rho)
        self.beta_sigma = number_from_zero("beta_sigma", beta_sigma)
        self.gamma_sigma = number_from_zero("gamma_sigma", gamma_sigma)
        if simplex not in SIMPLEX:
            raise ValueError(
                f"`simplex` must be one of {list(SIMPLEX)}. Received: "
                f"simplex={simplex!r}"
            )
        self.scale_to_losses = boolean("scale_to_losses", scale_to_losses)
        self.simplex = simplex

    def create_state(self, spec: GradientSpec) -> None:
        """Makes averages and weights, and counts of the steps of both."""
        num_tasks = spec.num_tasks
        self.averages = self.add_slots("averages", spec.shapes, num_tasks)
        self.steps = self.add_state("steps", (num_tasks,))
        self.task_weights = self.add_state(
            "task_weights", (*spec.group_shape, num_tasks), 1 / num_tasks
        )
        self.weight_steps = self.add_state("weight_steps")

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Moves the averages, and puts them in place of the gradients."""
        learning = slots.taking_part(step.present, len(gradients[0]))
        steps = self.steps + ops.cast(learning, "float32")
        rates = self.beta / ops.maximum(steps, 1.0) ** self.beta_sigma
        factors = self._factors(gradients, step.losses)
        self.steps.assign(steps)
        return slots.move_averages(
            self.averages,
            gradients,
            lambda t, held, g: held + rates[t] * (factors[t] * g - held),
            learning,
        )

    def _factors(
        self, columns: Sequence[Column], losses: Tensor | None
    ) -> Sequence[Tensor | float]:
        """What each task's gradient is multiplied by before it is averaged."""
        if not self.scale_to_losses:
            return [1.0] * len(columns[0])
        if losses is None:
            raise ValueError(
                "MoCo with scale_to_losses=True multiplies by the losses: call "
                "`aggregator(jacobian, losses)`. Received: losses=None"
            )
        losses = ops.cast(ops.convert_to_tensor(losses), "float32")
        norms = norms_of(list(zip(*columns, strict=True)))
        return losses / divisor(norms)

    def weights(self, gram: Tensor) -> Tensor:
        """What a step with these inner products would give; it takes none.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`, inner products of
                the averages. (In training they take the gradients' place.)

        Returns:
            Float tensor `[..., T]`, nonnegative, summing to one.
        """
        return self._moved(to_gram(gram), None)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Moves the weights, which sum to one with those of absent tasks."""
        gram = to_gram(gram)
        moved = self._moved(gram, step.present)
        present = slots.taking_part(step.present, gram.shape[-1])
        held = ops.cast(self.task_weights, gram.dtype)
        stored = ops.where(present, moved, held)
        self.task_weights.assign(ops.cast(stored, self.task_weights.dtype))
        self.weight_steps.assign(self.weight_steps + 1.0)
        return moved

    def _moved(self, gram: Tensor, present: Tensor | None) -> Tensor:
        """The weights after a step, zero for absent tasks."""
        self.build_for(gram)
        present = slots.taking_part(present, gram.shape[-1])
        held = ops.cast(self.task_weights, gram.dtype)
        part = ops.where(present, held, 0.0)
        steps = self.weight_steps + 1.0
        rate = ops.cast(self.gamma / steps**self.gamma_sigma, gram.dtype)
        slopes = ops.sum(gram * part[..., None, :], axis=-1) + self.rho * part
        moved = self._onto_simplex(
            part - rate * slopes, slots.share_of(present, held), present
        )
        return slots.nan_like(moved, gram)

    def _onto_simplex(
        self, values: Tensor, total: Tensor, present: Tensor
    ) -> Tensor:
        if self.simplex == "projection":
            return simplex_projection(values, total, present)
        values = ops.where(present, values, -float("inf"))
        shares = ops.where(present, ops.softmax(values, axis=-1), 0.0)
        return total * shares

    def get_config(self) -> dict[str, Any]:
        return {
            "beta": self.beta,
            "gamma": self.gamma,
            "rho": self.rho,
            "beta_sigma": self.beta_sigma,
            "gamma_sigma": self.gamma_sigma,
            "scale_to_losses": self.scale_to_losses,
            "simplex": self.simplex,
            **super().get_config(),
        }
