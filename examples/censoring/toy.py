"""The toy problem: the paper's section 4.1 and figure 3.

A point should lie on the unit circle, which is the main task, and only as far
as that allows near (2, 0), the auxiliary task; so it should end at (1, 0).
Draws the paths of all methods from the paper's four starts to
--output_dir/toy.png, and writes how far from (1, 0) they end to toy.md.

  python -m examples.censoring.toy
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import app
from keras import ops

import keras_mtl
from examples.censoring import methods
from examples.censoring import program
from examples.censoring.methods import Setting
from examples.figures import save_figure
from examples.figures import styles
from keras_mtl.utils.files import write_whole

STARTS = ((0.0, 2.0), (1.9, 0.9), (-0.3, 0.3), (0.2, 0.2))
SOLUTION, ATTRACTION = (1.0, 0.0), (2.0, 0.0)
WEIGHT = 0.1
# The paper prints a rate of 0.001 for Adam; its code has this one.
LEARNING_RATE = 0.01
ADAM, DESCENT = "Adam", "gradient descent"
STEPS = {ADAM: 5000, DESCENT: 2000}
# Steps that are compiled into one call: a call takes longer than a step.
STEPS_PER_EXECUTION = 500
# Each start is a variable of its own, on which the rules act separately.
SETTINGS = {
    "single task": Setting(methods.SINGLE),
    "multi-task": Setting(methods.MULTI, WEIGHT),
    "projection": Setting("projection", WEIGHT, "variable"),
    "projection, smoothing 0.1": Setting("projection", WEIGHT, "variable", 0.1),
    "projection, smoothing 0.01": Setting(
        "projection", WEIGHT, "variable", 0.01
    ),
    "unweighted cosine": Setting("unweighted_cosine", WEIGHT, "variable"),
    "weighted cosine": Setting("weighted_cosine", WEIGHT, "variable"),
    "orthogonal": Setting("orthogonal", WEIGHT, "variable"),
}
# Of the marks in the figure.
LOOKS = {
    "start": {"marker": "s", "color": "black", "markersize": 4.5, "zorder": 4},
    "end": {
        "marker": "o",
        "color": "black",
        "markerfacecolor": "white",
        "markersize": 5.5,
        "zorder": 5,
    },
    "(1, 0)": {"marker": "+", "color": "black", "markersize": 13, "zorder": 6},
}


class Points(keras.layers.Layer):
    """Points of the plane, and where they have been.

    Args:
        starts: Where they start, `(points, 2)`.
        steps: How many training steps are written down.

    Call arguments:
        inputs: Not looked at, but for how many they are.

    Returns:
        The points, once for each input: `(batch_size, points, 2)`.
    """

    def __init__(self, starts: Any, steps: int):
        super().__init__()
        self.points = [
            self.add_weight(
                shape=(2,), initializer=keras.initializers.Constant(start)
            )
            for start in np.array(starts)
        ]
        self.history = self.add_weight(
            shape=(steps, len(starts), 2), initializer="zeros", trainable=False
        )
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        points = ops.concatenate([p[None] for p in self.points])[None]
        if training:
            at = (self.step.value, 0, 0)
            self.history.assign(
                ops.slice_update(self.history.value, at, points)
            )
            self.step.assign_add(1)
        return ops.repeat(points, ops.shape(inputs)[0], axis=0)


def sum_of_squares(y_true: Any, y_pred: Any) -> Any:
    """Summed over the points, so that each has its own gradient."""
    squares = ops.square(y_true - y_pred)
    return ops.sum(ops.reshape(squares, (ops.shape(squares)[0], -1)), axis=-1)


def make_optimizer(name: str) -> keras.optimizers.Optimizer:
    """Adam with PyTorch's epsilon, as in the paper, or gradient descent."""
    if name == ADAM:
        return keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)
    return keras.optimizers.SGD(LEARNING_RATE)


