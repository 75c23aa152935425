"""Pictures of what the layers of a model share."""

import importlib
import os
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl.callbacks.sharing_layers import sharing_layers
from keras_mtl.callbacks.sharing_layers import shows_sharing
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix

# More cells than that cannot be read with a number in each.
MAX_NUMBERED = 12
# Inches: of cells with a number in each, which are wider for longer names, and
# of others.
CELL = 0.62
SMALL_CELL = 0.22
MAX_MAP = 8.0
MAX_FIGURE = 12.0
# What surrounds a map beside the names of its rows.
MARGIN = 1.3
LETTER = 0.085
# More names than that cannot be read beside each other.
MAX_NAMES = 30

MISSING = "#DDDDDD"


class Scale(NamedTuple):
    """From values to colours."""

    colors: str
    low: float
    high: float


def plot_sharing(
    layer: keras.layers.Layer, path: str | os.PathLike | None = None
) -> Any:
    """Draws what a layer shares, or one picture of each layer of a model.

    One heat map for each matrix of `layer.sharing_matrices()`, with a number
    in each cell where they are few. Values that cannot be negative go from
    white to blue; others have zero in the middle, blue above it, and red with
    stripes below it. Grey is what is not known yet.

    Args:
        layer: Layer with `sharing_matrices()`, or a model: then each such
            layer of it, also in nested models, that has a matrix to show.
        path: Where to write. A file, whose ending says the format; of a model
            it holds the pictures of all layers, one below the other. For a
            model without an ending of pictures, a folder for `<layer>.png`.
            Folders are made when they are missing. `None` writes nothing.

    Returns:
        The `matplotlib.figure.Figure`; for a model, a dictionary of figures by
        the names of the layers. A notebook shows them.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If there is nothing to show.

    Example:

    ```python
    keras_mtl.callbacks.plot_sharing(model.get_layer("stitch"), "stitch.png")
    keras_mtl.callbacks.plot_sharing(model, "all.png")
    keras_mtl.callbacks.plot_sharing(model, "pictures")  # pictures/stitch.png
    ```
    """
    if shows_sharing(layer) and not isinstance(layer, keras.Model):
        figure = _draw({layer.name: layer})
        if path is not None:
            _save(figure, path)
        return figure
    named = sharing_layers(layer) if isinstance(layer, keras.Model) else {}
    # One that is not built, or does not learn what is shared, has none.
    named = {
        name: inner
        for name, inner in named.items()
        if inner.built and inner.sharing_matrices()
    }
    if not named:
        raise ValueError(
            "`layer` should be a layer with `sharing_matrices()`, such as "
            "CrossStitch or MMoE, or a model with such layers. Received: "
            f"layer={layer!r}"
        )
    figures = _import_figures().NotebookFigures(
        (name, _draw({name: inner})) for name, inner in named.items()
    )
    if path is None:
        return figures
    if _is_picture(path):
        _save(_draw(named), path)
        return figures
    for name, figure in figures.items():
        _save(figure, Path(path, f"{name.replace('/', '_')}.png"))
    return figures


def _is_picture(path: str | os.PathLike) -> bool:
    """Whether it is the name of a file, and not of a folder for several."""
    known = _import_figures().NotebookFigure().canvas.get_supported_filetypes()
    ending = Path(path).suffix[1:].lower()
    return ending in known and not Path(path).is_dir()


