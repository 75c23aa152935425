"""SDMGrad: MGDA near a preferred direction, with products of two batches."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.double_sampling import DoubleSampling
from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.simplex_projection import simplex_projection
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import number_to_one
from keras_mtl.utils.loops import fori_loop


@keras.saving.register_keras_serializable(package="keras_mtl")
class SDMGrad(PreferenceAggregator, DoubleSampling):
    """Stochastic direction-oriented multi-objective gradient descent.

    Looks for the combination of least norm of w plus `lambda_` times a target
    u, which is the mean or a preference: the larger `lambda_`, the nearer the
    update is to the target. With A_ij the inner product of the gradients of
    tasks i and j on two independent batches, and u = (1 / T, ..., 1 / T) or
    the preference, divided by its sum:

        update = sum_i (w_i + lambda_ u_i) / (1 + lambda_) g_i
        `num_iterations` times:
            v <- momentum v + A (w + lambda_ u)
            w <- P(w - learning_rate v)

    P is the nearest point of the simplex (w >= 0, sum w = 1); v starts at zero
    in each step. The weights start equal, and those of the update sum to one
    (the authors' code then multiplies by T).

    A is divided by the square of the mean norm of the gradients, so the scale
    of all gradients changes nothing. (The norms are geometric means of the two
    batches; the authors' code has square roots of the diagonal of A, which
    noise can make negative.)

    The paper samples new batches for A and for the update. Here they are
    consecutive batches, a choice of keras_mtl: A is of the gradients of the
    step before (which are one optimizer step old) and of this step, and is the
    same in all iterations, as in the authors' code. The update has the weights
    before they move, so that its batch is independent of them. Each batch has
    a part in two moves. The first update has equal w.

    The default learning rate, from the authors' code, is so large that from
    three tasks on w need not settle in `num_iterations`: its path is chaotic.
    It then depends on rounding: gradients that differ by 1e-7 can give quite
    another update, and so can another machine. With 0.1 the updates differ by
    1e-7 too; take that unless a paper is to be reproduced.

    The last gradients take T times the memory of the model. A task without
    labels in a batch takes no part in the step, and keeps its last gradient and
    its weight.

    Args:
        lambda_: Pull towards the target. The authors' class has 0.6, their
            runs have 0.3.
        learning_rate: Step size of the weights.
        momentum: Share of the step before in each step of the weights.
        num_iterations: Steps of the weights for each batch.
        preference: The target: numbers from 0 up, not all zero, as a dict by
            names of tasks or a sequence in the order of `loss`. None is the
            mean.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`: each with weights of its own.
        name: Name of the method.

    Example:

    >>> model.compile("sgd", loss=losses,
    ...               aggregator=keras_mtl.aggregators.SDMGrad(lambda_=0.6))

    Reference:

    - [Direction-oriented Multi-objective Learning](
        https://arxiv.org/abs/2305.18409), Xiao et al. 2023
    """

    scale_free = True

    def __init__(
        self,
        lambda_: float = 0.3,
        learning_rate: float = 10.0,
        momentum: float = 0.5,
        num_iterations: int = 20,
        preference: Any = None,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(
            preference=preference, granularity=granularity, name=name
        )
        self.lambda_ = number_from_zero("lambda_", lambda_)
        self.learning_rate = number_from_zero("learning_rate", learning_rate)
        self.momentum = number_to_one("momentum", momentum)
        self.num_iterations = integer_from(1, "num_iterations", num_iterations)

    def moved_weights(
        self, held: Tensor, products: Tensor, norms: Tensor, learning: Tensor
    ) -> Tensor:
        part = ops.where(learning, held, 0.0)
        total = slots.share_of(learning, held)
        pull = ops.where(learning, self._pull(held), 0.0)
        scale = divisor(self._mean_norm(norms, learning))
        # One after the other: the square of a large scale is infinite.
        products = products / scale / scale

        def move(turn, state):
            weights, velocity = state
            mix = (weights + pull)[..., None, :]
            slopes = ops.sum(products * mix, axis=-1)
            velocity = self.momentum * velocity + slopes
            weights = weights - self.learning_rate * velocity
            return simplex_projection(weights, total, learning), velocity

        state = (part, ops.zeros_like(part))
        moved, _ = fori_loop(0, self.num_iterations, move, state)
        return ops.where(learning, moved, held)

    def _mean_norm(self, norms: Tensor, learning: Tensor) -> Tensor:
        """The mean over the tasks that learn, `[..., 1, 1]`."""
        learning = ops.cast(learning, norms.dtype)
        count = ops.maximum(ops.sum(learning), 1.0)
        mean = ops.sum(norms * learning, axis=-1) / count
        return mean[..., None, None]

    def update_weights(self, held: Tensor) -> Tensor:
        return (held + self._pull(held)) / (1.0 + self.lambda_)

    def _pull(self, held: Tensor) -> Tensor:
        """The weights `[T]` of the target, which sum to `lambda_`."""
        target = self.preference_of(held, default=1.0)
        return self.lambda_ * target / ops.sum(target)

    def get_config(self) -> dict[str, Any]:
        return {
            "lambda_": self.lambda_,
            "learning_rate": self.learning_rate,
            "momentum": self.momentum,
            "num_iterations": self.num_iterations,
            **super().get_config(),
        }