def run(setting: Setting, optimizer: str) -> np.ndarray:
    """Trains the points.

    Returns:
        Where they were at first and after each step, `(1 + steps, 4, 2)`.
    """
    steps = STEPS[optimizer]
    layer = Points(STARTS, steps)
    inputs = keras.Input(())
    points = layer(inputs)
    radius = ops.sqrt(ops.sum(ops.square(points), axis=-1))
    model = keras_mtl.MultiTaskModel(
        inputs, {"main": radius, "auxiliary": points}
    )
    model.compile(
        make_optimizer(optimizer),
        loss={"main": sum_of_squares, "auxiliary": sum_of_squares},
        loss_weights={"main": 1.0, "auxiliary": setting.weight},
        aggregator=methods.aggregator(setting, "main", "zeros"),
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    targets = {
        "main": np.ones((steps, len(STARTS)), "float32"),
        "auxiliary": np.tile(
            np.array(ATTRACTION, "float32"), (steps, len(STARTS), 1)
        ),
    }
    model.fit(np.zeros(steps, "float32"), targets, batch_size=1, verbose=0)
    before, last = (
        ops.convert_to_numpy(v) for v in (layer.history, layer(np.zeros(1)))
    )
    return np.concatenate([before, last])


def distances(path: np.ndarray) -> np.ndarray:
    """How far from (1, 0) each point ends."""
    return np.linalg.norm(path[-1] - SOLUTION, axis=-1)


def table(paths: Mapping[str, np.ndarray], optimizer: str) -> str:
    """Distances of the ends from (1, 0), in Markdown."""
    starts = " | ".join(f"from ({x:g}, {y:g})" for x, y in STARTS)
    lines = [
        f"Distance from (1, 0) after {STEPS[optimizer]:,} steps of "
        f"{optimizer}:",
        "",
        f"| method | {starts} |",
        "|---|" + "---:|" * len(STARTS),
    ]
    for name, path in paths.items():
        ends = " | ".join(f"{distance:.4f}" for distance in distances(path))
        lines.append(f"| {name} | {ends} |")
    return "\n".join(lines)


def plot(
    paths: Mapping[str, np.ndarray], optimizer: str, path: pathlib.Path
) -> None:
    """A panel a method, over the contour lines of the main loss."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    for axis, (name, found) in zip(axes.flat, paths.items(), strict=True):
        _draw_losses(axis)
        _draw_paths(axis, found)
        axis.set_title(name, fontsize="small")
        axis.set(aspect="equal", xlim=(-1.15, 2.1), ylim=(-0.4, 2.15))
        axis.set(xticks=[-1, 0, 1, 2], yticks=[0, 1, 2])
    for axis in axes[-1]:
        axis.set_xlabel("$x$")
    for axis in axes[:, 0]:
        axis.set_ylabel("$y$")
    figure.legend(
        handles=_legend(),
        loc="outside lower center",
        ncols=6,
        fontsize="small",
        frameon=False,
    )
    figure.suptitle(
        f"Toy problem: {STEPS[optimizer]:,} steps of {optimizer}, "
        f"auxiliary weight {WEIGHT:g}",
        fontsize="medium",
    )
    save_figure(figure, path)


def _draw_losses(axis: Any) -> None:
    """Contours of the main loss, shaded where the two gradients conflict."""
    x, y = np.meshgrid(np.linspace(-1.2, 2.2, 341), np.linspace(-0.5, 2.2, 271))
    radius = np.hypot(x, y)
    product = (radius - 1) * (radius**2 - ATTRACTION[0] * x)
    axis.contourf(x, y, product, levels=[-9, 0], colors="0.9")
    loss = (radius - 1) ** 2
    levels = np.array([0.2, 0.4, 0.6, 0.8, 1.0, 1.2]) ** 2
    axis.contour(x, y, loss, levels=levels, colors="0.7", linewidths=0.6)
    axis.contour(x, y, radius, levels=[1], colors="0.4", linewidths=1.2)


def _draw_paths(axis: Any, paths: np.ndarray) -> None:
    axis.plot(*SOLUTION, **LOOKS["(1, 0)"])
    for index, look in enumerate(styles(len(STARTS))):
        points = paths[:, index]
        axis.plot(*points.T, color=look["color"], linewidth=1.6)
        axis.plot(*points[0], **LOOKS["start"])
        axis.plot(*points[-1], **LOOKS["end"])


def _legend() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [
        Line2D([], [], linestyle="", label=label, **look)
        for label, look in LOOKS.items()
    ]
    return [
        *marks,
        Line2D([], [], color="0.4", label="unit circle"),
        Line2D([], [], color="0.7", linewidth=0.6, label="main loss"),
        Patch(color="0.9", label="gradients conflict"),
    ]


def main(argv: list[str]) -> None:
    program.check_arguments(argv)
    folder = pathlib.Path(program.FLAGS.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    progress = keras.utils.Progbar(
        len(STEPS) * len(SETTINGS), unit_name="method"
    )
    texts = []
    for optimizer in STEPS:
        paths = {}
        for name, setting in SETTINGS.items():
            paths[name] = run(setting, optimizer)
            progress.add(1)
        texts.append(table(paths, optimizer))
        if optimizer == ADAM:  # as in the paper
            plot(paths, optimizer, folder / "toy.png")
    text = "\n\n".join(texts)
    write_whole(folder / "toy.md", text + "\n")
    print("\n" + text)


if __name__ == "__main__":
    program.define_output_dir()
    app.run(main)
