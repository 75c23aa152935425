"""Variables that come after the optimizer was built."""

from collections.abc import Sequence

import keras

from keras_mtl.utils.keras_internals import variables_of_optimizer


def check_optimizer_knows(
    optimizer: keras.optimizers.Optimizer | None,
    late: Sequence[keras.Variable],
) -> None:
    """Checks that an optimizer can train what a weighting trains.

    That is made once the tasks are known, in the first batch of a subclassed
    model, and an optimizer takes no more variables when it is built.

    Args:
        optimizer: Nothing is asked of it if it is not built.
        late: What the weighting trains.

    Raises:
        ValueError: If it was built without some of them.
    """
    if optimizer is None or not optimizer.built:
        return
    known = {id(v) for v in variables_of_optimizer(optimizer)}
    unknown = [v.path for v in late if id(v) not in known]
    if unknown:
        raise ValueError(
            "The optimizer was built before the model knew its tasks, and so "
            "without what the weighting trains. `compile` the model with a new "
            "optimizer and let `fit` build it; to go on after an interruption, "
            "use `keras_mtl.callbacks.BackupAndRestore`. Received: optimizer "
            f"'{optimizer.name}' without the variables {unknown}"
        )
