"""Synthetic regression: the paper's experiment 2 (figures 5, 8 and 11).

A network of four layers learns y = tanh(x B), and an auxiliary task with data
of its own: the same function, a similar or an unrelated one. Writes one line a
run to --output_dir/regression.jsonl; runs that are there are not run again.

  python -m examples.censoring.regression --method=multi_task --seeds=3
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mtl
from examples.censoring import methods
from examples.censoring import program
from examples.censoring import sweep
from examples.censoring.hasty_adam import HastyAdam
from examples.censoring.methods import Setting
from examples.censoring.restart import Restart
from examples.censoring.restart import SameRandomNumbers

TASKS = ("same", "similar", "unrelated")
WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
SMOOTHINGS = (1.0, 0.1, 0.01)
INPUTS, OUTPUTS, WIDTH, DEPTH = 250, 100, 100, 4
BATCH_SIZE, EPOCHS, PATIENCE = 100, 1000, 10


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run.

    Attributes:
        setting: The method and its settings.
        task: The auxiliary task, one of `TASKS`; `""` for single task.
        seed: Of the initial weights, alike for all methods, and the batches.
    """

    setting: Setting
    task: str
    seed: int


@dataclasses.dataclass(frozen=True)
class Data:
    """The inputs and targets of the problem, in float32."""

    main: tuple[np.ndarray, np.ndarray]
    auxiliary: dict[str, tuple[np.ndarray, np.ndarray]]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@functools.cache
def make_data() -> Data:
    """The author's data: this order of draws gives his very numbers.

    The paper says that inputs are normal; his are uniform in [0, 1), and the
    numbers of the paper belong to them.
    """
    rng = np.random.RandomState(0)
    main, auxiliary, validation, test = (
        rng.rand(count, INPUTS).astype("float32")
        for count in (1000, 1000, 1000, 10000)
    )
    matrix = (10 * rng.randn(INPUTS, OUTPUTS)).astype("float32")
    unrelated = (10 * rng.randn(INPUTS, OUTPUTS)).astype("float32")
    noise = 3.5 * rng.randn(INPUTS, OUTPUTS)
    similar = (matrix + noise).astype("float32")

    def labelled(x: np.ndarray, matrix: np.ndarray) -> tuple:
        return x, np.tanh(x @ matrix)

    return Data(
        labelled(main, matrix),
        {
            "same": labelled(auxiliary, matrix),
            "similar": labelled(auxiliary, similar),
            "unrelated": labelled(auxiliary, unrelated),
        },
        labelled(validation, matrix),
        labelled(test, matrix),
    )


class Batches(keras.utils.PyDataset):
    """Batches of both tasks side by side, each shuffled on its own."""

    def __init__(self, data: Data, task: str, seed: int):
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.tasks = {"main": data.main, "auxiliary": data.auxiliary[task]}
        self.on_epoch_end()

    def __len__(self) -> int:
        return len(self.tasks["main"][0]) // BATCH_SIZE

    def __getitem__(self, index: int) -> tuple[dict, dict]:
        rows = slice(index * BATCH_SIZE, (index + 1) * BATCH_SIZE)
        x, y = {}, {}
        for name, (inputs, targets) in self.tasks.items():
            chosen = self.order[name][rows]
            x[name], y[name] = inputs[chosen], targets[chosen]
        return x, y

    def on_epoch_end(self) -> None:
        self.order = {
            name: self.rng.permutation(len(x))
            for name, (x, _) in self.tasks.items()
        }


def make_network() -> keras.Model:
    """Four shared layers with two outputs."""
    inputs = keras.Input((INPUTS,))
    features = inputs
    for _ in range(DEPTH):
        features = keras.layers.Dense(WIDTH, activation="relu")(features)
    outputs = {
        name: keras.layers.Dense(OUTPUTS)(features)
        for name in ("main", "auxiliary")
    }
    return keras.Model(inputs, outputs, name="network")


