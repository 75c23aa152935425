"""Base of the methods that turn T task gradients into one."""

from typing import Any

from keras import ops

from keras_mtl.method import Method
from keras_mtl.solvers.gram import Tensor
from keras_mtl.solvers.gram import to_gram

GRANULARITIES = ("model", "layer", "variable")


class Aggregator(Method):
    """Turns T task gradients into one gradient.

    Subclass it with `weights(gram)`: most methods return a combination of the
    task gradients whose weights depend on their inner products alone. The
    model then computes the T x T Gram matrix, asks for the weights, and never
    builds the T x n matrix of gradients. A method that needs the gradients
    themselves overrides `combine(jacobian)` instead, at that cost.

    Args:
        granularity: Over what inner products are taken: `"model"` (all shared
            variables as one vector), `"layer"` or `"variable"` (each on its
            own).
        name: Name of the method; by default the class name in snake case.

    Example:

    >>> @keras.saving.register_keras_serializable(package="my_package")
    ... class EqualNorms(keras_mtl.aggregators.Aggregator):
    ...     def weights(self, gram):
    ...         gram = keras.ops.convert_to_tensor(gram)
    ...         norms = keras.ops.diagonal(gram, axis1=-2, axis2=-1) ** 0.5
    ...         return 1.0 / keras.ops.maximum(norms, 1e-12)
    >>> model.compile("adam", loss=losses, aggregator=EqualNorms())
    """

    def __init__(self, granularity: str = "model", name: str | None = None):
        super().__init__(name=name)
        if granularity not in GRANULARITIES:
            raise ValueError(
                f"`granularity` must be one of {list(GRANULARITIES)}. "
                f"Received: granularity={granularity!r}"
            )
        cls = type(self)
        if cls.weights is Aggregator.weights and not self.needs_rows:
            raise TypeError(
                f"{cls.__name__} must override `weights(self, gram)` (task "
                "weights [..., T] from inner products [..., T, T]) or, if it "
                "needs the gradients themselves, `combine(self, jacobian)` "
                "(one gradient [n] from task gradients [T, n])."
            )
        self.granularity = granularity

    @property
    def needs_rows(self) -> bool:
        """Whether the method needs the gradients and not just the Gram."""
        return type(self).combine is not Aggregator.combine

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights from the inner products of the task gradients.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`, the inner products
                of the task gradients in the order of `loss`. Leading axes are
                independent problems.

        Returns:
            Float tensor `[..., T]`; the update is the sum of the task
            gradients times these.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no task weights: it works on the "
            "gradients themselves. Call `combine(jacobian)`."
        )

    def combine(self, jacobian: Tensor) -> Tensor:
        """One gradient from the task gradients.

        Args:
            jacobian: Float tensor or NumPy array `[T, n]`, a task a row.

        Returns:
            Float tensor `[n]`.
        """
        jacobian = ops.convert_to_tensor(jacobian)
        gram = to_gram(ops.matmul(jacobian, ops.transpose(jacobian)))
        weights = ops.cast(self.weights(gram), jacobian.dtype)
        return ops.matmul(weights, jacobian)

    def get_config(self) -> dict[str, Any]:
        return {"granularity": self.granularity, **super().get_config()}
