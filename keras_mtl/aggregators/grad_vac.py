"""GradVac: align the task gradients as much as they usually are."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import epsilon_of
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.random_numbers import random_orders
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_to_one
from keras_mtl.utils.loops import fori_loop

# Cosines this close to 1 are rounding, and no vector reaches 1 by adding.
LARGEST_TARGET = 1 - 1e-6


@keras.saving.register_keras_serializable(package="keras_mtl")
class GradVac(Aggregator):
    """Gradient vaccine: keeps the cosines of task gradients at their average.

    Each task gradient g_i visits the other tasks j in an order of its own,
    random and fresh in every step, as in PCGrad. Where the cosine c of g_i and
    the original g_j is below its target t, g_i gets as much of g_j as makes
    the cosine equal to t:

        g_i += |g_i| (t sqrt(1 - c^2) - c sqrt(1 - t^2))
               / (|g_j| sqrt(1 - t^2)) g_j

    Then, above or below, the target follows: t += beta (c - t). There is one
    for each ordered pair of tasks and each layer or variable, zero at first,
    so the first step is that of `PCGrad`. The update is the sum of the changed
    gradients (as published; there is no 1 / T).

    A zero gradient conflicts with nothing, and targets of pairs with it stay;
    so do those of tasks without labels in the batch. To reach a target near
    one, much of g_j is needed: weights grow with 1 / sqrt(1 - t^2), and t
    counts as 1 - 1e-6 at most. Of exactly opposed gradients rounding is left
    over; its cosines are not learnt.

    Args:
        beta: Share of the new cosine in its target, from 0 (the targets stay
            zero: PCGrad) to 1 (the cosine of the step before). LibMTL
            and TorchJD have 0.5.
        granularity: `"model"` (default), `"layer"` (the paper's best) or
            `"variable"`. The orders are the same for every layer or variable;
            the paper's pseudo-code draws one for each, of the same
            distribution.
        seed: Integer that fixes the sequence of orders; None for a new one.
            The sequence is the same on every backend, compiled or not.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.GradVac().weights([[18., -22.], [-22., 38.]])
    [2.2222223 1.5789474]

    Reference:

    - [Gradient Vaccine: Investigating and Improving Multi-task Optimization in
        Massively Multilingual Models](https://arxiv.org/abs/2010.05874),
        Wang et al. 2020
    """

    scale_free = True

    def __init__(
        self,
        beta: float = 1e-2,
        granularity: str = "model",
        seed: int | None = None,
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        self.beta = number_to_one("beta", beta)
        self.seed = seed
        self.seed_generator = self.add_seed("seed_generator", seed)

    def create_state(self, spec: GradientSpec) -> None:
        """Makes the target cosines, `[..., T, T]`."""
        size = spec.num_tasks
        self.targets = self.add_state(
            "targets", (*spec.group_shape, size, size)
        )

    def weights(self, gram: Tensor) -> Tensor:
        """What a step with these inner products would give; it takes none.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`. All matrices of
                one call share their orders.

        Returns:
            Float tensor `[..., T]`.
        """
        return self._raised(to_gram(gram))[0]

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        gram = to_gram(gram)
        if step.present is not None:
            here = ops.cast(step.present, gram.dtype)
            gram = gram * here[:, None] * here
        weights, surprise = self._raised(gram)
        moved = ops.cast(self.targets, gram.dtype) + self.beta * surprise
        self.targets.assign(ops.cast(moved, self.targets.dtype))
        self.seed_generator.next()
        return weights

    def _raised(self, gram: Tensor) -> tuple[Tensor, Tensor]:
        """Weights, and how far each cosine is above its target."""
        self.build_for(gram)
        key = ops.convert_to_tensor(self.seed_generator.state)
        orders = random_orders(key, gram.shape[-1])
        targets = ops.cast(self.targets, gram.dtype)
        weights, surprise = raise_cosines(normalize(gram), targets, orders)
        return slots.nan_like(weights, gram), surprise

    def get_config(self) -> dict[str, Any]:
        return {"beta": self.beta, "seed": self.seed, **super().get_config()}


def raise_cosines(
    gram: Tensor, targets: Tensor, orders: Tensor
) -> tuple[Tensor, Tensor]:
    """GradVac's weights for given targets and orders.

    All gradients count as unit vectors. Row i of `mix` holds the changed g_i
    as a combination of them, and row i of `dots` its inner products with them.

    Args:
        gram: Float tensor `[..., T, T]`.
        targets: Float tensor `[..., T, T]`, a target for each pair.
        orders: Integers `[T, P]`: the tasks that each task visits.

    Returns:
        Weights `[..., T]` and, for each pair, how far the cosine that was met
        is above the target, `[..., T, T]`.
    """
    size = gram.shape[-1]
    cosines, scales = to_cosines(gram)
    long = diagonal(gram) > 0
    visits = ops.transpose(orders)

    def visit(turn, mix, dots, surprise):
        others = ops.take(visits, turn, axis=0)
        hit = ops.one_hot(others, size, dtype=gram.dtype)
        target = ops.sum(targets * hit, axis=-1)
        dot = ops.sum(dots * hit, axis=-1)
        norm, known = _norms(mix, dots)
        cosine = ops.clip(dot / divisor(norm), -1.0, 1.0)
        pair = long & ops.take(long, others, axis=-1)
        step = ops.where(pair, norm * _step(cosine, target), 0.0)
        gap = ops.where(pair & known, cosine - target, 0.0)
        rows = ops.take(cosines, others, axis=-2)
        return (
            mix + step[..., None] * hit,
            dots + step[..., None] * rows,
            surprise + gap[..., None] * hit,
        )

    zeros = ops.zeros_like(gram)
    start = (zeros + ops.eye(size, dtype=gram.dtype), cosines, zeros)
    if size > 1:
        start = fori_loop(
            0, visits.shape[0], lambda turn, state: visit(turn, *state), start
        )
    mix, _, surprise = start
    return ops.sum(mix * scales[..., None], axis=-2) / scales, surprise


def _step(cosine: Tensor, target: Tensor) -> Tensor:
    """How much of the unit vector g_j a unit vector g_i gets."""
    target = ops.minimum(target, LARGEST_TARGET)
    sine = ops.sqrt(1.0 - cosine * cosine)
    target_sine = ops.sqrt(ops.maximum(1.0 - target * target, 1e-12))
    step = target * sine / target_sine - cosine
    return ops.where(cosine < target, step, 0.0)


def _norms(mix: Tensor, dots: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths `[..., T]`, and whether they are more than rounding."""
    square = ops.sum(mix * dots, axis=-1)
    noise = 4 * epsilon_of(mix) * ops.square(ops.sum(ops.abs(mix), axis=-1))
    return ops.sqrt(ops.maximum(square, 0.0)), square > noise
