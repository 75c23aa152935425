"""The private names of Keras that this package leans on, in one place.

Keras offers no public way to the losses of single outputs, nor to a functional
model's class. `tests/test_contract.py` notices when one of these changes, and
`tests/utils/test_keras_internals.py` when another file uses one.

First come functions, then classes that open Keras' own: what Keras calls by a
private name can be overridden there by one that says what it is for. These
begin with `_mtl_`, so that no attribute of a user's subclass is one of them.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

import keras
from keras.src.backend import compute_output_spec
from keras.src.backend.common import global_state
from keras.src.backend.common.masking import get_keras_mask
from keras.src.backend.common.masking import set_keras_mask
from keras.src.backend.common.symbolic_scope import in_symbolic_scope
from keras.src.losses.loss import squeeze_or_expand_to_same_rank
from keras.src.losses.loss import unscale_loss_for_distribution
from keras.src.losses.losses import LossFunctionWrapper
from keras.src.models.functional import Functional
from keras.src.models.functional import functional_like_constructor
from keras.src.trainers import compile_utils
from keras.src.tree.tree_api import flatten_with_path
from keras.src.utils.tracking import DotNotTrackScope

__all__ = [
    "DotNotTrackScope",
    "Functional",
    "LossFunctionWrapper",
    "OpenBackup",
    "OpenLosses",
    "OpenMetrics",
    "OpenModel",
    "OpenState",
    "OpenSteps",
    "OpenVariable",
    "additional_loss",
    "call_for_training",
    "check_known",
    "compute_loss",
    "compute_output_spec",
    "count_as_state",
    "flatten_with_path",
    "functional_like_constructor",
    "get_keras_mask",
    "has_value",
    "history_of",
    "hold_losses",
    "holding_losses",
    "in_legacy_saving",
    "in_symbolic_scope",
    "index_in_optimizer",
    "is_decayed",
    "is_overwritten",
    "layers_within",
    "load_backup",
    "losses_of",
    "made_to_train",
    "metrics_of",
    "note_values_are_back",
    "output_structure",
    "own_variables_of",
    "place_of",
    "replace_losses",
    "replace_metrics",
    "replace_tracker",
    "set_keras_mask",
    "setting_of",
    "squeeze_or_expand_to_same_rank",
    "start_at",
    "track_loss",
    "unscale_loss_for_distribution",
    "uses_of",
    "variables_of_optimizer",
    "warn_of_nothing_to_train",
    "wrapped_function",
]


def call_for_training(model: keras.Model, x: Any) -> Any:
    """What a model predicts in training."""
    kwargs = {"training": True} if model._call_has_training_arg else {}
    return model(x, **kwargs)


def compute_loss(
    model: keras.Model, x: Any, y: Any, y_pred: Any, sample_weight: Any
) -> Any:
    """The loss in training, also of a `compute_loss` of the user's own."""
    return model._compute_loss(
        x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
    )


def additional_loss(model: keras.Model, loss: Any) -> Any:
    """A loss of a layer or regulariser, as the total counts it."""
    return model._aggregate_additional_loss(loss)


def hold_losses(model: keras.Model, losses: list[Any]) -> None:
    """Makes these what `model.losses` says; none for what layers say."""
    model._losses_override.clear()
    model._losses_override = list(losses)


@contextlib.contextmanager
def holding_losses(model: keras.Model) -> Iterator[None]:
    """Makes `model.losses` those of the forward pass before, for a while."""
    hold_losses(model, model.losses)
    try:
        yield
    finally:
        hold_losses(model, [])


def output_structure(model: keras.Model) -> Any:
    """The symbolic outputs of a functional model; `None` of any other."""
    return getattr(model, "_outputs_struct", None)


def track_loss(model: keras.Model, loss: Any, batch_size: Any) -> None:
    """Takes the loss of a batch into what is logged, as Keras' steps do."""
    model._loss_tracker.update_state(
        unscale_loss_for_distribution(loss), sample_weight=batch_size
    )


def losses_of(model: keras.Model) -> Any:
    """What computes the losses that `compile` was given; `None` of none."""
    return model._compile_loss


def replace_losses(model: keras.Model, losses: Any) -> None:
    model._compile_loss = losses


def metrics_of(model: keras.Model) -> Any:
    """What computes the metrics that `compile` was given; `None` of none."""
    return model._compile_metrics


def replace_metrics(model: keras.Model, metrics: Any) -> None:
    model._compile_metrics = metrics


def replace_tracker(model: keras.Model, tracker: keras.metrics.Metric) -> None:
    """Makes `tracker` what logs the loss."""
    model._loss_tracker = tracker


def has_value(variable: keras.Variable) -> bool:
    """Whether a variable has its value, which JAX's steps take out of it."""
    return variable._value is not None


def note_values_are_back(model: keras.Model) -> None:
    """Tells a model on JAX that its variables hold what steps took."""
    model._jax_state_synced = True


