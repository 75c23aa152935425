"""A branch over several layers of a network, to train with and throw away."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.layers.parts.by_task import check_shapes
from keras_mtl.layers.parts.by_task import is_sequence_of_many
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.layers.parts.sub_layers import LateSubLayers
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from

FUSIONS = ("sum", "concat")


@keras.saving.register_keras_serializable(package="keras_mtl")
class AuxiliaryBranch(LateSubLayers):
    """Predicts a task for a second time from several layers of a network.

    Each layer that the branch reads is a tap. An adapter maps the features of
    a tap to what the branch works with; the adapted features are carried from
    one tap to the next, where those of the next are joined to them; and a head
    predicts the task from what comes out last. With adapters `A`, for taps
    `h` from the input on:

    ```
    x_1 = A_1(h_1)
    x_l = pool(x_{l-1}) + A_l(h_l)        # or [pool(x_{l-1}); A_l(h_l)]
    prediction = head(x_L)
    ```

    `pool` takes the features of one tap to the size of the next: each cell
    becomes the mean of those that it covers, along each axis between batch and
    features. Where the next tap has no such axes, it is the mean over them.
    Masked steps do not count. A smaller size is spread over a larger one.

    `keras_mtl.add_auxiliary_branches` adds such branches to a model, for
    training only. In a model of your own the layer is one more output.

    The paper gives the adapters and the fusion as a figure only. What is here
    is linear by default, so that the branch asks the tapped layers themselves
    for features that fit the task, as `SelfAuxiliaryHead` does.

    Args:
        head: Layer or model that predicts the task, used as it is.
        adapters: List of layers or models, one a tap, used as they are. By
            default each is a `Dense` layer of `width` units without
            activation, which for images is a 1x1 convolution.
        width: int. Number of features of the default adapters. Defaults to
            that of the last tap.
        fusion: `"sum"`, which needs adapters of equal width, or `"concat"`.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: List of tensors `(batch, ..., features)`, one a tap, in the
            order in which the network computes them; or a single tensor.

    Returns:
        The prediction, of the shape that the head gives it.

    Raises:
        ValueError: If an argument does not fit, and in `build` if the taps
            cannot be fused.

    Example:

    ```python
    branch = keras_mtl.layers.AuxiliaryBranch(keras.layers.Dense(10), width=16)
    image = keras.random.normal((32, 8, 8, 4))
    vector = keras.random.normal((32, 50))
    branch([image, vector])  # (32, 10)
    ```

    References:

    - Liu et al., "Auxiliary Learning for Deep Multi-task Learning", 2019
      ([arXiv:1909.02214](https://arxiv.org/abs/1909.02214))
    """

    def __init__(
        self,
        head: keras.layers.Layer,
        adapters: Sequence[keras.layers.Layer] | None = None,
        width: int | None = None,
        fusion: str = "sum",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if not isinstance(head, keras.layers.Layer):
            raise ValueError(
                f"`head` should be a Keras layer. Received: head={head!r}"
            )
        if adapters is not None:
            _check_adapters(adapters, width, head)
        if fusion not in FUSIONS:
            raise ValueError(
                f"`fusion` should be one of {FUSIONS}. Received: "
                f"fusion={fusion!r}"
            )
        # Passed args.
        self.head = head
        self.has_own_adapters = adapters is not None
        self.width = None if width is None else integer_from(1, "width", width)
        self.fusion = fusion

        self.supports_masking = True
        # The default ones are made in `build`.
        self.adapters = list(adapters or [])
        self.fuse = _Fusion(
            fusion, self.name, dtype=self.dtype_policy, name="fuse"
        )

    def build(self, input_shape: Any) -> None:
        if isinstance(input_shape, dict):
            raise ValueError(
                f"Layer '{self.name}' takes a list of tensors, the taps in "
                "their order, and not a dictionary. Received: inputs of the "
                f"shapes {input_shape}"
            )
        check_shapes(self.name, input_shape)
        shapes = _listed(input_shape)
        if not self.has_own_adapters:
            width = self._default_width(shapes)
            self.adapters = [
                self.make_dense(width, f"adapter_{index}")
                for index in range(len(shapes))
            ]
        self._check_number(shapes)
        # Calling a layer builds it, also one that builds as it is called.
        adapted = [
            adapter(self._symbolic(shape)).shape
            for adapter, shape in zip(self.adapters, shapes, strict=True)
        ]
        self.fuse.build(adapted)
        self.head(self._symbolic(self.fuse.compute_output_shape(adapted)))
        self.freeze_sub_layers()

    def call(self, inputs: Any) -> Tensor:
        taps = inputs if isinstance(inputs, (list, tuple)) else [inputs]
        adapted = [
            adapter(tap)
            for adapter, tap in zip(self.adapters, taps, strict=True)
        ]
        return self.head(self.fuse(adapted))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        shapes = _listed(input_shape)
        self._check_number(shapes)
        adapted = [
            adapter.compute_output_spec(self._symbolic(shape)).shape
            for adapter, shape in zip(self.adapters, shapes, strict=True)
        ]
        fused = self._symbolic(self.fuse.compute_output_shape(adapted))
        return tuple(self.head.compute_output_spec(fused).shape)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        # The head has put the mask on its prediction.
        return None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        adapters = None
        if self.has_own_adapters:
            adapters = serialize_layers(self.adapters)
        config.update(
            {
                "head": serialize_layers([self.head])[0],
                "adapters": adapters,
                "width": self.width,
                "fusion": self.fusion,
            }
        )
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "AuxiliaryBranch":
        config = dict(config)
        config["head"] = deserialize_layers([config["head"]], custom_objects)[0]
        if config["adapters"] is not None:
            config["adapters"] = deserialize_layers(
                config["adapters"], custom_objects
            )
        return super().from_config(config)

    def _symbolic(self, shape: Shape) -> keras.KerasTensor:
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def _default_width(self, shapes: list[Shape]) -> int:
        width = shapes[-1][-1] if self.width is None else self.width
        if width is None:
            raise ValueError(
                f"Layer '{self.name}' adapts its taps to as many features as "
                "the last one has, which are not known. Give `width`. "
                f"Received: inputs of the shapes {shapes}"
            )
        return width

    def _check_number(self, shapes: list[Shape]) -> None:
        if len(shapes) != len(self.adapters):
            raise ValueError(
                f"Layer '{self.name}' has {len(self.adapters)} `adapters`, and "
                "needs as many inputs. Received: inputs of the shapes "
                f"{shapes}"
            )


class _Fusion(keras.layers.Layer):
    """Carries features from one tap to the next.

    A layer, so that Keras brings masks to it, and on to the head.
    """

    def __init__(self, fusion: str, branch: str, **kwargs: Any):
        super().__init__(**kwargs)
        self.fusion = fusion
        self.branch = branch
        self.supports_masking = True

    def call(self, inputs: list[Tensor], mask: Any = None) -> Tensor:
        masks = mask or [None] * len(inputs)
        x, x_mask = inputs[0], masks[0]
        for following, following_mask in zip(
            inputs[1:], masks[1:], strict=True
        ):
            x = _resize(x, x_mask, following)
            if self.fusion == "sum":
                x = x + following
            else:
                x = ops.concatenate([x, following], axis=-1)
            x_mask = following_mask
        return x

    def compute_output_shape(self, input_shape: list[Shape]) -> Shape:
        width = input_shape[0][-1]
        for before, shape in itertools.pairwise(input_shape):
            self._check_resizable(before, shape)
            if self.fusion == "concat":
                width = (
                    None if None in (width, shape[-1]) else width + shape[-1]
                )
            elif shape[-1] != width:
                raise ValueError(
                    f"The branch '{self.branch}' adds up the adapted features "
                    "of its taps, so their numbers must be equal. Give "
                    'adapters of one width, or use `fusion="concat"`. '
                    f"Received: adapted features of the shapes {input_shape}"
                )
        return (*input_shape[-1][:-1], width)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if previous_mask is None or len(inputs[-1].shape) < 3:
            return None
        return previous_mask[-1]

    def _check_resizable(self, shape: Shape, target: Shape) -> None:
        if len(target) not in (2, len(shape)):
            raise ValueError(
                f"The branch '{self.branch}' cannot carry features of shape "
                f"{shape} on to a tap of shape {target}: that takes as many "
                "axes, or a tap of shape (batch, features). Give the taps in "
                "the order in which the network computes them, or adapters "
                "that make their shapes alike."
            )


def _listed(shapes: Any) -> list[Shape]:
    """Shapes of the taps; of a single one without a list."""
    if is_sequence_of_many(shapes):
        return [tuple(shape) for shape in shapes]
    return [tuple(shapes)]


def _resize(x: Tensor, mask: Tensor | None, target: Tensor) -> Tensor:
    """The features of a tap in the size of another."""
    if mask is None:
        return _pool(x, target)
    mask = ops.cast(mask, x.dtype)
    while len(mask.shape) < len(x.shape):
        mask = ops.expand_dims(mask, -1)
    # A cell with no step that counts is zero.
    total = _pool(x * mask, target)
    return ops.divide_no_nan(total, _pool(ops.ones_like(x) * mask, target))


def _pool(x: Tensor, target: Tensor) -> Tensor:
    between = range(1, len(x.shape) - 1)
    if len(target.shape) == 2:
        return ops.mean(x, axis=tuple(between)) if between else x
    for axis in between:
        known = None not in (x.shape[axis], target.shape[axis])
        if not known or x.shape[axis] != target.shape[axis]:
            means = _cell_means(ops.shape(x)[axis], ops.shape(target)[axis])
            moved = ops.moveaxis(x, axis, -1)
            moved = ops.matmul(moved, ops.cast(means, x.dtype))
            x = ops.moveaxis(moved, -1, axis)
    return x


def _cell_means(size: Any, target: Any) -> Tensor:
    """Matrix `[size, target]` of means over the cells that a cell covers."""
    cell, place = ops.arange(size)[:, None], ops.arange(target)
    first = place * size // target
    last = ((place + 1) * size + target - 1) // target
    covered = ops.logical_and(first <= cell, cell < last)
    covered = ops.cast(covered, "float32")
    return covered / ops.sum(covered, axis=0)


def _check_adapters(adapters: Any, width: Any, head: Any) -> None:
    is_list = isinstance(adapters, (list, tuple))
    if not is_list or not all(
        isinstance(adapter, keras.layers.Layer) for adapter in adapters
    ):
        raise ValueError(
            "`adapters` should be a list of Keras layers, one for each tap. "
            f"Received: adapters={adapters!r}"
        )
    different = {id(layer) for layer in (head, *adapters)}
    if not adapters or len(different) <= len(adapters):
        raise ValueError(
            "`adapters` should hold a different layer for each tap, at least "
            f"one, and none that is the head. Received: adapters={adapters!r}, "
            f"head={head!r}"
        )
    if width is not None:
        raise ValueError(
            "`width` is that of the default adapters, so it does not go with "
            f"`adapters`. Received: width={width!r}"
        )
