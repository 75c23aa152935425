"""Aligned-MTL: make the task gradients orthogonal and equally long."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.symmetric_eigen import compose
from keras_mtl.solvers.symmetric_eigen import symmetric_eigen
from keras_mtl.types import Tensor

SCALE_MODES = ("min", "median", "lower_median", "rmse")


@keras.saving.register_keras_serializable(package="keras_mtl")
class AlignedMTL(PreferenceAggregator):
    """Aligns the principal components of the task gradients.

    The gradients, rows of J, are replaced by the nearest orthogonal rows of
    one length sigma, so that none dominates and none conflicts with another,
    and these are summed with the preference p as factors. With K = V L V' the
    weights are B p, B = sigma V L^-1/2 V'. sigma^2 is the smallest eigenvalue
    of K (`"min"`, as published), their median or their mean (`"rmse"`, both
    from the authors' code). The median of an even number of eigenvalues is the
    mean of the middle two; the authors' code and TorchJD take the lower of
    these, which is `"lower_median"`.

    By default p is all ones, as in the authors' code, and the update is sigma
    sqrt(T) long; TorchJD takes 1 / T. Weights may be negative, do not sum to
    one, and the update may still raise the loss of a task.

    Eigenvalues are found with a relative accuracy that norms far apart do not
    touch. A gradient within 0.3 per cent (float32) of the span of the others
    counts as dependent: its direction is left out, as in the paper. So zero
    gradients get weight zero, duplicates share, and opposed ones of one length
    cancel. Without independent directions left (all gradients zero) all
    weights are zero. The update jumps where a gradient becomes dependent, and
    close before that it is short in mode `"min"`: this is the method's.

    Args:
        scale_mode: `"min"` (default), `"median"`, `"lower_median"` or
            `"rmse"`.
        preference: The p: numbers from 0 up, not all zero, as a dict by names
            of tasks or a sequence in the order of `loss`. None means ones.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.AlignedMTL().weights([[18., -22.], [-22., 38.]])
    [1.1181 0.8165]

    Reference:

    - [Independent Component Alignment for Multi-Task Learning](
        https://arxiv.org/abs/2305.19000), Senushkin et al. 2023
    """

    scale_free = True
    takes_zero_gradients = True

    def __init__(
        self,
        scale_mode: str = "min",
        preference: Any = None,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(
            preference=preference, granularity=granularity, name=name
        )
        if scale_mode not in SCALE_MODES:
            raise ValueError(
                f"`scale_mode` must be one of {list(SCALE_MODES)}. "
                f"Received: scale_mode={scale_mode!r}"
            )
        self.scale_mode = scale_mode

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = normalize(to_gram(gram))
        preference = self.preference_of(gram, default=1.0)
        values, vectors = symmetric_eigen(gram)
        # Each vector in its own length: the ratio is in range, a small
        # eigenvalue to the power -1/2 is not always.
        ratio = ops.sqrt(self._scale_of(values) / divisor(values))
        parts = ops.sum(vectors * preference, axis=-1)
        return compose(vectors, ratio * parts)

    def _scale_of(self, values: Tensor) -> Tensor:
        """sigma^2 `[..., 1]` from eigenvalues, of which zeros are none."""
        rank = ops.sum(ops.cast(values != 0, "int32"), axis=-1, keepdims=True)
        rank = ops.maximum(rank, 1)
        if self.scale_mode == "rmse":
            total = ops.sum(values, axis=-1, keepdims=True)
            return total / ops.cast(rank, values.dtype)
        ascending = ops.sort(values, axis=-1)
        smallest = values.shape[-1] - rank
        if self.scale_mode == "min":
            return _entry(ascending, smallest)
        low = _entry(ascending, smallest + (rank - 1) // 2)
        if self.scale_mode == "lower_median":
            return low
        return (low + _entry(ascending, smallest + rank // 2)) / 2

    def get_config(self) -> dict[str, Any]:
        return {"scale_mode": self.scale_mode, **super().get_config()}


def _entry(values: Tensor, index: Tensor) -> Tensor:
    return ops.take_along_axis(values, index, axis=-1)
