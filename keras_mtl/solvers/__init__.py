"""Small exact solvers that aggregators share, in Keras operations only."""

from keras_mtl.solvers.gram import diagonal
from keras_mtl.solvers.gram import normalize
from keras_mtl.solvers.gram import to_gram
from keras_mtl.solvers.min_norm import min_norm_weights
from keras_mtl.solvers.nonnegative import nonnegative_quadratic
from keras_mtl.solvers.permutation import random_orders

__all__ = [
    "diagonal",
    "min_norm_weights",
    "nonnegative_quadratic",
    "normalize",
    "random_orders",
    "to_gram",
]
