"""Time of a training step beside that of a plain compiled Keras step.

For each number of tasks it builds one network (three shared dense layers of
512 units, heads of 64 units and one output, batches of 256) under every method,
then runs all of them in turns: every round takes one step of each. It prints
milliseconds (medians over rounds) and ratios to keras.Model (medians of the
ratios within each round), one table as soon as it is measured.

  python -m benchmarks.step_time
  python -m benchmarks.step_time --tasks=8 --rounds=200 --methods=sum,pcgrad
  KERAS_BACKEND=jax python -m benchmarks.step_time --peers=

Other libraries are measured in the same rounds on the same network, with the
same initial weights and optimizer, where they are installed:
pip install -e '.[benchmarks]'.

Compiling takes most of the time: seconds for 2 tasks, but a minute or more for
each method at 40. Nothing else should run on the machine meanwhile.
"""

import json
import logging as python_logging
import os
import time
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any

# Read when the libraries are imported: they may have to share one GPU.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
from absl import app
from absl import flags
from absl import logging

from benchmarks import keras_steps
from benchmarks import peers as peers_lib
from benchmarks import timing
from benchmarks.environment import environment
from benchmarks.keras_steps import PLAIN
from benchmarks.network import Network
from keras_mtl.utils.files import write_whole

# What peers are compared with: they run PCGrad too.
PEER_BASELINE = "pcgrad"
LABELS = {**keras_steps.METHODS, **peers_lib.PEERS}

_TASKS = flags.DEFINE_list(
    "tasks", ["2", "8", "40"], "Numbers of tasks, one table for each."
)
_ROUNDS = flags.DEFINE_integer(
    "rounds",
    50,
    "Rounds of one step each. The medians settle after some 30.",
    lower_bound=1,
)
_METHODS = flags.DEFINE_list(
    "methods",
    [name for name in keras_steps.MAIN_METHODS if name != PLAIN],
    "Steps of keras_mtl to measure. 'none' is aggregator=None, "
    "'..._representation' takes gradients at the last shared layer and not "
    "for its variables, and 'gram' means all aggregators that are functions of "
    "the Gram matrix. keras.Model is always measured.",
)
_PEERS = flags.DEFINE_list(
    "peers",
    list(peers_lib.PEERS),
    "Steps of other libraries: torch (the sum of the losses), torchjd (its "
    "PCGrad) and libmtl (the procedure of its PCGrad, written anew). Empty "
    "for none.",
)
# Named unlike a flag of the examples: tests run all in one process.
_JIT_COMPILE = flags.DEFINE_boolean(
    "xla", True, "Compile with XLA on TensorFlow. JAX always does."
)
_INPUT_DIM = flags.DEFINE_integer(
    "input_dim", 64, "Features of an example.", lower_bound=1
)
_HEAD_UNITS = flags.DEFINE_integer(
    "head_units",
    64,
    "Width of the hidden layer of each head; 0 for heads of one output alone.",
    lower_bound=0,
)
_OPTIMIZER = flags.DEFINE_enum(
    "optimizer", "adam", ["adam", "sgd"], "For all steps."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "JSON file for the results, written after each table."
)


