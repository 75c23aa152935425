"""Weighted cosine: auxiliary gradients as far as they agree with main."""

import keras
from keras import ops

from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class WeightedCosine(MainTaskAggregator):
    """Weighs each auxiliary gradient by its cosine with the main one.

    G = v + sum_t G_t with G_t = max(cos(u, r), 0) u, for the gradient u of an
    auxiliary task and the reference r (the main gradient v or its moving
    average). A zero gradient has no cosine and contributes nothing.

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

    >>> rule = keras_mtl.aggregators.WeightedCosine(main_task=0)
    >>> rule.weights([[1.0, 1.0], [1.0, 2.0]])  # v = (1, 0), u = (1, 1)
    [1.         0.70710677]

    Reference:

    - [Adapting Auxiliary Losses Using Gradient Similarity](
        https://arxiv.org/abs/1812.02224), Du et al. 2018
    """

    def reference_weights(self, gram: Tensor) -> Tensor:
        gram = normalize(to_gram(gram))
        norms = ops.sqrt(diagonal(gram))
        cosines = gram[..., -1] / divisor(norms) / divisor(norms[..., -1:])
        cosines = ops.maximum(cosines, 0.0)
        return self._assemble(gram, cosines, ops.zeros_like(cosines))
