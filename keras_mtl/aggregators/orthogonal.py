"""Orthogonal: auxiliary gradients without their part along the main one."""

import keras
from keras import ops

from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class Orthogonal(MainTaskAggregator):
    """Keeps of each auxiliary gradient what is orthogonal to the main one.

    G = v + sum_t G_t with G_t = u - (u . r) r / |r|^2, whether u and the
    reference r agree or conflict. Where r is zero, G_t = u.

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
            task belongs to v and r, too.
        name: Name of the method.

    Example:

    >>> rule = keras_mtl.aggregators.Orthogonal(main_task=0)
    >>> rule.weights([[1.0, 1.0], [1.0, 2.0]])  # v = (1, 0), u = (1, 1)
    [0. 1.]

    Reference:

    - [Hsieh et al., 2024](https://arxiv.org/abs/2402.02998), whose Bloop this
        is with a smoothing below 1
    """

    def reference_weights(self, gram: Tensor) -> Tensor:
        gram = normalize(to_gram(gram))
        dots = gram[..., -1]
        square = divisor(diagonal(gram)[..., -1:])
        return self._assemble(gram, ops.ones_like(dots), -dots / square)
