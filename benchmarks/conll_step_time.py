"""Step time of projection with smoothing on the network of CoNLL-2003.

The network and the batch are those of examples/censoring/conll.py: embeddings
of 30,291 words, two LSTM layers, two tasks, 1,280 words. Steps of keras.Model
(the sum of the losses), of MultiTaskModel without an aggregator and of
projection with smoothing 1 and 0.01 run in turns: every round takes one step
of each. It prints milliseconds (medians over rounds) and ratios to keras.Model
(medians of the ratios within each round).

  KERAS_BACKEND=jax python -m benchmarks.conll_step_time --conll_rounds=60

Nothing else should run on the machine meanwhile.
"""

import logging as python_logging
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from absl import app
from absl import flags

from benchmarks import keras_steps
from benchmarks import timing
from benchmarks.environment import environment
from examples.censoring import conll
from examples.censoring import methods
from examples.censoring.methods import Setting

LABELS = {
    "plain": "keras.Model",
    "none": "MultiTaskModel, aggregator=None",
    "1": "projection",
    "0.01": "projection, smoothing 0.01",
}

# Named unlike a flag of other programs: tests run all in one process.
_ROUNDS = flags.DEFINE_integer(
    "conll_rounds", 50, "Rounds of one step each.", lower_bound=1
)
_JIT_COMPILE = flags.DEFINE_boolean(
    "conll_xla", False, "Compile with XLA on TensorFlow. JAX always does."
)


class Batch:
    """A batch of random words and tags, as `keras_steps.make_step` takes it."""

    def __init__(self, data: conll.Data):
        shape = (conll.STREAMS, conll.STEPS)
        rng = np.random.default_rng(0)
        x = rng.integers(data.num_words, size=shape, dtype="int32")
        y = {
            task: rng.integers(count, size=shape, dtype="int32")
            for task, count in data.num_classes.items()
        }
        self.batch = lambda: (x, y)


def make_model(name: str, data: conll.Data, jit_compile: bool) -> keras.Model:
    """The compiled model of a row of the table, a key of `LABELS`."""
    model = conll.make_network(data)
    arguments = {}
    if name == "plain":
        model = keras.Model(model.inputs, model.output)
    elif name != "none":
        setting = Setting("projection", 1.0, "variable", float(name))
        arguments["aggregator"] = methods.aggregator(
            setting, conll.MAIN, "zeros"
        )
    model.compile(
        conll.make_optimizer(),
        loss=conll.make_losses(),
        jit_compile=jit_compile,
        **arguments,
    )
    return model


def benchmark(
    data: conll.Data, rounds: int, jit_compile: bool
) -> tuple[dict[str, timing.Result], dict[str, float]]:
    """Measures all steps.

    Returns:
        The results by name, and how long each took to build and compile.
    """
    steps, first_seconds = {}, {}
    for name in LABELS:
        start = time.perf_counter()
        model = make_model(name, data, jit_compile)
        steps[name] = keras_steps.make_step(model, Batch(data))
        # The second step may compile once more, for state that has settled.
        for _ in range(2):
            steps[name]()
        first_seconds[name] = time.perf_counter() - start
    seconds = timing.measure(steps, rounds)
    return timing.summarize(seconds, "plain", None), first_seconds


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    # It warns of tracing the same function again and again: one for each model.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    jit_compile = _JIT_COMPILE.value or keras.backend.backend() == "jax"
    about = environment([], rounds=_ROUNDS.value, jit_compile=jit_compile)
    print("\n".join(f"{key}: {value}" for key, value in about.items()))
    data = conll.Data(
        None, None, None, 30291, {conll.MAIN: 23, conll.AUXILIARY: 47}
    )
    results, first_seconds = benchmark(data, _ROUNDS.value, jit_compile)
    print("\n" + timing.table(results, LABELS, first_seconds, None))


if __name__ == "__main__":
    app.run(main)
