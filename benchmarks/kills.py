"""Kills trainings at random moments, and looks at what is left of them.

Trains a small model with every method that remembers something, a subclassed
one with some of them, and with every file of state that keras_mtl writes, once
without a kill, and once more where the process is killed (SIGKILL) again and
again and a new one goes on. At the end, weights, the logs of all epochs and the
files must be the same to the bit.

  python -m benchmarks.kills
  python -m benchmarks.kills --callback=keras

Epochs have one step, so that most of the time is spent on writing. Processes
are forks of this one, which has imported Keras and made nothing with it.
"""

import json
import os
import pathlib
import random
import select
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow  # noqa: F401  On JAX, Keras imports it late, in every fork.
from absl import app
from absl import flags
from keras.optimizers.schedules import ExponentialDecay

import keras_mtl
from examples import every_method
from keras_mtl.methods.method import Method
from keras_mtl.selection import BanditSelection
from keras_mtl.selection import BetaBandit
from keras_mtl.selection import MixingRatioSearch
from keras_mtl.selection import TaskSampler
from keras_mtl.utils.files import write_whole

_CALLBACK = flags.DEFINE_enum(
    "callback",
    "keras_mtl",
    ["keras_mtl", "keras", "keras_double"],
    "Whose BackupAndRestore; keras_double with double_checkpoint=True.",
)
# Named unlike flags of other programs: tests run all in one process.
_KILLS = flags.DEFINE_integer("kills", 4, "Kills a run.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer(
    "kill_epochs", 12, "Epochs a run.", lower_bound=2
)
_ONLY = flags.DEFINE_list("only", [], "Runs whose names hold one of these.")
_SEED = flags.DEFINE_integer("kill_seed", 0, "Of the moments of the kills.")
_RUN_EAGERLY = flags.DEFINE_boolean(
    "run_eagerly", True, "Without tracing, which takes most of the time."
)

TASKS = ("a", "b", "c")
LAYER = "shared"
MODULES = {
    "aggregator": keras_mtl.aggregators,
    "weighting": keras_mtl.weightings,
}
# Of methods that need them, or remember nothing without them.
ARGUMENTS = {
    "orthogonal": {"smoothing": 0.3},
    "unweighted_cosine": {"smoothing": 0.3},
    "weighted_cosine": {"smoothing": 0.3},
    "mo_do": {"rho": 0.1},
    "constant": {"weights": [1.0, 2.0, 3.0]},
    "krum": {"num_byzantine": 0},
    "svdweights": {"task_weights": {"a": 0.5}},
    "schedule": {"schedules": {"a": ExponentialDecay(1.0, 5, 0.5)}},
}
# Methods that a subclassed model is trained with as well.
SUBCLASSED = (
    ("aggregator", "mo_co"),
    ("aggregator", "projection"),
    ("weighting", "uncertainty"),
    ("weighting", "grad_norm"),
)
# So many may end before they are killed often enough.
MOST_ROUNDS = 10
# On a busy machine, where each process may get a small part of a core.
GIVE_UP_SECONDS = 3600.0


class Run(NamedTuple):
    """Something to be killed.

    Attributes:
        name: What it tries.
        work: What a process does in a folder, from where another one stopped.
            It calls its second argument when it has begun.
        result: What the folder then holds.
    """

    name: str
    work: Callable[[pathlib.Path, Callable[[], None]], None]
    result: Callable[[pathlib.Path], Any]


class Outcome(NamedTuple):
    """What kills did to a run."""

    kills: int
    error: str
    difference: float


class Recorder(keras.callbacks.Callback):
    """Keeps the logs of all epochs in a file; says when training has begun."""

    def __init__(self, path: pathlib.Path, begun: Callable[[], None]):
        super().__init__()
        self.path, self.begun = path, begun
        self.history = []
        if path.exists():
            self.history = json.loads(path.read_text())

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        # What was killed may have recorded more than it had saved.
        del self.history[epoch:]

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.history.append({key: float(value) for key, value in logs.items()})
        write_whole(self.path, json.dumps(self.history))
        self.begun()


