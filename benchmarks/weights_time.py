"""Time of `weights(gram)` for every method that is a function of the Gram.

For each number of tasks, for one matrix and for a batch of 100 (as many layers
or variables give at granularity="layer" or "variable"), it prints microseconds
as part of a compiled program and as a compiled call of its own, those of
TorchJD's weighting where that has the method, and how often the first goes into
these; medians over rounds in which all run in turns. A training step is one
program, so the first is what a method adds to it: what 19 more in a row take,
each waiting for the one before. TorchJD's is the mean of as many calls in a
row, with as many threads as PyTorch takes by itself. It takes one matrix at a
time, so 100 of them are 100 calls.

  python -m benchmarks.weights_time
  KERAS_BACKEND=jax python -m benchmarks.weights_time --num_tasks=8 --batches=1

What TorchJD needs for all of its methods: pip install -e '.[benchmarks]'.
Nothing else should run on the machine meanwhile.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from absl import app
from absl import flags
from keras import ops

from benchmarks import timing
from benchmarks.environment import environment
from benchmarks.torchjd_methods import PAIRS
from benchmarks.torchjd_methods import SMALLEST
from benchmarks.torchjd_methods import jacobian
from keras_mtl import testing
from keras_mtl.methods import GradientSpec

_TASKS = flags.DEFINE_list("num_tasks", ["2", "8", "32"], "Numbers of tasks.")
_BATCHES = flags.DEFINE_list("batches", ["1", "100"], "Numbers of matrices.")
# Named unlike a flag of `step_time`: tests run both in one process.
_ROUNDS = flags.DEFINE_integer(
    "weight_rounds", 50, "Rounds of one call each.", lower_bound=1
)
_METHODS = flags.DEFINE_list(
    "aggregators",
    [name for name in PAIRS if name != "trimmed_mean"],
    "Methods to measure.",
)


# How many times the weights are taken in one program.
REPEATS = 20


def our_call(
    name: str, grams: np.ndarray, repeats: int = 1
) -> Callable[[], Any]:
    """The compiled weights of all matrices, waited for."""
    method = PAIRS[name].ours(grams.shape[-1])
    method.build(GradientSpec(grams.shape[-1], grams.shape[:-2]))

    def turn(_: Any, gram: Any) -> Any:
        # Too little to change anything, but the next turn has to wait.
        return gram * (1 + 1e-30 * ops.sum(method.update(gram)))

    def run(gram: Any) -> Any:
        if method.variables:
            # JAX lets no state out of its loops.
            for index in range(1, repeats):
                gram = turn(index, gram)
        else:
            gram = ops.fori_loop(1, repeats, turn, gram)
        return method.update(gram)

    weights = testing.compiled(run, method.variables)
    tensor = ops.convert_to_tensor(grams)
    return lambda: ops.convert_to_numpy(weights(tensor))


def their_call(
    name: str, grams: np.ndarray, rows: np.ndarray
) -> Callable[[], Any] | None:
    """TorchJD's weights of each matrix; of its rows, where it has no weights.

    `None` where TorchJD or one of its solvers is not installed.
    """
    if importlib.util.find_spec("torchjd") is None:
        return None
    import torch
    from torchjd import aggregation

    num_tasks = grams.shape[-1]
    pair = PAIRS[name]
    if pair.theirs is None:
        function = pair.aggregator(aggregation, num_tasks)
        arguments = [torch.tensor(matrix) for matrix in rows]
    else:
        function = pair.theirs(aggregation, num_tasks)
        arguments = [torch.tensor(matrix) for matrix in grams]

    if len(arguments) == 1:
        arguments = arguments * REPEATS

    def call() -> None:
        for argument in arguments:
            function(argument)

    return call


def measure(num_tasks: int, batch: int, names: list[str], rounds: int) -> str:
    """The table for one number of tasks and one size of batch."""
    rng = np.random.default_rng(0)
    rows = np.stack([jacobian(rng, num_tasks) for _ in range(batch)])
    rows = rows.astype("float32")
    grams = rows @ rows.swapaxes(-1, -2)
    calls: dict[str, Callable[[], Any]] = {}
    for name in names:
        if num_tasks < SMALLEST.get(name, 2):
            continue
        calls[name] = our_call(name, grams, REPEATS)
        calls[f"{name} alone"] = our_call(name, grams)
        theirs = their_call(name, grams, rows)
        if theirs is not None:
            calls[f"{name} torchjd"] = theirs
    for call in calls.values():
        call()
    seconds = timing.measure(calls, rounds)
    lines = ["| method | in a program, us | alone, us | TorchJD, us | ratio |"]
    lines.append("|---|---:|---:|---:|---:|")
    for name in names:
        if name not in seconds:
            continue
        alone = seconds[f"{name} alone"]
        ours = (seconds[name] - alone) / (REPEATS - 1)
        theirs = seconds.get(f"{name} torchjd")
        row = f"| {name} | {1e6 * np.median(ours):.0f} "
        row += f"| {1e6 * np.median(alone):.0f} |"
        if theirs is not None:
            theirs = theirs / (REPEATS if batch == 1 else 1)
            ratio = np.median(theirs) / np.median(ours)
            row += f" {1e6 * np.median(theirs):.0f} | {ratio:.1f} |"
        else:
            row += " | |"
        lines.append(row)
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    unknown = sorted(set(_METHODS.value) - set(PAIRS))
    if unknown:
        raise app.UsageError(
            f"--aggregators knows {', '.join(PAIRS)}. Received: {unknown}"
        )
    peers = ["torchjd"] if importlib.util.find_spec("torchjd") else []
    about = environment(peers, rounds=_ROUNDS.value)
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    for num_tasks in map(int, _TASKS.value):
        for batch in map(int, _BATCHES.value):
            text = measure(num_tasks, batch, _METHODS.value, _ROUNDS.value)
            print(f"\n{num_tasks} tasks, {batch} matrices\n\n{text}")


if __name__ == "__main__":
    app.run(main)
