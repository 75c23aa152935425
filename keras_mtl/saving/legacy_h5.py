"""Legacy `.h5` files, which hold a plain model and nothing of how it trains."""

from typing import Any

from keras_mtl.utils.keras_internals import in_legacy_saving


def check_legacy_path(model: Any, filepath: Any) -> None:
    """Raises if a model is to be saved in a format that cannot hold it.

    Args:
        model: The `MultiTaskModel`.
        filepath: Where it is to be saved.

    Raises:
        ValueError: If it is a legacy `.h5` file, and the model has a method or
            auxiliaries: they would be gone from the loaded model.
    """
    if str(filepath).endswith((".h5", ".hdf5")):
        _check_plain(model)


def check_legacy_config(model: Any) -> None:
    """The same where Keras asks for a configuration to put into such a file."""
    if in_legacy_saving():
        _check_plain(model)


def _check_plain(model: Any) -> None:
    parts = {
        "aggregator": model.aggregator,
        "weighting": model.weighting,
        "missing_label": model.missing_label,
        "auxiliaries": model.auxiliaries,
    }
    lost = [name for name, part in parts.items() if part is not None]
    if lost:
        raise ValueError(
            "The legacy `.h5` format cannot hold what this model trains with: "
            f"{', '.join(lost)}. Save it as a `.keras` file, save its weights "
            "alone with `save_weights` as a `.weights.h5` file, or save the "
            "model to serve, `keras_mtl.strip_auxiliaries(model)`. Received: "
            f"the model '{model.name}'"
        )
