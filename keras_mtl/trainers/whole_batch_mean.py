"""The mean of a loss that replicas have parts of."""

from typing import Any

import keras
from keras import ops

from keras_mtl.backend import num_replicas
from keras_mtl.backend import sum_over_replicas


class WholeBatchMean(keras.metrics.Mean):
    """Mean over batches that `tf.distribute` may split unevenly.

    Keras takes the mean of the losses of the replicas, each with the size of
    its part of the batch as a weight. Where the loss of each is already its
    part of the loss of the whole batch, as with missing labels, each must have
    the same weight.

    Args:
        name, dtype: As for `keras.metrics.Mean`.
    """

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None:
            sample_weight = ops.cast(sample_weight, self.dtype)
            sample_weight = sum_over_replicas(sample_weight) / num_replicas()
        super().update_state(values, sample_weight=sample_weight)
