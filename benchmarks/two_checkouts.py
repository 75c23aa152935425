"""Step times of this checkout beside those of another, in the same rounds.

Answers whether a change made steps slower. Two processes build the same models,
one with the keras_mtl of this checkout, one with that of another, say of the
commit before the change. In each round both take one step of a case, one after
the other and in changing order, so that a slow moment of the machine slows
both. It prints the median of the ratios within rounds, and the range in which
their middle half lies.

  git worktree add /tmp/before HEAD~1
  python -m benchmarks.two_checkouts --other=/tmp/before
  KERAS_BACKEND=jax python -m benchmarks.two_checkouts --other=/tmp/before \
    --paired_cases=pcgrad,mo_co --paired_rounds=400
"""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import app
from absl import flags
from absl import logging

HERE = pathlib.Path(__file__).resolve().parent.parent

# What a case gives to `compile`, beside optimizer and losses.
CASES: dict[str, dict[str, Any]] = {
    "none": {},
    "sum": {"aggregator": "sum"},
    "pcgrad": {"aggregator": "pcgrad"},
    "mgda": {"aggregator": "mgda"},
    "upgrad": {"aggregator": "upgrad"},
    "nash_mtl": {"aggregator": "nash_mtl"},
    "mo_co": {"aggregator": "mo_co"},
    "grad_drop": {"aggregator": "grad_drop"},
    "pcgrad_representation": {
        "aggregator": "pcgrad",
        "representation": "shared2",
    },
    "pcgrad_variable": {
        "aggregator": {
            "class_name": "PCGrad",
            "config": {"granularity": "variable"},
            "registered_name": "keras_mtl>PCGrad",
        }
    },
    "uncertainty": {"weighting": "uncertainty"},
    "famo": {"weighting": "famo"},
    "grad_norm": {"weighting": "grad_norm"},
    "missing_label": {"aggregator": "pcgrad", "missing_label": -1000.0},
    "mixed_float16": {"aggregator": "mo_co"},
}

# Not `required=True`, which would bind every program whose tests run in the
# same process.
_OTHER = flags.DEFINE_string("other", "", "Path of the other checkout.")
_CASES = flags.DEFINE_list("paired_cases", list(CASES), "Which cases to time.")
_ROUNDS = flags.DEFINE_integer(
    "paired_rounds", 200, "Rounds of each case.", lower_bound=2
)
# Named unlike flags of other programs: tests run all in one process.
_NUM_TASKS = flags.DEFINE_integer(
    "paired_tasks", 8, "Number of tasks.", lower_bound=2
)


class Worker:
    """A process that builds models of one checkout and times their steps.

    Args:
        checkout: The directory whose `keras_mtl` and `benchmarks` it imports.
        num_tasks: Number of tasks.
    """

    def __init__(self, checkout: pathlib.Path, num_tasks: int):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--worker", str(num_tasks)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )

    def ask(self, command: str, case: str) -> Any:
        """Has a case built (`"build"`) or one step of it taken (`"step"`)."""
        self.send(command, case)
        return self.answer()

    def send(self, command: str, case: str) -> None:
        print(command, case, file=self.process.stdin, flush=True)

    def answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(
                f"The process for {self.process.args[-1]} tasks ended with "
                f"{self.process.wait()}; its messages stand above."
            )
        return json.loads(line)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def measure(
    workers: Mapping[str, Worker], case: str, rounds: int
) -> dict[str, np.ndarray]:
    """Seconds `[rounds]` of one step of a case, by worker."""
    names = list(workers)
    seconds = {name: np.zeros(rounds) for name in names}
    for r in range(rounds):
        for name in names if r % 2 else reversed(names):
            # Threads of a worker spin for a while after their last step.
            time.sleep(0.005)
            seconds[name][r] = workers[name].ask("step", case)
    return seconds


def row(case: str, seconds: Mapping[str, np.ndarray]) -> str:
    """A line of the table."""
    ratios = seconds["this"] / seconds["other"]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    times = [1e3 * np.median(seconds[name]) for name in ("other", "this")]
    return (
        f"| {case} | {times[0]:.2f} | {times[1]:.2f} | {middle:.3f} "
        f"| {low:.3f} to {high:.3f} |"
    )


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    other = pathlib.Path(_OTHER.value).resolve()
    if not _OTHER.value or not (other / "keras_mtl").is_dir():
        raise app.UsageError(
            "--other should be a checkout, a directory that holds keras_mtl. "
            f"Received: --other={_OTHER.value}"
        )
    unknown = sorted(set(_CASES.value) - set(CASES))
    if unknown:
        raise app.UsageError(
            f"--paired_cases knows {', '.join(CASES)}. "
            f"Received: {', '.join(unknown)}"
        )
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    workers = {
        "other": Worker(other, _NUM_TASKS.value),
        "this": Worker(HERE, _NUM_TASKS.value),
    }
    print("| case | other, ms | this, ms | ratio | middle half |")
    print("|---|---:|---:|---:|---:|", flush=True)
    for case in _CASES.value:
        for worker in workers.values():
            worker.send("build", case)
        for worker in workers.values():
            worker.answer()
        logging.info("%s: measuring %d rounds", case, _ROUNDS.value)
        print(row(case, measure(workers, case, _ROUNDS.value)), flush=True)
        for worker in workers.values():
            worker.ask("drop", case)
    for worker in workers.values():
        worker.close()


def work(num_tasks: int) -> None:
    """Answers the commands of `Worker`, one a line."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from benchmarks.network import Network

    network = Network(num_tasks)
    steps: dict[str, Any] = {}
    for line in sys.stdin:
        command, case = line.split()
        answer = 0.0
        if command == "build":
            steps[case] = _make_step(case, network)
            # The second step may compile once more, for settled state.
            for _ in range(2):
                steps[case]()
        elif command == "step":
            start = time.perf_counter()
            steps[case]()
            answer = time.perf_counter() - start
        else:
            del steps[case]
        print(json.dumps(answer), flush=True)


def _make_step(case: str, network: Any) -> Any:
    import keras

    from benchmarks.keras_steps import make_model
    from benchmarks.keras_steps import make_step

    policy = "mixed_float16" if case == "mixed_float16" else "float32"
    keras.config.set_dtype_policy(policy)
    model = make_model("none", network, "adam", jit_compile=True)
    losses = {task: "mse" for task in network.tasks}
    model.compile("adam", loss=losses, jit_compile=True, **CASES[case])
    return make_step(model, network)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        work(int(sys.argv[2]))
    else:
        app.run(main)