def _draw(layers: dict[str, Any]) -> Any:
    """A figure of all matrices of some layers, one layer below the other."""
    plans = {name: _plan(name, layer) for name, layer in layers.items()}
    widths = [max(map(sum, plan.widths)) for plan in plans.values()]
    heights = [sum(plan.heights) + 0.4 for plan in plans.values()]
    figure = _import_figures().NotebookFigure(
        figsize=(max(4.0, *widths), sum(heights)), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    if len(plans) == 1:
        whole = [figure]
    else:
        whole = figure.subfigures(len(plans), 1, height_ratios=heights)
    for part, (name, plan) in zip(whole, plans.items(), strict=True):
        title = f"{name} ({type(layers[name]).__name__})"
        part.suptitle(title, fontsize=13)
        _draw_rows(part, plan)
    return figure


class Plan(NamedTuple):
    """The maps of a layer, row by row, and the inches that they take."""

    rows: list[list[SharingMatrix]]
    widths: list[list[float]]
    heights: list[float]


def _plan(name: str, layer: Any) -> Plan:
    matrices = layer.sharing_matrices()
    if not matrices:
        raise ValueError(f"Layer '{name}' has no matrix to show.")
    rows = _rows_of_maps(matrices)
    return Plan(
        rows,
        [[_width(matrix) for matrix in row] for row in rows],
        [max(_height(matrix) for matrix in row) for row in rows],
    )


def _draw_rows(figure: Any, plan: Plan) -> None:
    parts = figure.subfigures(len(plan.rows), 1, height_ratios=plan.heights)
    for part, row, ratios in zip(
        np.atleast_1d(parts), plan.rows, plan.widths, strict=True
    ):
        panels = part.subplots(1, len(row), width_ratios=ratios, squeeze=False)
        for panel, matrix in zip(panels[0], row, strict=True):
            _draw_map(panel, matrix)


def _save(figure: Any, path: str | os.PathLike) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, bbox_inches="tight", pad_inches=0.15)


def _import_figures() -> Any:
    # Figures without pyplot, so that no display and no state is touched.
    try:
        importlib.import_module("matplotlib.figure")
        from keras_mtl.utils import notebook_figure
    except ImportError as error:
        raise ImportError(
            "`plot_sharing` draws with matplotlib, which is not installed. "
            "Run: pip install 'keras_mtl[examples]'"
        ) from error
    return notebook_figure


def _is_numbered(matrix: SharingMatrix) -> bool:
    return max(np.shape(matrix.values)) <= MAX_NUMBERED


def _map_size(matrix: SharingMatrix) -> tuple[float, float]:
    """Inches of the cells, in height and in width."""
    rows, columns = np.shape(matrix.values)
    if _is_numbered(matrix):
        wanted = columns * max(CELL, _name_width(matrix))
        return rows * CELL, wanted if wanted <= MAX_MAP else columns * CELL
    # A wide map has few rows: they may be higher than its columns are wide.
    height = np.clip(rows * 2 * SMALL_CELL, 1.0, MAX_MAP)
    return height, np.clip(columns * SMALL_CELL, 3.0, MAX_MAP)


def _width(matrix: SharingMatrix) -> float:
    names = LETTER * max(map(len, matrix.rows))
    title = LETTER * 1.2 * len(matrix.title)
    return max(_map_size(matrix)[1] + names, title) + MARGIN


def _height(matrix: SharingMatrix) -> float:
    names = 0.2
    if _names_are_upright(matrix):
        names = LETTER * max(map(len, matrix.columns))
    return _map_size(matrix)[0] + names + 0.6


def _names_are_upright(matrix: SharingMatrix) -> bool:
    """Whether names of columns are too long to stand side by side."""
    room = _map_size(matrix)[1] / min(len(matrix.columns), MAX_NAMES)
    return _name_width(matrix) > room + 1e-6


def _name_width(matrix: SharingMatrix) -> float:
    """Inches that the longest name of a column takes, with some space."""
    return LETTER * (0.5 + max(map(len, matrix.columns)))


def _rows_of_maps(matrices: list[SharingMatrix]) -> list[list[SharingMatrix]]:
    """Maps side by side as long as the figure does not get too wide."""
    rows, width = [], MAX_FIGURE
    for matrix in matrices:
        width += _width(matrix)
        if width > MAX_FIGURE:
            rows.append([])
            width = _width(matrix)
        rows[-1].append(matrix)
    return rows


