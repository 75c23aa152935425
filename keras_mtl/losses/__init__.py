"""Losses that are more than one task."""

from keras_mtl.losses.per_column import PerColumn

__all__ = ["PerColumn"]
