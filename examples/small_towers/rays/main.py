"""Where methods that take a preference end, along five preference rays.

The problem of two objectives of the papers (Exact Pareto Optimal search, Pareto
multi-task learning), whose front is concave but for its ends, as a
`MultiTaskModel` whose only variable is the point x. Writes one JSON file a
method into --output_dir, then a table of the angles to the wanted rays and of
the distances to the front, and the figure rays.png.

  python -m examples.small_towers.rays --output_dir=results/rays

Methods whose file is there are not run again.
"""

import pathlib

from absl import app
from absl import flags

from examples.small_towers.rays import report
from examples.small_towers.rays import runs
from keras_mtl.utils.files import write_whole

_METHOD = flags.DEFINE_list("method", list(runs.METHODS), "Only these methods.")
_STEPS = flags.DEFINE_integer(
    "steps", 600, "Steps of gradient descent.", lower_bound=1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/rays", "Where runs, table and figure are kept."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Run nothing; report what --output_dir holds."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    unknown = set(_METHOD.value) - set(runs.METHODS)
    if unknown:
        raise app.UsageError(
            f"--method: unknown: {sorted(unknown)}. There are "
            f"{list(runs.METHODS)}."
        )
    if not _REPORT.value:
        for name in _METHOD.value:
            runs.run(runs.Config(name, _STEPS.value), folder)
            print(f"{name}: done", flush=True)
    ends = runs.load(folder)
    if not ends:
        raise app.UsageError(f"--output_dir holds no run: {folder}")
    text = report.table(ends)
    write_whole(folder / "rays.md", text + "\n")
    report.plot(ends, folder / "rays.png")
    print("\n" + text)


if __name__ == "__main__":
    app.run(main)
