"""Tasks that choose from shared features with masks of their own."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts.by_task import check_shapes
from keras_mtl.layers.parts.by_task import check_tasks
from keras_mtl.layers.parts.by_task import to_list
from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import make_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.layers.parts.masked_mean import mask_of_rank
from keras_mtl.layers.parts.masked_mean import masked_mean
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.sub_layers import LateSubLayers
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_to_one


@keras.saving.register_keras_serializable(package="keras_mtl")
class TaskAttention(LateSubLayers):
    """One stage of a Multi-Task Attention Network (MTAN).

    A network is shared by all tasks, and at each of its stages every task
    picks what it needs: a mask of its own, with a value between 0 and 1 for
    each shared feature, is multiplied with them. For task `t`, with the shared
    features `u` before and `p` after the last layers of the stage, and with
    what the task picked one stage before, `a'_t`,

    ```
    mask_t = sigmoid(h_t(g_t([u; f(a'_t)])))
    a_t    = mask_t * p
    ```

    `g_t` (with an activation) and `h_t` are dense layers over the last axis,
    for images 1x1 convolutions, each followed by batch normalisation. `f` is
    the `transition` from the size of the stage before to this one's, in the
    paper a 3x3 convolution and pooling. The first stage has no `a'_t`.

    Where all masks are 1, the network is one with hard sharing; a high
    `mask_bias_initializer` starts near it.

    Args:
        tasks: List of the names of the tasks.
        hidden_units: int. Units of `g_t`. Defaults to the number of shared
            features after the stage, as published for SegNet; for ResNet a
            quarter of them was published.
        transition: `f`, a layer or model, used as a copy; or a function
            without arguments that makes one. `None` where the features of the
            stage before have the size of `shared_before` already, in all axes
            but the last.
        share_transition: bool. Whether all tasks have one transition, as in
            the paper, or each a copy of its own.
        batch_normalization: bool. Whether `g_t` and `h_t` are normalised, as
            in the paper.
        hidden_activation: Activation of `g_t`.
        kernel_initializer: Initializer of the kernels of `g_t` and `h_t`.
        mask_bias_initializer: Initializer of the bias of `h_t`, which with
            batch normalisation is the normalisation's: `"zeros"` makes masks
            of about a half.
        kernel_regularizer: Regularizer of the kernels of `g_t` and `h_t`.
        momentum: float from 0, below 1, of the moving average of the masks
            that `sharing_matrices` shows. The first steps count alike.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        shared_before: Shared features `(batch, ..., features)` before the last
            layers of the stage.
        shared_after: Shared features `(batch, ..., units)` after them, of the
            same size but for the last axis.
        previous: What the tasks picked one stage before, of one shape: a
            dictionary by task, as this layer returns it, or a list. `None` in
            the first stage.

    Returns:
        Dictionary from tasks to tensors of the shape of `shared_after`.

    Raises:
        ValueError: If an argument does not fit, and in `build` if the shapes
            do not.

    Example:

    ```python
    def conv(units):
        return keras.layers.Conv2D(units, 3, padding="same", activation="relu")

    tasks = ["labels", "depth"]
    inputs = keras.Input((32, 32, 3))
    before = conv(16)(inputs)
    after = conv(16)(before)
    picked = keras_mtl.layers.TaskAttention(tasks)(before, after)

    before = conv(32)(keras.layers.MaxPooling2D(2)(after))
    after = conv(32)(before)
    transition = keras.Sequential([conv(32), keras.layers.MaxPooling2D(2)])
    picked = keras_mtl.layers.TaskAttention(tasks, transition=transition)(
        before, after, picked
    )

    outputs = {
        "labels": keras.layers.Conv2D(13, 1, activation="softmax")(
            picked["labels"]
        ),
        "depth": keras.layers.Conv2D(1, 1)(picked["depth"]),
    }
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    ```

    References:

    - Liu et al., "End-to-End Multi-Task Learning with Attention", CVPR 2019
      ([arXiv:1803.10704](https://arxiv.org/abs/1803.10704))
    """

    def __init__(
        self,
        tasks: Sequence[str],
        hidden_units: int | None = None,
        transition: Any = None,
        share_transition: bool = True,
        batch_normalization: bool = True,
        hidden_activation: Any = "relu",
        kernel_initializer: Any = "glorot_uniform",
        mask_bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        momentum: float = 0.99,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        self.tasks = check_tasks(tasks)
        self.hidden_units = hidden_units
        if hidden_units is not None:
            self.hidden_units = integer_from(1, "hidden_units", hidden_units)
        self.share_transition = boolean("share_transition", share_transition)
        self.transitions = self._make_transitions(transition)
        self.batch_normalization = boolean(
            "batch_normalization", batch_normalization
        )
        self.hidden_activation = keras.activations.get(hidden_activation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.mask_bias_initializer = keras.initializers.get(
            mask_bias_initializer
        )
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.momentum = number_to_one("momentum", momentum, one=False)

        self.supports_masking = True
        # Made in `build`.
        self.mask_layers = []
        self.mean_mask = None
        self.num_updates = None

    def build(
        self,
        shared_before_shape: Shape,
        shared_after_shape: Shape,
        previous_shape: Any = None,
    ) -> None:
        before, after = tuple(shared_before_shape), tuple(shared_after_shape)
        self._check_sizes("`shared_after`", after, before)
        shapes = [before] * len(self.tasks)
        if previous_shape is not None:
            check_shapes(self.name, previous_shape)
            previous = to_list(self.name, self.tasks, previous_shape)
            self._check_previous(previous)
            shapes = [
                self._joined_shape(before, task, tuple(shape))
                for task, shape in enumerate(previous)
            ]
        elif self.transitions:
            raise ValueError(
                f"`transition` of layer '{self.name}' brings the features of "
                "the stage before to the size of this one, so `previous` must "
                "be given as well. Leave it out in the first stage."
            )
        # Flat, because Keras does not save the weights of lists in lists.
        self.mask_layers = []
        for task, shape in zip(self.tasks, shapes, strict=True):
            self.mask_layers += self._make_mask_layers(task, shape, after[-1])
        self.mean_mask = self._add_state(
            "mean_mask", (len(self.tasks), after[-1]), "mean"
        )
        self.num_updates = self._add_state(
            "num_updates", (), "only_first_replica"
        )
        self.freeze_sub_layers()

    def call(
        self,
        shared_before: Tensor,
        shared_after: Tensor,
        previous: Any = None,
        shared_before_mask: Tensor | None = None,
        training: bool | None = None,
    ) -> dict[str, Tensor]:
        features = [shared_before] * len(self.tasks)
        if previous is not None:
            features = [
                ops.concatenate([shared_before, self._moved(t, x)], axis=-1)
                for t, x in enumerate(to_list(self.name, self.tasks, previous))
            ]
        masks = [
            self._mask(task, x, shared_before_mask)
            for task, x in enumerate(features)
        ]
        if training:
            self._observe(masks, shared_before_mask)
        return {
            task: mask * shared_after
            for task, mask in zip(self.tasks, masks, strict=True)
        }

    def compute_output_shape(
        self,
        shared_before_shape: Shape,
        shared_after_shape: Shape,
        previous_shape: Any = None,
    ) -> dict[str, Shape]:
        return {task: tuple(shared_after_shape) for task in self.tasks}

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if previous_mask is None:
            return None
        return {task: previous_mask for task in self.tasks}

    def sharing_matrices(self) -> list[SharingMatrix]:
        """The mean mask of each task, by shared feature.

        It is NaN before the first training step.
        """
        check_built(self)
        values = ops.convert_to_numpy(self.mean_mask)
        if not ops.convert_to_numpy(self.num_updates):
            values = np.full_like(values, np.nan)
        channels = [str(channel) for channel in range(values.shape[1])]
        return [
            SharingMatrix(
                "mean mask", values, list(self.tasks), channels, 0.0, 1.0
            )
        ]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        transition = None
        if self.transitions:
            transition = serialize_layers(self.transitions)
        config.update(
            {
                "tasks": list(self.tasks),
                "hidden_units": self.hidden_units,
                "transition": transition,
                "share_transition": self.share_transition,
                "batch_normalization": self.batch_normalization,
                "hidden_activation": keras.activations.serialize(
                    self.hidden_activation
                ),
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
                "mask_bias_initializer": keras.initializers.serialize(
                    self.mask_bias_initializer
                ),
                "kernel_regularizer": keras.regularizers.serialize(
                    self.kernel_regularizer
                ),
                "momentum": self.momentum,
            }
        )
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "TaskAttention":
        config = dict(config)
        if config["transition"] is not None:
            config["transition"] = deserialize_layers(
                config["transition"], custom_objects
            )
        return super().from_config(config)

    def _make_transitions(self, transition: Any) -> list[keras.layers.Layer]:
        if transition is None:
            return []
        names = ["transition"]
        if not self.share_transition:
            names = [f"{task}_transition" for task in self.tasks]
        return make_layers("transition", transition, names)

    def _transition(self, task: int) -> keras.layers.Layer | None:
        if not self.transitions:
            return None
        return self.transitions[0 if self.share_transition else task]

    def _moved(self, task: int, previous: Tensor) -> Tensor:
        """What a task picked one stage before, in the size of this stage."""
        transition = self._transition(task)
        return previous if transition is None else transition(previous)

    def _joined_shape(self, before: Shape, task: int, shape: Shape) -> Shape:
        """Shape of the shared features with those of the stage before."""
        # Calling a layer builds it, also one that builds as it is called.
        previous = keras.KerasTensor(shape, dtype=self.compute_dtype)
        moved = tuple(self._moved(task, previous).shape)
        self._check_sizes(
            f"`previous` of the task {self.tasks[task]!r}", moved, before
        )
        return (*before[:-1], before[-1] + moved[-1])

    def _check_previous(self, shapes: list[Shape]) -> None:
        by_name = {t: tuple(s) for t, s in zip(self.tasks, shapes, strict=True)}
        if len({shape[-1:] for shape in by_name.values()}) > 1:
            raise ValueError(
                f"Layer '{self.name}' takes as `previous` what the tasks "
                "picked of the same shared features, so the last axes must be "
                f"of one size. Received: {by_name}"
            )

    def _check_sizes(self, what: str, shape: Shape, before: Shape) -> None:
        equal = len(shape) == len(before) and all(
            a == b or None in (a, b)
            for a, b in zip(shape[:-1], before[:-1], strict=True)
        )
        if not equal or None in (shape[-1], before[-1]):
            raise ValueError(
                f"Layer '{self.name}' needs {what} in the size of "
                "`shared_before`, with axes that are equal but for the last, "
                "which must be known. Where the stage before has another size, "
                f"give a `transition`. Received: {shape} and `shared_before` "
                f"of shape {before}"
            )

    def _make_mask_layers(
        self, task: str, shape: Shape, units: int
    ) -> list[keras.layers.Layer]:
        """Layers `g` and `h` of one task, built."""
        # A slash has a meaning in the names of variables.
        name = task.replace("/", "_")
        hidden_units = self.hidden_units or units
        parts = (
            (f"{name}_hidden", hidden_units, "zeros", self.hidden_activation),
            (f"{name}_mask", units, self.mask_bias_initializer, "sigmoid"),
        )
        layers = []
        for part in parts:
            for layer in self._make_dense(*part):
                layer.build(shape)
                shape = tuple(layer.compute_output_shape(shape))
                layers.append(layer)
        return layers

    def _make_dense(
        self, name: str, units: int, bias_initializer: Any, activation: Any
    ) -> list[keras.layers.Layer]:
        normalized = self.batch_normalization
        dense = self.make_dense(
            units,
            name,
            # A normalisation takes the bias away and adds its own.
            use_bias=not normalized,
            activation=None if normalized else activation,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
        )
        if not normalized:
            return [dense]
        normalization = keras.layers.BatchNormalization(
            beta_initializer=clone_initializer(bias_initializer),
            dtype=self.dtype_policy,
            name=f"{name}_normalization",
        )
        activation = keras.layers.Activation(
            activation, dtype=self.dtype_policy, name=f"{name}_activation"
        )
        return [dense, normalization, activation]

    def _mask(self, task: int, x: Tensor, steps_mask: Any) -> Tensor:
        count = len(self.mask_layers) // len(self.tasks)
        for layer in self.mask_layers[task * count : (task + 1) * count]:
            if isinstance(layer, keras.layers.BatchNormalization):
                # Which wants a mask of all axes but the last.
                kept = None
                if steps_mask is not None:
                    kept = mask_of_rank(steps_mask, x)
                x = layer(x, mask=kept)
            else:
                x = layer(x)
        return x

    def _add_state(
        self, name: str, shape: tuple[int, ...], aggregation: str
    ) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer="zeros",
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation=aggregation,
        )

    def _observe(self, masks: list[Tensor], steps_mask: Any) -> None:
        """Takes the masks of a training step into their moving average."""
        means = [
            masked_mean(
                ops.cast(ops.stop_gradient(mask), "float32"),
                steps_mask,
                self.mean_mask[task],
            )
            for task, mask in enumerate(masks)
        ]
        # At first a plain average, so that the zeros of the start never count.
        self.num_updates.assign_add(1.0)
        rate = ops.maximum(1.0 / self.num_updates, 1.0 - self.momentum)
        self.mean_mask.assign_add(rate * (ops.stack(means) - self.mean_mask))
