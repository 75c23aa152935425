"""CR-MOGM: a moving average of the weights of another method."""

from typing import Any

import keras
from keras import ops

from keras_mtl.aggregators import slots
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.aggregators.aggregator import call_weights
from keras_mtl.methods.registry import serialize_method
from keras_mtl.solvers.matrices import Tensor
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.utils.argument_validation import number_to_one


@keras.saving.register_keras_serializable(package="keras_mtl")
class CRMOGM(Aggregator):
    """Smooths the weights that another aggregator gives from step to step.

    Weights that are computed from the gradients of a batch correlate with the
    noise of these gradients, and so the update is biased. Correlation-reduced
    stochastic multi-objective gradient manipulation lets the weights w' of the
    other method in slowly:

        w <- decay * w + (1 - decay) * w'

    The first step has no w and takes w' as it is. The convention is that of
    the other method: weights that sum to one still do. Its guarantees hold
    only on the average: the update may conflict with a gradient of this step.

    The weight of a task without labels in the batch stays as it is, and all of
    them do in a step whose gradients are not finite.

    Args:
        aggregator: The other method, an `Aggregator` or its name; one that
            computes weights from the inner products of the gradients. Its
            granularity is that of the whole.
        decay: Share of the old weights, alpha in the paper, from 0 (no
            smoothing) to below 1. The paper lets it rise as the learning rate
            falls and gives no number; 0.9 is customary.
        name: Name of the method.

    Example:

    >>> smooth = keras_mtl.aggregators.CRMOGM("mgda", decay=0.5)
    >>> smooth.weights([[1., 0.], [0., 1.]])
    [0.5 0.5]
    >>> smooth.weights([[1., 0.], [0., 4.]])
    [0.65 0.35]

    Reference:

    - [On the Convergence of Stochastic Multi-Objective Gradient Manipulation
        and Beyond](https://openreview.net/forum?id=ScwfQ7hdwyP), Zhou et al.
        2022
    """

    def __init__(
        self,
        aggregator: Any = "mgda",
        decay: float = 0.9,
        name: str | None = None,
    ):
        inner = _get(aggregator)
        super().__init__(granularity=inner.granularity, name=name)
        self.aggregator = inner
        self.decay = number_to_one("decay", decay, one=False)
        self.averages: keras.Variable | None = None
        self.seen: keras.Variable | None = None

    @property
    def scale_free(self) -> bool:
        """Whether the other method is."""
        return self.aggregator.scale_free

    def create_state(self, task_names: tuple[str, ...]) -> None:
        """Tells the other method the tasks."""
        self.aggregator.build(task_names)

    def create_group_state(
        self, group_shape: tuple[int, ...], num_tasks: int
    ) -> None:
        """Makes the averages `[..., T]`, and what the other method needs."""
        self.aggregator.build_groups(group_shape, num_tasks)
        shape = (*group_shape, num_tasks)
        self.averages = slots.make_state("averages", shape)
        self.seen = slots.make_state("seen", shape)

    def weights(
        self,
        gram: Tensor,
        losses: Tensor | None = None,
        present: Tensor | None = None,
        unit: Tensor | None = None,
    ) -> Tensor:
        """Task weights; each call is a step of the average.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.
            losses: Float tensor or NumPy array `[T]`, for methods that look at
                them.
            present: Booleans `[T]`, false for a task without labels in the
                batch; None if all have some.
            unit: Float tensor `[...]`, what the gradients were divided by
                before inner products were taken; None for one.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = to_gram(gram)
        self.build_groups(gram.shape[:-2], gram.shape[-1])
        new = ops.convert_to_tensor(
            call_weights(self.aggregator.weights, gram, losses, present, unit)
        )
        old = ops.cast(self.averages, new.dtype)
        seen = self.seen > 0.5
        average = self.decay * old + (1 - self.decay) * new
        average = ops.where(seen, average, new)
        moves = ops.all(ops.isfinite(new))
        if present is not None:
            here = ops.cast(present, "bool")
            average = ops.where(seen & ~here, old, average)
            moves = moves & here
        stored = ops.where(moves, average, old)
        self.averages.assign(ops.cast(stored, self.averages.dtype))
        self.seen.assign(ops.cast(seen | moves, self.seen.dtype))
        return average

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["granularity"]
        inner = serialize_method(self.aggregator)
        return {"aggregator": inner, "decay": self.decay, **config}


def _get(identifier: Any) -> Aggregator:
    # The package that knows all names imports this module.
    from keras_mtl import aggregators

    aggregator = aggregators.get(identifier)
    if aggregator is None:
        raise ValueError(
            "`aggregator` must be an Aggregator or its name. Received: "
            "aggregator=None"
        )
    if aggregator.needs_rows or aggregator.tracks_rows:
        needs = "remembers" if aggregator.tracks_rows else "works on"
        hint = aggregator.forgetting_hint if aggregator.tracks_rows else ""
        raise ValueError(
            "`aggregator` must be a method that computes task weights from "
            f"inner products alone; {type(aggregator).__name__} {needs} the "
            f"gradients themselves. {hint}{' ' if hint else ''}Received: "
            f"aggregator={aggregator!r}"
        )
    return aggregator
