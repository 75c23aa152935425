"""Lists the public names of keras_mtl, one a line.

    python -m tests.public_names

A name that comes or goes is then seen in a diff.
"""

import inspect
import types
from pathlib import Path

import keras_mtl

PATH = Path(__file__).with_suffix(".txt")


def public_names() -> list[str]:
    """Of the package and of those that it shows, in order."""
    found = [f"keras_mtl.{name}" for name in dir(keras_mtl)]
    for name in dir(keras_mtl):
        part = getattr(keras_mtl, name)
        if isinstance(part, types.ModuleType):
            found += [f"keras_mtl.{name}.{inner}" for inner in _names(part)]
    return sorted(name for name in found if "__" not in name)


def _names(module: types.ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and getattr(value, "__module__", "").startswith("keras_mtl")
    ]


if __name__ == "__main__":
    PATH.write_text("\n".join(public_names()) + "\n")
