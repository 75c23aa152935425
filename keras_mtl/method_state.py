"""The variables of the training method, held for the model."""

import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

Tensor = Any


class MethodState(keras.layers.Layer):
    """Keras variables of an aggregator and a weighting, as the model sees them.

    Aggregators and weightings are no layers (their `weights(gram)` could not
    live beside `Layer.weights`), so the model keeps their variables here: they
    are trained, threaded through JAX's state and saved like any others.

    Only trainable variables count as `weights`. Moving averages and random
    seeds are state, as the seeds of `Dropout` are, so that `get_weights` and
    `set_weights` agree with a plain Keras model.

    What is loaded before the variables exist waits until they do.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # In a namespace, because Keras would track a dict's variables.
        self._state = SimpleNamespace(held={}, waiting={})
        self.built = True

    def hold(self, **methods: Any) -> None:
        """Takes over the variables of `role=method`, replacing all others."""
        if hasattr(self, "_delete_tracking"):
            for key in self._state.held:
                self._delete_tracking(key)
        self._state.held.clear()
        for role, method in methods.items():
            for index, variable in enumerate(
                method.variables if method else ()
            ):
                key = f"{role}.{method.name}.{index}"
                self._state.held[key] = variable
                if hasattr(self, "_track_trackable"):
                    # On TensorFlow, for `tf.train.Checkpoint`.
                    self._track_trackable(variable, key, overwrite=True)
        self._assign_waiting()

    @property
    def variables(self) -> list[keras.Variable]:
        return list(self._state.held.values())

    @property
    def weights(self) -> list[keras.Variable]:
        return [v for v in self.variables if v.trainable]

    def values(self) -> list[Tensor]:
        """What the methods remember now, as `keep` takes it.

        What is trained is left to the optimizer.
        """
        # A copy of what is read now: on TensorFlow, `convert_to_tensor` gives
        # the variable itself, which is read when it is used.
        return [keras.ops.stop_gradient(v) for v in self._remembered()]

    def keep(self, taken: Tensor, before: Sequence[Tensor]) -> None:
        """Goes back to the values `before` if a step was not taken.

        Args:
            taken: Boolean scalar.
            before: What `values` returned.
        """
        for variable, old in zip(self._remembered(), before, strict=True):
            new = keras.ops.convert_to_tensor(variable)
            variable.assign(keras.ops.where(taken, new, old))

    def _remembered(self) -> list[keras.Variable]:
        return [v for v in self.variables if not v.trainable]

    def save_own_variables(self, store: Any) -> None:
        for key, variable in self._state.held.items():
            store[key] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        self._state.waiting.clear()
        self._state.waiting.update(
            {key: np.array(store[key]) for key in store.keys()}
        )
        if self._state.held:
            self._assign_waiting()

    def _assign_waiting(self) -> None:
        if not self._state.held or not self._state.waiting:
            return
        for key, variable in self._state.held.items():
            value = self._state.waiting.get(key)
            if value is not None and value.shape == tuple(variable.shape):
                variable.assign(self._state.waiting.pop(key))
        if self._state.waiting:
            warnings.warn(
                "The file holds state of a training method that the model was "
                "not compiled with, or of other tasks; it is not used. To go "
                "on with the saved method, compile with it before "
                "`load_weights`, or use `keras.models.load_model`. Received "
                "state of: "
                f"{sorted(self._state.waiting)}; the model was compiled with: "
                f"{sorted(self._state.held)}",
                stacklevel=2,
            )
            self._state.waiting.clear()
