"""Self-auxiliaries for a model that somebody already has."""

import contextlib
import math
import numbers
import random
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.layers import SelfAuxiliaryHead
from keras_mtl.model import MultiTaskModel
from keras_mtl.output_activation import output_activation
from keras_mtl.symbolic_graph import has_graph
from keras_mtl.symbolic_graph import named_outputs
from keras_mtl.symbolic_graph import nodes_before
from keras_mtl.symbolic_graph import operation_of
from keras_mtl.symbolic_graph import symbolic_inputs
from keras_mtl.symbolic_graph import symbolic_outputs

Tensor = Any


@keras.saving.register_keras_serializable(package="keras_mtl")
class SelfAuxiliaries(keras.layers.Layer):
    """The auxiliary heads of a model, which only its training step calls.

    `add_self_auxiliaries` makes it. It is an attribute of the model and not
    part of its graph, so `predict`, `evaluate` and `export` do not compute it.

    Args:
        representation: str. Name of the layer whose output the heads read.
        heads: Dict from task names to `SelfAuxiliaryHead`s.
        weight: float >= 0. Weight of a head's loss beside its task's loss.
        as_tasks: bool. Whether each head is a task of its own,
            `"<task>_aux"`, for aggregator and weighting, in place of being
            added to the loss of its task.
        **kwargs: Base layer keyword arguments.

    Call arguments:
        inputs: Tensor, the representation.

    Returns:
        Dict from task names to the predictions of their heads.

    Example:

    ```python
    auxiliaries = keras_mtl.auxiliaries.SelfAuxiliaries(
        "shared", {"left": keras_mtl.layers.SelfAuxiliaryHead(10)}, weight=0.5
    )
    auxiliaries(keras.random.normal((32, 50)))["left"]  # (32, 10)
    ```
    """

    def __init__(
        self,
        representation: str,
        heads: dict[str, SelfAuxiliaryHead],
        weight: float,
        as_tasks: bool = False,
        **kwargs: Any,
    ):
        # Each head casts to its own type: not twice.
        super().__init__(autocast=False, **kwargs)
        self.representation = representation
        self.heads = dict(heads)
        self.weight = _weight(weight)
        self.as_tasks = as_tasks
        self.supports_masking = True

    def build(self, input_shape: tuple) -> None:
        for head in self.heads.values():
            if not head.built:
                head.build(input_shape)

    def call(
        self, inputs: Tensor, training: bool | None = None
    ) -> dict[str, Tensor]:
        return {
            task: head(inputs, training=training)
            for task, head in self.heads.items()
        }

    def compute_mask(self, inputs: Tensor, previous_mask: Any) -> None:
        # The heads have put the mask on their predictions.
        return None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.update(
            {
                "representation": self.representation,
                "heads": {
                    task: _serialize_unbuilt(head)
                    for task, head in self.heads.items()
                },
                "weight": self.weight,
                "as_tasks": self.as_tasks,
            }
        )
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "SelfAuxiliaries":
        heads = {
            task: keras.saving.deserialize_keras_object(
                head, custom_objects=custom_objects
            )
            for task, head in config["heads"].items()
        }
        return super().from_config({**config, "heads": heads})


def _serialize_unbuilt(layer: keras.layers.Layer) -> dict[str, Any]:
    """Leaves building to the owner, which gives its name to the variables."""
    config = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config


