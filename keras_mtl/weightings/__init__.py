"""Weightings: T task losses to the losses that are minimised."""

from typing import Any

from keras_mtl.registry import Registry
from keras_mtl.weightings.uncertainty import Uncertainty
from keras_mtl.weightings.weighting import Weighting

_registry = Registry("weighting", Weighting, [Uncertainty])


def get(identifier: Any) -> Weighting | None:
    """Returns the weighting that a name, a configuration or an object means.

    Args:
        identifier: `None`, a name such as `"uncertainty"`, a configuration
            as made by `serialize`, or a `Weighting`.
    """
    return _registry.get(identifier)


def serialize(weighting: Weighting) -> dict[str, Any]:
    """Returns the configuration of a weighting."""
    return _registry.serialize(weighting)


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None
) -> Weighting:
    """Returns the weighting that a configuration describes."""
    return _registry.deserialize(config, custom_objects)


__all__ = ["Uncertainty", "Weighting", "deserialize", "get", "serialize"]
