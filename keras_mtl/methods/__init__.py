"""What aggregators and weightings have in common."""

from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.step_info import StepInfo

__all__ = ["GradientSpec", "StepInfo"]
