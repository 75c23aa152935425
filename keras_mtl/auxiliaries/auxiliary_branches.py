"""Auxiliary branches for a model that somebody already has."""

import itertools
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.auxiliaries.heads import activations
from keras_mtl.auxiliaries.heads import dtype_policy
from keras_mtl.auxiliaries.heads import head_name
from keras_mtl.auxiliaries.heads import linear_head
from keras_mtl.auxiliaries.heads import task_names
from keras_mtl.auxiliaries.heads import undisturbed_randomness
from keras_mtl.auxiliaries.self_auxiliaries import SelfAuxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import check_model
from keras_mtl.auxiliaries.self_auxiliaries import with_auxiliaries
from keras_mtl.auxiliaries.tapped_tensor import check_leads_to
from keras_mtl.auxiliaries.tapped_tensor import tapped_tensor
from keras_mtl.layers import AuxiliaryBranch
from keras_mtl.layers.parts.copies import make_layers
from keras_mtl.model import MultiTaskModel
from keras_mtl.utils.by_output import check_entries
from keras_mtl.utils.graph import named_outputs
from keras_mtl.utils.graph import nodes_before
from keras_mtl.utils.graph import operation_of


def add_auxiliary_branches(
    model: keras.Model,
    taps: Sequence[str | keras.layers.Layer | keras.KerasTensor],
    *,
    adapter: Any = None,
    width: int | None = None,
    fusion: str = "sum",
    head: Any = None,
    weight: float = 1.0,
    tasks: Sequence[str] | None = None,
    as_tasks: bool = False,
    activation: Any = None,
) -> MultiTaskModel:
    """Adds to each task a branch over several layers, for training only.

    A branch reads the outputs of several shared layers, the taps, adapts each,
    carries them from one tap to the next and predicts its task a second time,
    from the same labels: the loss of a task becomes
    `loss + weight * auxiliary_loss`. So every tapped layer is asked for
    features of use to each task, as if the tasks had layers of their own
    there; these are thrown away. See `keras_mtl.layers.AuxiliaryBranch` for
    what a branch computes.

    `add_self_auxiliaries` is the same with small heads on one layer, and all
    that is said there of the returned model holds here: its layers are those
    of `model`, it is not compiled, `fit` logs `<task>_aux_loss`, `predict`,
    `evaluate` and `export` know nothing of the branches, and
    `strip_auxiliaries` gives the model to serve. With one tap and
    `adapter=keras.layers.Dense(bottleneck)` both are one computation.

    Compiled with a `representation`, the model may have taps only where the
    representation leads: gradients of earlier ones would go around it.

    Args:
        model: Functional or built `Sequential` model. Its tasks have the
            names that Keras logs: the keys of dictionary outputs, else the
            names of the output layers.
        taps: The layers that the branches read, by name or themselves, or
            their output tensors, in the order in which the model computes them.
        adapter: Maps the features of a tap to what a branch works with: a
            layer or model, copied for each task and tap; a function without
            arguments that makes one; or a list of these with one for each
            tap. By default linear maps, for images 1x1 convolutions.
        width: int. Number of features of the default adapters. Defaults to
            that of the last tap.
        fusion: `"sum"` or `"concat"`: how adapted features are joined to
            those of the taps before.
        head: Predicts a task from the fused features, in the form of its
            output: a layer or model, copied for each task; a function without
            arguments that makes one; or a dict of these by task. Tasks that a
            dict does not name, and by default all, get a linear head with the
            units and the activation of their output.
        weight: float >= 0. Weight of an auxiliary loss beside its task's.
        tasks: Names of the tasks to add a branch for. Defaults to all.
        as_tasks: bool. Whether the branches are tasks of their own, called
            `<task>_aux`, for aggregator and weighting. By default a branch's
            loss is added to the loss of its task before anything else.
        activation: Activation of the linear heads, or a dict of them by task.
            By default it is found in the layer that makes the output.

    Returns:
        An uncompiled `MultiTaskModel` with `auxiliaries`.

    Raises:
        ValueError: If the model has no graph or has auxiliaries already, if a
            tap is not one floating-point tensor of the graph that all `tasks`
            depend on, if the taps cannot be fused, if a head gives another
            shape than its task's output, or if another argument does not fit.

    Example:

    ```python
    inputs = keras.Input((64, 64, 3))
    conv = dict(padding="same", activation="relu")
    x = keras.layers.Conv2D(16, 3, name="early", **conv)(inputs)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(32, 3, name="late", **conv)(x)
    outputs = {
        "labels": keras.layers.Conv2D(13, 1, activation="softmax")(x),
        "depth": keras.layers.Conv2D(1, 1)(x),
    }
    model = keras.Model(inputs, outputs)

    model = keras_mtl.add_auxiliary_branches(model, ["early", "late"])
    model.compile(
        "adam",
        {"labels": "sparse_categorical_crossentropy", "depth": "mae"},
    )
    ```

    References:

    - Liu et al., "Auxiliary Learning for Deep Multi-task Learning", 2019
      ([arXiv:1909.02214](https://arxiv.org/abs/1909.02214))
    """
    check_model(model)
    outputs = named_outputs(model)
    tasks = task_names(tasks, outputs)
    tensors = _tapped_tensors(model, taps)
    names = [operation_of(tensor).name for tensor in tensors]
    _check_order(tensors, names)
    shapes = [tensor.shape for tensor in tensors]
    for task, tensor in itertools.product(tasks, tensors):
        check_leads_to("taps", tensor, task, outputs[task])
    with undisturbed_randomness():
        adapters, last = _adapters(adapter, tasks, names)
        # As the features of the last tap, so the fused ones.
        features = last(keras.KerasTensor(shapes[-1])).shape
        heads = _given_heads(head, tasks)
        others = [task for task in tasks if task not in heads]
        kinds = activations(activation, others, outputs)
        branches = {}
        for task in tasks:
            dtype = dtype_policy(outputs[task], model)
            if task in others:
                heads[task] = linear_head(
                    task,
                    outputs[task],
                    (f"`taps` {names}", features),
                    activation=kinds[task],
                    name="head",
                    dtype=dtype,
                )
            branches[task] = AuxiliaryBranch(
                heads[task],
                adapters=adapters[task],
                width=width,
                fusion=fusion,
                name=head_name(task),
                dtype=dtype,
            )
        auxiliaries = SelfAuxiliaries(
            names,
            branches,
            weight,
            as_tasks=as_tasks,
            name="auxiliary_branches",
        )
        auxiliaries.build(shapes)
    for task, branch in branches.items():
        _check_prediction(task, outputs[task], branch, shapes)
    return with_auxiliaries(model, auxiliaries)


