"""Points to compare: a value for each task, and which way is better."""

import dataclasses
from collections.abc import Hashable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_mtl.pareto.by_task import task_name
from keras_mtl.pareto.columns import look_up
from keras_mtl.pareto.directions import directions


@dataclasses.dataclass(frozen=True, eq=False)
class Points:
    """What `read_results` and `from_study` return, and all functions take.

    `points[mask]` are some of them, `np.asarray(points)` their values.

    Attributes:
        values: float64 array `[N, T]`: N points, a column for each task.
        tasks: Names of the T tasks, or `None` of an array.
        maximize: bool array `[T]`, whether larger values are better; or
            `None`, if nobody said yet. May be given as in `non_dominated`.
        rows: N dicts with all that the source tells of each point, such as
            its configuration; or empty dicts.
    """

    values: np.ndarray
    tasks: list[str] | None = None
    maximize: np.ndarray | None = None
    rows: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        values = numbers(self.values, "values")
        if values.ndim != 2:
            raise ValueError(
                "`values` must be of shape [points, tasks]. Received: values "
                f"of shape {values.shape}"
            )
        object.__setattr__(self, "values", values)
        if self.tasks is not None:
            object.__setattr__(self, "tasks", _names(self.tasks))
        for name, there, wanted in (
            ("tasks", self.tasks, values.shape[-1]),
            ("rows", self.rows or None, len(values)),
        ):
            if there is not None and len(there) != wanted:
                raise ValueError(
                    f"`{name}` must be {wanted}, as `values` of shape "
                    f"{values.shape} are. Received: {len(there)}"
                )
        if self.maximize is not None:
            better = directions(self.maximize, self.tasks, values.shape[-1])
            object.__setattr__(self, "maximize", better)

    def __repr__(self) -> str:
        """In brief: rows may be long."""
        better = self.maximize
        return (
            f"Points of {len(self)} x {self.values.shape[1]} values, "
            f"tasks={self.tasks}, "
            f"maximize={better if better is None else better.tolist()}"
        )

    def __len__(self) -> int:
        return len(self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.values, dtype, copy=copy)

    def __getitem__(self, which: Any) -> "Points":
        """Some of the points: a mask, a slice, or indices."""
        places = np.atleast_1d(np.arange(len(self))[which])
        return dataclasses.replace(
            self,
            values=self.values[places],
            rows=[self.rows[place] for place in places] if self.rows else (),
        )

    def by(self, column: str | Sequence[str]) -> dict[Hashable, "Points"]:
        """Groups the points by what their rows say.

        Args:
            column: A column, or a key of JSON, `"config.method"` for one in
                another. Several make tuples.

        Returns:
            A dict from each value to its points, in order of appearance.

        Raises:
            ValueError: If there are no rows, or if one has no such column.
        """
        groups: dict[Hashable, list[int]] = {}
        for place, key in enumerate(self.column(column)):
            groups.setdefault(key, []).append(place)
        return {key: self[places] for key, places in groups.items()}

    def column(self, column: str | Sequence[str]) -> list[Hashable]:
        """What the row of each point says; see `by`."""
        if not self.rows:
            raise ValueError(
                "The points have no rows to look into: those of `read_results` "
                f"and `from_study` have. Received: column={column!r}"
            )
        return [
            look_up(row, column, f"point {place}")
            for place, row in enumerate(self.rows)
        ]

    @property
    def costs(self) -> np.ndarray:
        """The values `[N, T]`, turned so that smaller is better of all."""
        return np.where(self.maximize, -self.values, self.values)


