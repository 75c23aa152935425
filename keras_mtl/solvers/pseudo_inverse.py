"""Linear systems of Gram matrices, of full rank or not."""

from keras import ops

from keras_mtl.solvers.active_set import times
from keras_mtl.solvers.elimination import eliminate
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.symmetric_eigen import components
from keras_mtl.solvers.symmetric_eigen import compose
from keras_mtl.solvers.symmetric_eigen import symmetric_eigen
from keras_mtl.solvers.symmetric_eigen import tolerance_of
from keras_mtl.types import Tensor
from keras_mtl.utils.loops import cond


def pseudo_solve(cosines: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
    """C^+ b, the shortest x for which C x is nearest to b.

    If gradients of any matrix of the batch depend on each other, or nearly
    do, all are solved by their eigenvalues (see `symmetric_eigen`). Otherwise
    C^+ is the inverse, which elimination finds several times faster. No
    eigenvalue is below one over the trace of the inverse, so that this trace
    tells which case it is.

    Args:
        cosines: Float tensor `[..., T, T]`, from `to_cosines`.
        vector: Float tensor `[T]` or `[..., T]`, b.

    Returns:
        x, `[..., T]`, and C x, `[..., T]`: the part of b that has a solution.
    """
    eye = ops.eye(cosines.shape[-1], dtype=cosines.dtype)
    inverse = eliminate(cosines, ops.zeros_like(cosines) + eye)
    trace = ops.sum(ops.abs(diagonal(inverse)), axis=-1)
    # Rounding changes what elimination finds by the rounding of C times this
    # trace; one correction squares that. Not a number is not below.
    regular = ops.all(trace < 0.1 / tolerance_of(cosines))
    vector = ops.zeros_like(cosines[..., 0]) + vector

    def solve():
        solution = times(inverse, vector)
        rest = vector - times(cosines, solution)
        return solution + times(inverse, rest), vector

    def solve_any():
        values, vectors = symmetric_eigen(cosines)
        parts = components(vectors, vector)
        return compose(vectors, parts / divisor(values)), compose(
            vectors, parts
        )

    return cond(regular, solve, solve_any)
