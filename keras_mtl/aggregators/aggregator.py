"""Base of the methods that turn T task gradients into one."""

import inspect
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.methods.method import Method
from keras_mtl.methods.method import keep_if
from keras_mtl.methods.method import values_of
from keras_mtl.solvers.absent_tasks import stand_aside
from keras_mtl.solvers.matrices import Tensor
from keras_mtl.solvers.matrices import in_units
from keras_mtl.solvers.matrices import power_of_two
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.matrices import to_jacobian

GRANULARITIES = ("model", "layer", "variable")
# One gradient a task; `None` where the task does not reach the variable.
Column = Sequence[Tensor | None]


class Aggregator(Method):
    """Turns T task gradients into one gradient.

    Subclass it with `weights(gram)`: most methods return a combination of the
    task gradients whose weights depend on their inner products alone. The
    model then computes the T x T Gram matrix, asks for the weights, and never
    builds the T x n matrix of gradients. A method that needs the gradients
    themselves overrides `combine(jacobian)` instead, at that cost.

    A method may remember. What it remembers of the inner products it makes in
    `create_group_state` (weights of the step before, target similarities);
    what has the size of the gradients, in `create_row_state`, and then it also
    implements `track`.

    Args:
        granularity: Over what inner products are taken: `"model"` (all shared
            variables as one vector), `"layer"` or `"variable"` (each on its
            own, for tasks that agree in some and fight in others).
        name: Name of the method; by default the class name in snake case.

    Example:

    >>> @keras.saving.register_keras_serializable(package="my_package")
    ... class EqualNorms(keras_mtl.aggregators.Aggregator):
    ...     def weights(self, gram):
    ...         gram = keras.ops.convert_to_tensor(gram)
    ...         norms = keras.ops.diagonal(gram, axis1=-2, axis2=-1) ** 0.5
    ...         return 1.0 / keras.ops.maximum(norms, 1e-12)
    >>> model.compile("adam", loss=losses, aggregator=EqualNorms())
    """

    # Whether `combine` treats every column of the Jacobian on its own. Then it
    # is called variable by variable, with the tasks that reach the variable,
    # and the matrix of all gradients is never built.
    elementwise = False
    # Whether `weights` may be handed inner products of gradients that were
    # divided by a common factor, where float32 does not hold their own. Then
    # the factor changes nothing, or the method names `unit` and gets it.
    scale_free = False
    # The variables it acts on: those of two tasks or more, or `"all"`.
    scope = "shared"
    # What `granularity` may be.
    granularities: tuple[str, ...] = GRANULARITIES
    # What to do where a method that tracks rows cannot: for error messages.
    forgetting_hint = ""

    def __init__(self, granularity: str = "model", name: str | None = None):
        super().__init__(name=name)
        if granularity not in self.granularities:
            raise ValueError(
                f"`granularity` must be one of {list(self.granularities)}. "
                f"Received: granularity={granularity!r}"
            )
        cls = type(self)
        if cls.weights is Aggregator.weights and not self.needs_rows:
            raise TypeError(
                f"{cls.__name__} must override `weights(self, gram)` (task "
                "weights [..., T] from inner products [..., T, T]) or, if it "
                "needs the gradients themselves, `combine(self, jacobian)` "
                "(one gradient [n] from task gradients [T, n])."
            )
        self.granularity = granularity
        self._group_shape: tuple[int, ...] | None = None
        self._row_shapes: list[tuple[int, ...]] | None = None

    @property
    def needs_rows(self) -> bool:
        """Whether the method needs the gradients and not just the Gram."""
        return type(self).combine is not Aggregator.combine

    @property
    def takes_sparse_gradients(self) -> bool:
        """Whether gradients of embedding tables may come as rows.

        They have only the rows that the batch looks up. Inner products and
        sums of them the model takes itself.
        """
        return not (self.needs_rows or self.tracks_rows)

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights from the inner products of the task gradients.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`, the inner products
                of the task gradients in the order of `loss`. Leading axes are
                independent problems.

        Returns:
            Float tensor `[..., T]`; the update is the sum of the task
            gradients times these.

        A subclass may name two more arguments, and the model passes them:
        `losses`, the losses `[T]` of the tasks, and `present`, booleans `[T]`
        that are false for a task without labels in the batch, or `None`.
        Without `present` such a task appears as a long gradient orthogonal to
        all others, so that it takes no part.

        If the class says `scale_free = True`, the inner products may be those
        of gradients divided by a common factor, one for each problem, where
        float32 does not hold the gradients' own: weights that depend on the
        factor ask for it as `unit`, a float tensor `[...]`, or `None` for one.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no task weights: it works on the "
            "gradients themselves. Call `combine(jacobian)`."
        )

    def combine(self, jacobian: Tensor, losses: Tensor | None = None) -> Tensor:
        """One gradient from the task gradients.

        A method that remembers takes it as the next step of one sequence.

        Args:
            jacobian: Float tensor or NumPy array `[T, n]`, a task a row.
            losses: Float tensor or NumPy array `[T]`, for methods that look at
                them.

        Returns:
            Float tensor `[n]`.

        A subclass that overrides it may leave `losses` out. If it names
        `losses`, the model passes those of the tasks in the rows.
        """
        jacobian = to_jacobian(jacobian)
        num_tasks, size = jacobian.shape
        weights = self.weights
        if self.tracks_rows:
            self.build_rows([(size,)], num_tasks)
            variables = list(self.variables)
            held = values_of(variables)
            columns = self.track([ops.unstack(jacobian)], losses=losses)
            jacobian = ops.stack(columns[0])
            weights = self.tracked_weights
        gram, unit = _scaled_gram(jacobian)
        if not self.scale_free:
            gram, unit = in_units(gram, unit), None
        factors = call_weights(weights, gram, losses, unit=unit)
        update = ops.matmul(ops.cast(factors, jacobian.dtype), jacobian)
        if self.tracks_rows:
            # In a model the trainer does so. Here state would stay NaN.
            keep_if(ops.all(ops.isfinite(update)), variables, held)
        return update

    def forget_others(
        self,
        shapes: Sequence[tuple[int, ...]],
        group_shape: Sequence[int],
        num_tasks: int,
    ) -> None:
        """Drops what is remembered of other variables than these.

        The model calls it when it is compiled anew, maybe with layers frozen
        or thawed.

        Args:
            shapes, num_tasks: As for `build_rows`.
            group_shape: As for `build_groups`.
        """
        if self._row_shapes != [tuple(shape) for shape in shapes]:
            self._row_shapes = None
        if self._group_shape != (*group_shape, num_tasks):
            self._group_shape = None
        for part in vars(self).values():
            if isinstance(part, Aggregator):
                part.forget_others(shapes, group_shape, num_tasks)

    # -- memory of the inner products -----------------------------------------

    @property
    def has_group_state(self) -> bool:
        """Whether the method remembers something of each Gram matrix."""
        return (
            type(self).create_group_state is not Aggregator.create_group_state
        )

    def build_groups(self, group_shape: Sequence[int], num_tasks: int) -> None:
        """Makes the state that belongs to Gram matrices, once.

        The model calls it with the number of layers or variables. Without a
        model, `weights` calls it with the leading axes of its first argument.

        Args:
            group_shape: Leading axes of the Gram matrices.
            num_tasks: Number of tasks T.

        Raises:
            ValueError: If state for other Gram matrices exists.
        """
        if not self.has_group_state:
            return
        group_shape = (*group_shape, num_tasks)
        if self._group_shape is None:
            self.create_group_state(group_shape[:-1], num_tasks)
            self._group_shape = group_shape
        elif self._group_shape != group_shape:
            raise ValueError(
                f"This {type(self).__name__} remembers something of Gram "
                f"matrices of shape {_square(self._group_shape)}, of another "
                "model or granularity. Make a new instance for each. Received: "
                f"matrices of shape {_square(group_shape)}"
            )

    def create_group_state(
        self, group_shape: tuple[int, ...], num_tasks: int
    ) -> None:
        """Hook for subclasses: makes state for each Gram matrix.

        `weights` then starts with `self.build_groups(gram.shape[:-2], T)`, and
        its `gram` always has the leading axes `group_shape`.
        """

    # -- memory of the gradients ----------------------------------------------

    @property
    def tracks_rows(self) -> bool:
        """Whether the method remembers gradients from step to step."""
        return type(self).track is not Aggregator.track

    def build_rows(
        self, shapes: Sequence[tuple[int, ...]], num_tasks: int
    ) -> None:
        """Makes the state that has the size of the gradients, once.

        Args:
            shapes: Shapes of the variables.
            num_tasks: Number of tasks T.

        Raises:
            ValueError: If state for other shapes exists.
        """
        if not self.tracks_rows:
            return
        shapes = [tuple(shape) for shape in shapes]
        if self._row_shapes is None:
            self.create_row_state(shapes, num_tasks)
            self._row_shapes = shapes
        elif self._row_shapes != shapes:
            raise ValueError(
                f"This {type(self).__name__} remembers gradients of other "
                f"variables, of shapes {self._row_shapes}. Make a new instance "
                f"for each model. Received: shapes={shapes}"
            )

    def create_row_state(
        self, shapes: list[tuple[int, ...]], num_tasks: int
    ) -> None:
        """Hook for subclasses: makes state for each variable."""

    def track(
        self,
        columns: Sequence[Column],
        losses: Tensor | None,
        present: Tensor | None = None,
    ) -> list[Column]:
        """Hook for subclasses: from task gradients to the rows to combine.

        Called once in every step, before inner products are taken. The rows
        may be others than the gradients, and more: `tracked_weights` sees the
        inner products of them all and returns a weight for each.

        It need not look for gradients that are not finite: what it remembers
        of a step that is skipped is undone.

        Args:
            columns: For each variable of `build_rows` its T task gradients,
                float32; `None` where a task does not reach it, and nothing but
                `None` where less than two do.
            losses: Float tensor `[T]`, the losses of the tasks; `None` where
                the caller has none.
            present: Boolean tensor `[T]`, false for a task without labels in
                this batch; `None` if all have some.

        Returns:
            For each variable its R >= T rows, those of the tasks first.
        """
        raise NotImplementedError

    def tracked_weights(self, gram: Tensor) -> Tensor:
        """Weights of the rows that `track` returned.

        Args:
            gram: Float tensor `[..., R, R]`.

        Returns:
            Float tensor `[..., R]`.
        """
        return self.weights(gram)

    def get_config(self) -> dict[str, Any]:
        return {"granularity": self.granularity, **super().get_config()}


def _scaled_gram(jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """Inner products of rows divided by a power of two, and that."""
    if keras.backend.standardize_dtype(jacobian.dtype) != "float64":
        jacobian = ops.cast(jacobian, "float32")
    unit = power_of_two(ops.max(ops.abs(jacobian)))
    rows = jacobian / unit
    return to_gram(ops.matmul(rows, ops.transpose(rows))), unit


def call_weights(
    weights: Callable[..., Tensor],
    gram: Tensor,
    losses: Tensor | None = None,
    present: Tensor | None = None,
    unit: Tensor | None = None,
) -> Tensor:
    """Calls `weights` or `tracked_weights` with the arguments that it names.

    Where it does not ask who is present, absent tasks stand aside.

    Args:
        weights: The method.
        gram: Float tensor `[..., T, T]`.
        losses: Float tensor `[T]`, or None.
        present: Boolean tensor `[T]`, or None.
        unit: Float tensor `[...]`, what the gradients were divided by before
            inner products were taken; None for one. For methods that are
            `scale_free`.
    """
    wanted = inspect.signature(weights).parameters
    kwargs = {"losses": losses} if "losses" in wanted else {}
    if "unit" in wanted:
        kwargs["unit"] = unit
    if "present" in wanted:
        kwargs["present"] = present
    elif present is not None:
        gram = stand_aside(gram, present)
    return weights(gram, **kwargs)


def _square(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape, shape[-1])
