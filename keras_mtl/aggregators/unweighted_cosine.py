"""Unweighted cosine: auxiliary gradients that agree with the main one."""

import keras
from keras import ops

from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class UnweightedCosine(MainTaskAggregator):
    """Adds an auxiliary gradient only while it agrees with the main one.

    G = v + sum_t G_t with G_t = u if u . r > 0, else 0, for the gradient u of
    an auxiliary task and the reference r (the main gradient v or its moving
    average). Orthogonal gradients are left out.

    Args:
        main_task: Name of the main task, or its index in the order of `loss`.
        smoothing: Share of the new main gradient in its moving average, in
            (0, 1]; 1 (default) means no smoothing.
        granularity: `"model"` (default), `"layer"`, `"variable"`, or
            `"parameter"`: each entry of a variable on its own.
        initial_reference: Where the moving average starts: `"zeros"` (default)
            or `"first_gradient"`.
        scope: `"shared"` (default), the variables that two tasks or more
            reach; or `"all"`, for granularity `"model"`: the head of the main
            task belongs to v and r, too, and that of an auxiliary task to its
            u, so that it does not learn from what is left out.
        name: Name of the method.

    Example:

    >>> rule = keras_mtl.aggregators.UnweightedCosine(main_task=0)
    >>> rule.weights([[1.0, -1.0], [-1.0, 2.0]])  # v = (1, 0), u = (-1, 1)
    [1. 0.]

    Reference:

    - [Adapting Auxiliary Losses Using Gradient Similarity](
        https://arxiv.org/abs/1812.02224), Du et al. 2018
    """

    def reference_weights(self, gram: Tensor) -> Tensor:
        gram = to_gram(gram)
        agrees = ops.cast(gram[..., -1] > 0, gram.dtype)
        return self._assemble(gram, agrees, ops.zeros_like(agrees))
