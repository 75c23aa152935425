"""The names of all tasks of a model, in order."""

from typing import Any

from keras_mtl.trainers.task_losses import TaskLosses


def all_task_names(model: Any, losses: TaskLosses | None = None) -> list[str]:
    """The tasks of `loss`, then auxiliaries that are tasks of their own.

    Args:
        model: A `MultiTaskModel`.
        losses: Its losses, built; those of the model where it has them.
    """
    losses = losses or model.task_losses
    names = list(losses.task_names)
    if model.auxiliaries is not None and model.auxiliaries.as_tasks:
        names += [f"{names[t]}_aux" for t in auxiliary_tasks(model, losses)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"Two tasks have the name '{name}': a task of `loss`, and "
                "the auxiliary of another. Rename the output."
            )
    return names


def auxiliary_tasks(model: Any, losses: TaskLosses) -> list[int]:
    """Positions of the tasks whose outputs have an auxiliary head."""
    outputs = enumerate(losses.task_outputs)
    return [t for t, name in outputs if name in model.auxiliaries.heads]
