"""What aggregators and weightings share: a name, state, a configuration."""

import contextlib
import numbers
import re
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any
from typing import TypeAlias

import keras
import numpy as np

from keras_mtl import backend
from keras_mtl.solvers.random_numbers import seed_generator


def snake_case(class_name: str) -> str:
    """The registry name of a class, `"WeightedCosine"` to `"weighted_cosine"`.

    Runs of capitals stay together: `"PCGrad"` is `"pcgrad"`.
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", class_name).lower()


class Method:
    """Base of `Aggregator` and `Weighting`.

    A method is a plain Python object. Whatever it remembers from step to step
    is made by `add_state`, `add_parameter` or `add_seed`, each under a name of
    its own: under that name the model saves and restores it, in whatever order
    a constructor has its lines. What depends on the tasks is made in
    `create_state`; a method that uses another one holds it by `add_method`.

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
        # The model that it serves, once there is one.
        self.owner: Callable[[], Any] = lambda: None
        self._held: dict[str, Held] = {}
        # The names of what is as large as gradients.
        self._slots: set[str] = set()

    # -- life ----------------------------------------------------------------

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
        self._refuse_other_tasks(task_names)
        with self._making():
            self.create_state(task_names)
        self._task_names = task_names

    def _refuse_other_tasks(self, task_names: tuple[str, ...]) -> None:
        if self.built and self._task_names != task_names:
            raise ValueError(
                f"This {type(self).__name__} already serves the tasks "
                f"{list(self._task_names or ())}: its state belongs to them. "
                "Make a new instance for each model. Received: "
                f"task_names={list(task_names)}"
            )

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

    # -- state ---------------------------------------------------------------

    def add_state(
        self,
        name: str,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str = "float32",
    ) -> keras.Variable:
        """Makes a variable that the method itself changes, step by step.

        Args:
            name: Its name in files, unlike all others of this method.
            shape: Its shape; by default a scalar.
            initializer: A number, an array, or what Keras has: `"zeros"`
                (default), `"ones"`, a `keras.initializers.Initializer`.
            dtype: Its type, such as `"float32"`, `"int32"` or `"bool"`.

        Returns:
            A `keras.Variable`. What it is assigned in a step that is not taken
            is undone, so a method need not look for NaN to protect it.

        Raises:
            ValueError: If the name is taken.
        """
        return self._hold(
            name,
            lambda: self._variable(name, shape, initializer, dtype, False),
        )

    def add_parameter(
        self,
        name: str,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
    ) -> keras.Variable:
        """Makes a variable that the model's optimizer trains.

        Args:
            name, shape, initializer: As for `add_state`.
        """
        dtype = parameter_dtype()
        return self._hold(
            name,
            lambda: self._variable(name, shape, initializer, dtype, True),
        )

    def add_seed(
        self, name: str, seed: int | None
    ) -> keras.random.SeedGenerator:
        """Makes the state of random draws.

        Args:
            name: Its name in files, as for `add_state`.
            seed: Integer that fixes the sequence of draws; None for a new one.

        Raises:
            ValueError: If the seed is neither an integer nor None.
        """
        return self._hold(name, lambda: seed_generator(seed))

    def add_method(self, name: str, method: "Method") -> "Method":
        """Holds another method, whose state is saved with this one's.

        Args:
            name: What precedes the names of its state: `"inner"` makes
                `"inner.averages"` of `"averages"`.
            method: The other method.
        """
        return self._hold(name, lambda: method)

    def _variable(
        self,
        name: str,
        shape: Sequence[int],
        initializer: Any,
        dtype: str,
        trainable: bool,
    ) -> keras.Variable:
        shape = tuple(shape)
        if isinstance(initializer, numbers.Number | np.ndarray | list):
            value = np.broadcast_to(np.asarray(initializer, dtype), shape)
        else:
            value = keras.initializers.get(initializer)(shape, dtype=dtype)
        with keras.name_scope(self.name.replace("/", "_")):
            kind = keras.Variable if trainable else backend.StateVariable
            return kind(
                value,
                dtype=dtype,
                trainable=trainable,
                name=name.replace(".", "_"),
            )

    def _hold(self, name: str, make: Callable[[], Any]) -> Any:
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError(
                "The name of state must be a string without '/'. Received: "
                f"name={name!r}"
            )
        if name in self._held:
            raise ValueError(
                f"This {type(self).__name__} has two things with the name "
                f"'{name}', under which files hold its state. Give each a name "
                "of its own."
            )
        held = self._held[name] = make()
        return held

    @contextlib.contextmanager
    def _making(self) -> Iterator[None]:
        """State is made as a whole or not at all, and under names."""
        before = dict(self._held), set(self._slots)
        try:
            yield
            self._refuse_state_without_name()
        except BaseException:
            self._held, self._slots = before
            raise

    def _refuse_state_without_name(self) -> None:
        known = {id(held) for held in self._held.values()}
        known |= {id(v) for v in self.variables}
        for attribute, value in vars(self).items():
            if attribute == "_held":
                continue
            for item in keras.tree.flatten(value):
                if isinstance(item, Held) and id(item) not in known:
                    raise ValueError(
                        f"`{type(self).__name__}.{attribute}` holds state that "
                        "no file would have. Make it with "
                        f"{_MAKERS[_kind_of(item)]}, which gives it a name. "
                        f"Received: {item}"
                    )

    @property
    def methods(self) -> list["Method"]:
        """The methods that this one uses."""
        return [m for m in self._held.values() if isinstance(m, Method)]

    @property
    def variables(self) -> list[keras.Variable]:
        """All state, in the order in which it was made, with that of methods
        held within.
        """
        return list(self.named_variables().values())

    def named_variables(self) -> dict[str, keras.Variable]:
        """All state, by the names under which files hold it.

        Those of a method that is held follow its own, as in
        `"aggregator.seed_generator"`.
        """
        found: dict[str, keras.Variable] = {}
        for name, held in self._held.items():
            if isinstance(held, Method):
                inner = held.named_variables()
                found.update({f"{name}.{n}": v for n, v in inner.items()})
            else:
                found[name] = _variable_of(held)
        return found

    # -- configuration -------------------------------------------------------

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


