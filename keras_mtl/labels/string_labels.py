"""Labels that are strings: which task they belong to, and what to do."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


def labels_given(x: Any = None, y: Any = None) -> Any:
    """The labels among the data that `fit` and its like are given.

    Args:
        x: Inputs, or a `tf.data.Dataset` that also holds the labels.
        y: Labels, or `None`.
    """
    if y is not None:
        return y
    elements = getattr(x, "element_spec", None)
    is_labelled = isinstance(elements, tuple) and len(elements) > 1
    return elements[1] if is_labelled else None


def refuse_string_labels(labels: Any, output_names: Sequence[str]) -> None:
    """Raises if some labels are strings, which no loss can compare.

    Args:
        labels: Labels in the structure of the outputs, or their specs.
        output_names: Names of the outputs; empty where they have none.
    """
    for path, leaf in keras.tree.flatten_with_path(labels):
        if not _is_string(leaf):
            continue
        if isinstance(leaf, (str, bytes)):
            # One label of a list of them.
            path = path[:-1]
        raise ValueError(
            f"The labels of {_name(path, output_names)} are strings, and "
            "losses compare numbers. Give class indices: of an array "
            "`classes, labels = np.unique(labels, return_inverse=True)`, of "
            "a dataset `keras.layers.StringLookup(num_oov_indices=0, "
            f"vocabulary=classes)`. Received: labels {_example(leaf)}"
        )


def _is_string(leaf: Any) -> bool:
    if isinstance(leaf, (str, bytes)):
        return True
    dtype = getattr(leaf, "dtype", None)
    # The names of NumPy's are "str32" and the like, TensorFlow's is "string".
    name = getattr(dtype, "name", str(dtype))
    if name == "object" and np.size(leaf):
        return isinstance(np.ravel(leaf)[0], (str, bytes))
    return name.startswith(("str", "bytes"))


def _name(path: tuple, output_names: Sequence[str]) -> str:
    """What to call the output whose labels stand at a path."""
    if path and isinstance(path[-1], int) and path[-1] < len(output_names):
        path = (*path[:-1], output_names[path[-1]])
    elif not path and len(output_names) == 1:
        path = (output_names[0],)
    if not path:
        return "the model's output"
    return f"the task '{'/'.join(map(str, path))}'"


def _example(leaf: Any) -> str:
    if isinstance(leaf, (str, bytes)):
        return repr(leaf)
    is_array = hasattr(leaf, "__array__") and np.size(leaf)
    return repr(np.ravel(leaf)[0]) if is_array else f"of type {leaf.dtype}"