def make_backup(folder: pathlib.Path) -> keras.callbacks.Callback:
    arguments = {"delete_checkpoint": False}
    if _CALLBACK.value == "keras_mtl":
        return keras_mtl.callbacks.BackupAndRestore(folder, **arguments)
    return keras.callbacks.BackupAndRestore(
        folder,
        double_checkpoint=_CALLBACK.value == "keras_double",
        **arguments,
    )


def make_model(
    subclassed: bool = False, **settings: Any
) -> keras_mtl.MultiTaskModel:
    """Two shared layers, random ones among them, and a head a task."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6,))
    if subclassed:
        model = Subclassed()
        model(inputs)  # a backup is restored into variables that are there
    else:
        model = keras_mtl.MultiTaskModel(inputs, Layers()(inputs))
    model.compile(
        keras.optimizers.Adam(0.01),
        loss=dict.fromkeys(TASKS, "mse"),
        # On JAX, false would leave every operation to be compiled alone.
        jit_compile=keras.backend.backend() == "jax" and not _RUN_EAGERLY.value,
        run_eagerly=_RUN_EAGERLY.value,
        **settings,
    )
    return model


class Layers:
    """What both kinds of models are made of."""

    def __init__(self) -> None:
        self.shared = [
            keras.layers.Dense(64, activation="tanh"),
            keras.layers.Dense(32, activation="tanh", name=LAYER),
        ]
        if _CALLBACK.value == "keras_mtl":
            # Files of weights lack its state, and Keras' backup is one.
            self.shared.insert(1, keras.layers.Dropout(0.2, seed=1))
        self.heads = {task: keras.layers.Dense(1, name=task) for task in TASKS}

    def __call__(self, x: Any) -> dict[str, Any]:
        for layer in self.shared:
            x = layer(x)
        return {task: head(x) for task, head in self.heads.items()}


class Subclassed(keras_mtl.MultiTaskModel):
    def __init__(self) -> None:
        super().__init__()
        self.parts = Layers()
        self.tracked = [*self.parts.shared, *self.parts.heads.values()]

    def call(self, inputs: Any) -> dict[str, Any]:
        return self.parts(inputs)


def make_data() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(32, 6)).astype("float32")
    labels = x @ rng.normal(size=(6, len(TASKS))).astype("float32")
    return x, {t: labels[:, i : i + 1] for i, t in enumerate(TASKS)}


def train(
    folder: pathlib.Path, begun: Callable[[], None], settings: dict[str, Any]
) -> None:
    """Trains a model, from where another process was killed.

    Args:
        folder: Where it works.
        begun: To call when it has begun.
        settings: Arguments of `make_model`.
    """
    model = make_model(**settings)
    x, y = make_data()
    model.fit(
        x,
        y,
        batch_size=len(x),
        epochs=_EPOCHS.value,
        shuffle=False,
        verbose=0,
        callbacks=[
            Recorder(folder / "history.json", begun),
            make_backup(folder / "backup"),
        ],
    )
    save_weights(model, folder)


def choose_tasks(folder: pathlib.Path, begun: Callable[[], None]) -> None:
    """Trains under a bandit, whose file of state is killed as well."""
    model = make_model(missing_label=float("nan"))
    x, y = make_data()
    sampler = TaskSampler(
        {task: (x, labels) for task, labels in y.items()}, 1, 8, seed=0
    )
    selection = BanditSelection(
        sampler,
        TASKS[0],
        bandit=BetaBandit(TASKS, seed=0),
        state_path=folder / "selection.json",
        keep_state=True,
    )
    model.fit(
        sampler.dataset(),
        epochs=_EPOCHS.value,
        validation_data=(x, sampler.labels(TASKS[0], y[TASKS[0]])),
        shuffle=False,
        verbose=0,
        callbacks=[
            Recorder(folder / "history.json", begun),
            selection,
            make_backup(folder / "backup"),
        ],
    )
    save_weights(model, folder)


def search_ratios(folder: pathlib.Path, begun: Callable[[], None]) -> None:
    """Searches for a mix; its file of results is killed."""
    path = folder / "mixes.jsonl"
    bounds = {task: (1, 5) for task in TASKS}
    search = MixingRatioSearch(bounds, path=path, num_initial=50, seed=0)

    def evaluate(ratios: dict[str, int]) -> float:
        begun()
        return ratios["a"] / sum(ratios.values())

    search.run(evaluate, 50, verbose=0)


def save_weights(model: keras.Model, folder: pathlib.Path) -> None:
    np.savez(folder / "new.npz", *model.get_weights())
    os.replace(folder / "new.npz", folder / "weights.npz")


def trained(folder: pathlib.Path) -> list[np.ndarray]:
    """Weights and logs that a training has ended with."""
    with np.load(folder / "weights.npz") as weights:
        found = [weights[name] for name in weights.files]
    history = json.loads((folder / "history.json").read_text())
    state = folder / "selection.json"
    if state.exists():
        for entry in json.loads(state.read_text())[-1]["history"]:
            found.append(np.array([entry["value"], entry["reward"]]))
    return found + [np.array(list(row.values())) for row in history]


def searched(folder: pathlib.Path) -> list[np.ndarray]:
    rows = map(json.loads, (folder / "mixes.jsonl").open())
    return [np.array([*r["ratios"].values(), r["value"]]) for r in rows]


def remembering(folder: pathlib.Path) -> list[tuple[str, str]]:
    """Roles and names of the methods that have state, found in one process."""

    def work(folder: pathlib.Path, begun: Callable[[], None]) -> None:
        found = []
        for role, module in MODULES.items():
            for name in every_method.names(module):
                method = make_method(role, name)
                make_model(**{role: method})
                if method.variables:
                    found.append((role, name))
        write_whole(folder / "found.json", json.dumps(found))

    life = live(work, folder)
    if life.error:
        raise RuntimeError(life.error)
    return json.loads((folder / "found.json").read_text())


def make_method(role: str, name: str) -> Method:
    return every_method.make(MODULES[role], name, ARGUMENTS.get(name, {}))


def runs(methods: list[tuple[str, str]]) -> Iterator[Run]:
    """One a method that remembers something, and one a file of state."""
    yield Run("BanditSelection", choose_tasks, trained)
    yield Run("MixingRatioSearch", search_ratios, searched)
    for role, name in methods:
        yield Run(f"{role} {name}", _training(role, name), trained)
    for role, name in SUBCLASSED:
        work = _training(role, name, subclassed=True)
        yield Run(f"subclassed, {role} {name}", work, trained)


def _training(role: str, name: str, **settings: Any) -> Callable:
    def work(folder: pathlib.Path, begun: Callable[[], None]) -> None:
        method = make_method(role, name)
        train(folder, begun, {role: method, **settings})

    return work


class Life(NamedTuple):
    """What became of a process."""

    killed: bool
    error: str
    seconds: float


def live(
    work: Callable[[pathlib.Path, Callable[[], None]], None],
    folder: pathlib.Path,
    kill_after: float | None = None,
) -> Life:
    """Works in a process of its own, which dies some time after it has begun.

    Args:
        work: See `Run`.
        folder: Where it works.
        kill_after: Seconds from its first epoch's end; `None` lets it live.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _work(work, folder, writing)
    os.close(writing)
    # Ready when it says that it has begun, and when it ends.
    select.select([reading], [], [], GIVE_UP_SECONDS)
    start = time.monotonic()
    status = None
    while status is None:
        ended, code = os.waitpid(pid, os.WNOHANG)
        seconds = time.monotonic() - start
        if ended:
            status = code
        elif seconds > (GIVE_UP_SECONDS if kill_after is None else kill_after):
            os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
        else:
            time.sleep(0.0005)
    message = os.read(reading, 4096).lstrip(b".").decode()
    os.close(reading)
    if os.WIFSIGNALED(status) and kill_after is not None:
        return Life(True, "", seconds)
    error = "" if status == 0 else message or f"ended with {status}"
    return Life(False, error, seconds)


