"""What a model was compiled with, and what it has made of that."""

import dataclasses
from typing import Any

import keras

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.trainers.gradient_conflict import GradientConflict
from keras_mtl.trainers.not_finite import NotFinite
from keras_mtl.weightings.weighting import Weighting


@dataclasses.dataclass
class CompiledSettings:
    """What `compile` received beyond Keras' own, and what came of it.

    Not in attributes of the model, as Keras would track lists and metrics in
    these and could not let go of them when the model is compiled anew.

    Attributes:
        aggregator, weighting, missing_label: As `compile` received them.
        representation: The layer or operation that was named.
        representation_reduction, scale_heads: As `compile` received them.
        whole_labels: Which labels are missing as a whole or not at all.
        class_weight: By output, as `fit` received it.
        labels_at_hand: Labels in arrays that `fit` received, by output.
        task_names: Names of the tasks, once they are known.
        said_frozen: Whether it was said that nothing shared trains.
        column_heads: Identities of variables that are heads side by side.
        conflict, not_finite, auxiliary_trackers: Metrics of training.
        training_metrics: Those of them that logs show.
    """

    aggregator: Aggregator | None = None
    weighting: Weighting | None = None
    representation: Any = None
    representation_reduction: str = "flatten"
    scale_heads: bool = False
    missing_label: Any = None
    whole_labels: WholeLabels = dataclasses.field(default_factory=WholeLabels)
    class_weight: dict[str, dict[int, float]] | None = None
    labels_at_hand: dict[str, Any] = dataclasses.field(default_factory=dict)
    task_names: list[str] | None = None
    said_frozen: bool = False
    column_heads: frozenset[int] = frozenset()
    conflict: GradientConflict | None = None
    not_finite: NotFinite | None = None
    auxiliary_trackers: dict[int, keras.metrics.Mean] = dataclasses.field(
        default_factory=dict
    )
    training_metrics: list[keras.metrics.Metric] = dataclasses.field(
        default_factory=list
    )


def settings_of(model: Any) -> CompiledSettings:
    """The settings of a `MultiTaskModel`."""
    return model._settings


def takes_task_gradients(model: Any) -> bool:
    """Whether the training step differs from stock Keras at all."""
    settings = settings_of(model)
    parts = (settings.aggregator, settings.weighting, model.auxiliaries)
    return any(part is not None for part in parts)


def is_stock(model: Any) -> bool:
    """Whether the model is compiled to do all that Keras does, as it does.

    Without gradients of tasks, labels may still be missing.
    """
    return not takes_task_gradients(model) and model.missing_label is None


def awaits_tasks(model: Any) -> bool:
    """Whether a method has yet to make its state, in the first batch.

    An optimizer that is built before could not train what the method does.
    """
    return takes_task_gradients(model) and model.task_names is None


def observes(model: Any, name: str) -> bool:
    """Whether the weighting asks to see something beside the losses."""
    weighting = model.weighting
    return weighting is not None and name in weighting.observes


def observes_gradients(model: Any) -> bool:
    """Whether the weighting asks to see something of the task gradients."""
    names = ("gradient_norms", "gradient_gram")
    return any(observes(model, name) for name in names)


def arbitrated_variables(model: Any) -> list[keras.Variable]:
    """The variables of a model that tasks may share.

    What a weighting trains belongs to no task, and heads in the columns of one
    kernel belong to one each.
    """
    own = {id(v) for v in model.method_state.variables}
    own |= settings_of(model).column_heads
    return [
        v
        for v in model.trainable_variables
        if id(v) not in own and not takes_values(v)
    ]


def takes_values(variable: keras.Variable) -> bool:
    """Whether "gradients" of a variable are new values of it.

    So it is with the ranges of float8 layers, which know only a largest value,
    no sum and no direction.
    """
    return getattr(variable, "overwrite_with_gradient", False)
