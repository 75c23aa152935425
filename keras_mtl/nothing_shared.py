"""Tasks that share nothing: whether it is a mistake, and which one.

An aggregator arbitrates between the gradients of shared variables. Where there
are none to train, either the shared layers are frozen for now, and the heads
train alone, or the model or its losses are not what the user meant.
"""

from collections.abc import Sequence

import keras

from keras_mtl.symbolic_graph import has_graph
from keras_mtl.symbolic_graph import named_outputs
from keras_mtl.symbolic_graph import nodes_before


def frozen_variables(model: keras.Model) -> list[keras.Variable]:
    """Variables of layers that were made to be trained, and are not now."""
    training = {id(v) for v in model.trainable_variables}
    made = [
        v for layer in model._flatten_layers() for v in _made_to_train(layer)
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


def _made_to_train(layer: keras.layers.Layer) -> list[keras.Variable]:
    # Others are moving averages and the like, which nobody would thaw.
    return list(layer._trainable_variables)


def _variables_before(output: keras.KerasTensor) -> set[int]:
    operations = [node.operation for node in nodes_before(output)]
    layers = [op for op in operations if isinstance(op, keras.layers.Layer)]
    inner = [part for layer in layers for part in layer._flatten_layers()]
    return {id(v) for layer in inner for v in _made_to_train(layer)}
