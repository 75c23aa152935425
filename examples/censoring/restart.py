"""Many runs with one compiled model: only its numbers start anew."""

import random
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np


class Restart:
    """Takes a compiled model back to where it was, with other weights.

    A new model for each run would be traced and compiled each time, which
    takes longer than a small model takes to train.

    Args:
        model: A built and compiled model.
    """

    def __init__(self, model: keras.Model):
        model.optimizer.build(model.trainable_variables)
        self.model = model
        self.variables = [*model.variables, *model.optimizer.variables]
        self.values = [keras.ops.convert_to_numpy(v) for v in self.variables]

    def __call__(self, weights: Sequence[np.ndarray], network: Any) -> None:
        """Puts everything back, then the weights of a network in its place.

        Args:
            weights: As `network.get_weights()` gives them.
            network: The part of the model, or the model, that they belong to.
        """
        for variable, value in zip(self.variables, self.values, strict=True):
            variable.assign(value)
        network.set_weights(weights)
        self.model.stop_training = False


class SameRandomNumbers(keras.callbacks.Callback):
    """Trains with the random numbers that are next when it is made.

    The first time that a model is fitted on JAX, Keras looks at a batch
    before it trains, and so uses up an order of the batches.
    """

    def __init__(self):
        super().__init__()
        self.python, self.numpy = random.getstate(), np.random.get_state()

    def on_train_begin(self, logs: dict | None = None) -> None:
        random.setstate(self.python)
        np.random.set_state(self.numpy)
