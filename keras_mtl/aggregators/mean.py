"""The mean of the task gradients."""

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class Mean(Aggregator):
    """Averages the task gradients: every weight is 1 / T.

    Args:
        granularity: Accepted as by every aggregator; it changes nothing here.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.Mean().weights([[18.0, -22.0], [-22.0, 38.0]])
    [0.5 0.5]
    """

    def weights(self, gram: Tensor) -> Tensor:
        ones = ops.ones_like(diagonal(to_gram(gram)))
        return ones / ones.shape[-1]
