"""Packages that `pip install 'keras_mtl[comparison]'` brings."""

from types import ModuleType


def import_optuna() -> ModuleType:
    """Optuna, which suggests settings and keeps trials.

    Raises:
        ImportError: If it, or filelock which keeps processes apart, is not
            installed.
    """
    try:
        import filelock  # noqa: F401
        import optuna
    except ImportError as error:
        raise ImportError(
            "Settings are tuned with Optuna and filelock, one of which cannot "
            f"be imported ({error}). Run: pip install 'keras_mtl[comparison]'"
        ) from error
    return optuna
