"""A table of errors, and pictures of what was learned to be shared."""

import pathlib
from collections.abc import Mapping

from examples.relationships.train import TASKS
from examples.relationships.train import Run
from keras_mtl.callbacks import plot_sharing

# `independent` shares nothing that could be drawn.
DRAWN = ("relationship", "stitch")


def table(runs: Mapping[str, Run]) -> str:
    """Test errors as a Markdown table."""
    lines = [
        f"| model | {' | '.join(TASKS)} | mean |",
        "|---|" + "---:|" * (len(TASKS) + 1),
    ]
    for name, run in runs.items():
        errors = [run.test_loss[task] for task in TASKS]
        errors.append(sum(errors) / len(errors))
        cells = " | ".join(f"{error:.3f}" for error in errors)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def plot(runs: Mapping[str, Run], folder: pathlib.Path) -> list[pathlib.Path]:
    """Draws the layers that learn to share; returns the files."""
    paths = [folder / f"{name}.png" for name in DRAWN]
    for name, path in zip(DRAWN, paths, strict=True):
        plot_sharing(runs[name].model.get_layer(name), path)
    return paths
