"""Base of the methods that need the task gradients of two batches."""

from collections.abc import Sequence

from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.types import Column
from keras_mtl.types import Tensor


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

    transforms = True
    forgetting_hint = "Use `MGDA`, which needs one batch."

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

    def create_state(self, spec: GradientSpec) -> None:
        """Makes weights, and room for the last gradients and their count."""
        num_tasks = spec.num_tasks
        self.previous = self.add_slots("previous", spec.shapes, num_tasks)
        self.steps = self.add_state("steps", (num_tasks,))
        self.task_weights = self.add_state(
            "task_weights", (*spec.group_shape, num_tasks), 1 / num_tasks
        )

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Appends the gradients of the step before, and keeps these."""
        learning = slots.taking_part(step.present, len(gradients[0]))
        rows = []
        for slot, column in zip(self.previous, gradients, strict=True):
            column = [
                None if g is None else ops.cast(g, slot.dtype) for g in column
            ]
            rows.append([*column, *slots.held_rows(slot, column)])
            slots.store_rows(slot, column, learning)
        self.steps.assign(self.steps + ops.cast(learning, "float32"))
        return rows

    def weights(self, gram: Tensor) -> Tensor:
        """The weights of the next update, whatever its gradients are.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = to_gram(gram)
        self.build_for(gram)
        everyone = slots.taking_part(None, gram.shape[-1])
        return self._update_weights(gram, everyone)

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Weights of the gradients, and zeros for those of the step before.

        Outside of a model it also takes one Gram matrix of full-batch
        gradients, which have no noise, in the place of the products of two
        batches: `[..., T, T]`. Of the gradients of a batch it is biased.
        """
        gram = to_gram(gram)
        if self._spec is None:
            self.build_for(gram)
        num_tasks = self.task_weights.shape[-1]
        present = slots.taking_part(step.present, num_tasks)
        if gram.shape[-1] == num_tasks:
            self.build_for(gram)
            return self._moved(
                gram, gram, ops.sqrt(diagonal(gram)), present, present
            )
        norms = ops.sqrt(ops.sqrt(diagonal(gram)))
        weights = self._moved(
            gram,
            gram[..., num_tasks:, :num_tasks],
            norms[..., :num_tasks] * norms[..., num_tasks:],
            present,
            # Of a task that is here for the first time nothing is known.
            ops.logical_and(present, self.steps > 1),
        )
        return ops.concatenate([weights, ops.zeros_like(weights)], axis=-1)

    def _moved(
        self,
        gram: Tensor,
        products: Tensor,
        norms: Tensor,
        present: Tensor,
        learning: Tensor,
    ) -> Tensor:
        """Moves the weights, and returns those from before for the update."""
        weights = self._update_weights(gram, present)
        held = ops.cast(self.task_weights, gram.dtype)
        moved = self.moved_weights(held, products, norms, learning)
        self.task_weights.assign(ops.cast(moved, self.task_weights.dtype))
        return weights

    def _update_weights(self, gram: Tensor, present: Tensor) -> Tensor:
        held = ops.cast(self.task_weights, gram.dtype)
        weights = ops.where(present, self.update_weights(held), 0.0)
        return slots.nan_like(weights, gram)
