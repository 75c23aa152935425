"""Base class of loss weightings."""

import inspect
from typing import Any

from keras import ops

from keras_mtl.methods.method import Method

Tensor = Any
# What `update` may ask for by naming it as an argument.
OBSERVATIONS = ("losses_after", "gradient_norms", "gradient_gram")


class Weighting(Method):
    """Turns the losses of the tasks into the losses that are minimised.

    A weighting acts before the gradients are taken, so it costs no backward
    pass of its own and composes with every aggregator. Subclass it with
    `weights`, or, where the weights are trained, with `weighted_losses`.

    Fixed weights need no weighting: give `loss_weights` to `compile`. A
    weighting receives the losses after these have been applied. Logs show the
    losses as they were before it, so that runs can be compared.

    Under `tf.distribute` with several replicas, weightings that look at the
    losses are refused. One that does not says so: `looks_at_losses = False`.

    Args:
        name: string. Defaults to the class name in snake case.

    Example:

    ```python
    @keras.saving.register_keras_serializable()
    class LargestFirst(keras_mtl.weightings.Weighting):
        def weights(self, losses):
            return keras.ops.softmax(losses) * losses.shape[0]

    model.compile("adam", loss={...}, weighting=LargestFirst())
    ```
    """

    # Whether weights or state depend on the losses. What does not may be used
    # under `tf.distribute`, where each replica sees losses of its own.
    looks_at_losses = True
    # Where `gradient_norms` are taken, for weightings that ask for them.
    norm_layer: str | None = None

    def weights(self, losses: Tensor) -> Tensor:
        """Weights of the tasks; no gradient flows through them.

        Args:
            losses: float tensor of shape `(num_tasks,)`, in the order of
                `loss` in `compile`.

        Returns:
            float tensor of shape `(num_tasks,)`.

        A subclass may name one more argument, and the model passes it:
        `present`, booleans of shape `(num_tasks,)` that are false for a task
        without labels in the batch (its loss is zero) or with a loss weight of
        zero, or `None` where all tasks take part. Such a task takes no part in
        the step, whatever its weight.
        """
        raise NotImplementedError(
            f"{type(self).__name__} should implement `weights(losses)` or "
            "`weighted_losses(losses)`."
        )

    def weighted_losses(self, losses: Tensor) -> Tensor:
        """The losses to minimise, entry t being that of task t.

        For weights that are trained. Called once a task, so it must leave no
        trace: draw nothing, update nothing.

        Args:
            losses: float tensor of shape `(num_tasks,)`.

        Returns:
            float tensor of shape `(num_tasks,)`.
        """
        weights = self.weights(ops.stop_gradient(losses))
        return ops.stop_gradient(weights) * losses

    def update(self, losses: Tensor) -> None:
        """Updates state that the model's optimizer does not train.

        Called once in every training step, after the optimizer's. The default
        does nothing. A loss is NaN where the task has no label in the batch or
        a loss weight of zero, and may be infinite or NaN for an overflow that
        loss scaling recovers from: keep it out of the state.

        Name further arguments, and the step computes and passes them, each
        with NaN as in `losses`:

        - `losses_after`: the losses of the same batch after the step, for one
          more forward pass.
        - `gradient_norms`: the norms of the gradients of the weighted losses,
          taken at the layer that the attribute `norm_layer` names (`None`: at
          the last one with a kernel that tasks share; with `representation`,
          there).
        - `gradient_gram`: the inner products `(num_tasks, num_tasks)` of the
          gradients of the weighted losses, over all variables that tasks share
          (with `representation`, there).

        Args:
            losses: float tensor of shape `(num_tasks,)`.
        """

    def on_epoch_end(self) -> None:
        """Updates state after each epoch of `fit`. The default does nothing."""

    @property
    def observes(self) -> tuple[str, ...]:
        """What `update` wants to see beside the losses."""
        wanted = inspect.signature(self.update).parameters
        return tuple(name for name in OBSERVATIONS if name in wanted)
