"""JAX: one linearisation, and a transposition of it for each task."""

import contextlib
import dataclasses
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.interpreters import partial_eval

from keras_mtl.backend.jax_lookups import Lookup
from keras_mtl.backend.jax_lookups import add_lookups
from keras_mtl.backend.jax_lookups import tap_lookups
from keras_mtl.backend.jax_state import Restored
from keras_mtl.backend.jax_state import variables_of_step
from keras_mtl.backend.neutral import Gradients
from keras_mtl.backend.neutral import Passes
from keras_mtl.backend.neutral import Scalars
from keras_mtl.types import Tensor
from keras_mtl.utils.embeddings import embedding_layers
from keras_mtl.utils.keras_internals import holding_losses

__all__ = [
    "TAKES_GRADIENTS",
    "Restored",
    "apply_gradients",
    "compiled",
    "differentiate",
    "full_precision",
    "holding_losses",
    "run_step",
    "task_gradients",
]

TAKES_GRADIENTS = True


def run_step(
    step: Callable[[], Any], model: keras.Model, state: tuple
) -> tuple[Any, tuple]:
    """Runs a step in one scope in which the variables have their values."""
    owners = variables_of_step(model)
    mapping = [
        pair
        for variables, values in zip(owners, state, strict=True)
        for pair in zip(variables, values, strict=True)
    ]
    with keras.StatelessScope(mapping, collect_losses=True):
        logs = step()
        state = tuple([v.value for v in variables] for variables in owners)
    return logs, state


def differentiate(
    forward: Callable,
    model: keras.Model,
    cuts: bool = False,
    sparse: bool = False,
) -> tuple[Any, Passes]:
    held = [v for variables in variables_of_step(model) for v in variables]
    start = [(variable, variable.value) for variable in held]
    variables = model.trainable_variables
    values = [variable.value for variable in variables]
    layers = embedding_layers(model) if sparse else []

    def function(values: list, nudges: list | None) -> tuple:
        left = iter(nudges or ())

        def cut(tensor: Tensor) -> Tensor:
            # The gradient with respect to zeros that are added where it stops
            # is the gradient there.
            leaf = jax.lax.stop_gradient(tensor)
            return leaf if nudges is None else leaf + next(left)

        mapping = [*start, *zip(variables, values, strict=True)]
        with (
            keras.StatelessScope(mapping, collect_losses=True),
            tap_lookups(layers, nudges) as lookups,
        ):
            scalars, carried = forward(cut)
            after = [variable.value for variable in held]
        return scalars, (carried, after, lookups)

    def places(values: list) -> list:
        scalars, (_, _, lookups) = function(values, None)
        return scalars.sources or [lookup.output for lookup in lookups]

    nudges = []
    if cuts or layers:
        found = jax.eval_shape(places, values)
        nudges = [jnp.zeros(place.shape, place.dtype) for place in found]
    scalars, pushforward, (carried, after, lookups) = jax.linearize(
        function, values, nudges, has_aux=True
    )
    trained = {id(variable) for variable in variables}
    for variable, value in zip(held, after, strict=True):
        # As in stock Keras: what a layer assigns to a variable that is trained
        # (a normalised kernel) holds for the forward pass.
        if id(variable) not in trained:
            variable.assign(value)
    program = jax.make_jaxpr(pushforward)(values, nudges)
    return carried, LinearPasses(scalars, program, values, nudges, lookups)


