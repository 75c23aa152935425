"""Projection: auxiliary gradients without what opposes the main task."""

import keras
from keras import ops

from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Tensor


@keras.saving.register_keras_serializable(package="keras_mtl")
class Projection(MainTaskAggregator):
    """Removes from each auxiliary gradient what opposes the main gradient.

    G = v + sum_t G_t with G_t = u - min(u . r, 0) r / |r|^2: an auxiliary
    gradient u at an obtuse angle to the reference r (the main gradient v or
    its moving average) is projected onto the plane orthogonal to r; others
    pass as they are. Without smoothing no auxiliary ever works against the
    main task: G . v >= |v|^2. Where r is zero, G_t = u.

    The defaults, each variable on its own and a moving average with
    `smoothing=0.01`, are what the paper recommends.

    Args:
        main_task: Name of the main task, or its index in the order of `loss`.
        smoothing: Share of the new main gradient in its moving average, in
            (0, 1]; 1 means no smoothing.
        granularity: `"variable"` (default), `"layer"`, `"model"`, or
            `"parameter"`: each entry of a variable on its own.
        initial_reference: Where the moving average starts: `"zeros"` (default)
            or `"first_gradient"`.
        scope: `"shared"` (default), the variables that two tasks or more
            reach; or `"all"`, for granularity `"model"`: the head of the main
            task belongs to v and r, too, as the paper's formulas read if taken
            by the letter.
        name: Name of the method.

    Example:

    >>> rule = keras_mtl.aggregators.Projection(main_task=0)
    >>> rule.weights([[1.0, -1.0], [-1.0, 2.0]])  # v = (1, 0), u = (-1, 1)
    [2. 1.]

    Reference:

    - Tran-Thien, Censoring the auxiliary loss gradient to mitigate risks of
        negative transfer
    """

    def __init__(
        self,
        main_task: str | int,
        smoothing: float = 0.01,
        granularity: str = "variable",
        initial_reference: str = "zeros",
        scope: str = "shared",
        name: str | None = None,
    ):
        super().__init__(
            main_task=main_task,
            smoothing=smoothing,
            granularity=granularity,
            initial_reference=initial_reference,
            scope=scope,
            name=name,
        )

    def reference_weights(self, gram: Tensor) -> Tensor:
        gram = normalize(to_gram(gram))
        dots = gram[..., -1]
        square = divisor(diagonal(gram)[..., -1:])
        opposing = -ops.minimum(dots, 0.0) / square
        return self._assemble(gram, ops.ones_like(dots), opposing)
