"""Files of weights that know nothing of a model's auxiliaries."""

import contextlib
import json
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from typing import Any

import h5py
import keras

# Where Keras puts what a model has in its attribute of that name.
GROUP = "auxiliaries"
# Where Keras puts the weights in a `.keras` file.
IN_ARCHIVE = "model.weights.h5"


def lacks_auxiliaries(filepath: Any) -> bool:
    """Whether a file holds weights, and none of auxiliaries.

    Args:
        filepath: A `.weights.h5`, `.weights.json` or `.keras` file. Of others,
            and of what cannot be read, nothing is known: Keras speaks then.
    """
    name = str(filepath)
    # OSError: not there, or no HDF5; KeyError: an archive of something else.
    with contextlib.suppress(OSError, KeyError, ValueError, zipfile.BadZipFile):
        if name.endswith(".weights.json"):
            return not _in_shards(name)
        if name.endswith((".weights.h5", ".keras")):
            with _weights_in(name) as file, h5py.File(file) as groups:
                return GROUP not in groups
    return False


@contextlib.contextmanager
def as_weights_file(filepath: Any) -> Iterator[Any]:
    """The path of weights that Keras loads in part, from any of the files.

    Keras leaves objects out of weights files only, not of `.keras` files.
    """
    if not str(filepath).endswith(".keras"):
        yield filepath
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, IN_ARCHIVE)
        with _weights_in(str(filepath)) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)
        yield path


def warn_of_missing(auxiliaries: keras.layers.Layer, filepath: Any) -> None:
    """Says that a model's auxiliaries were not in a file."""
    warnings.warn(
        "The file holds no weights of the model's auxiliaries. They keep those "
        "that they have, which is a fresh start in a new model. If the file is "
        "of a model without auxiliaries, that is as it should be; to have no "
        "warning, load the weights first and then add the auxiliaries. "
        f"Received: {str(filepath)!r} for a model with auxiliaries for the "
        f"tasks {list(auxiliaries.heads)}",
        stacklevel=3,
    )


def _in_shards(name: str) -> bool:
    with open(name, encoding="utf-8") as file:
        groups = json.load(file)["weight_map"]
    return any(group.split("/")[1:2] == [GROUP] for group in groups)


@contextlib.contextmanager
def _weights_in(name: str) -> Iterator[Any]:
    """The HDF5 file of a path, open."""
    if not name.endswith(".keras"):
        with open(name, "rb") as file:
            yield file
        return
    with zipfile.ZipFile(name) as archive, archive.open(IN_ARCHIVE) as file:
        yield file
