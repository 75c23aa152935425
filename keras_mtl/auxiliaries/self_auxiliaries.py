"""Self-auxiliaries for a model that somebody already has."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.auxiliaries.heads import activations
from keras_mtl.auxiliaries.heads import dtype_policy
from keras_mtl.auxiliaries.heads import head_name
from keras_mtl.auxiliaries.heads import linear_head
from keras_mtl.auxiliaries.heads import task_names
from keras_mtl.auxiliaries.heads import undisturbed_randomness
from keras_mtl.auxiliaries.tapped_tensor import check_leads_to
from keras_mtl.auxiliaries.tapped_tensor import tapped_tensor
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.model import MultiTaskModel
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import named_outputs
from keras_mtl.utils.graph import operation_of
from keras_mtl.utils.graph import symbolic_inputs
from keras_mtl.utils.graph import symbolic_outputs


@keras.saving.register_keras_serializable(package="keras_mtl")
class SelfAuxiliaries(keras.layers.Layer):
    """The auxiliary heads of a model, which only its training step calls.

    `add_self_auxiliaries` and `add_auxiliary_branches` make it. It is an
    attribute of the model and not part of its graph, so `predict`, `evaluate`
    and `export` do not compute it.

    Args:
        representation: Name of the layer whose output the heads read, or a
            list of names where they read several.
        heads: Dict from task names to layers that predict the tasks, such as
            `SelfAuxiliaryHead`; `AuxiliaryBranch` for several layers.
        weight: float >= 0. Weight of a head's loss beside its task's loss.
        as_tasks: bool. Whether each head is a task of its own,
            `"<task>_aux"`, for aggregator and weighting, in place of being
            added to the loss of its task.
        **kwargs: Base layer keyword arguments.

    Call arguments:
        inputs: Tensor, the representation; a list of them for a list of names.

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
        representation: str | Sequence[str],
        heads: dict[str, keras.layers.Layer],
        weight: float,
        as_tasks: bool = False,
        **kwargs: Any,
    ):
        # Each head casts to its own type: not twice.
        super().__init__(autocast=False, **kwargs)
        is_name = isinstance(representation, str)
        is_list = isinstance(representation, (list, tuple))
        names = representation if is_list else [representation]
        if not all(isinstance(name, str) for name in names):
            raise ValueError(
                "`representation` must be the name of a layer, or a list of "
                f"names. Received: representation={representation!r}"
            )
        self.representation = representation if is_name else [*representation]
        self.heads = dict(heads)
        self.weight = number_from_zero("weight", weight)
        self.as_tasks = boolean("as_tasks", as_tasks)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        for head in self.heads.values():
            if not head.built:
                head.build(input_shape)

    def call(
        self, inputs: Any, training: bool | None = None
    ) -> dict[str, Tensor]:
        return {
            task: head(inputs, training=training)
            for task, head in self.heads.items()
        }

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        # The heads have put the mask on their predictions.
        return None

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        names = self.representation
        several = not isinstance(names, str)
        heads = serialize_layers(list(self.heads.values()))
        config.update(
            {
                # No list that Keras watches.
                "representation": list(names) if several else names,
                "heads": dict(zip(self.heads, heads, strict=True)),
                "weight": self.weight,
                "as_tasks": self.as_tasks,
            }
        )
        return config

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "SelfAuxiliaries":
        heads = deserialize_layers(config["heads"].values(), custom_objects)
        heads = dict(zip(config["heads"], heads, strict=True))
        return super().from_config({**config, "heads": heads})


def add_self_auxiliaries(
    model: keras.Model,
    representation: str | keras.layers.Layer | keras.KerasTensor,
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
        representation: The layer that the heads read, by name or itself, or
            its output tensor. In the paper it is the last layer that all tasks
            share.
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
    weight = number_from_zero("weight", weight)
    check_model(model)
    outputs = named_outputs(model)
    tasks = task_names(tasks, outputs)
    tensor = tapped_tensor("representation", model, representation)
    kinds = activations(activation, tasks, outputs)
    name = operation_of(tensor).name
    with undisturbed_randomness():
        heads = {}
        for task in tasks:
            check_leads_to("representation", tensor, task, outputs[task])
            heads[task] = linear_head(
                task,
                outputs[task],
                (f"`representation` '{name}'", tensor.shape),
                activation=kinds[task],
                pool_size=pool_size,
                bottleneck=bottleneck,
                temperature=temperature,
                name=head_name(task),
                dtype=dtype_policy(outputs[task], model),
            )
        auxiliaries = SelfAuxiliaries(
            name, heads, weight, as_tasks=as_tasks, name="self_auxiliaries"
        )
        auxiliaries.build(tensor.shape)
    return with_auxiliaries(model, auxiliaries)


def with_auxiliaries(
    model: keras.Model, auxiliaries: SelfAuxiliaries
) -> MultiTaskModel:
    """A `MultiTaskModel` on the layers of a model, with these auxiliaries."""
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


def check_model(model: Any) -> None:
    """Raises unless auxiliaries can be added to the model."""
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
