"""CoNLL-2003: the paper's experiment 3 (figures 6 and 12).

A network of two LSTM layers finds phrases in news stories (chunks, the main
task) and parts of speech (the auxiliary one), with everything shared but the
last layer of each. Writes one line a run to --output_dir/conll.jsonl; runs
that are there are not run again.

  KERAS_BACKEND=jax python -m examples.censoring.conll --method=projection

JAX takes two thirds of the time that TensorFlow takes. The embeddings are 36
MB, and half of a step goes into them; where glibc gives their memory back to
the system at every step, this saves a third more on Linux:

  GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.mmap_max=0:\
glibc.malloc.trim_threshold=8589934592
"""

import dataclasses
import functools

import keras
import numpy as np
from absl import app
from absl import flags

import keras_mtl
from examples.censoring import methods
from examples.censoring import program
from examples.censoring import sweep
from examples.censoring.methods import Setting
from examples.censoring.program import Cell
from examples.censoring.restart import Restart
from keras_mtl.datasets import load_conll2003

MAIN, AUXILIARY = "chunk", "pos"
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SMOOTHINGS = (1.0, 0.01)
EMBEDDING, UNITS, LAYERS, DROPOUT = 300, 128, 2, 0.2
STREAMS, STEPS = 128, 10  # a batch: words side by side, and in a row
LEARNING_RATE, EPOCHS, PATIENCE = 1e-4, 40, 25


@dataclasses.dataclass(frozen=True)
class Data:
    """Each part as one row of words: where sentences end is forgotten.

    Attributes:
        train: `(words, tags)`: `int32` arrays `(count,)`, a dict by task for
            the tags.
        validation: The same.
        test: The same.
        num_words: How many ids of words there are.
        num_classes: By task.
    """

    train: tuple[np.ndarray, dict[str, np.ndarray]]
    validation: tuple[np.ndarray, dict[str, np.ndarray]]
    test: tuple[np.ndarray, dict[str, np.ndarray]]
    num_words: int
    num_classes: dict[str, int]


@functools.cache
def make_data(limit: int | None = None) -> Data:
    """Reads the stories.

    As in the author's code, words of validation and test have embeddings of
    their own, which no training changes. His rows have a word more for each
    story (1 in 200), the line that begins it, which our source leaves out.
    """
    source = load_conll2003(all_words=True, limit=limit)

    def flat(part: tuple) -> tuple:
        x, y = part
        tags = {task: y[task][x > 0] for task in (MAIN, AUXILIARY)}
        return x[x > 0], tags

    return Data(
        flat(source.train),
        flat(source.validation),
        flat(source.test),
        len(source.vocabulary),
        {task: source.num_classes[task] for task in (MAIN, AUXILIARY)},
    )


def streams(row: np.ndarray) -> np.ndarray:
    """Cuts a row of words into batches in which each goes on from the last.

    The row becomes `STREAMS` streams of equal length; batch i holds words
    `i * STEPS` to `(i + 1) * STEPS` of each. What is left over is dropped.

    Returns:
        Array `(batches * STREAMS, STEPS)`, batch after batch.
    """
    length = len(row) // STREAMS
    batches = length // STEPS
    table = row[: length * STREAMS].reshape(STREAMS, length)
    table = table[:, : batches * STEPS].reshape(STREAMS, batches, STEPS)
    return table.swapaxes(0, 1).reshape(-1, STEPS)


def windows(row: np.ndarray) -> np.ndarray:
    """Cuts a row of words into rows of `STEPS`, zeros after the last."""
    padding = -len(row) % STEPS
    return np.pad(row, (0, padding)).reshape(-1, STEPS)


