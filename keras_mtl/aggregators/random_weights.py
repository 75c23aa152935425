"""Random weights, fresh in every step: what every method should beat."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.random_numbers import random_normals
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class Random(Aggregator):
    """Random gradient weighting: softmax of standard normal numbers.

    The weights are drawn anew in every step, whatever the gradients are, and
    sum to one. A baseline: a method that does not beat it learns nothing from
    the gradients.

    Args:
        seed: Integer that fixes the sequence of weights; None for a new one.
            The sequence is the same on every backend, compiled or not.
        granularity: Accepted as by every aggregator; it changes nothing here:
            all layers and variables share one draw.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.Random(seed=0).weights([[1., 0.], [0., 4.]])
    [0.9656992  0.03430084]

    Reference:

    - [Reasonable Effectiveness of Random Weighting: A Litmus Test for
        Multi-Task Learning](https://arxiv.org/abs/2111.10603), Lin et al. 2021
    """

    def __init__(
        self,
        seed: int | None = None,
        granularity: str = "model",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.seed = seed
        self.seed_generator = self.add_seed("seed_generator", seed)

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights of this step; `update` goes on to the next draw.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`. All matrices of
                one call share their weights.

        Returns:
            Float tensor `[..., T]`, positive, summing to one.
        """
        ones = ops.ones_like(diagonal(to_gram(gram)))
        key = ops.convert_to_tensor(self.seed_generator.state)
        draw = random_normals(key, ones.shape[-1])
        return ones * ops.cast(ops.softmax(draw), ones.dtype)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        weights = super().update(gram, step)
        self.seed_generator.next()
        return weights

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, **super().get_config()}
