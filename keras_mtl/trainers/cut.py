"""Whether a representation is a cut of the model."""

from typing import Any

from keras_mtl.gradients.gram import tasks_of
from keras_mtl.trainers.nothing_shared import positions_of
from keras_mtl.trainers.settings import arbitrated_variables
from keras_mtl.trainers.settings import settings_of
from keras_mtl.types import Gradient
from keras_mtl.types import Tensor


def check_cut(
    model: Any, heads: list[list[Gradient]], below: list[Tensor | None]
) -> None:
    """Raises unless all that tasks share lies below the representation.

    Args:
        model: A `MultiTaskModel`.
        heads: Task gradients of all trainable variables, by paths that do not
            go through the representation.
        below: Gradients of all trainable variables by paths that do.
    """
    name = settings_of(model).representation.name
    variables = model.trainable_variables
    for i in positions_of(arbitrated_variables(model), variables):
        variable, under = variables[i], below[i]
        above = [row[i] for row in heads]
        reached = [model.task_names[t] for t in tasks_of(above)]
        if under is not None and reached:
            raise ValueError(
                f"The representation '{name}' is no cut of the model: the "
                f"tasks {reached} reach the variable '{variable.path}' "
                "through it and around it. Name a layer that all paths "
                "from the shared variables to the tasks go through."
            )
        if len(reached) > 1:
            raise ValueError(
                f"The tasks {reached} share the variable '{variable.path}' "
                f"above the representation '{name}', where no aggregator "
                "would see it. Name the last layer that the tasks share."
            )
