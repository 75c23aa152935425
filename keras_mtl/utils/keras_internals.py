"""The private names of Keras that the training step leans on, in one place.

Keras offers no public way to the losses of single outputs, nor to a functional
model's class. `tests/test_contract.py` notices when one of these changes.
"""

import functools
import warnings
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
from keras.src.trainers.compile_utils import CompileLoss
from keras.src.trainers.compile_utils import CompileMetrics
from keras.src.tree.tree_api import flatten_with_path
from keras.src.utils.tracking import DotNotTrackScope

__all__ = [
    "CompileLoss",
    "CompileMetrics",
    "DotNotTrackScope",
    "Functional",
    "LossFunctionWrapper",
    "additional_loss",
    "call_for_training",
    "compute_loss",
    "compute_output_spec",
    "flatten_with_path",
    "functional_like_constructor",
    "get_keras_mask",
    "history_of",
    "hold_losses",
    "in_legacy_saving",
    "in_symbolic_scope",
    "layers_within",
    "made_to_train",
    "output_structure",
    "set_keras_mask",
    "squeeze_or_expand_to_same_rank",
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


def output_structure(model: keras.Model) -> Any:
    """The symbolic outputs of a functional model; `None` of any other."""
    return getattr(model, "_outputs_struct", None)


def track_loss(model: keras.Model, loss: Any, batch_size: Any) -> None:
    """Takes the loss of a batch into what is logged, as Keras' steps do."""
    model._loss_tracker.update_state(
        unscale_loss_for_distribution(loss), sample_weight=batch_size
    )


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


def warn_of_nothing_to_train() -> None:
    """Says what Keras' own training step says, where it says something."""
    if keras.backend.backend() != "jax":
        warnings.warn(
            "The model does not have any trainable weights.", stacklevel=3
        )
