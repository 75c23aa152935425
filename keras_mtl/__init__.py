"""Multi-task learning for Keras."""

from keras_mtl import aggregators
from keras_mtl import weightings
from keras_mtl.model import MultiTaskModel
from keras_mtl.version import __version__

__all__ = ["MultiTaskModel", "__version__", "aggregators", "weightings"]
