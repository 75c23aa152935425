"""Networks of several tasks that exchange features by learned shares."""

from typing import Any

import keras
from keras import ops

from keras_mtl.layers.parts import by_task
from keras_mtl.layers.parts.mixing_weights import MixingWeights
from keras_mtl.layers.parts.mixing_weights import mix_rows
from keras_mtl.layers.parts.mixing_weights import share_rest
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.task_exchange import TaskExchange
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_to_one


@keras.saving.register_keras_serializable(package="keras_mtl")
class CrossStitch(TaskExchange):
    """Mixes the features of the tasks: each gets a combination of all.

    Every task has a network of its own, all of the same form. A cross-stitch
    unit between two of their layers replaces the features `x` by

    `x'_t = sum_s alpha[t, s] * x_s`

    so `T` tensors go in and `T` tensors of the same shape come out. Training
    finds out how much the tasks share at that depth: with the identity as
    alpha their networks are independent, with equal rows they go on with the
    same features.

    Units after pooling and after dense layers, and networks that were first
    trained one by one, are what the paper recommends.

    Masks stay with their tasks: the mask of an output is the mask of the
    input of the same task.

    Args:
        per_channel: bool. Whether each channel, on the last axis, has an alpha
            of its own: `T * T * C` weights in place of `T * T`. The paper mixes
            activation maps, each by a unit of its own if so wanted; one alpha
            for all of them is the usual, and the default.
        self_weight: float from 0 to 1. Share that a task has of its own
            features at the start. The others have equal parts of the rest,
            so that rows sum to one and activations keep their size. Defaults
            to 0.9, the paper's choice for two tasks.
        initializer: Initializer of alpha in place of `self_weight`. Alpha has
            the shape `(T, T)` or `(T, T, C)`, one row for each task that
            receives.
        regularizer: Regularizer of alpha.
        constraint: Constraint of alpha. The paper has none.
        learning_rate_multiplier: float > 0. Alpha moves so many times as far
            as it would with the learning rate of the optimizer, be that SGD
            or Adam. The paper trains with SGD and finds 100 to 1000 to be
            best; with Adam, whose steps are of the size of the learning rate,
            1 to 10 is a better start. The variable holds alpha divided by it.
            Decoupled weight decay is not multiplied.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Dictionary from names of tasks to tensors, or list of tensors.
            At least two, all of the same shape `(batch, ..., C)`.

    Returns:
        Dictionary or list like `inputs`, of tensors of the same shapes. A
        layer for one task takes its tensor, as `outputs["left"]`.

    Raises:
        ValueError: If an argument is out of its range, and in `build` if there
            are fewer than two tasks, if their shapes differ, or if the number
            of channels is unknown with `per_channel=True`.

    Example:

    ```python
    inputs = keras.Input((20,))
    tasks = ["income", "marriage"]
    hidden = {t: keras.layers.Dense(8, "relu")(inputs) for t in tasks}
    hidden = keras_mtl.layers.CrossStitch()(hidden)
    hidden = {t: keras.layers.Dense(8, "relu")(hidden[t]) for t in tasks}
    ```

    References:

    - Misra et al., "Cross-stitch Networks for Multi-task Learning", 2016
      ([arXiv:1604.03539](https://arxiv.org/abs/1604.03539))
    """

    def __init__(
        self,
        per_channel: bool = False,
        self_weight: float = 0.9,
        initializer: Any = None,
        regularizer: Any = None,
        constraint: Any = None,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        self.per_channel = boolean("per_channel", per_channel)
        self.self_weight = number_to_one("self_weight", self_weight)
        self.initializer = keras.initializers.get(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.learning_rate_multiplier = number_above_zero(
            "learning_rate_multiplier", learning_rate_multiplier
        )

        # Made in `build`.
        self.alpha = None

    def build_exchange(self, shape: Shape) -> None:
        size = len(self.tasks)
        channels = (self.channels_of(shape),) if self.per_channel else ()
        self.alpha = MixingWeights(
            self,
            "alpha",
            (size, size, *channels),
            self.initializer or self._initial_alpha,
            self.regularizer,
            self.constraint,
            self.learning_rate_multiplier,
        )

    def call(self, inputs: Any) -> Any:
        tensors = self.tensors_of(inputs)
        mixed = mix_rows(self.alpha.tensor(), tensors)
        return by_task.like(inputs, self.tasks, mixed)

    def sharing_matrices(self) -> list[SharingMatrix]:
        """Alpha, one row for each task that receives.

        With `per_channel=True` it is the mean over the channels.
        """
        check_built(self)
        alpha = self.alpha.numpy()
        title = "alpha"
        if self.per_channel:
            alpha = alpha.mean(axis=-1)
            title = "mean alpha of the channels"
        return [SharingMatrix(title, alpha, list(self.tasks), list(self.tasks))]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "per_channel": self.per_channel,
                "self_weight": self.self_weight,
                "initializer": keras.initializers.serialize(self.initializer),
                "regularizer": keras.regularizers.serialize(self.regularizer),
                "constraint": keras.constraints.serialize(self.constraint),
                "learning_rate_multiplier": self.learning_rate_multiplier,
            }
        )
        return config

    def _initial_alpha(
        self, shape: tuple[int, ...], dtype: Any = None
    ) -> Tensor:
        alpha = share_rest(len(self.tasks), self.self_weight)
        alpha = alpha.reshape(alpha.shape + (1,) * (len(shape) - 2))
        return ops.broadcast_to(ops.cast(alpha, dtype), shape)
