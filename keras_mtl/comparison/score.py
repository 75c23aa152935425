"""What a model is judged by: one value a task, and one number of them all."""

import math
import statistics
from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from keras_mtl.utils.did_you_mean import did_you_mean

WAYS = ("max", "min")


class Score:
    """Values of the tasks, and the number that tuning makes large.

    Args:
        metrics: Dict from names, as `evaluate` returns them, to `"max"` or
            `"min"`.
        score: Function from a dict of values to a float, the larger the
            better; or `None` for their mean.
    """

    def __init__(
        self,
        metrics: Mapping[str, str],
        score: Callable[[dict[str, float]], float] | None,
    ):
        is_dict = isinstance(metrics, Mapping) and len(metrics) > 0
        if not is_dict or not all(way in WAYS for way in metrics.values()):
            raise ValueError(
                "`metrics` must be a dict from what `evaluate` returns to "
                "'max' or 'min', such as {'left_accuracy': 'max'}. Received: "
                f"metrics={metrics!r}"
            )
        if score is None and len(set(metrics.values())) > 1:
            raise ValueError(
                "`metrics` mixes 'max' and 'min', of which a mean says "
                "nothing. Give `score`, a function from a dict with "
                f"{list(metrics)} to a float, the larger the better. Received: "
                "score=None"
            )
        if score is not None and not callable(score):
            raise ValueError(
                "`score` must be a function from a dict of metrics to a float. "
                f"Received: score={score!r}"
            )
        self.metrics = dict(metrics)
        self.score = score

    @property
    def maximize(self) -> dict[str, bool]:
        return {name: way == "max" for name, way in self.metrics.items()}

    def values(self, logs: Mapping[str, Any], prefix: str) -> dict[str, float]:
        """The metrics among what Keras logged.

        Args:
            logs: Numbers by name.
            prefix: `"val_"`, or `""`.

        Raises:
            ValueError: If one is not there.
        """
        known = [
            key.removeprefix(prefix) for key in logs if key.startswith(prefix)
        ]
        for name in self.metrics:
            if name not in known:
                raise ValueError(
                    f"`metrics` names {name!r}, which the model does not log. "
                    f"{did_you_mean(name, known)}It logs {known}"
                )
        return {name: float(logs[prefix + name]) for name in self.metrics}

    def __call__(self, values: dict[str, float]) -> float:
        """The score of some values; not finite if one of them is not."""
        if not all(map(math.isfinite, values.values())):
            return math.nan
        if self.score is not None:
            return self._given(values)
        mean = statistics.fmean(values.values())
        return mean if "max" in self.metrics.values() else -mean

    def _given(self, values: dict[str, float]) -> float:
        found = self.score(dict(values))
        try:
            return float(found)
        except (TypeError, ValueError):
            raise ValueError(
                "`score` must return a float, the larger the better. Received: "
                f"{found!r} for {values}"
            ) from None
