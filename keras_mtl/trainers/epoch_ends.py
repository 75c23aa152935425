"""What the model itself does at the end of each epoch of `fit`."""

from typing import Any

import keras

from keras_mtl.trainers.tell_of_not_finite import TellOfNotFinite
from keras_mtl.weightings.weighting import Weighting


class EpochEnds(keras.callbacks.Callback):
    """Calls `end_epoch` of a weighting."""

    def __init__(self, weighting: Weighting):
        super().__init__()
        self.weighting = weighting

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.weighting.end_epoch()


def with_epoch_ends(callbacks: Any, model: Any) -> Any:
    """Adds ours before all others, which may save what they change.

    Args:
        callbacks: What the user gave to `fit`: callbacks, one, none, or a
            `CallbackList`.
        model: The `MultiTaskModel`.
    """
    ours = [TellOfNotFinite(model)]
    if model.weighting is not None:
        ours.append(EpochEnds(model.weighting))
    if isinstance(callbacks, keras.callbacks.CallbackList):
        # Of an earlier `fit` with the same list.
        others = [c for c in callbacks.callbacks if not _is_ours(c)]
        callbacks.callbacks[:] = [*ours, *others]
        return callbacks
    return [*ours, *keras.tree.flatten(callbacks or [])]


def _is_ours(callback: keras.callbacks.Callback) -> bool:
    return isinstance(callback, EpochEnds | TellOfNotFinite)
