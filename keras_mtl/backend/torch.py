"""PyTorch: one graph, and a backward pass through it for each task."""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
import torch

from keras_mtl.backend import neutral
from keras_mtl.backend.neutral import Gradients
from keras_mtl.backend.neutral import Passes
from keras_mtl.backend.neutral import Scalars
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import OpenVariable

__all__ = [
    "StateVariable",
    "TAKES_GRADIENTS",
    "apply_gradients",
    "differentiate",
    "run_step",
    "task_gradients",
    "value_of",
    "without_gradients",
]

TAKES_GRADIENTS = True
without_gradients = torch.no_grad


class StateVariable(OpenVariable):
    def take(self, value: Tensor) -> None:
        # Keras writes into the tensor that the variable has, and so into what
        # was read of it before: the gradients of the last step, say.
        self.rebind(torch.nn.Parameter(value.detach().clone(), False))


def run_step(step: Callable[[], Any], model: keras.Model) -> Any:
    # Where PyTorch compiles several operations into one, it makes zeros of
    # gradients where no path leads, which tell what tasks share.
    return torch.compiler.disable(step)()


def differentiate(
    forward: Callable, model: keras.Model, **kwargs: bool
) -> tuple[Any, Passes]:
    # Gradients of tables are dense in Keras on PyTorch, whatever is asked for.
    leaves: list[Tensor] = []

    def cut(tensor: Tensor) -> Tensor:
        leaf = tensor.detach().requires_grad_()
        leaves.append(leaf)
        return leaf

    with torch.enable_grad():
        scalars, carried = forward(cut)
    values = [v.value for v in model.trainable_variables]
    return carried, GraphPasses(scalars, leaves, values)


@dataclasses.dataclass(eq=False)
class GraphPasses(Passes):
    """Backward passes through one graph."""

    scalars: Scalars
    leaves: list[Tensor]
    values: list[Tensor]

    def below(self, signal: Sequence[Tensor | None]) -> list[Tensor | None]:
        used = [i for i, g in enumerate(signal) if g is not None]
        sources = [self.scalars.sources[i] for i in used]
        return _gradients(sources, self.values, [signal[i] for i in used])

    def _pass(self, select: Callable[[Scalars], list]) -> Gradients:
        sources = self.values + self.leaves
        found = _gradients(select(self.scalars), sources)
        count = len(self.values)
        return Gradients(found[:count], found[count:])


def task_gradients(
    losses: Callable, values: list[Tensor]
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    values = [value.detach().requires_grad_() for value in values]
    with torch.enable_grad():
        results = losses(values)
    return results, [_gradients([loss], values) for loss in results]


def _gradients(
    targets: list[Tensor],
    sources: list[Tensor],
    signals: list[Tensor] | None = None,
) -> list[Tensor | None]:
    # PyTorch raises for what no path leads from at all.
    reached = [i for i, target in enumerate(targets) if target.requires_grad]
    if not reached or not sources:
        return [None] * len(sources)
    targets = [targets[i] for i in reached]
    signals = signals and [signals[i] for i in reached]
    options = {"retain_graph": True, "allow_unused": True}
    return list(torch.autograd.grad(targets, sources, signals, **options))


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor | None],
    variables: Sequence[keras.Variable],
) -> list[Tensor | None]:
    if all(gradient is None for gradient in gradients):
        # A batch without any label: elsewhere, its gradients are zeros.
        gradients = [torch.zeros_like(v.value) for v in variables]
    return neutral.apply_gradients(optimizer, gradients, variables)


def value_of(variable: keras.Variable) -> Tensor:
    # An assignment writes into the tensor that the variable has.
    return variable.value.detach().clone()
