"""Gradients of embedding tables: only the rows that a batch looks up.

A table of 30,000 words has 9 million entries, and a batch of 1,280 words looks
up 4 % of them at most. With T dense gradients, most of a step would go into
zeros.
"""

import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

from keras import ops

from keras_mtl.backend.slices import Slices
from keras_mtl.types import Tensor


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a table that a batch looks up, each once.

    Attributes:
        ids: Integer tensor `[S]`. There may be more slots than rows; those
            that are left over have the id 0.
        filled: Boolean tensor `[S]`, false for slots that are left over.
        num_rows: How many rows the table has.
    """

    ids: Tensor
    filled: Tensor
    num_rows: int

    def of(self, table: Tensor) -> Tensor:
        """These rows `[S, ...]` of a table; zeros where a slot is left over."""
        rows = ops.take(table, self.ids, axis=0)
        shape = (-1,) + (1,) * (len(table.shape) - 1)
        zero = ops.zeros_like(rows)
        return ops.where(ops.reshape(self.filled, shape), rows, zero)


@dataclasses.dataclass(frozen=True, eq=False)
class SparseGradient:
    """The gradient of a table, zero but for some rows.

    Attributes:
        rows: Which rows.
        values: float32 tensor `[S, ...]`, their gradients; zero in slots that
            are left over.
        dtype: Of the gradient of the whole table.
    """

    rows: Rows
    values: Tensor
    dtype: str

    def map(self, function: Callable[[Tensor], Tensor]) -> "SparseGradient":
        """Another one whose values a function makes of these."""
        return dataclasses.replace(self, values=function(self.values))

    def dense(self) -> Tensor:
        """The gradient of the whole table."""
        values = ops.cast(self.values, self.dtype)
        return ops.segment_sum(values, self.rows.ids, self.rows.num_rows)

    def add_to(self, table: Tensor) -> Tensor:
        """A table plus this."""
        return ops.scatter_update(
            table, self.rows.ids[:, None], self.values, reduction="add"
        )


def dense(gradient: Any) -> Tensor | None:
    """A gradient as a tensor of the shape of its variable."""
    if isinstance(gradient, Slices | SparseGradient):
        return gradient.dense()
    return gradient


def entries_of(gradient: Tensor | SparseGradient) -> Tensor:
    """All entries that may differ from zero."""
    is_rows = isinstance(gradient, SparseGradient)
    return gradient.values if is_rows else gradient


def apply(function: Callable[[Tensor], Tensor], gradient: Any) -> Any:
    """Applies a function that keeps zeros to the entries of a gradient."""
    if isinstance(gradient, SparseGradient):
        return gradient.map(function)
    return function(gradient)


def add(gradient: Any, table: Tensor) -> Tensor:
    """The sum of a gradient and a tensor of the shape of its variable."""
    if isinstance(gradient, SparseGradient):
        return gradient.add_to(table)
    return gradient + table


def to_sparse_gradients(column: Sequence[Any]) -> list[Any]:
    """Brings the task gradients of one table onto the same rows.

    Args:
        column: A gradient for each task: `Slices`, tensors or `None`.

    Returns:
        A `SparseGradient` for each `Slices`, all with the same `Rows`. If there
        is a tensor among them, tensors for all.
    """
    slices = [g for g in column if isinstance(g, Slices)]
    if not slices or any(
        g is not None and not isinstance(g, Slices) for g in column
    ):
        return [dense(g) for g in column]
    rows, slot_of_row = _rows_of(slices)

    def to_row_gradient(gradient: Slices) -> SparseGradient:
        slots = ops.take(slot_of_row, gradient.ids)
        values = ops.segment_sum(
            ops.cast(gradient.values, "float32"), slots, ops.shape(rows.ids)[0]
        )
        return SparseGradient(rows, values, gradient.values.dtype)

    return [None if g is None else to_row_gradient(g) for g in column]


def _rows_of(slices: Sequence[Slices]) -> tuple[Rows, Tensor]:
    """The rows that any of some gradients has.

    Returns:
        The rows, and for each row of the table its slot, of meaning only if
        it has one.
    """
    distinct = {s.source: ops.cast(s.ids, "int32") for s in slices}
    ids = ops.concatenate(list(distinct.values()))
    num_rows = slices[0].num_rows
    hit = ops.scatter_update(
        ops.zeros((num_rows,), "int32"), ids[:, None], ops.ones_like(ids)
    )
    count = ops.cumsum(hit)
    slot_of_row = count - 1
    num_slots = _smaller(ops.shape(ids)[0], num_rows)
    row_ids = ops.scatter_update(
        ops.zeros((num_slots,), "int32"),
        ops.take(slot_of_row, ids)[:, None],
        ids,
    )
    filled = ops.arange(num_slots) < count[-1]
    return Rows(row_ids, filled, num_rows), slot_of_row


def _smaller(size: int | Tensor, limit: int) -> int | Tensor:
    """The smaller one; a size that only the running step knows is a tensor."""
    if isinstance(size, int):
        return min(size, limit)
    return ops.minimum(size, limit)
