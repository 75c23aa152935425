"""The training step on TensorFlow: one tape, T backward passes."""

import contextlib
import warnings
from typing import Any

import keras
import tensorflow as tf

from keras_mtl.backend.replicas import num_replicas
from keras_mtl.backend.replicas import sum_over_replicas
from keras_mtl.gradients.gram import add
from keras_mtl.gradients.sparse import Slices
from keras_mtl.trainers.taps import tap
from keras_mtl.utils.keras_internals import unscale_loss_for_distribution

Tensor = Any


class TrainStep:
    """`train_step` and `test_step` of `MultiTaskModel` on TensorFlow."""

    def train_step(self, data: Any) -> dict[str, Tensor]:
        data = self._prepare_batch(data)
        if not self._takes_task_gradients:
            return super().train_step(data)
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape(persistent=True) as tape:
            with contextlib.ExitStack() as stack:
                taps = self._open_taps(stack, tape)
                kwargs = (
                    {"training": True} if self._call_has_training_arg else {}
                )
                y_pred = self(x, **kwargs)
            predictions = self._predict_auxiliaries(taps.get("auxiliaries"))
            loss, objectives = self._evaluate(
                x, y, y_pred, sample_weight, predictions
            )
        self._loss_tracker.update_state(
            unscale_loss_for_distribution(loss),
            sample_weight=tf.shape(_first_tensor(x))[0],
        )
        if self.trainable_variables:
            cut = taps.get("representation")
            self._take_step(tape, objectives, cut, (x, y, sample_weight))
        else:
            # As stock Keras, which goes on as well.
            warnings.warn(
                "The model does not have any trainable weights.", stacklevel=2
            )
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def _take_step(
        self, tape: tf.GradientTape, objectives: Any, cut: Any, batch: tuple
    ) -> None:
        """Takes the gradients, and lets optimizer and methods have them."""
        variables = self.trainable_variables
        gradients = self._aggregate(tape, objectives, variables, cut)
        observed = {}
        if self._observes_gradients:
            rows = self._observed_rows(tape, objectives, variables, cut)
            observed = self._observe_gradients(*rows, objectives)
        if self.optimizer.loss_scale_factor is not None:
            # Keras divides by it, and TensorFlow divides no rows of a table.
            gradients = [_whole(gradient) for gradient in gradients]
        self.optimizer.apply_gradients(zip(gradients, variables))
        self._update_weighting(objectives, observed, batch)
        self._keep_state_of_step(objectives, gradients)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        return self._drop_training_logs(super().test_step(data))

    def _open_taps(self, stack: Any, tape: tf.GradientTape) -> dict[str, Any]:
        """Taps the representation, where the gradient is to stop."""

        def cut(outputs: Any) -> Any:
            leaves = keras.tree.map_structure(tf.stop_gradient, outputs)
            tape.watch(keras.tree.flatten(leaves))
            return leaves

        taps = {}
        if self._representation is not None:
            taps["representation"] = stack.enter_context(
                tap(self._representation, cut)
            )
        if self.auxiliaries is not None:
            taps["auxiliaries"] = self._open_auxiliary_taps(stack, taps)
        return taps

    def _aggregate(
        self, tape: tf.GradientTape, objectives: Any, variables: list, cut: Any
    ) -> list[Tensor]:
        if num_replicas() > 1:
            objectives = _of_whole_batch(objectives)
        if self.aggregator is None:
            # Of several targets a tape takes the gradient of the sum.
            rest = [] if objectives.rest is None else [objectives.rest]
            return tape.gradient(objectives.tasks + rest, variables)
        if cut is not None:
            return self._aggregate_at(tape, objectives, variables, cut)
        replicas = num_replicas()
        if replicas > 1:
            # Combining is not linear: it must see the gradients of the whole
            # batch. The optimizer sums over replicas once more, hence the
            # division below.
            rows = [_gradients(tape, t, variables) for t in objectives.tasks]
            rows = _all_reduce(rows)
        else:
            rows = [_with_slices(tape, t, variables) for t in objectives.tasks]
        gradients = self._combine_variables(rows, variables, objectives)
        if replicas > 1:
            gradients = [None if g is None else g / replicas for g in gradients]
        if objectives.rest is not None:
            gradients = add(
                gradients, _gradients(tape, objectives.rest, variables)
            )
        return gradients

    def _observed_rows(
        self, tape: tf.GradientTape, objectives: Any, variables: list, cut: Any
    ) -> tuple[list[list], list]:
        """Task gradients that a weighting sees, and of what they are taken.

        Compiled, these are the backward passes of the aggregator once more,
        which the compiler merges; of others only what is used is computed.
        """
        sources = variables if cut is None else keras.tree.flatten(cut.outlet)
        rows = [_gradients(tape, t, sources) for t in objectives.tasks]
        return rows, (variables if cut is None else [])

    def _aggregate_at(
        self, tape: tf.GradientTape, objectives: Any, variables: list, cut: Any
    ) -> list[Tensor]:
        """T backward passes down to the representation, one below it."""
        leaves = keras.tree.flatten(cut.outlet)
        sources = keras.tree.flatten(cut.source)
        scalars = list(objectives.tasks)
        if objectives.rest is not None:
            scalars.append(objectives.rest)
        rows = [_gradients(tape, s, leaves + variables) for s in scalars]
        leaf_rows = [row[: len(leaves)] for row in rows]
        head_rows = [row[len(leaves) :] for row in rows]
        task_count = len(objectives.tasks)
        # Rows of a representation belong to examples: their Grams add up.
        result = self._combine_representation(
            leaf_rows[:task_count], objectives, sum_over_replicas
        )
        signal = result.gradients
        if objectives.rest is not None:
            signal = add(signal, leaf_rows[-1])
        # To a tape, no gradient at the output means ones.
        used = [i for i, g in enumerate(signal) if g is not None]
        below = _gradients(
            tape,
            [sources[i] for i in used],
            variables,
            output_gradients=[signal[i] for i in used],
        )
        self._finish_cut(variables, head_rows[:task_count], below, result)
        gradients = below
        for row in head_rows:
            gradients = add(gradients, row)
        return gradients