@dataclasses.dataclass(eq=False)
class LinearPasses(Passes):
    """Backward passes: transpositions of one linear map.

    Each transposes only what leads to its scalars: to transpose all for each
    of T tasks makes tracing take T times as long. Where no path leads is read
    off the linear program, in which what stops a gradient does not occur.

    `program`, a closed jaxpr, maps changes of the variables' values, and of the
    nudges at the cut or at lookups, to changes of the scalars.
    """

    scalars: Scalars
    program: Any
    values: list[Tensor]
    nudges: list[Tensor]
    lookups: Sequence[Lookup] = ()

    def below(self, signal: Sequence[Tensor | None]) -> list[Tensor | None]:
        zeros = [
            jnp.zeros_like(z) if g is None else g.astype(z.dtype)
            for g, z in zip(signal, self.scalars.sources, strict=True)
        ]
        return self._transpose(lambda scalars: scalars.sources, zeros)[0]

    def _pass(self, select: Callable[[Scalars], list]) -> Gradients:
        ones = [jnp.ones_like(scalar) for scalar in select(self.scalars)]
        own, at_nudges = self._transpose(select, ones)
        if self.lookups:
            own = add_lookups(own, self.lookups, at_nudges, self.values)
            at_nudges = []
        return Gradients(own, at_nudges)

    def _transpose(
        self, select: Callable[[Scalars], list], cotangents: list
    ) -> tuple[list, list]:
        """Gradients of the selected scalars: of values, and at nudges."""
        flat, structure = jax.tree.flatten(self.scalars)
        places = select(jax.tree.unflatten(structure, range(len(flat))))
        jaxpr, reached = partial_eval.dce_jaxpr(
            self.program.jaxpr, [i in places for i in range(len(flat))]
        )

        def linear(*inputs: Tensor) -> list:
            return jax.core.eval_jaxpr(jaxpr, self.program.consts, *inputs)

        inputs, structure = jax.tree.flatten((self.values, self.nudges))
        used = [x for x, hit in zip(inputs, reached, strict=True) if hit]
        ordered = [cotangents[places.index(i)] for i in sorted(places)]
        found = iter(jax.linear_transpose(linear, *used)(ordered))
        gradients = [next(found) if hit else None for hit in reached]
        return jax.tree.unflatten(structure, gradients)


def task_gradients(
    losses: Callable, values: list[Tensor]
) -> tuple[list[Tensor], list[list[Tensor | None]]]:
    def forward(values: list, nudges: list) -> Scalars:
        return Scalars(losses(values), [], [])

    scalars, pushforward = jax.linearize(forward, values, [])
    program = jax.make_jaxpr(pushforward)(values, [])
    passes = LinearPasses(scalars, program, values, [])
    places = range(len(scalars.tasks))
    return scalars.tasks, [passes.task(t).variables for t in places]


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[Tensor | None],
    variables: Sequence[keras.Variable],
) -> list[Tensor]:
    # As stock Keras on JAX: weight decay also acts where no loss does.
    gradients = [
        jnp.zeros_like(v.value) if g is None else g
        for g, v in zip(gradients, variables, strict=True)
    ]
    # Not `apply`, which with a loss scale assigns in the branches of a `cond`,
    # and these values belong to no trace but their own.
    found = optimizer.stateless_apply(
        [v.value for v in optimizer.variables],
        gradients,
        [v.value for v in variables],
    )
    _assign(variables, found[0])
    _assign(optimizer.variables, found[1])
    return gradients


def compiled(
    function: Callable,
    variables: Sequence[keras.Variable] = (),
    jit_compile: bool | str = True,
) -> Callable:
    if not jit_compile:
        return function

    @jax.jit
    def stateless(values: list, *args: Any) -> tuple[Any, list]:
        with keras.StatelessScope(zip(variables, values, strict=True)):
            return function(*args), [v.value for v in variables]

    def run(*args: Any) -> Any:
        result, values = stateless([v.value for v in variables], *args)
        _assign(variables, values)
        return result

    return run


def _assign(variables: Sequence[keras.Variable], values: list[Tensor]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def full_precision() -> contextlib.AbstractContextManager:
    # GPUs and TPUs round the factors to 10 or 8 bits by default. A conflict is
    # the sign of an inner product that can be small beside its factors.
    # TensorFlow has no such switch for a single product; see
    # `tf.config.experimental.enable_tensor_float_32_execution`.
    return jax.default_matmul_precision("float32")