# What a method holds under a name.
Held: TypeAlias = keras.Variable | keras.random.SeedGenerator | Method
_MAKERS = {
    "variable": "`self.add_state(name, shape)`, or with "
    "`self.add_parameter(name, shape)` if the model's optimizer trains it",
    "seed": "`self.add_seed(name, seed)`",
    "method": "`self.add_method(name, method)`",
}


def _kind_of(held: Held) -> str:
    if isinstance(held, Method):
        return "method"
    is_seed = isinstance(held, keras.random.SeedGenerator)
    return "seed" if is_seed else "variable"


def _variable_of(held: Any) -> keras.Variable:
    is_seed = isinstance(held, keras.random.SeedGenerator)
    return held.state if is_seed else held


def seeds_of(method: Method) -> list[keras.Variable]:
    """The states of its random numbers, among `method.variables`."""
    seeds = []
    for held in method._held.values():
        if isinstance(held, Method):
            seeds += seeds_of(held)
        elif _kind_of(held) == "seed":
            seeds.append(held.state)
    return seeds


def slots_of(method: Method) -> list[keras.Variable]:
    """What has the size of gradients, among `method.variables`."""
    slots = [method._held[name] for name in method._slots]
    for held in method.methods:
        slots += slots_of(held)
    return slots


def values_of(variables: Sequence[keras.Variable]) -> list[Any]:
    """What variables hold now, for `keep_if`."""
    return [backend.value_of(variable) for variable in variables]


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


def all_finite(variables: Sequence[keras.Variable]) -> Any:
    """Boolean scalar: whether no variable holds NaN or infinity."""
    finite = [
        keras.ops.all(keras.ops.isfinite(variable))
        for variable in variables
        if keras.backend.is_float_dtype(variable.dtype)
    ]
    return keras.ops.all(keras.ops.stack(finite)) if finite else True
