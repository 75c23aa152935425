"""Decoupled weight decay that may not oppose the gradient of the loss."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.optimizers.censored_update import CensoredUpdate
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.keras_internals import is_decayed


@keras.saving.register_keras_serializable(package="keras_mtl")
class CensoredWeightDecay(CensoredUpdate):
    """Decays weights where that does not work against the loss.

    AdamW and its like subtract `learning_rate * weight_decay * variable` in
    each step. Here a rule takes from the variable, seen as a vector, what
    opposes the gradient of the loss, or the gradient's moving average: with
    the default, decay never undoes what the loss gains by, and stays harmless
    when `weight_decay` is too large. With `rule=None` it is plain decoupled
    weight decay, as of `keras.optimizers.AdamW`.

    `exclude_from_weight_decay(var_names=["bias"])` leaves variables out, as
    for every Keras optimizer. By default all are decayed, as in the paper.

    Args:
        inner_optimizer: The optimizer to wrap, such as
            `keras.optimizers.Adam(1e-3)`; one without `weight_decay`.
        weight_decay: Number from 0 up. The default is that of AdamW. Since a
            censored decay is harmless for longer, larger ones pay off: in the
            paper 100 is the best for Adam with a learning rate of 0.001.
        rule: An aggregator with a main task such as
            `keras_mtl.aggregators.Projection("main", smoothing=1.0)`, the
            name of one, or `None`; see `CensoredUpdate`. Defaults to
            `"projection"`: each variable on its own, smoothing 0.01.
        name: Name of the optimizer.

    Example:

    ```python
    optimizer = keras_mtl.optimizers.CensoredWeightDecay(
        keras.optimizers.Adam(1e-3), weight_decay=10.0
    )
    model.compile(optimizer, loss="binary_crossentropy")
    ```

    Reference:

    - Tran-Thien, Censoring the auxiliary loss gradient to mitigate risks of
        negative transfer (experiment 4)
    - [Loshchilov & Hutter, 2019](https://arxiv.org/abs/1711.05101)
    """

    def __init__(
        self,
        inner_optimizer: keras.optimizers.Optimizer | str,
        weight_decay: float = 0.004,
        rule: MainTaskAggregator | str | None = "projection",
        name: str | None = None,
    ):
        weight_decay = number_from_zero("weight_decay", weight_decay)
        super().__init__(inner_optimizer, weight_decay, rule, name=name)
        inner = self.inner_optimizer
        while hasattr(inner, "inner_optimizer"):
            inner = inner.inner_optimizer
        if inner.weight_decay:
            raise ValueError(
                "`inner_optimizer` must not decay weights too: that decay "
                "would not be censored. Received: "
                f"weight_decay={inner.weight_decay} of {inner.name}"
            )

    def auxiliary_vectors(
        self, variables: Sequence[keras.Variable]
    ) -> list[Any]:
        return [v if is_decayed(self, v) else None for v in variables]

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["decoupled"]
        weight_decay = config.pop("weight")
        return {**config, "weight_decay": weight_decay}
