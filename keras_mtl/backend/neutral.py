"""What a backend supplies, and what holds where it says nothing else.

With these alone, models load, predict and are evaluated, and layers, solvers
and aggregators work; what takes gradients is refused.
"""

import contextlib
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple
from typing import NoReturn

import keras

from keras_mtl.types import Gradient
from keras_mtl.types import Tensor

__all__ = [
    "Gradients",
    "Passes",
    "Restored",
    "Scalars",
    "StateVariable",
    "TAKES_GRADIENTS",
    "apply_gradients",
    "batch_size",
    "compiled",
    "differentiate",
    "full_precision",
    "holding_losses",
    "num_replicas",
    "on_all_replicas",
    "outside_trace",
    "refuse",
    "run_step",
    "sum_over_replicas",
    "task_gradients",
    "value_of",
    "without_gradients",
]

# Whether a model can be trained by gradients of its tasks.
TAKES_GRADIENTS = False
# The class of what methods remember: what is read of it before an assignment
# stays what it was.
StateVariable = keras.Variable


class Scalars(NamedTuple):
    """What gradients are taken of, as a forward pass returns it.

    Attributes:
        tasks: One scalar a task.
        rest: What belongs to no task: nothing, or one scalar.
        sources: What was cut, before the cut; nothing where nothing was.
    """

    tasks: list[Tensor]
    rest: list[Tensor]
    sources: list[Tensor]


class Gradients(NamedTuple):
    """What one backward pass returns; `None` where no path leads.

    Attributes:
        variables: The gradients of the trainable variables. Those of embedding
            tables may be `Slices`.
        cut: The gradients at the cut, of what the rest of the model received.
    """

    variables: list[Gradient]
    cut: list[Tensor | None]


class Passes:
    """Backward passes from the scalars of one forward pass.

    A backend says how it makes one, `_pass`, and `below`, which takes
    gradients at the cut on to the variables.

    Attributes:
        scalars: What the forward pass returned.
    """

    scalars: Scalars

    def task(self, index: int) -> Gradients:
        """The gradients of one task."""
        return self._pass(lambda scalars: [scalars.tasks[index]])

    def rest(self) -> Gradients | None:
        """Those of what belongs to no task, if there is anything."""
        if not self.scalars.rest:
            return None
        return self._pass(lambda scalars: scalars.rest)

    def total(self) -> list[Gradient]:
        """Those of everything together, of the variables."""
        found = self._pass(lambda scalars: scalars.tasks + scalars.rest)
        return found.variables

    def below(self, signal: Sequence[Tensor | None]) -> list[Gradient]:
        """Those of the variables, from gradients at the cut."""
        raise NotImplementedError

    def _pass(self, select: Callable[[Scalars], list[Tensor]]) -> Gradients:
        """Those of the sum of the scalars that are selected."""
        raise NotImplementedError


class Restored:
    """A `keras.Model` whose weights are still there after an error in a step.

    Nothing needs to be done for it where Keras leaves values in the variables
    while a model trains.
    """


def differentiate(
    forward: Callable[[Callable[[Tensor], Tensor]], tuple[Scalars, Any]],
    model: keras.Model,
    cuts: bool = False,
    sparse: bool = False,
) -> tuple[Any, Passes]:
    """Runs a forward pass for gradients of its scalars.

    Args:
        forward: Takes `cut`, a function of one tensor: gradients stop there,
            and are seen there. Returns its `Scalars`, and what else the step
            carries on.
        model: Its variables are what gradients are taken by.
        cuts: Whether `forward` will cut anything.
        sparse: Whether the gradients of embedding tables may be `Slices`; not
            together with `cuts`.

    Returns:
        What `forward` carries on, and the backward passes.
    """
    refuse("training step")


def task_gradients(
    losses: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor]
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    """T losses of values, and the gradients of each.

    Args:
        losses: Function of the values.
        values: Float tensors.

    Returns:
        The losses, and for each of them its gradients, `None` where there is
        no path.
    """
    refuse("gradients of tasks")


def run_step(step: Callable[[], Any], model: keras.Model, *state: Any) -> Any:
    """Runs a step that reads and assigns variables.

    Args:
        step: Takes nothing, returns the logs.
        model: The model.
        state: What Keras' trainer hands to `train_step` before the data.

    Returns:
        What Keras' trainer wants back.
    """
    return step()


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Any],
    variables: Sequence[keras.Variable],
) -> list[Any]:
    """Lets an optimizer change the variables.

    Returns:
        The gradients as it was given them.
    """
    optimizer.apply(list(gradients), list(variables))
    return list(gradients)


def compiled(
    function: Callable[..., Any],
    variables: Sequence[keras.Variable] = (),
    jit_compile: bool | str = True,
) -> Callable[..., Any]:
    """A function of tensors, compiled as a training step is.

    Args:
        function: In Keras operations.
        variables: The variables that it assigns.
        jit_compile: As for `keras.Model.compile`.

    Returns:
        The function itself, where a backend does not compile.
    """
    return function


def value_of(variable: keras.Variable) -> Tensor:
    """The value that a variable has now, also after it is assigned another."""
    # On TensorFlow, `convert_to_tensor` gives the variable itself, which is
    # read when it is used.
    return keras.ops.stop_gradient(variable)


def holding_losses(model: keras.Model) -> contextlib.AbstractContextManager:
    """A context in which `model.losses` are those of the forward pass before.

    Where stock Keras holds them while it computes the loss, a `compute_loss` of
    the user's own may call the model once more.
    """
    return contextlib.nullcontext()


def batch_size(tensor: Tensor) -> Any:
    """Length of the first axis, as a number or a scalar."""
    return keras.ops.shape(tensor)[0]


def without_gradients() -> contextlib.AbstractContextManager:
    """A context that takes note of nothing for later gradients."""
    return contextlib.nullcontext()


def outside_trace() -> contextlib.AbstractContextManager:
    """A context in which variables are made outside the function traced."""
    return contextlib.nullcontext()


def full_precision() -> contextlib.AbstractContextManager:
    """A context in which matrices are multiplied in full float32."""
    return contextlib.nullcontext()


def num_replicas() -> int:
    """Replicas that share a batch, each with variables of its own."""
    return 1


def sum_over_replicas(values: Any) -> Any:
    """The sums of what the replicas have, tensor by tensor."""
    return values


def on_all_replicas(flag: Tensor) -> Tensor:
    """Whether a boolean is true on every replica: all of them get one answer.

    Args:
        flag: Boolean scalar, in a training step.
    """
    return flag


def refuse(what: str) -> NoReturn:
    """Raises for what takes gradients, where there are none."""
    raise NotImplementedError(
        "keras_mtl takes gradients on the TensorFlow, JAX and PyTorch "
        f"backends, and has no {what} on the backend "
        f"'{keras.backend.backend()}'. Train on one of these three (set the "
        "environment variable KERAS_BACKEND before Keras is imported), and "
        "load the saved model here to predict."
    )