def _gradients(
    tape: tf.GradientTape, target: Any, sources: list, **kwargs: Any
) -> list[Tensor | None]:
    """Dense gradients, `None` where the target does not depend on a source."""
    gradients = tape.gradient(target, sources, **kwargs)
    return [
        tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g
        for g in gradients
    ]


def _with_slices(
    tape: tf.GradientTape, target: Any, variables: list
) -> list[Tensor | Slices | None]:
    """Gradients in which those of embedding tables stay slices."""
    gradients = tape.gradient(target, variables)
    return [
        _to_slices(g, variable.shape[0])
        if isinstance(g, tf.IndexedSlices)
        else g
        for g, variable in zip(gradients, variables)
    ]


def _to_slices(gradient: tf.IndexedSlices, num_rows: int) -> Slices:
    # An id that the table does not have is an error of the lookup, which says
    # in what layer, and not of what comes after it. Where lookups raise none,
    # as with XLA, it trains no row.
    ids = tf.clip_by_value(gradient.indices, 0, num_rows - 1)
    values = gradient.values
    known = tf.reshape(
        ids == gradient.indices, [-1] + [1] * (len(values.shape) - 1)
    )
    values = tf.where(known, values, tf.zeros((), values.dtype))
    return Slices(ids, values, num_rows, _origin(gradient.indices))


def _origin(indices: Tensor) -> Any:
    """Equal for indices that the gradients of two tasks take from one place.

    The backward pass of each makes them anew, out of those of the lookups.
    """
    if isinstance(indices, tf.__internal__.EagerTensor):
        return id(indices)
    if indices.op.type in ("Identity", "Reshape"):
        return _origin(indices.op.inputs[0])
    if indices.op.type == "ConcatV2":
        return tuple(_origin(part) for part in indices.op.inputs[:-1])
    return indices.ref()


def _of_whole_batch(objectives: Any) -> Any:
    """What an aggregator looks at, alike on all replicas."""
    # Losses are scaled for distribution: their sum is that of the batch.
    losses = sum_over_replicas(objectives.losses)
    present = objectives.present
    if present is not None:
        # A task has labels if it has some on any replica.
        present = sum_over_replicas(tf.cast(present, tf.float32)) > 0
    return objectives._replace(losses=losses, present=present)


def _all_reduce(rows: list[list]) -> list[list]:
    context = tf.distribute.get_replica_context()
    present = [[g for g in row if g is not None] for row in rows]
    reduced = context.all_reduce("SUM", present)
    iterators = [iter(row) for row in reduced]
    return [
        [None if g is None else next(values) for g in row]
        for row, values in zip(rows, iterators)
    ]


def _first_tensor(x: Any) -> Tensor:
    return next(i for i in keras.tree.flatten(x) if i is not None)


def _whole(gradient: Tensor | tf.IndexedSlices | None) -> Tensor | None:
    is_rows = isinstance(gradient, tf.IndexedSlices)
    return tf.convert_to_tensor(gradient) if is_rows else gradient
