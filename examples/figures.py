"""What the figures of all examples have in common."""

import os
from typing import Any

# Okabe and Ito's colours, which colour-blind readers can tell apart, each with
# a marker of its own. Yellow is left out: it is too pale for lines.
STYLES = (
    {"color": "#000000", "marker": "o"},
    {"color": "#E69F00", "marker": "s"},
    {"color": "#0072B2", "marker": "^"},
    {"color": "#009E73", "marker": "D"},
    {"color": "#D55E00", "marker": "v"},
    {"color": "#CC79A7", "marker": "P"},
    {"color": "#56B4E9", "marker": "X"},
    {"color": "#7F7F7F", "marker": "*"},
)


def styles(count: int) -> list[dict[str, str]]:
    """Colours and markers for so many lines."""
    return [STYLES[index % len(STYLES)] for index in range(count)]


def new_figure(columns: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """A figure with a row of axes; `size` is in inches."""
    # Without pyplot, so that no display and no global state is touched.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def draw_line(axis: Any, values: list[float], **style: Any) -> None:
    """Draws one value an epoch, with markers that do not touch."""
    axis.plot(
        range(1, len(values) + 1),
        values,
        markevery=max(1, len(values) // 8),
        markersize=5,
        linewidth=1.5,
        **style,
    )


def save_figure(figure: Any, path: str | os.PathLike) -> None:
    """Writes a figure to a file."""
    figure.savefig(path, dpi=150)
