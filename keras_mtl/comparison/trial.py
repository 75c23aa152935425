"""What `build` is told of the model that it is to make."""

from collections.abc import Sequence
from typing import Any

from keras_mtl.comparison.method_arguments import MethodArguments


class Trial:
    """One model to be built and trained. `Comparison` makes it.

    Settings to be tuned are asked for as of an Optuna trial. While methods are
    tuned Optuna suggests them; later they are those that were chosen.

    Attributes:
        method: str, name of the method.
        seed: int, that Keras' random generators were set to.
        preference: Dict of numbers by name of task, which add up to one; or
            `None` for equal ones.
    """

    def __init__(
        self,
        method: str,
        arguments: MethodArguments,
        suggestions: Any,
        seed: int,
        preference: dict[str, float] | None = None,
    ):
        self.method = method
        self.seed = seed
        self.preference = preference
        self._arguments = arguments
        self._suggestions = suggestions

    @property
    def compile_arguments(self) -> dict[str, Any]:
        """What `methods` has for the method, to be passed to `compile`.

        Aggregators and weightings are copies, for each holds the state of one
        model.
        """
        return self._arguments.fresh(self.preference)

    @property
    def parameters(self) -> dict[str, Any]:
        """What was suggested up to now, by name."""
        return dict(self._suggestions.params)

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """A float from `low` to `high`.

        Args:
            name: Name of the setting.
            low: float.
            high: float, included.
            step: Distance of the values to choose from, or `None`.
            log: Whether factors count in place of distances, as for a learning
                rate.
        """
        return self._suggestions.suggest_float(
            name, low, high, step=step, log=log
        )

    def suggest_int(
        self,
        name: str,
        low: int,
        high: int,
        *,
        step: int = 1,
        log: bool = False,
    ) -> int:
        """An int from `low` to `high`, both included; see `suggest_float`."""
        return self._suggestions.suggest_int(
            name, low, high, step=step, log=log
        )

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of `choices`: strings, numbers, bools or `None`."""
        return self._suggestions.suggest_categorical(name, choices)
