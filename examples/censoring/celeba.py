"""CelebA: the paper's experiment 1 (figures 4 and 10).

A convolutional network says whether a face is attractive, and the auxiliary
task finds the eyes, the nose and the corners of the mouth. Writes one line a
run to --output_dir/celeba.jsonl; runs that are there are not run again.

  python -m examples.censoring.celeba --method=projection --seeds=1

CelebA is 1.4 GB, from a server that does not always give it, and for research
that is not commercial. --stand_in draws faces instead: that shows that the
program works and says nothing about CelebA. Its runs are kept apart, in
celeba_stand_in.jsonl.
"""

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
from examples.censoring.restart import SameRandomNumbers
from keras_mtl.datasets import CelebA

WEIGHTS = (300.0, 1000.0, 3000.0, 10000.0, 30000.0)
SMOOTHINGS = (1.0, 0.01)
LEARNING_RATE, BATCH_SIZE, EPOCHS, PATIENCE = 1e-3, 100, 1000, 10
EXAMPLES_PER_PART = 10000


@functools.lru_cache(maxsize=1)
def make_data(stand_in: bool, examples_per_part: int) -> CelebA:
    """CelebA, or its stand-in with a line that says so."""
    if not stand_in:
        try:
            return keras_mtl.datasets.load_celeb_a(
                examples_per_part=examples_per_part
            )
        except FileNotFoundError as error:
            raise app.UsageError(f"{error} Or try --stand_in.") from error
    print(
        "STAND-IN: these faces are drawn and are not CelebA. The results are "
        "not those of the paper's experiment."
    )
    return keras_mtl.datasets.celeb_a_stand_in(
        examples_per_part=examples_per_part
    )


def make_network() -> keras.Model:
    """The network of Zhang et al. (2014) with ReLU, and two outputs."""
    inputs = keras.Input((40, 40, 1))
    features = inputs
    for filters, size in ((16, 5), (48, 3), (64, 3)):
        features = keras.layers.Conv2D(filters, size, activation="relu")(
            features
        )
        features = keras.layers.MaxPooling2D()(features)
    features = keras.layers.Conv2D(64, 2, activation="relu")(features)
    features = keras.layers.Flatten()(features)
    features = keras.layers.Dense(100, activation="relu")(features)
    outputs = {
        name: keras.layers.Dense(size, activation="sigmoid", name=name)(
            features
        )
        for name, size in (("attribute", 1), ("landmarks", 10))
    }
    return keras_mtl.MultiTaskModel(inputs, outputs)


@functools.lru_cache(maxsize=1)
def make_model(setting: Setting) -> Restart:
    """The network, compiled."""
    model = make_network()
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE),
        loss={"attribute": "binary_crossentropy", "landmarks": "mse"},
        loss_weights={"attribute": 1.0, "landmarks": setting.weight},
        aggregator=methods.aggregator(setting, "attribute", "first_gradient"),
    )
    return Restart(model)


class ValidationAUC(keras.callbacks.Callback):
    """Adds `val_auc` to the logs of an epoch, for the callbacks after it.

    `keras.metrics.AUC` is an approximation by thresholds; the methods differ
    by a few thousandths.

    Args:
        x: Images.
        labels: Zeros and ones, `(examples,)`.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray):
        super().__init__()
        self.x = x
        self.labels = labels

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs["val_auc"] = auc(self.model, self.x, self.labels)


def auc(model: keras.Model, x: np.ndarray, labels: np.ndarray) -> float:
    """Area under the receiver operating characteristic of the main task."""
    from sklearn.metrics import roc_auc_score

    scores = model.predict(x, batch_size=500, verbose=0)["attribute"]
    if not np.isfinite(scores).all():
        return float("nan")  # training diverged
    return float(roc_auc_score(labels, scores[:, 0]))


def run(
    cell: Cell,
    stand_in: bool = False,
    examples_per_part: int = EXAMPLES_PER_PART,
) -> dict[str, float]:
    """Trains until validation does not improve, and measures on the test part.

    Args:
        cell: Which run.
        stand_in: Whether to use drawings instead of CelebA.
        examples_per_part: How many images to train, validate and test.

    Returns:
        `test_auc` with the weights that were best on validation, `val_auc`
        and `epochs`.
    """
    data = make_data(stand_in, examples_per_part)
    restart = make_model(cell.setting)
    keras.utils.set_random_seed(cell.seed)
    restart(make_network().get_weights(), restart.model)
    x, labels = data.validation
    stopping = keras.callbacks.EarlyStopping(
        "val_auc", mode="max", patience=PATIENCE, restore_best_weights=True
    )
    history = restart.model.fit(
        *data.train,
        batch_size=BATCH_SIZE,
        epochs=EPOCHS,
        # The order matters: the second reads what the first adds.
        callbacks=[
            SameRandomNumbers(),
            ValidationAUC(x, labels["attribute"]),
            stopping,
        ],
        verbose=0,
    )
    x, labels = data.test
    return {
        "test_auc": auc(restart.model, x, labels["attribute"]),
        "val_auc": float(stopping.best),
        "epochs": len(history.epoch),
    }


def experiment(stand_in: bool, examples_per_part: int) -> str:
    """Name of the results: neither drawings nor a quick look are CelebA's."""
    name = "celeba_stand_in" if stand_in else "celeba"
    if examples_per_part != EXAMPLES_PER_PART:
        name = f"{name}-limit{examples_per_part}"
    return name


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    data = (program.FLAGS.stand_in, program.FLAGS.limit)
    sweep.sweep(
        program.results_file(experiment(*data)),
        program.chosen_cells(),
        lambda cell: run(cell, *data),
    )


if __name__ == "__main__":
    program.define_flags(
        weights=WEIGHTS,
        smoothings=SMOOTHINGS,
        granularities=methods.GRANULARITIES,
        seeds=10,
    )
    flags.DEFINE_bool("stand_in", False, "Draw faces that stand in for CelebA.")
    flags.DEFINE_integer(
        "limit",
        EXAMPLES_PER_PART,
        "Images to train, to validate and to test.",
        lower_bound=10,
    )
    app.run(main)
