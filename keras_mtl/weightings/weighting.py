"""Base class of loss weightings."""

from collections.abc import Set

from keras import ops

from keras_mtl.methods.method import Method
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.types import Tensor
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import READABLE
from keras_mtl.weightings.observed import Observed

ALONE = StepInfo()
# What looks like a hook, and what is one.
NEVER_CALLED = {
    "weighted_losses": "`weights(losses)` and `penalties()`",
    "on_epoch_end": "`end_epoch()`",
}


class Weighting(Method):
    """Turns the losses of the tasks into the losses that are minimised.

    A weighting acts before the gradients are taken, so it costs no backward
    pass of its own and composes with every aggregator. Subclass it with
    `weights(losses)`. Loss t is multiplied by weight t; what `penalties`
    returns is added.

    What a weighting wants to know it declares in `reads`, a set:

    - `"losses"`: those of the batch, to make weights or state of. This alone
      is the default. A weighting that looks at none, `reads = frozenset()`,
      may be used under `tf.distribute`, where each replica sees losses of its
      own.
    - `"losses_after"`, `"gradient_norms"`, `"gradient_gram"`: `update` sees
      them; see `Observed`.

    Fixed weights need no weighting: give `loss_weights` to `compile`. A
    weighting receives the losses after these have been applied. Logs show the
    losses as they were before it, so that runs can be compared.

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

    reads: Set[str] = frozenset({"losses"})
    # Where `gradient_norms` are taken.
    norm_layer: str | None = None

    def __init__(self, name: str | None = None):
        super().__init__(name=name)
        reads = self.reads
        if isinstance(reads, str) or not set(reads) <= set(READABLE):
            raise ValueError(
                f"`{type(self).__name__}.reads` must be a set of names among "
                f"{list(READABLE)}. Received: reads={reads!r}"
            )
        for name, hook in NEVER_CALLED.items():
            if getattr(type(self), name, None) is not getattr(
                Weighting, name, None
            ):
                raise TypeError(
                    f"{type(self).__name__} overrides `{name}`, which nobody "
                    f"would call. Override {hook}."
                )

    def weights(self, losses: Tensor) -> Tensor:
        """Weights of the tasks.

        It may read what the weighting remembers, and moves nothing. Gradients
        flow through it only to what `add_parameter` made.

        Args:
            losses: float tensor of shape `(num_tasks,)`, in the order of
                `loss` in `compile`; constants to the gradient.

        Returns:
            float tensor of shape `(num_tasks,)`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} should implement `weights(losses)`."
        )

    def weigh(self, losses: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Weights of one step; called once in each.

        Override it to look at more than the losses: of a task that is not
        `step.present`, the loss is zero. It takes no part in the step,
        whatever its weight; nor does one whose weight is zero.

        Args:
            losses: As for `weights`.
            step: Who is present, and the names of the tasks.
        """
        del step
        return self.weights(losses)

    def penalties(self) -> Tensor | float:
        """What is added to the losses for the weights' own sake.

        Such as the logarithm of a variance that is trained: without it the
        weights would go to zero. It belongs to no task.

        Returns:
            float tensor of shape `(num_tasks,)`, or zero (default).
        """
        return 0.0

    def weighted_losses(self, losses: Tensor) -> Tensor:
        """The losses to minimise, entry t being that of task t.

        For a look at them; a model takes `weigh` and `penalties`.

        Args:
            losses: float tensor of shape `(num_tasks,)`.
        """
        losses = ops.convert_to_tensor(losses)
        return self.weights(losses) * losses + self.penalties()

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        """Moves state that the model's optimizer does not train.

        Called once in every training step, after the optimizer's. The default
        does nothing. What it does in a step that is not taken, because of a
        loss or gradient that is not finite, is undone.

        Args:
            losses: float tensor of shape `(num_tasks,)`; NaN for a task
                without labels in the batch, or with a loss weight of zero.
            observed: What `reads` asks for.
        """

    def end_epoch(self) -> None:
        """Moves state after each epoch of `fit`. The default does nothing."""

    @property
    def observes(self) -> tuple[str, ...]:
        """What `update` sees beside the losses."""
        return tuple(name for name in Observed._fields if name in self.reads)

    @property
    def is_trained(self) -> bool:
        """Whether the model's optimizer trains something of it."""
        return any(variable.trainable for variable in self.variables)