@functools.lru_cache(maxsize=1)
def make_model(
    setting: Setting, hasty: bool = False
) -> tuple[Restart, keras.Model]:
    """The model of a setting, and its network."""
    return compile_model(
        hasty=hasty,
        loss_weights={"main": 1.0, "auxiliary": setting.weight},
        aggregator=methods.aggregator(setting, "main", "first_gradient"),
    )


def compile_model(
    hasty: bool = False, **kwargs: Any
) -> tuple[Restart, keras.Model]:
    """The network on the data of both tasks, compiled.

    Each task has inputs of its own; both go through the same layers.

    Args:
        hasty: Whether to train with `HastyAdam`.
        kwargs: What else `compile` takes.
    """
    network = make_network()
    names = ("main", "auxiliary")
    inputs = {name: keras.Input((INPUTS,), name=name) for name in names}
    outputs = {name: network(inputs[name])[name] for name in names}
    model = keras_mtl.MultiTaskModel(inputs, outputs)
    adam = HastyAdam if hasty else keras.optimizers.Adam
    model.compile(
        adam(1e-3),
        loss={name: "mse" for name in names},
        steps_per_execution=len(make_data().main[0]) // BATCH_SIZE,
        **kwargs,
    )
    return Restart(model), network


def run(cell: Cell, hasty: bool = False) -> dict[str, float]:
    """Trains as a cell says, and measures the test error.

    Args:
        cell: Which run.
        hasty: Whether to train with `HastyAdam`.

    Returns:
        What `train` returns.
    """
    restart, network = make_model(cell.setting, hasty)
    return train(restart, network, cell.task or "unrelated", cell.seed)


def train(
    restart: Restart,
    network: keras.Model,
    task: str,
    seed: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, float]:
    """Trains until validation does not improve, and measures the test error.

    Returns:
        `test_loss`, the mean squared error of the main task with the weights
        that were best on validation, `val_loss` and `epochs`.
    """
    data = make_data()
    keras.utils.set_random_seed(seed)
    restart(make_network().get_weights(), network)
    stopping = keras.callbacks.EarlyStopping(
        "val_main_loss",
        mode="min",
        patience=PATIENCE,
        restore_best_weights=True,
    )
    x, y = data.validation
    history = restart.model.fit(
        Batches(data, task, seed),
        validation_data=(
            {"main": x, "auxiliary": x},
            {"main": y, "auxiliary": y},
        ),
        validation_batch_size=len(x),
        epochs=EPOCHS,
        callbacks=[SameRandomNumbers(), stopping, *callbacks],
        verbose=0,
    )
    x, y = data.test
    prediction = network.predict(x, batch_size=len(x), verbose=0)["main"]
    return {
        "test_loss": float(np.mean((prediction - y) ** 2, dtype="float64")),
        "val_loss": float(stopping.best),
        "epochs": len(history.epoch),
    }


def cells(
    settings: Sequence[Setting], tasks: Sequence[str], seeds: Sequence[int]
) -> list[Cell]:
    """All runs, those of one compiled model side by side."""
    return [
        Cell(setting, task, seed)
        for setting in settings
        for task in ([""] if setting.method == methods.SINGLE else tasks)
        for seed in seeds
    ]


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    runs = cells(
        program.chosen_settings(), program.FLAGS.task, program.chosen_seeds()
    )
    hasty = program.FLAGS.hasty_adam
    name = "regression_hasty" if hasty else "regression"
    sweep.sweep(
        program.results_file(name), runs, functools.partial(run, hasty=hasty)
    )


if __name__ == "__main__":
    program.define_flags(
        weights=WEIGHTS,
        smoothings=SMOOTHINGS,
        granularities=methods.GRANULARITIES,
        seeds=20,
        tasks=TASKS,
    )
    flags.DEFINE_boolean(
        "hasty_adam",
        False,
        "Train with an Adam with which the paper's very numbers come out, "
        "into --output_dir/regression_hasty.jsonl.",
    )
    app.run(main)
