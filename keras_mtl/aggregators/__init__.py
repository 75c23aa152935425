"""Methods that turn T task gradients into one gradient."""

from typing import Any

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.aggregators.aligned_mtl import AlignedMTL
from keras_mtl.aggregators.averaged import Averaged
from keras_mtl.aggregators.cagrad import CAGrad
from keras_mtl.aggregators.con_fig import ConFIG
from keras_mtl.aggregators.constant import Constant
from keras_mtl.aggregators.cr_mogm import CRMOGM
from keras_mtl.aggregators.db_mtl import DBMTL
from keras_mtl.aggregators.double_sampling import DoubleSampling
from keras_mtl.aggregators.dual_proj import DualProj
from keras_mtl.aggregators.epo import EPO
from keras_mtl.aggregators.excess_mtl import ExcessMTL
from keras_mtl.aggregators.fair_grad import FairGrad
from keras_mtl.aggregators.grad_drop import GradDrop
from keras_mtl.aggregators.grad_vac import GradVac
from keras_mtl.aggregators.imtlg import IMTLG
from keras_mtl.aggregators.krum import Krum
from keras_mtl.aggregators.main_task_aggregator import MainTaskAggregator
from keras_mtl.aggregators.mean import Mean
from keras_mtl.aggregators.mgda import MGDA
from keras_mtl.aggregators.mo_co import MoCo
from keras_mtl.aggregators.mo_do import MoDo
from keras_mtl.aggregators.nash_mtl import NashMTL
from keras_mtl.aggregators.orthogonal import Orthogonal
from keras_mtl.aggregators.pcd import PCD
from keras_mtl.aggregators.pcgrad import PCGrad
from keras_mtl.aggregators.preference_aggregator import PreferenceAggregator
from keras_mtl.aggregators.projection import Projection
from keras_mtl.aggregators.random_weights import Random
from keras_mtl.aggregators.sdm_grad import SDMGrad
from keras_mtl.aggregators.sum import Sum
from keras_mtl.aggregators.trimmed_mean import TrimmedMean
from keras_mtl.aggregators.unweighted_cosine import UnweightedCosine
from keras_mtl.aggregators.upgrad import UPGrad
from keras_mtl.aggregators.weighted_cosine import WeightedCosine
from keras_mtl.methods.registry import Registry as _Registry
from keras_mtl.methods.registry import public_classes as _public_classes

# An import above is all that makes a method one of the package.
_CLASSES = _public_classes(globals(), Aggregator)
_REGISTRY = _Registry("aggregator", Aggregator, _CLASSES)
__all__ = ["deserialize", "get", "serialize"]
__all__ += [cls.__name__ for cls in _CLASSES]


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