def in_legacy_saving() -> bool:
    """Whether Keras is writing or reading a legacy `.h5` file."""
    return bool(global_state.get_global_attribute("use_legacy_config", False))


def layers_within(layer: Any, recursive: bool = True) -> list[Any]:
    """The layers that a layer or model has, without itself.

    Args:
        layer: A layer.
        recursive: Whether also those that these have.
    """
    found = layer._flatten_layers(include_self=False, recursive=recursive)
    return list(found)


def made_to_train(layer: Any) -> list[keras.Variable]:
    """The variables of a layer itself that were made to be trained.

    Frozen ones, too, but not moving averages and the like.
    """
    return list(layer._trainable_variables)


def uses_of(layer: Any) -> list[Any]:
    """What Keras calls the nodes of a layer: each time that it is used."""
    return layer._inbound_nodes


def history_of(tensor: Any) -> Any:
    """Who made a symbolic tensor; `None` if it is none.

    Returns:
        `operation`, `node_index` (which use of it) and `tensor_index` (which of
        its outputs).
    """
    return getattr(tensor, "_keras_history", None)


def variables_of_optimizer(optimizer: Any) -> list[Any]:
    """The variables that an optimizer was built to train."""
    return list(optimizer._trainable_variables)


def own_variables_of(optimizer: Any) -> list[Any]:
    """The state of an optimizer, without that of one in it."""
    return optimizer._variables


def count_as_state(optimizer: Any, variables: Iterable[Any]) -> None:
    """Counts variables among the state of an optimizer."""
    # Not by an attribute: a LossScaleOptimizer builds with the tracking of
    # attributes switched off.
    for variable in variables:
        optimizer._track_variable(variable)


def check_known(optimizer: Any, variables: Any) -> None:
    """Raises for variables that an optimizer was not built with."""
    optimizer._check_variables_are_known(variables)


def index_in_optimizer(optimizer: Any, variable: Any) -> int:
    """Place of a variable among those that an optimizer was built with."""
    return optimizer._get_variable_index(variable)


def is_overwritten(optimizer: Any, variable: Any) -> bool:
    """Whether a gradient takes the place of the variable's value."""
    return optimizer._overwrite_variable_with_gradient(variable)


def is_decayed(optimizer: Any, variable: Any) -> bool:
    """Whether an optimizer's weight decay is for this variable, too."""
    return optimizer._use_weight_decay(variable)


def load_backup(callback: Any) -> None:
    """Has a `BackupAndRestore`, or a subclass of it, load what it saved."""
    callback._load_model()


def place_of(callback: Any) -> tuple[int, int]:
    """The epoch and the batch in it, as a `BackupAndRestore` counts them."""
    return callback._current_epoch, callback._last_batch_seen


def start_at(model: keras.Model, epoch: int) -> None:
    """Has `fit` begin with an epoch, in `on_train_begin` of a callback."""
    model._initial_epoch = epoch


def wrapped_function(loss_or_metric: Any) -> tuple[Any, dict[str, Any]]:
    """The function that a loss or a metric of Keras wraps, and its arguments.

    Args:
        loss_or_metric: A `LossFunctionWrapper` or a `MeanMetricWrapper`.
    """
    function = getattr(loss_or_metric, "fn", None)
    if function is None:
        function = loss_or_metric._fn
    arguments = loss_or_metric._fn_kwargs
    while isinstance(function, functools.partial):
        arguments = {**function.keywords, **arguments}
        function = function.func
    return function, arguments


def setting_of(loss: Any, name: str) -> Any:
    """An argument that a loss of Keras was made with; `None` of others."""
    return getattr(loss, "_fn_kwargs", {}).get(name)


def warn_of_nothing_to_train() -> None:
    """Says what Keras' own training step says, where it says something."""
    if keras.backend.backend() != "jax":
        warnings.warn(
            "The model does not have any trainable weights.", stacklevel=3
        )


# -- open classes --------------------------------------------------------------


class OpenModel(keras.Model):
    """A `keras.Model` that says what there is to override in its inside."""

    def _mtl_build(self, iterator: Any, data_batch: Any) -> None:
        """Builds the model, its losses and its metrics by a batch."""
        super()._symbolic_build(iterator, data_batch)

    def _symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        self._mtl_build(iterator, data_batch)

    def _mtl_loss_of_layers(self, loss: Any) -> Any:
        """A loss of a layer or regulariser, as the total is to count it."""
        return super()._aggregate_additional_loss(loss)

    def _aggregate_additional_loss(self, loss: Any) -> Any:
        return self._mtl_loss_of_layers(loss)

    def _mtl_final_logs(self, logs: Any) -> Any:
        """The logs of an epoch, out of those of its last step."""
        return super()._get_metrics_result_or_logs(logs)

    def _get_metrics_result_or_logs(self, logs: Any) -> Any:
        return self._mtl_final_logs(logs)

    def _mtl_layers(self, *args: Any, **kwargs: Any) -> list[Any]:
        """What `layers`, `summary` and their like show."""
        return super()._flatten_layers(*args, **kwargs)

    def _flatten_layers(self, *args: Any, **kwargs: Any) -> list[Any]:
        return self._mtl_layers(*args, **kwargs)

    def _mtl_run_graph(self, *args: Any, **kwargs: Any) -> Any:
        """Computes or clones a functional model; others have none."""
        return super()._run_through_graph(*args, **kwargs)

    def _run_through_graph(self, *args: Any, **kwargs: Any) -> Any:
        return self._mtl_run_graph(*args, **kwargs)


