"""The variables of the training method, held for the model."""

import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np

from keras_mtl.methods.method import all_finite
from keras_mtl.methods.method import keep_if
from keras_mtl.methods.method import seeds_of
from keras_mtl.methods.method import slots_of
from keras_mtl.methods.method import values_of
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import OpenState

# In a file of a model that was saved before its methods knew their tasks.
AWAITS_TASKS = "awaits_tasks"


class MethodState(OpenState):
    """Keras variables of an aggregator and a weighting, as the model sees them.

    Aggregators and weightings are no layers (their `weights(gram)` could not
    live beside `Layer.weights`), so the model keeps their variables here: they
    are trained, threaded through JAX's state and saved like any others.

    Only trainable variables count as `weights`. Moving averages and random
    seeds are state, as the seeds of `Dropout` are, so that `get_weights` and
    `set_weights` agree with a plain Keras model.

    Files hold the variables under the names that the method gave them, in
    whatever order it made them. What is loaded before
    the variables exist waits until they do, and so do words about what a file
    lacks. Random seeds may be lacking: as those of `Dropout`, they then are
    what the model was made with.
    """

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        # In a namespace, because Keras would track a dict's variables.
        self._state = SimpleNamespace(
            held={},
            old_keys={},
            seeds=set(),
            slots=set(),
            waiting={},
            is_loaded=False,
            awaits_tasks=False,
        )
        self.built = True

    def hold(self, **methods: Any) -> None:
        """Takes over the variables of `role=method`, replacing all others."""
        self._mtl_let_go(self._state.held)
        self._state.held.clear()
        self._state.old_keys.clear()
        self._state.seeds.clear()
        self._state.slots.clear()
        self._state.awaits_tasks = False
        if not methods:
            # Compiled after it was loaded, a model begins with its methods.
            self._state.is_loaded = False
        for role, method in methods.items():
            if method is not None:
                self._hold_one(f"{role}.{method.name}", method)
        is_loaded = self._state.is_loaded or self._state.waiting
        if self._state.held and is_loaded:
            self._assign_waiting()

    def await_tasks(self) -> None:
        """Notes that there are methods, which the first batch will build."""
        self._state.awaits_tasks = True

    def _hold_one(self, prefix: str, method: Any) -> None:
        seeds = {id(v) for v in seeds_of(method)}
        slots = {id(v) for v in slots_of(method)}
        for index, (name, variable) in enumerate(
            method.named_variables().items()
        ):
            # Files once had the place, in the order in which state is made.
            old_key = f"{prefix}.{index}"
            key = f"{prefix}.{name}"
            self._state.held[key] = variable
            self._state.old_keys[old_key] = key
            if id(variable) in seeds:
                self._state.seeds.add(key)
            if id(variable) in slots:
                self._state.slots.add(key)
            self._mtl_hold(variable, key, old_key)

    def _mtl_key_of(self, name: str) -> str:
        # TensorFlow asks while the layer is made, too.
        state = vars(self).get("_state")
        return state.old_keys.get(name, name) if state else name

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
        return values_of(self._remembered())

    def keep(self, taken: Tensor, before: Sequence[Tensor]) -> None:
        """Goes back to the values `before` if a step was not taken.

        Nor does what a step made infinite stay in an aggregator, or NaN: it
        would for ever. (A weighting may remember the NaN that stands for the
        loss of an absent task.)

        Args:
            taken: Boolean scalar.
            before: What `values` returned.
        """
        small = [
            variable
            for key, variable in self._state.held.items()
            # What is as large as gradients is as finite as their inner
            # products, and takes long to look at.
            if key.startswith("aggregator.") and key not in self._state.slots
        ]
        taken = keras.ops.logical_and(taken, all_finite(small))
        keep_if(taken, self._remembered(), before)

    def _remembered(self) -> list[keras.Variable]:
        return [v for v in self.variables if not v.trainable]

    def save_own_variables(self, store: Any) -> None:
        if self._state.awaits_tasks:
            store[AWAITS_TASKS] = np.ones((), "uint8")
        for key, variable in self._state.held.items():
            store[key] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        self._state.waiting.clear()
        self._state.waiting.update(
            {key: np.array(store[key]) for key in store.keys()}
        )
        # Methods that had not begun remember nothing that could be lacking.
        had_begun = self._state.waiting.pop(AWAITS_TASKS, None) is None
        self._state.is_loaded = had_begun or bool(self._state.held)
        if self._state.held:
            self._assign_waiting()

    def _assign_waiting(self) -> None:
        found = {}
        for key, value in self._state.waiting.items():
            if key not in self._state.held:
                key = self._state.old_keys.get(key, key)
            found[key] = value
        self._state.waiting.clear()
        self._state.is_loaded = False
        missing = []
        for key, variable in self._state.held.items():
            value = found.get(key)
            if value is not None and value.shape == tuple(variable.shape):
                variable.assign(found.pop(key))
                _warn_if_not_finite(key, value)
            else:
                missing.append(key)
        if found:
            warnings.warn(
                "The file holds state of a training method that the model was "
                "not compiled with, or of other tasks; it is not used. To go "
                "on with the saved method, compile with it before "
                "`load_weights`, or use `keras.models.load_model`. Received "
                f"state of: {_described(found)}; the model was compiled with: "
                f"{_described(self._state.held)}",
                stacklevel=2,
            )
        if not self._state.seeds.issuperset(missing):
            warnings.warn(
                "The file does not hold all that the model's training method "
                "remembers. It goes on from what it has, which is a fresh "
                "start in a new model, so training will not be what it would "
                f"have been. Missing: {missing}",
                stacklevel=2,
            )


def _described(state: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in sorted(state.items())}


def _warn_if_not_finite(key: str, value: np.ndarray) -> None:
    is_float = np.issubdtype(value.dtype, np.floating)
    if is_float and not np.all(np.isfinite(value)):
        warnings.warn(
            f"What the file holds of the training method as '{key}' is not "
            "finite: NaN or infinity was saved, and updates may be so, too. "
            "Go back to an earlier file, or compile anew for a fresh start.",
            stacklevel=2,
        )
