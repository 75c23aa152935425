"""What `compile` refuses: arguments that do not fit the model or each other."""

import math
import numbers
from typing import Any

import keras

from keras_mtl import backend
from keras_mtl.labels.missing_labels import validate_missing_label
from keras_mtl.trainers.batch_reduction import FLATTEN
from keras_mtl.trainers.batch_reduction import REDUCTIONS
from keras_mtl.trainers.settings import is_stock
from keras_mtl.trainers.task_entries import refuse_tasks
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.by_output import check_nested_entries
from keras_mtl.utils.by_output import names_in
from keras_mtl.utils.keras_internals import Functional
from keras_mtl.utils.keras_internals import output_structure


def validate_stock(
    model: Any,
    loss: Any,
    loss_weights: Any,
    metrics: Any,
    weighted_metrics: Any,
    missing_label: Any,
    as_stock: bool,
) -> None:
    """Raises for arguments that Keras' `compile` would take, or misread.

    Args:
        model: A `MultiTaskModel`.
        loss, loss_weights, metrics, weighted_metrics, missing_label: As for
            `compile`.
        as_stock: Whether the model is to do what Keras does and no more.
    """
    _validate_loss_weights(loss_weights, as_stock)
    if not as_stock:
        refuse_entries_by_task(
            model,
            loss,
            loss_weights=loss_weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            missing_label=missing_label,
        )
    _validate_names_of_weights(loss_weights, loss)
    validate_missing_label(missing_label)


def validate_methods(
    model: Any,
    loss: Any,
    aggregator: Any,
    weighting: Any,
    representation: Any,
    representation_reduction: Any,
    scale_heads: Any,
) -> None:
    """Raises unless these act on something, and on the same.

    Args:
        model: A `MultiTaskModel`.
        loss, aggregator, weighting, representation, representation_reduction,
            scale_heads: As for `compile`.
    """
    acts_on_tasks = (aggregator, weighting, model.auxiliaries)
    if loss is None and any(part is not None for part in acts_on_tasks):
        raise ValueError(
            "An aggregator, a weighting and self-auxiliaries act on the "
            "tasks of `loss`, but `loss` is None. Give a loss for each "
            "task."
        )
    _validate_weighting(weighting)
    if representation is not None:
        _validate_representation(aggregator, representation)
    _validate_reduction(aggregator, representation, representation_reduction)
    if boolean("scale_heads", scale_heads):
        _validate_scale_heads(aggregator, representation)


def _validate_weighting(weighting: Any) -> None:
    replicas = backend.num_replicas()
    if weighting is None or replicas == 1 or not weighting.reads:
        return
    raise ValueError(
        f"{type(weighting).__name__} needs the losses of the whole "
        "batch, which a replica of `tf.distribute` does not have. Use "
        "`loss_weights` or a weighting that looks at no losses "
        "(Schedule, SVDWeights, RandomLossWeighting), or train on one "
        "device. Received: "
        f"weighting={weighting!r} on {replicas} replicas"
    )


def _validate_representation(aggregator: Any, representation: Any) -> None:
    if aggregator is None:
        raise ValueError(
            "`representation` says where an aggregator takes its "
            "gradients, but `aggregator` is None. Give an aggregator, or "
            f"leave it out. Received: representation={representation}"
        )
    if aggregator.scope == "all":
        raise ValueError(
            "`representation` is shared by all tasks, and an aggregator "
            'with `scope="all"` looks at heads too. Received: '
            f"{aggregator!r}"
        )
    if aggregator.transforms:
        raise ValueError(
            f"`representation` and {aggregator!r} exclude each other: it "
            "remembers gradients from step to step, but at a "
            "representation they belong to the examples of one batch. "
            f"{aggregator.forgetting_hint or 'Leave one of them out.'}"
        )


def _validate_reduction(
    aggregator: Any, representation: Any, reduction: Any
) -> None:
    received = f"Received: representation_reduction={reduction!r}"
    if not isinstance(reduction, str) or reduction not in REDUCTIONS:
        raise ValueError(
            "`representation_reduction` must be one of "
            f"{list(REDUCTIONS)}. {received}"
        )
    if reduction == FLATTEN:
        return
    if representation is None:
        raise ValueError(
            "`representation_reduction` says how gradients at a "
            "`representation` become one vector a task, but `representation` "
            f"is None. Name a layer, or leave it out. {received}"
        )
    if aggregator.sees != "gram":
        raise ValueError(
            "`representation_reduction` reduces what task weights are made "
            f"of, and {aggregator!r} makes none: it combines the gradients of "
            "each example themselves. Leave it out, or choose an aggregator "
            f"that gives weights, such as MGDA. {received}"
        )


