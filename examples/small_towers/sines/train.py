"""One run: a network learns two sums of sines, and is judged as it goes."""

import dataclasses
import functools
import math
import pathlib
import time
from typing import Any

import keras
import numpy as np

import keras_mtl
from examples.censoring.restart import Restart
from examples.runs import Batches
from examples.runs import open_record
from examples.runs import write_json
from keras_mtl.datasets import synthetic_sine
from keras_mtl.datasets.synthetic import FREQUENCIES

TASKS = ("y1", "y2")
PARTS = ("train", "validation", "test")
REPRESENTATION = "representation"
# How often a run is judged.
CHECKS = 10


@dataclasses.dataclass(frozen=True)
class Data:
    """What `synthetic_sine` draws, and how long to train on it."""

    num_features: int
    frequency_scale: float
    num_train: int
    epochs: int
    num_held_out: int = 10_000  # for validation, and again for test


DATA = {
    "published": Data(200, 1.0, 100_000, epochs=8),
    # From these something is learnt, and something only memorised.
    "easier": Data(20, 0.3, 20_000, epochs=20),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on.

    Attributes:
        data: One of `DATA`.
        depth: Hidden layers of a task's tower.
        alpha: Weight of the loss of `y1`; that of `y2` is what is left of 1.
        learning_rate: At the start; it falls to 0 along a cosine.
        gamma: Weight of the self-auxiliaries; `None` for none.
        width: Of the hidden layers of the towers.
        seed: Of the initial weights and the order of the examples.
        epochs: Passes over the examples.
        batch_size: Examples a step.
    """

    data: str
    depth: int
    alpha: float
    learning_rate: float
    epochs: int
    gamma: float | None = None
    width: int = 100
    seed: int = 0
    batch_size: int = 250

    @property
    def name(self) -> str:
        heads = "" if self.gamma is None else f"-gamma{self.gamma:g}"
        return (
            f"{self.data}-depth{self.depth}-width{self.width}{heads}"
            f"-alpha{self.alpha:g}-rate{self.learning_rate:g}"
            f"-epochs{self.epochs}-seed{self.seed}"
        )


def build_network(num_features: int, depth: int, width: int) -> keras.Model:
    """Two shared layers, and a tower for each task, as published."""
    layers = keras.layers
    inputs = keras.Input((num_features,), name="x")
    shared = layers.Dense(250, "relu")(inputs)
    shared = layers.Dense(125, "relu", name=REPRESENTATION)(shared)
    outputs = {}
    for task in TASKS:
        hidden = shared
        for _ in range(depth):
            hidden = layers.Dense(width, "relu")(hidden)
        outputs[task] = layers.Dense(1, name=task)(hidden)
    return keras.Model(inputs, outputs)


def build_model(
    num_features: int, depth: int, width: int, gamma: float | None
) -> keras_mtl.MultiTaskModel:
    """The network, with self-auxiliaries if they have a weight."""
    network = build_network(num_features, depth, width)
    if gamma is None:
        return keras_mtl.MultiTaskModel(network.inputs, network.output)
    return keras_mtl.add_self_auxiliaries(network, REPRESENTATION, weight=gamma)


@functools.cache
def compiled(*shape: Any) -> Restart:
    """A compiled model, which the runs of all seeds and alphas share.

    To trace and compile it takes about as long as such a run.
    """
    model = build_model(*shape)
    model.compile(
        keras.optimizers.Adam(),
        loss=dict.fromkeys(TASKS, "mse"),
        jit_compile=True,
    )
    return Restart(model)


def start(config: Config) -> keras.Model:
    """A compiled model with the initial weights of a seed."""
    keras.utils.set_random_seed(config.seed)
    num_features = DATA[config.data].num_features
    shape = num_features, config.depth, config.width, config.gamma
    restart = compiled(*shape)
    keras.utils.set_random_seed(config.seed)
    restart(build_model(*shape).get_weights(), restart.model)
    return restart.model


@functools.lru_cache(maxsize=1)
def load(name: str) -> dict[str, tuple[np.ndarray, dict[str, np.ndarray]]]:
    """The examples of each part, the same ones for all runs."""
    data = DATA[name]
    counts = (data.num_train, data.num_held_out, data.num_held_out)
    return {
        part: synthetic_sine(
            count,
            seed,
            num_features=data.num_features,
            frequency_scale=data.frequency_scale,
        )
        for seed, (part, count) in enumerate(zip(PARTS, counts, strict=True))
    }


def mean_errors(name: str) -> dict[str, float]:
    """Test errors of who predicts the mean of the training examples."""
    data = load(name)
    return {
        task: float(
            np.mean(
                (data["test"][1][task] - data["train"][1][task].mean()) ** 2
            )
        )
        for task in TASKS
    }


def noise_errors(name: str) -> dict[str, float]:
    """Test errors of who knows the functions, and not the noise.

    The phases are moved by `e`, normal with a deviation of 0.2, so that
    `sum(sin(w * x + e))` is `sines * cos(e) + cosines * sin(e)`.
    """
    data = DATA[name]
    total = load(name)["test"][0].sum(axis=1, dtype="float64")
    variance = 0.2**2
    of_sine = (1 - math.exp(-2 * variance)) / 2
    of_cosine = (1 + math.exp(-2 * variance)) / 2 - math.exp(-variance)
    errors = {}
    for task, frequencies in FREQUENCIES.items():
        angles = np.outer(total, data.frequency_scale * frequencies)
        sines, cosines = np.sin(angles).sum(1), np.cos(angles).sum(1)
        errors[task] = float(
            np.mean(of_cosine * sines**2 + of_sine * cosines**2)
        )
    return errors


class Judge(keras.callbacks.Callback):
    """Measures the errors of all parts, some times a run."""

    def __init__(
        self, record: dict[str, Any], config: Config, batches: Batches
    ):
        super().__init__()
        self.record = record
        self.batches = batches
        self.epochs = config.epochs
        self.every = max(1, config.epochs // CHECKS)
        # As many of the training examples as are held out.
        self.parts = {
            part: (x[: DATA[config.data].num_held_out], y)
            for part, (x, y) in load(config.data).items()
        }

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.batches.set_epoch(epoch)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if (epoch + 1) % self.every and epoch + 1 < self.epochs:
            return
        row = {part: self.errors(*self.parts[part]) for part in PARTS}
        self.record["history"].append({"epoch": epoch + 1, **row})

    def errors(
        self, x: np.ndarray, y: dict[str, np.ndarray]
    ) -> dict[str, float]:
        """Mean squared errors of the tasks."""
        found = self.model.predict(x, batch_size=2_000, verbose=0)
        return {
            task: float(np.mean((found[task] - y[task][: len(x)]) ** 2))
            for task in TASKS
        }


def train(config: Config, output_dir: pathlib.Path) -> dict[str, Any]:
    """Trains one run from its start to its end, unless it is finished.

    Args:
        config: The run.
        output_dir: Where `<name>.json` is written.

    Returns:
        The record in the file: `config`, `environment`, `history` with the
        mean squared errors by part and task at some epochs, and `result`: the
        `last` of these, and the `best`, whose weighted validation error is
        lowest.
    """
    path = output_dir / f"{config.name}.json"
    record = open_record(path, config)
    if "result" in record:
        return record
    began = time.perf_counter(), time.process_time()
    model = start(config)
    batches = Batches(weighed(config), config.batch_size, config.seed)
    model.fit(
        batches,
        epochs=config.epochs,
        shuffle=False,  # `Batches` are.
        callbacks=[
            keras.callbacks.LearningRateScheduler(
                functools.partial(rate, config)
            ),
            Judge(record, config, batches),
        ],
        verbose=0,
    )
    record["result"] = {
        "best": min(
            record["history"],
            key=lambda row: weighted(row["validation"], config.alpha),
        ),
        "last": record["history"][-1],
    }
    record["seconds"] = round(time.perf_counter() - began[0], 1)
    record["cpu_seconds"] = round(time.process_time() - began[1], 1)
    write_json(path, record)
    return record


def weighed(config: Config) -> tuple[Any, Any, Any]:
    """The training examples, weighed by task.

    Weights of examples are no part of what is compiled, as `loss_weights` are.
    """
    x, y = load(config.data)["train"]
    weights = {"y1": config.alpha, "y2": 1 - config.alpha}
    return (
        x,
        y,
        {task: np.full(len(x), weights[task], "float32") for task in TASKS},
    )


def rate(config: Config, epoch: int, *_: float) -> float:
    """The learning rate of an epoch, falling along a cosine."""
    turned = math.cos(math.pi * epoch / config.epochs)
    return config.learning_rate * (1 + turned) / 2


def weighted(errors: dict[str, float], alpha: float) -> float:
    """What a run was to make small."""
    return alpha * errors["y1"] + (1 - alpha) * errors["y2"]
