"""Callbacks for `fit`: what tasks do to each other, pictures, and a backup."""

from keras_mtl.callbacks.backup_and_restore import BackupAndRestore
from keras_mtl.callbacks.gradient_history import GradientHistory
from keras_mtl.callbacks.gradient_monitor import GradientMonitor
from keras_mtl.callbacks.plot_gradients import plot_gradients
from keras_mtl.callbacks.plot_sharing import plot_sharing
from keras_mtl.callbacks.sharing_monitor import SharingHistory
from keras_mtl.callbacks.sharing_monitor import SharingMonitor

__all__ = [
    "BackupAndRestore",
    "GradientHistory",
    "GradientMonitor",
    "SharingHistory",
    "SharingMonitor",
    "plot_gradients",
    "plot_sharing",
]
