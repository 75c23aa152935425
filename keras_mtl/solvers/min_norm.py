"""The point of least norm in the convex hull of the task gradients."""

from keras import ops

from keras_mtl.solvers.cosines import to_cosines
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.nonnegative import nonnegative_quadratic
from keras_mtl.types import Tensor


def min_norm_weights(gram: Tensor) -> Tensor:
    """Minimises w' K w over the simplex (w >= 0, sum w = 1), exactly.

    With K' = K + c 1 1' for any c > 0, the minimiser v of
    (1/2) v' K' v - 1' v over v >= 0 is a positive multiple of w: along a ray
    of fixed direction the best length depends on w' K w alone. That problem
    has no equality, and its optimum is reached by a finite active-set method.
    It is solved for unit gradients, which a change of variables allows, so
    that norms far apart cost no accuracy.

    Zero gradients share the whole weight: the origin is then in the hull, and
    nothing is shorter.

    Args:
        gram: Float tensor `[..., T, T]`.

    Returns:
        Float tensor `[..., T]`.

    Reference:

    - Wolfe, Finding the nearest point in a polytope, 1976
    - Lawson and Hanson, Solving least squares problems, 1974
    """
    gram = normalize(gram)
    norms = ops.sqrt(diagonal(gram))
    cosines, lengths = to_cosines(gram)
    inverse = ops.min(lengths, axis=-1, keepdims=True) / lengths
    matrix = cosines + inverse[..., :, None] * inverse[..., None, :]
    weights = nonnegative_quadratic(matrix, inverse) * inverse
    zeros = ops.cast(norms == 0, weights.dtype)
    some = ops.any(norms == 0, axis=-1, keepdims=True)
    weights = ops.where(some, zeros, weights)
    return weights / ops.sum(weights, axis=-1, keepdims=True)
