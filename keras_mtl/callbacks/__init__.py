"""Callbacks for `fit` that show what the task gradients do."""

from keras_mtl.callbacks.gradient_history import GradientHistory
from keras_mtl.callbacks.gradient_monitor import GradientMonitor
from keras_mtl.callbacks.plot_gradients import plot_gradients

__all__ = ["GradientHistory", "GradientMonitor", "plot_gradients"]
