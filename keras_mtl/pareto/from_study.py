"""Points from an Optuna study."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.pareto.points import Points
from keras_mtl.pareto.points import numbers


def from_study(study: Any, tasks: Sequence[str] | None = None) -> Points:
    """The trials of an Optuna study of several objectives as points.

    Those that are complete, and feasible, if the study has constraints.
    Directions are those of the study. Functions that take points take a study
    as well; this one gives names to the tasks, and the rows of the trials.

    Args:
        study: `optuna.Study`.
        tasks: Names of the objectives, in their order. By default the study's
            `metric_names`, else none.

    Returns:
        `Points`. Their `rows` have the `number` of a trial, its `params` and
        its `user_attrs`: `points.by("params.method")`.

    Raises:
        ValueError: If no trial is complete, or if `tasks` are not as many as
            the objectives.

    Example:

    ```python
    study = optuna.load_study(study_name="mine", storage="sqlite:///runs.db")
    points = keras_mtl.pareto.from_study(study, ["left", "right"])
    keras_mtl.pareto.plot_front(points.by("params.method"), path="fronts.png")
    ```
    """
    trials = [trial for trial in study.trials if _counts(trial)]
    maximize = np.array([_is_maximized(d) for d in study.directions])
    tasks = _tasks(study, tasks, len(maximize))
    if not trials:
        raise ValueError(
            "`study` must have a trial that is complete"
            f" and feasible. Received: {len(study.trials)} trials, none of them"
        )
    values = numbers([trial.values for trial in trials], "study")
    rows = [
        {
            "number": trial.number,
            "params": dict(trial.params),
            "user_attrs": dict(trial.user_attrs),
        }
        for trial in trials
    ]
    return Points(values, tasks, maximize, rows)


def _counts(trial: Any) -> bool:
    if trial.state.name != "COMPLETE":
        return False
    # Optuna 5 has an attribute for them.
    constraints = getattr(trial, "constraints", None)
    constraints = constraints or trial.system_attrs.get("constraints") or ()
    if isinstance(constraints, dict):
        constraints = constraints.values()
    return all(value <= 0 for value in constraints)


def _is_maximized(direction: Any) -> bool:
    if direction.name not in ("MAXIMIZE", "MINIMIZE"):
        raise ValueError(
            "`study` must say whether to maximize or to minimize each "
            f"objective. Received: {direction.name}"
        )
    return direction.name == "MAXIMIZE"


def _tasks(study: Any, tasks: Any, num_tasks: int) -> list[str] | None:
    if tasks is None:
        tasks = getattr(study, "metric_names", None)
    if tasks is None:
        return None
    names = [tasks] if isinstance(tasks, str) else list(map(str, tasks))
    if len(set(names)) != len(names) or len(names) != num_tasks:
        raise ValueError(
            f"`tasks` must name each of the {num_tasks} objectives once. "
            f"Received: tasks={tasks!r}"
        )
    return names
