"""Finding a method by its name, as Keras finds its losses and optimizers."""

import inspect
import re
from collections.abc import Sequence
from typing import Any
from typing import ClassVar

import keras

from keras_mtl.methods.method import Method
from keras_mtl.methods.method import snake_case
from keras_mtl.utils.did_you_mean import did_you_mean

# What is a method of its own elsewhere, and a way to use one here.
MEANT = {
    "mgda_ub": "MGDA-UB is `aggregator='mgda'` with `representation=`, the "
    "layer whose output all tasks read. ",
}


def serialize_method(method: Method | None) -> dict[str, Any] | None:
    """Serialises a method, and notices what its `get_config` forgets.

    Raises:
        NotImplementedError: If the constructor takes more than `get_config`
            returns: a loaded method would silently have the defaults.
    """
    if method is None:
        return None
    forgotten = [
        parameter.name
        for parameter in inspect.signature(type(method)).parameters.values()
        if parameter.kind
        in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and parameter.name not in method.get_config()
    ]
    if forgotten:
        name = type(method).__name__
        raise NotImplementedError(
            f"`{name}.get_config()` does not return the constructor's "
            f"arguments {forgotten}, so a loaded {name} would not have them. "
            "Override it: `return {**super().get_config(), "
            f"'{forgotten[0]}': self.{forgotten[0]}}}`."
        )
    return keras.saving.serialize_keras_object(method)


def public_classes(namespace: dict[str, Any], base: type) -> list[type]:
    """The base class and what is derived of it, as a package imports them."""
    return [
        found
        for found in namespace.values()
        if inspect.isclass(found) and issubclass(found, base)
    ]


class Registry:
    """The methods of one kind.

    Args:
        kind: What error messages call one, and the name of the argument that
            takes it: `"aggregator"` or `"weighting"`.
        base: The base class.
        classes: Classes of a package. Those that are registered with Keras can
            be had by name; all others are bases of these.
    """

    # By kind, so that each can tell what is a method of another.
    _of_all_kinds: ClassVar[dict[str, "Registry"]] = {}

    def __init__(self, kind: str, base: type, classes: Sequence[type]):
        self.kind = kind
        self.base = base
        self.classes = {
            snake_case(cls.__name__): cls
            for cls in classes
            if keras.saving.get_registered_name(cls) != cls.__name__
        }
        self._of_all_kinds.setdefault(kind, self)

    def get(self, identifier: Any) -> Any:
        """The method that a user named; see `aggregators.get`."""
        if isinstance(identifier, self.base) and not hasattr(
            identifier, "name"
        ):
            raise ValueError(
                f"`{type(identifier).__name__}.__init__` must call "
                f"`super().__init__()`. Received: {self.kind} without a name"
            )
        if identifier is None or isinstance(identifier, self.base):
            return identifier
        if isinstance(identifier, dict) and "class_name" in identifier:
            return self.deserialize(identifier)
        if isinstance(identifier, str):
            return self._from_name(identifier)
        self._refuse_another_kind(identifier)
        if inspect.isclass(identifier) and issubclass(identifier, self.base):
            raise ValueError(
                f"`{self.kind}` must be an instance. Write "
                f"`{identifier.__name__}(...)`. Received the class itself: "
                f"{self.kind}={identifier.__name__}"
            )
        fixed = ""
        if isinstance(identifier, (dict, list, tuple)):
            fixed = "Give weights that stay as they are as `loss_weights`. "
        raise ValueError(
            f"`{self.kind}` must be {self._one}, a dictionary from "
            f"`serialize`, None or one of {sorted(self.classes)}. {fixed}"
            f"Received: {self.kind}={identifier!r}"
        )

    @property
    def _one(self) -> str:
        return _a(self.base.__name__)

    def _class_called(self, name: str) -> type | None:
        # "moco", "mo_co", "MoCo" and "mo-co" are one name.
        by_letters = {c.__name__.lower(): c for c in self.classes.values()}
        return by_letters.get(re.sub(r"[_\-\s]", "", name.lower()))

    def _class_meant(self, identifier: Any) -> type | None:
        """The class of this kind that something names, is, or is one of."""
        if isinstance(identifier, str):
            return self._class_called(identifier)
        is_class = inspect.isclass(identifier)
        cls = identifier if is_class else type(identifier)
        return cls if issubclass(cls, self.base) else None

    def _others(self) -> list["Registry"]:
        kinds = self._of_all_kinds.items()
        return [other for kind, other in kinds if kind != self.kind]

    def _refuse_another_kind(self, identifier: Any) -> None:
        """Raises if it is a method, or the name of one, of another kind."""
        for other in self._others():
            cls = other._class_meant(identifier)
            if cls is not None:
                raise ValueError(
                    f"`{self.kind}` must be {self._one}, but "
                    f"{cls.__name__} is {_a(other.kind)}. Pass it as "
                    f"`{other.kind}=...` to `compile`. Received: "
                    f"{self.kind}={identifier!r}"
                )

    def _question(self, name: str) -> str:
        """What a user may have meant, of this kind or another."""
        question = did_you_mean(name, self.classes)
        for other in self._others():
            hint = did_you_mean(name, other.classes)
            question = question or hint.replace("mean ", f"mean {other.kind}=")
        return question

    def _from_name(self, name: str) -> Method:
        cls = self._class_called(name)
        if cls is None:
            self._refuse_another_kind(name)
            question = MEANT.get(snake_case(name)) or self._question(name)
            raise ValueError(
                f"Unknown {self.kind}. {question}Known names: "
                f"{sorted(self.classes)}. "
                "For a method of your own pass an instance. Received: "
                f"{self.kind}={name!r}"
            )
        needed = [
            parameter.name
            for parameter in inspect.signature(cls).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        ]
        if needed:
            arguments = ", ".join(f"{argument}=..." for argument in needed)
            raise ValueError(
                f"{cls.__name__} needs arguments. Write "
                f"`keras_mtl.{self.kind}s.{cls.__name__}({arguments})`. "
                f"Received: {self.kind}={name!r}"
            )
        return cls()

    def serialize(self, method: Method) -> dict[str, Any] | None:
        """A dictionary for JSON from which `deserialize` makes an equal one."""
        return serialize_method(method)

    def deserialize(
        self,
        config: dict[str, Any],
        custom_objects: dict[str, Any] | None = None,
    ) -> Any:
        """The method that `serialize` described."""
        method = keras.saving.deserialize_keras_object(
            config, custom_objects=custom_objects
        )
        self._refuse_another_kind(method)
        if not isinstance(method, self.base):
            raise ValueError(
                f"`config` must describe {self._one}. Received: "
                f"config={config!r}"
            )
        return method


def _a(word: str) -> str:
    """The word with its article."""
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"