def add_self_auxiliaries(
    model: keras.Model,
    representation: str | keras.KerasTensor,
    *,
    weight: float = 1.0,
    pool_size: int | None = None,
    bottleneck: int | None = None,
    temperature: float = 1.0,
    tasks: Sequence[str] | None = None,
    as_tasks: bool = False,
    activation: Any = None,
) -> MultiTaskModel:
    """Adds small second heads to a model, for training only.

    Each task is predicted a second time, by a small linear head on the shared
    representation, from the same labels: the loss of a task becomes
    `loss + weight * auxiliary_loss`. The shared layers learn features that
    even a small head can use, and generalise better.

    The result is a `MultiTaskModel` on the layers of `model`: nothing is
    copied, so training one trains both. It is not compiled; `compile` it with
    losses for the same outputs, and with an aggregator or a weighting if
    wanted. `fit` logs `<task>_aux_loss`, while `predict`, `evaluate` and
    `export` know nothing of the heads. `strip_auxiliaries` gives the model to
    serve. With `new_model.auxiliaries.trainable = False` the heads stay at
    their random start.

    A head predicts in the form of its task's output: as many units, the same
    activation and the same dtype policy, so the loss of the task fits. On a
    representation of higher rank than an output of shape `(batch, units)` all
    its features count; otherwise the head works on the last axis.

    Args:
        model: Functional or built `Sequential` model. Its tasks have the
            names that Keras logs: the keys of dictionary outputs, else the
            names of the output layers.
        representation: Name of the layer, or its output tensor, that the heads
            read. In the paper it is the last layer that all tasks share.
        weight: float >= 0. Weight of an auxiliary loss beside its task's.
        pool_size: int or `None`. See `SelfAuxiliaryHead`.
        bottleneck: int or `None`. See `SelfAuxiliaryHead`.
        temperature: float > 0. See `SelfAuxiliaryHead`.
        tasks: Names of the tasks to add a head for. Defaults to all.
        as_tasks: bool. Whether the heads are tasks of their own, called
            `<task>_aux`, for aggregator and weighting. By default a head's
            loss is added to the loss of its task before anything else.
        activation: Activation of the heads, or a dict of them by task. By
            default it is found in the layer that makes the output; needed
            where that layer is one that Keras does not know.

    Returns:
        An uncompiled `MultiTaskModel` with `auxiliaries`.

    Raises:
        ValueError: If the model has no graph or has auxiliaries already, if
            `representation` is not one floating-point tensor of the graph
            that all `tasks` depend on, or if another argument does not fit.

    Example:

    ```python
    inputs = keras.Input((64,))
    shared = keras.layers.Dense(50, activation="relu", name="shared")(inputs)
    outputs = {
        "left": keras.layers.Dense(10, activation="softmax")(shared),
        "right": keras.layers.Dense(10, activation="softmax")(shared),
    }
    model = keras.Model(inputs, outputs)  # or keras.saving.load_model(...)

    model = keras_mtl.add_self_auxiliaries(model, "shared", bottleneck=8)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x, {"left": y_left, "right": y_right})
    keras_mtl.strip_auxiliaries(model).save("served.keras")
    ```

    References:

    - Wang et al., "Small Towers Make Big Differences", 2020
      ([arXiv:2008.05808](https://arxiv.org/abs/2008.05808))
    """
    _check_model(model)
    weight = _weight(weight)
    outputs = named_outputs(model)
    tasks = _task_names(tasks, outputs)
    tensor = _representation_tensor(model, representation)
    activations = _activations(activation, tasks, outputs)
    with _undisturbed_randomness():
        heads = {}
        for task in tasks:
            _check_depends(task, outputs[task], tensor)
            heads[task] = SelfAuxiliaryHead(
                outputs[task].shape[-1],
                pool_size=pool_size,
                bottleneck=bottleneck,
                temperature=temperature,
                activation=activations[task],
                flatten=_needs_flattening(task, outputs[task], tensor),
                # A slash has a meaning in the names of variables.
                name=f"{task}_aux".replace("/", "_"),
                dtype=_dtype_policy(outputs[task], model),
            )
        auxiliaries = SelfAuxiliaries(
            operation_of(tensor).name,
            heads,
            weight,
            as_tasks=as_tasks,
            name="self_auxiliaries",
        )
        auxiliaries.build(tensor.shape)
    new_model = MultiTaskModel(**_same_graph(model))
    new_model.auxiliaries = auxiliaries
    return new_model


def strip_auxiliaries(model: keras.Model) -> keras.Model:
    """Returns the plain Keras model to serve: the same layers, and no more.

    It has the outputs of `model`, to the bit, and neither auxiliary heads nor
    the state of an aggregator or a weighting. It needs no keras_mtl to load.
    It shares its layers with `model` and is not compiled.

    Args:
        model: Functional `MultiTaskModel`, with or without auxiliaries.

    Returns:
        A functional `keras.Model`.

    Raises:
        ValueError: If the model has no graph to rebuild it from.

    Example:

    ```python
    served = keras_mtl.strip_auxiliaries(model)
    served.save("served.keras")
    ```
    """
    _check_has_graph(model)
    return keras.Model(**_same_graph(model))


def _same_graph(model: keras.Model) -> dict[str, Any]:
    arguments = {
        "inputs": symbolic_inputs(model),
        "outputs": symbolic_outputs(model),
        "name": model.name,
    }
    if not model.trainable:
        # Given as True it would thaw layers that are frozen.
        arguments["trainable"] = False
    return arguments


def _check_model(model: Any) -> None:
    _check_has_graph(model)
    if getattr(model, "auxiliaries", None) is not None:
        raise ValueError(
            f"The model '{model.name}' has auxiliaries already. Take them off "
            "first: `keras_mtl.strip_auxiliaries(model)`."
        )


def _check_has_graph(model: Any) -> None:
    if has_graph(model):
        return
    if isinstance(model, keras.Sequential):
        advice = "Start it with a `keras.Input`, or call it on data, first."
    else:
        advice = (
            "Make one with `keras.Model(inputs, outputs)`. A subclassed model "
            "can use `keras_mtl.layers.SelfAuxiliaryHead` in its `call`, with "
            "outputs of their own."
        )
    raise ValueError(
        "`model` must be a functional or a built Sequential model, with a "
        f"graph from inputs to outputs. {advice} Received: model={model!r}"
    )


def _weight(weight: Any) -> float:
    is_number = isinstance(weight, numbers.Real)
    if not is_number or not math.isfinite(weight) or weight < 0:
        raise ValueError(
            "`weight` of the auxiliaries must be a finite number from 0 up. "
            f"Received: weight={weight!r}"
        )
    return float(weight)


