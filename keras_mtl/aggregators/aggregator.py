"""Base of the methods that turn T task gradients into one."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_mtl.methods.gradient_spec import GradientSpec
from keras_mtl.methods.method import Method
from keras_mtl.methods.method import all_finite
from keras_mtl.methods.method import keep_if
from keras_mtl.methods.method import values_of
from keras_mtl.methods.step_info import StepInfo
from keras_mtl.solvers.absent_tasks import stand_aside
from keras_mtl.solvers.matrices import in_units
from keras_mtl.solvers.matrices import power_of_two
from keras_mtl.solvers.matrices import to_gram
from keras_mtl.solvers.matrices import to_jacobian
from keras_mtl.types import Column
from keras_mtl.types import Tensor

GRANULARITIES = ("model", "layer", "variable")
SEES = ("gram", "gradients", "entries")
ALONE = StepInfo()


class Aggregator(Method):
    """Turns T task gradients into one gradient.

    Subclass it with `weights(gram)`: most methods return a combination of the
    task gradients whose weights depend on their inner products alone. The
    model then computes the T x T Gram matrix, asks for the weights, and never
    builds the T x n matrix of gradients.

    What a method wants beyond that it declares, as attributes of its class:

    - `sees`: `"gram"` (default); `"gradients"`, if it needs the gradients
      themselves: it implements `combine(jacobian, step)` in place of weights,
      at that cost; or `"entries"`, if `combine` treats every column of the
      Jacobian on its own: then it is called variable by variable, with the
      tasks that reach the variable, and the matrix of all gradients is never
      built.
    - `transforms`: whether it implements `transform(gradients, step)`, which
      puts others in place of the task gradients before inner products are
      taken: averages, a reference.
    - `scale_free`: whether inner products may be those of gradients that were
      divided by a common factor, where float32 does not hold their own. Then
      the factor changes nothing, or `update` looks at `step.unit`.
    - `takes_zero_gradients`: whether a task without labels in the batch may
      appear with its zero gradient. By default it appears as a long gradient
      orthogonal to all others, so that it takes no part.
    - `scope`: `"shared"` (default), the variables that two tasks or more
      reach, or `"all"`.

    A method may remember. What it remembers it makes in `create_state` with
    `add_state` and `add_slots`, and moves in `update(gram, step)`, which is
    called once a step.

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

    sees = "gram"
    transforms = False
    scale_free = False
    takes_zero_gradients = False
    scope = "shared"
    # What `granularity` may be.
    granularities: tuple[str, ...] = GRANULARITIES
    # What to do where `transform` cannot be had: for error messages.
    forgetting_hint = ""

    def __init__(self, granularity: str = "model", name: str | None = None):
        super().__init__(name=name)
        if granularity not in self.granularities:
            raise ValueError(
                f"`granularity` must be one of {list(self.granularities)}. "
                f"Received: granularity={granularity!r}"
            )
        self.granularity = granularity
        # What state was made for, and the names of what was made.
        self._spec: GradientSpec | None = None
        self._made: list[str] = []
        self._check_declarations()

    def _check_declarations(self) -> None:
        """Raises if a hook is overridden that no declaration speaks of."""
        cls = type(self)
        own = {
            hook
            for hook in ("weights", "update", "combine", "transform")
            if getattr(cls, hook) is not getattr(Aggregator, hook)
        }
        # Where it depends on arguments, it is a property, which knows.
        if isinstance(cls.sees, str):
            _check_sees(cls, own)
        if cls.transforms is False and "transform" in own:
            raise TypeError(
                f"{cls.__name__} overrides `transform`, which nobody would "
                "call. Declare `transforms = True`."
            )
        if cls.transforms is True and "transform" not in own:
            raise TypeError(
                f"{cls.__name__} declares `transforms = True`, so it must "
                "override `transform(self, gradients, step)`."
            )

    @property
    def takes_sparse_gradients(self) -> bool:
        """Whether gradients of embedding tables may come as rows.

        They have only the rows that the batch looks up. Inner products and
        sums of them the model takes itself.
        """
        return self.sees == "gram" and not self.transforms

    @property
    def remembers(self) -> bool:
        """Whether there is state that was made for tasks and gradients."""
        return bool(self._made)

    @property
    def sees_all_groups(self) -> bool:
        """Whether `update` sees also the groups that share nothing.

        Their Gram matrices are zero. It does where there is state beside
        slots, of its own or of a method that it uses: it may have a place for
        each group.
        """
        parts = (m for m in self.methods if isinstance(m, Aggregator))
        return not self._slots.issuperset(self._made) or any(
            part.sees_all_groups for part in parts
        )

    # -- life ----------------------------------------------------------------

    def build(
        self, spec: GradientSpec | Sequence[str], replace: bool = False
    ) -> None:
        """Makes the state, once; the model calls it.

        Args:
            spec: The `GradientSpec` of the model. Or names of the tasks alone,
                in the order of `loss`: outside of a model, state is then made
                by the first call.
            replace: Whether to begin anew if there is state for other
                gradients, as where layers were frozen or thawed.

        Raises:
            ValueError: If the method serves other tasks, or has state for
                other gradients.
        """
        if not isinstance(spec, GradientSpec):
            self._take_tasks(tuple(spec))
            return
        if spec.task_names is not None:
            self._take_tasks(tuple(spec.task_names))
        shapes = None
        if self.transforms and spec.shapes is not None:
            shapes = tuple(tuple(shape) for shape in spec.shapes)
        spec = GradientSpec(
            spec.num_tasks, tuple(spec.group_shape), shapes, self.task_names
        )
        if self._spec is None or self._spec[:3] != spec[:3]:
            self._make_state(spec, replace)

    def _take_tasks(self, task_names: tuple[str, ...]) -> None:
        if self._task_names == task_names:
            return
        self._refuse_other_tasks(task_names)
        self.check_tasks(task_names)
        self._task_names = task_names

    def _make_state(self, spec: GradientSpec, replace: bool) -> None:
        if self._made and not (replace or self._lacks_shapes(spec)):
            raise ValueError(
                f"This {type(self).__name__} remembers something of other "
                f"gradients: {_described(self._spec)}. Make a new instance for "
                f"each model or granularity. Received: {_described(spec)}"
            )
        with self._making():
            for name in self._made:
                del self._held[name]
                self._slots.discard(name)
            kept = set(self._held)
            self.create_state(spec)
        self._made = [name for name in self._held if name not in kept]
        self._spec = spec

    def _lacks_shapes(self, spec: GradientSpec) -> bool:
        """Whether state was made for Gram matrices before there were others."""
        return self._spec.shapes is None and self._spec[:2] == spec[:2]

    def build_for(self, gram: Tensor) -> None:
        """Makes the state for Gram matrices such as this, outside of a model.

        A method that reads its state begins `weights` and `update` with it.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`.

        Raises:
            ValueError: If there is state for other Gram matrices.
        """
        gram = to_gram(gram)
        shapes = None if self._spec is None else self._spec.shapes
        self.build(GradientSpec(gram.shape[-1], gram.shape[:-2], shapes))

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Hook for subclasses: raises if arguments do not fit the tasks."""
        del task_names

    def create_state(self, spec: GradientSpec) -> None:
        """Hook for subclasses: makes all state, by `add_state` and its like.

        Args:
            spec: Number and names of the tasks; leading axes `group_shape` of
                the Gram matrices, which state of theirs has, too; and shapes
                of the variables for methods that transform their gradients.
        """
        del spec

    def add_slots(
        self,
        name: str,
        shapes: Sequence[tuple[int, ...]] | None,
        rows: int | None = None,
    ) -> list[keras.Variable]:
        """Makes zeros like the gradients of each variable.

        Args:
            name: What precedes their places in their names: `"averages"` makes
                `"averages.0"`, `"averages.1"`, ...
            shapes: Of the variables: `spec.shapes`.
            rows: So many for each variable, as a leading axis; None for one
                without.
        """
        lead = () if rows is None else (rows,)
        slots = []
        for index, shape in enumerate(shapes or ()):
            self._slots.add(f"{name}.{index}")
            slots.append(self.add_state(f"{name}.{index}", (*lead, *shape)))
        return slots

    # -- one step ------------------------------------------------------------

    def transform(
        self, gradients: Sequence[Column], step: StepInfo
    ) -> list[Column]:
        """Hook: from task gradients to the rows whose inner products count.

        Called once in every step of a method that says `transforms = True`.
        The rows may be others than the gradients, and more: `update` then sees
        the inner products of them all and returns a weight for each.

        Args:
            gradients: For each variable its T task gradients, float32; `None`
                where a task does not reach it, and nothing but `None` where
                less than two do.
            step: Losses, and who is present.

        Returns:
            For each variable its R >= T rows, those of the tasks first.
        """
        raise NotImplementedError

    def weights(self, gram: Tensor) -> Tensor:
        """Task weights from the inner products of the task gradients.

        It may read what the method remembers, and moves nothing.

        Args:
            gram: Float tensor or NumPy array `[..., T, T]`, the inner products
                of the task gradients in the order of `loss`. Leading axes are
                independent problems.

        Returns:
            Float tensor `[..., T]`; the update is the sum of the task
            gradients times these.
        """
        hint = "" if self.sees == "gram" else ": it works on the gradients"
        raise NotImplementedError(
            f"{type(self).__name__} has no task weights{hint}. Call the "
            "aggregator itself: `aggregator(jacobian)`."
        )

    def update(self, gram: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Task weights of one step; called once in each.

        Override it to look at more than inner products, or to remember. The
        default hides tasks without labels, as `takes_zero_gradients` says, and
        calls `weights`.

        Args:
            gram: Float tensor `[..., R, R]`, the inner products of the rows
                that `transform` returned; of the T task gradients without it.
            step: Losses, who is present, and the unit of the gradients.

        Returns:
            Float tensor `[..., R]`.
        """
        if step.present is not None and not self.takes_zero_gradients:
            gram = stand_aside(gram, step.present)
        return self.weights(gram)

    def combine(self, jacobian: Tensor, step: StepInfo = ALONE) -> Tensor:
        """Hook: one gradient from the gradients themselves.

        For methods that see `"gradients"` or `"entries"`. Of one that sees
        inner products it is the same as calling the aggregator.

        Args:
            jacobian: Float tensor `[T, n]`, a task a row.
            step: Losses, who is present, and which tasks the rows belong to.

        Returns:
            Float tensor `[n]`.
        """
        if self.sees != "gram":
            raise NotImplementedError(
                f"{type(self).__name__} sees {self.sees!r}, so it must "
                "implement `combine(self, jacobian, step)`."
            )
        return self(jacobian, losses=step.losses)

    def __call__(
        self, jacobian: Tensor, losses: Tensor | None = None
    ) -> Tensor:
        """One gradient from task gradients, outside of a model.

        A method that remembers takes it as the next step of one sequence.

        Args:
            jacobian: Float tensor or NumPy array `[T, n]`, a task a row.
            losses: Float tensor or NumPy array `[T]`, for methods that look at
                them.

        Returns:
            Float tensor `[n]`.
        """
        jacobian = to_jacobian(jacobian)
        num_tasks, size = jacobian.shape
        self.build(GradientSpec(num_tasks, (), ((size,),), self.task_names))
        variables = self.variables
        before = values_of(variables)
        step = StepInfo(losses=losses, task_names=self.task_names)
        if self.transforms:
            rows = self.transform([ops.unstack(jacobian, num_tasks)], step)[0]
            jacobian = ops.stack(rows)
        if self.sees == "gram":
            update = self._weighted(jacobian, step)
        else:
            update = self.combine(jacobian, step)
        if variables:
            # In a model the trainer does so. Here state would stay NaN.
            taken = ops.all(ops.isfinite(update))
            keep_if(
                ops.logical_and(taken, all_finite(variables)), variables, before
            )
        return update

    def _weighted(self, jacobian: Tensor, step: StepInfo) -> Tensor:
        gram, unit = _scaled_gram(jacobian)
        if not self.scale_free:
            gram, unit = in_units(gram, unit), None
        factors = self.update(gram, step._replace(unit=unit))
        return ops.matmul(ops.cast(factors, jacobian.dtype), jacobian)

    def get_config(self) -> dict[str, Any]:
        return {"granularity": self.granularity, **super().get_config()}


