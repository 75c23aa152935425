"""Second heads that predict in the form of the outputs of a model."""

import contextlib
import random
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras

from keras_mtl.auxiliaries.output_activation import output_activation
from keras_mtl.layers import SelfAuxiliaryHead
from keras_mtl.types import Shape
from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.graph import operation_of


def task_names(tasks: Any, outputs: dict[str, keras.KerasTensor]) -> list[str]:
    """The tasks that a user wants heads for, by default all.

    Raises:
        ValueError: If they are no outputs of the model.
    """
    if tasks is None:
        return list(outputs)
    is_one = isinstance(tasks, str) or not isinstance(tasks, Iterable)
    names = [tasks] if is_one else list(tasks)
    if all(isinstance(name, str) for name in names):
        check_entries("tasks", names, outputs)
    unknown = [name for name in names if name not in outputs]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            "`tasks` must name outputs of the model, each once and at least "
            f"one of {list(outputs)}. Received: tasks={tasks!r}"
        )
    return names


def linear_head(
    task: str,
    output: keras.KerasTensor,
    features: tuple[str, Shape],
    *,
    activation: Any,
    **kwargs: Any,
) -> SelfAuxiliaryHead:
    """A linear head with the units and the rank of a task's output.

    Args:
        task: Name of the task.
        output: Its output.
        features: What the head reads: a name for error messages, and its
            shape.
        activation: Activation of the head.
        **kwargs: More arguments of `SelfAuxiliaryHead`.

    Raises:
        ValueError: If no linear head on the features can predict the task.
    """
    return SelfAuxiliaryHead(
        output.shape[-1],
        activation=activation,
        flatten=_needs_flattening(task, output.shape, *features),
        **kwargs,
    )


def activations(
    activation: Any, tasks: list[str], outputs: dict[str, keras.KerasTensor]
) -> dict[str, Any]:
    """The activation for each task's head: given, or that of the output.

    Raises:
        ValueError: If it is not given where it cannot be told, or given for
            what is no task.
    """
    given = activation if isinstance(activation, dict) else {}
    check_entries("activation", given, tasks, "tasks with an auxiliary head")
    if activation is not None and not isinstance(activation, dict):
        given = dict.fromkeys(tasks, activation)
    found = {
        task: given[task] if task in given else output_activation(outputs[task])
        for task in tasks
    }
    for task in tasks:
        if found[task] is None:
            operation = operation_of(outputs[task])
            raise ValueError(
                f"Cannot tell what kind of output '{task}' is: '"
                f"{operation.name}', a {type(operation).__name__}, makes it. "
                "Say which activation its head needs for the same loss to "
                f"fit, e.g. `activation={{'{task}': 'softmax'}}`, or 'linear' "
                "for none."
            )
    return found


def dtype_policy(output: keras.KerasTensor, model: keras.Model) -> Any:
    """The dtype policy for the head of an output: that of the output.

    Of a quantized output it is the one from before: new quantized weights are
    zeros, and stay so.
    """
    policy = getattr(operation_of(output), "dtype_policy", model.dtype_policy)
    _, is_quantized, source = policy.name.partition("_from_")
    return keras.DTypePolicy(source) if is_quantized else policy


def head_name(task: str) -> str:
    # A slash has a meaning in the names of variables.
    return f"{task}_aux".replace("/", "_")


@contextlib.contextmanager
def undisturbed_randomness() -> Iterator[None]:
    """Draws initial weights, and leaves the run as it would have been.

    Initializers take seeds from Python's generator, which also shuffles some
    kinds of data: with and without auxiliaries shall see the same batches.
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


def _needs_flattening(
    task: str, target: Shape, name: str, shape: Shape
) -> bool:
    """Whether a head must flatten, to give predictions of the right shape."""
    if len(target) == 2 and target[-1] is not None:
        return len(shape) > 2
    between = zip(shape[1:-1], target[1:-1], strict=True)
    if (
        len(shape) != len(target)
        or len(target) < 2
        or target[-1] is None
        or any(a != b for a, b in between if None not in (a, b))
    ):
        raise ValueError(
            f"No head on {name}, of shape {shape}, can predict the task "
            f"'{task}', of shape {target}: that takes equal axes but for the "
            "last, or an output of shape (batch, units). Choose another layer, "
            "or leave the task out of `tasks`."
        )
    return False
