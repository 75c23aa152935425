"""Entries by task where an argument goes by output: what to do instead.

A column of `losses.PerColumn` and an auxiliary head are tasks with names, logs
and gradients of their own, but they are no outputs of the model.
"""

import re
from collections.abc import Collection
from collections.abc import Iterator
from typing import Any

from keras_mtl.losses.per_column import PerColumn

_FOR_COLUMNS = {
    "loss_weights": (
        "Weigh the labels of columns by `sample_weight` of shape (batch_size, "
        "..., num_columns), or the tasks by `weighting=keras_mtl.weightings."
        "Schedule({{'{name}': 0.5}})`"
    ),
    "metrics": (
        "Metrics of '{output}' see all of its columns: give it one that "
        "picks its own, `lambda y, p: metric(y[..., i], p[..., i])`"
    ),
    "missing_label": "Give one value for all columns of '{output}'",
    "sample_weight": (
        "Weigh each label by `sample_weight` of '{output}', of shape "
        "(batch_size, ..., num_columns)"
    ),
}
_FOR_AUXILIARIES = {
    "loss_weights": (
        "Give its weight where it was made: `add_self_auxiliaries(model, ..., "
        "weight=0.5)`, or that of `add_auxiliary_branches`"
    ),
    "metrics": "Its loss is logged as '{name}_loss', and it has no metrics",
    "missing_label": "It has the labels of '{output}': name that",
    "sample_weight": (
        "It has the labels and the weights of '{output}': name that"
    ),
}
_LIKE = {
    "class_weight": "sample_weight",
    "loss": "missing_label",
    "weighted_metrics": "metrics",
}


def refuse_tasks(
    argument: str,
    given: Any,
    loss: Any,
    output_names: Collection[str] | None,
    auxiliaries: Collection[str] = (),
) -> None:
    """Raises if a dict by output names a column or an auxiliary.

    Args:
        argument: Name of the argument, for the message.
        given: What was given; all but dicts pass.
        loss: As `compile` takes it.
        output_names: Names of the outputs, `None` if the model knows none.
        auxiliaries: Names of the outputs that have an auxiliary head.
    """
    outputs = set(output_names or ()) | set(loss if _is_dict(loss) else ())
    for name in given if _is_dict(given) else ():
        if name in outputs or given[name] is None:
            continue
        column_of = _output_of_column(name, loss, output_names)
        if column_of is not None:
            what, advices = f"a column of '{column_of}'", _FOR_COLUMNS
        elif str(name).removesuffix("_aux") in auxiliaries:
            column_of = str(name).removesuffix("_aux")
            what, advices = f"the auxiliary of '{column_of}'", _FOR_AUXILIARIES
        else:
            continue
        advice = advices[_LIKE.get(argument, argument)]
        raise ValueError(
            f"`{argument}` has entries [{name!r}] that are no outputs of the "
            f"model: '{name}' is a task, {what}, and `{argument}` goes by "
            f"output. {advice.format(name=name, output=column_of)}. Received: "
            f"{argument} with entries {list(given)}"
        )


def _is_dict(given: Any) -> bool:
    return isinstance(given, dict)


def _output_of_column(name: str, loss: Any, output_names: Any) -> str | None:
    """The output of which this task is a column, if it is one."""
    for output, part in _losses(loss, list(output_names or ())):
        if not isinstance(part, PerColumn):
            continue
        if name in (part.names or ()):
            return output
        by_number = rf"{re.escape(output)}_\d+"
        if part.names is None and re.fullmatch(by_number, str(name)):
            return output
    return None


def _losses(loss: Any, output_names: list[str]) -> Iterator[tuple[str, Any]]:
    """Each loss with the name of its output."""
    if _is_dict(loss):
        pairs = loss.items()
    elif isinstance(loss, (list, tuple)) and len(loss) == len(output_names):
        pairs = zip(output_names, loss, strict=True)
    else:
        pairs = [(name, loss) for name in output_names or ["the output"]]
    for output, losses in pairs:
        several = losses if isinstance(losses, (list, tuple)) else [losses]
        yield from ((output, part) for part in several)
