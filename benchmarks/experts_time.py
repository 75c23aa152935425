"""Time of a training step of MMoE and PLE beside plain Keras and DeepCTR.

For each architecture and number of tasks, it builds one network (8 experts of
256 and 128 units; PLE has two levels, and half of the experts of a level are
shared) with the layers of keras_mtl, with a plain Keras layer for each expert
and each gate, and with DeepCTR, then runs all of them in turns: every round
takes one step of each. It prints milliseconds (medians over rounds) and ratios
to plain Keras (medians of the ratios within each round), with XLA and without.

  python -m benchmarks.experts_time
  KERAS_BACKEND=jax python -m benchmarks.experts_time --expert_rounds=200

DeepCTR is left out where it is not installed (pip install --no-deps deepctr)
and on JAX. Nothing else should run on the machine meanwhile.
"""

import importlib.metadata
import json
import logging as python_logging
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
from absl import app
from absl import flags
from absl import logging

from benchmarks import expert_networks
from benchmarks import keras_steps
from benchmarks import timing
from benchmarks.expert_networks import ARCHITECTURES
from benchmarks.expert_networks import IMPLEMENTATIONS
from benchmarks.expert_networks import PLAIN
from benchmarks.network import Network
from benchmarks.step_time import environment
from keras_mtl.utils.files import write_whole

# Named unlike the flags of other programs: tests run all in one process.
_ARCHITECTURES = flags.DEFINE_multi_enum(
    "architecture",
    list(ARCHITECTURES),
    list(ARCHITECTURES),
    "Networks to measure.",
)
_TASKS = flags.DEFINE_multi_integer(
    "expert_tasks", [2, 4], "Numbers of tasks, one table for each.", 1
)
_NUM_EXPERTS = flags.DEFINE_integer(
    "num_experts", 8, "Experts of MMoE, and of each level of PLE.", 2
)
_ROUNDS = flags.DEFINE_integer(
    "expert_rounds", 100, "Rounds of one step each.", lower_bound=1
)
_COMPILE = flags.DEFINE_multi_enum(
    "compiler",
    ["xla", "graph"],
    ["xla", "graph"],
    "How TensorFlow compiles. JAX always does with XLA.",
)
_OUTPUT = flags.DEFINE_string(
    "expert_output", None, "JSON file for the results."
)


def benchmark(
    network: Network,
    experts: expert_networks.Experts,
    rounds: int,
    jit_compile: bool,
) -> tuple[dict[str, timing.Result], dict[str, float]]:
    """Measures all implementations of one network.

    Returns:
        The results by name, and how long each took to build and compile.
    """
    steps: dict[str, Callable[[], Any]] = {}
    first_seconds: dict[str, float] = {}
    for name in filter(expert_networks.available, IMPLEMENTATIONS):
        start = time.perf_counter()
        model = expert_networks.make_model(name, network, experts)
        model.compile(
            "adam",
            loss={task: "mse" for task in network.tasks},
            jit_compile=jit_compile,
        )
        steps[name] = keras_steps.make_step(model, network)
        # The second step may compile once more, for state that has settled.
        for _ in range(2):
            steps[name]()
        first_seconds[name] = time.perf_counter() - start
    seconds = timing.measure(steps, rounds)
    return timing.summarize(seconds, PLAIN, None), first_seconds


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    compilers = _COMPILE.value
    if keras.backend.backend() == "jax":
        import tensorflow as tf

        # TensorFlow has nothing to do here, and would take GPU memory.
        tf.config.set_visible_devices([], "GPU")
        compilers = ["xla"]
    # It warns of tracing the same function again and again: one for each model.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    settings = {"rounds": _ROUNDS.value, "num_experts": _NUM_EXPERTS.value}
    if expert_networks.available("deepctr"):
        settings["deepctr"] = importlib.metadata.version("deepctr")
    else:
        logging.warning("Leaving out DeepCTR, which cannot run here.")
    about = environment([], **settings)
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    report: dict[str, Any] = {"environment": about, "tables": {}}
    for architecture in _ARCHITECTURES.value:
        for num_tasks in _TASKS.value:
            experts = expert_networks.sizes(
                architecture, num_tasks, _NUM_EXPERTS.value
            )
            for compiler in compilers:
                results, first_seconds = benchmark(
                    Network(num_tasks),
                    experts,
                    _ROUNDS.value,
                    compiler == "xla",
                )
                title = (
                    f"{ARCHITECTURES[architecture]}, {num_tasks} tasks, "
                    f"{compiler}"
                )
                text = timing.table(
                    results, IMPLEMENTATIONS, first_seconds, None
                )
                print(f"\n{title}\n\n{text}", flush=True)
                report["tables"][title] = {
                    name: result._asdict() for name, result in results.items()
                }
                if _OUTPUT.value:
                    text = json.dumps(report, indent=2) + "\n"
                    write_whole(_OUTPUT.value, text)


if __name__ == "__main__":
    app.run(main)
