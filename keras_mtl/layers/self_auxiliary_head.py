"""A small second head for a task, to train with and to throw away."""

import math
from typing import Any

import keras
from keras import ops

from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.sub_layers import LateSubLayers
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_above_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class SelfAuxiliaryHead(LateSubLayers):
    """A small linear head that predicts a task for a second time.

    Trained on the labels of a task beside the task's own, larger head, it asks
    the shared layers for a representation that even a small head can use. It
    is left out of the model that is served. The towers of the paper's
    figure 4 are

    - (a) a single dense layer: neither `pool_size` nor `bottleneck`;
    - (b) average pooling, then a dense layer: `pool_size`;
    - (c) a linear bottleneck, then a dense layer: `bottleneck`.

    With both, pooling comes first. For `M` features and `C` units they have
    `M * C + C`, `floor(M / pool_size) * C + C` and
    `M * b + b + b * C + C` parameters.

    Like `keras.layers.Dense`, the layer works on the last axis and keeps the
    others: features of shape `(batch, steps, M)` give predictions of shape
    `(batch, steps, units)`. With `flatten=True`, all axes but the first count
    as features.

    Args:
        units: int. Size of the prediction `C`: classes, or regressed values.
        pool_size: int or `None`. Neighbouring features are averaged in
            groups of this size; a remainder that fills no group is dropped.
        bottleneck: int or `None`. Width of a linear layer between the features
            and the prediction, so that the rank of the head is at most this.
        temperature: float > 0. The logits are divided by it, before
            `activation`. A high temperature makes the head push less.
        activation: Activation of the prediction, e.g. `"softmax"` where the
            loss is not `from_logits`. Defaults to `None`: logits.
        flatten: bool. Whether to make one vector an example of the features.
            Their shape must then be known.
        use_bias: bool. Whether the dense layers have a bias.
        kernel_initializer: Initializer of the kernels.
        bias_initializer: Initializer of the biases.
        kernel_regularizer: Regularizer of the kernels.
        bias_regularizer: Regularizer of the biases.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of features, of shape `(batch, ..., M)`.

    Returns:
        Tensor of shape `(batch, ..., units)`, or `(batch, units)` with
        `flatten=True`.

    Raises:
        ValueError: If `units`, `pool_size` or `bottleneck` is no positive
            integer, if `temperature` is not positive, and in `build` if
            `pool_size` exceeds the number of features.

    Example:

    ```python
    head = keras_mtl.layers.SelfAuxiliaryHead(10, bottleneck=8)
    logits = head(keras.random.normal((32, 50)))  # (32, 10)
    head.count_params()  # 498; 510 without the bottleneck
    ```

    References:

    - Wang et al., "Small Towers Make Big Differences", 2020
      ([arXiv:2008.05808](https://arxiv.org/abs/2008.05808))
    """

    def __init__(
        self,
        units: int,
        pool_size: int | None = None,
        bottleneck: int | None = None,
        temperature: float = 1.0,
        activation: Any = None,
        flatten: bool = False,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        self.units = integer_from(1, "units", units)
        if pool_size is not None:
            pool_size = integer_from(1, "pool_size", pool_size)
        self.pool_size = pool_size
        if bottleneck is not None:
            bottleneck = integer_from(1, "bottleneck", bottleneck)
        self.bottleneck = bottleneck
        self.temperature = number_above_zero("temperature", temperature)
        self.activation = keras.activations.get(activation)
        self.flatten = boolean("flatten", flatten)
        self.use_bias = boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)

        self.supports_masking = True
        self.input_spec = keras.layers.InputSpec(min_ndim=2)
        # Made in `build`.
        self.bottleneck_dense = None
        self.output_dense = None

    def build(self, input_shape: Shape) -> None:
        shape = self._pooled_shape(self._flat_shape(input_shape))
        if self.bottleneck is not None:
            self.bottleneck_dense = self._dense(self.bottleneck, "bottleneck")
            self.bottleneck_dense.build(shape)
            shape = (*shape[:-1], self.bottleneck)
        self.output_dense = self._dense(self.units, "output")
        self.output_dense.build(shape)
        self.freeze_sub_layers()

    def call(self, inputs: Tensor) -> Tensor:
        x = inputs
        if self.flatten:
            x = ops.reshape(x, (-1, math.prod(x.shape[1:])))
        if self.pool_size is not None:
            x = self._pool(x)
        if self.bottleneck_dense is not None:
            x = self.bottleneck_dense(x)
        return self.activation(self.output_dense(x) / self.temperature)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*self._flat_shape(input_shape)[:-1], self.units)

    def compute_mask(self, inputs: Tensor, previous_mask: Any) -> Any:
        # A flat prediction has no steps that a mask could mark.
        return None if self.flatten else previous_mask

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "units": self.units,
                "pool_size": self.pool_size,
                "bottleneck": self.bottleneck,
                "temperature": self.temperature,
                "activation": keras.activations.serialize(self.activation),
                "flatten": self.flatten,
                "use_bias": self.use_bias,
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
                "bias_initializer": keras.initializers.serialize(
                    self.bias_initializer
                ),
                "kernel_regularizer": keras.regularizers.serialize(
                    self.kernel_regularizer
                ),
                "bias_regularizer": keras.regularizers.serialize(
                    self.bias_regularizer
                ),
            }
        )
        return config

    def _dense(self, units: int, name: str) -> keras.layers.Dense:
        return self.make_dense(
            units,
            name,
            use_bias=self.use_bias,
            kernel_initializer=clone_initializer(self.kernel_initializer),
            bias_initializer=clone_initializer(self.bias_initializer),
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
        )

    def _flat_shape(self, shape: Shape) -> Shape:
        features = shape[1:] if self.flatten else shape[-1:]
        if None in features:
            raise ValueError(
                f"Layer '{self.name}' needs to know how many features it gets. "
                "Give the inputs of the model a full shape, or pool the "
                "features over the axes of unknown size first. Received: "
                f"input_shape={shape}"
            )
        if self.flatten:
            return (shape[0], math.prod(features))
        return tuple(shape)

    def _pooled_shape(self, shape: Shape) -> Shape:
        if self.pool_size is None:
            return shape
        if self.pool_size > shape[-1]:
            raise ValueError(
                f"`pool_size` of layer '{self.name}' must be at most the "
                f"number of features that it gets, which is {shape[-1]}. "
                f"Received: pool_size={self.pool_size}"
            )
        return (*shape[:-1], shape[-1] // self.pool_size)

    def _pool(self, x: Tensor) -> Tensor:
        groups = x.shape[-1] // self.pool_size
        x = x[..., : groups * self.pool_size]
        return ops.mean(
            ops.reshape(x, (*ops.shape(x)[:-1], groups, self.pool_size)),
            axis=-1,
        )