def _work(work: Callable, folder: pathlib.Path, writing: int) -> None:
    """The whole life of a fork."""
    said = []

    def begun() -> None:
        if not said:
            said.append(os.write(writing, b"."))

    try:
        work(folder, begun)
    except BaseException as error:
        traceback.print_exc()
        os.write(writing, f"{type(error).__name__}: {error}"[:2000].encode())
        os._exit(1)
    os._exit(0)


def try_kills(run: Run, draw: random.Random, folder: pathlib.Path) -> Outcome:
    """Compares a run that is killed with one that is not.

    One that comes to its end before it was killed often enough is followed by
    another one.
    """
    calm = folder / "calm"
    calm.mkdir()
    whole = live(run.work, calm)
    if whole.error:
        return Outcome(0, whole.error, np.nan)
    kills, apart, seconds = 0, 0.0, whole.seconds
    for number in range(MOST_ROUNDS):
        torn = folder / f"torn-{number}"
        torn.mkdir()
        more, life = kill_often(run, draw, torn, seconds, _KILLS.value - kills)
        kills += more
        if life.error:
            return Outcome(kills, life.error, np.nan)
        found = difference(run.result(calm), run.result(torn))
        apart = float(np.maximum(apart, found))
        if kills == _KILLS.value:
            break
        # The first one may have compiled what the others find in a cache.
        seconds = min(seconds, life.seconds)
    return Outcome(kills, "", apart)


