"""The training step on JAX: one linearisation, T transpositions."""

import contextlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import keras
from jax.interpreters import partial_eval

from keras_mtl.backend.jax_lookups import Lookup
from keras_mtl.backend.jax_lookups import add_lookups
from keras_mtl.backend.jax_lookups import embedding_layers
from keras_mtl.backend.jax_lookups import tap_lookups
from keras_mtl.backend.jax_state import KeepsState
from keras_mtl.gradients.gram import add
from keras_mtl.gradients.sparse import dense
from keras_mtl.trainers.taps import tap

Tensor = Any


class TrainStep(KeepsState):
    """`train_step` and `test_step` of `MultiTaskModel` on JAX."""

    def train_step(self, state: tuple, data: Any) -> tuple[dict, tuple]:
        data = self._prepare_batch(data)
        # With nothing to train, Keras goes through the step as it is.
        if not self._takes_task_gradients or not state[0]:
            return super().train_step(state, data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        trainable, _, optimizer_state, _ = state

        def forward(trainable: list, nudges: list) -> tuple:
            return self._forward(
                (trainable, *state[1:]), nudges, x, y, sample_weight
            )

        nudges = self._make_nudges(forward, trainable)
        outputs, pushforward, carried = jax.linearize(
            forward, trainable, nudges, has_aux=True
        )
        loss, y_pred, objectives, non_trainable, metrics, lookups = carried
        passes = _BackwardPasses(
            outputs, pushforward, trainable, nudges, lookups=lookups
        )

        scope_state = (trainable, non_trainable, optimizer_state, metrics)
        with self._stateless(scope_state) as scope:
            gradients = self._aggregate(passes, objectives)
        non_trainable = _read(scope, self.non_trainable_variables)
        metrics = _read(scope, self.metrics_variables)

        # As stock Keras on JAX: weight decay also acts where no loss does.
        gradients = [
            jnp.zeros_like(v) if g is None else g
            for g, v in zip(gradients, trainable)
        ]
        observed = {}
        if self._observes_gradients:
            rows = self._observed_rows(passes, objectives)
            observed = self._observe_gradients(*rows, objectives)
        trainable, optimizer_state = self.optimizer.stateless_apply(
            optimizer_state, gradients, trainable
        )
        scope_state = (trainable, non_trainable, optimizer_state, metrics)
        with self._stateless(scope_state) as scope:
            self._update_weighting(objectives, observed, (x, y, sample_weight))
            self._keep_state_of_step(objectives, gradients)
        non_trainable = _read(scope, self.non_trainable_variables)
        logs, metrics = self._update_metrics_variables(
            metrics, loss, x, y, y_pred, sample_weight
        )
        return logs, (trainable, non_trainable, optimizer_state, metrics)

    def test_step(self, state: tuple, data: Any) -> tuple[dict, tuple]:
        logs, state = super().test_step(state, data)
        return self._drop_training_logs(logs), state

    @property
    def _embedding_layers(self) -> list[tuple[Any, int]]:
        """Those whose tables get their gradients as rows."""
        aggregator = self.aggregator
        if aggregator is None or self._representation is not None:
            return []
        return (
            embedding_layers(self) if aggregator.takes_sparse_gradients else []
        )

    def _make_nudges(self, forward: Any, trainable: list) -> list:
        """Zeros that are added where the gradient is to stop.

        The gradient with respect to them is the gradient at the
        representation, or at what embedding layers return.
        """
        if self._representation is None and not self._embedding_layers:
            return []

        def cut_off(trainable: list) -> list:
            outputs, carried = forward(trainable, None)
            return outputs[2] or [lookup.output for lookup in carried[-1]]

        shapes = jax.eval_shape(cut_off, trainable)
        return [jnp.zeros(s.shape, s.dtype) for s in shapes]

    def _stateless(
        self, state: tuple, collect_losses: bool = False
    ) -> keras.StatelessScope:
        """A scope in which all variables of the step have these values."""
        owners = (
            self.trainable_variables,
            self.non_trainable_variables,
            self.optimizer.variables,
            self.metrics_variables,
        )
        mapping = [
            pair
            for own, values in zip(owners, state)
            for pair in zip(own, values)
        ]
        return keras.StatelessScope(
            state_mapping=mapping, collect_losses=collect_losses
        )

    def _forward(
        self, state: tuple, nudges: list | None, x: Any, y: Any, sw: Any
    ) -> tuple[tuple, tuple]:
        """The scalars of the step, and what else it has to carry on.

        Returns:
            `(tasks, rest, sources)` to differentiate, with empty lists where
            there is nothing, and `(loss, y_pred, objectives, non_trainable,
            metrics, lookups)`.
        """
        trainable, non_trainable, optimizer_state, metrics = state
        with contextlib.ExitStack() as stack:
            taps = self._open_taps(stack, nudges)
            lookups = stack.enter_context(
                tap_lookups(self._embedding_layers, nudges)
            )
            kwargs = {"training": True} if self._call_has_training_arg else {}
            y_pred, non_trainable, losses = self.stateless_call(
                trainable, non_trainable, x, return_losses=True, **kwargs
            )
        state = (trainable, non_trainable, optimizer_state, metrics)
        self._losses_override.clear()
        self._losses_override = losses
        with self._stateless(state, collect_losses=True) as scope:
            predictions = self._predict_auxiliaries(taps.get("auxiliaries"))
            # Auxiliaries run after the model, and may have losses too.
            self._losses_override.extend(scope.losses)
            loss, objectives = self._evaluate(x, y, y_pred, sw, predictions)
        self._losses_override.clear()
        rest = [] if objectives.rest is None else [objectives.rest]
        cut = taps.get("representation")
        sources = keras.tree.flatten(cut.source) if cut else []
        carried = (
            loss,
            y_pred,
            objectives._replace(
                tasks=[None] * len(objectives.tasks), rest=None
            ),
            _read(scope, self.non_trainable_variables),
            _read(scope, self.metrics_variables),
            lookups,
        )
        return (objectives.tasks, rest, sources), carried

    def _open_taps(self, stack: Any, nudges: list | None) -> dict[str, Any]:
        """Taps the representation, where the gradient is to stop."""

        def cut(outputs: Any) -> Any:
            leaves = [
                jax.lax.stop_gradient(z) for z in keras.tree.flatten(outputs)
            ]
            if nudges is not None:
                leaves = [z + nudge for z, nudge in zip(leaves, nudges)]
            return keras.tree.pack_sequence_as(outputs, leaves)

        taps = {}
        if self._representation is not None:
            taps["representation"] = stack.enter_context(
                tap(self._representation, cut)
            )
        if self.auxiliaries is not None:
            taps["auxiliaries"] = self._open_auxiliary_taps(stack, taps)
        return taps

    def _aggregate(self, passes: "_BackwardPasses", objectives: Any) -> list:
        if self.aggregator is None:
            return passes.total()[0]
        if self._representation is not None:
            return self._aggregate_at(passes, objectives)
        rows = [
            passes.with_slices(passes.task(t))
            for t in range(len(objectives.tasks))
        ]
        rest = passes.rest()
        gradients = self._combine_variables(
            rows, self.trainable_variables, objectives
        )
        return add(gradients, passes.with_slices(rest)) if rest else gradients

    def _observed_rows(
        self, passes: "_BackwardPasses", objectives: Any
    ) -> tuple[list[list], list]:
        """Task gradients that a weighting sees, and of what they are taken.

        Compiled, these are the backward passes of the aggregator once more,
        which the compiler merges; of others only what is used is computed.
        """
        rows = [passes.task(t) for t in range(len(objectives.tasks))]
        if self._representation is not None:
            return [leaf_row for _, leaf_row in rows], []
        rows = [[dense(g) for g in passes.with_slices(row)] for row in rows]
        return rows, self.trainable_variables

    def _aggregate_at(self, passes: "_BackwardPasses", objectives: Any) -> list:
        """T backward passes down to the representation, one below it."""
        rows = [passes.task(t) for t in range(len(objectives.tasks))]
        result = self._combine_representation(
            [leaf_row for _, leaf_row in rows], objectives
        )
        signal = result.gradients
        head_rows = [head_row for head_row, _ in rows]
        rest = passes.rest()
        if rest:
            signal = add(signal, rest[1])
        below = passes.below(signal)
        self._finish_cut(self.trainable_variables, head_rows, below, result)
        gradients = below
        for row in head_rows + ([rest[0]] if rest else []):
            gradients = add(gradients, row)
        return gradients


class _BackwardPasses:
    """Backward passes from the outputs of one linearised forward pass.

    Transposing one output at a time visits only the part of the model that
    leads to it. A gradient is `None`, not zero, where no path leads: read off
    the linear program, in which what stops a gradient does not occur.

    Args:
        outputs: `(tasks, rest, sources)`.
        pushforward: The linear map from changes of `inputs` to changes of
            `outputs`.
        inputs: Lists of arrays: trainable variables and nudges.
        lookups: The lookups that nudges were added to, if it was to these.
    """

    def __init__(
        self,
        outputs: tuple,
        pushforward: Any,
        *inputs: list,
        lookups: Sequence[Lookup] = (),
    ):
        self.outputs = outputs
        self.pushforward = pushforward
        self.inputs = inputs
        self.lookups = lookups
        self.jaxpr = jax.make_jaxpr(pushforward)(*inputs).jaxpr

    def task(self, index: int) -> tuple[list, list]:
        """Gradients of one task: of the variables, at the nudges."""
        return self._transpose(lambda out: [out[0][index]])

    def rest(self) -> tuple[list, list] | None:
        """Gradients of what belongs to no task, if there is anything."""
        return self._transpose(lambda out: out[1]) if self.outputs[1] else None

    def total(self) -> tuple[list, list]:
        """Gradients of everything together."""
        return self._transpose(lambda out: out[0] + out[1])

    def with_slices(self, gradients: tuple[list, list]) -> list:
        """Gradients of the variables, those at lookups among them."""
        own, at_nudges = gradients
        return add_lookups(own, self.lookups, at_nudges, self.inputs[0])

    def below(self, signal: list) -> list:
        """Carries gradients at the representation on to the variables."""
        zeros = [
            jnp.zeros_like(z) if g is None else g.astype(z.dtype)
            for g, z in zip(signal, self.outputs[2])
        ]
        return self._transpose(lambda out: out[2], zeros)[0]

    def _transpose(self, select: Any, cotangents: list | None = None) -> tuple:
        def chosen(*tangents: list) -> list:
            return select(self.pushforward(*tangents))

        if cotangents is None:
            cotangents = [jnp.ones_like(v) for v in select(self.outputs)]
        gradients = jax.linear_transpose(chosen, *self.inputs)(cotangents)
        flat, structure = jax.tree.flatten(gradients)
        reached = self._reached(select)
        found = [g if hit else None for g, hit in zip(flat, reached)]
        return jax.tree.unflatten(structure, found)

    def _reached(self, select: Any) -> list[bool]:
        """Which inputs lead to the selected outputs."""
        flat, structure = jax.tree.flatten(self.outputs)
        numbered = jax.tree.unflatten(structure, range(len(flat)))
        chosen = set(jax.tree.leaves(select(numbered)))
        used = [i in chosen for i in range(len(flat))]
        return partial_eval.dce_jaxpr(self.jaxpr, used)[1]


def _read(scope: keras.StatelessScope, variables: list) -> list:
    """The values that variables have at the end of a scope."""
    values = [scope.get_current_value(v) for v in variables]
    return [
        variable.value if value is None else value
        for variable, value in zip(variables, values)
    ]
