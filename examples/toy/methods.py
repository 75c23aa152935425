"""How each method of keras_mtl makes one update of two gradients."""

from collections.abc import Callable
from typing import Any

from keras import ops

import keras_mtl
from examples import every_method
from keras_mtl.aggregators import Aggregator
from keras_mtl.methods import GradientSpec
from keras_mtl.methods import StepInfo
from keras_mtl.weightings import Observed
from keras_mtl.weightings import Weighting

Tensor = Any
TASKS = ("1", "2")
KINDS = {
    "aggregator": keras_mtl.aggregators,
    "weighting": keras_mtl.weightings,
}
# What methods cannot do without, and, where a weighting trains, the published
# learning rate of what it trains.
ARGUMENTS = {
    # Undoes the scale of the first objective.
    "constant": {"weights": [10.0, 1.0]},
    "uncertainty": {"learning_rate": 0.025},
    "imtll": {"learning_rate": 0.025},
    # There are no epochs.
    "dynamic_weight_average": {"window": 100},
}


def choose(kind: str) -> every_method.Choice:
    """The methods that are defined for two tasks, and the others.

    Args:
        kind: `"aggregator"` or `"weighting"`.
    """
    return every_method.choose(KINDS[kind], TASKS, ARGUMENTS)


class Aggregation:
    """Lets an aggregator combine the gradients of several starts.

    If the aggregator needs no more than inner products, one serves all starts:
    its Gram matrices have a leading axis. Otherwise each has one of its own.

    Args:
        make: Makes a new aggregator.
        num_starts: How many.
    """

    def __init__(self, make: Callable[[], Aggregator], num_starts: int):
        first = make()
        self.batched = first.sees == "gram" and not first.transforms
        others = 0 if self.batched else num_starts - 1
        self.aggregators = [first, *(make() for _ in range(others))]
        group_shape = (num_starts,) if self.batched else ()
        spec = GradientSpec(len(TASKS), group_shape, ((2,),), TASKS)
        for aggregator in self.aggregators:
            aggregator.build(spec)
        self.variables = [v for a in self.aggregators for v in a.variables]

    def update(self, losses: Tensor, gradients: Tensor) -> Tensor:
        """One update `[S, 2]` of losses `[S, T]` and gradients `[S, T, 2]`."""
        if self.batched:
            gram = ops.matmul(gradients, ops.swapaxes(gradients, -1, -2))
            step = StepInfo(losses=losses, task_names=TASKS)
            weights = self.aggregators[0].update(gram, step)
            return ops.sum(weights[..., None] * gradients, axis=-2)
        return ops.stack(
            [
                aggregator(gradients[s], losses=losses[s])
                for s, aggregator in enumerate(self.aggregators)
            ]
        )

    def observe(
        self, losses: Tensor, losses_after: Tensor, gradients: Tensor
    ) -> None:
        """Nothing: an aggregator has seen all it wants to."""
        del losses, losses_after, gradients


class Weighted:
    """Lets weightings weight the gradients of several starts, each its own.

    Args:
        make: Makes a new weighting.
        num_starts: How many.
    """

    def __init__(self, make: Callable[[], Weighting], num_starts: int):
        self.weightings = [make() for _ in range(num_starts)]
        for weighting in self.weightings:
            weighting.build(TASKS)
        self.variables = [v for w in self.weightings for v in w.variables]

    def update(self, losses: Tensor, gradients: Tensor) -> Tensor:
        """One update `[S, 2]` of losses `[S, T]` and gradients `[S, T, 2]`."""
        self.weights = ops.stack(
            [
                # Makes a tensor of a variable.
                ops.stop_gradient(weighting.weights(losses[s]))
                for s, weighting in enumerate(self.weightings)
            ]
        )
        return ops.sum(self.weights[..., None] * gradients, axis=-2)

    def observe(
        self, losses: Tensor, losses_after: Tensor, gradients: Tensor
    ) -> None:
        """Lets the weightings learn from the step, as the model does."""
        rows = self.weights[..., None] * gradients
        seen = {
            "losses_after": losses_after,
            "gradient_norms": ops.norm(rows, axis=-1),
            "gradient_gram": ops.matmul(rows, ops.swapaxes(rows, -1, -2)),
        }
        for s, weighting in enumerate(self.weightings):
            wanted = {name: seen[name][s] for name in weighting.observes}
            weighting.update(losses[s], Observed(**wanted))


def start(
    kind: str, make: Callable[[], keras_mtl.aggregators.Aggregator], count: int
) -> Aggregation | Weighted:
    """Makes a method for so many starts."""
    return {"aggregator": Aggregation, "weighting": Weighted}[kind](make, count)
