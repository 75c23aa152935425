"""The life of the methods: owned by one model, built once tasks are known."""

import weakref
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl import backend
from keras_mtl.gradients.gram import group_variables
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.method import Method
from keras_mtl.trainers.column_heads import column_heads
from keras_mtl.trainers.gradient_conflict import GradientConflict
from keras_mtl.trainers.late_variables import check_optimizer_knows
from keras_mtl.trainers.not_finite import NotFinite
from keras_mtl.trainers.nothing_shared import check_tasks
from keras_mtl.trainers.settings import arbitrated_variables
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.settings import takes_task_gradients
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.trainers.task_names import all_task_names
from keras_mtl.trainers.task_names import auxiliary_tasks
from keras_mtl.utils.keras_internals import Functional
from keras_mtl.utils.keras_internals import output_structure


def claim(model: Any, method: Method | None) -> None:
    """State belongs to one model: two would overwrite each other's.

    Raises:
        ValueError: If the method serves another model, and has state.
    """
    if method is None:
        return
    owner = method.owner()
    if owner is not None and owner is not model and method.variables:
        raise ValueError(
            f"This {type(method).__name__} already belongs to the model "
            f"'{owner.name}' and has state. Make a new instance for each "
            "model."
        )
    method.owner = weakref.ref(model)
    for part in method.methods:
        claim(model, part)


def build_early(
    model: Any, loss: Any, loss_weights: Any, output_names: Any
) -> None:
    """Builds at once where outputs are known, so mistakes show early.

    Args:
        model: A `MultiTaskModel` that is being compiled.
        loss, loss_weights: As `compile` received them.
        output_names: As Keras knows them.
    """
    model.method_state.hold()
    if not takes_task_gradients(model):
        return
    model.method_state.await_tasks()
    if loss is None or not isinstance(model, Functional):
        return
    outputs = output_structure(model)
    losses = TaskLosses(loss, loss_weights, output_names)
    try:
        losses.build(outputs, outputs)
    except (KeyError, TypeError, ValueError):
        # `fit` builds with the labels and raises what there is to raise.
        return
    settings_of(model).column_heads = _find_column_heads(model, losses)
    check_tasks(model, losses)
    build_methods(model, all_task_names(model, losses))


def build_methods(model: Any, task_names: Sequence[str]) -> None:
    """Makes the state of the methods, once the tasks are known.

    Args:
        model: A `MultiTaskModel`.
        task_names: As `all_task_names` returns them.
    """
    settings = settings_of(model)
    if not takes_task_gradients(model):
        return
    if settings.task_names is not None:
        _check_same_tasks(model, task_names)
        return
    # Also what is loaded: assigned in the traced step, it would be assigned
    # again in every step.
    with backend.outside_trace():
        if settings.aggregator is not None:
            spec = _gradient_spec(model, tuple(task_names))
            # Compiled anew, layers may have been frozen or thawed.
            settings.aggregator.build(spec, replace=True)
        if settings.weighting is not None:
            settings.weighting.build(task_names)
        for method in (settings.aggregator, settings.weighting):
            claim(model, method)
        _make_training_metrics(model, task_names)
        model.method_state.hold(
            aggregator=settings.aggregator, weighting=settings.weighting
        )
        check_optimizer_knows(model.optimizer, model.method_state.weights)
    settings.task_names = list(task_names)


def _find_column_heads(model: Any, losses: TaskLosses) -> frozenset[int]:
    """Identities of variables that are heads of tasks, side by side."""
    if getattr(model.aggregator, "scope", "shared") != "shared":
        # It looks at heads as well.
        return frozenset()
    return frozenset(
        id(variable)
        for output, size in losses.split_outputs.items()
        for variable in column_heads(model, output, size)
    )


def _check_same_tasks(model: Any, task_names: Sequence[str]) -> None:
    """A file may name other tasks than a subclassed model now has."""
    known = model.task_names
    if not isinstance(model, Functional) and known != list(task_names):
        raise ValueError(
            f"The model '{model.name}' was restored with state of a method "
            f"for the tasks {known}, and its loss now has the tasks "
            f"{list(task_names)}. Compile it anew to begin with these."
        )


def _gradient_spec(model: Any, task_names: tuple[str, ...]) -> GradientSpec:
    """What the aggregator must know of gradients to make its state."""
    variables = arbitrated_variables(model)
    groups = [0]
    if settings_of(model).representation is None:
        groups = group_variables(variables, model.aggregator.granularity)
    shapes = tuple(v.shape for v in variables)
    num_groups = len(set(groups))
    return GradientSpec(len(task_names), (num_groups,), shapes, task_names)


def _make_training_metrics(model: Any, task_names: Sequence[str]) -> None:
    settings = settings_of(model)
    settings.not_finite = NotFinite(task_names)
    if settings.aggregator is not None:
        settings.conflict = GradientConflict(len(task_names))
        settings.training_metrics.append(settings.conflict)
    if model.auxiliaries is None:
        return
    losses = model.task_losses
    if not losses.built:
        outputs = output_structure(model)
        losses = TaskLosses(model.loss, None, model.output_names)
        losses.build(outputs, outputs)
    for t in auxiliary_tasks(model, losses):
        name = losses.task_names[t]
        tracker = keras.metrics.Mean(f"{name}_aux_loss")
        # By name: on TensorFlow, `model.loss` gives another order.
        settings.auxiliary_trackers[task_names.index(name)] = tracker
        settings.training_metrics.append(tracker)
