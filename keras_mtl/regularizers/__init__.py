"""Penalties on the weights of layers that share."""

from keras_mtl.regularizers.subspace_orthogonality import SubspaceOrthogonality

__all__ = ["SubspaceOrthogonality"]
