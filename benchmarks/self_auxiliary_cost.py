"""What self-auxiliaries cost: nothing in serving, little in training.

Builds the LeNet of `examples/multi_mnist` as a plain Keras model, and the same
with self-auxiliaries at its shared representation. In turns, so that a slow
moment of the machine slows both, it takes a training step of each, and has the
plain model and the stripped one predict a batch. It prints their numbers of
parameters, milliseconds (medians) and the medians of the ratios within rounds.

  python -m benchmarks.self_auxiliary_cost
  KERAS_BACKEND=jax python -m benchmarks.self_auxiliary_cost --cost_rounds=100

Nothing else should run on the machine meanwhile.
"""

import json
import os
from collections.abc import Callable
from typing import Any
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mtl
from benchmarks import keras_steps
from benchmarks import timing
from benchmarks.environment import environment
from examples.multi_mnist.model import REPRESENTATION
from examples.multi_mnist.model import SIZES
from examples.multi_mnist.model import TASKS
from examples.multi_mnist.model import build_lenet
from keras_mtl.utils.files import write_whole

# Named unlike the flags of other programs: tests run all in one process.
_SIZE = flags.DEFINE_enum("lenet", "large", list(SIZES), "Size of the network.")
_BATCH = flags.DEFINE_integer("cost_batch", 256, "Examples in a batch.", 1)
_ROUNDS = flags.DEFINE_integer(
    "cost_rounds", 50, "Rounds of one step or prediction each.", 1
)
_COMPILE = flags.DEFINE_bool(
    "cost_xla", False, "Whether TensorFlow compiles with XLA; JAX always does."
)
_OUTPUT = flags.DEFINE_string("cost_output", None, "JSON file for the results.")

PLAIN = "plain"
OTHERS = {"train": "self-auxiliaries", "predict": "stripped"}


class Images(NamedTuple):
    """A batch of random images and labels."""

    size: int

    def batch(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        rng = np.random.default_rng(0)
        x = rng.uniform(0, 255, (self.size, 36, 36, 1)).astype("float32")
        return x, {task: rng.integers(0, 10, self.size) for task in TASKS}


def make_models(size: str, jit_compile: bool) -> dict[str, keras.Model]:
    """The plain model, that with self-auxiliaries, and it without them.

    They start with the same weights.
    """
    models = {}
    for name in (PLAIN, OTHERS["train"]):
        keras.utils.set_random_seed(0)
        model = build_lenet(size)
        if name != PLAIN:
            model = keras_mtl.add_self_auxiliaries(model, REPRESENTATION)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            keras.optimizers.SGD(0.01, momentum=0.9),
            dict.fromkeys(TASKS, loss),
            jit_compile=jit_compile,
        )
        models[name] = model
    stripped = keras_mtl.strip_auxiliaries(models[OTHERS["train"]])
    stripped.compile(jit_compile=jit_compile)
    models[OTHERS["predict"]] = stripped
    return models


def benchmark(
    models: dict[str, keras.Model], images: Images, rounds: int
) -> dict[str, dict[str, timing.Result]]:
    """Times of predicting and of training, by model."""
    x, _ = images.batch()
    makers: dict[str, Callable] = {
        # Before the steps of JAX, which take the values out of variables.
        "predict": lambda model: lambda: model.predict_on_batch(x),
        "train": lambda model: keras_steps.make_step(model, images),
    }
    found = {}
    for kind, make in makers.items():
        steps = {name: make(models[name]) for name in (PLAIN, OTHERS[kind])}
        for step in steps.values():
            # The second may compile once more, for state that has settled.
            for _ in range(2):
                step()
        seconds = timing.measure(steps, rounds)
        found[kind] = timing.summarize(seconds, PLAIN, None)
    return found


def table(
    parameters: dict[str, int], results: dict[str, dict[str, timing.Result]]
) -> str:
    """The results in Markdown."""
    lines = ["| what | model | parameters | ms | × plain |"]
    lines.append("|---|---|---:|---:|---:|")
    for kind, found in results.items():
        for name, result in found.items():
            lines.append(
                f"| {kind} | {name} | {parameters[name]:,} | "
                f"{result.milliseconds:.2f} | {result.ratio:.3f} |"
            )
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    xla = _COMPILE.value or keras.backend.backend() == "jax"
    about = environment(
        [], lenet=_SIZE.value, batch=_BATCH.value, rounds=_ROUNDS.value, xla=xla
    )
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    models = make_models(_SIZE.value, xla)
    parameters = {name: _parameters(model) for name, model in models.items()}
    results = benchmark(models, Images(_BATCH.value), _ROUNDS.value)
    print("\n" + table(parameters, results), flush=True)
    if _OUTPUT.value:
        report: dict[str, Any] = {"environment": about}
        report["parameters"] = parameters
        report["results"] = {
            kind: {name: result._asdict() for name, result in found.items()}
            for kind, found in results.items()
        }
        write_whole(_OUTPUT.value, json.dumps(report, indent=2) + "\n")


def _parameters(model: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in model.weights)


if __name__ == "__main__":
    app.run(main)
