"""A penalty that keeps the parts of a layer different from each other."""

import itertools
from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_from_zero


@keras.saving.register_keras_serializable(package="keras_mtl")
class SubspaceOrthogonality(keras.regularizers.Regularizer):
    """Pulls the subspaces of a layer towards being orthogonal.

    The units of a layer are split into equal parts, its subspaces, and the
    penalty is `strength * sum_(i<j) ||G_i^T G_j||_F^2`, where the columns of
    `G_i` are the weights of the units in subspace `i`. It is zero if every unit
    of a subspace is orthogonal to all units of the others. In a sluice network
    (see `keras_mtl.layers.Sluice`) it lets a task keep one subspace for itself
    and share the other, without knowing the same twice.

    It works on every kernel whose last axis is that of the units: of `Dense`,
    of convolutions, whose other axes count as one, and of recurrent layers.
    Those have the kernels of their gates side by side; with `num_gates` the
    units are split inside each gate, and the penalties of the gates add up.

    The published code penalises two of the LSTM matrices, one of them that
    from the hidden state to the input gate, and it multiplies their halves
    the other way round, which compares the units of two subspaces pair by
    pair. Here, as the paper says, each is compared with each, and all gates
    count; give it as `recurrent_regularizer` for what is closest to the code.

    Args:
        num_subspaces: int. Number of subspaces `S`. Defaults to 2.
        strength: float >= 0. Weight of the penalty. Defaults to 0.1, the
            paper's choice.
        num_gates: int. How many kernels of equal size are side by side: 4 for
            `keras.layers.LSTM`, 3 for `keras.layers.GRU`. Defaults to 1.

    Raises:
        ValueError: If an argument is out of its range, and in the call if the
            weights are no matrix or cannot be divided.

    Example:

    ```python
    orthogonal = keras_mtl.regularizers.SubspaceOrthogonality(num_gates=4)
    layer = keras.layers.LSTM(
        16, kernel_regularizer=orthogonal, recurrent_regularizer=orthogonal
    )
    ```

    References:

    - Ruder et al., "Latent Multi-task Architecture Learning", 2019
      ([arXiv:1705.08142](https://arxiv.org/abs/1705.08142))
    """

    def __init__(
        self,
        num_subspaces: int = 2,
        strength: float = 0.1,
        num_gates: int = 1,
    ):
        self.num_subspaces = integer_from(1, "num_subspaces", num_subspaces)
        self.strength = number_from_zero("strength", strength)
        self.num_gates = integer_from(1, "num_gates", num_gates)

    def __call__(self, x: Tensor) -> Tensor:
        parts = self.num_gates * self.num_subspaces
        if len(x.shape) < 2 or x.shape[-1] % parts:
            raise ValueError(
                "`SubspaceOrthogonality` needs a kernel of shape (..., units) "
                f"whose last axis it can split into {self.num_gates} gate(s) "
                f"of {self.num_subspaces} subspace(s). Received: weights of "
                f"shape {tuple(x.shape)}"
            )
        if keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16"):
            x = ops.cast(x, "float32")
        x = ops.reshape(
            x,
            (-1, self.num_gates, self.num_subspaces, x.shape[-1] // parts),
        )
        penalty = ops.zeros((), x.dtype)
        for one, other in itertools.combinations(range(self.num_subspaces), 2):
            products = ops.einsum("ngi,ngj->gij", x[:, :, one], x[:, :, other])
            penalty += ops.sum(ops.square(products))
        return self.strength * penalty

    def get_config(self) -> dict[str, Any]:
        return {
            "num_subspaces": self.num_subspaces,
            "strength": self.strength,
            "num_gates": self.num_gates,
        }
