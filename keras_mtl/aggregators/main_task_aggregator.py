"""Base of the methods that protect a main task from its auxiliaries."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_mtl.aggregators.aggregator import ALONE
from keras_mtl.aggregators.aggregator import GRANULARITIES
from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.gradients.sparse import add
from keras_mtl.gradients.sparse import apply
from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.main_task import check_main_task
from keras_mtl.methods.main_task import index_of_main_task
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.absent_tasks import stand_aside
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.matrices import to_jacobian
from keras_mtl.types import Column
from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_to_one

INITIAL_REFERENCES = ("zeros", "first_gradient")
SCOPES = ("shared", "all")


class MainTaskAggregator(Aggregator):
    """Adds to the main gradient what the auxiliary gradients may contribute.

    The update is v + sum_t G_t: v is the main gradient, and a rule of the
    subclass makes G_t from the gradient u of auxiliary task t and a reference
    r, each auxiliary on its own. The tasks' shares come from `loss_weights`.

    The reference is the main gradient or, with `smoothing` a < 1, its moving
    average m = a v + (1 - a) m. The update adds the raw v in either case. The
    average starts at zero, or at the first v: then that one has the weight of
    1 / a others. (The rules depend on its direction only. Where it is zero,
    projections take u as free of conflict, and the cosine rules leave it out.)

    A subclass implements `reference_weights`.

    Args:
        main_task: Name of the main task, or its index in the order of `loss`.
        smoothing: Share a of the new main gradient in the reference, in
            (0, 1]. 1 means no smoothing and no state.
        granularity: `"model"`, `"layer"`, `"variable"` or `"parameter"`: each
            entry of a variable on its own, at T squared times the memory.
        initial_reference: `"zeros"` or `"first_gradient"`, where the moving
            average starts.
        scope: `"shared"`, the variables that two tasks or more reach, or
            `"all"`: the head of the main task belongs to v and r, too, and
            that of an auxiliary task to its u.
        name: Name of the method.
    """

    scale_free = True
    granularities = (*GRANULARITIES, "parameter")
    forgetting_hint = "Use `smoothing=1.0`."

    def __init__(
        self,
        main_task: str | int,
        smoothing: float = 1.0,
        granularity: str = "model",
        initial_reference: str = "zeros",
        scope: str = "shared",
        name: str | None = None,
    ):
        super().__init__(granularity=granularity, name=name)
        if initial_reference not in INITIAL_REFERENCES:
            raise ValueError(
                "`initial_reference` must be one of "
                f"{list(INITIAL_REFERENCES)}. Received: "
                f"initial_reference={initial_reference!r}"
            )
        if scope not in SCOPES:
            raise ValueError(
                f"`scope` must be one of {list(SCOPES)}. Received: "
                f"scope={scope!r}"
            )
        if scope == "all" and granularity != "model":
            raise ValueError(
                '`scope="all"` joins heads and shared variables in one vector, '
                'so it needs `granularity="model"`. Received: '
                f"granularity={granularity!r}"
            )
        self.scope = scope
        self.main_task = check_main_task(main_task)
        self.smoothing = number_to_one("smoothing", smoothing, zero=False)
        self.initial_reference = initial_reference
        self.reference: list[keras.Variable] = []
        # Whether there was a main gradient yet, where that matters.
        self.started: keras.Variable | None = None

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Checks that the main task is one of the tasks."""
        index_of_main_task(self.main_task, task_names)

    @property
    def main_index(self) -> int:
        """Index of the main task in the order of `loss`."""
        if isinstance(self.main_task, int):
            return self.main_task
        if not self.built:
            raise ValueError(
                f"The tasks are not known yet, so the index of main_task="
                f"{self.main_task!r} is not. Give `main_task` as an index, or "
                "call `build(task_names)` first."
            )
        return index_of_main_task(self.main_task, self.task_names)

    @property
    def sees(self) -> str:
        """Entries, where each of a variable is a problem of its own."""
        return "entries" if self.granularity == "parameter" else "gram"

    @property
    def takes_sparse_gradients(self) -> bool:
        """Whether gradients may be rows of tables, as `transform` takes them.

        A subclass whose own `transform` does not overrides this, too.
        """
        return self.sees == "gram"

    @property
    def transforms(self) -> bool:
        """Whether the reference is a moving average, which is state."""
        return self.smoothing < 1

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights with the main gradient itself as the reference.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Returns:
            Float tensor `[..., T]`.
        """
        gram = to_gram(gram)
        size = gram.shape[-1]
        main = self._main_index_of(size)
        rows = np.append(np.arange(size), main)
        gram = ops.take(ops.take(gram, rows, axis=-2), rows, axis=-1)
        weights = self.reference_weights(gram)
        hit = ops.one_hot(main, size, dtype=weights.dtype)
        return weights[..., :-1] + weights[..., -1:] * hit

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Weights of the gradients and of the reference, if there is one."""
        if not self.transforms:
            return super().update(gram, step)
        if step.present is not None:
            gram = stand_aside(gram, step.present)
        return self.reference_weights(gram)

    def combine(self, jacobian: Tensor, step: StepInfo = ALONE) -> Tensor:
        """One gradient, each entry on its own.

        Args:
            jacobian: Float tensor `[T, n]`, a task a row; the last one is the
                reference where that is a moving average.
            step: Which tasks the rows belong to.

        Returns:
            Float tensor `[n]`.
        """
        rows = ops.unstack(to_jacobian(jacobian))
        if step.tasks is not None:
            rows = self._all_rows(rows, step.tasks)
        if not self.transforms:
            rows = [*rows, rows[self._main_index_of(len(rows))]]
        factors, entries = self.entry_weights(rows)
        return ops.sum(factors * entries, axis=-1)

    def entry_weights(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Weights for each entry of a variable on its own.

        Args:
            rows: The task gradients and, last, the reference, of one shape.

        Returns:
            The weights and what they weight, both `[..., T + 1]`.
        """
        # Only its sign matters, and no product with that is too small.
        entries = ops.stack([*rows[:-1], ops.sign(rows[-1])], axis=-1)
        products = entries[..., :, None] * entries[..., None, :]
        return self.reference_weights(products), entries

    def _all_rows(
        self, rows: list[Tensor], tasks: Sequence[int]
    ) -> list[Tensor]:
        """Zeros for the tasks that do not reach a variable."""
        size = len(self.task_names) + self.transforms
        zero = ops.zeros_like(rows[0])
        found = dict(zip(tasks, rows, strict=True))
        return [found.get(index, zero) for index in range(size)]

    def reference_weights(self, gram: Tensor) -> Tensor:
        """Weights of the task gradients and of the reference.

        Args:
            gram: Float tensor `[..., T + 1, T + 1]`; the last row and column
                belong to the reference.

        Returns:
            Float tensor `[..., T + 1]`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must override "
            "`reference_weights(self, gram)`."
        )

    def _main_index_of(self, size: int) -> int:
        if self.main_index >= size:
            raise ValueError(
                f"`main_task` must be an index below the number of tasks, "
                f"{size}. Received: main_task={self.main_task}"
            )
        return self.main_index

    def _auxiliary_mask(self, gram: Tensor) -> Tensor:
        """Ones `[T + 1]` but for the main task and the reference."""
        size = gram.shape[-1]
        mask = np.ones(size)
        mask[[self._main_index_of(size - 1), size - 1]] = 0
        return ops.convert_to_tensor(mask, dtype=gram.dtype)

    def _assemble(
        self, gram: Tensor, auxiliary: Tensor, reference: Tensor
    ) -> Tensor:
        """Joins one weight for main, those of each auxiliary, of reference.

        Args:
            gram: Float tensor `[..., T + 1, T + 1]`.
            auxiliary: `[..., T + 1]`; entries of main and reference unused.
            reference: `[..., T + 1]`, what each auxiliary adds of the
                reference; entries of main and reference unused.
        """
        size = gram.shape[-1]
        mask = self._auxiliary_mask(gram)
        main = ops.one_hot(self.main_index, size, dtype=gram.dtype)
        last = ops.one_hot(size - 1, size, dtype=gram.dtype)
        total = ops.sum(reference * mask, axis=-1, keepdims=True)
        return auxiliary * mask + main + total * last

    def create_state(self, spec: GradientSpec) -> None:
        """Makes the moving average, one zero slot for each variable."""
        if self.transforms:
            self.make_reference(spec.shapes)

    def make_reference(self, shapes: Sequence[tuple[int, ...]] | None) -> None:
        """Makes the moving average for variables of these shapes."""
        self.reference = self.add_slots("reference", shapes)
        if self.initial_reference == "first_gradient":
            self.started = self.add_state("started", dtype="bool")

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Adds the moving average of the main gradient as one more row."""
        main = self.main_index
        averages = self.update_reference(
            [column[main] for column in gradients],
            True if step.present is None else step.present[main],
        )
        return [
            [*column, row]
            for column, row in zip(gradients, averages, strict=True)
        ]

    def update_reference(
        self, gradients: Sequence[Tensor], present: Tensor | bool = True
    ) -> list[Tensor]:
        """Moves the average towards the main task's gradients.

        None moves in a batch without labels of the main task: what is
        remembered serves as the reference of the others.

        Args:
            gradients: The main task's gradients, unscaled, one for each slot;
                None leaves its slot alone. A gradient of an embedding table
                may be a `SparseGradient`.
            present: Whether the main task has labels in this batch.

        Returns:
            The averages, None where the gradient is None.
        """
        if len(gradients) != len(self.reference):
            raise ValueError(
                "`gradients` must have an entry for each slot of the moving "
                f"average, {len(self.reference)}; `build` makes them. "
                f"Received: {len(gradients)} gradients"
            )
        moves = ops.cast(present, "bool")
        share = self._share(moves)

        def portion(entries: Tensor) -> Tensor:
            entries = share * ops.cast(entries, "float32")
            return ops.where(moves, entries, ops.zeros_like(entries))

        kept = ops.where(moves, 1 - share, 1.0)
        averages = []
        for slot, gradient in zip(self.reference, gradients, strict=True):
            if gradient is None:
                averages.append(None)
                continue
            new = add(apply(portion, gradient), kept * slot)
            slot.assign(new)
            averages.append(new)
        return averages

    def _share(self, moves: Tensor) -> Tensor | float:
        """Share of the new gradient, which is one for the first."""
        if self.started is None:
            return self.smoothing
        started = ops.convert_to_tensor(self.started)
        share = ops.where(started, self.smoothing, 1.0)
        self.started.assign(ops.logical_or(started, moves))
        return share

    def get_config(self) -> dict[str, Any]:
        return {
            "main_task": self.main_task,
            "smoothing": self.smoothing,
            "initial_reference": self.initial_reference,
            "scope": self.scope,
            **super().get_config(),
        }
