"""STCH: a smooth maximum of the weighted losses."""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_above_zero
from keras_mtl.utils.argument_validation import numbers_by_task
from keras_mtl.utils.argument_validation import spread_over_tasks
from keras_mtl.weightings.scalarization import ReferenceScalarization
from keras_mtl.weightings.scalarization import constant
from keras_mtl.weightings.scalarization import of_present

SMALLEST_RATIO = 1e-20


@keras.saving.register_keras_serializable(package="keras_mtl")
class STCH(ReferenceScalarization):
    """Smooth Tchebycheff scalarization: minimises a soft maximum.

    With the preference p (it sums to one) and the reference z it minimises

        S(l) = mu log sum_t exp(p_t (l_t - z_t) / mu),

    which lies above the maximum of p_t (l_t - z_t) by mu log(T) at most. The
    weights are dS/dl_t = p_t softmax(p (l - z) / mu)_t: not negative, and with
    equal preferences they sum to 1 / T. A large mu gives p_t / T, fixed
    weights; a small one gives `Tchebycheff`, the worst task alone.

    The losses should be of one scale, for example by `loss_weights`. The
    authors' code for deep networks makes them so with a nadir n, the mean
    losses of a first phase of training: with `nadir` it minimises

        S(l) = T mu log sum_t exp(T p_t log(l_t / n_t) / mu),

    of which the weights are T^2 p_t softmax(T p log(l / n) / mu)_t / l_t. With
    equal preferences T p_t is 1, as there. Until n is known they minimise the
    sum of the logarithms, which is `ScaleInvariant`: compile with that for the
    first epochs, and then with the means of the losses of the last of them.

    A task
    without labels in a batch takes no part: S is that of the others.

    Args:
        mu: Number above 0. The paper tries 0.01, 0.1, 0.5 and 1 and finds
            none the best for all problems; it names no default.
        preference: Numbers from 0 up, not all zero: a dict by names of tasks,
            or a sequence in the order of `loss`. None means equal numbers.
        reference: The ideal point z, a lower bound for each loss, likewise.
            None means zeros.
        nadir: Losses above 0 to which logarithms of the losses are relative: a
            dict by names of tasks, or a sequence in the order of `loss`. None
            takes the losses as they are. It excludes `reference`.
        name: Name of the method.

    Example:

    ```python
    model.compile(
        "adam",
        loss={"left": "mse", "right": "mse"},
        weighting=keras_mtl.weightings.STCH(
            mu=0.1, preference={"left": 2.0, "right": 1.0}
        ),
    )
    ```

    Reference:

    - [Smooth Tchebycheff Scalarization for Multi-Objective Optimization](
        https://arxiv.org/abs/2402.19078), Lin et al. 2024
    """

    def __init__(
        self,
        mu: float = 0.1,
        preference: Any = None,
        reference: Any = None,
        nadir: Any = None,
        name: str | None = None,
    ):
        super().__init__(preference=preference, reference=reference, name=name)
        self.mu = number_above_zero("mu", mu)
        self.nadir = numbers_by_task("nadir", nadir)
        given = keras.tree.flatten(self.nadir)
        if self.nadir is not None and min(given, default=0) <= 0:
            raise ValueError(
                "`nadir` must hold a number above 0 for each task. Received: "
                f"nadir={nadir}"
            )
        if nadir is not None and reference is not None:
            raise ValueError(
                "`nadir` and `reference` exclude each other: logarithms are "
                f"of losses above 0. Received: nadir={nadir} and "
                f"reference={reference}"
            )

    def create_state(self, task_names: tuple[str, ...]) -> None:
        """Checks that the nadir fits the tasks, too."""
        super().create_state(task_names)
        spread_over_tasks("nadir", self.nadir, task_names)

    def weights(self, losses: Tensor, present: Tensor | None = None) -> Tensor:
        losses = ops.convert_to_tensor(losses)
        preference = self.preference_of(losses, present)
        if self.nadir is not None:
            return self._weights_of_logarithms(losses, preference, present)
        scores = preference * self.distances(losses, present)
        scores = of_present(scores / self.mu, present, other=-1e30)
        return preference * ops.softmax(scores)

    def _weights_of_logarithms(
        self, losses: Tensor, preference: Tensor, present: Tensor | None
    ) -> Tensor:
        names = self.task_names or range(losses.shape[0])
        nadir = constant(self._nadir_by_task(names), losses)
        count = losses.shape[0]
        if present is not None:
            count = ops.sum(ops.cast(present, losses.dtype))
        # As published; it keeps the logarithm of 0 finite.
        ratios = losses / nadir + SMALLEST_RATIO
        scores = count * preference * ops.log(ratios) / self.mu
        scores = of_present(scores, present, other=-1e30)
        factors = of_present(count * count * preference / ratios, present)
        return factors / nadir * ops.softmax(scores)

    def _nadir_by_task(self, names: Any) -> np.ndarray:
        if isinstance(self.nadir, dict):
            self.check_built()
        return np.array(spread_over_tasks("nadir", self.nadir, names))

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        return {"mu": self.mu, "nadir": self.nadir, **config}
