"""What linear probes find in the shared layers of networks."""

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

import keras_mtl
from examples.multi_mnist.model import REPRESENTATION
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.model import build_lenet
from examples.runs import Batches
from examples.runs import alone
from examples.runs import default_jit
from examples.runs import open_record
from examples.runs import write_json
from examples.tables import spread
from keras_mtl.datasets import multi_mnist

METHODS = ("sum", "self_auxiliary")
# The layers of the large network that both tasks share and that are dense,
# in order; before them, what they read.
LAYERS = ("flatten", "shared_0", "shared_1", REPRESENTATION)

Examples = tuple[np.ndarray, dict[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on."""

    method: str
    seed: int = 0
    epochs: int = 5
    limit: int = 12_000  # source images: 20,000 training examples
    learning_rate: float = 0.05
    momentum: float = 0.9
    batch_size: int = 256

    @property
    def name(self) -> str:
        return (
            f"{self.method}-rate{self.learning_rate:g}-epochs{self.epochs}"
            f"-limit{self.limit}-seed{self.seed}"
        )


@functools.lru_cache(maxsize=1)
def load(limit: int, data_dir: str | None) -> dict[str, Examples]:
    """The images and their labels."""
    return multi_mnist(limit=limit, data_dir=data_dir)


def train(config: Config, examples: Examples) -> keras.Model:
    """A LeNet, trained.

    Args:
        config: How; with self-auxiliaries of weight and temperature 1 if its
            method says so.
        examples: What is learnt.

    Returns:
        The network without self-auxiliaries.
    """
    keras.utils.set_random_seed(config.seed)
    batches = Batches(examples, config.batch_size, config.seed)
    network = build_lenet("large")
    if config.method == "sum":
        model = keras_mtl.MultiTaskModel(network.inputs, network.output)
    else:
        model = keras_mtl.add_self_auxiliaries(network, REPRESENTATION)
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.epochs * len(batches)
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=config.momentum),
        loss={
            task: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            for task in TASKS
        },
        loss_weights=dict.fromkeys(TASKS, 0.5),
        jit_compile=default_jit(),
    )
    order = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: batches.set_epoch(epoch)
    )
    model.fit(
        batches,
        epochs=config.epochs,
        shuffle=False,  # `Batches` are.
        callbacks=[order],
        verbose=0,
    )
    return network


def probe(
    network: keras.Model, layer: str, fitted: Examples, judged: Examples
) -> dict[str, float]:
    """How well a logistic regression does on what a layer gives.

    Args:
        network: It is not trained any further.
        layer: Name of the layer.
        fitted: What the regression is fitted to.
        judged: What it is judged on.

    Returns:
        The accuracy of each task.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = keras.Model(network.inputs, output_of(network, layer))
    x, x_judged = (
        features.predict(part[0], batch_size=1000, verbose=0)
        for part in (fitted, judged)
    )
    accuracies = {}
    for task in TASKS:
        # Scaled, so that the penalty is as strict for either network.
        regression = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=1000)
        )
        regression.fit(x, fitted[1][task])
        found = regression.predict(x_judged)
        accuracies[task] = float(np.mean(found == judged[1][task]))
    return accuracies


def output_of(network: keras.Model, layer: str) -> keras.KerasTensor:
    """What one of `LAYERS` gives."""
    if layer == "flatten":
        # Keras numbers these on from network to network.
        return network.get_layer("shared_0").input
    return network.get_layer(layer).output


def accuracy(network: keras.Model, examples: Examples) -> dict[str, float]:
    """How well the network's own outputs do."""
    x, y = examples
    logits = network.predict(x, batch_size=1000, verbose=0)
    return {
        task: float(np.mean(np.argmax(logits[task], axis=1) == y[task]))
        for task in TASKS
    }


def run(
    config: Config, folder: pathlib.Path, data_dir: str | None = None
) -> dict[str, Any]:
    """Trains and probes one network, unless that is done.

    Args:
        config: The run.
        folder: Where `<name>.json` is written.
        data_dir: As for `multi_mnist`.

    Returns:
        The record in the file, whose `result` has the accuracies of the
        `network` itself and of the probe of each of `LAYERS`.
    """
    path = folder / f"{config.name}.json"
    with alone(path):
        record = open_record(path, config)
        if "result" in record:
            return record
        data = load(config.limit, data_dir)
        network = train(config, data["train"])
        record["result"] = {"network": accuracy(network, data["test"])}
        for layer in LAYERS:
            record["result"][layer] = probe(
                network, layer, data["validation"], data["test"]
            )
        write_json(path, record)
    return record


def table(records: Sequence[dict[str, Any]]) -> str:
    """Test accuracies by layer and method, as means over the seeds."""
    rows = [
        ["probed", *(f"{m}, {task}" for m in METHODS for task in TASKS)],
        ["---", *(["---:"] * len(METHODS) * len(TASKS))],
    ]
    for layer in (*LAYERS, "network"):
        row = ["its own outputs" if layer == "network" else layer]
        for method in METHODS:
            found = [
                record["result"][layer]
                for record in records
                if record["config"]["method"] == method
            ]
            row += [
                spread([100 * one[task] for one in found]) for task in TASKS
            ]
        rows.append(row)
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"
