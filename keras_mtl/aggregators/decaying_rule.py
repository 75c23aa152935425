"""What methods share that let averages into another method's step."""

from typing import Any

from keras_mtl.aggregators.aggregator import Aggregator
from keras_mtl.methods.registry import serialize_method
from keras_mtl.utils.argument_validation import number_to_one


class DecayingRule(Aggregator):
    """Base of methods that hold another one, the rule, and a decay.

    Args:
        aggregator: An `Aggregator` of inner products, or its name.
        decay: Share that an average keeps in a step, from 0 up to below 1.
        name: Name of the method.
    """

    def __init__(self, aggregator: Any, decay: float, name: str | None):
        inner = rule_of(aggregator)
        super().__init__(granularity=inner.granularity, name=name)
        self.aggregator = self.add_method("aggregator", inner)
        self.decay = number_to_one("decay", decay, one=False)

    @property
    def scale_free(self) -> bool:
        """Whether the other method is."""
        return self.aggregator.scale_free

    @property
    def scope(self) -> str:
        """That of the other method."""
        return self.aggregator.scope

    def check_tasks(self, task_names: tuple[str, ...]) -> None:
        """Tells the other method the tasks."""
        self.aggregator.build(task_names)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["granularity"]
        inner = serialize_method(self.aggregator)
        return {"aggregator": inner, "decay": self.decay, **config}


def rule_of(identifier: Any) -> Aggregator:
    """The method that a user named, if inner products are all it needs.

    Raises:
        ValueError: If it is none, or works on the gradients themselves.
    """
    # The package that knows all names imports this module.
    from keras_mtl import aggregators

    aggregator = aggregators.get(identifier)
    if aggregator is None:
        raise ValueError(
            "`aggregator` must be an Aggregator or its name. Received: "
            "aggregator=None"
        )
    if aggregator.sees != "gram" or aggregator.transforms:
        needs = "remembers" if aggregator.transforms else "works on"
        hint = aggregator.forgetting_hint if aggregator.transforms else ""
        raise ValueError(
            "`aggregator` must be a method that computes task weights from "
            f"inner products alone; {type(aggregator).__name__} {needs} the "
            f"gradients themselves. {hint}{' ' if hint else ''}Received: "
            f"aggregator={aggregator!r}"
        )
    return aggregator
