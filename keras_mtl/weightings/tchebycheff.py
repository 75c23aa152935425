"""Tchebycheff: the worst of the weighted losses."""

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.weightings.scalarization import ReferenceScalarization
from keras_mtl.weightings.scalarization import of_present


@keras.saving.register_keras_serializable(package="keras_mtl")
class Tchebycheff(ReferenceScalarization):
    """Tchebycheff scalarization: minimises the worst of the losses.

    With the preference p (it sums to one) and the reference z it minimises

        S(l) = max_t p_t (l_t - z_t).

    The weights are a subgradient of S: p_t for the task that is worst and
    zero for all others. Tasks that tie share alike, each p_t over their
    number. Every Pareto-optimal point is the optimum of some preference, but
    the worst task changes from step to step: `STCH` is the smooth form.

    Tasks whose weight is zero take no part in the step, so an aggregator has
    nothing to do but where tasks tie. Nor does a task without labels in a
    batch: S is that of the others.

    Args:
        preference: Numbers from 0 up, not all zero: a dict by names of tasks,
            or a sequence in the order of `loss`. None means equal numbers.
        reference: The ideal point z, a lower bound for each loss, likewise.
            None means zeros.
        name: Name of the method.

    Example:

    >>> keras_mtl.weightings.Tchebycheff().weights([1., 3.])
    [0.  0.5]

    Reference:

    - Bowman, On the relationship of the Tchebycheff norm and the efficient
        frontier of multiple-criteria objectives, 1976
    - [Smooth Tchebycheff Scalarization for Multi-Objective Optimization](
        https://arxiv.org/abs/2402.19078), Lin et al. 2024, section 2
    """

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        preference = self.preference_of(losses, present)
        scores = preference * self.distances(losses, present)
        scores = of_present(scores, present, other=-1e38)
        worst = ops.cast(ops.equal(scores, ops.max(scores)), losses.dtype)
        return preference * worst / ops.sum(worst)
