"""What `fit` and its like do, on top of Keras' own trainer."""

import functools
import inspect
from typing import Any

import keras

from keras_mtl import backend
from keras_mtl.trainers.batches import prepare_batch
from keras_mtl.trainers.batches import take_class_weight
from keras_mtl.trainers.building import build_methods
from keras_mtl.trainers.epoch_ends import with_epoch_ends
from keras_mtl.trainers.fit_arguments import explaining
from keras_mtl.trainers.fit_arguments import spread_sample_weights
from keras_mtl.trainers.nothing_shared import check_tasks
from keras_mtl.trainers.settings import awaits_tasks
from keras_mtl.trainers.settings import takes_task_gradients
from keras_mtl.trainers.step import train_step
from keras_mtl.trainers.task_names import all_task_names
from keras_mtl.trainers.tell_of_not_finite import logs_are_finite
from keras_mtl.trainers.tell_of_not_finite import tell_of_not_finite
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import OpenModel
from keras_mtl.utils.stock_docs import like_keras


class Trainer(backend.Restored, OpenModel):
    """The part of `MultiTaskModel` that trains, as Keras has its `Trainer`.

    It adds to Keras' methods what they take and log of tasks, and puts the
    step of `trainers.step` in the place of Keras' own where gradients of
    tasks are asked for.
    """

    @like_keras
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains the model, as `keras.Model.fit`, which has more arguments.

        What differs:

        Args:
            class_weight: Keyword only. For a model with one output a dict
                from class indices to weights, as in Keras. By task, which
                Keras does not take: a dict from names of outputs to such
                dicts. Outputs and classes that it leaves out weigh 1. Labels
                are class indices or one-hot. It multiplies `sample_weight`,
                and weighs nothing in validation.
            sample_weight: For several outputs a dict by their names, or a
                list in their order.

        Returns:
            A `History`. With an `aggregator` its logs have, beside those of
            Keras, `gradient_conflict`: the share of pairs of tasks whose
            gradients have a negative inner product, from 0 to 1. It is not
            measured in validation.

        Example:

        ```python
        model.fit(
            x,
            {"digit": digits, "angle": angles},
            class_weight={"digit": {0: 1.0, 9: 4.0}},
            sample_weight={"angle": certainties},
        )
        ```
        """
        with explaining(self, "fit", args, kwargs):
            kwargs = take_class_weight(self, "fit", args, kwargs)
            args, kwargs = spread_sample_weights(self, "fit", args, kwargs)
            bound = inspect.signature(super().fit).bind(*args, **kwargs)
            if takes_task_gradients(self):
                bound.arguments["callbacks"] = with_epoch_ends(
                    bound.arguments.get("callbacks"), self
                )
            return super().fit(*bound.args, **bound.kwargs)

    @like_keras
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Returns losses and metrics of all tasks, as `keras.Model.evaluate`.

        Auxiliaries and what is measured of gradients are left out.
        """
        with explaining(self, "evaluate", args, kwargs):
            args, kwargs = spread_sample_weights(self, "evaluate", args, kwargs)
            return super().evaluate(*args, **kwargs)

    @like_keras
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Predicts all outputs, as `keras.Model.predict`.

        Auxiliaries are left out.
        """
        with explaining(self, "predict", args, kwargs):
            return super().predict(*args, **kwargs)

    @like_keras
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Takes one training step, as `keras.Model.train_on_batch`.

        What differs:

        Args:
            class_weight: Keyword only. Class indices to weights for a model
                with one output, or, by task, a dict from names of outputs to
                such dicts; see `fit`.

        Returns:
            What Keras returns, with `gradient_conflict` as in `fit`.
        """
        with explaining(self, "train_on_batch", args, kwargs):
            kwargs = take_class_weight(self, "train_on_batch", args, kwargs)
            args, kwargs = spread_sample_weights(
                self, "train_on_batch", args, kwargs
            )
            logs = super().train_on_batch(*args, **kwargs)
            if not logs_are_finite(logs):
                tell_of_not_finite(self)
            return logs

    @like_keras
    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Measures one batch, as `keras.Model.test_on_batch`.

        Auxiliaries and what is measured of gradients are left out.
        """
        with explaining(self, "test_on_batch", args, kwargs):
            args, kwargs = spread_sample_weights(
                self, "test_on_batch", args, kwargs
            )
            return super().test_on_batch(*args, **kwargs)

    def _mtl_build(self, iterator: Any, data_batch: Any) -> None:
        optimizer: Any = self.optimizer
        if awaits_tasks(self):
            # The optimizer must wait: it also trains what a weighting makes,
            # and that is made once Keras has built the losses.
            self.optimizer = None
            try:
                super()._mtl_build(iterator, data_batch)
            finally:
                self.optimizer = optimizer
            check_tasks(self, self.task_losses)
            build_methods(self, all_task_names(self))
        super()._mtl_build(iterator, data_batch)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return super().metrics + self._settings.training_metrics

    @property
    def metrics_variables(self) -> list[keras.Variable]:
        not_finite = self._settings.not_finite
        hidden = [] if not_finite is None else not_finite.variables
        return super().metrics_variables + hidden

    def train_step(self, *state_and_data: Any) -> Any:
        *state, data = state_and_data
        data = prepare_batch(self, data)
        if not takes_task_gradients(self):
            return super().train_step(*state, data)
        step = functools.partial(train_step, self, data)
        return backend.run_step(step, self, *state)

    def test_step(self, *state_and_data: Any) -> Any:
        found = super().test_step(*state_and_data)
        if isinstance(found, dict):
            return self._drop_training_logs(found)
        logs, state = found
        return self._drop_training_logs(logs), state

    def _mtl_loss_of_layers(self, loss: Tensor) -> Tensor:
        # A half-precision one of an activity regulariser is added to losses in
        # float32, which TensorFlow refuses.
        loss = super()._mtl_loss_of_layers(loss)
        return keras.ops.cast(loss, keras.backend.floatx())

    def _drop_training_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Evaluation takes no gradients: it has nothing to say of them."""
        hidden = {metric.name for metric in self._settings.training_metrics}
        return {k: v for k, v in logs.items() if k not in hidden}

    def _mtl_final_logs(self, logs: Any) -> Any:
        # Keras compares the keys of the logs with those of all metrics.
        results = self.get_metrics_result()
        if isinstance(logs, dict):
            dropped = self._drop_training_logs(results)
            if logs.keys() == dropped.keys():
                return dropped
        return super()._mtl_final_logs(logs)
