"""Where training looks whether a task's loss was not finite."""

from typing import Any

import keras
import numpy as np

from keras_mtl.trainers.settings import settings_of


class TellOfNotFinite(keras.callbacks.Callback):
    """Looks at the end of each epoch, so that no step waits for it."""

    def __init__(self, model: Any):
        super().__init__()
        # Keras does not tell the model to those in a `CallbackList` of a user.
        self.set_model(model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        tell_of_not_finite(self.model)


def tell_of_not_finite(model: Any) -> None:
    """Warns if the loss of a task of a `MultiTaskModel` was not finite."""
    not_finite = settings_of(model).not_finite
    if not_finite is not None:
        not_finite.tell(model.missing_label)


def logs_are_finite(logs: Any) -> bool:
    """Whether all numbers are finite that `train_on_batch` returned."""
    values = keras.tree.flatten(logs)
    # A metric may have a value for each class.
    return all(np.all(np.isfinite(np.asarray(value))) for value in values)
