"""The plain sum of the task gradients."""

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.solvers.gram import Tensor
from keras_mtl.solvers.gram import diagonal
from keras_mtl.solvers.gram import to_gram


@keras.saving.register_keras_serializable(package="keras_mtl")
class Sum(Aggregator):
    """Adds the task gradients: what Keras does with several losses.

    Every weight is one, so the tasks' shares are the `loss_weights` alone.

    Args:
        granularity: Accepted as by every aggregator; it changes nothing here.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.Sum().weights([[18.0, -22.0], [-22.0, 38.0]])
    [1. 1.]
    """

    def weights(self, gram: Tensor) -> Tensor:
        return ops.ones_like(diagonal(to_gram(gram)))
