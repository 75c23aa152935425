"""Sub-networks whose connections are learned, with gates that can close."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.layers.parts import by_task
from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.mixing_weights import mix_rows
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.layers.parts.task_exchange import masks_of
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import optional_seed

FORMS = ("average", "transform")

# Gates are stretched from (0, 1) to this interval and then clipped, so that
# they can be exactly zero and exactly one. As published.
LOW = -0.1
HIGH = 1.1

# Random numbers are kept so far from zero and one, where a logit is infinite.
MARGIN = 1e-6


@keras.saving.register_keras_serializable(package="keras_mtl")
class SubNetworkRouting(keras.layers.Layer):
    """Connects sub-networks to sub-networks or tasks, by gates that can close.

    The layers that tasks share are split into sub-networks. Output `j` is

    - `u_j = sum_i z_ij * x_i` with `form="average"` (SNR-Aver), or
    - `u_j = sum_i z_ij * (x_i W_ij)` with `form="transform"` (SNR-Trans),

    where `x_i` is what sub-network `i` gives and `z_ij`, one number for each
    connection, is learned. All gates open is hard sharing; gates that are
    open for one task each are independent networks.

    In training `z` is a sample of the hard concrete distribution, one for a
    batch: `s = sigmoid((logit(u) + log_alpha) / temperature)` with uniform
    noise `u`, stretched to (-0.1, 1.1) and clipped to [0, 1]. So gates are
    often exactly zero or one, and still have gradients. At inference `z` is
    `sigmoid(log_alpha)`, stretched and clipped.

    With a `strength`, the expected number of open gates is a loss, an L0
    penalty on connections. What `sharing_matrices` shows as zero can be left
    out of the model that is served; this layer itself computes all the same.

    Differences from the paper: "average" is the sum that the paper writes, not
    divided by the number of inputs. The temperature is that of Louizos et al.;
    the value in the experiments of the paper is not known to us. There are no
    biases, as in the paper.

    The mask of every output marks the steps that no mask of an input hides.

    Args:
        num_outputs: int. Number of outputs, if they have no names.
        form: `"average"` or `"transform"`. Defaults to `"average"`.
        units: int or `None`. Size of the outputs with `form="transform"`.
            Defaults to that of the first input.
        tasks: List of names in place of `num_outputs`: the outputs are then a
            dictionary by these names.
        strength: float >= 0. Weight of the expected number of open gates in
            the loss. Defaults to 0.0: no such loss.
        temperature: float > 0. Smaller ones make samples closer to zero or
            one. Defaults to 2/3.
        initializer: Initializer of `log_alpha`, of shape
            `(outputs, inputs)`. With zeros, the default, a gate is .5 at
            inference.
        kernel_initializer: Initializer of the kernels of `form="transform"`,
            for each output one of shape `(sum of input sizes, units)`.
        kernel_regularizer: Regularizer of the kernels.
        seed: int or `None`. Seed of the samples.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: List of tensors of shape `(batch, ..., C)`, the outputs of
            sub-networks, or a dictionary of them by name. With
            `form="transform"` their last axes may be of different sizes.
        training: bool. Whether gates are sampled.

    Returns:
        List of `num_outputs` tensors, or dictionary by names of `tasks`.

    Raises:
        ValueError: If an argument is out of its range or does not fit another,
            and in `build` if the shapes of the inputs do not fit.

    Example:

    ```python
    inputs = keras.Input((20,))
    low = [keras.layers.Dense(8, "relu")(inputs) for _ in range(4)]
    low = keras_mtl.layers.SubNetworkRouting(4, "transform")(low)
    high = [keras.layers.Dense(8, "relu")(x) for x in low]
    tops = keras_mtl.layers.SubNetworkRouting(
        tasks=["click", "buy"], strength=1e-3
    )(high)
    outputs = {t: keras.layers.Dense(1)(x) for t, x in tops.items()}
    ```

    References:

    - Ma et al., "SNR: Sub-Network Routing for Flexible Parameter Sharing in
      Multi-Task Learning", 2019
      ([AAAI 3788](https://ojs.aaai.org/index.php/AAAI/article/view/3788))
    - Louizos et al., "Learning Sparse Neural Networks through L0
      Regularization", 2018
      ([arXiv:1712.01312](https://arxiv.org/abs/1712.01312))
    """

    def __init__(
        self,
        num_outputs: int | None = None,
        form: str = "average",
        units: int | None = None,
        tasks: Sequence[str] | None = None,
        strength: float = 0.0,
        temperature: float = 2.0 / 3.0,
        initializer: Any = "zeros",
        kernel_initializer: Any = "glorot_uniform",
        kernel_regularizer: Any = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        # Passed args.
        self.tasks = None if tasks is None else by_task.check_tasks(tasks)
        self.num_outputs = _num_outputs(num_outputs, self.tasks)
        if form not in FORMS:
            raise ValueError(
                "`form` must be 'average' or 'transform'. Received: "
                f"form={form!r}"
            )
        self.form = form
        self.units = units if units is None else integer_from(1, "units", units)
        if self.units is not None and form == "average":
            raise ValueError(
                "`units` is the size of the outputs with `form='transform'`; "
                "with 'average' they have the size of the inputs. Received: "
                f"units={units!r}"
            )
        self.strength = number_from_zero("strength", strength)
        self.temperature = number_above_zero("temperature", temperature)
        self.initializer = keras.initializers.get(initializer)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.seed = optional_seed(seed)

        self.seed_generator = keras.random.SeedGenerator(self.seed)
        self.supports_masking = True
        # Made in `build`.
        self.input_names = None
        self.log_alpha = None
        self.kernel = None

    def build(self, input_shape: Any) -> None:
        self.input_names = by_task.names_of(self.name, input_shape)
        by_task.check_shapes(self.name, input_shape)
        shapes = self._check_shapes(
            by_task.to_list(self.name, self.input_names, input_shape)
        )
        self.log_alpha = self.add_weight(
            shape=(self.num_outputs, len(shapes)),
            initializer=self.initializer,
            # A gate that is almost closed would be rounded in half precision.
            autocast=False,
            name="log_alpha",
        )
        if self.form == "transform":
            rows = sum(shape[-1] for shape in shapes)
            self.kernel = self.add_weight(
                shape=(rows, self.num_outputs, self._output_size(shapes)),
                initializer=self._initial_kernel,
                regularizer=self.kernel_regularizer,
                autocast=False,
                name="kernel",
            )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        tensors = by_task.to_list(self.name, self.input_names, inputs)
        self._check_shapes([tensor.shape for tensor in tensors])
        if self.strength:
            self.add_loss(self.strength * ops.sum(self._open_probability()))
        gates = self._sampled_gates() if training else self._mean_gates()
        if self.form == "average":
            outputs = mix_rows(gates, tensors)
        else:
            outputs = self._transform(gates, tensors)
        return self._like_outputs(outputs)

    def compute_output_shape(self, input_shape: Any) -> Any:
        names = by_task.names_of(self.name, input_shape)
        shapes = by_task.to_list(self.name, names, input_shape)
        shape = tuple(shapes[0])
        if self.form == "transform":
            shape = (*shape[:-1], self._output_size(shapes))
        return self._like_outputs([shape] * self.num_outputs)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        masks = masks_of(self.input_names, previous_mask)
        masks = [mask for mask in masks if mask is not None]
        if not masks:
            return None
        together = masks[0]
        for mask in masks[1:]:
            together = ops.logical_and(together, mask)
        return self._like_outputs([together] * self.num_outputs)

    def sharing_matrices(self) -> list[SharingMatrix]:
        """The gates at inference, and how probable it is that one is open.

        One row for each output and one column for each input.
        """
        check_built(self)
        rows = list(self.tasks or map(str, range(self.num_outputs)))
        columns = list(self.input_names)
        gates = ops.convert_to_numpy(self._mean_gates())
        probability = ops.convert_to_numpy(self._open_probability())
        return [
            SharingMatrix("gate", gates, rows, columns, 0.0, 1.0),
            SharingMatrix(
                "probability of an open gate",
                probability,
                rows,
                columns,
                0.0,
                1.0,
            ),
        ]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "num_outputs": self.num_outputs,
                "form": self.form,
                "units": self.units,
                "tasks": self.tasks and list(self.tasks),
                "strength": self.strength,
                "temperature": self.temperature,
                "initializer": keras.initializers.serialize(self.initializer),
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
                "kernel_regularizer": keras.regularizers.serialize(
                    self.kernel_regularizer
                ),
                "seed": self.seed,
            }
        )
        return config

    def _sampled_gates(self) -> Tensor:
        noise = keras.random.uniform(
            self.log_alpha.shape,
            MARGIN,
            1.0 - MARGIN,
            dtype=self.log_alpha.dtype,
            seed=self.seed_generator,
        )
        logits = ops.log(noise) - ops.log(1.0 - noise)
        return _hard_sigmoid((logits + self.log_alpha) / self.temperature)

    def _mean_gates(self) -> Tensor:
        return _hard_sigmoid(ops.convert_to_tensor(self.log_alpha))

    def _open_probability(self) -> Tensor:
        """Of samples, to be above zero."""
        shift = self.temperature * math.log(-LOW / HIGH)
        return ops.sigmoid(self.log_alpha - shift)

    def _transform(self, gates: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        # One product of matrices for all connections: the gates scale blocks
        # of the kernel, which is smaller than a batch of their products.
        rows = [
            ops.repeat(gates[:, i : i + 1], tensor.shape[-1], axis=1)
            for i, tensor in enumerate(tensors)
        ]
        gates = ops.transpose(ops.concatenate(rows, axis=1))
        kernel = self.kernel * ops.expand_dims(gates, -1)
        kernel = ops.reshape(kernel, (kernel.shape[0], -1))
        inputs = ops.concatenate(tensors, axis=-1)
        outputs = ops.matmul(inputs, ops.cast(kernel, inputs.dtype))
        return ops.split(outputs, self.num_outputs, axis=-1)

    def _check_shapes(self, shapes: list[Shape]) -> list[Shape]:
        """Shapes of the inputs, if they fit each other."""
        kept = shapes
        if self.form == "transform":
            if any(len(shape) < 2 or shape[-1] is None for shape in shapes):
                raise ValueError(
                    f"Layer '{self.name}' needs tensors of shape (batch, ..., "
                    "channels), of which it knows the number of channels. "
                    f"Received: tensors of shapes {list(map(tuple, shapes))}"
                )
            kept = [shape[:-1] for shape in shapes]
        by_task.check_equal_shapes(self.name, self.input_names, kept)
        return shapes

    def _output_size(self, shapes: list[Shape]) -> int:
        return shapes[0][-1] if self.units is None else self.units

    def _initial_kernel(self, shape: Shape, dtype: Any = None) -> Tensor:
        rows, outputs, units = shape
        kernels = [
            clone_initializer(self.kernel_initializer, index)(
                (rows, units), dtype=dtype
            )
            for index in range(outputs)
        ]
        return ops.stack(kernels, axis=1)

    def _like_outputs(self, values: list[Any]) -> Any:
        return (
            values
            if self.tasks is None
            else dict(zip(self.tasks, values, strict=True))
        )


def _hard_sigmoid(logits: Tensor) -> Tensor:
    return ops.clip(ops.sigmoid(logits) * (HIGH - LOW) + LOW, 0.0, 1.0)


def _num_outputs(num_outputs: Any, tasks: list[str] | None) -> int:
    if tasks is None:
        return integer_from(1, "num_outputs", num_outputs)
    if num_outputs not in (None, len(tasks)):
        raise ValueError(
            "`num_outputs` is the number of `tasks` if both are given. "
            f"Received: num_outputs={num_outputs!r}, tasks={tasks}"
        )
    return len(tasks)
