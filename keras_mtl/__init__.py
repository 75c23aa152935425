"""Multi-task learning for Keras."""

from keras_mtl import aggregators
from keras_mtl import callbacks
from keras_mtl import comparison
from keras_mtl import datasets
from keras_mtl import layers
from keras_mtl import losses
from keras_mtl import optimizers
from keras_mtl import pareto
from keras_mtl import regularizers
from keras_mtl import selection
from keras_mtl import testing
from keras_mtl import transfer
from keras_mtl import weightings
from keras_mtl.auxiliaries.auxiliary_branches import add_auxiliary_branches
from keras_mtl.auxiliaries.auxiliary_towers import add_auxiliary_towers
from keras_mtl.auxiliaries.self_auxiliaries import add_self_auxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import strip_auxiliaries
from keras_mtl.model import MultiTaskModel
from keras_mtl.version import __version__

__all__ = [
    "MultiTaskModel",
    "__version__",
    "add_auxiliary_branches",
    "add_auxiliary_towers",
    "add_self_auxiliaries",
    "aggregators",
    "callbacks",
    "comparison",
    "datasets",
    "layers",
    "losses",
    "optimizers",
    "pareto",
    "regularizers",
    "selection",
    "strip_auxiliaries",
    "testing",
    "transfer",
    "weightings",
]


def __dir__() -> list[str]:
    """The public names: Python adds each part that was imported."""
    return sorted(__all__)
