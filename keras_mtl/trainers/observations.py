"""What a weighting learns from a step: gradients, and losses after it."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl import backend
from keras_mtl.gradients.gram import norms_of
from keras_mtl.gradients.gram import scaled_gram
from keras_mtl.gradients.gram import tasks_of
from keras_mtl.gradients.sparse import dense
from keras_mtl.solvers.matrices import in_units
from keras_mtl.trainers.batch_reduction import reduce_batch
from keras_mtl.trainers.evaluate import evaluate
from keras_mtl.trainers.nothing_shared import accept_frozen
from keras_mtl.trainers.nothing_shared import frozen_variables
from keras_mtl.trainers.nothing_shared import last_shared_places
from keras_mtl.trainers.nothing_shared import positions_of
from keras_mtl.trainers.objectives import Objectives
from keras_mtl.trainers.settings import arbitrated_variables
from keras_mtl.trainers.settings import observes
from keras_mtl.trainers.settings import observes_gradients
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.taps import open_taps
from keras_mtl.trainers.taps import predict_auxiliaries
from keras_mtl.types import Tensor
from keras_mtl.utils.graph import find_operation
from keras_mtl.utils.keras_internals import call_for_training
from keras_mtl.weightings.observed import Observed


def observe(
    model: Any, tasks: Sequence[backend.Gradients], objectives: Objectives
) -> dict[str, Tensor]:
    """What the weighting asks to see of the task gradients.

    They are those of all that is trained, or at the representation.

    Args:
        model: A `MultiTaskModel`.
        tasks: The gradients of each task; nothing where nobody asks.
        objectives: Of this step.
    """
    if not observes_gradients(model):
        return {}
    at_cut = settings_of(model).representation is not None
    if at_cut:
        reduction = settings_of(model).representation_reduction
        rows = reduce_batch([g.cut for g in tasks], reduction)
    else:
        rows = [[dense(g) for g in found.variables] for found in tasks]
    variables = [] if at_cut else model.trainable_variables
    found = {}
    if observes(model, "gradient_norms"):
        found["gradient_norms"] = _gradient_norms(
            model, rows, variables, objectives
        )
    if observes(model, "gradient_gram"):
        found["gradient_gram"] = _gradient_gram(
            model, rows, variables, objectives
        )
    return found


def update_weighting(
    model: Any, objectives: Objectives, seen: dict[str, Tensor], batch: tuple
) -> None:
    """Lets the weighting learn, after the step of the optimizer.

    Args:
        model: A `MultiTaskModel`.
        objectives: Of this step.
        seen: What `observe` returned.
        batch: Inputs, labels and sample weights.
    """
    if model.weighting is None:
        return
    if observes(model, "losses_after"):
        seen = {**seen, "losses_after": _losses_after(model, *batch)}
    model.weighting.update(objectives.seen, Observed(**seen))


def _losses_after(model: Any, x: Any, y: Any, sample_weight: Any) -> Tensor:
    """Task losses of the batch with the variables as they are now.

    Nothing of this second look remains: metrics, random seeds and moving
    averages of the layers go on from the first.
    """
    held = model.variables + model.metrics_variables
    # Also the loss scale, which on JAX is nowhere else during a step.
    held += model.optimizer.variables
    values = [(v, v.value) for v in held]
    with keras.StatelessScope(values):
        with open_taps(model) as taps:
            y_pred = call_for_training(model, x)
        predictions = predict_auxiliaries(model, taps)
        _, objectives = evaluate(
            model, x, y, y_pred, sample_weight, predictions
        )
    return objectives.seen


def _gradient_norms(
    model: Any, rows: list[list], variables: list, objectives: Objectives
) -> Tensor:
    """Norms `[T]` of task gradients, at one layer."""
    places: Sequence[int] = range(len(rows[0]))
    if variables:
        places = _norm_places(model, rows, variables)
    if not places:
        return ops.full((len(rows),), float("nan"))
    norms = norms_of([[row[i] for i in places] for row in rows])
    norms = norms / objectives.scale
    if objectives.present is None:
        return norms
    return ops.where(objectives.present, norms, float("nan"))


def _gradient_gram(
    model: Any, rows: list[list], variables: list, objectives: Objectives
) -> Tensor:
    """Inner products `[T, T]` of task gradients, over what is shared."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    if variables:
        places = positions_of(arbitrated_variables(model), variables)
        columns = [columns[i] for i in places]
    shared = [column for column in columns if len(tasks_of(column)) > 1]
    if not shared:
        accept_frozen(model)
        return ops.full((len(rows), len(rows)), float("nan"))
    grams, units = scaled_gram(shared, [0] * len(shared))
    gram = in_units(grams, units / objectives.scale)[0]
    if objectives.present is None:
        return gram
    present = objectives.present
    both = ops.logical_and(present[:, None], present[None, :])
    return ops.where(both, gram, float("nan"))


def _norm_places(model: Any, rows: list[list], variables: list) -> list[int]:
    """Which variables belong to the weighting's `norm_layer`.

    None where all that the tasks share is frozen.
    """
    name = model.weighting.norm_layer
    if name is None:
        return last_shared_places(model, rows, variables)
    layer = find_operation(model, name, "norm_layer")
    own = {id(v) for v in getattr(layer, "trainable_variables", [])}
    places = [i for i, v in enumerate(variables) if id(v) in own]
    frozen = {id(v) for v in frozen_variables(model)}
    held = getattr(layer, "variables", [])
    method = type(model.weighting).__name__
    if not places and any(id(v) in frozen for v in held):
        if last_shared_places(model, rows, variables):
            raise ValueError(
                f"`norm_layer` of {method} is "
                "frozen, while others that the tasks share train. Name one "
                "of these, or None for the last of them. Received: "
                f"norm_layer={name!r}"
            )
    elif not any(row[i] is not None for row in rows for i in places):
        raise ValueError(
            f"`norm_layer` of {method} should be "
            "the name of a layer with trainable weights that the tasks "
            "share; by default it is the last one with a kernel. Received: "
            f"norm_layer={name!r}, which no task reaches"
        )
    return places
