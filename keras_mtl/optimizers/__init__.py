"""Optimizers that censor what is added to the gradient of the main task."""

from keras_mtl.optimizers.censored_update import CensoredUpdate
from keras_mtl.optimizers.censored_weight_decay import CensoredWeightDecay

__all__ = ["CensoredUpdate", "CensoredWeightDecay"]