def benchmark(
    network: Network,
    methods: Sequence[str],
    peers: Sequence[str] = (),
    rounds: int = 50,
    optimizer: str = "adam",
    jit_compile: bool = True,
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[dict[str, timing.Result], dict[str, float]]:
    """Measures all steps on one network.

    Args:
        network: The network and the batch.
        methods: Keys of `keras_steps.METHODS`; `PLAIN` is added.
        peers: Keys of `peers.PEERS`.
        rounds: How often to run each step.
        optimizer: "adam" or "sgd".
        jit_compile: Whether Keras compiles with XLA.
        progress: Called with a line for each thing done.

    Returns:
        The results by name, and how long each took to build and compile.
    """
    steps: dict[str, Callable[[], Any]] = {}
    first_seconds: dict[str, float] = {}
    methods = [PLAIN, *(name for name in methods if name != PLAIN)]

    def add(name: str, make: Callable[[], Callable[[], Any]]) -> None:
        start = time.perf_counter()
        steps[name] = make()
        # The second step may compile once more, for state that has settled.
        for _ in range(2):
            steps[name]()
        first_seconds[name] = time.perf_counter() - start
        progress(f"T={network.num_tasks}: compiled {LABELS[name]}")

    initial = None
    for name in methods:
        model = keras_steps.make_model(name, network, optimizer, jit_compile)
        initial = initial or model.get_weights()
        add(name, lambda: keras_steps.make_step(model, network))
    for name in peers:
        add(
            name,
            lambda: peers_lib.Peer(name, network, initial, optimizer).step,
        )
    progress(f"T={network.num_tasks}: measuring {rounds} rounds")
    seconds = timing.measure(steps, rounds)
    peer_baseline = PEER_BASELINE if peers else None
    return timing.summarize(seconds, PLAIN, peer_baseline), first_seconds


def installed(peers: Sequence[str]) -> list[str]:
    """The peers that can run; says what the others lack."""
    found = []
    for peer in peers:
        lacking = peers_lib.missing(peer)
        if lacking:
            logging.warning(
                "Leaving out %s: %s not installed.", peer, " and ".join(lacking)
            )
        else:
            found.append(peer)
    return found


def _checked(flag: Any, known: Sequence[str]) -> list[str]:
    values = [value for value in flag.value if value]
    unknown = [value for value in values if value not in known]
    if unknown:
        raise app.UsageError(
            f"--{flag.name} knows {', '.join(known)}. "
            f"Received: {', '.join(unknown)}"
        )
    return values


def _methods() -> list[str]:
    names = _checked(_METHODS, [*keras_steps.METHODS, "gram"])
    if "gram" in names:
        names.remove("gram")
        names += keras_steps.GRAM_METHODS
    return list(dict.fromkeys(names))


def _task_counts() -> list[int]:
    counts = [int(n) if n.isdecimal() else 0 for n in _TASKS.value]
    if not counts or min(counts) < 2:
        raise app.UsageError(
            "--tasks should be numbers from 2 up, with commas between them. "
            f"Received: {','.join(_TASKS.value)}"
        )
    return counts


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    task_counts = _task_counts()
    methods = _methods()
    peers = installed(_checked(_PEERS, list(peers_lib.PEERS)))
    if keras.backend.backend() == "jax":
        import tensorflow as tf

        # TensorFlow has nothing to do here, and would take GPU memory.
        tf.config.set_visible_devices([], "GPU")
    logging.use_absl_handler()
    logging.set_verbosity(logging.INFO)
    # It warns of tracing the same function again and again: one for each model.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    networks = [
        Network(n, input_dim=_INPUT_DIM.value, head_units=_HEAD_UNITS.value)
        for n in task_counts
    ]
    about = environment(
        peers,
        optimizer=_OPTIMIZER.value,
        jit_compile=_JIT_COMPILE.value,
        rounds=_ROUNDS.value,
        input_dim=networks[0].input_dim,
        head_units=networks[0].head_units,
        trunk=f"{networks[0].depth}x{networks[0].units}",
        batch=networks[0].batch_size,
    )
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    report: dict[str, Any] = {"environment": about, "tasks": {}}
    for network in networks:
        results, first_seconds = benchmark(
            network,
            methods,
            peers,
            _ROUNDS.value,
            _OPTIMIZER.value,
            _JIT_COMPILE.value,
            logging.info,
        )
        text = timing.table(results, LABELS, first_seconds, PEER_BASELINE)
        print(f"\n{network.num_tasks} tasks\n\n{text}", flush=True)
        report["tasks"][network.num_tasks] = {
            name: result._asdict() for name, result in results.items()
        }
        if _OUTPUT.value:
            text = json.dumps(report, indent=2) + "\n"
            write_whole(_OUTPUT.value, text)


if __name__ == "__main__":
    app.run(main)
