"""GradDrop: each coordinate keeps the gradients of one sign."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.matrices import divisor
from keras_mtl.solvers.matrices import to_jacobian
from keras_mtl.solvers.random_numbers import random_uniforms
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import is_number
from keras_mtl.utils.argument_validation import number_above_zero

KEEP_PROB_FUNCTIONS = ("linear", "sigmoid")


@keras.saving.register_keras_serializable(package="keras_mtl")
class GradDrop(Aggregator):
    """Gradient sign dropout: where gradients disagree, one sign is drawn.

    In each coordinate the positive sign purity is

        P = (1 + sum_t g_t / sum_t |g_t|) / 2.

    With probability P the positive entries are kept and the negative ones
    dropped, otherwise the other way round; the update is the sum of what is
    kept (there is no 1 / T). Where all signs agree, that is the sum. With
    `leak`, a share l_t of a dropped entry survives: the update is
    sum_t (l_t + (1 - l_t) M_t) g_t, where M_t is 1 for kept and 0 for dropped
    entries.

    Coordinates are drawn independently, and anew in every step. The paper
    draws them at a layer's activations, for which it multiplies by the sign of
    the activations and sums over the batch; here they are the gradients of the
    shared variables, or of each entry of `representation`, as they are.

    With a function f of P, positive entries are kept with probability f(P). In
    the paper's experiments f(P) = P, which is the default here. The authors'
    layer (in lingvo) has k (P - 1/2) + 1/2 (`"linear"`) and sigmoid(4 k (P -
    1/2)) (`"sigmoid"`), k being `keep_prob_function_scale`, and by default
    makes the update as long as the sum of the gradients is, which is
    `keep_gradnorm_constant=True`.

    Args:
        leak: Share of a dropped entry that survives, from 0 to 1: one number
            for all tasks, or one for each in the order of `loss`. None
            (default) is zero.
        keep_prob_function: `"linear"` or `"sigmoid"`.
        keep_prob_function_scale: The k, above 0. Above 1 linear probabilities
            are cut at 0 and 1.
        keep_gradnorm_constant: Whether the update gets the norm of the sum of
            the gradients, in each variable (or entry of `representation`).
        seed: Integer that fixes the sequence of draws; None for a new one. The
            sequence is the same on every backend, compiled or not.
        name: Name of the method.

    Example:

    >>> keras_mtl.aggregators.GradDrop(seed=0)(
    ...     [[-4., 1., 1.], [6., 1., 1.]])
    [6. 2. 2.]

    Reference:

    - [Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign
        Dropout](https://arxiv.org/abs/2010.06808), Chen et al. 2020
    """

    sees = "entries"

    def __init__(
        self,
        leak: float | Sequence[float] | None = None,
        seed: int | None = None,
        keep_prob_function: str = "linear",
        keep_prob_function_scale: float = 1.0,
        keep_gradnorm_constant: bool = False,
        name: str | None = None,
    ):
        super().__init__(name=name)
        if keep_prob_function not in KEEP_PROB_FUNCTIONS:
            raise ValueError(
                "`keep_prob_function` must be one of "
                f"{list(KEEP_PROB_FUNCTIONS)}. Received: "
                f"keep_prob_function={keep_prob_function!r}"
            )
        self.keep_prob_function = keep_prob_function
        self.keep_prob_function_scale = number_above_zero(
            "keep_prob_function_scale", keep_prob_function_scale
        )
        self.keep_gradnorm_constant = boolean(
            "keep_gradnorm_constant", keep_gradnorm_constant
        )
        self.leak = _shares(leak)
        self.seed = seed
        self.seed_generator = self.add_seed("seed_generator", seed)

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that `leak` fits the tasks."""
        if isinstance(self.leak, list) and len(self.leak) != len(task_names):
            raise ValueError(
                "`leak` must be one number or one for each of the tasks "
                f"{list(task_names)}. Received: leak={self.leak}"
            )

    def combine(self, jacobian: Tensor, step: StepInfo = ALONE) -> Tensor:
        """One gradient from the task gradients; each call draws anew.

        Args:
            jacobian: Float tensor or NumPy array `[T, n]`, a task a row.
            step: Which tasks the rows belong to; it matters if `leak` differs
                between tasks.

        Returns:
            Float tensor `[n]`.
        """
        jacobian = to_jacobian(jacobian)
        leak = self._row_leaks(jacobian.shape[0], step.tasks)
        leak = ops.convert_to_tensor(leak, dtype=jacobian.dtype)
        # Not of the static shape: a representation has one row an example.
        size = ops.shape(jacobian)[1]
        draw = random_uniforms(self.seed_generator.next(), size)
        sizes = ops.sum(ops.abs(jacobian), axis=0)
        total = ops.sum(jacobian, axis=0)
        purity = 0.5 * (1 + total / divisor(sizes))
        keep = self._keep_probability(purity)
        positive = ops.cast(draw, jacobian.dtype) < keep
        kept = ops.where(positive, jacobian > 0, jacobian < 0)
        # Multiplied, not selected: what is not finite stays so.
        share = leak + (1 - leak) * ops.cast(kept, jacobian.dtype)
        update = ops.sum(share * jacobian, axis=0)
        return (
            _with_norm_of(total, update)
            if self.keep_gradnorm_constant
            else update
        )

    def _keep_probability(self, purity: Tensor) -> Tensor:
        """Of positive entries."""
        scale = self.keep_prob_function_scale
        if self.keep_prob_function == "sigmoid":
            return ops.sigmoid(4 * scale * (purity - 0.5))
        return purity if scale == 1 else scale * (purity - 0.5) + 0.5

    def _row_leaks(
        self, num_rows: int, tasks: Sequence[int] | None
    ) -> np.ndarray:
        """Leaks of the rows, `[T, 1]` or `[1, 1]`."""
        leaks = np.reshape(self.leak or 0.0, (-1, 1))
        if len(leaks) > 1 and tasks is not None:
            leaks = leaks[list(tasks)]
        if len(leaks) not in (1, num_rows):
            raise ValueError(
                f"`leak` must be one number or one for each of the {num_rows} "
                f"tasks. Received: leak={self.leak}"
            )
        return leaks

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["granularity"]
        return {
            "leak": self.leak,
            "seed": self.seed,
            "keep_prob_function": self.keep_prob_function,
            "keep_prob_function_scale": self.keep_prob_function_scale,
            "keep_gradnorm_constant": self.keep_gradnorm_constant,
            **config,
        }


def _with_norm_of(model: Tensor, update: Tensor) -> Tensor:
    """The update, made as long as the other vector; zero stays zero."""
    # Of entries of size one at most, squares are in range.
    scales = [ops.max(ops.abs(vector)) for vector in (model, update)]
    lengths = [
        scale * ops.norm(vector / divisor(scale))
        for vector, scale in zip((model, update), scales, strict=True)
    ]
    return update * (lengths[0] / divisor(lengths[1]))


def _shares(leak: Any) -> float | list[float] | None:
    if leak is None:
        return None
    given = leak.tolist() if isinstance(leak, np.ndarray) else leak
    shares = list(given) if isinstance(given, Sequence) else [given]
    if not shares or not all(is_number(s) and 0 <= s <= 1 for s in shares):
        raise ValueError(
            "`leak` must be a number from 0 to 1, one for each task, or None. "
            f"Received: leak={leak!r}"
        )
    shares = [float(share) for share in shares]
    return shares if isinstance(given, Sequence) else shares[0]
