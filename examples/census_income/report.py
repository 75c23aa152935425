"""The table and the figure of all runs in a folder."""

import os
import pathlib

from examples.architecture_report import plot
from examples.architecture_report import table
from examples.architecture_runs import load_runs
from examples.census_income.model import ARCHITECTURES
from keras_mtl.utils.files import write_whole


def write_report(output_dir: str | os.PathLike) -> str:
    """Writes `results.md` and `auc.png` of all finished runs.

    Args:
        output_dir: The folder with the JSON files of `train`.

    Returns:
        The table of test AUC, in Markdown.
    """
    folder = pathlib.Path(output_dir)
    runs = load_runs(folder, ARCHITECTURES)
    if not runs:
        raise FileNotFoundError(
            f"`output_dir` holds no finished run. Received: {folder}"
        )
    # The models differ by less than a tenth of a percent.
    text = table(runs, digits=3) + "\n"
    write_whole(folder / "results.md", text)
    plot(
        runs,
        folder / "auc.png",
        title="Census-Income, networks of equal size",
        xlabel="test AUC, income (%)",
        ylabel="test AUC, never married (%)",
    )
    return text
