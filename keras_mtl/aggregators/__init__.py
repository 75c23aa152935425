"""Methods that turn T task gradients into one gradient."""

from typing import Any

import keras

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.aggregators.mean import Mean
from keras_mtl.aggregators.mgda import MGDA
from keras_mtl.aggregators.orthogonal import Orthogonal
from keras_mtl.aggregators.pcgrad import PCGrad
from keras_mtl.aggregators.projection import Projection
from keras_mtl.aggregators.sum import Sum
from keras_mtl.aggregators.unweighted_cosine import UnweightedCosine
from keras_mtl.aggregators.weighted_cosine import WeightedCosine
from keras_mtl.method import snake_case

__all__ = [
    "Aggregator",
    "MGDA",
    "MainTaskAggregator",
    "Mean",
    "Orthogonal",
    "PCGrad",
    "Projection",
    "Sum",
    "UnweightedCosine",
    "WeightedCosine",
    "deserialize",
    "get",
    "serialize",
]

_CLASSES = (
    Sum,
    Mean,
    PCGrad,
    MGDA,
    Projection,
    UnweightedCosine,
    WeightedCosine,
    Orthogonal,
)
_BY_NAME = {snake_case(cls.__name__): cls for cls in _CLASSES}
_BY_CLASS_NAME = {cls.__name__.lower(): cls for cls in _CLASSES}


def get(identifier: Any) -> Aggregator | None:
    """The aggregator that a user named.

    Args:
        identifier: An aggregator, its name in snake case (`"pcgrad"`) or its
            class name, the dictionary that `serialize` made, or None.

    Returns:
        An aggregator, or None for None.

    Raises:
        ValueError: If the identifier names no aggregator, or one that needs
            arguments.
    """
    if identifier is None or isinstance(identifier, Aggregator):
        return identifier
    if isinstance(identifier, dict):
        return deserialize(identifier)
    if isinstance(identifier, str):
        return _from_name(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Aggregator):
        raise ValueError(
            "`aggregator` must be an instance. Write "
            f"`{identifier.__name__}(...)`. Received the class itself: "
            f"aggregator={identifier.__name__}"
        )
    raise ValueError(
        "`aggregator` must be an Aggregator, a dictionary from `serialize`, "
        f"None or one of {sorted(_BY_NAME)}. Received: "
        f"aggregator={identifier!r}"
    )


def _from_name(name: str) -> Aggregator:
    cls = _BY_NAME.get(name.lower()) or _BY_CLASS_NAME.get(name.lower())
    if cls is None:
        raise ValueError(
            f"Unknown aggregator. Known names: {sorted(_BY_NAME)}. For a "
            "method of your own pass an instance. Received: "
            f"aggregator={name!r}"
        )
    if issubclass(cls, MainTaskAggregator):
        raise ValueError(
            f"{cls.__name__} needs to know the main task. Write "
            f"`keras_mtl.aggregators.{cls.__name__}(main_task=...)` with the "
            f"name of a task. Received: aggregator={name!r}"
        )
    return cls()


def serialize(aggregator: Aggregator) -> dict[str, Any]:
    """A dictionary for JSON from which `deserialize` makes an equal one."""
    return keras.saving.serialize_keras_object(aggregator)


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None
) -> Aggregator:
    """The aggregator that `serialize` described.

    Args:
        config: What `serialize` returned.
        custom_objects: Classes by name, for those that are not registered.

    Raises:
        ValueError: If the dictionary describes something else.
    """
    aggregator = keras.saving.deserialize_keras_object(
        config, custom_objects=custom_objects
    )
    if not isinstance(aggregator, Aggregator):
        raise ValueError(
            f"`config` must describe an Aggregator. Received: config={config!r}"
        )
    return aggregator
