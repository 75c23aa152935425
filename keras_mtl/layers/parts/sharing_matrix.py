"""What a layer has learned to share, as a matrix that can be looked at."""

from typing import NamedTuple

import numpy as np


class SharingMatrix(NamedTuple):
    """How much of each source a layer gives to each task.

    The method `sharing_matrices()` of a layer returns a list of these, and
    `keras_mtl.callbacks.SharingMonitor` and `plot_sharing` show them.

    Attributes:
        title: What the values are, e.g. `"gate use"`.
        values: float `[rows, columns]`.
        rows: Names of the rows, most often the tasks that receive.
        columns: Names of the columns: what they receive from.
        low: Smallest value that is possible, or `None` if there is no bound.
        high: Largest value that is possible, or `None`.
    """

    title: str
    values: np.ndarray
    rows: list[str]
    columns: list[str]
    low: float | None = None
    high: float | None = None
