"""Figures that a notebook shows as pictures; the only import of matplotlib."""

import base64
import io
from typing import Any

from matplotlib.figure import Figure


class NotebookFigure(Figure):
    """A `matplotlib.figure.Figure` that notebooks show where it is returned.

    Of a figure that was made without pyplot, which opens windows and keeps
    what it made, a notebook shows the text `<Figure size ...>`. As pyplot does
    not know this one either, it is not shown a second time.
    """

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        # As it is saved by `plot_sharing`, which has titles that stick out.
        self.savefig(
            picture, format="png", bbox_inches="tight", pad_inches=0.15
        )
        return picture.getvalue()


class NotebookFigures(dict[str, Any]):
    """Figures by name, which notebooks show below each other."""

    def _repr_html_(self) -> str:
        return "\n".join(
            '<img src="data:image/png;base64,'
            f'{base64.b64encode(figure._repr_png_()).decode()}"/><br/>'
            for figure in self.values()
        )
