"""Networks of several tasks that exchange features through gates."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts import by_task
from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.masked_mean import masked_mean
from keras_mtl.layers.parts.mixing_weights import mix
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.sub_layers import LateSubLayers
from keras_mtl.layers.parts.task_exchange import TaskExchange
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.layers.parts.task_exchange import masks_of
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_to_one

GATES = ("vector", "scalar")


@keras.saving.register_keras_serializable(package="keras_mtl")
class GatedSharing(LateSubLayers, TaskExchange):
    """Adds to the features of a task what gates let through from the others.

    Every task has a network of its own, all of the same form. Between two of
    their layers, task `j` gets

    `F'_j = F_j + sum_(k != j) g_jk * (s_jk * F_k)`

    with gates `g_jk = sigmoid([F_j; F_k] W_jk + b_jk)`, which look at the
    example, and scalars `s_jk`, which say how much task `k` is worth to task
    `j` as a whole. Both are learned; a closed gate leaves the networks
    independent. Unlike `CrossStitch`, which shares the same amount for every
    example, this can take some features of some examples only.

    The review that describes the method names the gate, `sigmoid` and the
    scalar between every two tasks, and leaves the rest open: this form is a
    reconstruction. The scalars start at one and may become negative. Reports
    differ on how stable training is (Li et al., 2019); a bias that is negative
    at the start, such as `bias_initializer=keras.initializers.Constant(-2.0)`,
    lets tasks begin nearly alone.

    Masks stay with their tasks: the mask of an output is the mask of the
    input of the same task. Masked steps do not count in the mean gates.

    Args:
        gate: `"vector"`, one gate for each channel, or `"scalar"`, one for all
            channels of an example (and step). Defaults to `"vector"`.
        momentum: float from 0 to 1, below 1. The mean gates that
            `sharing_matrices` shows are moving averages over training
            batches with this momentum; until there are `1 / (1 - momentum)`
            batches, plain averages. Defaults to 0.99.
        kernel_initializer: Initializer of each `W_jk`, of shape `(2 * C, C)`
            or `(2 * C, 1)`.
        bias_initializer: Initializer of each `b_jk`.
        scale_initializer: Initializer of the scalars `s`, of shape
            `(T, T - 1)`: for each task, those of the others in their order.
        kernel_regularizer: Regularizer of each `W_jk`.
        bias_regularizer: Regularizer of each `b_jk`.
        scale_regularizer: Regularizer of the scalars. L1 lets only tasks
            through that are worth it.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Dictionary from names of tasks to tensors, or list of tensors.
            At least two, all of the same shape `(batch, ..., C)`.
        training: bool. Whether the mean gates move.
        mask: Masks like `inputs`. Keras passes them on.

    Returns:
        Dictionary or list like `inputs`, of tensors of the same shapes.

    Raises:
        ValueError: If an argument is out of its range, and in `build` if there
            are fewer than two tasks, if their shapes differ, or if the number
            of channels is unknown.

    Example:

    ```python
    inputs = keras.Input((20,))
    tasks = ["books", "films", "kitchen"]
    hidden = {t: keras.layers.Dense(8, "relu")(inputs) for t in tasks}
    gated = keras_mtl.layers.GatedSharing(gate="scalar")
    hidden = gated(hidden)
    gated.sharing_matrices()  # scalars and mean gates, 3 by 3
    ```

    References:

    - Xiao et al., "Gated Multi-Task Network for Text Classification", 2018
      ([N18-2114](https://aclanthology.org/N18-2114))
    - Li et al., "Empirical Evaluation of Multi-task Learning in Deep Neural
      Networks for Natural Language Processing", 2019
      ([arXiv:1908.07820](https://arxiv.org/abs/1908.07820))
    """

    def __init__(
        self,
        gate: str = "vector",
        momentum: float = 0.99,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        scale_initializer: Any = "ones",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        scale_regularizer: Any = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        if gate not in GATES:
            raise ValueError(
                f"`gate` must be 'vector' or 'scalar'. Received: gate={gate!r}"
            )
        self.gate = gate
        self.momentum = number_to_one("momentum", momentum, one=False)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.scale_initializer = keras.initializers.get(scale_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.scale_regularizer = keras.regularizers.get(scale_regularizer)

        # Made in `build`.
        self.gates = None
        self.scale = None
        self.mean_gate = None
        self.num_updates = None

    def build_exchange(self, shape: Shape) -> None:
        channels = self.channels_of(shape)
        self.gates = self._make_gates(channels)
        for gate in self.gates:
            gate.build((*shape[:-1], 2 * channels))
        self.freeze_sub_layers()
        size = len(self.tasks)
        self.scale = self.add_weight(
            shape=(size, size - 1),
            initializer=self.scale_initializer,
            regularizer=self.scale_regularizer,
            # In half precision a small step would be lost.
            autocast=False,
            name="scale",
        )
        self.mean_gate = self._add_state((size, size - 1), "mean", "mean_gate")
        self.num_updates = self._add_state(
            (), "only_first_replica", "num_updates"
        )

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        tensors = self.tensors_of(inputs)
        gates = self._gates_of(tensors)
        if training:
            self._update_mean_gate(gates, masks_of(self.tasks, mask))
        outputs = []
        for row, tensor in enumerate(tensors):
            passed = [
                gates[row, column] * tensors[column]
                for column in self._others(row)
            ]
            outputs.append(tensor + mix(self.scale[row], passed))
        return by_task.like(inputs, self.tasks, outputs)

    def sharing_matrices(self) -> list[SharingMatrix]:
        """The scalars, and the means of the gates over recent training.

        One row for each task that receives. The diagonals are one: a task has
        its own features in full.
        """
        check_built(self)
        names = list(self.tasks)
        scale = _with_diagonal(ops.convert_to_numpy(self.scale))
        gate = _with_diagonal(ops.convert_to_numpy(self.mean_gate))
        return [
            SharingMatrix("scale", scale, names, names),
            SharingMatrix("mean gate", gate, names, names, 0.0, 1.0),
        ]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "gate": self.gate,
                "momentum": self.momentum,
                **{
                    name: keras.initializers.serialize(getattr(self, name))
                    for name in (
                        "kernel_initializer",
                        "bias_initializer",
                        "scale_initializer",
                    )
                },
                **{
                    name: keras.regularizers.serialize(getattr(self, name))
                    for name in (
                        "kernel_regularizer",
                        "bias_regularizer",
                        "scale_regularizer",
                    )
                },
            }
        )
        return config

    def _others(self, row: int) -> list[int]:
        return [index for index in range(len(self.tasks)) if index != row]

    def _pairs(self) -> list[tuple[int, int]]:
        """A task that receives and one that gives, for every gate."""
        return [
            (row, column)
            for row in range(len(self.tasks))
            for column in self._others(row)
        ]

    def _make_gates(self, channels: int) -> list[keras.layers.Layer]:
        return [
            self.make_dense(
                channels if self.gate == "vector" else 1,
                # A slash has a meaning in the names of variables.
                f"{self.tasks[row]}_from_{self.tasks[column]}".replace(
                    "/", "_"
                ),
                activation="sigmoid",
                kernel_initializer=clone_initializer(
                    self.kernel_initializer, index
                ),
                bias_initializer=clone_initializer(
                    self.bias_initializer, index
                ),
                kernel_regularizer=self.kernel_regularizer,
                bias_regularizer=self.bias_regularizer,
            )
            for index, (row, column) in enumerate(self._pairs())
        ]

    def _add_state(
        self, shape: Shape, aggregation: str, name: str
    ) -> keras.Variable:
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            # Also where weights are in half precision, which could not count.
            dtype="float32",
            trainable=False,
            autocast=False,
            aggregation=aggregation,
            name=name,
        )

    def _gates_of(self, tensors: list[Tensor]) -> dict[tuple[int, int], Tensor]:
        return {
            (row, column): gate(
                ops.concatenate([tensors[row], tensors[column]], axis=-1)
            )
            for gate, (row, column) in zip(
                self.gates, self._pairs(), strict=True
            )
        }

    def _update_mean_gate(
        self, gates: dict[tuple[int, int], Tensor], masks: list[Any]
    ) -> None:
        before = ops.reshape(self.mean_gate, (-1,))
        means = ops.stack(
            [
                _mean(gate, masks[row], before[index])
                for index, ((row, _), gate) in enumerate(gates.items())
            ]
        )
        means = ops.reshape(means, self.mean_gate.shape)
        # At first a plain average, so that the zeros of the start never count.
        self.num_updates.assign_add(1.0)
        rate = ops.maximum(1.0 / self.num_updates, 1.0 - self.momentum)
        self.mean_gate.assign_add(rate * (means - self.mean_gate))


def _mean(gate: Tensor, mask: Any, otherwise: Tensor) -> Tensor:
    """The mean of a gate over examples, steps and channels, unless masked.

    Args:
        gate: Tensor `(batch, ..., channels)`.
        mask: Tensor `(batch, ...)` or `None`.
        otherwise: What to return if all is masked.
    """
    gate = ops.cast(ops.stop_gradient(gate), "float32")
    return ops.mean(masked_mean(gate, mask, otherwise))


def _with_diagonal(values: np.ndarray) -> np.ndarray:
    """A square matrix with ones on the diagonal, from its other values."""
    size = len(values)
    matrix = np.eye(size, dtype=values.dtype)
    matrix[~np.eye(size, dtype=bool)] = values.ravel()
    return matrix
