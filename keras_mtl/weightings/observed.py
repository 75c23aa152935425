"""What a weighting sees of a step beside the losses."""

from typing import NamedTuple

from keras_mtl.types import Tensor


class Observed(NamedTuple):
    """What a weighting declared in `reads`; all else is `None`.

    An entry is NaN for a task without labels in the batch, or with a loss
    weight of zero.

    Attributes:
        losses_after: Float tensor `[T]`, the losses of the same batch after
            the step, for one more forward pass.
        gradient_norms: Float tensor `[T]`, norms of the gradients of the
            weighted losses, taken at the layer that the attribute `norm_layer`
            of the weighting names (`None`: at the last one with a kernel that
            tasks share; with `representation`, there).
        gradient_gram: Float tensor `[T, T]`, inner products of the gradients
            of the weighted losses, over all variables that tasks share (with
            `representation`, there).
    """

    losses_after: Tensor | None = None
    gradient_norms: Tensor | None = None
    gradient_gram: Tensor | None = None


NOTHING = Observed()
# What `reads` may hold.
READABLE = ("losses", *Observed._fields)