def _scale(matrix: SharingMatrix) -> Scale:
    values = np.asarray(matrix.values, "float64")
    values = values[np.isfinite(values)]
    smallest, largest = (
        (values.min(), values.max()) if values.size else (0.0, 1.0)
    )
    if matrix.low is not None and matrix.low >= 0:
        high = largest if matrix.high is None else matrix.high
        return Scale("Blues", matrix.low, max(high, matrix.low + 1e-6))
    bounds = [matrix.low, matrix.high]
    if None in bounds:
        bounds = [smallest, largest]
    limit = max(abs(bounds[0]), abs(bounds[1]), 1e-6)
    return Scale("RdBu", -limit, limit)


def _draw_map(axes: Any, matrix: SharingMatrix) -> None:
    values = np.asarray(matrix.values, "float64")
    scale = _scale(matrix)
    height, width = _map_size(matrix)
    image = axes.imshow(
        values,
        cmap=scale.colors,
        vmin=scale.low,
        vmax=scale.high,
        # By itself it would mix the rows where columns are less than a pixel.
        interpolation="nearest",
    )
    axes.set_box_aspect(height / width)
    axes.set_anchor("N")
    axes.set_aspect("auto")
    axes.set_facecolor(MISSING)
    if _is_numbered(matrix):
        _write_numbers(axes, image, values)
    else:
        _stripe_negative(axes, values, scale)
    _set_names(axes.set_xticks, matrix.columns, _names_are_upright(matrix))
    _set_names(axes.set_yticks, matrix.rows, False)
    axes.tick_params(length=0)
    axes.set_title(matrix.title, fontsize=11)
    axes.spines[:].set_color("#AAAAAA")
    bar = axes.figure.colorbar(
        image,
        cax=axes.inset_axes([1 + 0.1 / width, 0, 0.14 / width, 1]),
    )
    bar.outline.set_edgecolor("#AAAAAA")
    bar.locator = _import_locator()(nbins=4)
    bar.update_ticks()


def _import_locator() -> type:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator


def _write_numbers(axes: Any, image: Any, values: np.ndarray) -> None:
    rows, columns = values.shape
    # Lines tell cells apart that have one colour.
    for row in range(1, rows):
        axes.axhline(row - 0.5, color="white", linewidth=1.0)
    for column in range(1, columns):
        axes.axvline(column - 0.5, color="white", linewidth=1.0)
    for i, j in np.argwhere(np.isfinite(values)):
        red, green, blue, _ = image.cmap(image.norm(values[i, j]))
        dark = 0.3 * red + 0.59 * green + 0.11 * blue < 0.5
        axes.text(
            j,
            i,
            _number(values[i, j]),
            ha="center",
            va="center",
            color="white" if dark else "black",
            fontsize=10,
        )


def _number(value: float) -> str:
    text = f"{value:.2f}" if abs(value) < 100 else f"{value:.3g}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def _stripe_negative(axes: Any, values: np.ndarray, scale: Scale) -> None:
    """Tells negative from positive also in grey; not what is next to zero."""
    sizes = np.where(values < 0, -values / scale.high, 0.0)
    if scale.low >= 0:
        return
    for low, high, color in ((0.05, 0.6, "black"), (0.6, np.inf, "white")):
        striped = (sizes >= low) & (sizes < high)
        if striped.any():
            axes.pcolor(
                np.arange(values.shape[1] + 1) - 0.5,
                np.arange(values.shape[0] + 1) - 0.5,
                np.where(striped, 0.0, np.nan),
                facecolor="none",
                edgecolor=(color, 0.5),
                linewidth=0.0,
                hatch="///",
            )


def _set_names(set_ticks: Any, names: list[str], upright: bool) -> None:
    step = next(step for step in _round() if len(names) <= step * MAX_NAMES)
    places = range(0, len(names), step)
    set_ticks(
        places,
        [names[place] for place in places],
        rotation=90 if upright else 0,
        fontsize=9,
    )


def _round() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    for power in count():
        yield from (10**power, 2 * 10**power, 5 * 10**power)
