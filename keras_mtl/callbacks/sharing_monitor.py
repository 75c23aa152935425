"""A callback that follows what the layers of a model share."""

import os
from typing import Any
from typing import NamedTuple

import keras
import numpy as np

from keras_mtl.callbacks.plot_sharing import plot_sharing
from keras_mtl.callbacks.scalar_writer import ScalarWriter
from keras_mtl.callbacks.scalar_writer import check_log_dir
from keras_mtl.callbacks.sharing_layers import sharing_layers
from keras_mtl.callbacks.sharing_layers import sharing_matrices
from keras_mtl.callbacks.sharing_layers import tag_of
from keras_mtl.layers.parts.sharing_matrix import SharingMatrix
from keras_mtl.utils.argument_validation import boolean
from keras_mtl.utils.argument_validation import integer_from


class SharingHistory(NamedTuple):
    """What a layer shared after n epochs, as NumPy arrays.

    Attributes:
        title: What the values are.
        rows: Names of the rows, most often the tasks that receive.
        columns: Names of the columns: what they receive from.
        epochs: integers `[n]`, from 0, as Keras counts them.
        values: `[n, rows, columns]`.
    """

    title: str
    rows: list[str]
    columns: list[str]
    epochs: np.ndarray
    values: np.ndarray


class SharingMonitor(keras.callbacks.Callback):
    """Follows what the layers of a model share in `fit`.

    At the end of an epoch it reads `sharing_matrices()` of each layer that has
    it, also in nested models: what a cross-stitch mixes, which experts a gate
    uses, how far the tasks are correlated. The values become logs, so that
    `History` and the progress line have them, under
    `sharing/<layer>/<row>_<column>`, or, where a layer has several matrices,
    `sharing/<layer>/<title>/<row>_<column>`. Of a matrix with more than
    `max_values` the logs have the mean of each row, `<row>_mean`. Undefined
    values are left out. The history has all.

    With `log_dir` it writes the same scalars for TensorBoard, by epoch, to
    `log_dir/train`, where `keras.callbacks.TensorBoard(log_dir)` writes too.

    Args:
        log_dir: Folder for TensorBoard, or `None`.
        every_n_epochs: int, from 1. Epochs between do not have the logs.
        max_values: int, from 0. Largest matrix of which every value is logged.
        in_logs: bool. Whether the values are added to the logs of the epoch,
            for callbacks that come after this one.

    Attributes:
        history: Dictionary from `<layer>` or `<layer>/<title>` to a
            `keras_mtl.callbacks.SharingHistory`. It grows over several calls
            of `fit`.

    Raises:
        ValueError: If an argument does not fit, or, in `fit`, if no layer of
            the model shows what it shares.

    Example:

    ```python
    monitor = keras_mtl.callbacks.SharingMonitor("logs")
    history = model.fit(x, y, epochs=5, callbacks=[monitor])
    history.history["sharing/stitch/left_right"]  # 5 numbers
    monitor.history["stitch"].values[-1]  # [tasks, tasks]
    monitor.plot("pictures")
    ```
    """

    def __init__(
        self,
        log_dir: str | os.PathLike | None = None,
        every_n_epochs: int = 1,
        max_values: int = 32,
        in_logs: bool = True,
    ):
        super().__init__()
        self.log_dir = check_log_dir(log_dir)
        self.every_n_epochs = integer_from(1, "every_n_epochs", every_n_epochs)
        self.max_values = integer_from(0, "max_values", max_values)
        self.in_logs = boolean("in_logs", in_logs)
        self._writer: ScalarWriter | None = None
        self._epochs: dict[str, list[int]] = {}
        self._matrices: dict[str, list[SharingMatrix]] = {}

    @property
    def history(self) -> dict[str, SharingHistory]:
        return {
            name: SharingHistory(
                matrices[-1].title,
                list(matrices[-1].rows),
                list(matrices[-1].columns),
                np.array(self._epochs[name]),
                np.stack([matrix.values for matrix in matrices]),
            )
            for name, matrices in self._matrices.items()
        }

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draws the model as it is; see `keras_mtl.callbacks.plot_sharing`."""
        return plot_sharing(self.model, path)

    def on_train_begin(self, logs: Any = None) -> None:
        if self.model.built:
            # A subclassed model may make its layers as it is built.
            self._check_layers()
        if self.log_dir is not None:
            self._writer = ScalarWriter(os.path.join(self.log_dir, "train"))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if (epoch + 1) % self.every_n_epochs:
            return
        self._check_layers()
        # On JAX, `self.model` brings the state of the training into the model.
        matrices = sharing_matrices(self.model)
        scalars = {}
        for name, matrix in matrices.items():
            self._record(name, epoch, matrix)
            scalars.update(self._scalars(name, matrix))
        if self.in_logs and logs is not None:
            logs.update(scalars)
        if self._writer is not None:
            self._writer.write(epoch, scalars)
            self._writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _check_layers(self) -> None:
        if not sharing_layers(self.model):
            raise ValueError(
                "SharingMonitor shows what layers share, and no layer of the "
                f"model '{self.model.name}' has `sharing_matrices()`. Use "
                "layers of `keras_mtl.layers` such as CrossStitch or MMoE, or "
                "give a layer of your own that method."
            )

    def _record(self, name: str, epoch: int, matrix: SharingMatrix) -> None:
        earlier = self._matrices.setdefault(name, [])
        if earlier and (earlier[-1].rows, earlier[-1].columns) != (
            matrix.rows,
            matrix.columns,
        ):
            raise ValueError(
                "A SharingMonitor follows one model. Make a new one for "
                f"another. Received: '{name}' with rows {matrix.rows} and "
                f"columns {matrix.columns}, after rows {earlier[-1].rows} and "
                f"columns {earlier[-1].columns}"
            )
        earlier.append(matrix)
        self._epochs.setdefault(name, []).append(epoch)

    def _scalars(self, name: str, matrix: SharingMatrix) -> dict[str, float]:
        """Defined values of a matrix by tag, or the means of its rows."""
        values, columns = np.asarray(matrix.values, "float64"), matrix.columns
        if values.size > self.max_values:
            values, columns = values.mean(axis=1, keepdims=True), ["mean"]
        return {
            f"sharing/{name}/{tag_of(row)}_{tag_of(column)}": float(
                values[i, j]
            )
            for i, row in enumerate(matrix.rows)
            for j, column in enumerate(columns)
            if not np.isnan(values[i, j])
        }
