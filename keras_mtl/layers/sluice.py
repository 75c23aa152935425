"""Sluice networks: share parts of layers, and mix what all depths know."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts import by_task
from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.mixing_weights import MixingWeights
from keras_mtl.layers.parts.mixing_weights import mix
from keras_mtl.layers.parts.mixing_weights import mix_rows
from keras_mtl.layers.parts.mixing_weights import share_rest
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.task_exchange import TaskExchange
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_above_zero

BALANCED = "balanced"
IMBALANCED = "imbalanced"


@keras.saving.register_keras_serializable(package="keras_mtl")
class Sluice(TaskExchange):
    """Mixes parts of the features of the tasks: a cross-stitch by subspaces.

    Every task has a network of its own, all of the same form. Their features
    are split into `S` equal parts, the subspaces, and each subspace of each
    task becomes a combination of all subspaces of all tasks:

    `x'_(t,i) = sum_(s,j) alpha[(t,i), (s,j)] * x_(s,j)`

    so that a task can share a part of what it knows and keep the other part to
    itself. With one subspace this is `CrossStitch`; with the identity as alpha
    the networks are independent; with alphas that are equal for all tasks,
    all go on with the same features, as in hard sharing.

    The other parts of a sluice network are `LayerMixture`, by which a task
    predicts from all depths, and
    `keras_mtl.regularizers.SubspaceOrthogonality`, which keeps subspaces
    different. Use that with the same number of subspaces on the layers before.

    Masks stay with their tasks: the mask of an output is the mask of the
    input of the same task.

    Differences from the published code: subspaces are neighbouring features
    as in the paper, where the code interleaves those of different tasks; any
    number of tasks and of subspaces is allowed; and with `"imbalanced"` rows
    sum to one for every number of subspaces. In the code, two subspaces of two
    tasks have rows of twice .95 and twice .05, which doubles the features with
    every layer and makes the two subspaces of a task equal.

    Args:
        num_subspaces: int. Number of subspaces `S`, which must divide the
            number of channels. Defaults to 2, as in the paper.
        initializer: `"balanced"`: all weights `1 / (T * S)`, so that all
            tasks and subspaces first get the same features. `"imbalanced"`:
            each keeps most of its own, .9 with one subspace and .95 with
            more, and the others have equal parts of the rest. Or an
            initializer for the shape `(T * S, T * S)`, such as `"identity"`.
            Rows are what receives, in the order of tasks and, within a task,
            of its subspaces.
        regularizer: Regularizer of alpha.
        constraint: Constraint of alpha.
        learning_rate_multiplier: float > 0. Alpha moves so many times as far
            as it would with the learning rate of the optimizer. See
            `CrossStitch`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Dictionary from names of tasks to tensors, or list of tensors.
            At least two, all of the same shape `(batch, ..., C)`.

    Returns:
        Dictionary or list like `inputs`, of tensors of the same shapes.

    Raises:
        ValueError: If an argument is out of its range, and in `build` if there
            are fewer than two tasks, if their shapes differ, or if the number
            of channels is unknown or cannot be divided.

    Example:

    ```python
    inputs = keras.Input((None, 20))
    tasks = ["intent", "domain"]
    orthogonal = keras_mtl.regularizers.SubspaceOrthogonality(num_gates=4)
    deep = {t: [] for t in tasks}
    hidden = dict.fromkeys(tasks, inputs)
    for _ in range(3):
        hidden = {
            t: keras.layers.LSTM(
                16, return_sequences=True, recurrent_regularizer=orthogonal
            )(hidden[t])
            for t in tasks
        }
        hidden = keras_mtl.layers.Sluice()(hidden)
        for t in tasks:
            deep[t].append(hidden[t])
    mixed = keras_mtl.layers.LayerMixture()(deep)  # {"intent": ..., ...}
    ```

    References:

    - Ruder et al., "Latent Multi-task Architecture Learning", 2019
      ([arXiv:1705.08142](https://arxiv.org/abs/1705.08142)), first called
      "Sluice networks"
    """

    def __init__(
        self,
        num_subspaces: int = 2,
        initializer: Any = BALANCED,
        regularizer: Any = None,
        constraint: Any = None,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        self.num_subspaces = integer_from(1, "num_subspaces", num_subspaces)
        self.initializer = _get_initializer(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.learning_rate_multiplier = number_above_zero(
            "learning_rate_multiplier", learning_rate_multiplier
        )

        # Made in `build`.
        self.alpha = None

    def build_exchange(self, shape: Shape) -> None:
        channels = self.channels_of(shape)
        if channels % self.num_subspaces:
            raise ValueError(
                f"Layer '{self.name}' splits the channels of its inputs into "
                f"{self.num_subspaces} subspaces of equal size, but there are "
                f"{channels} channels. Choose another `num_subspaces` or "
                "another width."
            )
        size = len(self.tasks) * self.num_subspaces
        self.alpha = MixingWeights(
            self,
            "alpha",
            (size, size),
            _own_or(self.initializer, self._initial_alpha),
            self.regularizer,
            self.constraint,
            self.learning_rate_multiplier,
        )

    def call(self, inputs: Any) -> Any:
        sources = [
            subspace
            for tensor in self.tensors_of(inputs)
            for subspace in ops.split(tensor, self.num_subspaces, axis=-1)
        ]
        mixed = mix_rows(self.alpha.tensor(), sources)
        outputs = [
            ops.concatenate(mixed[start : start + self.num_subspaces], axis=-1)
            for start in range(0, len(mixed), self.num_subspaces)
        ]
        return by_task.like(inputs, self.tasks, outputs)

    def sharing_matrices(self) -> list[SharingMatrix]:
        """Alpha, one row for each subspace of each task that receives.

        The subspaces of a task `income` are called `income 1`, `income 2`.
        """
        check_built(self)
        names = [
            f"{task} {index + 1}" if self.num_subspaces > 1 else task
            for task in self.tasks
            for index in range(self.num_subspaces)
        ]
        return [SharingMatrix("alpha", self.alpha.numpy(), names, names)]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "num_subspaces": self.num_subspaces,
                "initializer": _serialize_initializer(self.initializer),
                "regularizer": keras.regularizers.serialize(self.regularizer),
                "constraint": keras.constraints.serialize(self.constraint),
                "learning_rate_multiplier": self.learning_rate_multiplier,
            }
        )
        return config

    def _initial_alpha(self, shape: Shape, dtype: Any = None) -> Tensor:
        own = 0.9 if self.num_subspaces == 1 else 0.95
        if self.initializer == BALANCED:
            own = 1.0 / shape[0]
        return ops.cast(share_rest(shape[0], own), dtype)


@keras.saving.register_keras_serializable(package="keras_mtl")
class LayerMixture(keras.layers.Layer):
    """Mixes the outputs of several layers of one network: learned skips.

    `h = sum_l beta[l] * h_l`, where `h_1, ..., h_L` are the features of a task
    at `L` depths, all of the same shape. The task then predicts from `h`. It
    is the layer mixture, or "layer stitch", of a sluice network (see
    `Sluice`), and of use to any deep network.

    The mask of the mixture is the mask of the last of its layers.

    Args:
        initializer: `"imbalanced"`, the default: .9 for the last layer and
            equal parts of the rest for the others. `"balanced"`: `1 / L` for
            each. Or an initializer for the shape `(L,)`.
        regularizer: Regularizer of beta.
        constraint: Constraint of beta.
        learning_rate_multiplier: float > 0. Beta moves so many times as far
            as it would with the learning rate of the optimizer. See
            `CrossStitch`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: List of tensors of the same shape, in the order of their depth;
            or such lists for several tasks, as many tensors for each, in a
            dictionary by names of tasks or in a list. Each task has its own
            beta, in a variable of its own: it belongs to the task alone.

    Returns:
        Tensor of the shape of the inputs; or a dictionary or list of them.

    Raises:
        ValueError: If an argument is out of its range, and in `build` if
            inputs are no such lists or if the shapes of a list differ.

    Example:

    ```python
    depths = [keras.random.normal((32, 8)) for _ in range(3)]
    keras_mtl.layers.LayerMixture()(depths)  # (32, 8)
    keras_mtl.layers.LayerMixture()({"income": depths, "marriage": depths})
    # {"income": (32, 8), "marriage": (32, 8)}
    ```

    References:

    - Ruder et al., "Latent Multi-task Architecture Learning", 2019
      ([arXiv:1705.08142](https://arxiv.org/abs/1705.08142))
    """

    def __init__(
        self,
        initializer: Any = IMBALANCED,
        regularizer: Any = None,
        constraint: Any = None,
        learning_rate_multiplier: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        self.initializer = _get_initializer(initializer)
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.learning_rate_multiplier = number_above_zero(
            "learning_rate_multiplier", learning_rate_multiplier
        )

        self.supports_masking = True
        # Made in `build`; `tasks` is None if there is one list only.
        self.tasks = None
        self.betas = None

    def build(self, input_shape: Any) -> None:
        if _is_for_tasks(input_shape):
            self.tasks = by_task.names_of(self.name, input_shape)
        lists = self._lists(input_shape)
        for shapes in lists:
            by_task.check_shapes(self.name, shapes)
        depths = [self._check_depths(shapes) for shapes in lists]
        if len(set(depths)) > 1:
            raise ValueError(
                f"Layer '{self.name}' takes the same number of layers for each "
                f"task. Received: {dict(zip(self.tasks, depths, strict=True))}"
            )
        # Not in one variable, which would be shared by all tasks.
        self.betas = [
            MixingWeights(
                self,
                f"beta_{name}".replace("/", "_"),
                (depths[0],),
                _own_or(
                    clone_initializer(self.initializer, index),
                    self._initial_beta,
                ),
                self.regularizer,
                self.constraint,
                self.learning_rate_multiplier,
            )
            for index, name in enumerate(self.tasks or ["output"])
        ]

    def call(self, inputs: Any) -> Any:
        lists = self._lists(inputs)
        for tensors in lists:
            self._check_tensors(tensors)
        mixed = [
            mix(beta.tensor(), tensors)
            for beta, tensors in zip(self.betas, lists, strict=True)
        ]
        return self._like(inputs, mixed)

    def compute_output_shape(self, input_shape: Any) -> Any:
        # Not by `self.tasks`: it may be asked before the layer is built.
        if isinstance(input_shape, dict):
            return {name: shapes[-1] for name, shapes in input_shape.items()}
        if _is_for_tasks(input_shape):
            return type(input_shape)(shapes[-1] for shapes in input_shape)
        return input_shape[-1]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if previous_mask is None:
            return None
        last = [masks[-1] for masks in self._lists(previous_mask)]
        return self._like(previous_mask, last)

    def sharing_matrices(self) -> list[SharingMatrix]:
        """Beta, one row for each task and one column for each layer."""
        check_built(self)
        beta = np.stack([beta.numpy() for beta in self.betas])
        layers = [f"layer {index + 1}" for index in range(beta.shape[1])]
        rows = list(self.tasks or ["output"])
        return [SharingMatrix("beta", beta, rows, layers)]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "initializer": _serialize_initializer(self.initializer),
                "regularizer": keras.regularizers.serialize(self.regularizer),
                "constraint": keras.constraints.serialize(self.constraint),
                "learning_rate_multiplier": self.learning_rate_multiplier,
            }
        )
        return config

    def _initial_beta(self, shape: Shape, dtype: Any = None) -> Tensor:
        depth = shape[0]
        beta = np.full(depth, 1.0 / depth)
        if self.initializer == IMBALANCED and depth > 1:
            beta = np.append(np.full(depth - 1, 0.1 / (depth - 1)), 0.9)
        return ops.cast(beta, dtype)

    def _check_depths(self, shapes: Any) -> int:
        """The number of layers in a list of shapes, which must be equal."""
        if not by_task.is_sequence_of_many(shapes) or not shapes:
            raise ValueError(
                f"Layer '{self.name}' takes a list of tensors, the outputs of "
                "layers of one network, or such a list for each task. "
                f"Received: {shapes}"
            )
        names = [f"layer {index + 1}" for index in range(len(shapes))]
        by_task.check_equal_shapes(self.name, names, shapes)
        return len(shapes)

    def _check_tensors(self, tensors: Any) -> None:
        depth = self.betas[0].variable.shape[0]
        if not isinstance(tensors, (list, tuple)) or len(tensors) != depth:
            raise ValueError(
                f"Layer '{self.name}' takes lists of {depth} tensors, as many "
                f"as it was built for. Received: {tensors}"
            )
        self._check_depths([tensor.shape for tensor in tensors])

    def _lists(self, structure: Any) -> list[Any]:
        """The lists of the tasks, or the only one."""
        if self.tasks is None:
            return [structure]
        return by_task.to_list(self.name, self.tasks, structure)

    def _like(self, inputs: Any, values: list[Any]) -> Any:
        if self.tasks is None:
            return values[0]
        return by_task.like(inputs, self.tasks, values)


def _is_for_tasks(shapes: Any) -> bool:
    """Whether these are lists of shapes, not a list of shapes."""
    return isinstance(shapes, dict) or (
        by_task.is_sequence_of_many(shapes)
        and any(by_task.is_sequence_of_many(shape) for shape in shapes)
    )


def _get_initializer(given: Any) -> Any:
    # An array would be compared number by number.
    if isinstance(given, str) and given in (BALANCED, IMBALANCED):
        return given
    if given is None:
        raise ValueError(
            f"`initializer` must be '{BALANCED}', '{IMBALANCED}' or an "
            "initializer. Received: initializer=None"
        )
    return keras.initializers.get(given)


def _own_or(initializer: Any, published: Any) -> Any:
    return published if isinstance(initializer, str) else initializer


def _serialize_initializer(initializer: Any) -> Any:
    if isinstance(initializer, str):
        return initializer
    return keras.initializers.serialize(initializer)