def _tapped_tensors(model: keras.Model, taps: Any) -> list[keras.KerasTensor]:
    if isinstance(taps, (str, keras.KerasTensor, keras.Operation)):
        taps = [taps]
    if not isinstance(taps, (list, tuple)) or not taps:
        raise ValueError(
            "`taps` must be a list of layers, at least one: their names, or "
            f"their output tensors. Received: taps={taps!r}"
        )
    tensors = [tapped_tensor("taps", model, tap) for tap in taps]
    if len({id(tensor) for tensor in tensors}) < len(tensors):
        raise ValueError(
            f"`taps` must name each layer once. Received: taps={taps!r}"
        )
    return tensors


def _check_order(tensors: list[keras.KerasTensor], names: list[str]) -> None:
    for place, tensor in enumerate(tensors):
        before = {id(node.operation) for node in nodes_before(tensor)}
        late = [
            name
            for name, other in zip(
                names[place + 1 :], tensors[place + 1 :], strict=True
            )
            if id(operation_of(other)) in before
        ]
        if late:
            raise ValueError(
                "`taps` must be in the order in which the model computes "
                f"them, but '{names[place]}' is computed from {late}. "
                f"Received: taps={names}"
            )


def _adapters(
    adapter: Any, tasks: list[str], taps: list[str]
) -> tuple[dict[str, list[keras.layers.Layer] | None], keras.layers.Layer]:
    """A list of adapters a task, one a tap; `None` for the default ones.

    And one more for the last tap, to see what shape it gives.
    """
    if adapter is None:
        return dict.fromkeys(tasks), keras.layers.Identity()
    names = [[f"{task}_{tap}" for task in (*tasks, "probe")] for tap in taps]
    if not isinstance(adapter, (list, tuple)):
        made = iter(make_layers("adapter", adapter, sum(names, [])))
        columns = [[next(made) for _ in column] for column in names]
    elif len(adapter) == len(taps):
        columns = [
            make_layers("adapter", given, column)
            for given, column in zip(adapter, names, strict=True)
        ]
    else:
        raise ValueError(
            f"`adapter` should be a list with one for each of the taps {taps}, "
            f"or one layer to be copied. Received: {len(adapter)} of them"
        )
    *rows, probes = zip(*columns, strict=True)
    return dict(zip(tasks, map(list, rows), strict=True)), probes[-1]


def _given_heads(head: Any, tasks: list[str]) -> dict[str, keras.layers.Layer]:
    if head is None:
        return {}
    if not isinstance(head, dict):
        names = [f"{task}_head" for task in tasks]
        return dict(zip(tasks, make_layers("head", head, names), strict=True))
    check_entries("head", head, tasks, "tasks with a branch")
    return {
        task: make_layers("head", given, [f"{task}_head"])[0]
        for task, given in head.items()
    }


def _check_prediction(
    task: str,
    output: keras.KerasTensor,
    branch: AuxiliaryBranch,
    shapes: list[tuple],
) -> None:
    shape = branch.compute_output_shape(shapes)
    if len(shape) != len(output.shape) or any(
        a != b
        for a, b in zip(shape, output.shape, strict=True)
        if None not in (a, b)
    ):
        raise ValueError(
            f"The branch of the task '{task}' predicts a tensor of shape "
            f"{shape}, but its output has the shape {output.shape}, and the "
            "labels are the same. Give another `head`, or `adapter`s that "
            "keep the size of the last of the `taps`."
        )
