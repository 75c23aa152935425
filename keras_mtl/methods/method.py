"""What aggregators and weightings share: a name, state, a configuration."""

import re
from collections.abc import Sequence
from typing import Any

import keras


def snake_case(class_name: str) -> str:
    """The registry name of a class, `"WeightedCosine"` to `"weighted_cosine"`.

    Runs of capitals stay together: `"PCGrad"` is `"pcgrad"`.
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()


class Method:
    """Base of `Aggregator` and `Weighting`.

    A method is a plain Python object. Whatever it remembers from step to step
    is a `keras.Variable` (or a `keras.random.SeedGenerator`) held in an
    attribute; `variables` finds them, and the model saves and restores them.
    Variables that depend on the number of tasks are made in `create_state`.

    Args:
        name: Name of the method; by default the class name in snake case.
    """

    def __init__(self, name: str | None = None):
        if name is not None and not isinstance(name, str):
            raise ValueError(
                f"`name` must be a string or None. Received: name={name!r}"
            )
        self.name = name or snake_case(type(self).__name__)
        self._task_names: tuple[str, ...] | None = None

    @property
    def built(self) -> bool:
        """Whether the tasks are known."""
        return self._task_names is not None

    @property
    def task_names(self) -> tuple[str, ...] | None:
        """Names of the tasks in the order of `loss`; None before `build`."""
        return self._task_names

    def build(self, task_names: Sequence[str]) -> None:
        """Tells the method its tasks, once; the model calls it.

        Args:
            task_names: Names of the tasks, in the order of `loss`.

        Raises:
            ValueError: If the method already serves other tasks.
        """
        task_names = tuple(task_names)
        if self._task_names == task_names:
            return
        if self.built:
            raise ValueError(
                f"This {type(self).__name__} already serves the tasks "
                f"{list(self._task_names)}: its state belongs to them. Make a "
                "new instance for each model. Received: "
                f"task_names={list(task_names)}"
            )
        self.create_state(task_names)
        self._task_names = task_names

    def check_built(self) -> None:
        """For methods that cannot do without the tasks: raises if unknown.

        Raises:
            ValueError: Before `build`.
        """
        if not self.built:
            raise ValueError(
                f"This {type(self).__name__} does not know its tasks yet. "
                "Compile a model with it, or call `build(task_names)` with the "
                "names of the tasks in the order of `loss`."
            )

    def create_state(self, task_names: tuple[str, ...]) -> None:
        """Hook for subclasses: makes what depends on the tasks. Called once."""
        del task_names

    @property
    def variables(self) -> list[keras.Variable]:
        """All state, in the order in which the attributes were set.

        Also that in lists, tuples and dicts, and of methods held in them.
        """
        return list(self.named_variables().values())

    def named_variables(self) -> dict[str, keras.Variable]:
        """All state, by the names under which files hold it.

        They are those of the attributes, such as `"task_weights"`; with a
        place in what holds several, such as `"averages.0"`; and with the names
        of a method that is held, such as `"aggregator.seed_generator"`.
        """
        found: dict[int, tuple[str, keras.Variable]] = {}
        for attribute, value in vars(self).items():
            for path, item in keras.tree.flatten_with_path(value):
                name = ".".join(str(part) for part in (attribute, *path))
                for below, variable in _variables_of(item):
                    found.setdefault(id(variable), (name + below, variable))
        return dict(found.values())

    def get_config(self) -> dict[str, Any]:
        """The arguments that make an equal method, without its state."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Method":
        """The method that `get_config` describes."""
        return cls(**config)

    def __repr__(self) -> str:
        arguments = (f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({', '.join(arguments)})"


def _variables_of(item: Any) -> list[tuple[str, keras.Variable]]:
    """What an attribute holds, with the names within it."""
    if isinstance(item, Method):
        named = item.named_variables()
        return [(f".{name}", variable) for name, variable in named.items()]
    if isinstance(item, keras.random.SeedGenerator):
        item = item.state
    return [("", item)] if isinstance(item, keras.Variable) else []


def seeds_of(method: Method) -> list[keras.Variable]:
    """The states of its random numbers, among `method.variables`."""
    seeds = []
    for item in keras.tree.flatten(list(vars(method).values())):
        if isinstance(item, Method):
            seeds += seeds_of(item)
        elif isinstance(item, keras.random.SeedGenerator):
            seeds.append(item.state)
    return seeds


def values_of(variables: Sequence[keras.Variable]) -> list[Any]:
    """What variables hold now, for `keep_if`.

    Copies: on TensorFlow, `convert_to_tensor` gives the variable itself, which
    is read when it is used.
    """
    return [keras.ops.stop_gradient(variable) for variable in variables]


def parameter_dtype() -> str:
    """The type of what the model's optimizer trains for a method.

    As the variables of the model are made: Keras cannot take the global norm
    of gradients in float32 and float64. Half precision would not do.
    """
    is_double = keras.config.dtype_policy().variable_dtype == "float64"
    return "float64" if is_double else "float32"


def keep_if(
    taken: Any, variables: Sequence[keras.Variable], before: Sequence[Any]
) -> None:
    """Goes back to the values `before` if a step was not taken.

    Args:
        taken: Boolean scalar.
        variables: What a step may have changed.
        before: Their values, as `values_of` returned them.
    """
    for variable, old in zip(variables, before, strict=True):
        new = keras.ops.convert_to_tensor(variable)
        variable.assign(keras.ops.where(taken, new, old))