class OpenSteps:
    """A part of a `keras.Model` on JAX that can wrap how steps are run."""

    def _mtl_make_steps(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        """What runs the steps of one execution, each of them `step`."""
        return super()._make_function(step, *args, **kwargs)

    def _make_function(
        self, step_function: Any, *args: Any, **kwargs: Any
    ) -> Any:
        return self._mtl_make_steps(step_function, *args, **kwargs)


class OpenVariable(keras.Variable):
    """A variable that can take a value in a way of its own."""

    def take(self, value: Any) -> None:
        """Takes a tensor of its shape and type."""
        super()._direct_assign(value)

    def _direct_assign(self, value: Any) -> None:
        self.take(value)

    def rebind(self, value: Any) -> None:
        """Makes a tensor its value, instead of writing into the one it has."""
        self._value = value


class OpenLosses(compile_utils.CompileLoss):
    """What `keras.Model.compile` makes of its `loss`.

    Attributes:
        entries: A named tuple for each loss, once it is built: `path`, `name`,
            `loss`, `loss_weights`.
        trackers: What logs each loss; empty where there is one.
    """

    @property
    def entries(self) -> list[Any]:
        return self._flat_losses

    @entries.setter
    def entries(self, entries: list[Any]) -> None:
        self._flat_losses = entries

    @property
    def trackers(self) -> list[keras.metrics.Mean]:
        return self._metrics

    @property
    def given(self) -> dict[str, Any]:
        """The arguments of `compile`, as they were."""
        return {
            "loss": self._user_loss,
            "loss_weights": self._user_loss_weights,
        }


class OpenMetrics(compile_utils.CompileMetrics):
    """What `keras.Model.compile` makes of its `metrics`.

    Attributes:
        entries: A group of metrics for each output, or `None`, once built.
        weighted_entries: The same of those that take sample weights.
    """

    @property
    def entries(self) -> list[Any]:
        return self._flat_metrics

    @property
    def weighted_entries(self) -> list[Any]:
        return self._flat_weighted_metrics

    @property
    def names(self) -> list[str] | None:
        """Names of the outputs, once built; `None` where there are none."""
        return self._resolved_output_names

    @property
    def given(self) -> dict[str, Any]:
        """The arguments of `compile`, as they were."""
        return {
            "metrics": self._user_metrics,
            "weighted_metrics": self._user_weighted_metrics,
        }

    def flat(self, y: Any) -> list[Any]:
        """What there is by output, in the order of the outputs."""
        return super()._flatten_y(y)

    def _flatten_y(self, y: Any) -> list[Any]:
        return self.flat(y)


class OpenState(keras.layers.Layer):
    """A layer that says itself what it holds, and under which names."""

    def _mtl_hold(
        self, variable: keras.Variable, key: str, old_key: str
    ) -> None:
        """Has `tf.train.Checkpoint` store a variable under `key`.

        Args:
            variable: The variable.
            key: Its name in checkpoints.
            old_key: Its name in older ones.
        """
        if not hasattr(self, "_track_trackable"):
            # There are such files on TensorFlow alone.
            return
        self._track_trackable(variable, key, overwrite=True)
        self._handle_deferred_dependencies(old_key, variable)

    def _mtl_let_go(self, keys: Any) -> None:
        """Ends what `_mtl_hold` began."""
        # To quantize a model locks its layers, and TensorFlow keeps what it
        # tracks in a dict that is then locked, too.
        self._tracker.unlock()
        if hasattr(self, "_delete_tracking"):
            for key in keys:
                self._delete_tracking(key)

    def _mtl_key_of(self, name: str) -> str:
        """The key of what a checkpoint calls `name`."""
        return name

    def _lookup_dependency(self, name: str, *args: Any, **kwargs: Any) -> Any:
        # TensorFlow asks for what a checkpoint names, also as it is made.
        return super()._lookup_dependency(
            self._mtl_key_of(name), *args, **kwargs
        )


class OpenBackup(keras.callbacks.BackupAndRestore):
    """A backup of which each part can be another one."""

    def _mtl_load(self) -> None:
        super()._load_model()

    def _load_model(self) -> None:
        self._mtl_load()

    def _mtl_save(self) -> None:
        super()._save_model()

    def _save_model(self) -> None:
        self._mtl_save()

    def _mtl_is_due(self, batch: int) -> bool:
        """Whether a backup is to be made after a batch."""
        return super()._should_save_on_batch(batch)

    def _should_save_on_batch(self, batch: int) -> bool:
        return self._mtl_is_due(batch)
