"""Whole splits of tensorflow-datasets as NumPy arrays."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

PROBE_SECONDS = 5.0


def load_arrays(
    name: str,
    split: str,
    keys: Sequence[str],
    *,
    limit: int | None = None,
    data_dir: str | None = None,
    download: bool = True,
) -> list[np.ndarray]:
    """Reads features of a `tensorflow-datasets` split into memory.

    Args:
        name: str, the data set's name, as `"mnist"`.
        split: str, as `"train"`.
        keys: Sequence of str, the features to return.
        limit: Optional int, read only the first `limit` examples.
        data_dir: Where `tensorflow-datasets` keeps its data. Defaults to
            `TFDS_DATA_DIR`, or its own default.
        download: If `True`, the data set is downloaded when it is not there.

    Returns:
        A list with one NumPy array for each of `keys`.

    Raises:
        ImportError: `tensorflow-datasets` is not installed.
        FileNotFoundError: The data set is not there, and `download` is
            `False` or the network cannot be reached.
    """
    builder = prepared_builder(name, data_dir, download)
    available = builder.info.splits[split].num_examples
    if limit is not None and limit < available:
        split = f"{split}[:{limit}]"
    examples = builder.as_dataset(split=split, batch_size=-1)
    return [examples[key].numpy() for key in keys]


def prepared_builder(name: str, data_dir: str | None, download: bool) -> Any:
    """A `tensorflow-datasets` builder whose data is there.

    Args:
        name: See `load_arrays`.
        data_dir: See `load_arrays`.
        download: See `load_arrays`.

    Returns:
        A `tfds.core.DatasetBuilder`.

    Raises:
        ImportError: See `load_arrays`.
        FileNotFoundError: See `load_arrays`.
    """
    builder = _import_tfds().builder(name, data_dir=data_dir)
    if not builder.info.splits:
        _check_downloadable(builder, download)
        builder.download_and_prepare()
    return builder


def _import_tfds() -> ModuleType:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise ImportError(
            "This data set is read with tensorflow-datasets, which could not "
            "be imported. Run `pip install tensorflow-datasets "
            f"importlib_resources`. The import said: {error}"
        ) from error
    return tensorflow_datasets


def _check_downloadable(builder: Any, download: bool) -> None:
    missing = f"The data set {builder.name!r} is not in {builder.data_dir!r}"
    hint = (
        'Run `python -c "import tensorflow_datasets as tfds; '
        f"tfds.load('{builder.name}')\"` once on a machine with a network, "
        "copy its data directory (`~/tensorflow_datasets` by default) here "
        "if this is another machine, and pass `data_dir=` or set "
        "TFDS_DATA_DIR to it."
    )
    if not download:
        raise FileNotFoundError(f"{missing}, and `download=False`. {hint}")
    url = next(iter(builder.url_infos or {}), "https://www.tensorflow.org")
    # Asked first because tensorflow-datasets itself retries for minutes.
    if not _reachable(url):
        raise FileNotFoundError(
            f"{missing}, and {url} cannot be reached to download it. {hint}"
        )


def _reachable(url: str) -> bool:
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=PROBE_SECONDS):
            return True
    except urllib.error.HTTPError as error:
        # The server is there and refuses only this way of asking. Any other
        # error could be of a proxy that lets nothing through.
        return error.code in (405, 501)
    except OSError:
        return False
