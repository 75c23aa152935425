"""IMDB with censored weight decay: the paper's experiment 4 (figures 7, 13).

A network that is far too wide says whether a film review is favourable. Its
weights are decayed, decoupled from Adam, and the decay is censored against
the gradient of the loss. Writes one line a run to --output_dir/imdb.jsonl;
runs that are there are not run again.

  python -m examples.censoring.imdb --method=projection --seeds=1
"""

import dataclasses
import functools

import keras
import numpy as np
from absl import app
from absl import flags

from examples.censoring import methods
from examples.censoring import program
from examples.censoring import sweep
from examples.censoring.methods import Setting
from examples.censoring.program import Cell
from examples.censoring.restart import Restart
from examples.censoring.restart import SameRandomNumbers
from keras_mtl.datasets.tfds_arrays import load_arrays
from keras_mtl.optimizers import CensoredWeightDecay

WEIGHTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
SMOOTHINGS = (1.0, 0.01)
WORDS, WIDTH = 10000, 512
TRAINING_REVIEWS = 20000
BATCH_SIZE, EPOCHS, PATIENCE = 512, 1000, 5


@dataclasses.dataclass(frozen=True)
class Data:
    """Which of the words a review has, `uint8`, and whether it is favourable.

    Attributes:
        train: `(x, y)`, shapes `(reviews, WORDS)` and `(reviews, 1)`.
        validation: The same; a fifth of the source's training part.
        test: The same.
    """

    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


@functools.cache
def make_data(limit: int | None = None) -> Data:
    """Reads the reviews, and finds the most frequent words of those to train.

    The paper takes the first words of `keras.datasets.imdb`, which are the
    most frequent ones too; it does not say which reviews are for validation.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    parts = {
        part: load_arrays("imdb_reviews", part, ("text", "label"), limit=limit)
        for part in ("train", "test")
    }
    texts, labels = parts["train"]
    order = np.random.default_rng(0).permutation(len(texts))
    cut = len(texts) * TRAINING_REVIEWS // 25000
    training, validation = order[:cut], order[cut:]
    vectorizer = CountVectorizer(
        binary=True, max_features=WORDS, dtype="uint8", token_pattern=r"[\w']+"
    ).fit(texts[training])

    def encode(texts: np.ndarray, labels: np.ndarray) -> tuple:
        x = vectorizer.transform(texts).toarray()
        missing = WORDS - x.shape[1]  # few reviews have few words
        x = np.pad(x, ((0, 0), (0, missing)))
        return x, labels.astype("float32")[:, None]

    return Data(
        encode(texts[training], labels[training]),
        encode(texts[validation], labels[validation]),
        encode(*parts["test"]),
    )


def make_network() -> keras.Model:
    """Two hidden layers, much wider than the task needs."""
    return keras.Sequential(
        [
            keras.Input((WORDS,), dtype="uint8"),
            keras.layers.Rescaling(1.0),  # to floating point
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dense(1),
        ]
    )


def make_optimizer(setting: Setting) -> keras.optimizers.Optimizer:
    """Adam with the weight decay of a setting."""
    adam = keras.optimizers.Adam(1e-3)
    if setting.method == methods.SINGLE:
        return adam
    rule = methods.aggregator(setting, "main", initial_reference="zeros")
    return CensoredWeightDecay(adam, setting.weight, rule)


@functools.lru_cache(maxsize=1)
def make_model(setting: Setting) -> Restart:
    """The network, compiled."""
    model = make_network()
    model.compile(
        make_optimizer(setting),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)],
    )
    return Restart(model)


def run(cell: Cell, limit: int | None = None) -> dict[str, float]:
    """Trains until validation does not improve, and measures on the test part.

    Args:
        cell: Which run.
        limit: Use only so many reviews of each split.

    Returns:
        `test_loss`, the cross-entropy with the weights that were best on
        validation, `test_accuracy`, `val_loss` and `epochs`.
    """
    data = make_data(limit)
    restart = make_model(cell.setting)
    keras.utils.set_random_seed(cell.seed)
    restart(make_network().get_weights(), restart.model)
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=PATIENCE, restore_best_weights=True
    )
    history = restart.model.fit(
        *data.train,
        batch_size=BATCH_SIZE,
        validation_data=data.validation,
        validation_batch_size=1000,
        epochs=EPOCHS,
        callbacks=[SameRandomNumbers(), stopping],
        verbose=0,
    )
    loss, accuracy = restart.model.evaluate(
        *data.test, batch_size=1000, verbose=0
    )
    return {
        "test_loss": float(loss),
        "test_accuracy": float(accuracy),
        "val_loss": float(stopping.best),
        "epochs": len(history.epoch),
    }


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    limit = program.FLAGS.limit
    # A quick look is not to be taken for the result of a sweep.
    name = "imdb" if limit is None else f"imdb-limit{limit}"
    limited = functools.partial(run, limit=limit)
    sweep.sweep(program.results_file(name), program.chosen_cells(), limited)


if __name__ == "__main__":
    program.define_flags(
        weights=WEIGHTS,
        smoothings=SMOOTHINGS,
        granularities=["variable"],
        seeds=5,
    )
    flags.DEFINE_integer(
        "limit",
        None,
        "Use only so many reviews of each split, for a quick look.",
        lower_bound=10,
    )
    app.run(main)
