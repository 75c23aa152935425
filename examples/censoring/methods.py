"""The methods that the paper compares, and the settings that it sweeps."""

import dataclasses
from collections.abc import Iterable
from collections.abc import Sequence

import keras_mtl
from keras_mtl.aggregators import Aggregator

SINGLE = "single_task"
MULTI = "multi_task"
RULES = {
    "projection": keras_mtl.aggregators.Projection,
    "unweighted_cosine": keras_mtl.aggregators.UnweightedCosine,
    "weighted_cosine": keras_mtl.aggregators.WeightedCosine,
    "orthogonal": keras_mtl.aggregators.Orthogonal,
}
NAMES = (SINGLE, MULTI, *RULES)
GRANULARITIES = ("model", "variable")


@dataclasses.dataclass(frozen=True, order=True)
class Setting:
    """One method with its settings.

    Attributes:
        method: One of `NAMES`.
        weight: Weight of the auxiliary task, the paper's lambda.
        granularity: `"model"`, the whole shared vector, or `"variable"`.
        smoothing: Share of the new main gradient in its moving average.
    """

    method: str
    weight: float = 0.0
    granularity: str = "model"
    smoothing: float = 1.0

    @property
    def censors(self) -> bool:
        return self.method in RULES


def settings(
    methods: Iterable[str],
    weights: Sequence[float],
    granularities: Sequence[str],
    smoothings: Sequence[float],
) -> list[Setting]:
    """All combinations that differ: single task has no weight, and so on."""
    found = []
    for method in methods:
        for weight in [0.0] if method == SINGLE else weights:
            if method not in RULES:
                found.append(Setting(method, weight))
                continue
            found += [
                Setting(method, weight, granularity, smoothing)
                for granularity in granularities
                for smoothing in smoothings
            ]
    return found


def aggregator(
    setting: Setting, main_task: str, initial_reference: str
) -> Aggregator | None:
    """The aggregator of a setting; `None` adds the losses, as Keras does.

    Args:
        setting: The method and its settings.
        main_task: Name of the main task.
        initial_reference: Where the moving average starts, which differs
            between the experiments of the paper.
    """
    if not setting.censors:
        return None
    return RULES[setting.method](
        main_task,
        smoothing=setting.smoothing,
        granularity=setting.granularity,
        initial_reference=initial_reference,
    )
