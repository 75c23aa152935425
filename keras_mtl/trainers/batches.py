"""Class weights by task: taken from `fit`, and put into each batch."""

import contextlib
from typing import Any

import keras

from keras_mtl import backend
from keras_mtl.labels.class_weights import Judged
from keras_mtl.labels.class_weights import check_labels
from keras_mtl.labels.class_weights import is_per_task
from keras_mtl.labels.class_weights import validate_class_weight
from keras_mtl.labels.class_weights import with_class_weight
from keras_mtl.labels.missing_labels import missing_label_of
from keras_mtl.trainers.fit_arguments import bind
from keras_mtl.trainers.settings import is_stock
from keras_mtl.trainers.settings import settings_of
from keras_mtl.trainers.task_losses import TaskLosses
from keras_mtl.trainers.validation import refuse_entries_by_task
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import Functional
from keras_mtl.utils.keras_internals import call_for_training
from keras_mtl.utils.keras_internals import compute_loss
from keras_mtl.utils.keras_internals import compute_output_spec
from keras_mtl.utils.keras_internals import output_structure


def take_class_weight(
    model: Any, method: str, args: tuple, kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Keeps class weights by task for the step; Keras refuses them.

    Args:
        model: A `MultiTaskModel`.
        method: Name of the method that was called.
        args, kwargs: Its arguments.

    Returns:
        The keyword arguments that Keras may have.
    """
    class_weight = bind(method, args, kwargs).arguments.get("class_weight")
    if class_weight is not None and not is_per_task(class_weight):
        class_weight = _of_one_output(model, class_weight)
    if class_weight is not None:
        if "class_weight" not in kwargs:
            raise ValueError("Pass `class_weight` as a keyword argument.")
        names = getattr(model, "output_names", None) or list(class_weight)
        if not is_stock(model):
            refuse_entries_by_task(model, model.loss, class_weight=class_weight)
        validate_class_weight(class_weight, names)
        if getattr(model.task_losses, "built", False):
            # A step that was compiled before looks at no labels any more.
            _check_labels_at_hand(model, class_weight, _known_outputs(model))
        kwargs = {**kwargs, "class_weight": None}
    if class_weight != settings_of(model).class_weight:
        settings_of(model).class_weight = class_weight
        # The compiled step has the old weights in it.
        model.train_function = None
    return kwargs


def prepare_batch(model: Any, data: Any) -> Any:
    """Multiplies sample weights by the class weights of each task.

    Args:
        model: A `MultiTaskModel`.
        data: A batch, as the training step receives it.
    """
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    class_weight = settings_of(model).class_weight
    if class_weight is not None:
        judged = _judged_outputs(model, x, y, sample_weight)
        _check_labels_at_hand(model, class_weight, judged)
        names = getattr(model, "output_names", None)
        sample_weight = with_class_weight(
            y, sample_weight, class_weight, names, judged
        )
        if isinstance(model.task_losses, TaskLosses):
            model.task_losses.expect_class_weight(class_weight)
    return keras.utils.pack_x_y_sample_weight(x, y, sample_weight)


def _of_one_output(model: Any, class_weight: dict) -> dict | None:
    """Class weights by output, or `None` where they are left to Keras.

    Keras takes labels with more than one axis for one-hot, whatever the loss.
    """
    names = getattr(model, "output_names", None) or [""]
    if len(names) > 1:
        raise ValueError(
            "`class_weight` of a model with several outputs should be "
            "a dict from output names to class weights, e.g. "
            f"{{'{names[0]}': {{0: 1.0, 1: 5.0}}}}. Received: "
            f"class_weight={class_weight}"
        )
    is_left = is_stock(model) or not names[0]
    return None if is_left else {names[0]: class_weight}


def _judged_outputs(
    model: Any, x: Any, y: Any, sample_weight: Any
) -> dict[str, Judged]:
    """How outputs are judged, also those that have metrics alone."""
    losses = model.task_losses
    if isinstance(losses, TaskLosses) and not losses.built:
        _evaluate_symbolically(model, x, y, sample_weight)
    return _known_outputs(model)


def _known_outputs(model: Any) -> dict[str, Judged]:
    """How outputs are judged, as far as it is known by now."""
    judged = {}
    if isinstance(model, Functional):
        outputs = keras.tree.flatten(output_structure(model))
        for name, output in zip(model.output_names, outputs, strict=True):
            judged[name] = Judged(tuple(output.shape))
    if isinstance(model.task_losses, TaskLosses):
        judged.update(model.task_losses.judged())
    return judged


def _check_labels_at_hand(
    model: Any, class_weight: dict, judged: dict[str, Judged]
) -> None:
    """Looks at labels of classes, of outputs that are known by now."""
    at_hand = settings_of(model).labels_at_hand
    for name, weights in class_weight.items():
        missing = missing_label_of(model.missing_label, name)
        how = judged.get(name, Judged())
        check_labels(name, weights, at_hand.get(name), how, missing)


def _evaluate_symbolically(
    model: Any, x: Any, y: Any, sample_weight: Any
) -> None:
    """Shows the losses the shapes of predictions, before there are any."""

    def evaluate(x: Any, y: Any, sample_weight: Any) -> Tensor:
        y_pred = call_for_training(model, x)
        return compute_loss(model, x, y, y_pred, sample_weight)

    batch = keras.tree.map_structure(_to_spec, (x, y, sample_weight))
    with backend.outside_trace(), contextlib.suppress(Exception):
        # What fails here fails in the step as well, which says so; but for a
        # model that cannot be called symbolically, which then is judged by its
        # labels alone.
        compute_output_spec(evaluate, *batch)


def _to_spec(tensor: Any) -> keras.KerasTensor | None:
    """Shape and type of one tensor of a batch."""
    if tensor is None:
        return None
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return keras.KerasTensor(tensor.shape, dtype)
