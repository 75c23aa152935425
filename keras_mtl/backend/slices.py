"""The gradient of an embedding table, as lookups hand it back."""

import dataclasses
from typing import Any

from keras import ops

from keras_mtl.types import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Slices:
    """A gradient as lookups hand it back, in which a row may occur often.

    Attributes:
        ids: Integer tensor `[N]`, the row of each lookup, from 0 up.
        values: Tensor `[N, ...]`, its gradient.
        num_rows: How many rows the table has.
        source: Hashable that is equal where `ids` are known to be equal.
    """

    ids: Tensor
    values: Tensor
    num_rows: int
    source: Any

    def dense(self) -> Tensor:
        """The gradient of the whole table."""
        return ops.segment_sum(self.values, self.ids, self.num_rows)