def _validate_scale_heads(aggregator: Any, representation: Any) -> None:
    advice = "Leave out `scale_heads`, or choose another aggregator"
    if aggregator is None:
        raise ValueError(
            "`scale_heads` multiplies the gradients of heads by the task "
            "weights of an aggregator, but `aggregator` is None. Give one, or "
            "leave it out. Received: scale_heads=True"
        )
    if aggregator.scope == "all":
        raise ValueError(
            f"`scale_heads` and {aggregator!r} exclude each other: with "
            '`scope="all"` it looks at heads, too. Leave one of them out. '
            "Received: scale_heads=True"
        )
    if aggregator.sees != "gram" or aggregator.transforms:
        raise ValueError(
            "`scale_heads` multiplies the gradients of heads by task weights, "
            f"and {aggregator!r} has none for the gradients of the step: it "
            f"combines others, or their entries. {advice}, such as MGDA. "
            "Received: scale_heads=True"
        )
    if aggregator.granularity != "model" and representation is None:
        raise ValueError(
            "`scale_heads` needs one weight a task, but with "
            f"granularity={aggregator.granularity!r} there is one for each "
            f'{aggregator.granularity}. {advice} or `granularity="model"`. '
            "Received: scale_heads=True"
        )


def validate_names_of_outputs(model: Any, **arguments: Any) -> None:
    """Raises for entries of what is no output, where outputs are known.

    Stock Keras finds them in the first batch, and so does the model while it
    is that.

    Args:
        model: A `MultiTaskModel`, compiled.
        **arguments: Of `compile`, by output.
    """
    if not isinstance(model, Functional) or is_stock(model):
        return
    outputs = output_structure(model)
    known = [*model.output_names, *names_in(outputs)]
    for argument, given in arguments.items():
        if isinstance(given, dict):
            check_nested_entries(argument, given, outputs, known)


def refuse_entries_by_task(model: Any, loss: Any, **arguments: Any) -> None:
    """Raises for entries by task in arguments that go by output.

    Args:
        model: A `MultiTaskModel`.
        loss: As for `compile`.
        **arguments: Of `compile` or of `fit` and its like.
    """
    names = getattr(model, "output_names", None)
    heads = () if model.auxiliaries is None else list(model.auxiliaries.heads)
    for argument, given in arguments.items():
        refuse_tasks(argument, given, loss, names, heads)


def _validate_loss_weights(loss_weights: Any, as_stock: bool) -> None:
    """Raises for weights of which no tasks can be made.

    Stock Keras also trains with negative ones, and with variables.

    Args:
        loss_weights: As for `compile`.
        as_stock: Whether the model is to do what Keras does and no more.
    """
    for weight in keras.tree.flatten(loss_weights):
        _validate_weight(weight, loss_weights, as_stock)


def _validate_names_of_weights(loss_weights: Any, loss: Any) -> None:
    """Raises unless a dict of weights has the names of a dict of losses."""
    if not isinstance(loss_weights, dict) or not isinstance(loss, dict):
        return
    check_entries("loss_weights", loss_weights, loss, "tasks of `loss`")
    if set(loss_weights) != set(loss):
        # Keras would take the values in their order and ignore the names.
        raise ValueError(
            "`loss_weights` should have an entry for each task of `loss`, "
            f"{list(loss)}. Received: loss_weights={loss_weights}"
        )


def _validate_weight(weight: Any, loss_weights: Any, as_stock: bool) -> None:
    if isinstance(weight, keras.Variable):
        if as_stock:
            return
        raise ValueError(
            "`loss_weights` should be numbers: a compiled step would hold "
            "on to the value that a variable has now. Use a `weighting` "
            "for weights that change. Received: "
            f"loss_weights={loss_weights}"
        )
    is_number = isinstance(weight, numbers.Real) and math.isfinite(weight)
    if weight is None or (is_number and (as_stock or weight >= 0)):
        return
    raise ValueError(
        "`loss_weights` should be finite numbers from 0 up (below 0 only "
        "without aggregator, weighting, auxiliaries and `missing_label`). "
        f"Received: loss_weights={loss_weights}"
    )
