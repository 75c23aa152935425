"""Values of variables that a step on JAX took, put back when it fails."""

import contextlib
import functools
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import jax
import keras

from keras_mtl.utils.keras_internals import OpenSteps
from keras_mtl.utils.keras_internals import has_value
from keras_mtl.utils.keras_internals import hold_losses
from keras_mtl.utils.keras_internals import note_values_are_back


@contextlib.contextmanager
def _synced(model: Any) -> Iterator[None]:
    """Puts values back after any error, as `fit` does.

    Keras leaves it undone when a callback raises.
    """
    try:
        yield
    except BaseException:
        model.jax_state_sync()
        raise


class Restored(OpenSteps):
    """A `keras.Model` on JAX that an error in a step leaves as it was.

    Keras takes the values out of the variables before the first step, hands
    them from step to step, and puts them back after the last. An error on the
    way (a mistake that the first step finds, labels of a wrong shape, a loss
    that raises) would leave a model without weights: nothing to read, save or
    compile anew.
    """

    def _mtl_make_steps(
        self, step: Callable, *args: Any, **kwargs: Any
    ) -> Callable:
        # Of the steps in one execution, the values after the last good one.
        latest = SimpleNamespace(state=None)

        def noted(state: tuple, data: Any) -> tuple:
            outputs, latest.state = step(state, data)
            return outputs, latest.state

        function = super()._mtl_make_steps(noted, *args, **kwargs)

        @functools.wraps(function)
        def execute(state: tuple, iterator: Any) -> tuple:
            latest.state = state
            try:
                return function(state, iterator)
            except BaseException:
                self._put_back(latest.state)
                raise
            finally:
                # Values held here would take memory until the next step.
                latest.state = None

        return execute

    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        with _synced(self):
            return super().evaluate(*args, **kwargs)

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        with _synced(self):
            return super().predict(*args, **kwargs)

    def _put_back(self, state: tuple) -> None:
        """Gives the variables that Keras emptied their values again.

        Args:
            state: What a step takes: values of trainable and of other
                variables, then, where it has them, of the optimizer's and of
                the metrics'.
        """
        owners = list(variables_of_step(self))
        if len(state) < 4:
            del owners[2]
        # Prediction has no metrics.
        for variables, values in zip(owners, state, strict=False):
            _fill(variables, values)
        # What Keras noted of an earlier step is older than this.
        note_values_are_back(self)
        # The losses of layers in a trace that failed belong to no model.
        hold_losses(self, [])


def variables_of_step(model: keras.Model) -> tuple[list[keras.Variable], ...]:
    """The variables whose values a training step takes, in Keras' order."""
    optimizer = getattr(model, "optimizer", None)
    return (
        model.trainable_variables,
        model.non_trainable_variables,
        [] if optimizer is None else optimizer.variables,
        model.metrics_variables,
    )


def _fill(variables: Sequence[keras.Variable], values: Sequence[Any]) -> None:
    empty = [v for v in variables if not has_value(v)]
    if len(empty) != len(values):
        # Nothing was taken, or the step made variables: not these values.
        return
    for variable, value in zip(empty, values, strict=True):
        if not _is_used_up(value):
            variable.assign(value)


def _is_used_up(value: Any) -> bool:
    """Whether a step that failed on the device has overwritten its input."""
    return isinstance(value, jax.Array) and value.is_deleted()
