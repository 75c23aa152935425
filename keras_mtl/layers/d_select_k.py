"""A gate that selects k of the experts, and can be differentiated."""

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts.gates import ExpertGate
from keras_mtl.layers.parts.gates import softmax
from keras_mtl.layers.parts.masked_mean import masked_mean
from keras_mtl.layers.parts.sub_layers import LateSubLayers
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_from_zero

# As published: keeps logarithms, and here also divisors, away from zero.
EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_mtl")
class DSelectKGate(LateSubLayers, ExpertGate):
    """DSelect-k: a smooth gate with at most k experts that are not zero.

    It is given as `gate` to `MMoE`, `CGC` or `PLE`, which copy it for each
    task and tell it the number of experts `E`. It has `k` selectors. Each
    spells the number of an expert in `m = ceil(log2 E)` binary digits, which
    are relaxed to `s = S(z)` with the smooth-step function

    `S(z) = 0 | -2 z^3 / gamma^3 + 3 z / (2 gamma) + 1/2 | 1`

    for `z` below, in and above `[-gamma/2, gamma/2]`. Selector `j` gives
    expert `e` the product over digits of `s`, where the digit of `e` is one,
    and of `1 - s`, where it is zero; the gate is the sum of the selectors
    times `softmax(w)[j]`. Once all digits are zeros or ones, at most `k`
    experts have a weight, and these sum to one.

    Two terms are added to the loss in training: `entropy_regularization`
    times the entropy of the selectors, which drives the digits to zero and
    one, and, if `E` is no power of two, `1 / r - 1`, with `r` the part of a
    selector that is on numbers of experts and not on those that no expert
    has. That is what the sum of the gate lacks to one until training has
    brought it there.

    Both are sums over selectors, and for `routing="example"` means over
    examples and the positions that no mask hides, so that they do not depend
    on the batch size; the published code sums over examples, and its second
    term is larger by a constant.

    Args:
        num_nonzeros: int. The number of selectors `k`.
        num_experts: int or `None`. Number of experts, at least 2. Only needed
            where this layer is used by itself.
        gamma: float > 0. Width of the smooth step.
        entropy_regularization: float >= 0. Factor of the entropy. Defaults to
            0, as in the published gate; its regularizer defaults to 1e-6 for
            a sum over examples.
        routing: `"example"`: `z` and `w` are linear maps of the input, with
            bias. `"static"`: they are parameters, and so the gate is one for
            all examples of a task.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., features)`.
        mask: Mask of the positions of `inputs`.
        training: bool. Whether the terms are added to the loss.

    Returns:
        Tensor of shape `(batch, ..., num_experts)`: weights from 0 to 1.

    Raises:
        ValueError: If a number is out of range, `num_nonzeros` exceeds
            `num_experts`, or `routing` is neither of the two.

    Example:

    ```python
    layer = keras_mtl.layers.MMoE(
        keras.layers.Dense(16, activation="relu"),
        ["left", "right"],
        num_experts=8,
        gate=keras_mtl.layers.DSelectKGate(2, entropy_regularization=1e-3),
    )
    ```

    References:

    - Hazimeh et al., "DSelect-k: Differentiable Selection in the Mixture of
      Experts with Applications to Multi-Task Learning", NeurIPS 2021
      ([arXiv:2106.03760](https://arxiv.org/abs/2106.03760))
    """

    def __init__(
        self,
        num_nonzeros: int,
        num_experts: int | None = None,
        gamma: float = 1.0,
        entropy_regularization: float = 0.0,
        routing: str = "example",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.num_nonzeros = integer_from(1, "num_nonzeros", num_nonzeros)
        self.gamma = number_above_zero("gamma", gamma)
        self.entropy_regularization = number_from_zero(
            "entropy_regularization", entropy_regularization
        )
        if routing not in ("example", "static"):
            raise ValueError(
                "`routing` should be 'example' or 'static'. Received: "
                f"routing={routing!r}"
            )
        self.routing = routing
        if num_experts is not None:
            self.set_num_experts(num_experts)
        self.supports_masking = True
        # Made in `build`: layers or weights, by `routing`.
        self.digits = None
        self.selector = None

    def set_num_experts(self, num_experts: int) -> None:
        num_experts = integer_from(1, "num_experts", num_experts)
        if num_experts < max(2, self.num_nonzeros):
            raise ValueError(
                f"A gate that selects {self.num_nonzeros} experts needs at "
                f"least {max(2, self.num_nonzeros)} to select from. Received: "
                f"num_experts={num_experts}"
            )
        super().set_num_experts(num_experts)

    @property
    def num_digits(self) -> int:
        return math.ceil(math.log2(self.num_experts))

    def build(self, input_shape: Shape) -> None:
        if self.num_experts is None:
            raise ValueError(
                f"Gate '{self.name}' does not know the number of experts. Give"
                " `num_experts`, or the gate to a layer that has experts."
            )
        # As published: digits start near one half, where none is selected.
        digit_range = self.gamma / 100
        sizes = {
            "digits": (self.num_nonzeros * self.num_digits, digit_range),
            "selector": (self.num_nonzeros, 0.05),
        }
        for name, (units, limit) in sizes.items():
            setattr(self, name, self._parameters(name, units, limit))
            if self.routing == "example":
                getattr(self, name).build(input_shape)
        self.freeze_sub_layers()

    def call(
        self,
        inputs: Tensor,
        mask: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        z, w = self._logits(inputs)
        selectors = self._selectors(self._smooth_step(z))
        if training:
            self._add_losses(selectors, mask)
        shares = ops.expand_dims(softmax(w), -1)
        weights = ops.sum(shares * selectors, axis=-2)
        if self.routing == "static":
            shape = (*ops.shape(inputs)[:-1], self.num_experts)
            weights = ops.broadcast_to(weights, shape)
        return ops.cast(weights, self.compute_dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.num_experts)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "num_nonzeros": self.num_nonzeros,
                "num_experts": self.num_experts,
                "gamma": self.gamma,
                "entropy_regularization": self.entropy_regularization,
                "routing": self.routing,
            }
        )
        return config

    def _parameters(self, name: str, units: int, limit: float) -> Any:
        def initializer() -> keras.initializers.Initializer:
            return keras.initializers.RandomUniform(-limit, limit)

        if self.routing == "static":
            return self.add_weight((units,), initializer(), name=name)
        return self.make_dense(
            units,
            name,
            kernel_initializer=initializer(),
            bias_initializer=initializer(),
        )

    def _logits(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """`z [..., k, m]` and `w [..., k]`, at least in float32."""
        z, w = self.digits, self.selector
        if self.routing == "example":
            z, w = z(inputs), w(inputs)
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        z, w = ops.cast(z, dtype), ops.cast(w, dtype)
        shape = (*ops.shape(z)[:-1], self.num_nonzeros, self.num_digits)
        return ops.reshape(z, shape), w

    def _smooth_step(self, z: Tensor) -> Tensor:
        half = self.gamma / 2
        # Clipped first: a cube that overflows would make the gradient NaN,
        # though `where` does not choose it.
        x = ops.clip(z, -half, half) / self.gamma
        step = 0.5 + x * (1.5 - 2 * x * x)
        # Rounding must not leave anything of an expert that is not selected.
        step = ops.where(z <= -half, ops.zeros_like(step), step)
        return ops.where(z >= half, ops.ones_like(step), step)

    def _selectors(self, digits: Tensor) -> Tensor:
        """`[..., k, E]` from the digits `[..., k, m]`."""
        numbers = np.arange(self.num_experts)
        product = None
        for place in range(self.num_digits):
            digit = digits[..., place : place + 1]
            is_one = (numbers >> (self.num_digits - 1 - place)) % 2 == 1
            factor = ops.where(is_one, digit, 1 - digit)
            product = factor if product is None else product * factor
        return product

    def _add_losses(self, selectors: Tensor, mask: Tensor | None) -> None:
        if self.routing == "static":
            # One gate for all positions, masked or not.
            mask = None
        if self.entropy_regularization > 0:
            logs = ops.log(selectors + EPSILON)
            entropies = -ops.sum(selectors * logs, axis=-1)
            total = ops.sum(masked_mean(entropies, mask))
            self.add_loss(self.entropy_regularization * total)
        if self.num_experts < 2**self.num_digits:
            reached = ops.sum(selectors, axis=-1)
            lacking = 1 / ops.maximum(reached, EPSILON) - 1
            self.add_loss(ops.sum(masked_mean(lacking, mask)))
