"""Gradients at a representation, over examples or of the whole batch."""

from collections.abc import Sequence

from keras import ops

from keras_mtl import backend
from keras_mtl.types import Tensor

FLATTEN = "flatten"
REDUCTIONS = (FLATTEN, "mean", "sum")


def reduce_batch(
    gradients: Sequence[Sequence[Tensor | None]], reduction: str
) -> list[list[Tensor | None]]:
    """Gradients at a representation as inner products are taken of them.

    Args:
        gradients: Lists of gradients `[batch, ...]`.
        reduction: `"flatten"` for all entries, `"mean"` or `"sum"` over the
            examples.

    Returns:
        Lists of them, for `"mean"` and `"sum"` of the shapes `[...]`. Where
        replicas share a batch they are its parts, to be added up.
    """
    if reduction == FLATTEN:
        return [list(row) for row in gradients]
    return [
        [None if g is None else _reduced(g, reduction) for g in row]
        for row in gradients
    ]


def _reduced(gradient: Tensor, reduction: str) -> Tensor:
    if gradient.shape == ():
        raise ValueError(
            "The representation has no axis of examples, so its gradients "
            "cannot be reduced over the batch. Name another layer, or leave "
            f"out `representation_reduction`. Received: "
            f"representation_reduction={reduction!r}"
        )
    # In float32: half precision cannot hold the sum of many.
    whole = ops.sum(ops.cast(gradient, "float32"), axis=0)
    if reduction == "sum":
        return whole
    # Not the mean on each replica: the last batch need not be cut evenly.
    count = ops.cast(backend.batch_size(gradient), "float32")
    return whole / ops.maximum(backend.sum_over_replicas(count), 1.0)
