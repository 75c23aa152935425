"""Further towers of the shape of the main ones: pseudo-tasks, frozen or not."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_mtl.auxiliaries.heads import head_name
from keras_mtl.auxiliaries.heads import task_names
from keras_mtl.auxiliaries.heads import undisturbed_randomness
from keras_mtl.auxiliaries.self_auxiliaries import SelfAuxiliaries
from keras_mtl.auxiliaries.self_auxiliaries import check_model
from keras_mtl.auxiliaries.self_auxiliaries import with_auxiliaries
from keras_mtl.auxiliaries.tapped_tensor import check_leads_to
from keras_mtl.auxiliaries.tapped_tensor import tapped_tensor
from keras_mtl.layers.parts.copies import copy_layer
from keras_mtl.layers.parts.copies import deserialize_layers
from keras_mtl.layers.parts.copies import serialize_layers
from keras_mtl.model import MultiTaskModel
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.graph import has_graph
from keras_mtl.utils.graph import is_same_tensor
from keras_mtl.utils.graph import named_outputs
from keras_mtl.utils.graph import node_of
from keras_mtl.utils.graph import operation_of
from keras_mtl.utils.keras_internals import get_keras_mask
from keras_mtl.utils.keras_internals import layers_within


@keras.saving.register_keras_serializable(package="keras_mtl")
class AuxiliaryTowers(keras.layers.Layer):
    """Towers that predict one task, each by itself, from the same features.

    `add_auxiliary_towers` makes it.

    Args:
        towers: List of layers or models, used as they are.
        **kwargs: Base layer keyword arguments; `trainable=False` freezes the
            towers.

    Call arguments:
        inputs: Tensor, the representation.

    Returns:
        List of predictions, one a tower.

    Example:

    ```python
    towers = keras_mtl.auxiliaries.AuxiliaryTowers(
        [keras.layers.Dense(10), keras.layers.Dense(10)], trainable=False
    )
    towers(keras.random.normal((32, 50)))[1]  # (32, 10)
    ```
    """

    def __init__(self, towers: Sequence[keras.layers.Layer], **kwargs: Any):
        # Each tower casts to its own type: not twice.
        super().__init__(autocast=False, **kwargs)
        self.towers = list(towers)
        self.supports_masking = True
        if not self.trainable:
            # Keras told those only that were there at the time, and on
            # TensorFlow an attribute that is False is not set to it again.
            for layer in layers_within(self):
                layer.trainable = False

    def build(self, input_shape: Shape) -> None:
        for tower in self.towers:
            if not tower.built:
                tower.build(input_shape)

    def call(self, inputs: Tensor, training: bool | None = None) -> list:
        return [_predict(tower, inputs, training) for tower in self.towers]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        # The towers have put the mask on their predictions.
        return None

    def get_config(self) -> dict[str, Any]:
        towers = serialize_layers(list(self.towers))
        return {**super().get_config(), "towers": towers}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "AuxiliaryTowers":
        towers = deserialize_layers(config["towers"], custom_objects)
        return super().from_config({**config, "towers": towers})


def add_auxiliary_towers(
    model: keras.Model,
    representation: str | keras.layers.Layer | keras.KerasTensor,
    *,
    copies: int = 2,
    weight: float = 1.0,
    frozen: bool = True,
    tasks: Sequence[str] | None = None,
    as_tasks: bool = False,
) -> MultiTaskModel:
    """Adds to each task copies of its tower, for training only.

    The tower of a task is all that lies between the representation and its
    output. Each copy has initial weights of its own and predicts the task from
    the same labels: the loss of a task becomes
    `loss + weight * (loss of copy 1 + loss of copy 2 + ...)`.

    By default the copies are frozen at their random start, and their losses
    train the layers below the representation alone. This is pseudo-task
    augmentation with frozen decoders (PTA-F), as in the code of Wang et al.,
    who have 2, 3 or 4 copies. With `copies=1, frozen=False` it is their
    experiment with large auxiliary towers.

    `add_self_auxiliaries` is the same with small heads, and all that is said
    there of the returned model holds here: its layers are those of `model`, it
    is not compiled, `fit` logs `<task>_aux_loss` (the sum over the copies),
    `predict`, `evaluate` and `export` know nothing of the copies, and
    `strip_auxiliaries` gives the model to serve. Files of the model hold the
    copies, as they were, frozen if they were.

    A frozen copy is called as in training: its dropout drops units. Its batch
    normalization is that of inference, with the statistics of its start.

    Args:
        model: Functional or built `Sequential` model. Its tasks have the
            names that Keras logs: the keys of dictionary outputs, else the
            names of the output layers.
        representation: The layer that the towers read, by name or itself, or
            its output tensor: the last layer that all tasks share.
        copies: int >= 1. Number of copies of each tower; D - 1 of the paper.
        weight: float >= 0. Weight of the loss of a copy beside its task's.
        frozen: bool. Whether the copies stay as they start.
        tasks: Names of the tasks whose towers are copied. Defaults to all.
        as_tasks: bool. Whether the copies of a tower are a task of their own,
            called `<task>_aux`, for aggregator and weighting. By default
            their losses are added to that of their task before anything else.

    Returns:
        An uncompiled `MultiTaskModel` with `auxiliaries`.

    Raises:
        ValueError: If the model has no graph or has auxiliaries already, if
            `representation` is not one floating-point tensor of the graph, if
            a tower reads more than that, has no weights, is quantized or
            cannot be copied, or if another argument does not fit.

    Example:

    ```python
    inputs = keras.Input((64,))
    shared = keras.layers.Dense(50, activation="relu", name="shared")(inputs)
    outputs = {}
    for task in ("left", "right"):
        tower = keras.layers.Dense(20, activation="relu")(shared)
        outputs[task] = keras.layers.Dense(10, activation="softmax")(tower)
    model = keras.Model(inputs, outputs)

    model = keras_mtl.add_auxiliary_towers(model, "shared", copies=3)
    model.compile("adam", "sparse_categorical_crossentropy")
    ```

    References:

    - Meyerson and Miikkulainen, "Pseudo-task Augmentation", 2018
      ([arXiv:1803.04062](https://arxiv.org/abs/1803.04062))
    - Wang et al., "Small Towers Make Big Differences", 2020
      ([arXiv:2008.05808](https://arxiv.org/abs/2008.05808))
    """
    copies = integer_from(1, "copies", copies)
    weight = number_from_zero("weight", weight)
    frozen = boolean("frozen", frozen)
    check_model(model)
    outputs = named_outputs(model)
    tensor = tapped_tensor("representation", model, representation)
    name = operation_of(tensor).name
    heads = {}
    with undisturbed_randomness():
        for task in task_names(tasks, outputs):
            tower = _tower(tensor, task, outputs[task])
            made = [_copy(tower, task, i + 1) for i in range(copies)]
            heads[task] = AuxiliaryTowers(
                made, name=head_name(task), trainable=not frozen
            )
        auxiliaries = SelfAuxiliaries(
            name, heads, weight, as_tasks=as_tasks, name="auxiliary_towers"
        )
        auxiliaries.build(tensor.shape)
    return with_auxiliaries(model, auxiliaries)


def _predict(
    tower: keras.layers.Layer, inputs: Tensor, training: bool | None
) -> Tensor:
    if not has_graph(tower):
        return tower(inputs, training=training)
    # Called as a layer, Keras would warn that a model destroys the mask, which
    # the layers within it do take.
    return tower.call(inputs, training=training, mask=get_keras_mask(inputs))


def _tower(
    tensor: keras.KerasTensor, task: str, output: keras.KerasTensor
) -> keras.Model:
    """What computes the output of a task from the tensor, as a model."""
    check_leads_to("representation", tensor, task, output)
    name = operation_of(tensor).name
    other = _read_beside(tensor, output)
    if other is not None:
        raise ValueError(
            f"The tower of the task '{task}' does not read the "
            f"`representation` '{name}' alone: it leads to the input '{other}' "
            "around it. Name a layer of the model itself, of no model within "
            "it, through which all that the task reads goes, or leave the task "
            "out of `tasks`."
        )
    tower = keras.Model(tensor, output)
    if not tower.weights:
        raise ValueError(
            f"The tower of the task '{task}', from the `representation` "
            f"'{name}' on, has no weights: a copy would be equal to it. Name "
            "an earlier layer, or leave the task out of `tasks`."
        )
    for layer in layers_within(tower):
        if getattr(layer, "quantization_mode", None) is not None:
            raise ValueError(
                f"The tower of the task '{task}' is quantized, and a copy of "
                f"the layer '{layer.name}' would start from zeros. Add the "
                "copies before `model.quantize`."
            )
    return tower


def _read_beside(
    tensor: keras.KerasTensor, output: keras.KerasTensor
) -> str | None:
    """Name of an input that an output reads other than through the tensor."""
    waiting, seen = [output], set()
    while waiting:
        made = waiting.pop()
        if id(made) in seen or is_same_tensor(made, tensor):
            continue
        seen.add(id(made))
        node = node_of(made)
        if not node.input_tensors:
            return node.operation.name
        waiting.extend(node.input_tensors)
    return None


def _copy(tower: keras.Model, task: str, index: int) -> keras.Model:
    """A copy of a tower, with initial weights of its own."""
    made: dict[int, Any] = {}

    def copy(operation: Any) -> Any:
        # A layer that the tower calls twice has one copy.
        if id(operation) not in made:
            made[id(operation)] = _copy_operation(operation, task, index)
        return made[id(operation)]

    found = keras.models.clone_model(tower, clone_function=copy)
    found.name = f"{head_name(task)}_{index}"
    return found


def _copy_operation(operation: Any, task: str, index: int) -> Any:
    if not isinstance(operation, keras.layers.Layer):
        return type(operation).from_config(operation.get_config())
    name = f"{operation.name}_aux_{index}"
    try:
        return copy_layer("representation", operation, name, index)
    except ValueError as error:
        raise ValueError(
            f"The tower of the task '{task}' cannot be copied: its layer "
            f"'{operation.name}' cannot be made again from its configuration. "
            "Give its class a `get_config` with all arguments of its "
            f"constructor, or leave the task out of `tasks`. {error}"
        ) from error
