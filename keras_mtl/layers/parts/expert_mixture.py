"""Groups of experts, mixed for each task by its gate."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.layers.parts.by_task import check_shapes
from keras_mtl.layers.parts.by_task import check_tasks
from keras_mtl.layers.parts.by_task import is_sequence_of_many
from keras_mtl.layers.parts.by_task import to_list
from keras_mtl.layers.parts.copies import copy_layer
from keras_mtl.layers.parts.copies import make_layers
from keras_mtl.layers.parts.gates import gate_weights
from keras_mtl.layers.parts.gates import make_gates
from keras_mtl.layers.parts.gates import mean_over_positions
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.layers.parts.sub_layers import build_layer
from keras_mtl.layers.parts.sub_layers import call_layer
from keras_mtl.layers.parts.sub_layers import output_shape
from keras_mtl.types import Shape
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import integer_from

# Name of the experts, the gate and the input that belong to no single task.
SHARED = "shared"
# What the average of the gates keeps of itself in a step.
MOMENTUM = 0.99
# Up to so many experts are added up one by one, and more in one matrix
# product: measured on a CPU, with XLA and without, as the faster.
FEW = 2
# Stands for a size that is not known, to see what a layer makes of it.
_SOME_SIZE = 997


class ExpertMixture(keras.layers.Layer):
    """Experts in groups, and gates that mix them.

    `MMoE` has one group of experts for all tasks, `CGC` one more for each
    task, and `PLE` is several of these layers, of which the lower ones have
    one more gate, over all their experts. What a gate mixes is called a row.

    Each gate and each mixture is computed by itself. In one product for all
    of them, no task but its own would depend on a gate, and yet the graph
    would lead from every gate to every task. A training step that takes one
    gradient a task goes by the graph: it would take what belongs to one task
    for shared, and go back through everything for each task.

    Args:
        tasks: Names of the tasks.
        experts: Lists of experts by task, and of those of all tasks under
            `SHARED`. A group may be empty or left out.
        gate: As in `make_gates`.
        gate_per: `"example"` or `"position"`.
        shared_row: Whether one more gate mixes all experts.
        first_gate: As `start` of `make_gates`.
        **kwargs: Base layer keyword arguments.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        experts: Mapping[str, Sequence[keras.layers.Layer]],
        gate: Any = None,
        gate_per: str = "example",
        shared_row: bool = False,
        first_gate: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.tasks = check_expert_tasks(tasks)
        self.gate_per = _check_gate_per(gate_per)
        self.expert_groups = {
            group: list(experts.get(group, []))
            for group in [*self.tasks, SHARED]
        }
        self.rows = self.tasks + [SHARED] * shared_row
        # Where experts and gates read, if they do not all read one tensor.
        self.sources = list(self.rows)
        if self.expert_groups[SHARED] and not shared_row:
            self.sources.append(SHARED)
        self.gates = make_gates(
            gate,
            {row: self._num_experts_of(row) for row in self.rows},
            self.dtype_policy,
            first_gate,
        )
        check_different(self.sub_layers())
        self.supports_masking = True
        # Made in `build`.
        self.gate_use = None
        self.kept_axes = None

    def build(self, input_shape: Any) -> None:
        if is_sequence_of_many(input_shape):
            raise ValueError(
                f"Layer '{self.name}' takes one tensor, or a dictionary of "
                f"them for {self.sources}, and not a list. Received: "
                f"input_shape={input_shape}"
            )
        check_shapes(self.name, input_shape)
        shapes = self._by_source(input_shape)
        for name in self.sources:
            if len(shapes[name]) < 2:
                raise ValueError(
                    f"Layer '{self.name}' takes tensors of shape (batch, ..., "
                    f"features). Received: input_shape={input_shape}"
                )
        for group, experts in self.expert_groups.items():
            for expert in experts:
                build_layer(expert, shapes[group])
        for row, gate in zip(self.rows, self.gates, strict=True):
            self._check_expert_shapes(row, shapes)
            self._build_gate(row, gate, shapes[row])
        self.kept_axes = {
            row: self._count_kept_axes(row, shapes) for row in self.rows
        }
        self.gate_use = self.add_weight(
            shape=(sum(map(self._num_experts_of, self.rows)),),
            initializer="zeros",
            trainable=False,
            # Half precision would lose the small changes.
            dtype="float32",
            autocast=False,
            aggregation="mean",
            name="gate_use",
        )

    def call(
        self, inputs: Any, mask: Any = None, training: bool | None = None
    ) -> dict[str, Tensor]:
        sources = self._by_source(inputs)
        masks = self._by_source(mask)
        gate_inputs = self._gate_inputs(inputs, sources, masks)
        no_masks = dict.fromkeys(self.rows)
        gate_masks = masks if self.gate_per == "position" else no_masks
        weights = {
            row: gate_weights(gate, gate_inputs[row], gate_masks[row])
            for row, gate in zip(self.rows, self.gates, strict=True)
        }
        if training:
            self._track(weights, masks)
        outputs = {
            group: self._apply(experts, sources[group], masks[group])
            for group, experts in self.expert_groups.items()
            if experts
        }
        return {row: self._mix(row, weights[row], outputs) for row in self.rows}

    def compute_output_shape(self, input_shape: Any) -> dict[str, Shape]:
        shapes = self._by_source(input_shape)
        return {
            row: next(iter(self._output_shapes(row, shapes).values()))
            for row in self.rows
        }

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of what experts read, where they keep the steps."""
        masks = self._by_source(previous_mask)
        return {
            row: _joined_mask(
                [masks[group] for group in self._groups_of(row)],
                self.kept_axes[row],
            )
            for row in self.rows
        }

    def sub_layers(self) -> list[keras.layers.Layer]:
        """All experts, and then all gates."""
        return [*sum(self.expert_groups.values(), []), *self.gates]

    def sharing_matrices(self) -> list[SharingMatrix]:
        """How much each task takes of each expert.

        Averages over examples, and over some hundred training steps of which
        the last ones count most. All zeros before the first step.

        Returns:
            A list of one matrix: tasks by experts, rows that sum to one.
        """
        if self.gate_use is None:
            raise ValueError(
                f"Layer '{self.name}' has no gates to look at before it is "
                "built. Call it first."
            )
        columns = self._expert_names([*self.tasks, SHARED])
        values = np.zeros((len(self.rows), len(columns)), "float32")
        rest = ops.convert_to_numpy(self.gate_use)
        for row, name in enumerate(self.rows):
            experts = self._expert_names(self._groups_of(name))
            use, rest = rest[: len(experts)], rest[len(experts) :]
            # The average starts from zero, and so it has grown to one only
            # after many steps.
            total = use.sum()
            places = [columns.index(expert) for expert in experts]
            values[row, places] = use / total if total > 0 else 0.0
        return [
            SharingMatrix(
                "gate use", values, list(self.rows), columns, 0.0, 1.0
            )
        ]

    def _groups_of(self, row: str) -> list[str]:
        """Groups of experts that a row mixes: its own first."""
        groups = self.tasks if row == SHARED else [row]
        return [g for g in [*groups, SHARED] if self.expert_groups[g]]

    def _num_experts_of(self, row: str) -> int:
        count = sum(len(self.expert_groups[g]) for g in self._groups_of(row))
        if count == 0:
            raise ValueError(
                f"Layer '{self.name}' has no expert for the task '{row}', of "
                "its own or shared."
            )
        return count

    def _expert_names(self, groups: Sequence[str]) -> list[str]:
        only_shared = not any(self.expert_groups[task] for task in self.tasks)
        return [
            f"expert_{i}" if only_shared else f"{group}_expert_{i}"
            for group in groups
            for i in range(len(self.expert_groups[group]))
        ]

    def _by_source(self, value: Any) -> dict[str, Any]:
        """What each source is: the one that is given, or that of its name."""
        if not isinstance(value, dict):
            if isinstance(value, list):
                value = tuple(value)
            return dict.fromkeys(self.sources, value)
        values = to_list(self.name, self.sources, value)
        return dict(zip(self.sources, values, strict=True))

    def _output_shapes(
        self, row: str, shapes: Mapping[str, Shape]
    ) -> dict[str, Shape]:
        """Shapes of what a row mixes, by the names of the experts."""
        groups = self._groups_of(row)
        outputs = [
            output_shape(expert, shapes[group])
            for group in groups
            for expert in self.expert_groups[group]
        ]
        return dict(zip(self._expert_names(groups), outputs, strict=True))

    def _check_expert_shapes(
        self, row: str, shapes: Mapping[str, Shape]
    ) -> None:
        outputs = self._output_shapes(row, shapes)
        first, shape = next(iter(outputs.items()))
        for name, other in outputs.items():
            if other != shape or len(other) < 2:
                raise ValueError(
                    f"Layer '{self.name}' adds up what experts give, so all "
                    "should give tensors of one shape, (batch, ..., features)."
                    f" Received: '{first}' gives {shape} and '{name}' gives "
                    f"{other}"
                )
        if self.gate_per == "position":
            source = _with_sizes(shapes[row])
            known = {name: _with_sizes(s) for name, s in shapes.items()}
            for name, output in self._output_shapes(row, known).items():
                if output[1:-1] != source[1:-1]:
                    raise ValueError(
                        f"With gate_per='position', layer '{self.name}' has "
                        "a gate for each position of its input, so experts "
                        "should keep all its axes but the last. Received: "
                        f"input of shape {tuple(shapes[row])}, of which "
                        f"'{name}' makes {outputs[name]}"
                    )

    def _count_kept_axes(self, row: str, shapes: Mapping[str, Shape]) -> int:
        """How many axes after the batch all experts keep in their size."""
        counts = []
        for group in self._groups_of(row):
            shape = _with_sizes(shapes[group])
            for expert in self.expert_groups[group]:
                kept = output_shape(expert, shape)
                # An expert may leave axes out, or add some.
                axes = zip(shape[1:-1], kept[1:-1], strict=False)
                same = [a == b for a, b in axes]
                counts.append([*same, False].index(False))
        return min(counts)

    def _build_gate(
        self, row: str, gate: keras.layers.Layer, shape: Shape
    ) -> None:
        if self.gate_per == "example":
            shape = (shape[0], shape[-1])
        build_layer(gate, shape)
        output = output_shape(gate, shape)
        expected = (*shape[:-1], self._num_experts_of(row))
        if output != expected:
            raise ValueError(
                f"The gate of '{row}' in layer '{self.name}' reads a tensor "
                f"of shape {tuple(shape)} and should give {expected}, one "
                f"value for each expert. Received: gate={gate!r}, which gives "
                f"{output}"
            )

    def _gate_inputs(
        self, inputs: Any, sources: Mapping[str, Tensor], masks: Any
    ) -> Mapping[str, Tensor]:
        if self.gate_per == "position":
            return sources
        if isinstance(inputs, dict):
            return {
                name: mean_over_positions(source, masks[name])
                for name, source in sources.items()
            }
        mask = masks[self.sources[0]]
        return self._by_source(mean_over_positions(inputs, mask))

    def _track(self, weights: Mapping[str, Tensor], masks: Any) -> None:
        use = ops.concatenate(
            [
                mean_over_positions(weights[row], masks[row])
                for row in self.rows
            ],
            axis=-1,
        )
        use = ops.cast(
            ops.mean(ops.stop_gradient(use), axis=0), self.gate_use.dtype
        )
        self.gate_use.assign(MOMENTUM * self.gate_use + (1 - MOMENTUM) * use)

    def _apply(
        self, experts: list[keras.layers.Layer], x: Tensor, mask: Any
    ) -> Tensor | list[Tensor]:
        """What the experts of a group give, as `_weighted_sum` takes it."""
        outputs = []
        for expert in experts:
            output = call_layer(expert, x, mask)
            outputs.append(ops.cast(output, self.compute_dtype))
        if len(outputs) <= FEW:
            return outputs
        return ops.stack(outputs, axis=1 if self.gate_per == "example" else -2)

    def _mix(
        self, row: str, weights: Tensor, outputs: Mapping[str, Any]
    ) -> Tensor:
        weights = ops.cast(weights, self.compute_dtype)
        mixture = None
        start = 0
        for group in self._groups_of(row):
            end = start + len(self.expert_groups[group])
            part = _weighted_sum(weights[..., start:end], outputs[group])
            mixture = part if mixture is None else mixture + part
            start = end
        return mixture


def check_different(layers: Sequence[keras.layers.Layer]) -> None:
    """Raises if one layer stands in two places of experts and gates."""
    if len({id(layer) for layer in layers}) < len(layers):
        raise ValueError(
            "`experts` and `gate` give one layer for two places, which would "
            "share its weights. Give a different layer for each, or layers or "
            "functions to make copies from, in place of lists."
        )


def check_expert_tasks(tasks: Any) -> list[str]:
    tasks = check_tasks(tasks)
    if SHARED in tasks:
        raise ValueError(
            f"'{SHARED}' is what belongs to all tasks, so no task can have "
            f"this name. Received: tasks={tasks}"
        )
    return tasks


def make_experts(
    given: Any,
    count: int | None,
    prefix: str,
    argument: str,
    low: int = 0,
    start: int = 0,
) -> list[keras.layers.Layer]:
    """The experts of a group.

    Args:
        given: A layer, model or function, or a list, as in `make_layers`.
        count: How many experts; a list may leave it to its own length.
        prefix: Of the names of copies.
        argument: Name of the argument that is `count`.
        low: Smallest count that is allowed.
        start: How many copies there are already of what is given: a seed is
            another one in every copy.
    """
    if count is None and isinstance(given, (list, tuple)):
        count = len(given)
    if count is None:
        raise ValueError(
            f"`{argument}` should say how many experts to make. Only for a "
            "list of experts it can be left out."
        )
    count = integer_from(low, argument, count)
    names = [f"{prefix}_{i}" for i in range(count)]
    if isinstance(given, keras.layers.Layer):
        return [
            copy_layer("experts", given, name, start + i)
            for i, name in enumerate(names)
        ]
    return make_layers("experts", given, names)


def _check_gate_per(gate_per: Any) -> str:
    if gate_per not in ("example", "position"):
        raise ValueError(
            "`gate_per` should be 'example' or 'position'. Received: "
            f"gate_per={gate_per!r}"
        )
    return gate_per


def _with_sizes(shape: Shape) -> Shape:
    """The shape with a size for every axis but the first."""
    sizes = [_SOME_SIZE if size is None else size for size in shape[1:]]
    return (shape[0], *sizes)


def _joined_mask(masks: Sequence[Tensor | None], kept_axes: int) -> Any:
    """Of a sum: as in Keras, a step counts where one of the terms does."""
    first = masks[0]
    if any(mask is None for mask in masks) or len(first.shape) > kept_axes + 1:
        return None
    for mask in masks[1:]:
        # Most often all of them are one.
        if mask is not masks[0]:
            first = ops.logical_or(first, mask)
    return first


def _weighted_sum(weights: Tensor, outputs: Tensor | list[Tensor]) -> Tensor:
    """Sum over experts of their weights times what they give.

    Args:
        weights: `[batch, experts]`, or `[batch, ..., experts]`.
        outputs: Tensors `[batch, ..., features]` of each expert; or all of
            them along one axis, which is in the place of that of `weights`.
    """
    if isinstance(outputs, list):
        axes = tuple(range(1, 1 + len(outputs[0].shape) - len(weights.shape)))
        terms = [
            ops.expand_dims(weights[..., e : e + 1], axes) * output
            for e, output in enumerate(outputs)
        ]
        # Not from zero, which would be one more sum.
        return sum(terms[1:], start=terms[0])
    shape = ops.shape(outputs)
    features = shape[len(weights.shape) :]
    if len(features) > 1:
        outputs = ops.reshape(outputs, (*shape[:2], -1))
    total = ops.matmul(ops.expand_dims(weights, -2), outputs)
    total = ops.squeeze(total, -2)
    if len(features) > 1:
        total = ops.reshape(total, (shape[0], *features))
    return total
