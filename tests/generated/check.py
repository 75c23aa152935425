"""Trains a case with keras_mtl, and by slow steps, and compares."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl import MultiTaskModel
from tests.generated.cases import AGGREGATORS
from tests.generated.cases import ROWS
from tests.generated.cases import WEIGHTINGS
from tests.generated.cases import WHOLE_MODEL
from tests.generated.cases import Case
from tests.generated.models import class_weights
from tests.generated.models import make_batches
from tests.generated.models import make_model
from tests.generated.models import missing_value
from tests.generated.models import path_of
from tests.generated.slow_losses import keras_loss
from tests.generated.slow_steps import LEARNING_RATE
from tests.generated.slow_steps import Outcome
from tests.generated.slow_steps import SlowTraining
from tests.generated.slow_steps import precision

# What rounding leaves of a gradient, relative to its largest entry: some
# dozens of roundings of the numbers that layers compute with.
NOISE = {
    "float32": 2e-6,
    "float64": 2e-6,
    "mixed_bfloat16": 2**-6,
    "mixed_float16": 2**-9,
}
# Disturbed trainings, where the first comparison does not settle it.
TRIALS = 6
# Gaps may be so many times what disturbances make.
FACTOR = 8.0


class Verdict(NamedTuple):
    """How a case came out.

    Attributes:
        gap: The largest difference of a trained variable, relative to the
            largest change of one.
        allowed: What it may be.
        spread: What disturbances of the size of rounding make of it, if it
            was measured.
        where: The variable or log with the largest excess.
        skipped: Why nothing was compared, if so.
    """

    gap: float
    allowed: float
    spread: float | None
    where: str
    skipped: str = ""

    @property
    def passed(self) -> bool:
        return bool(self.skipped or self.gap <= self.allowed)


def check(case: Case) -> Verdict:
    """Compares the two trainings of a case."""
    with _numbers_of(case):
        keras.utils.clear_session(free_memory=False)
        values, outcome = _train(case)
        slow = _slow(case, values)
        if slow.borderline:
            return Verdict(0, 0, None, "", "rounding decides")
        return _compare(case, values, outcome, slow)


@contextlib.contextmanager
def _numbers_of(case: Case) -> Iterator[None]:
    """On JAX, float64 exists only where it is asked for."""
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            if case.precision == "float64":
                stack.enter_context(jax.enable_x64(True))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        yield


def _slow(case: Case, values: dict, noise: float | None = None) -> Outcome:
    mixed = case.precision.startswith("mixed")
    policy = case.precision if mixed else "float64"
    with contextlib.ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        stack.enter_context(precision(policy))
        return SlowTraining(case, values, noise).run(make_batches(case))


# -- keras_mtl -----------------------------------------------------------------


def _train(case: Case) -> tuple[dict, Outcome]:
    """Values at the start, and what the training of keras_mtl leaves."""
    with precision(case.precision):
        model = make_model(case, MultiTaskModel)
        values = _start(case, model)
        _compile(case, model)
        logs = _fit(case, model) if case.fit else _train_on_batches(case, model)
    own = {id(v) for v in model.method_state.variables}
    trained = {
        path_of(v): np.asarray(v.value, "float64")
        for v in model.trainable_variables
        if id(v) not in own
    }
    state = {
        path_of(v): np.asarray(v.value, "float64")
        for v in model.non_trainable_variables
        if id(v) not in own and "seed" not in v.path
    }
    return values, Outcome(trained, state, logs)


def _start(case: Case, model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(case.seed + 2)
    values = {}
    for variable in sorted(model.trainable_variables, key=path_of):
        value = rng.normal(size=variable.shape) * 0.5
        variable.assign(value.astype("float32"))
        values[path_of(variable)] = np.asarray(variable.value, "float64")
    return values


def _compile(case: Case, model: keras.Model) -> None:
    optimizer = keras.optimizers.SGD(
        LEARNING_RATE,
        momentum=case.momentum,
        global_clipnorm=case.global_clipnorm,
        loss_scale_factor=case.loss_scale_factor,
    )
    named = case.named_outputs
    losses = {
        n: _one_or_all([keras_loss(k) for k in o.losses]) for n, o in named
    }
    weights = {n: _one_or_all(list(o.loss_weights)) for n, o in named}
    if case.structure != "dict":
        losses, weights = list(losses.values()), list(weights.values())
    if case.structure == "single":
        losses, weights = losses[0], weights[0]
    plain = all(w == 1 for _, o in named for w in o.loss_weights)
    settings = {}
    if case.mode == "xla":
        settings["jit_compile"] = True
    elif case.mode == "graph":
        settings["jit_compile"] = False
    model.compile(
        optimizer,
        losses,
        None if plain else weights,
        run_eagerly=case.mode == "eager",
        steps_per_execution=case.steps_per_execution,
        aggregator=_aggregator(case),
        weighting=case.weighting and WEIGHTINGS[case.weighting](["a"]),
        representation="shared" if case.representation else None,
        missing_label=_missing_label(case),
        **settings,
    )


def _one_or_all(found: list) -> Any:
    return (found or [None])[0] if len(found) < 2 else found


def _aggregator(case: Case) -> Any:
    if case.aggregator is None:
        return None
    make = AGGREGATORS[case.aggregator]
    if case.aggregator in WHOLE_MODEL:
        return make()
    return make(granularity=case.granularity)


def _missing_label(case: Case) -> Any:
    if not case.has_missing_labels:
        return None
    found = {
        name: missing_value(output)
        for name, output in case.named_outputs
        if output.missing or output.absent
    }
    return found["a"] if case.structure == "single" else found


def _class_weight(case: Case) -> Any:
    found = {
        name: class_weights(output)
        for name, output in case.named_outputs
        if output.class_weight
    }
    return found or None


def _structured(case: Case, batch: tuple) -> tuple:
    """As a user would give it: weights by name, or for all outputs."""
    x, labels, weights = batch
    if case.fit and weights:
        # Keras wants arrays for all outputs.
        ones = {n: np.ones(ROWS, "float32") for n in labels}
        if case.steps_have_labels:
            ones["a"] = ones["a"][:, None]
        weights = {n: weights.get(n, ones[n]) for n in labels}
        if case.structure == "list":
            weights = list(weights.values())
    if case.structure == "list":
        labels = list(labels.values())
    elif case.structure == "single":
        return x, labels["a"], weights["a"] if weights else None
    return x, labels, weights or None


def _train_on_batches(case: Case, model: keras.Model) -> list[dict]:
    logs = []
    for batch in make_batches(case):
        x, labels, weights = _structured(case, batch)
        model.reset_metrics()
        found = model.train_on_batch(
            x,
            labels,
            sample_weight=weights,
            class_weight=_class_weight(case),
            return_dict=True,
        )
        logs.append({**found, "order": _task_logs(model, found)})
    return logs


def _task_logs(model: keras.Model, logs: dict) -> list[float]:
    """Losses of the tasks in their order."""
    trackers = model.task_losses.metrics
    return [logs[tracker.name] for tracker in trackers]


def _fit(case: Case, model: keras.Model) -> list[dict]:
    batches = [_structured(case, batch) for batch in make_batches(case)]
    x, labels, weights = (
        None
        if parts[0] is None
        else keras.tree.map_structure(
            lambda *rows: np.concatenate(rows), *parts
        )
        for parts in zip(*batches, strict=True)
    )
    model.fit(
        x,
        labels,
        sample_weight=weights,
        class_weight=_class_weight(case),
        batch_size=ROWS,
        shuffle=False,
        verbose=0,
    )
    return []


# -- comparison ----------------------------------------------------------------


def _compare(
    case: Case, values: dict, outcome: Outcome, slow: Outcome
) -> Verdict:
    gaps = _gaps(values, outcome, slow)
    rounding = 30 * NOISE[case.precision]
    verdict = _verdict(gaps, dict.fromkeys(gaps, rounding), None)
    if verdict.passed:
        return verdict
    spreads = _spreads(case, values, slow, gaps)
    allowed = {k: rounding + FACTOR * spreads[k] for k in gaps}
    return _verdict(gaps, allowed, spreads)


def _verdict(gaps: dict, allowed: dict, spreads: dict | None) -> Verdict:
    where = max(gaps, key=lambda k: _excess(gaps[k], allowed[k]))
    spread = None if spreads is None else spreads[where]
    return Verdict(gaps[where], allowed[where], spread, where)


def _excess(gap: float, allowed: float) -> float:
    return np.inf if np.isnan(gap) else gap / allowed


def _gaps(values: dict, outcome: Outcome, slow: Outcome) -> dict[str, float]:
    """Differences by name, each relative to what it is a difference of."""
    assert outcome.values.keys() == slow.values.keys()
    assert outcome.state.keys() == slow.state.keys()
    moved = max(
        [np.abs(slow.values[k] - values[k]).max() for k in values] + [1e-3]
    )
    gaps = {
        k: np.abs(outcome.values[k] - slow.values[k]).max() / moved
        for k in values
    }
    for k, state in slow.state.items():
        size = max(np.abs(state).max(), 1.0)
        gaps[k] = np.abs(outcome.state[k] - state).max() / size
    # `fit` shows means over its steps, so of these there are none.
    logs = zip(outcome.logs, slow.logs, strict=False)
    for step, (found, right) in enumerate(logs):
        gaps.update(_log_gaps(step, found, right))
    return gaps


def _log_gaps(step: int, found: dict, right: dict) -> dict[str, float]:
    gaps = {}
    size = max(abs(right["loss"]), *map(abs, right["losses"]), 0.1)
    gaps[f"loss in step {step}"] = abs(found["loss"] - right["loss"]) / size
    pairs = zip(found["order"], right["losses"], strict=True)
    for t, (one, other) in enumerate(pairs):
        gaps[f"loss {t} in step {step}"] = abs(one - other) / size
    conflict = right["conflict"]
    if conflict is not None and "gradient_conflict" in found:
        gap = abs(found["gradient_conflict"] - conflict)
        gaps[f"conflict in step {step}"] = gap
    return gaps


def _spreads(
    case: Case, values: dict, slow: Outcome, gaps: dict
) -> dict[str, float]:
    """The largest gaps that disturbances of the gradients make."""
    largest = dict.fromkeys(gaps, 0.0)
    for trial in range(TRIALS):
        noise = NOISE[case.precision] * (1 + trial / TRIALS)
        found = _slow(case, values, noise)
        logs = [{**log, "order": log["losses"]} for log in found.logs]
        own = _gaps(values, found._replace(logs=logs), slow)
        for k in largest:
            largest[k] = max(largest[k], own.get(k, 0.0))
    return largest
