"""One model, trained and judged."""

import math
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_mtl.comparison.score import Score
from keras_mtl.comparison.trial import Trial
from keras_mtl.utils.argument_validation import is_number

COMPLETE = "complete"
PRUNED = "pruned"
DIVERGED = "diverged"
# Whether to stop, told the score after an epoch, from 0 on.
AfterEpoch = Callable[[float, int], bool]


class Run:
    """Trains models on some data, all in the same way.

    Args:
        build: From a `Trial` to a compiled model.
        score: What models are judged by.
        train: What `fit` takes: a tuple of arrays, or a data set.
        validation: Likewise.
        test: Likewise.
        fit_arguments: Further arguments of `fit`; `callbacks` is a function
            from a `Trial` to a list.
    """

    def __init__(
        self,
        build: Callable[[Trial], keras.Model],
        score: Score,
        train: Any,
        validation: Any,
        test: Any,
        fit_arguments: dict[str, Any],
    ):
        self.build = build
        self.score = score
        self.data = {"train": train, "validation": validation, "test": test}
        self.fit_arguments = fit_arguments

    def __call__(
        self, trial: Trial, test: bool, after_epoch: AfterEpoch | None = None
    ) -> dict[str, Any]:
        """Trains one model.

        Args:
            trial: What `build` is to make.
            test: Whether to judge it on test data.
            after_epoch: May stop it early.

        Returns:
            A dict with `method`, `seed`, `preference`, `parameters`, `state`,
            `history` (a dict of logs an epoch), `epoch` (the best one on
            validation, from 1), `validation` and perhaps `test` (metrics of
            that epoch), their `score` and `test_score`, and `seconds`.
        """
        start = time.perf_counter()
        _clear_session()
        keras.utils.set_random_seed(trial.seed)
        model = _checked(self.build(trial))
        judge = _Judge(self.score, after_epoch)
        arguments = dict(self.fit_arguments)
        callbacks = arguments.pop("callbacks", lambda trial: [])(trial)
        model.fit(
            **as_arguments(self.data["train"]),
            validation_data=self.data["validation"],
            callbacks=[judge, *callbacks],
            **{"verbose": 0, **arguments},
        )
        record = {
            "method": trial.method,
            "seed": trial.seed,
            "preference": trial.preference,
            "parameters": trial.parameters,
            **judge.result(),
        }
        if test and record["state"] == COMPLETE:
            model.set_weights(judge.weights)
            record |= self._test(model)
        record["seconds"] = round(time.perf_counter() - start, 2)
        return record

    def _test(self, model: keras.Model) -> dict[str, Any]:
        sizes = ("validation_batch_size", "batch_size")
        size = next(filter(None, map(self.fit_arguments.get, sizes)), None)
        logs = model.evaluate(
            **as_arguments(self.data["test"]),
            batch_size=size,
            verbose=0,
            return_dict=True,
        )
        values = self.score.values(logs, "")
        score = self.score(values)
        if not math.isfinite(score):
            return {"state": DIVERGED}
        return {"test": values, "test_score": score}


class _Judge(keras.callbacks.Callback):
    """Scores every epoch on validation data and keeps the best weights."""

    def __init__(self, score: Score, after_epoch: AfterEpoch | None):
        super().__init__()
        self.score = score
        self.after_epoch = after_epoch
        self.history: list[dict[str, float]] = []
        self.best = -math.inf
        self.found: dict[str, Any] = {}
        self.weights: list[np.ndarray] = []
        self.is_pruned = False

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        numbers = {k: float(v) for k, v in logs.items() if is_number(v)}
        self.history.append({"epoch": epoch + 1, **numbers})
        values = self.score.values(logs, "val_")
        score = self.score(values)
        if math.isfinite(score) and score > self.best:
            self.best = score
            self.found = {
                "epoch": epoch + 1, "validation": values, "score": score
            }  # fmt: skip
            self.weights = self.model.get_weights()
        if self.after_epoch is not None and math.isfinite(score):
            self.is_pruned = self.after_epoch(score, epoch)
            self.model.stop_training |= self.is_pruned

    def result(self) -> dict[str, Any]:
        state = COMPLETE if self.found else DIVERGED
        if self.is_pruned:
            state = PRUNED
        return {"state": state, "history": self.history, **self.found}


def _clear_session() -> None:
    """Frees what the last model left, and begins the names of layers anew.

    It forgets what the user has set, too: mixed precision and the devices that
    share the work would be lost with it.
    """
    policy = keras.config.dtype_policy()
    distribution = keras.distribution.distribution()
    keras.utils.clear_session()
    keras.config.set_dtype_policy(policy)
    if distribution is not None:
        keras.distribution.set_distribution(distribution)


def as_arguments(data: Any) -> dict[str, Any]:
    """Data as arguments of `fit` and `evaluate`."""
    if isinstance(data, (tuple, list)):
        # `checked_data` has counted them.
        return dict(zip(("x", "y", "sample_weight"), data, strict=False))
    return {"x": data}


def _checked(model: Any) -> keras.Model:
    if not isinstance(model, keras.Model) or not model.compiled:
        raise ValueError(
            "`build` must return a compiled model: "
            "`model.compile(..., **trial.compile_arguments)`. Received: "
            f"{model!r:.100}"
        )
    return model
