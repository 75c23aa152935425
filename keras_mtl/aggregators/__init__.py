"""Methods that turn T task gradients into one gradient."""

from typing import Any

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
from keras_mtl.registry import Registry

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

_REGISTRY = Registry(
    "aggregator",
    Aggregator,
    [
        Sum,
        Mean,
        PCGrad,
        MGDA,
        Projection,
        UnweightedCosine,
        WeightedCosine,
        Orthogonal,
    ],
)


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
    return _REGISTRY.get(identifier)


def serialize(aggregator: Aggregator) -> dict[str, Any]:
    """A dictionary for JSON from which `deserialize` makes an equal one.

    It holds the arguments; the state is saved with the model.
    """
    return _REGISTRY.serialize(aggregator)


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
    return _REGISTRY.deserialize(config, custom_objects)
