"""Draws the path of a batch through a training step.

    python -m docs.path_of_a_batch

Each box is a function, and names the file that it stands in; a test says that
it is there.
"""

from pathlib import Path
from typing import NamedTuple

PICTURE = Path(__file__).parent / "images" / "path_of_a_batch.png"


class Stage(NamedTuple):
    """One function that a batch passes.

    Attributes:
        place: `"file.py: function"` below keras_mtl.
        does: What becomes of the batch.
        beside: A function that has to do with it, or nothing.
    """

    place: str
    does: str
    beside: str = ""


STAGES = [
    Stage(
        "trainers/trainer.py: train_step",
        "Keras' trainer hands over a batch",
        "backend/neutral.py: run_step",
    ),
    Stage(
        "trainers/batches.py: prepare_batch",
        "class weights go into sample weights",
        "labels/class_weights.py: with_class_weight",
    ),
    Stage(
        "trainers/step.py: train_step",
        "one forward pass, seen by the backend",
        "backend/neutral.py: differentiate",
    ),
    Stage(
        "trainers/taps.py: open_taps",
        "gradients stop at a representation; auxiliaries read",
        "trainers/taps.py: predict_auxiliaries",
    ),
    Stage(
        "trainers/evaluate.py: evaluate",
        "one loss a task, over what is labelled",
        "trainers/task_losses.py: recording",
    ),
    Stage(
        "trainers/objectives.py: make_objectives",
        "loss weights, weighting, loss scale: T scalars",
        "weightings/weighting.py: weights",
    ),
    Stage(
        "backend/neutral.py: task",
        "one backward pass a task",
        "backend/neutral.py: rest",
    ),
    Stage(
        "trainers/aggregate.py: aggregate",
        "what one task alone reaches keeps its gradient",
        "trainers/cut.py: check_cut",
    ),
    Stage(
        "trainers/combine.py: combine",
        "transform, Gram, weights of tasks, weighted sum",
        "gradients/gram.py: scaled_gram",
    ),
    Stage(
        "aggregators/aggregator.py: update",
        "weights of the tasks; absent ones stand aside",
        "solvers/absent_tasks.py: stand_aside",
    ),
    Stage(
        "backend/neutral.py: apply_gradients",
        "the optimizer moves the variables",
    ),
    Stage(
        "trainers/observations.py: update_weighting",
        "what a weighting learns from the step",
        "trainers/observations.py: observe",
    ),
    Stage(
        "trainers/taken_step.py: keep_state_of_step",
        "a step that is not taken leaves no trace in methods",
        "saving/method_state.py: keep",
    ),
]


def draw(path: Path = PICTURE) -> None:
    """Writes the picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    height = 0.66 * len(STAGES) + 0.4
    figure, axes = pyplot.subplots(figsize=(12, height))
    axes.set_xlim(0, 12)
    axes.set_ylim(-len(STAGES) + 0.4, 0.9)
    axes.axis("off")
    for index, stage in enumerate(STAGES):
        _box(axes, 0.1, -index, 3.5, stage.place, "#dbe9f6")
        axes.text(3.85, -index, stage.does, va="center", fontsize=9)
        if stage.beside:
            _box(axes, 8.9, -index, 3.0, stage.beside, "#f2f2f2", 7)
        if index:
            axes.annotate(
                "",
                (1.85, -index + 0.34),
                (1.85, -index + 0.66),
                arrowprops={"arrowstyle": "-|>", "color": "#555555"},
            )
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110, bbox_inches="tight")
    pyplot.close(figure)


def _box(axes, x, y, width, place, color, size=8.5) -> None:
    file, _, name = place.partition(": ")
    axes.text(
        x + width / 2,
        y,
        f"{name}\n{file}",
        ha="center",
        va="center",
        fontsize=size,
        family="monospace",
        linespacing=1.25,
    )
    from matplotlib import patches

    axes.add_patch(
        patches.FancyBboxPatch(
            (x, y - 0.31),
            width,
            0.62,
            boxstyle="round,pad=0.02",
            facecolor=color,
            edgecolor="#8a8a8a",
            zorder=0,
        )
    )


if __name__ == "__main__":
    draw()
    print(PICTURE)
