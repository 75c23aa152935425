"""A stock Keras model from a file, improved in three added lines.

Saves a plain two-output keras.Model as stock.keras, trains it from that file
once as it is and once with self-auxiliaries and PCGrad (the three lines marked
in train.py), and prints both test results. Then strips what was added, saves
improved.keras, exports a SavedModel, and checks that both files give the same
outputs as the trained model and hold no additional parameter.

  python -m examples.existing_model

Makes its own data; takes about half a minute.
"""

import pathlib
import shutil

from absl import app
from absl import flags

from examples.existing_model import report
from examples.existing_model import train

_EPOCHS = flags.DEFINE_integer(
    "epochs", 12, "Passes over the training examples.", lower_bound=1
)
_NUM_EXAMPLES = flags.DEFINE_integer(
    "num_examples",
    10_000,
    "Training examples. As many test examples are drawn.",
    lower_bound=100,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    "results/existing_model",
    "Where stock.keras, improved.keras and the SavedModel export/ are saved.",
)
_SEED = flags.DEFINE_integer(
    "seed", 0, "Of data, initial weights and batches.", lower_bound=0
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder / "export", ignore_errors=True)
    data = train.make_data(_NUM_EXAMPLES.value, _SEED.value)
    path = folder / "stock.keras"
    train.make_stock_model(path, _SEED.value)
    results = {}
    for name, method in (
        ("stock", train.train_stock),
        ("improved", train.train_improved),
    ):
        print(f"\n{name}", flush=True)
        model = method(path, data, _EPOCHS.value, _SEED.value, verbose=2)
        results[name] = train.evaluate(model, data["test"])
    print(f"\n{report.table(results)}")
    served = train.save_for_serving(model, folder, data["test"][0][:1000])
    print(
        f"\nTo serve: {folder / 'improved.keras'} (largest gap to the trained "
        f"model's outputs: {served['keras_file']:.1g}) and "
        f"{folder / 'export'} ({served['saved_model']:.1g}), "
        f"{served['parameters']:,} parameters, as before."
    )


if __name__ == "__main__":
    app.run(main)
