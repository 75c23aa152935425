"""What `keras.models.clone_model` makes of a model, and of its auxiliaries.

Keras clones the layers of a graph, calls the clones and makes a model of the
outputs. Auxiliaries are in no graph. They are cloned along with it, and wait
at the outputs for the new model.
"""

from collections.abc import Callable
from typing import Any

import keras

from keras_mtl.utils.graph import find_operation
from keras_mtl.utils.keras_internals import functional_like_constructor

WAITING = "_keras_mtl_auxiliaries"


def is_clone_function(operation_fn: Any) -> bool:
    """Whether Keras runs through a graph to clone it, not to compute it."""
    module = getattr(operation_fn, "__module__", None)
    return module == keras.models.clone_model.__module__


def check_is_cloned(model: keras.Model) -> None:
    """Raises if the clone of a model would lack what only ours can have.

    Of a class that has a constructor of its own, Keras makes a plain model,
    and compiles it with what the class was compiled with.
    """
    if functional_like_constructor(type(model)):
        return
    own = _own_arguments(model) if model.compiled else []
    if model.auxiliaries is not None:
        own.append("auxiliaries")
    if not own:
        return
    name = type(model).__name__
    raise ValueError(
        f"`keras.models.clone_model` makes a plain `keras.Model` of a {name}, "
        "because that has a constructor of its own, and a plain model takes "
        f"no {' and no '.join(own)}. Make another {name} with the constructor "
        "and take over the weights (`other.set_weights(model.get_weights())`), "
        f"or clone the model before it has them. Received: a {name} with {own}"
    )


def _own_arguments(model: keras.Model) -> list[str]:
    """What only our `compile` takes, as far as the model has received it."""
    # Not `representation`, which is no attribute of ours: one of that name is
    # the user's, and a model with it has an aggregator, too.
    names = ("aggregator", "weighting", "missing_label")
    given = {name: getattr(model, name, None) for name in names}
    return [name for name, value in given.items() if value is not None]


def clone_auxiliaries(
    model: keras.Model, outputs: Any, clone: Callable[[Any], Any]
) -> None:
    """Clones the auxiliaries of a model for the model of cloned outputs.

    Args:
        model: The model, which has auxiliaries.
        outputs: Symbolic tensors, the outputs of the clone.
        clone: From a layer of the model to its clone.
    """
    old = model.auxiliaries
    operations = keras.tree.map_structure(
        lambda name: find_operation(model, name), old.representation
    )
    # The clone of a layer may have another name.
    names = keras.tree.map_structure(lambda o: clone(o).name, operations)
    new = clone(old)
    if new is old and names != old.representation:
        raise ValueError(
            "`clone_function` gives the layers that the auxiliaries read new "
            "names, and the auxiliaries back as they are, which read the old "
            f"ones. Clone the layer '{old.name}' as well. Received: names "
            f"{names} for {old.representation}"
        )
    if new is not old:
        new.representation = names
    if not new.built:
        new.build(
            keras.tree.map_structure(lambda o: o.output.shape, operations)
        )
    setattr(keras.tree.flatten(outputs)[0], WAITING, new)


def waiting_auxiliaries(outputs: Any) -> Any:
    """The auxiliaries that wait for a model of these outputs, or `None`.

    They wait for one model only.
    """
    first = next(iter(keras.tree.flatten(outputs)), None)
    auxiliaries = getattr(first, WAITING, None)
    if auxiliaries is not None:
        delattr(first, WAITING)
    return auxiliaries
