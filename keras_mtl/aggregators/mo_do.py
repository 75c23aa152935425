"""MoDo: MGDA, step by step, with the products of two batches."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.double_sampling import DoubleSampling
from keras_mtl.solvers.simplex_projection import simplex_projection
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class MoDo(DoubleSampling):
    """Multi-objective gradient with double sampling.

    The weights w move by one gradient step a batch towards the combination of
    least norm. With A_ij the inner product of the gradients of tasks i and j
    on two independent batches:

        update = sum_i w_i g_i
        w <- P(w - gamma (A + rho I) w)

    P is the nearest point of the simplex (w >= 0, sum w = 1). The weights
    start equal and sum to one.

    The paper samples three batches in each step. Here they are consecutive
    batches, a choice of keras_mtl: A is of the gradients of the step before
    (which are one optimizer step old) and of this step, and the update has the
    weights before they move, so that its batch is independent of them. (The
    paper moves them first; the order only shifts where a step begins.) Each
    batch has a part in two moves. The first update has equal weights.

    The step sees the squares of the gradients: `gamma` must suit their scale,
    and with very long gradients one task takes all the weight. A task whose
    gradient is zero draws the weight slowly, as it does in MGDA.

    The last gradients take T times the memory of the model. A task without
    labels in a batch takes no part in the step, and keeps its last gradient and
    its weight.

    Args:
        gamma: Step size of the weights. 0 keeps them equal.
        rho: How much equal weights are preferred. The default of 0 is ours
            and leaves the problem of MGDA; the authors' code and TorchJD have
            0.1, LibMTL has 0.001 and 0.1.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`: each with weights of its own.
        name: Name of the method.

    Example:

    >>> model.compile("sgd", loss=losses,
    ...               aggregator=keras_mtl.aggregators.MoDo(gamma=0.01))

    Reference:

    - [Three-Way Trade-Off in Multi-Objective Learning](
        https://arxiv.org/abs/2305.20057), Chen et al. 2023
    """

    def __init__(
        self,
        gamma: float = 0.1,
        rho: float = 0.0,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.gamma = number_from_zero("gamma", gamma)
        self.rho = number_from_zero("rho", rho)

    def moved_weights(
        self, held: Tensor, products: Tensor, norms: Tensor, learning: Tensor
    ) -> Tensor:
        del norms
        part = ops.where(learning, held, 0.0)
        slopes = ops.sum(products * part[..., None, :], axis=-1)
        moved = simplex_projection(
            part - self.gamma * (slopes + self.rho * part),
            slots.share_of(learning, held),
            learning,
        )
        return ops.where(learning, moved, held)

    def get_config(self) -> dict[str, Any]:
        return {"gamma": self.gamma, "rho": self.rho, **super().get_config()}