def _task_names(tasks: Any, outputs: dict[str, Any]) -> list[str]:
    if tasks is None:
        return list(outputs)
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    unknown = [name for name in names if name not in outputs]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            "`tasks` must name outputs of the model, each once and at least "
            f"one of {list(outputs)}. Received: tasks={tasks!r}"
        )
    return names


def _representation_tensor(
    model: keras.Model, representation: Any
) -> keras.KerasTensor:
    """The one tensor of the graph that the heads shall read."""
    tensor = representation
    nodes = list(nodes_before(*model.outputs))
    if isinstance(representation, str):
        found = [n for n in nodes if n.operation.name == representation]
    elif isinstance(representation, keras.KerasTensor):
        found = [n for n in nodes if any(t is tensor for t in n.output_tensors)]
        if found:
            name = found[0].operation.name
            found = [n for n in nodes if n.operation.name == name]
    else:
        raise ValueError(
            "`representation` must be the name of a layer, or a tensor of the "
            f"functional model. Received: representation={representation!r}"
        )
    if not found:
        names = [n.operation.name for n in reversed(nodes)]
        raise ValueError(
            "`representation` is no layer that the outputs of the model "
            f"'{model.name}' depend on. Its layers are {names}. Received: "
            f"representation={representation!r}"
        )
    return _only_output(found, representation)


def _only_output(nodes: list[Any], representation: Any) -> keras.KerasTensor:
    operation = nodes[0].operation
    tensors = [tensor for node in nodes for tensor in node.output_tensors]
    if len(tensors) > 1:
        raise ValueError(
            "`representation` must stand for one tensor, but "
            f"'{operation.name}' stands for {len(tensors)}, of {len(nodes)} "
            "calls. Put the tensor that you mean through "
            "`keras.layers.Identity(name=...)` and give that name. Received: "
            f"representation={representation!r}"
        )
    tensor = tensors[0]
    if isinstance(operation, keras.layers.InputLayer):
        raise ValueError(
            f"`representation` is the input '{operation.name}': there is "
            "nothing before it that the auxiliary heads could train. Name a "
            f"layer. Received: representation={representation!r}"
        )
    if not keras.backend.is_float_dtype(tensor.dtype):
        raise ValueError(
            "`representation` must be of a floating-point type, through which "
            f"gradients flow, but '{operation.name}' gives {tensor.dtype}. "
            f"Received: representation={representation!r}"
        )
    return tensor


def _check_depends(
    task: str, output: keras.KerasTensor, representation: keras.KerasTensor
) -> None:
    operation = operation_of(representation)
    if all(n.operation is not operation for n in nodes_before(output)):
        raise ValueError(
            f"`representation` '{operation.name}' is not on the way to the "
            f"output '{task}', so a head on it would not help that task. Name "
            "a layer that all tasks share, or leave the task out of `tasks`."
        )


def _needs_flattening(
    task: str, output: keras.KerasTensor, representation: keras.KerasTensor
) -> bool:
    """Whether a head must flatten, to give predictions of the right shape."""
    shape, target = representation.shape, output.shape
    if len(target) == 2 and target[-1] is not None:
        return len(shape) > 2
    between = zip(shape[1:-1], target[1:-1])
    if (
        len(shape) != len(target)
        or len(target) < 2
        or target[-1] is None
        or any(a != b for a, b in between if None not in (a, b))
    ):
        raise ValueError(
            f"No head on `representation` '{operation_of(representation).name}'"
            f", of shape {shape}, can predict the task '{task}', of shape "
            f"{target}: that takes equal axes but for the last, or an output "
            "of shape (batch, units). Choose another representation, or leave "
            "the task out of `tasks`."
        )
    return False


def _activations(
    activation: Any, tasks: list[str], outputs: dict[str, Any]
) -> dict[str, Any]:
    """The activation for each task's head: given, or that of the output."""
    given = activation if isinstance(activation, dict) else {}
    unknown = sorted(set(given) - set(tasks))
    if unknown:
        raise ValueError(
            f"`activation` has entries {unknown} that are not among the tasks "
            f"{tasks}. Received: activation={activation}"
        )
    if activation is not None and not isinstance(activation, dict):
        given = dict.fromkeys(tasks, activation)
    found = {
        task: given[task] if task in given else output_activation(outputs[task])
        for task in tasks
    }
    for task in tasks:
        if found[task] is None:
            operation = operation_of(outputs[task])
            raise ValueError(
                f"Cannot tell what kind of output '{task}' is: '"
                f"{operation.name}', a {type(operation).__name__}, makes it. "
                "Say which activation its head needs for the same loss to "
                f"fit, e.g. `activation={{'{task}': 'softmax'}}`, or 'linear' "
                "for none."
            )
    return found


def _dtype_policy(output: keras.KerasTensor, model: keras.Model) -> Any:
    return getattr(operation_of(output), "dtype_policy", model.dtype_policy)


@contextlib.contextmanager
def _undisturbed_randomness() -> Iterator[None]:
    """Draws initial weights, and leaves the run as it would have been.

    Initializers take seeds from Python's generator, which also shuffles some
    kinds of data: with and without auxiliaries shall see the same batches.
    """
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
