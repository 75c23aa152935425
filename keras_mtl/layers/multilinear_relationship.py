"""Dense layers that learn how tasks, classes and features are related."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts.by_task import check_shapes
from keras_mtl.layers.parts.by_task import check_tasks
from keras_mtl.layers.parts.copies import clone_initializer
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.layers.per_task import spread
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.argument_validation import number_to_one

# In the order of the axes of the stacked kernel.
MODES = ("features", "classes", "tasks")
# Of the rounding of float32, for each row of a matrix: what of the identity
# keeps a factorization from failing, with something to spare.
SMALLEST_SHARE = 4 * 2.0**-23


@keras.saving.register_keras_serializable(package="keras_mtl")
class MultilinearRelationship(keras.layers.Layer):
    """A dense layer for each task, under one prior that relates them all.

    The kernels of the tasks, stacked to a tensor `W` of shape
    `(features D, classes C, tasks T)`, have a tensor-normal prior: its
    covariance is the Kronecker product of one covariance for each of the
    three modes. The layer adds the negative logarithm of the prior to the
    loss,

    `strength / 2 * vec(W)' (S_features (x) S_classes (x) S_tasks)^-1 vec(W)`,

    and learns the covariances from the weights. Tasks with similar weights
    get a high covariance, and from then on it is cheap for them to be similar
    and dear to differ; tasks with opposed weights are related too, with
    a negative one. As long as the covariances are identities, as they are at
    the start, the penalty is `strength / 2 * ||W||_F^2`.

    Every `update_every` training steps, before the weights of that step are
    changed, each covariance in turn is set from the weights and the newest of
    the other two ("flip-flop"). With `M = W_(k) (S_i (x) S_j)^-1 W_(k)'`,
    where `W_(k)` has a row for each of the `d` entries of the mode, that is

    `S_k = (1 - shrinkage) * M * d / trace(M) + shrinkage * I`.

    This departs from the paper, `S_k = M * d / (D * C * T) + 1e-5 * I`, in two
    things.

    - Every covariance has the trace of an identity. Of the three scales only
      the product means anything, and the inverse of one that follows the
      weights is large for small weights: with it, plain gradient descent
      diverged in our trials at a `strength` of 1e-3, where an L2 penalty does
      nothing remarkable. So what is learned is which weights go together, and
      how large they are is left to `strength`.
    - `M` is taken from one tensor, so with fewer classes times tasks than
      features that of the features is singular. Almost nothing added, its
      inverse makes all columns of `W` orthogonal, and from these the tasks
      look unrelated whatever they are: we measured a correlation of 0.02
      between tasks with the same true function, where `modes=("tasks",)` finds
      0.99. By default the share of the identity is `d / (d + n)` for the
      `n = D * C * T / d` columns of `W_(k)`, as if the prior had `d` columns
      of its own: more than half for many features, next to nothing for few
      tasks.

    The authors' code (thuml/MTlearn) departs from their paper: the penalty
    has no 1/2 and no determinants, only the covariance of the tasks is
    updated, without the division, and in place of its inverse the penalty
    takes it with `1 / s` for all eigenvalues `s` above 0.1 and `s` itself for
    others, scaled to a trace of at most 3000. `modes=("tasks",)` is the same
    choice, with an inverse.

    The kernels stay variables of their tasks, so that for an aggregator they
    belong to the heads. The penalty is computed in float32, once for each call
    of the layer, and `evaluate` includes it, as it does with regularizers.
    A frozen layer neither has a penalty nor updates.

    Args:
        units: int. Size of the outputs `C`: all tasks have the same.
        tasks: List of the names of the tasks.
        activation: Activation of the outputs. Defaults to `None`: linear.
        strength: float >= 0. Weight of the penalty, which at the start is
            that of `keras.regularizers.L2(strength / 2)`. The paper has 1
            beside the sum of the losses of all examples; beside their mean,
            which Keras takes, that is one over their number. The curvature
            of the penalty can reach `strength` divided by the shares of the
            identity in all covariances (see `shrinkage`), and plain gradient
            descent needs a learning rate below two over it: a rate of 0.1
            with a strength of 0.1 diverged with 64 features, 10 classes and
            3 tasks.
        update_every: int >= 1. Training steps between two updates of the
            covariances; 100 in the authors' code.
        shrinkage: float, above 0 and at most 1, or `None`. Share of the
            identity in each covariance, and so its smallest eigenvalue where
            the mean is one. Raised to `d * 5e-7` where it is below that, which
            float32 cannot tell from zero. Defaults to `None`: by size.
        modes: Names of the modes whose covariance is learned, among
            `"features"`, `"classes"` and `"tasks"`. That of others is the
            identity.
        log_determinant: bool. Whether to add the rest of the logarithm,
            `strength / 2 * sum over k of D * C * T / d_k * log det S_k`.
            It changes the loss that is logged, and no gradient, because
            the covariances are not trained by gradients.
        use_bias: bool. Whether the dense layers have a bias. The prior leaves
            it out.
        kernel_initializer: Initializer of the kernel of each task.
        bias_initializer: Initializer of the biases.
        **kwargs: Base layer keyword arguments, such as `name` and `dtype`.

    Call arguments:
        inputs: Tensor of shape `(batch, ..., D)`, which all tasks read, or a
            dict from names of tasks to such tensors, or a list of them in the
            order of `tasks`.
        training: bool. Whether to count a training step.

    Returns:
        Dict from names of tasks to tensors of shape `(batch, ..., units)`.

    Raises:
        ValueError: If an argument does not fit, and in `build` if the number
            of features is not known or not the same for all tasks.

    Example:

    ```python
    heads = keras_mtl.layers.MultilinearRelationship(
        10, tasks=["photo", "sketch", "painting"]
    )
    outputs = heads(keras.random.normal((32, 64)))  # three of (32, 10)
    heads.sharing_matrices()[0].values  # 3 x 3 correlations
    ```

    Reference:

    - Long et al., "Learning Multiple Tasks with Multilinear Relationship
      Networks", 2017 ([arXiv:1506.02117](https://arxiv.org/abs/1506.02117))
    """

    def __init__(
        self,
        units: int,
        tasks: Sequence[str],
        activation: Any = None,
        strength: float = 0.01,
        update_every: int = 100,
        shrinkage: float | None = None,
        modes: Sequence[str] = MODES,
        log_determinant: bool = False,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.units = integer_from(1, "units", units)
        self.tasks = check_tasks(tasks)
        self.activation = keras.activations.get(activation)
        self.strength = number_from_zero("strength", strength)
        self.update_every = integer_from(1, "update_every", update_every)
        self.shrinkage = (
            shrinkage
            if shrinkage is None
            else number_to_one("shrinkage", shrinkage, zero=False)
        )
        self.modes = _check_modes(modes)
        self.log_determinant = boolean("log_determinant", log_determinant)
        self.use_bias = boolean("use_bias", use_bias)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)

        self.supports_masking = True
        # Made in `build`.
        self.kernels = []
        self.biases = []
        self.factors = []
        self.steps = None

    def build(self, input_shape: Any) -> None:
        check_shapes(self.name, input_shape)
        shapes = spread(self.name, self.tasks, input_shape)
        features = _last_axis(self.name, self.tasks, shapes)
        for index, task in enumerate(self.tasks):
            # A slash has a meaning in the names of variables.
            name = task.replace("/", "_")
            self.kernels.append(
                self.add_weight(
                    (features, self.units),
                    clone_initializer(self.kernel_initializer, index),
                    # The penalty needs them in full precision.
                    autocast=False,
                    name=f"{name}_kernel",
                )
            )
            if self.use_bias:
                self.biases.append(
                    self.add_weight(
                        (self.units,),
                        clone_initializer(self.bias_initializer, index),
                        name=f"{name}_bias",
                    )
                )
        sizes = dict(
            zip(MODES, (features, self.units, len(self.tasks)), strict=True)
        )
        # Of each covariance S the lower triangular A with A' A = S^-1: with
        # it the penalty is a sum of squares, and takes no solver.
        self.factors = [
            self.add_weight(
                (sizes[mode], sizes[mode]),
                "identity",
                dtype="float32",
                trainable=False,
                autocast=False,
                aggregation="mean",
                name=f"{mode}_factor",
            )
            for mode in self.modes
        ]
        self.steps = self.add_weight(
            (),
            "zeros",
            # Not int32, which TensorFlow keeps off the GPU.
            dtype="int",
            trainable=False,
            aggregation="only_first_replica",
            name="steps",
        )

    def call(
        self, inputs: Any, training: bool | None = None
    ) -> dict[str, Tensor]:
        if self.trainable:
            kernel = self._stacked_kernel()
            if training:
                self._count_step(kernel)
            self.add_loss(self._penalty(kernel))
        tensors = spread(self.name, self.tasks, inputs)
        return {
            task: self._predict(index, x)
            for index, (task, x) in enumerate(
                zip(self.tasks, tensors, strict=True)
            )
        }

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if all(mask is None for mask in keras.tree.flatten(previous_mask)):
            return None
        masks = spread(self.name, self.tasks, previous_mask)
        return dict(zip(self.tasks, masks, strict=True))

    def compute_output_shape(self, input_shape: Any) -> dict[str, Any]:
        shapes = spread(self.name, self.tasks, input_shape)
        return {
            task: (*shape[:-1], self.units)
            for task, shape in zip(self.tasks, shapes, strict=True)
        }

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "units": self.units,
                "tasks": list(self.tasks),
                "activation": keras.activations.serialize(self.activation),
                "strength": self.strength,
                "update_every": self.update_every,
                "shrinkage": self.shrinkage,
                "modes": list(self.modes),
                "log_determinant": self.log_determinant,
                "use_bias": self.use_bias,
                "kernel_initializer": keras.initializers.serialize(
                    self.kernel_initializer
                ),
                "bias_initializer": keras.initializers.serialize(
                    self.bias_initializer
                ),
            }
        )
        return config

    def sharing_matrices(self) -> list[SharingMatrix]:
        """The learned correlations between the tasks, if they are learned."""
        check_built(self)
        if "tasks" not in self.modes:
            return []
        factor = self.factors[self.modes.index("tasks")]
        inverse = np.linalg.inv(ops.convert_to_numpy(factor).astype("float64"))
        covariance = inverse @ inverse.T
        deviations = np.sqrt(np.diag(covariance))
        values = covariance / np.outer(deviations, deviations)
        names = list(self.tasks)
        return [
            SharingMatrix("task correlations", values, names, names, -1.0, 1.0)
        ]

    def _predict(self, index: int, x: Tensor) -> Tensor:
        kernel = ops.cast(self.kernels[index], self.compute_dtype)
        y = ops.matmul(x, kernel)
        if self.use_bias:
            y = y + self.biases[index]
        return self.activation(y)

    def _stacked_kernel(self) -> Tensor:
        kernels = [ops.cast(kernel, "float32") for kernel in self.kernels]
        return ops.stack(kernels, axis=-1)

    def _penalty(self, kernel: Tensor) -> Tensor:
        factors = [ops.convert_to_tensor(factor) for factor in self.factors]
        total = ops.sum(ops.square(self._whitened(kernel, factors)))
        if self.log_determinant:
            size = math.prod(kernel.shape)
            for factor in factors:
                logs = ops.log(ops.diagonal(factor))
                # The determinant of S is that of its factor to the -2.
                total -= 2 * size / logs.shape[0] * ops.sum(logs)
        return self.strength / 2 * total

    def _count_step(self, kernel: Tensor) -> None:
        """Updates the covariances in every `update_every`-th call."""
        kernel = ops.stop_gradient(kernel)
        steps = self.steps + 1
        is_due = steps >= self.update_every
        factors = ops.cond(
            is_due,
            lambda: self._flip_flop(kernel),
            lambda: [ops.convert_to_tensor(factor) for factor in self.factors],
        )
        for variable, factor in zip(self.factors, factors, strict=True):
            variable.assign(factor)
        self.steps.assign(ops.where(is_due, ops.zeros_like(steps), steps))

    def _flip_flop(self, kernel: Tensor) -> list[Tensor]:
        """Factors of the covariances, each from the newest of the others."""
        factors = [ops.convert_to_tensor(factor) for factor in self.factors]
        for index, mode in enumerate(self.modes):
            others = self._whitened(kernel, factors, without=mode)
            rows = _unfold(others, MODES.index(mode))
            factors[index] = self._factor(rows, factors[index])
        return factors

    def _whitened(
        self, kernel: Tensor, factors: list[Tensor], without: str | None = None
    ) -> Tensor:
        """The kernel with its modes multiplied by their factors."""
        for mode, factor in zip(self.modes, factors, strict=True):
            if mode != without:
                kernel = _mode_product(kernel, factor, MODES.index(mode))
        return kernel

    def _factor(self, rows: Tensor, old: Tensor) -> Tensor:
        """The factor of the covariance of these rows, one for each entry."""
        size, samples = rows.shape
        share = self.shrinkage
        if share is None:
            share = size / (size + samples)
        share = max(share, min(size * SMALLEST_SHARE, 1.0))
        identity = ops.eye(size, dtype="float32")
        moments = ops.matmul(rows, ops.transpose(rows))
        mean = ops.trace(moments) / size
        # Kernels of zeros say nothing, and those that are not finite are for
        # the loss to show: TensorFlow would stop at their factorization.
        is_usable = ops.logical_and(mean > 0, ops.isfinite(mean))
        moments = ops.where(is_usable, moments, identity)
        mean = ops.where(is_usable, mean, ops.ones_like(mean))
        covariance = (1 - share) * moments / mean + share * identity
        new = ops.linalg.solve_triangular(
            ops.linalg.cholesky(covariance), identity, lower=True
        )
        return ops.where(is_usable, new, old)


def _last_axis(
    layer: str, tasks: Sequence[str], shapes: Sequence[Shape]
) -> int:
    """The number of features, which has to be known and the same for all.

    Raises:
        ValueError: If it is not, or if a shape has fewer than two axes.
    """
    for task, shape in zip(tasks, shapes, strict=True):
        if len(shape) < 2 or shape[-1] is None or shape[-1] != shapes[0][-1]:
            raise ValueError(
                f"Layer '{layer}' needs inputs of shape (batch, ..., "
                "features), with one known number of features for all tasks. "
                f"Received: {tasks[0]!r} of shape {tuple(shapes[0])} and "
                f"{task!r} of shape {tuple(shape)}"
            )
    return shapes[0][-1]


def _mode_product(tensor: Tensor, matrix: Tensor, axis: int) -> Tensor:
    product = ops.tensordot(matrix, tensor, axes=(1, axis))
    return ops.moveaxis(product, 0, axis)


def _unfold(tensor: Tensor, axis: int) -> Tensor:
    """A matrix with one row for each entry of the axis."""
    tensor = ops.moveaxis(tensor, axis, 0)
    return ops.reshape(tensor, (tensor.shape[0], -1))


def _check_modes(modes: Any) -> list[str]:
    is_sequence = isinstance(modes, Sequence) and not isinstance(modes, str)
    if (
        not is_sequence
        or not modes
        or any(mode not in MODES for mode in modes)
        or len(set(modes)) < len(modes)
    ):
        raise ValueError(
            f"`modes` should be a list of some of {MODES}, each once. "
            f"Received: modes={modes!r}"
        )
    # In one order, in which the covariances are updated too.
    return [mode for mode in MODES if mode in modes]
