"""The tables and figures of all runs in a folder."""

import os
import pathlib

from examples.architecture_report import plot
from examples.architecture_report import table
from examples.architecture_runs import load_runs
from examples.text_tasks.model import ARCHITECTURES
from keras_mtl.utils.files import write_whole

TITLES = {"clinc": "CLINC", "trec": "TREC"}


def write_report(output_dir: str | os.PathLike) -> str:
    """Writes `results.md`, `clinc.png` and `trec.png` of all finished runs.

    Args:
        output_dir: The folder with the folders that `train` writes.

    Returns:
        The tables of test accuracy, in Markdown.
    """
    folder = pathlib.Path(output_dir)
    sections = []
    for source, title in TITLES.items():
        runs = load_runs(folder / source, ARCHITECTURES)
        if not runs:
            continue
        sections.append(f"### {title}: test accuracy (%)\n\n{table(runs)}\n")
        first, second = next(iter(runs.values()))[0]["tasks"]
        plot(
            runs,
            folder / f"{source}.png",
            title=f"{title}, networks of equal size",
            xlabel=f"test accuracy, {first} (%)",
            ylabel=f"test accuracy, {second} (%)",
        )
    if not sections:
        raise FileNotFoundError(
            f"`output_dir` holds no finished run. Received: {folder}"
        )
    text = "\n".join(sections)
    write_whole(folder / "results.md", text)
    return text
