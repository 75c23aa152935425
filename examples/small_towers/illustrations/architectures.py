"""The paper's figures 3 and 4: where self-auxiliaries are, and three kinds."""

import os
from typing import Any

from examples.figures import new_figure
from examples.figures import save_figure

# Fill and edge of a box: what is shared, what serves, what only trains.
SHARED = ("#D9E8F5", "#0072B2")
TOWER = ("#DDF0E8", "#009E73")
SMALL = ("#FBE3D3", "#D55E00")
PLAIN = ("#FFFFFF", "#555555")


def _box(
    axis: Any,
    center: tuple[float, float],
    size: tuple[float, float],
    text: str,
    look: tuple[str, str],
) -> None:
    """A rounded box with words in it."""
    from matplotlib.patches import FancyBboxPatch

    (x, y), (width, height) = center, size
    fill, edge = look
    axis.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=fill,
            edgecolor=edge,
            linestyle="--" if look == SMALL else "-",
        )
    )
    axis.text(x, y, text, ha="center", va="center", fontsize=9)


def _arrow(
    axis: Any, start: tuple[float, float], end: tuple[float, float]
) -> None:
    axis.annotate(
        "",
        end,
        start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": "0.35",
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )


def _canvas(axis: Any, width: float, height: float) -> None:
    axis.set(xlim=(0, width), ylim=(-0.4, height), aspect="equal")
    axis.axis("off")


def draw_method(path: str | os.PathLike) -> None:
    """Figure 3: a small tower beside the tower of each task."""
    figure, (axis,) = new_figure(1, (7.6, 5.2))
    _canvas(axis, 10, 6.2)
    _box(axis, (5, 0.4), (3, 0.5), "input $x$", PLAIN)
    _box(axis, (5, 1.5), (5, 0.7), r"shared layers $\theta_{sh}$", SHARED)
    _box(axis, (5, 2.55), (5, 0.5), "representation $h$", SHARED)
    _arrow(axis, (5, 0.65), (5, 1.15))
    _arrow(axis, (5, 1.85), (5, 2.3))
    for number, tower, small in ((1, 1.5, 3.7), (2, 8.5, 6.3)):
        _tower(axis, tower, number)
        _small_tower(axis, small, number)
        side = -1 if number == 1 else 1
        _arrow(axis, (5 + side * 2.2, 2.8), (tower, 3.35))
        _arrow(axis, (5 + side * 1.0, 2.8), (small, 3.35))
    axis.text(
        5,
        -0.3,
        "Dashed: self-auxiliaries, in training only. "
        "The model to serve has none.",
        ha="center",
        fontsize=9,
        color="0.3",
    )
    save_figure(figure, path)


def _tower(axis: Any, x: float, number: int) -> None:
    for index, name in enumerate(("hidden layer", "hidden layer", "output")):
        _box(axis, (x, 3.6 + 0.7 * index), (1.9, 0.5), name, TOWER)
        if index:
            _arrow(axis, (x, 3.15 + 0.7 * index), (x, 3.35 + 0.7 * index))
    _arrow(axis, (x, 5.25), (x, 5.6))
    loss = rf"$w_{number} L_{number}(\theta_{{sh}}, \theta_{number})$"
    axis.text(x, 5.85, loss, ha="center", va="center")


def _small_tower(axis: Any, x: float, number: int) -> None:
    _box(axis, (x, 3.6), (1.9, 0.5), "small tower", SMALL)
    _arrow(axis, (x, 3.85), (x, 4.4))
    loss = (
        rf"$w_{number} \gamma L_{number}"
        rf"(\theta_{{sh}}, \theta^a_{number})$"
    )
    axis.text(x, 4.65, loss, ha="center", va="center")


def draw_towers(path: str | os.PathLike) -> None:
    """Figure 4: the three kinds of small towers."""
    figure, axes = new_figure(3, (10.5, 2.9))
    kinds = {
        "(a) one dense layer": [],
        "(b) average pooling": [(5, "averages of\nneighbours", 0.9)],
        "(c) bottleneck": [(3, "few linear\nunits", 0.9)],
    }
    for axis, (title, layers) in zip(axes, kinds.items(), strict=True):
        _canvas(axis, 10, 6.4)
        axis.set_title(title, fontsize=11)
        _draw_units(axis, layers, pooled=title.startswith("(b)"))
    save_figure(figure, path)


def _draw_units(
    axis: Any, layers: list[tuple[int, str, float]], pooled: bool
) -> None:
    """Rows of units from the representation up to the prediction."""
    rows = [(10, "representation $h$", SHARED)]
    rows += [(count, name, SMALL) for count, name, _ in layers]
    rows += [(2, "prediction", SMALL)]
    heights = [1.2, 5.4] if len(rows) == 2 else [1.2, 3.3, 5.4]
    before: list[tuple[float, float]] = []
    for (count, name, look), y in zip(rows, heights, strict=True):
        units = [(5 + 0.8 * (i - (count - 1) / 2), y) for i in range(count)]
        for place, unit in enumerate(units):
            group = 2 if pooled and count == 5 else len(before)
            first = place * group if group == 2 else 0
            for other in before[first : first + group]:
                axis.plot(
                    *zip(other, unit, strict=True),
                    color="0.6",
                    linewidth=0.6,
                    zorder=1,
                )
        for unit in units:
            _unit(axis, unit, look)
        if y == heights[0]:
            place = (5, y - 0.9)
        else:
            # On the right of the row, where no lines are.
            place = (units[-1][0] + 1.5, y + 0.2)
        axis.text(*place, name, ha="center", va="center", fontsize=9)
        before = units


def _unit(
    axis: Any, center: tuple[float, float], look: tuple[str, str]
) -> None:
    from matplotlib.patches import Circle

    fill, edge = look
    axis.add_patch(
        Circle(center, 0.27, facecolor=fill, edgecolor=edge, zorder=2)
    )
