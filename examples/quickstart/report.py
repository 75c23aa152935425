"""The table and the figure of the quickstart."""

import os

import numpy as np

from examples.figures import draw_line
from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.quickstart.train import TASKS
from examples.quickstart.train import Run


def table(runs: dict[str, Run]) -> str:
    """Test losses and conflicts, one method a line."""
    header = ["method", *(f"test loss {t}" for t in TASKS), "mean"]
    rows = [[*header, "conflict", "seconds"]]
    for name, run in runs.items():
        losses = list(run.test_loss.values())
        rows.append(
            [
                name,
                *(f"{loss:.3f}" for loss in [*losses, np.mean(losses)]),
                f"{100 * run.conflict:.1f} %",
                f"{run.seconds:.0f}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0])]
            + [
                cell.rjust(width)
                for cell, width in zip(row[1:], widths[1:], strict=True)
            ]
        )
        for row in rows
    )


def plot(runs: dict[str, Run], path: str | os.PathLike) -> None:
    """Test loss of each task and gradient conflict against the epoch."""
    figure, axes = new_figure(3, (12, 3.8))
    panels = [
        *((f"val_{t}_loss", f"Task {t}", "test loss (MSE / variance)")
          for t in TASKS),
        ("gradient_conflict", "Conflict", "steps with conflict (%)"),
    ]  # fmt: skip
    for axis, (key, title, label) in zip(axes, panels, strict=True):
        scale = 100 if key == "gradient_conflict" else 1
        for (name, run), style in zip(
            runs.items(), styles(len(runs)), strict=True
        ):
            values = [scale * value for value in run.history[key]]
            draw_line(axis, values, label=name, **style)
        axis.set(title=title, xlabel="epoch", ylabel=label)
        axis.set_ylim(bottom=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0].legend()
    save_figure(figure, path)
