"""Where a forward pass on JAX looks up rows of embedding tables.

TensorFlow's gradient of a lookup has only the rows that were looked up; JAX
makes the whole table. So the table is cut off: zeros are added to what a
lookup returns, and the gradients with respect to these are those of the rows.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import get_opaque_trace_state

from keras_mtl.backend.slices import Slices
from keras_mtl.types import Tensor
from keras_mtl.utils.keras_internals import in_symbolic_scope


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=("ids", "output"),
    meta_fields=("position",),
)
@dataclasses.dataclass(frozen=True)
class Lookup:
    """One call of an embedding layer.

    Attributes:
        position: Of its table among the trainable variables.
        ids: Integer array `[N]`, the rows, from 0 up.
        output: Array `[..., width]`, what the call returned.
    """

    position: int
    ids: Tensor
    output: Tensor


@contextlib.contextmanager
def tap_lookups(
    layers: Sequence[tuple[Any, int]], nudges: Sequence[Tensor] | None
) -> Iterator[list[Lookup]]:
    """Cuts off the tables of embedding layers within the context.

    Args:
        layers: As `embedding_layers` returns them.
        nudges: Zeros to add to what each call returns, in the order of calls;
            `None` for a first look at their shapes.

    Yields:
        A list that grows by a `Lookup` with each call.
    """
    found: list[Lookup] = []
    trace = get_opaque_trace_state()

    def tapped(layer: Any, position: int) -> Any:
        original = layer.call

        def call(inputs: Any) -> Tensor:
            outputs = original(inputs)
            # In a loop, or where it is computed twice to save memory, a call
            # is not one lookup: there the table gets its gradient as usual.
            inside = get_opaque_trace_state() != trace
            dense = isinstance(inputs, jax.Array)
            if in_symbolic_scope() or inside or not dense:
                return outputs
            ids = jnp.reshape(inputs, (-1,)).astype("int32")
            ids = jnp.where(ids < 0, ids + layer.input_dim, ids)
            index = len(found)
            found.append(Lookup(position, ids, outputs))
            outputs = jax.lax.stop_gradient(outputs)
            return outputs if nudges is None else outputs + nudges[index]

        return call

    with contextlib.ExitStack() as stack:
        for layer, position in layers:
            # Around Keras' attribute tracking, as in `tap`.
            object.__setattr__(layer, "call", tapped(layer, position))
            stack.callback(object.__delattr__, layer, "call")
        yield found


def add_lookups(
    gradients: Sequence[Tensor | None],
    lookups: Sequence[Lookup],
    at_lookups: Sequence[Tensor | None],
    variables: Sequence[Tensor],
) -> list[Tensor | Slices | None]:
    """Puts the gradients at lookups to those of the variables.

    Args:
        gradients: Of the variables, but for the lookups.
        lookups: The lookups of the forward pass.
        at_lookups: For each of them the gradient of what it returned.
        variables: Values of the variables.
    """
    gradients = list(gradients)
    for position in dict.fromkeys(lookup.position for lookup in lookups):
        table = variables[position]
        pairs = zip(lookups, at_lookups, strict=True)
        own = [(k, g) for k, g in pairs if k.position == position]
        if all(gradient is None for _, gradient in own):
            continue
        rows = [jnp.zeros_like(k.output) if g is None else g for k, g in own]
        shape = (-1, *table.shape[1:])
        rows = [jnp.reshape(r, shape).astype(table.dtype) for r in rows]
        ids = jnp.concatenate([lookup.ids for lookup, _ in own])
        slices = Slices(ids, jnp.concatenate(rows), table.shape[0], position)
        if gradients[position] is not None:
            slices = gradients[position] + slices.dense()
        gradients[position] = slices
    return gradients
