"""The steps of a case, slow and obvious, in float64.

Nothing of the trainer is used: every task has a forward and a backward pass of
its own, losses are written out, gradients are combined as long rows.
"""

import contextlib
import math
from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl.methods import StepInfo
from keras_mtl.weightings import Observed
from tests.generated.cases import NAMES
from tests.generated.cases import ROWS
from tests.generated.cases import WEIGHTINGS
from tests.generated.cases import Case
from tests.generated.cases import Output
from tests.generated.differentiate import differentiate
from tests.generated.differentiate import trained
from tests.generated.differentiate import untrained
from tests.generated.models import AUXILIARY_WEIGHT
from tests.generated.models import class_weights
from tests.generated.models import make_halves
from tests.generated.models import path_of
from tests.generated.slow_losses import task_loss
from tests.generated.slow_methods import Draws
from tests.generated.slow_methods import SlowMethod

LEARNING_RATE = 0.1
FIRST_SCALE = 2.0**15
Array = np.ndarray


class Task(NamedTuple):
    """A loss of an output, or of its auxiliary head."""

    name: str
    label: str
    kind: str
    weight: float
    output: Output
    auxiliary: str | None = None


class Outcome(NamedTuple):
    """What a training leaves behind.

    Attributes:
        values: Trained variables by path.
        state: Those that are not trained (moving averages).
        logs: For each step `loss`, `losses` (of the tasks of `loss`) and
            `conflict`.
        borderline: Whether rounding decides on what has no middle: half
            precision near its largest number on whether a step is skipped, or
            a method on the rank of gradients.
    """

    values: dict[str, Array]
    state: dict[str, Array]
    logs: list[dict[str, Any]]
    borderline: bool = False


