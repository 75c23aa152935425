"""Loss weights that change as training goes."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_mtl.types import Tensor
from keras_mtl.utils.argument_validation import number_from_zero
from keras_mtl.utils.by_output import TASKS
from keras_mtl.utils.by_output import check_entries
from keras_mtl.weightings.observed import NOTHING
from keras_mtl.weightings.observed import Observed
from keras_mtl.weightings.weighting import Weighting


@keras.saving.register_keras_serializable(package="keras_mtl")
class Schedule(Weighting):
    """Loss weights that are functions of the training step.

    For a task that should come in late, fade out, or take turns with another.
    The weights multiply `loss_weights`. The step counts batches from 0, is
    saved with the model, and goes on where it was when training goes on.

    Any schedule of `keras.optimizers.schedules` will do. So will a function of
    the step (an integer tensor) that returns a number or a tensor, made of
    `keras.ops`; to save the model, register it with
    `@keras.saving.register_keras_serializable()`.

    A task whose weight is zero takes no part in the step, as if it had no
    labels in the batch.

    Args:
        schedules: A dict from names of tasks to numbers from 0 up, learning
            rate schedules, or functions of the step. A task that is not named
            has weight 1.
        name: Name of the method.

    Example: the auxiliary task comes in over the first 1000 steps and the main
    task has weight 1 all the time.

    ```python
    warm_up = keras.optimizers.schedules.PolynomialDecay(
        initial_learning_rate=0.0, decay_steps=1000, end_learning_rate=0.5
    )
    model.compile(
        "adam",
        loss={"main": "mse", "auxiliary": "mse"},
        weighting=keras_mtl.weightings.Schedule({"auxiliary": warm_up}),
    )
    ```

    Example: two tasks take turns, 100 steps each.

    ```python
    @keras.saving.register_keras_serializable()
    def left_turn(step):
        return keras.ops.cast((step // 100) % 2 == 0, "float32")

    @keras.saving.register_keras_serializable()
    def right_turn(step):
        return 1.0 - left_turn(step)

    schedule = keras_mtl.weightings.Schedule(
        {"left": left_turn, "right": right_turn}
    )
    ```
    """

    reads = frozenset()

    def __init__(self, schedules: dict[str, Any], name: str | None = None):
        super().__init__(name=name)
        if not isinstance(schedules, dict):
            raise ValueError(
                "`schedules` must be a dict from names of tasks to numbers, "
                "learning rate schedules or functions of the step. Received: "
                f"schedules={schedules!r}"
            )
        self.schedules = {
            task: value if callable(value) else _number(task, value)
            for task, value in schedules.items()
        }

    def create_state(self, task_names: tuple[str, ...]) -> None:
        check_entries("schedules", self.schedules, task_names, TASKS)
        self.step = self.add_state("step", initializer=0, dtype="int")

    def weights(self, losses: Tensor) -> Tensor:
        del losses
        self.check_built()
        step = ops.convert_to_tensor(self.step)
        values = [
            schedule(step) if callable(schedule) else schedule
            for schedule in (
                self.schedules.get(name, 1.0) for name in self.task_names
            )
        ]
        return ops.stack([ops.cast(value, "float32") for value in values])

    def update(self, losses: Tensor, observed: Observed = NOTHING) -> None:
        """Counts the step."""
        del losses, observed
        self.step.assign(self.step + 1)

    def get_config(self) -> dict[str, Any]:
        schedules = {
            task: _serialize(task, value) if callable(value) else value
            for task, value in self.schedules.items()
        }
        return {"schedules": schedules, **super().get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Schedule":
        schedules = {
            task: keras.saving.deserialize_keras_object(value)
            for task, value in config["schedules"].items()
        }
        return cls(**{**config, "schedules": schedules})

    def __repr__(self) -> str:
        # Not by `get_config`: a function that is not registered has none.
        return f"Schedule(schedules={self.schedules!r}, name={self.name!r})"


def _number(task: str, value: Any) -> float:
    return number_from_zero(f"schedules[{task!r}]", value)


def _serialize(task: str, schedule: Callable[[Tensor], Tensor]) -> Any:
    """The configuration of a schedule.

    Raises:
        ValueError: If a file with it could not be loaded.
    """
    kind = schedule if hasattr(schedule, "__name__") else type(schedule)
    name = keras.saving.get_registered_name(kind)
    registered = keras.saving.get_registered_object(name) is kind
    if isinstance(kind, type) and not hasattr(kind, "from_config"):
        registered = False
    of_keras = isinstance(
        schedule, keras.optimizers.schedules.LearningRateSchedule
    )
    if not registered and not of_keras:
        raise ValueError(
            f"The schedule of the task '{task}' cannot be saved. Define it at "
            "the top of a module, as a function or as a class with "
            "`get_config` and `from_config`, and put "
            "`@keras.saving.register_keras_serializable()` above it. "
            f"Received: schedules[{task!r}]={schedule!r}"
        )
    return keras.saving.serialize_keras_object(schedule)
