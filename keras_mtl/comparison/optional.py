"""Packages that `pip install 'keras_mtl[comparison]'` brings."""

from types import ModuleType


def import_optuna() -> ModuleType:
    """Optuna, which suggests settings and keeps trials.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise ImportError(
            f"Settings are tuned with Optuna, which cannot be imported "
            f"({error}). Run: pip install 'keras_mtl[comparison]'"
        ) from error
    return optuna
