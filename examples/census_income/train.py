"""One resumable Census-Income run, with its results in one JSON file."""

import dataclasses
import os
import pathlib
from typing import Any

import keras
import numpy as np
from sklearn.metrics import roc_auc_score

from examples import architecture_runs
from examples.budget import count_parameters
from examples.budget import fit_width
from examples.census_income.model import TASKS
from examples.census_income.model import build
from keras_mtl.datasets import CensusIncome


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on."""

    architecture: str = "shared_bottom"
    budget: int = 50_000
    epochs: int = 50
    patience: int = 5
    learning_rate: float = 3e-3
    batch_size: int = 1024
    seed: int = 0
    limit: int | None = None

    @property
    def name(self) -> str:
        return f"{self.architecture}-lr{self.learning_rate:g}-seed{self.seed}"


def train(
    config: Config,
    output_dir: str | os.PathLike,
    data: CensusIncome,
    *,
    jit_compile: bool | str = True,
    verbose: int | str = "auto",
) -> dict[str, Any]:
    """Trains one run, or continues it where it stopped.

    Args:
        config: The run. A finished run is not repeated.
        output_dir: Where `<name>.json` and the folder `<name>` with the state
            to resume from are written.
        data: What `load_census_income` returned.
        jit_compile: As for `keras.Model.compile`.
        verbose: As for `keras.Model.fit`.

    Returns:
        The record in `<name>.json`, as `examples.architecture_runs.run` makes
        it; its numbers by task are areas under the curve.
    """
    return architecture_runs.run(
        pathlib.Path(output_dir) / f"{config.name}.json",
        config,
        TASKS,
        lambda: make_model(config, data, jit_compile),
        data,
        area_under_curve,
        verbose=verbose,
    )


def make_model(
    config: Config, data: CensusIncome, jit_compile: bool | str
) -> tuple[keras.Model, dict[str, Any]]:
    """A compiled model of as many parameters as the budget allows."""

    def of_width(width: int) -> keras.Model:
        return build(config.architecture, data, width)

    width = fit_width(lambda w: count_parameters(of_width(w)), config.budget)
    # The search has drawn initial weights, too.
    keras.utils.set_random_seed(config.seed)
    model = of_width(width)
    facts = {"width": width, "parameters": count_parameters(model)}
    print(f"{facts['parameters']} parameters, width {width}", flush=True)
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss={
            task: keras.losses.BinaryCrossentropy(from_logits=True)
            for task in TASKS
        },
        jit_compile=jit_compile,
    )
    return model, facts


def area_under_curve(labels: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve, exactly; `scores` are `(examples, 1)`."""
    return float(roc_auc_score(labels, scores[:, 0]))
