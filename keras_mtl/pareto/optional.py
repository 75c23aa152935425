"""Packages that `pip install 'keras_mtl[pareto]'` brings."""

import importlib
from typing import Any


def import_optional(module: str, what: str) -> Any:
    """Imports a package that not everybody needs.

    Args:
        module: Its name, perhaps with that of a module in it.
        what: What needs it, as the message begins.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{what} with {package}, which cannot be imported ({error}). Run: "
            "pip install 'keras_mtl[pareto]'"
        ) from error