def in_streams(part: tuple) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The batches of words and of their tags."""
    words, tags = part
    return streams(words), {task: streams(tags[task]) for task in tags}


def make_network(data: Data) -> keras_mtl.MultiTaskModel:
    """Embeddings and LSTM layers that the tasks share, and an output each.

    Initial values are those of the author's code, in PyTorch.
    """
    words = keras.Input((STEPS,), dtype="int32")
    features = keras.layers.Embedding(
        data.num_words, EMBEDDING, embeddings_initializer=uniform(0.1)
    )(words)
    features = keras.layers.Dropout(DROPOUT)(features)
    for _ in range(LAYERS):
        features = keras.layers.LSTM(
            UNITS,
            return_sequences=True,
            kernel_initializer=uniform(UNITS**-0.5),
            recurrent_initializer=uniform(UNITS**-0.5),
            bias_initializer=two_biases,
            unit_forget_bias=False,
        )(features)
    features = keras.layers.Dropout(DROPOUT)(features)
    outputs = {
        task: keras.layers.Dense(
            count, kernel_initializer=uniform(0.1), name=task
        )(features)
        for task, count in data.num_classes.items()
    }
    return keras_mtl.MultiTaskModel(words, outputs)


def uniform(bound: float) -> keras.initializers.Initializer:
    """A new one each time: an initializer always draws the same numbers."""
    return keras.initializers.RandomUniform(-bound, bound)


def two_biases(shape: tuple[int, ...], dtype: str | None = None) -> np.ndarray:
    """The sum of the two biases that an LSTM of PyTorch has.

    There Adam moves both, so their sum moves twice as fast as the one here.
    """
    first, second = uniform(UNITS**-0.5), uniform(UNITS**-0.5)
    return first(shape, dtype) + second(shape, dtype)


def make_optimizer() -> keras.optimizers.Optimizer:
    """Adam, which clips the gradient after the tasks are combined.

    PyTorch's epsilon matters: gradients of single embeddings are tiny.
    """
    return keras.optimizers.Adam(
        LEARNING_RATE, epsilon=1e-8, global_clipnorm=1.0
    )


def make_losses() -> dict[str, keras.losses.Loss]:
    """Cross-entropy for each task."""
    return {
        task: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        for task in (MAIN, AUXILIARY)
    }


@functools.lru_cache(maxsize=1)
def make_model(setting: Setting, limit: int | None = None) -> Restart:
    """The network, compiled."""
    model = make_network(make_data(limit))
    model.compile(
        make_optimizer(),
        loss=make_losses(),
        loss_weights={MAIN: 1.0, AUXILIARY: setting.weight},
        aggregator=methods.aggregator(setting, MAIN, "zeros"),
        # XLA is slow on TensorFlow here: three times as slow as the graph.
        jit_compile=keras.backend.backend() == "jax",
    )
    return Restart(model)


def run(
    cell: Cell, limit: int | None = None, epochs: int = EPOCHS
) -> dict[str, float]:
    """Trains until validation does not improve, and measures on the test part.

    Args:
        cell: Which run.
        limit: Use only so many sentences of each split.
        epochs: Train for no more.

    Returns:
        With the weights that were best on validation, `test_accuracy` of the
        main task over all words and `last_batch_accuracy` over the last batch
        alone, as the paper has it; `val_loss` and `epochs`.
    """
    data = make_data(limit)
    restart = make_model(cell.setting, limit)
    model = restart.model
    keras.utils.set_random_seed(cell.seed)
    fresh = make_network(data)
    restart(fresh.get_weights(), model)
    for ours, new in zip(
        _dropout_states(model), _dropout_states(fresh), strict=True
    ):
        ours.assign(new)
    stopping = keras.callbacks.EarlyStopping(
        f"val_{MAIN}_loss",
        mode="min",
        patience=PATIENCE,
        restore_best_weights=True,
    )
    history = model.fit(
        *in_streams(data.train),
        batch_size=STREAMS,
        shuffle=False,
        validation_data=in_streams(data.validation),
        validation_batch_size=10 * STREAMS,
        epochs=epochs,
        callbacks=[stopping],
        verbose=0,
    )
    return {
        "test_accuracy": accuracy(model, data.test),
        "last_batch_accuracy": last_batch_accuracy(model, data.test),
        "val_loss": float(stopping.best),
        "epochs": len(history.epoch),
    }


def _dropout_states(model: keras.Model) -> list[keras.Variable]:
    """What the random numbers of dropout depend on; no weights."""
    return [
        layer.seed_generator.state
        for layer in model.layers
        if isinstance(layer, keras.layers.Dropout)
    ]


def accuracy(model: keras.Model, part: tuple) -> float:
    """How many words have the right tag of the main task."""
    words, tags = part
    found = _predict(model, windows(words)).reshape(-1)[: len(words)]
    return float(np.mean(found == tags[MAIN]))


def last_batch_accuracy(model: keras.Model, part: tuple) -> float:
    """The same of the last batch alone, which is what the author measured."""
    x, y = in_streams(part)
    found = _predict(model, x[-STREAMS:])
    return float(np.mean(found == y[MAIN][-STREAMS:]))


def _predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    outputs = model.predict(x, batch_size=10 * STREAMS, verbose=0)
    return np.argmax(outputs[MAIN], axis=-1)


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    limit, epochs = program.FLAGS.limit, program.FLAGS.epochs
    # A quick look is not to be taken for the result of a sweep.
    name = "conll" if limit is None else f"conll-limit{limit}"
    name += "" if epochs == EPOCHS else f"-epochs{epochs}"
    chosen = functools.partial(run, limit=limit, epochs=epochs)
    sweep.sweep(program.results_file(name), program.chosen_cells(), chosen)


if __name__ == "__main__":
    program.define_flags(
        weights=WEIGHTS,
        smoothings=SMOOTHINGS,
        granularities=["variable"],
        seeds=3,
    )
    flags.DEFINE_integer(
        "epochs",
        EPOCHS,
        "At most so many: the paper's appendix says 40, its text 300.",
        lower_bound=1,
    )
    flags.DEFINE_integer(
        "limit",
        None,
        "Use only so many sentences of each split, for a quick look.",
        lower_bound=200,
    )
    app.run(main)
