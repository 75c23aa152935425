"""Random loss weighting: new weights by chance in each step."""

from typing import Any

import keras
from keras import ops

from keras_mtl.solvers.random_numbers import random_normals
from keras_mtl.solvers.random_numbers import random_uniforms
from keras_mtl.types import Tensor
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting

DISTRIBUTIONS = ("normal", "uniform", "dirichlet")


@keras.saving.register_keras_serializable(package="keras_mtl")
class RandomLossWeighting(Weighting):
    """Draws the weights of the losses anew in each step (RLW).

    The weights are positive and sum to one, as published; their mean is 1 / T.
    They carry no information, which makes this the baseline that other
    weightings should beat.

    The draw belongs to the step: `weights` returns the same until `update` has
    been called, which the model does at the end of a step.

    Args:
        seed: Integer that fixes the sequence of draws; None for a new one. The
            sequence is the same on every backend, compiled or not.
        distribution: `"normal"` is a softmax of standard normal numbers, the
            paper's choice; `"uniform"` one of numbers between 0 and 1;
            `"dirichlet"` is uniform over the simplex.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.RandomLossWeighting(seed=0),
    )
    ```

    Reference:

    - [Reasonable Effectiveness of Random Weighting: A Litmus Test for
        Multi-Task Learning](https://arxiv.org/abs/2111.10603), Lin et al. 2021
    """

    reads = frozenset()

    def __init__(
        self,
        seed: int | None = None,
        distribution: str = "normal",
        name: str | None = None,
    ):
        super().__init__(name=name)
        if distribution not in DISTRIBUTIONS:
            raise ValueError(
                f"`distribution` must be one of {list(DISTRIBUTIONS)}. "
                f"Received: distribution={distribution!r}"
            )
        self.seed = seed
        self.distribution = distribution
        self.seed_generator = self.add_seed("seed_generator", seed)

    def weights(self, losses: Tensor) -> Tensor:
        count = losses.shape[0]
        key = ops.convert_to_tensor(self.seed_generator.state)
        if self.distribution == "normal":
            return ops.softmax(random_normals(key, count))
        uniforms = random_uniforms(key, count)
        if self.distribution == "uniform":
            return ops.softmax(uniforms)
        exponentials = -ops.log(uniforms)
        return exponentials / ops.sum(exponentials)

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        """Goes on to the next draw."""
        del losses, observed
        self.seed_generator.next()

    def get_config(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "distribution": self.distribution,
            **super().get_config(),
        }
