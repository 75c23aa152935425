"""Do self-auxiliaries move what is shared to the bottom? Asks linear probes.

MultiMNIST networks are trained with and without self-auxiliaries. Then a
logistic regression reads each shared layer of what was learnt: it is fitted
to validation examples, and judged on test examples. The better it does, the
more of the tasks is done in the shared layers.

  python -m examples.small_towers.probe
  python -m examples.small_towers.probe --report

A run that is killed is trained anew; finished ones stay.
"""

import pathlib

from absl import app
from absl import flags

from examples.runs import read_record
from examples.small_towers.probe.probe import METHODS
from examples.small_towers.probe.probe import Config
from examples.small_towers.probe.probe import run
from examples.small_towers.probe.probe import table
from keras_mtl.utils.files import write_whole

_METHOD = flags.DEFINE_multi_enum(
    "method", list(METHODS), list(METHODS), "Which networks to train."
)
_SEEDS = flags.DEFINE_integer("seeds", 2, "How many of each.", lower_bound=1)
_EPOCHS = flags.DEFINE_integer(
    "epochs", 5, "Passes over the training examples.", lower_bound=1
)
_LIMIT = flags.DEFINE_integer(
    "limit",
    12_000,
    "Source images: 12,000 make 20,000 training examples.",
    lower_bound=12,
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/probe", "Where runs are kept."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Where tensorflow-datasets keeps its data."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Train nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    configs = [
        Config(method, seed, _EPOCHS.value, _LIMIT.value)
        for seed in range(_SEEDS.value)
        for method in _METHOD.value
    ]
    records = []
    for config in configs:
        if _REPORT.value:
            record = read_record(folder / f"{config.name}.json")
        else:
            record = run(config, folder, _DATA_DIR.value)
            print(config.name, record["result"], flush=True)
        if record is not None:
            records.append(record)
    text = table(records)
    write_whole(folder / "probe.md", text)
    print(text)


if __name__ == "__main__":
    app.run(main)
