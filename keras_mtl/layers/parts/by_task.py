"""One tensor for each task: dictionaries, and sequences in their place."""

from collections.abc import Sequence
from typing import Any

from keras_mtl.types import Shape


def check_tasks(tasks: Any) -> list[str]:
    """Names of tasks that a user gave.

    Raises:
        ValueError: If they are not different, non-empty names, at least one.
    """
    is_sequence = isinstance(tasks, Sequence) and not isinstance(tasks, str)
    if (
        not is_sequence
        or not tasks
        or not all(isinstance(task, str) and task for task in tasks)
        or len(set(tasks)) < len(tasks)
    ):
        raise ValueError(
            "`tasks` should be a list of different names, one for each task. "
            f"Received: tasks={tasks!r}"
        )
    return list(tasks)


def names_of(layer: str, inputs: Any) -> list[str]:
    """Names of the tasks in a dictionary or sequence of tensors or shapes.

    Those of a dictionary are in the order of the alphabet, because a saved
    model does not keep another; those of a sequence are "0", "1", ...

    Args:
        layer: Name of the layer, for error messages.
        inputs: Dictionary or sequence, of tensors or of shapes.
    """
    if isinstance(inputs, dict):
        if not all(isinstance(name, str) for name in inputs):
            raise ValueError(
                f"Layer '{layer}' takes a dictionary from names of tasks, "
                f"which are strings. Received: the keys {list(inputs)}"
            )
        names = sorted(inputs)
    elif is_sequence_of_many(inputs):
        names = [str(index) for index in range(len(inputs))]
    else:
        raise ValueError(
            f"Layer '{layer}' takes one tensor for each task: a dictionary "
            "from names of tasks to tensors, or a list of tensors. Received: "
            f"{inputs!r}"
        )
    if not names:
        raise ValueError(f"Layer '{layer}' received no tensor at all.")
    return names


def is_sequence_of_many(inputs: Any) -> bool:
    """Whether this is a list of tensors or shapes, not one of them."""
    if not isinstance(inputs, (list, tuple)):
        return False
    return not all(size is None or isinstance(size, int) for size in inputs)


def check_shapes(layer: str, shapes: Any) -> None:
    """Raises unless this is a shape, or a dictionary or sequence of shapes.

    So `build` finds what is no tensor: Keras makes `None` of it, and lists of
    shapes of a list of tensors.

    Args:
        layer: Name of the layer, for error messages.
        shapes: What `build` received.
    """
    parts = [shapes]
    if isinstance(shapes, dict):
        parts = list(shapes.values())
    elif is_sequence_of_many(shapes):
        parts = shapes
    if not parts or not all(map(_is_shape, parts)):
        raise ValueError(
            f"Layer '{layer}' takes tensors, one or a dictionary or list of "
            "them, and neither None nor a list in the place of a tensor. "
            f"Received: inputs of the shapes {shapes}"
        )


def _is_shape(shape: Any) -> bool:
    # Not by its type: a backend may have its own.
    is_none = shape is None or isinstance(shape, dict)
    return not is_none and not is_sequence_of_many(shape)


def to_list(layer: str, names: Sequence[str], inputs: Any) -> list[Any]:
    """The tensors or shapes of the tasks, in the order of the names.

    Raises:
        ValueError: If the tasks are others than those.
    """
    if isinstance(inputs, dict):
        if set(inputs) != set(names):
            raise ValueError(
                f"Layer '{layer}' takes the tasks {list(names)}. Received: "
                f"{sorted(inputs)}. Where one tensor is meant, take that of "
                f"one task, as outputs[{min(inputs, default='name')!r}]"
            )
        return [inputs[name] for name in names]
    if not is_sequence_of_many(inputs) or len(inputs) != len(names):
        raise ValueError(
            f"Layer '{layer}' takes one tensor for each of the tasks "
            f"{list(names)}. Received: {inputs!r}"
        )
    return list(inputs)


def like(inputs: Any, names: Sequence[str], values: Sequence[Any]) -> Any:
    """The values in a structure like that of the inputs."""
    if isinstance(inputs, dict):
        by_name = dict(zip(names, values, strict=True))
        return {name: by_name[name] for name in inputs}
    return type(inputs)(values)


def check_equal_shapes(
    layer: str, names: Sequence[str], shapes: Sequence[Shape]
) -> Shape:
    """The shape that all tasks have; sizes that one of them knows.

    Raises:
        ValueError: If they differ.
    """
    first = tuple(shapes[0])
    for name, shape in zip(names, shapes, strict=True):
        fits = len(shape) == len(first) and all(
            None in (a, b) or a == b for a, b in zip(shape, first, strict=True)
        )
        if not fits:
            raise ValueError(
                f"Layer '{layer}' mixes the features of its tasks, so their "
                f"shapes must be equal. Received: {names[0]!r} of shape "
                f"{first} and {name!r} of shape {tuple(shape)}"
            )
        first = tuple(
            a if a is not None else b for a, b in zip(first, shape, strict=True)
        )
    return first
