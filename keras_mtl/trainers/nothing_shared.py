"""Tasks that share nothing: whether it is a mistake, and which one.

An aggregator arbitrates between the gradients of shared variables. Where there
are none to train, either the shared layers are frozen for now, and the heads
train alone, or the model or its losses are not what the user meant.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.gradients.gram import group_variables
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.trainers.settings import arbitrated_variables
from keras_mtl.trainers.settings import observes_gradients
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.task_names import all_task_names
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import named_outputs
from keras_mtl.utils.graph import nodes_before
from keras_mtl.utils.keras_internals import layers_within
from keras_mtl.utils.keras_internals import made_to_train


def accept_frozen(model: keras.Model) -> None:
    """Says once that nothing shared trains.

    Args:
        model: A `MultiTaskModel` in a step that found nothing shared.

    Raises:
        ValueError: If nothing shared is frozen either.
    """
    if settings_of(model).said_frozen:
        return
    frozen = {id(v) for v in frozen_variables(model)}
    shared = None
    if model.auxiliaries is None or not model.auxiliaries.as_tasks:
        shared = shared_variables(model, model.task_losses.task_outputs)
        frozen = frozen if shared is None else frozen & shared
    if not frozen:
        raise _nothing_shared(model, model.task_losses)
    settings_of(model).said_frozen = True
    _say_frozen(shared is not None)


def _say_frozen(certain: bool) -> None:
    """Says that the heads train alone.

    Args:
        certain: Whether it is known that what is frozen is shared. Of a
            subclassed model nobody knows what the tasks would reach.
    """
    found = "All layers that the tasks share are frozen"
    if not certain:
        found = "The tasks share no layer that trains, and some are frozen"
    warnings.warn(
        f"{found}, so there is nothing to arbitrate and `gradient_conflict` "
        "is NaN: every task trains what is its own. Once layers that the "
        "tasks share are trainable, `compile` the model anew.",
        stacklevel=2,
    )


def check_tasks(model: keras.Model, losses: Any) -> None:
    """Raises where an aggregator could never find anything to do.

    Args:
        model: A `MultiTaskModel`.
        losses: Its `TaskLosses`, built.
    """
    if model.aggregator is None:
        return
    names = all_task_names(model, losses)
    shared = None
    if len(names) == len(losses.task_names):
        shared = shared_variables(model, losses.task_outputs)
    if shared is not None:
        shared -= settings_of(model).column_heads
    if len(names) < 2 or (shared is not None and not shared):
        raise _nothing_shared(model, losses)


def last_shared_places(
    model: keras.Model, rows: list[list], variables: list
) -> list[int]:
    """Which variables belong to the last layer that the tasks share.

    Args:
        model: A `MultiTaskModel`.
        rows: Task gradients of the variables.
        variables: All that is trained.

    Returns:
        Their places; none where all that is shared is frozen.
    """
    arbitrated = positions_of(arbitrated_variables(model), variables)
    shared = shared_places(list(zip(*rows, strict=True)), arbitrated)
    if not shared:
        accept_frozen(model)
        return []
    # A kernel, or an embedding: no offset, no scale of a normalisation.
    matrices = [i for i in shared if len(variables[i].shape) > 1]
    layers = group_variables(variables, "layer")
    last = layers[(matrices or shared)[-1]]
    return [i for i in shared if layers[i] == last]


def positions_of(some: list, variables: list) -> list[int]:
    """Where `some` of the variables stand; two may have one path."""
    position = {id(variable): i for i, variable in enumerate(variables)}
    return [position[id(variable)] for variable in some]


def shared_places(columns: Sequence[Any], places: list[int]) -> list[int]:
    """Which of the places hold a variable that two tasks or more reach."""
    return [i for i in places if len(tasks_of(columns[i])) > 1]


def frozen_variables(model: keras.Model) -> list[keras.Variable]:
    """Variables of layers that were made to be trained, and are not now."""
    training = {id(v) for v in model.trainable_variables}
    made = [
        v
        for layer in (model, *layers_within(model))
        for v in made_to_train(layer)
    ]
    return [v for v in made if id(v) not in training]


def shared_variables(
    model: keras.Model, outputs: Sequence[str]
) -> set[int] | None:
    """Identities of the variables that two tasks reach, frozen ones too.

    Args:
        model: The model.
        outputs: For each task the name of its output.

    Returns:
        `None` where it cannot be told without running the model.
    """
    if not has_graph(model):
        return None
    try:
        tensors = named_outputs(model)
        reached = [_variables_before(tensors[name]) for name in outputs]
    except (KeyError, ValueError):
        # Outputs of one name, or one loss over several outputs.
        return None
    found = [identity for identities in reached for identity in identities]
    return {identity for identity in found if found.count(identity) > 1}


def explain(
    task_names: Sequence[str],
    without_loss: Sequence[str] = (),
    columns: tuple[str, int] | None = None,
    weighting: str | None = None,
) -> str:
    """What may be wrong where no variable is reached by two tasks.

    Args:
        task_names: The tasks.
        without_loss: Outputs that have no loss.
        columns: Name and number of columns of the only output, if it has any.
        weighting: Name of the weighting, if it looks at gradients.
    """
    message = "No variable is reached by two or more tasks, so there is "
    message += "nothing to aggregate"
    if weighting is not None:
        message += f", and nothing for the weighting '{weighting}' to compare"
    message += ". "
    if len(task_names) < 2 and without_loss:
        message += f"The outputs {list(without_loss)} have no loss: give them "
        message += "one each"
    elif len(task_names) < 2 and columns and columns[1] > 1:
        name, count = columns
        message += f"If the {count} columns of the output '{name}' are labels "
        message += "of their own, make each a task: "
        message += f"`loss={{'{name}': keras_mtl.losses.PerColumn(loss)}}`. "
        message += "Otherwise give `loss` two tasks or more"
    elif len(task_names) < 2:
        message += "Give `loss` two tasks or more that share layers"
    else:
        message += "Let the tasks share layers with weights"
    message += ", or compile with `aggregator=None`"
    if weighting is not None:
        message += " and a weighting that looks at losses alone"
    message += f". Received: {len(task_names)} task(s), {list(task_names)}"
    return message


def _nothing_shared(model: keras.Model, losses: Any) -> ValueError:
    weighting = type(model.weighting).__name__
    message = explain(
        model.task_names or losses.task_names,
        losses.outputs_without_loss,
        losses.only_columns,
        weighting if observes_gradients(model) else None,
    )
    return ValueError(message)


def _variables_before(output: keras.KerasTensor) -> set[int]:
    operations = [node.operation for node in nodes_before(output)]
    layers = [op for op in operations if isinstance(op, keras.layers.Layer)]
    inner = [
        part for layer in layers for part in (layer, *layers_within(layer))
    ]
    return {id(v) for layer in inner for v in made_to_train(layer)}
