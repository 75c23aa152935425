"""CAGrad: near the mean gradient, the update that helps the worst task most."""

from typing import Any

import keras

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.solvers.conflict_averse import conflict_averse_weights
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class CAGrad(Aggregator):
    """Conflict-averse descent: the worst task gains most, near the mean.

    With g0 the mean of the task gradients, the update d maximises
    min_t g_t . d over the ball |d - g0| <= c |g0|. It is d = g0 + lambda g_w,
    with g_w = sum_t w_t g_t, lambda = c |g0| / |g_w|, and the w of the simplex
    that minimises g0 . g_w + c |g0| |g_w|. The minimum is found exactly, for
    any number of tasks, by an active-set method on the device.

    The task weights are 1 / T + lambda w_t, none below 1 / T. d is that of the
    paper: it is not divided by 1 + c or 1 + c^2, as the authors' code and
    LibMTL do.

    With c = 0 it is the mean. From c = 1 on no loss rises, and as c grows the
    direction becomes MGDA's. Where the model is Pareto-stationary (some
    g_w = 0) and the ball holds several best d, it is the one closest to the
    mean. As such points come near, weights grow, and float32 holds the update
    to about one thousandth of the longest gradient. A zero gradient counts in
    the mean only, and keeps the weight 1 / T.

    Args:
        c: Radius of the ball, relative to the mean gradient; not negative.
            The paper trains with 0.2 to 0.8; below 1 the mean loss converges.
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.CAGrad(0.5).weights([[18., -22.], [-22., 38.]])
    [0.7041 0.5]

    Reference:

    - [Conflict-Averse Gradient Descent for Multi-task Learning](
        https://arxiv.org/abs/2110.14048), Liu et al. 2021
    """

    scale_free = True
    takes_zero_gradients = True

    def __init__(
        self,
        c: float = 0.4,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.c = number_from_zero("c", c)

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`, each at least 1 / T.
        """
        return conflict_averse_weights(to_gram(gram), self.c)

    def get_config(self) -> dict[str, Any]:
        return {"c": self.c, **super().get_config()}