def kill_often(
    run: Run,
    draw: random.Random,
    folder: pathlib.Path,
    seconds: float,
    most: int,
) -> tuple[int, Life]:
    """Kills a run until it ends.

    Args:
        run: The run.
        draw: Of the moments.
        folder: Where it works.
        seconds: That it takes in peace.
        most: Kills.

    Returns:
        How often it was killed, and its last life.
    """
    for kills in range(most):
        life = live(run.work, folder, draw.uniform(0, 2 * seconds / (most + 1)))
        if not life.killed:
            return kills, life
    return most, live(run.work, folder)


def difference(left: list[np.ndarray], right: list[np.ndarray]) -> float:
    """The largest one; infinite where there is more of one than the other.

    It is NaN where one of the two has a NaN and the other one has a number.
    """
    if [a.shape for a in left] != [b.shape for b in right]:
        return np.inf
    apart = [
        np.where(np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b))
        for a, b in zip(left, right, strict=True)
    ]
    return float(np.max([np.max(part, initial=0.0) for part in apart]))


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    draw = random.Random(_SEED.value)
    print("| run | kills | lost | largest difference |", flush=True)
    print("|---|---:|---|---:|")
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        methods = remembering(pathlib.Path(folder))
    for run in runs(methods):
        if _ONLY.value and not any(part in run.name for part in _ONLY.value):
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome = try_kills(run, draw, pathlib.Path(folder))
        outcomes.append(outcome)
        lost = outcome.error.replace("\n", " ")[:120] or "no"
        print(
            f"| {run.name} | {outcome.kills} | {lost} | "
            f"{outcome.difference:g} |",
            flush=True,
        )
    lost = sum(outcome.error != "" for outcome in outcomes)
    apart = sum(
        not outcome.error and outcome.difference != 0 for outcome in outcomes
    )
    print(
        f"\n{len(outcomes)} runs, {sum(o.kills for o in outcomes)} kills: "
        f"{lost} lost, {apart} with a difference."
    )


if __name__ == "__main__":
    app.run(main)