def _names(tasks: Any) -> list[str]:
    names = [str(task) for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(
            "`tasks` must have different names, as text as well. Received: "
            f"tasks={list(tasks)}"
        )
    return names


def as_points(
    given: Any, maximize: Any = None, argument: str = "points"
) -> Points:
    """Points with directions, from all that a user may give.

    Args:
        given: `Points`, an Optuna study, an array `[N, T]`, a dict from tasks
            to N values each, or a sequence of N dicts from tasks to values.
        maximize: See `directions`. `None` is as the points say, else
            as the names do, else an error; False of arrays without names.
        argument: Name of the argument, for messages.

    Raises:
        ValueError: If there are none, or not finite ones; or if `maximize`
            says otherwise than the points.
    """
    return _directed(_read(given, argument), maximize, argument)


def as_fronts(
    given: Any, maximize: Any = None, argument: str = "fronts"
) -> dict[Any, Points]:
    """Several sets of points by label, of the same tasks and directions.

    Args:
        given: A dict from labels to points; or points, whose label is "".
        maximize: See `as_points`.
        argument: Name of the argument, for messages.

    Raises:
        ValueError: If they do not go together.
    """
    if not _are_fronts(given):
        return {"": as_points(given, maximize, argument)}
    named = {f"{argument}[{label!r}]": given[label] for label in given}
    together = as_points_together(named, maximize)
    return dict(zip(given, together, strict=True))


def as_points_together(
    given: Mapping[str, Any], maximize: Any = None
) -> list[Points]:
    """Sets of points with columns in one order, and the same directions.

    Args:
        given: Dict from names of arguments, for messages, to points. What one
            of them says of directions holds for those that say nothing.
        maximize: See `as_points`.

    Raises:
        ValueError: If they do not go together.
    """
    read = {name: _read(points, name) for name, points in given.items()}
    first = next(iter(read))
    ordered = {
        name: _in_order_of(read[first], points, first, name)
        for name, points in read.items()
    }
    if maximize is None:
        stated = (points.maximize for points in ordered.values())
        maximize = next((said for said in stated if said is not None), None)
    return [
        _directed(points, maximize, name) for name, points in ordered.items()
    ]


def _directed(points: Points, maximize: Any, argument: str) -> Points:
    """The points with `maximize`, if that is what they say themselves."""
    known, num_tasks = points.maximize, points.values.shape[1]
    if maximize is None and known is not None:
        return points
    wanted = directions(maximize, points.tasks, num_tasks)
    if known is not None and (wanted != known).any():
        column = int(np.argmax(wanted != known))
        here = "larger" if known[column] else "smaller"
        there = "larger" if wanted[column] else "smaller"
        raise ValueError(
            f"`{argument}` mixes directions: {here} values are better of "
            f"{task_name(points.tasks, column)} as its source says, and "
            f"{there} ones as `maximize` or another front says. Received: "
            f"maximize={np.asarray(maximize).tolist()}"
        )
    return dataclasses.replace(points, maximize=wanted)


def is_study(given: Any) -> bool:
    """Whether it is an Optuna study, or the like."""
    # The type is asked first, for a study would copy all of its trials.
    has_trials = hasattr(type(given), "trials") or "trials" in getattr(
        given, "__dict__", ()
    )
    return has_trials and hasattr(given, "directions")


def _are_fronts(given: Any) -> bool:
    """Whether a dict is from labels to points, and not from tasks to values."""
    return (
        isinstance(given, Mapping)
        # Any, so that what is wrong with the others is said of them.
        and any(map(_is_set_of_points, given.values()))
    )


def _is_set_of_points(value: Any) -> bool:
    if isinstance(value, (Points, Mapping)) or is_study(value):
        return True
    if hasattr(value, "columns"):
        return True
    if isinstance(value, (list, tuple)):
        return bool(value) and all(
            isinstance(v, (Mapping, list, tuple)) or np.ndim(v) == 1
            for v in value
        )
    return np.ndim(value) == 2


def _in_order_of(
    first: Points, points: Points, first_argument: str, argument: str
) -> Points:
    """The points with their columns in the order of the first ones."""
    if first.tasks is not None and points.tasks is not None:
        if set(first.tasks) == set(points.tasks):
            points = _take(points, [points.tasks.index(t) for t in first.tasks])
    width = points.values.shape[1]
    if points.tasks != first.tasks or width != first.values.shape[1]:
        raise ValueError(
            f"`{argument}` must have the tasks of `{first_argument}`, "
            f"{_described(first)}. Received: {_described(points)}"
        )
    return points


def _take(points: Points, columns: list[int]) -> Points:
    return dataclasses.replace(
        points,
        values=points.values[:, columns],
        tasks=[points.tasks[column] for column in columns],
        maximize=None if points.maximize is None else points.maximize[columns],
    )


def _described(points: Points) -> str:
    if points.tasks is None:
        return f"{points.values.shape[1]} columns without names"
    return f"{points.tasks}"


def _read(given: Any, argument: str) -> Points:
    points = _from_any(given, argument)
    if not points.values.size:
        raise ValueError(
            f"`{argument}` must hold a point at least, with a value for each "
            f"task. Received: {argument} of shape {points.values.shape}"
        )
    _refuse_not_finite(points, argument)
    return points


def _from_any(given: Any, argument: str) -> Points:
    if isinstance(given, Points):
        return given
    if is_study(given):
        # Imported here, for it makes `Points`.
        from keras_mtl.pareto.from_study import from_study

        return from_study(given)
    if hasattr(given, "columns") and hasattr(given, "to_numpy"):
        # A table of pandas.
        given = {str(c): given[c].to_numpy() for c in given.columns}
    if isinstance(given, Mapping):
        return _from_columns(given, argument)
    if isinstance(given, (list, tuple)) and any(
        isinstance(row, Mapping) for row in given
    ):
        return _from_records(given, argument)
    values = numbers(given, argument)
    if not values.size:
        return Points(values.reshape(len(values), 0))
    if values.ndim != 2:
        raise ValueError(
            f"`{argument}` must be of shape [points, tasks]. Received: "
            f"{argument} of shape {values.shape}"
        )
    return Points(values)


def _from_columns(given: Mapping[str, Any], argument: str) -> Points:
    _names(given)
    columns = {
        str(task): numbers(values, f"{argument}[{task!r}]")
        for task, values in given.items()
    }
    shapes = {task: values.shape for task, values in columns.items()}
    if any(len(s) != 1 for s in shapes.values()) or len({*shapes.values()}) > 1:
        raise ValueError(
            f"`{argument}` must have equally many values of each task. "
            f"Received: shapes {shapes}"
        )
    values = (
        np.stack(list(columns.values()), 1) if columns else np.zeros((0, 0))
    )
    return Points(values, list(columns))


def _from_records(given: Sequence[Any], argument: str) -> Points:
    tasks = list(given[0]) if isinstance(given[0], Mapping) else []
    for place, row in enumerate(given):
        found = list(row) if isinstance(row, Mapping) else row
        if not isinstance(row, Mapping) or set(row) != set(tasks):
            raise ValueError(
                f"`{argument}` must have the same tasks in each point, "
                f"{tasks}. Received: {found} in point {place}"
            )
    values = [[row[task] for task in tasks] for row in given]
    matrix = numbers(values, argument)
    if matrix.ndim != 2:
        raise ValueError(
            f"`{argument}` must have one number for each task of a point. "
            f"Received: values of shape {matrix.shape[2:]}"
        )
    return Points(matrix, [str(task) for task in tasks])


def numbers(given: Any, argument: str) -> np.ndarray:
    """An array of float64, if it holds numbers."""
    try:
        values = np.asarray(given)
        if np.ma.is_masked(given):
            raise TypeError("masked values")
        if values.size and values.dtype.kind in "bcmMOSU":
            raise TypeError(f"values of type {values.dtype}")
        return values.astype("float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{argument}` must hold numbers, equally many of each point. "
            f"Received: {error}: {given!r:.200}"
        ) from error


def _refuse_not_finite(points: Points, argument: str) -> None:
    bad = np.argwhere(~np.isfinite(points.values))
    if len(bad):
        place, column = bad[0]
        raise ValueError(
            f"`{argument}` must be finite. Leave out what has failed. "
            f"Received: {points.values[place, column]} of "
            f"{task_name(points.tasks, column)} in point {place}, and "
            f"{len(bad) - 1} more"
        )
