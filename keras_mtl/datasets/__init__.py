"""Data sets with several named labels."""

from keras_mtl.datasets.multi_mnist import multi_mnist
from keras_mtl.datasets.synthetic import synthetic_sine

__all__ = ["multi_mnist", "synthetic_sine"]
