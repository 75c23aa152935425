"""Networks side by side whose weights are pulled towards each other."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.task_exchange import check_built
from keras_mtl.layers.per_task import PerTask
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero

NORMS = ("l2", "trace")
# Singular values that are this much smaller than the largest are rounding.
ROUNDING = 64 * 2.0**-23


@keras.saving.register_keras_serializable(package="keras_mtl")
class SoftSharing(PerTask):
    """A copy of a layer for each task, with weights that stay close.

    In soft parameter sharing every task has a network of its own, and a
    penalty on what their weights do not have in common is added to the loss.
    With `strength=0` the networks are independent, and the larger it is, the
    more they behave as one that is shared. The penalty is `strength` times
    the sum, over the variables that are matched, of

    - `"l2"`: the squared distances of all pairs of tasks,
      `sum over a < b of ||W_a - W_b||_F^2`. It pulls the weights to be equal.
    - `"trace"`: the trace norm (sum of the singular values) of the matrix that
      has the flattened weights of each task as a row. It pulls the weights
      into a space of few dimensions: tasks may differ by a factor, or be
      mixtures of a few. It shrinks them as well. At zero singular values,
      where the norm has a kink, the gradient taken is the smallest one.

    Variables match by their place in the copies. By default all count that at
    least one copy trains, biases and normalisation scales too: the networks
    are to do the same, and biases that drift apart keep them from it. State
    such as the averages of `BatchNormalization` does not count. A copy that
    is frozen pulls the others to its weights, and is not pulled; that is how
    the paper uses a parser that was trained on another language.

    The penalty is computed in float32, once for each call of the layer, and
    `evaluate` includes it, as it does with regularizers.

    Copies start from weights of their own. For an equal start, build the
    layer and use `set_weights` of one of its `copies` with `get_weights` of
    another.

    Args:
        layer: A Keras layer or model, of which each task gets a copy; a
            function without arguments that makes a layer; or a list of
            layers, one for each task. See `PerTask`. Their weights must have
            equal shapes.
        tasks: List of the names of the tasks.
        strength: float >= 0. Weight of the penalty. Duong et al. choose it by
            experiment, and for groups of weights apart; there is no published
            default.
        norm: `"l2"` or `"trace"`.
        variables: Names of the variables to match, a string or a list.
            `"kernel"` takes every variable of that name and not
            `recurrent_kernel`; `"dense_1/kernel"` takes the end of a path.
            Duong et al. leave word embeddings out. Defaults to `None`: all.
        **kwargs: Base layer keyword arguments, such as `name`. The copies have
            dtype policies of their own; that of this layer is always float32.

    Call arguments:
        inputs: One tensor, which every copy gets, or a dict from names of
            tasks to tensors, or a list of tensors in the order of `tasks`.
        mask: Mask of the inputs, where they do not carry it.
        training: bool. Passed on to the copies.

    Returns:
        Dict from names of tasks to the outputs of their copies.

    Raises:
        ValueError: If an argument does not fit, and in `build` if the weights
            of two tasks have different shapes, or if none are matched.

    Example:

    ```python
    towers = keras_mtl.layers.SoftSharing(
        keras.layers.Dense(16, "relu"),
        tasks=["english", "german"],
        strength=1e-3,
        variables="kernel",
    )
    outputs = towers(keras.random.normal((32, 8)))
    towers.losses  # [1e-3 * ||W_english - W_german||^2]
    ```

    References:

    - Duong et al., "Low Resource Dependency Parsing: Cross-lingual Parameter
      Sharing in a Neural Network Parser", 2015
      ([ACL](https://aclanthology.org/P15-2139))
    - Yang and Hospedales, "Trace Norm Regularised Deep Multi-Task Learning",
      2016 ([arXiv:1606.04038](https://arxiv.org/abs/1606.04038)). `"trace"`
      is their "last axis flattening".
    """

    def __init__(
        self,
        layer: Any,
        tasks: Sequence[str],
        strength: float = 1e-3,
        norm: str = "l2",
        variables: str | Sequence[str] | None = None,
        **kwargs: Any,
    ):
        # Under a policy of mixed precision the layer would read the weights in
        # half precision, in which those of similar networks do not differ.
        kwargs["dtype"] = "float32"
        super().__init__(layer, tasks, **kwargs)
        self.strength = number_from_zero("strength", strength)
        if norm not in NORMS:
            raise ValueError(
                f"`norm` should be one of {NORMS}. Received: norm={norm!r}"
            )
        self.norm = norm
        self.variables_to_match = _names(variables)

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self._check_shapes()
        self._check_names()

    def call(
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> dict[str, Any]:
        outputs = super().call(inputs, mask=mask, training=training)
        matched = self._matched()
        if matched:
            norm = _squared_distance if self.norm == "l2" else _trace_norm
            self.add_loss(self.strength * norm(matched))
        return outputs

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "strength": self.strength,
                "norm": self.norm,
                "variables": self.variables_to_match,
            }
        )
        return config

    def sharing_matrices(self) -> list[SharingMatrix]:
        """The cosines between the matched weights of the tasks."""
        check_built(self)
        rows = [
            _flat(variables) for variables in zip(*self._matched(), strict=True)
        ]
        if not rows:
            return []
        norms = np.array([np.linalg.norm(row) for row in rows])
        rows = np.stack(rows) / np.where(norms > 0, norms, 1.0)[:, None]
        names = list(self.tasks)
        return [
            SharingMatrix(
                "weight cosines", rows @ rows.T, names, names, -1.0, 1.0
            )
        ]

    def _matched(self) -> list[tuple[keras.Variable, ...]]:
        """The variables of all tasks at each place that counts."""
        # Looked up at each call, because layers can be frozen at any time.
        places = zip(*(layer.weights for layer in self.copies), strict=True)
        return [
            variables
            for variables in places
            if any(variable.trainable for variable in variables)
            and self._is_named(variables)
        ]

    def _is_named(self, variables: Sequence[keras.Variable]) -> bool:
        names = self.variables_to_match
        return names is None or any(
            _has_name(variable, name)
            for variable in variables
            for name in names
        )

    def _check_shapes(self) -> None:
        first, expected = self.tasks[0], self.copies[0].weights
        for task, layer in zip(self.tasks, self.copies, strict=True):
            weights = layer.weights
            # One that has no counterpart is told of below.
            for a, b in zip(expected, weights, strict=False):
                if a.shape != b.shape:
                    raise ValueError(
                        f"{self._cannot_match()} Received: '{a.path}' of shape "
                        f"{tuple(a.shape)} for the task {first!r} and "
                        f"'{b.path}' of shape {tuple(b.shape)} for {task!r}"
                    )
            if len(weights) != len(expected):
                longer = max(weights, expected, key=len)
                alone = longer[min(len(weights), len(expected))]
                raise ValueError(
                    f"{self._cannot_match()} Received: {len(expected)} of them "
                    f"for the task {first!r} and {len(weights)} for {task!r}; "
                    f"'{alone.path}' has no counterpart"
                )

    def _cannot_match(self) -> str:
        return (
            f"Layer '{self.name}' pulls the weights of its tasks towards each "
            "other, so each task must have as many, of the same shapes."
        )

    def _check_names(self) -> None:
        weights = [w for layer in self.copies for w in layer.weights]
        if not weights:
            raise ValueError(
                f"Layer '{self.name}' has no weights to pull towards each "
                "other. A layer that makes them in `call` needs a `build` "
                f"method that does. Received: layer={self.copies[0]!r}"
            )
        for name in self.variables_to_match or []:
            if not any(_has_name(weight, name) for weight in weights):
                raise ValueError(
                    "`variables` should name variables of the layers in "
                    f"'{self.name}', which are "
                    f"{sorted({weight.name for weight in weights})}. "
                    f"Received: {name!r}"
                )


def _squared_distance(matched: list[tuple[keras.Variable, ...]]) -> Tensor:
    """Sum of ||W_a - W_b||^2 over the matched variables and pairs of tasks."""
    total = 0.0
    for variables in matched:
        rows = [ops.cast(variable, "float32") for variable in variables]
        # T times the squared distances from the mean: the same sum, from T
        # terms in place of T * (T - 1) / 2. Differences from the first make it
        # zero, and not just small, where all are equal.
        rows = [row - rows[0] for row in rows]
        mean = sum(rows) / len(rows)
        parts = [ops.sum(ops.square(row - mean)) for row in rows]
        total = total + len(rows) * sum(parts)
    return total


def _trace_norm(matched: list[tuple[keras.Variable, ...]]) -> Tensor:
    """Sum of the trace norms of the matched variables, one row a task.

    Rotated by the eigenvectors of their Gram matrix, the rows are orthogonal,
    and their lengths are the singular values. So they err by some 1e-5 of the
    largest, where the roots of the eigenvalues, of which float32 knows half as
    many digits, err by 3e-4. The rotation is a constant to the gradient,
    which then is `U V'`: no derivative of eigenvectors, which is infinite
    where two eigenvalues are equal.
    """
    matrices = [
        [ops.reshape(ops.cast(v, "float32"), (-1,)) for v in variables]
        for variables in matched
    ]
    grams = ops.stop_gradient(ops.stack([_gram(rows) for rows in matrices]))
    # Weights that are not finite are for the loss to show: TensorFlow would
    # stop at their eigenvectors.
    grams = ops.where(ops.isfinite(grams), grams, ops.zeros_like(grams))
    _, vectors = ops.linalg.eigh(grams)
    return sum(
        ops.sum(_lengths(_rotate(vectors[index], rows)))
        for index, rows in enumerate(matrices)
    )


def _gram(rows: list[Tensor]) -> Tensor:
    # Not by a matrix product, which GPUs round to ten bits.
    matrix = ops.stack(rows)
    return ops.stack([ops.sum(matrix * row, axis=-1) for row in rows])


def _rotate(vectors: Tensor, rows: list[Tensor]) -> Tensor:
    """The rows in the basis of the eigenvectors, which are columns."""
    return sum(vectors[t][:, None] * row for t, row in enumerate(rows))


def _lengths(rows: Tensor) -> Tensor:
    """Lengths of the rows; zero, with no gradient, for those near zero."""
    squares = ops.sum(ops.square(rows), axis=-1)
    smallest = ROUNDING**2 * ops.max(squares)
    # Not `squares > smallest`: what is not a number has to stay.
    is_zero = squares <= smallest
    # The root has no finite gradient at zero, even where it is not taken.
    roots = ops.sqrt(ops.where(is_zero, ops.ones_like(squares), squares))
    return ops.where(is_zero, ops.zeros_like(roots), roots)


def _flat(variables: Sequence[keras.Variable]) -> np.ndarray:
    arrays = [np.ravel(ops.convert_to_numpy(v)) for v in variables]
    return np.concatenate(arrays).astype("float64")


def _has_name(variable: keras.Variable, name: str) -> bool:
    return f"/{variable.path}".endswith(f"/{name}")


def _names(variables: Any) -> list[str] | None:
    if variables is None:
        return None
    names = [variables] if isinstance(variables, str) else variables
    is_sequence = isinstance(names, Sequence) and len(names) > 0
    if not is_sequence or not all(isinstance(n, str) and n for n in names):
        raise ValueError(
            "`variables` should be a name of variables or a list of names, "
            f"such as 'kernel'. Received: variables={variables!r}"
        )
    return list(names)
