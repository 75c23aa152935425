"""What each aggregator makes of two gradients in the plane."""

from typing import Any
from typing import NamedTuple

import keras
import numpy as np

import keras_mtl
from examples import every_method
from keras_mtl.aggregators import Aggregator
from keras_mtl.methods import GradientSpec
from keras_mtl.methods.method import seeds_of

TASKS = ("1", "2")
# By name of the figure: the gradients of task 1 and task 2.
PAIRS = {
    "conflicting": np.array([[0.2, 1.0], [1.8, -2.0]], "float32"),
    "agreeing": np.array([[0.2, 1.0], [2.2, 0.5]], "float32"),
}
# Methods that look at the losses see equal ones.
LOSSES = np.ones(2, "float32")
# What methods cannot do without. The main task, where there is one, is the
# first, with the shorter gradient.
ARGUMENTS = {"constant": {"weights": [0.7, 0.3]}}


class Updates(NamedTuple):
    """What one method did in several steps with the same gradients.

    Attributes:
        title: Its class name.
        points: The updates `[steps, 2]`.
        random: Whether they are independent draws.
    """

    title: str
    points: np.ndarray
    random: bool

    @property
    def shown(self) -> np.ndarray:
        """The update to draw as an arrow: the mean of draws, or the last."""
        return self.points.mean(axis=0) if self.random else self.points[-1]


def choose() -> every_method.Choice:
    """The aggregators that are defined for two tasks, and the others."""
    return every_method.choose(keras_mtl.aggregators, TASKS, ARGUMENTS)


def compute(
    aggregator: Aggregator, jacobian: np.ndarray, steps: int
) -> Updates:
    """Lets an aggregator combine the same gradients again and again.

    Args:
        aggregator: A new one: it may remember what it has seen.
        jacobian: Array `[2, 2]`, a gradient a row.
        steps: How often.
    """
    build(aggregator)
    # Without XLA, which takes longer to compile than the steps take to run.
    combine = keras_mtl.testing.compiled(
        aggregator, aggregator.variables, jit_compile=False
    )
    arguments = [keras.ops.convert_to_tensor(a) for a in (jacobian, LOSSES)]
    points = [
        keras.ops.convert_to_numpy(combine(*arguments)) for _ in range(steps)
    ]
    return Updates(
        type(aggregator).__name__, np.stack(points), is_random(aggregator)
    )


def build(aggregator: Aggregator) -> None:
    """Makes the state of an aggregator, as a compiled function cannot."""
    aggregator.build(GradientSpec(len(TASKS), (), ((2,),), TASKS))


def is_random(method: Any) -> bool:
    """Whether a method draws, and does nothing else from step to step."""
    return len(seeds_of(method)) == len(method.variables) == 1
