"""Weightings: T task losses to the losses that are minimised."""

from typing import Any

from keras_mtl.methods.registry import Registry as _Registry
from keras_mtl.methods.registry import public_classes as _public_classes
from keras_mtl.weightings.cosmos import COSMOS
from keras_mtl.weightings.dynamic_weight_average import DynamicWeightAverage
from keras_mtl.weightings.famo import FAMO
from keras_mtl.weightings.geometric_mean import GeometricMean
from keras_mtl.weightings.grad_norm import GradNorm
from keras_mtl.weightings.imtll import IMTLL
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.olaux import OLAUX
from keras_mtl.weightings.pbi import PBI
from keras_mtl.weightings.random_loss_weighting import RandomLossWeighting
from keras_mtl.weightings.scale_invariant import ScaleInvariant
from keras_mtl.weightings.schedule import Schedule
from keras_mtl.weightings.stch import STCH
from keras_mtl.weightings.svd_weights import SVDWeights
from keras_mtl.weightings.tchebycheff import Tchebycheff
from keras_mtl.weightings.uncertainty import Uncertainty
from keras_mtl.weightings.uwso import UWSO
from keras_mtl.weightings.weighting import Weighting

# An import above is all that makes a weighting one of the package.
_CLASSES = _public_classes(globals(), Weighting)
_REGISTRY = _Registry("weighting", Weighting, _CLASSES)
__all__ = ["Observed", "deserialize", "get", "serialize"]
__all__ += [cls.__name__ for cls in _CLASSES]


def get(identifier: Any) -> Weighting | None:
    """Returns the weighting that a name, a configuration or an object means.

    Args:
        identifier: `None`, a name such as `"uncertainty"`, a configuration
            as made by `serialize`, or a `Weighting`.
    """
    return _REGISTRY.get(identifier)


def serialize(weighting: Weighting) -> dict[str, Any]:
    """Returns the configuration of a weighting."""
    return _REGISTRY.serialize(weighting)


def deserialize(
    config: dict[str, Any], custom_objects: dict[str, Any] | None = None
) -> Weighting:
    """Returns the weighting that a configuration describes."""
    return _REGISTRY.deserialize(config, custom_objects)
