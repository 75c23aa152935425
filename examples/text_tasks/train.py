"""One resumable run on CLINC or TREC, with its results in one JSON file."""

import dataclasses
import os
import pathlib
from typing import Any

import keras
import numpy as np

from examples import architecture_runs
from examples.budget import count_parameters
from examples.budget import fit_width
from examples.runs import default_jit
from examples.text_tasks.model import SUBSPACES
from examples.text_tasks.model import build
from examples.text_tasks.model import count_embeddings
from keras_mtl.datasets import TextTasks
from keras_mtl.datasets import load_clinc
from keras_mtl.datasets import load_trec

SOURCES = {"clinc": load_clinc, "trec": load_trec}
MAX_LENGTH = 24  # few texts are longer
MIN_COUNT = 2


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on."""

    source: str = "clinc"
    architecture: str = "hard_sharing"
    budget: int = 144_000
    epochs: int = 40
    patience: int = 3
    learning_rate: float = 2e-3
    batch_size: int = 128
    seed: int = 0
    limit: int | None = None

    @property
    def name(self) -> str:
        return f"{self.architecture}-lr{self.learning_rate:g}-seed{self.seed}"


def load(
    source: str, *, limit: int | None = None, data_dir: str | None = None
) -> TextTasks:
    """The data of a run: `"clinc"` or `"trec"`."""
    return SOURCES[source](
        max_length=MAX_LENGTH,
        min_count=MIN_COUNT,
        limit=limit,
        data_dir=data_dir,
    )


def train(
    config: Config,
    output_dir: str | os.PathLike,
    data: TextTasks,
    *,
    jit_compile: bool | str | None = None,
    verbose: int | str = "auto",
) -> dict[str, Any]:
    """Trains one run, or continues it where it stopped.

    Args:
        config: The run. A finished run is not repeated.
        output_dir: In its folder `<source>`, `<name>.json` and the folder
            `<name>` with the state to resume from are written.
        data: What `load` returned.
        jit_compile: As for `keras.Model.compile`. `None` compiles with XLA on
            accelerators and on JAX only.
        verbose: As for `keras.Model.fit`.

    Returns:
        The record in `<name>.json`, as `examples.architecture_runs.run` makes
        it; its numbers by task are accuracies.
    """
    if jit_compile is None:
        jit_compile = default_jit()
    return architecture_runs.run(
        pathlib.Path(output_dir) / config.source / f"{config.name}.json",
        config,
        list(data.num_classes),
        lambda: make_model(config, data, jit_compile),
        data,
        accuracy,
        verbose=verbose,
    )


def make_model(
    config: Config, data: TextTasks, jit_compile: bool | str
) -> tuple[keras.Model, dict[str, Any]]:
    """A compiled model of as many parameters as the budget allows.

    Embeddings do not count: they are most of the parameters, a network that
    is shared has one table, and two networks have two.
    """

    def of_width(width: int) -> keras.Model:
        return build(config.architecture, data, width)

    def count(model: keras.Model) -> int:
        return count_parameters(model) - count_embeddings(model)

    width = fit_width(
        lambda w: count(of_width(w)), config.budget, step=SUBSPACES
    )
    # The search has drawn initial weights, too.
    keras.utils.set_random_seed(config.seed)
    model = of_width(width)
    facts = {
        "width": width,
        "parameters": count(model),
        "embeddings": count_embeddings(model),
    }
    print(
        f"{facts['parameters']} parameters, width {width}, and "
        f"{facts['embeddings']} of embeddings",
        flush=True,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(config.learning_rate),
        loss={
            task: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for task in data.num_classes
        },
        jit_compile=jit_compile,
    )
    return model, facts


def accuracy(labels: np.ndarray, logits: np.ndarray) -> float:
    """How often the class with the highest logit is right."""
    return float(np.mean(np.argmax(logits, axis=-1) == labels))
