"""Labels that do not look like the outputs: what is wrong, and what may be."""

import warnings
from collections.abc import Sequence
from typing import Any


def warn_of_sorted_names(labels: Any, outputs: Any) -> None:
    """Warns of listed labels that Keras takes for those of other outputs.

    It sorts the names of outputs in a dict, whatever order they were given in.

    Args:
        labels: As `fit` takes them.
        outputs: The outputs of the model, or `None` if it is not known.
    """
    if not isinstance(labels, (list, tuple)) or not isinstance(outputs, dict):
        return
    if len(labels) == len(outputs) and list(outputs) != sorted(outputs):
        warnings.warn(
            f"`y` is a list, and the outputs are a dict. Keras takes the "
            f"labels in the order {sorted(outputs)}, which is not the one that "
            f"the model was made with, {list(outputs)}. Give `y` as a dict "
            "from the names of the outputs.",
            stacklevel=6,
        )


def refuse_other_structure(
    error: Exception, labels: Any, output_names: Sequence[str]
) -> None:
    """Raises if Keras found no labels for each of several outputs.

    Args:
        error: Any error; of others than that nothing is said.
        labels: As `fit` takes them, or their specs.
        output_names: Names of the outputs, in the order of listed labels.
    """
    if "y_true and y_pred have different structures" not in str(error):
        return
    if len(output_names) < 2 or labels is None or isinstance(labels, dict):
        return
    listed = isinstance(labels, (list, tuple))
    if listed and len(labels) == len(output_names):
        return
    received = f"a list of {len(labels)}" if listed else _one(labels)
    raise ValueError(
        "`y` must have the labels of each output: a dict from the names "
        f"{list(output_names)}, or a list in this order. If they are columns "
        "of one array, slice it: `{name: y[:, [i]] for i, name in "
        f"enumerate(names)}}`. Received: {received}"
    )


def _one(labels: Any) -> str:
    shape = getattr(labels, "shape", None)
    if shape is None:
        return f"one {type(labels).__name__}"
    return f"one array of shape {tuple(shape)}"
