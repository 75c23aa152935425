"""Variables that come after the optimizer was built."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_mtl.keras_internals import variables_of_optimizer


def let_train(
    optimizer: keras.optimizers.Optimizer | None,
    variables: Sequence[keras.Variable],
    late: Sequence[keras.Variable],
) -> None:
    """Lets an optimizer train what was made after it was built.

    What a weighting trains is made once the tasks are known, and an optimizer
    takes no more variables when it is built. So it is built anew, and keeps
    what it remembers of the others. It stays the same object, because the user
    may have it, to change its learning rate.

    Args:
        optimizer: Nothing is done if it is not built.
        variables: All that it is to train, in their order.
        late: Those of them that it may not know yet.
    """
    if optimizer is None or not optimizer.built or not late:
        return
    known = {id(v) for v in variables_of_optimizer(optimizer)}
    new = {id(v) for v in variables} - known
    if not new or not new <= {id(v) for v in late}:
        return
    before = _by_path(optimizer)
    fresh = type(optimizer).from_config(optimizer.get_config())
    vars(optimizer).update(vars(fresh))
    optimizer.build(variables)
    for path, made in _by_path(optimizer).items():
        for variable, old in zip(made, before.get(path, ())):
            variable.assign(_numpy(old))


def _by_path(
    optimizer: keras.optimizers.Optimizer,
) -> dict[str, list[keras.Variable]]:
    """Its own variables; those of equal layers may have one path."""
    found: dict[str, list[keras.Variable]] = {}
    for variable in optimizer.variables:
        found.setdefault(variable.path, []).append(variable)
    return found


def _numpy(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)
