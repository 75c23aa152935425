"""PCGrad: drop from each task gradient what conflicts with the others."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.random_numbers import random_orders
from keras_mtl.solvers.random_numbers import random_uniforms
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.loops import fori_loop


@keras.saving.register_keras_serializable(package="keras_mtl")
class PCGrad(Aggregator):
    """Projects conflicting task gradients onto each other's normal planes.

    Each task gradient g_i visits the other tasks j in an order of its own,
    random and fresh in every step. Where g_i . g_j < 0 it loses its component
    along the original g_j: g_i -= (g_i . g_j / |g_j|^2) g_j. The update is the
    sum of the projected gradients (as published; there is no 1 / T).

    With two tasks in conflict (K_12 < 0) the weights are
    `[1 - K_12 / K_11, 1 - K_12 / K_22]`; without conflict they are ones. A
    zero gradient conflicts with nothing.

    The authors' TensorFlow code (and that of LibMTL and Nash-MTL) lets a task
    visit itself, too; the paper does not, nor does TorchJD. A gradient that the
    others have turned against itself then loses what is left along the
    original. With two tasks it is the same, and with more of them almost
    always; dependent gradients (fewer shared weights than tasks) differ by
    several per cent. `visit_self=True` is the authors' code.

    Args:
        granularity: `"model"` (default, as published), `"layer"` or
            `"variable"`. The orders are the same for every layer or variable.
        seed: Integer that fixes the sequence of orders; None for a new one.
            The sequence is the same on every backend, compiled or not.
        visit_self: Whether a task is among those that it visits.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.PCGrad().weights([[18., -22.], [-22., 38.]])
    [2.2222223 1.5789474]

    Reference:

    - [Gradient Surgery for Multi-Task Learning](
        https://arxiv.org/abs/2001.06782), Yu et al. 2020
    """

    scale_free = True

    def __init__(
        self,
        granularity: str = "model",
        seed: int | None = None,
        visit_self: bool = False,
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.seed = seed
        self.seed_generator = self.add_seed("seed_generator", seed)
        self.visit_self = boolean("visit_self", visit_self)

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights of this step; `update` goes on to new orders.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`. All matrices of
                one call share their orders.

        Returns:
            Float tensor `[..., T]`, each at least one.
        """
        gram = normalize(to_gram(gram))
        key = ops.convert_to_tensor(self.seed_generator.state)
        draw = orders_of_all if self.visit_self else random_orders
        orders = draw(key, gram.shape[-1])
        return project_conflicts(gram, orders)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        weights = super().update(gram, step)
        self.seed_generator.next()
        return weights

    def get_config(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "visit_self": self.visit_self,
            **super().get_config(),
        }


def orders_of_all(key: Tensor, num_tasks: int) -> Tensor:
    """For each task, all tasks in random order, int32 `[T, T]`.

    Args:
        key: Two integers, a seed and a counter.
        num_tasks: Number of tasks T.
    """
    draws = random_uniforms(key, num_tasks * num_tasks)
    return ops.argsort(ops.reshape(draws, (num_tasks, num_tasks)), axis=-1)


def project_conflicts(gram: Tensor, orders: Tensor) -> Tensor:
    """PCGrad's weights for given orders.

    Row i of `mix` holds the projected g_i as a combination of the original
    gradients, so that no gradient is touched.

    Args:
        gram: Float tensor `[..., T, T]`.
        orders: Integers `[T, P]`: the tasks that each task visits.

    Returns:
        Float tensor `[..., T]`.
    """
    size = gram.shape[-1]
    squares = diagonal(gram)
    visits = ops.transpose(orders)

    def visit(turn, mix):
        others = ops.take(visits, turn, axis=0)
        dots = ops.sum(mix * ops.take(gram, others, axis=-2), axis=-1)
        square = ops.take(squares, others, axis=-1)
        step = -ops.minimum(dots, 0.0) / divisor(square)
        hit = ops.one_hot(others, size, dtype=gram.dtype)
        return mix + step[..., None] * hit

    mix = ops.zeros_like(gram) + ops.eye(size, dtype=gram.dtype)
    if size > 1:
        mix = fori_loop(0, visits.shape[0], visit, mix)
    return ops.sum(mix, axis=-2)
