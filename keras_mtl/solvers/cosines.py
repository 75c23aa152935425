"""The angles between task gradients, apart from their lengths."""

from keras import ops

from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.types import Tensor


def to_cosines(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Splits K = D C D into the cosines C and the lengths D.

    C is the Gram matrix of unit gradients: what is solved in terms of it does
    not suffer from norms far apart.

    Args:
        gram: Float tensor `[..., T, T]`, near one (see `normalize`).

    Returns:
        Cosines `[..., T, T]`, zero for zero gradients, and lengths `[..., T]`
        to divide by, one for zero gradients.
    """
    lengths = divisor(ops.sqrt(diagonal(gram)))
    return gram / lengths[..., :, None] / lengths[..., None, :], lengths
