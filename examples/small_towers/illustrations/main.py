"""Draws the paper's figures 1, 3, 4, 7 and 8 into --output_dir.

Those of fronts are of networks that are trained for it, in half a minute;
that of the data shows what `keras_mtl.datasets.synthetic_sine` draws.

  python -m examples.small_towers.illustrations
"""

import pathlib

from absl import app
from absl import flags

from examples.small_towers.illustrations import architectures
from examples.small_towers.illustrations import plots

FIGURES = {
    "figure-1-training-trade-off": plots.draw_training_trade_off,
    "figure-3-method": architectures.draw_method,
    "figure-4-towers": architectures.draw_towers,
    "figure-7-convex-front": plots.draw_convex_front,
    "figure-8-data": plots.draw_data,
}

_FIGURE = flags.DEFINE_multi_enum(
    "figure", list(FIGURES), list(FIGURES), "Which figures to draw."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/small_towers/illustrations", "Where to draw them."
)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FIGURE.value:
        path = folder / f"{name}.png"
        FIGURES[name](path)
        print(path)


if __name__ == "__main__":
    app.run(main)
