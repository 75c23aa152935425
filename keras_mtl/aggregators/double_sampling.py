"""Base of the methods that need the task gradients of two batches."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.aggregators.aggregator import Column
from keras_mtl.solvers.matrices import Tensor
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram


class DoubleSampling(Aggregator):
    """Weights from inner products of the gradients of independent batches.

    The square of a noisy gradient is biased: it holds the variance. The
    inner product of gradients of two independent batches is not, and a third
    batch makes an update that is independent of the weights. As published,
    these methods take two or three batches a step.

    In `fit` a step has one batch, so here they are consecutive batches, and
    this is a choice of keras_mtl:

    - the weights move with the inner products of the gradients of the step
      before and those of this step;
    - the update takes the gradients of this step with the weights as they were
      before they moved, of which this batch had no part.

    It costs no more passes than other methods, but the memory of T gradients.
    What differs from the papers: the gradients of the step before belong to
    variables that are one optimizer step old; and each batch has a part in two
    moves of the weights, so that these are not independent of each other.

    In the first step there is nothing to compare with, and the weights stay
    equal. A task without labels in a batch takes no part in the step, and keeps
    its last gradient and its weight.

    A subclass implements `moved_weights` and, if the update has other weights
    than those that move, `update_weights`.

    Args:
        granularity: `"model"`, `"layer"` or `"variable"`.
        name: Name of the method.
    """

    forgetting_hint = "Use `MGDA`, which needs one batch."

    def __init__(self, granularity: str = "model", name: str | None = None):
        super().__init__(granularity=granularity, name=name)
        self.previous: list[keras.Variable] = []

    def moved_weights(
        self, held: Tensor, products: Tensor, norms: Tensor, learning: Tensor
    ) -> Tensor:
        """Hook for subclasses: the weights after a step.

        Args:
            held: Float tensor `[..., T]`, the weights before.
            products: Float tensor `[..., T, T]`: row i has the inner products
                of the gradient of task i of one batch with those of another.
            norms: Float tensor `[..., T]`, geometric means of the norms of the
                two gradients of a task.
            learning: Booleans `[T]`, false for tasks whose weights stay.

        Returns:
            Float tensor `[..., T]`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override "
            "`moved_weights(self, held, products, norms, learning)`."
        )

    def update_weights(self, held: Tensor) -> Tensor:
        """Hook for subclasses: weights `[..., T]` of the update."""
        return held

    def create_row_state(
        self, shapes: list[tuple[int, ...]], num_tasks: int
    ) -> None:
        """Makes room for the last gradients, and counts how many there were."""
        self.previous = slots.make_slots("previous", shapes, num_tasks)
        self.steps = slots.make_state("steps", (num_tasks,))

    def create_group_state(
        self, group_shape: tuple[int, ...], num_tasks: int
    ) -> None:
        """Makes the weights."""
        self.task_weights = slots.make_state(
            "task_weights", (*group_shape, num_tasks), 1 / num_tasks
        )

    def track(
        self,
        columns: Sequence[Column],
        losses: Tensor | None,
        present: Tensor | None = None,
    ) -> list[Column]:
        """Appends the gradients of the step before, and keeps these."""
        del losses
        learning = slots.taking_part(present, len(columns[0]))
        tracked = []
        for slot, column in zip(self.previous, columns):
            gradients = [
                None if g is None else ops.cast(g, slot.dtype) for g in column
            ]
            tracked.append([*gradients, *slots.held_rows(slot, column)])
            slots.store_rows(slot, gradients, learning)
        self.steps.assign(self.steps + ops.cast(learning, "float32"))
        return tracked

    def weights(self, gram: Tensor, present: Tensor | None = None) -> Tensor:
        """Task weights where gradients have no noise; each call is a step.

        One Gram matrix of full-batch gradients takes the place of the products
        of two batches. Of the gradients of a batch it is biased: training does
        not come here.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.
            present: Booleans `[T]`, false for a task without labels in this
                batch; None if all have some.

        Returns:
            Float tensor `[..., T]`: the weights before they move.
        """
        gram = to_gram(gram)
        present = slots.taking_part(present, gram.shape[-1])
        norms = ops.sqrt(diagonal(gram))
        return self._step(gram, gram, norms, present, present)

    def tracked_weights(
        self, gram: Tensor, present: Tensor | None = None
    ) -> Tensor:
        """Weights of the gradients, and zeros for those of the step before."""
        gram = to_gram(gram)
        num_tasks = gram.shape[-1] // 2
        present = slots.taking_part(present, num_tasks)
        norms = ops.sqrt(ops.sqrt(diagonal(gram)))
        weights = self._step(
            gram,
            gram[..., num_tasks:, :num_tasks],
            norms[..., :num_tasks] * norms[..., num_tasks:],
            present,
            # Of a task that is here for the first time nothing is known.
            ops.logical_and(present, self.steps > 1),
        )
        return ops.concatenate([weights, ops.zeros_like(weights)], axis=-1)

    def _step(
        self,
        gram: Tensor,
        products: Tensor,
        norms: Tensor,
        present: Tensor,
        learning: Tensor,
    ) -> Tensor:
        self.build_groups(gram.shape[:-2], norms.shape[-1])
        held = ops.cast(self.task_weights, gram.dtype)
        moved = self.moved_weights(held, products, norms, learning)
        slots.store_finite(self.task_weights, moved, gram)
        weights = ops.where(present, self.update_weights(held), 0.0)
        return slots.nan_like(weights, gram)
