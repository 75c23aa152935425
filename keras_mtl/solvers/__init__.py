"""Small exact solvers that aggregators share, in Keras operations only."""

from keras_mtl.solvers.matrices import diagonal
from keras_mtl.solvers.matrices import normalize
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.min_norm import min_norm_weights
from keras_mtl.solvers.nonnegative import nonnegative_quadratic
from keras_mtl.solvers.random_numbers import random_normals
from keras_mtl.solvers.random_numbers import random_orders
from keras_mtl.solvers.random_numbers import random_uniforms
from keras_mtl.solvers.random_numbers import seed_generator

__all__ = [
    "diagonal",
    "min_norm_weights",
    "nonnegative_quadratic",
    "normalize",
    "random_normals",
    "random_orders",
    "random_uniforms",
    "seed_generator",
    "to_gram",
]
