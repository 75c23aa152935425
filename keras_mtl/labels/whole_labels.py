"""Labels that are known or missing as a whole, checked where one can look.

A compiled step cannot raise an error for what is in a tensor. Arrays that are
given to `fit` and its like, of whichever library, can be looked at before.
"""

import contextlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

import numpy as np

from keras_mtl.labels.missing_labels import known_in_part


class _Requirement(NamedTuple):
    """What one loss or metric asks of the labels of one output."""

    output: str
    user: str
    missing_label: float
    axes: tuple[int, ...]
    rank: int


class WholeLabels:
    """Raises where a label is missing in part and its loss takes it whole.

    What losses and metrics take is known once they have been called, which may
    be before or after the arrays are: whichever comes last is the time to look.
    """

    def __init__(self) -> None:
        self._requirements: set[_Requirement] = set()
        self._arrays: dict[str, list[np.ndarray]] = {}

    def require(
        self,
        output: str,
        user: str,
        missing_label: float,
        axes: Sequence[int],
        rank: int,
    ) -> None:
        """Notes that the labels of an output are taken as a whole.

        Args:
            output: Name of the output.
            user: The loss or metric that takes them so, for the message.
            missing_label: The value that marks a missing entry.
            axes: The axes over which entries make up one label.
            rank: Rank of the labels.
        """
        if not len(axes):
            return
        # NaN, the value, is not equal to itself: it is kept as `None`.
        value = None if missing_label != missing_label else missing_label
        found = _Requirement(output, user, value, tuple(axes), rank)
        if found not in self._requirements:
            self._requirements.add(found)
            self._check(found)

    @contextlib.contextmanager
    def watching(self, *labels: dict[str, Any]) -> Iterator[None]:
        """Looks at arrays of labels, by output, while they are in use."""
        arrays: dict[str, list[np.ndarray]] = {}
        for by_output in labels:
            for output, given in by_output.items():
                array = array_of_numbers(given)
                if array is not None:
                    arrays.setdefault(output, []).append(array)
        before, self._arrays = self._arrays, arrays
        try:
            for requirement in self._requirements:
                self._check(requirement)
            yield
        finally:
            self._arrays = before

    def _check(self, requirement: _Requirement) -> None:
        value = requirement.missing_label
        value = float("nan") if value is None else value
        for array in self._arrays.get(requirement.output, []):
            if array.ndim != requirement.rank:
                continue
            count = known_in_part(array, value, requirement.axes)
            if count:
                raise ValueError(
                    f"{count} labels of '{requirement.output}' are missing in "
                    f"part, but {requirement.user} takes a label as a whole. "
                    "Mark all entries of such a label as missing to leave it "
                    "out, give a loss or a metric that judges each entry by "
                    "itself (a function of yours by returning values of the "
                    "shape of the prediction), or make an output of each "
                    f"column. Received: labels of shape {array.shape}"
                )


def array_of_numbers(given: Any) -> np.ndarray | None:
    """What is given as a NumPy array, if it has values that are numbers."""
    if not hasattr(given, "__array__"):
        return None
    try:
        array = np.asarray(given)
    except (NotImplementedError, RuntimeError, TypeError, ValueError):
        # A tensor of a graph, or one that is spread over several machines.
        return None
    if "float" in array.dtype.name:
        # NumPy knows nothing of bfloat16, which is of no kind.
        is_known = array.dtype.kind == "f"
        return array if is_known else array.astype("float32")
    return array if array.dtype.kind in "iu" else None
