"""Keras' computation of metrics, for labels and weights of some outputs."""

import functools
from typing import Any

import keras

from keras_mtl.labels.labelled_metric import LabelledMetric
from keras_mtl.labels.missing_labels import missing_label_of
from keras_mtl.labels.whole_labels import WholeLabels
from keras_mtl.utils.by_output import check_nested_entries
from keras_mtl.utils.by_output import naming_entries
from keras_mtl.utils.by_output import spread_by_output
from keras_mtl.utils.keras_internals import OpenMetrics
from keras_mtl.utils.keras_internals import flatten_with_path


class TaskMetrics(OpenMetrics):
    """Keras' `CompileMetrics` that leaves out examples without a label.

    It also takes sample weights of some outputs, as the losses do.

    Args:
        metrics, weighted_metrics, output_names: As for `keras.Model.compile`.
        missing_label: Value that marks a missing label, a dict from output
            names to values, or `None`.
        whole_labels: Where to note which labels are taken as a whole.
        as_stock: Whether the model is as stock Keras, whose errors come first.
    """

    def __init__(
        self,
        metrics: Any,
        weighted_metrics: Any,
        output_names: list[str] | None = None,
        missing_label: Any = None,
        whole_labels: WholeLabels | None = None,
        as_stock: bool = False,
    ):
        super().__init__(metrics, weighted_metrics, output_names=output_names)
        self.missing_label = missing_label
        self.whole_labels = whole_labels or WholeLabels()
        self.as_stock = as_stock

    def build(self, y_true: Any, y_pred: Any) -> None:
        check = functools.partial(self._check_names, y_true, y_pred)
        if not self.as_stock:
            check()
        with naming_entries(check):
            super().build(y_true, y_pred)
        # For one output Keras takes any name.
        if self.as_stock and len(keras.tree.flatten(y_pred)) > 1:
            check()
        names = self._names_of_outputs(y_pred)
        self._labelled = [
            self._labelled_metrics(entry, name)
            for entry, name in zip(self.entries, names, strict=True)
        ]
        self._labelled_weighted = [
            self._labelled_metrics(entry, name)
            for entry, name in zip(self.weighted_entries, names, strict=True)
        ]

    def update_state(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None
    ) -> None:
        sample_weight = spread_by_output(
            "sample_weight", sample_weight, y_pred, self.output_names
        )
        if self.missing_label is None:
            super().update_state(y_true, y_pred, sample_weight)
            return
        if not self.built:
            self.build(y_true, y_pred)
        flat_true = self.flat(y_true)
        flat_pred = self.flat(y_pred)
        flat_weight = self.flat(sample_weight)
        if len(flat_weight) < len(flat_pred):
            flat_weight = [flat_weight[0]] * len(flat_pred)
        for i, (labels, prediction) in enumerate(
            zip(flat_true, flat_pred, strict=False)
        ):
            for metric in self._labelled[i]:
                metric.update_state(labels, prediction)
            for metric in self._labelled_weighted[i]:
                metric.update_state(labels, prediction, flat_weight[i])

    def _labelled_metrics(self, entry: Any, output: str) -> list:
        """The metrics of one output, made to leave out what has no label."""
        metrics = entry.metrics if entry else []
        missing = missing_label_of(self.missing_label, output)
        if missing is None:
            return metrics
        return [
            LabelledMetric(metric, output, missing, self.whole_labels)
            for metric in metrics
        ]

    def flat(self, y: Any) -> list:
        """As Keras, with `None` for outputs that have no labels."""
        names = self.names
        if isinstance(y, dict) and names is not None:
            return [y.get(name) for name in names]
        return super().flat(y)

    def _check_names(self, y_true: Any, y_pred: Any) -> None:
        """Raises for metrics of what is no output, or has no labels.

        Keras says that structures do not match. Where there is one output it
        takes any name.
        """
        if not keras.tree.is_nested(y_pred):
            return
        known = y_pred if isinstance(y_pred, dict) else self.output_names
        for argument, given in self.given.items():
            if not isinstance(given, dict):
                continue
            check_nested_entries(argument, given, y_pred, known or ())
            without = [
                name
                for name, value in given.items()
                if value and isinstance(y_true, dict) and name not in y_true
            ]
            if without:
                raise ValueError(
                    f"`{argument}` has entries {without} of outputs that have "
                    f"no labels. Received: labels of {list(y_true)}"
                )

    def _names_of_outputs(self, y_pred: Any) -> list[str]:
        """Names as the losses have them: keys, joined by `/` where nested."""
        if self.names:
            return self.names
        paths = [path for path, _ in flatten_with_path(y_pred)]
        if self.output_names and not any(
            isinstance(key, str) for path in paths for key in path
        ):
            return self.output_names
        return ["/".join(str(key) for key in path) for path in paths]