@contextlib.contextmanager
def precision(policy: str) -> Iterator[None]:
    """Makes layers of a dtype policy; JAX has no float64 unless told so."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def tasks_of(case: Case) -> list[Task]:
    """In the order of `loss`, auxiliaries that are tasks last."""
    tasks, auxiliaries = [], []
    for name, output in case.named_outputs:
        for kind, weight in zip(
            output.losses, output.loss_weights, strict=True
        ):
            auxiliary = None if case.auxiliaries == "none" else f"{name}_aux"
            if case.auxiliaries == "as_tasks":
                own = weight * AUXILIARY_WEIGHT
                auxiliaries.append(Task(auxiliary, name, kind, own, output))
                auxiliary = None
            tasks.append(Task(name, name, kind, weight, output, auxiliary))
    return tasks + auxiliaries


class SlowTraining:
    """Trains the halves of a case's model.

    Args:
        case: The case.
        values: Trained variables by path, at the start.
        noise: Relative size of a disturbance of all gradients: what becomes of
            it tells how well posed a case is.
    """

    def __init__(self, case: Case, values: dict[str, Array], noise: Any = None):
        self.case = case
        self.noise = noise
        self.rng = np.random.default_rng(case.seed + 1)
        self.lower, self.upper = make_halves(case)
        self.variables = trained(self.lower, self.upper)
        self.paths = [path_of(v) for v in self.variables]
        self.values = {path: values[path] for path in self.paths}
        self.tasks = tasks_of(case)
        self.momenta: dict[str, Array | float] = {}
        self.draws = Draws(3)
        self.methods: dict[Any, SlowMethod] = {}
        self.weighting = self._make_weighting()
        self.half = case.precision == "mixed_float16"
        self.scale = FIRST_SCALE if self.half else 1.0
        self.borderline = False

    def _make_weighting(self) -> Any:
        if self.case.weighting is None:
            return None
        names = [f"{task.name}_{t}" for t, task in enumerate(self.tasks)]
        weighting = WEIGHTINGS[self.case.weighting](names)
        weighting.build(names)
        return weighting

    def run(self, batches: list[tuple]) -> Outcome:
        self._load()
        logs = [self._step(*batch) for batch in batches]
        state = {
            path_of(v): np.asarray(v.value)
            for v in untrained(self.lower, self.upper)
            if "seed" not in v.path
        }
        borderline = self.borderline or any(
            method.borderline for method in self.methods.values()
        )
        return Outcome(self.values, state, logs, borderline)

    def _load(self) -> None:
        for variable, path in zip(self.variables, self.paths, strict=True):
            variable.assign(self.values[path].astype(variable.dtype))

    # -- forward and backward passes ------------------------------------------

    def _reaches(self, task: Task, path: str) -> bool:
        """Whether a path leads from a variable to a task."""
        layer = path.partition("/")[0]
        if layer == "branch":
            return task.label != NAMES[0] and not task.name.endswith("_aux")
        heads = {*NAMES, *(f"{name}_aux" for name in NAMES)}
        return layer not in heads or layer in (task.name, task.auxiliary)

    def _counts(self, task: Task, x: Array, labels: Array) -> Array:
        """Which loss values count: those with a label and without a mask."""
        missing = np.isnan(labels)
        if task.kind == "sparse_cce":
            missing = labels == -1
        elif missing.ndim > 1:
            missing = missing.any(axis=-1)
        counts = ~missing
        if self.case.inputs == "masked_words" and counts.ndim > 1:
            counts = counts & (x != 0)
        return counts

    def _example_weights(self, task: Task, labels: Array, given: dict) -> Array:
        weights = given.get(task.label, np.ones(ROWS)).ravel()
        classes = class_weights(task.output)
        if classes:
            flat = labels.reshape(ROWS)
            weights = weights * [classes.get(value, 1.0) for value in flat]
        return weights

    def _pass(self, task: Task, x: Array, labels: dict, given: dict) -> Any:
        """One task's derivatives, and whether it has labels."""
        own = labels[task.label]
        counts = self._counts(task, x, own)
        weights = self._example_weights(task, own, given)
        missing = own == -1 if task.kind == "sparse_cce" else np.isnan(own)
        filled = np.where(missing, 0, own)

        def scalar(outputs: dict, losses: list) -> Any:
            def loss_of(name: str) -> Any:
                return task_loss(
                    task.kind, filled, outputs[name], weights, counts
                )

            alone = total = loss_of(task.name)
            if task.auxiliary:
                total = alone + AUXILIARY_WEIGHT * loss_of(task.auxiliary)
            return total * self._factor(task), alone

        return differentiate(self.lower, self.upper, x, scalar), counts.any()

    def _factor(self, task: Task) -> float:
        """Of the loss that is differentiated. One in place of zero."""
        return task.weight * self.scale or 1.0

    def _rest(self, x: Array) -> Any:
        """Derivatives of what belongs to no task."""

        def scalar(outputs: dict, losses: list) -> Any:
            nothing = 0.0 * _as_sum(next(iter(outputs.values())))
            found = [keras.ops.cast(loss, "float64") for loss in losses]
            total = sum(found, nothing)
            return total * self.scale, total

        return differentiate(self.lower, self.upper, x, scalar)

    def _rows(self, passed: Any, t: int, unscale: float) -> list:
        """Gradients of one task; zeros where only this batch gives none."""
        rows = []
        for g, variable, path in zip(
            passed.gradients, self.variables, self.paths, strict=True
        ):
            if not self._reaches(self.tasks[t], path):
                rows.append(None)
                continue
            zero = np.zeros(variable.shape)
            rows.append(self._disturbed(zero if g is None else g * unscale))
        return rows

    def _disturbed(self, gradient: Array) -> Array:
        if self.noise is None:
            return gradient
        size = self.noise * np.abs(gradient).max(initial=0)
        return gradient + size * self.rng.normal(size=gradient.shape)

    # -- one step -------------------------------------------------------------

    def _step(self, x: Array, labels: dict, given: dict) -> dict[str, Any]:
        batch = (x, labels, given)
        found = [self._pass(task, *batch) for task in self.tasks]
        passes = [passed for passed, _ in found]
        rest = self._rest(x)
        logs = self._logs(passes, rest)
        if self._overflows([*passes, rest]):
            self.scale /= 2
            self._keep_state(rest)
            return logs
        self._train(batch, passes, np.array([hit for _, hit in found]), rest)
        return {**logs, "conflict": self.conflict}

    def _logs(self, passes: list, rest: Any) -> dict[str, Any]:
        logged = [
            (task, passed.alone)
            for task, passed in zip(self.tasks, passes, strict=True)
            if not task.name.endswith("_aux")
        ]
        total = sum(task.weight * loss for task, loss in logged)
        return {
            "loss": total + rest.alone,
            "losses": [loss for _, loss in logged],
            "conflict": None,
        }

    def _keep_state(self, passed: Any) -> None:
        for variable, value in zip(
            untrained(self.lower, self.upper), passed.state, strict=True
        ):
            variable.assign(value)

    def _overflows(self, passes: list) -> bool:
        if not self.half:
            return False
        gradients = [g for p in passes for g in p.gradients if g is not None]
        largest = max(np.abs(g).max(initial=0) for g in gradients)
        finite = all(np.isfinite(g).all() for g in gradients)
        self.borderline |= bool(finite and largest > 2e4)
        # Factors of the losses are not in these gradients yet.
        self.borderline |= not finite and self.weighting is not None
        return not finite

    def _check_range(self, passes: list, factors: Array) -> None:
        """Notes whether factors of the losses bring the gradients near inf."""
        if not self.half:
            return
        for passed, factor in zip(passes, factors, strict=True):
            found = [g for g in passed.gradients if g is not None]
            sizes = [np.abs(g).max(initial=0) for g in found]
            sizes.append(0.0)
            self.borderline |= bool(factor * max(sizes) > 2e4)

    def _train(
        self, batch: tuple, passes: list, has_labels: Array, rest: Any
    ) -> None:
        unscale = [bool(t.weight) / self.scale for t in self.tasks]
        rows = [
            self._rows(passed, t, unscale[t]) for t, passed in enumerate(passes)
        ]
        at_shared = [
            self._disturbed(passed.at_shared * unscale[t])
            for t, passed in enumerate(passes)
        ]
        # Of a task, and of its auxiliary if that is a part of it.
        factors = np.array([self._factor(task) for task in self.tasks])
        losses = np.array([passed.value for passed in passes]) / factors
        weighted = losses * [task.weight for task in self.tasks]
        present = self._present(has_labels)
        seen = weighted
        if present is not None:
            seen = np.where(present, weighted, np.nan)
        factors, extra = self._apply_weighting(weighted, present)
        if self.weighting is not None and extra is None:
            present = (factors != 0) & (True if present is None else present)
        self._check_range(passes, factors)
        for t, factor in enumerate(factors):
            rows[t] = [None if g is None else factor * g for g in rows[t]]
            at_shared[t] = factor * at_shared[t]
        observed = self._observe(rows, at_shared, present)
        gradients = self._combine(batch[0], rows, at_shared, losses, present)
        for i, g in enumerate(rest.gradients):
            if g is not None:
                own = g / self.scale
                old = gradients[i]
                gradients[i] = own if old is None else old + own
        self._keep_state(rest)
        self._descend(gradients, extra)
        self._tell_weighting(seen, observed, batch)

    def _present(self, has_labels: Array) -> Array | None:
        weights = np.array([task.weight for task in self.tasks])
        if not self.case.has_missing_labels and weights.all():
            return None
        return has_labels & (weights != 0)

    # -- weighting ------------------------------------------------------------

    @property
    def _trained_name(self) -> str | None:
        kinds = {"uncertainty": "log_variance", "imtll": "scale"}
        return kinds.get(self.case.weighting)

    def _apply_weighting(self, losses: Array, present: Any) -> tuple:
        """Factors of the losses, and the gradient of what is trained."""
        if self.weighting is None:
            return np.ones(len(losses)), None
        tensor = keras.ops.convert_to_tensor(losses)
        factors = self.weighting.weigh(tensor, StepInfo(tensor, present))
        factors = np.asarray(factors, "float64")
        extra = None
        if self.case.weighting == "uncertainty":
            extra = 0.5 - factors * losses
        elif self.case.weighting == "imtll":
            extra = factors * losses - 1
        if extra is not None and present is not None:
            extra = np.where(present, extra, 0)
        return factors, extra

    def _observe(self, rows: list, at_shared: list, present: Any) -> dict:
        """What the weighting asks to see."""
        observes = () if self.weighting is None else self.weighting.observes
        here = np.ones(len(rows), bool) if present is None else present
        factor = np.where(here, 1, np.nan)
        at_shared = [g.ravel() for g in at_shared]
        at = self.case.representation
        found = {}
        if "gradient_norms" in observes:
            vectors = at_shared if at else self._at_last_kernel(rows)
            norms = [np.linalg.norm(vector) for vector in vectors]
            found["gradient_norms"] = norms * factor
        if "gradient_gram" in observes:
            vectors = at_shared
            if not at:
                vectors = self._long_rows(rows, self._shared(rows))
            gram = np.stack(vectors) @ np.stack(vectors).T
            found["gradient_gram"] = gram * factor[:, None] * factor
        return found

    def _at_last_kernel(self, rows: list) -> list[Array]:
        shared = self._shared(rows)
        kernels = [i for i in shared if len(self.variables[i].shape) > 1]
        layer = self._layer((kernels or shared)[-1])
        return self._long_rows(
            rows, [i for i in shared if self._layer(i) == layer]
        )

    def _tell_weighting(
        self, seen: Array, observed: dict, batch: tuple
    ) -> None:
        if self.weighting is None:
            return
        if "losses_after" in self.weighting.observes:
            values = [
                self._pass(task, *batch)[0].value
                * task.weight
                / self._factor(task)
                for task in self.tasks
            ]
            observed["losses_after"] = np.where(np.isnan(seen), seen, values)
        seen, observed = keras.tree.map_structure(
            lambda value: keras.ops.convert_to_tensor(value.astype("float32")),
            (seen, observed),
        )
        self.weighting.update(seen, Observed(**observed))

    # -- aggregation ----------------------------------------------------------

    def _layer(self, index: int) -> str:
        return self.paths[index].rpartition("/")[0]

    def _shared(self, rows: list, fewest: int = 2) -> list[int]:
        return [
            i
            for i in range(len(self.variables))
            if sum(row[i] is not None for row in rows) >= fewest
        ]

    def _long_rows(self, rows: list, places: list[int]) -> list[Array]:
        """The gradients of some variables as one vector a task."""
        return [
            np.concatenate(
                [
                    np.zeros(self.variables[i].shape).ravel()
                    if row[i] is None
                    else row[i].ravel()
                    for i in places
                ]
            )
            for row in rows
        ]

    def _combine(
        self, x: Array, rows: list, at_shared: list, losses: Array, present: Any
    ) -> list[Array | None]:
        self.conflict = None
        total = [_add(row[i] for row in rows) for i in range(len(rows[0]))]
        if self.case.aggregator is None:
            return total
        if self.case.representation:
            return self._combine_at_shared(x, rows, at_shared, losses, present)
        fewest = 1 if self.case.aggregator == "projection_all" else 2
        shared = self._shared(rows, fewest)
        self._note_conflict(np.stack(self._long_rows(rows, shared)))
        if self.case.aggregator in ("grad_drop", "trimmed_mean"):
            self._combine_entries(rows, shared, total, losses, present)
            return total
        self.draws.next()
        for group in self._groups(shared):
            long = np.stack(self._long_rows(rows, group))
            update = self._method(tuple(group)).combine(long, losses, present)
            for i in group:
                shape = self.variables[i].shape
                part, update = np.split(update, [math.prod(shape)])
                total[i] = part.reshape(shape)
        self._note_conflict_of_averages(map(tuple, self._groups(shared)))
        return total

    def _groups(self, shared: list[int]) -> list[list[int]]:
        kind = self.case.granularity
        if kind == "model":
            return [shared]
        if kind == "variable":
            return [[i] for i in shared]
        layers = dict.fromkeys(self._layer(i) for i in shared)
        return [[i for i in shared if self._layer(i) == n] for n in layers]

    def _combine_entries(
        self, rows: list, shared: list, total: list, losses: Any, present: Any
    ) -> None:
        """Rules of single entries know only the tasks that reach them."""
        for i in shared:
            self.draws.next()
            own = [row[i].ravel() for row in rows if row[i] is not None]
            update = self._method(i).combine(np.stack(own), losses, present)
            total[i] = update.reshape(self.variables[i].shape)

    def _combine_at_shared(
        self, x: Array, rows: list, at_shared: list, losses: Array, present: Any
    ) -> list[Array | None]:
        """One signal at the representation, carried on by one more pass."""
        self.draws.next()
        long = np.stack([g.ravel() for g in at_shared])
        self._note_conflict(long)
        signal = self._method("shared").combine(long, losses, present)
        self._note_conflict_of_averages(["shared"])
        signal = signal.reshape(at_shared[0].shape)
        below = self._below(x, signal)
        count = len(self.lower.trainable_variables)
        return [
            below[i] if i < count else _add(row[i] for row in rows)
            for i in range(len(self.variables))
        ]

    def _below(self, x: Array, signal: Array) -> list[Array | None]:
        def scalar(outputs: dict, losses: list) -> Any:
            tensor = keras.ops.cast(outputs["shared"], "float64")
            total = keras.ops.sum(tensor * (signal * self.scale))
            return total, total

        passed = differentiate(self.lower, Nothing(), x, scalar)
        return [None if g is None else g / self.scale for g in passed.gradients]

    def _method(self, group: Any) -> SlowMethod:
        if group not in self.methods:
            name = self.case.aggregator
            self.methods[group] = SlowMethod(name, self.draws)
        return self.methods[group]

    def _note_conflict(self, rows: Array) -> None:
        """Share of pairs that oppose each other; None where that is close."""
        self.conflict = None
        sizes = np.linalg.norm(rows, axis=1)
        gram = rows @ rows.T
        bound = np.outer(sizes, sizes)
        pairs = ~np.eye(len(rows), dtype=bool)
        if (np.abs(gram) < 1e-3 * bound)[pairs].any():
            return
        self.conflict = (gram < 0)[pairs].mean()

    def _note_conflict_of_averages(self, groups: Iterable[Any]) -> None:
        """Of methods with averages of gradients the share is of these."""
        memories = [self._method(group).memory for group in groups]
        if "averages" in memories[0]:
            rows = [memory["averages"] for memory in memories]
            self._note_conflict(np.concatenate(rows, axis=1))

    # -- optimizer ------------------------------------------------------------

    def _descend(self, gradients: list, extra: Array | None) -> None:
        named = dict(zip(self.paths, gradients, strict=True))
        if extra is not None:
            named["extra"] = extra
        named = {k: g for k, g in named.items() if g is not None}
        limit = self.case.global_clipnorm
        if limit is not None:
            norm = np.sqrt(sum((g**2).sum() for g in named.values()))
            factor = min(1.0, limit / norm) if norm else 1.0
            named = {k: factor * g for k, g in named.items()}
        for name, gradient in named.items():
            held = self.momenta.get(name, 0.0)
            move = self.case.momentum * held - LEARNING_RATE * gradient
            self.momenta[name] = move
            if name == "extra":
                variable = getattr(self.weighting, self._trained_name)
                variable.assign(np.asarray(variable.value) + move)
            else:
                self.values[name] = self.values[name] + move
        self._load()


class Nothing:
    """In the place of the upper half: hands on what the lower one gives."""

    def __init__(self):
        self.trainable_variables = []
        self.non_trainable_variables = []
        self.losses = []

    def __call__(self, tensor: Any, training: bool, mask: Any) -> dict:
        return {"shared": tensor}


def _as_sum(tensor: Any) -> Any:
    return keras.ops.sum(keras.ops.cast(tensor, "float64"))


def _add(gradients: Any) -> Array | None:
    found = [g for g in gradients if g is not None]
    return sum(found[1:], found[0]) if found else None