def _check_sees(cls: type[Aggregator], own: set[str]) -> None:
    """Raises unless the hooks are those of what a method sees."""
    if cls.sees not in SEES:
        raise ValueError(
            f"`{cls.__name__}.sees` must be one of {list(SEES)}. Received: "
            f"sees={cls.sees!r}"
        )
    if cls.sees != "gram":
        if "combine" not in own:
            raise TypeError(
                f"{cls.__name__} declares `sees = {cls.sees!r}`, so it must "
                "override `combine(self, jacobian, step)`."
            )
        return
    if "combine" in own:
        raise TypeError(
            f"{cls.__name__} overrides `combine`, which nobody would call. "
            'Declare `sees = "gradients"`, or `sees = "entries"` if it treats '
            "every column of the Jacobian on its own."
        )
    if not own & {"weights", "update"}:
        raise TypeError(
            f"{cls.__name__} must override `weights(self, gram)` (task weights "
            "[..., T] from inner products [..., T, T]) or, if it needs the "
            'gradients themselves, declare `sees = "gradients"` and override '
            "`combine(self, jacobian, step)` (one gradient [n] from task "
            "gradients [T, n])."
        )


def _scaled_gram(jacobian: Tensor) -> tuple[Tensor, Tensor]:
    """Inner products of rows divided by a power of two, and that."""
    if keras.backend.standardize_dtype(jacobian.dtype) != "float64":
        jacobian = ops.cast(jacobian, "float32")
    unit = power_of_two(ops.max(ops.abs(jacobian)))
    rows = jacobian / unit
    return to_gram(ops.matmul(rows, ops.transpose(rows))), unit


def _described(spec: GradientSpec) -> str:
    square = (*spec.group_shape, spec.num_tasks, spec.num_tasks)
    text = f"Gram matrices of shape {square}"
    if spec.shapes:
        text += f" of variables of shapes {list(spec.shapes)}"
    return text
