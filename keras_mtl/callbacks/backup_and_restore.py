"""A backup of a training that a kill cannot tear."""

import contextlib
import itertools
import json
import os
import re
import shutil
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtl.trainers.building import build_methods
from keras_mtl.trainers.settings import awaits_tasks
from keras_mtl.utils.argument_validation import integer_from
from keras_mtl.utils.argument_validation import is_integer
from keras_mtl.utils.argument_validation import is_table
from keras_mtl.utils.argument_validation import optional_path
from keras_mtl.utils.files import folder_to_disk
from keras_mtl.utils.files import make_folder
from keras_mtl.utils.files import to_disk
from keras_mtl.utils.files import write_whole
from keras_mtl.utils.keras_internals import OpenBackup
from keras_mtl.utils.keras_internals import layers_within
from keras_mtl.utils.keras_internals import load_backup
from keras_mtl.utils.keras_internals import place_of
from keras_mtl.utils.keras_internals import start_at

# Says which weights belong to which epoch, the last ones first. Not the name
# that Keras' callback uses: it would take the epoch and find no weights.
STATES = "states.json"
# One more than are kept, so that one is free to be written.
WEIGHTS = ("0.weights.h5", "1.weights.h5", "2.weights.h5")
# What Keras' callback calls its files.
KERAS_WEIGHTS = "latest.weights.h5"
KERAS_STATE = "training_metadata.json"
KERAS_FILES = [
    name + ending
    for name in (KERAS_WEIGHTS, KERAS_STATE)
    for ending in ("", ".bkp")
]

State = dict[str, Any]


class BackupAndRestore(OpenBackup):
    """`keras.callbacks.BackupAndRestore`, whose backup is whole at any moment.

    Keras writes the weights over the last ones, and the epoch into a second
    file after them. A process that is killed meanwhile, or a disk that is
    full, leaves weights that cannot be read, or weights of an epoch later than
    it says; with `double_checkpoint` too, where it then copies weights that
    are torn over the good ones. A kill while it removes the backup, at the end
    of a training, makes the next one begin with new weights at the last epoch.

    This one writes weights under a name that is not in use, and one file then
    says, whole or not at all, which weights belong to which epoch. It keeps
    the states of random layers, such as Dropout, which no file of weights has:
    a training that goes on is then the one that was not killed. It takes the
    arguments of Keras' callback, and goes on from a backup of Keras'.

    It is no backup of what callbacks and datasets know. Of arrays with
    `shuffle=True`, the epochs that follow have another order;
    `keras_mtl.selection.BanditSelection` has a file of its own, and goes
    before this one.

    Args:
        backup_dir: Folder on a file system of this machine, for this training
            alone.
        save_freq: `"epoch"` (default), `False`, or an int, the number of
            batches after which to save. A training goes on with the epoch in
            which it was saved from its beginning.
        double_checkpoint: bool. Whether to keep the backup before the last
            one, which is restored where the last one cannot be read. Defaults
            to `False`; while it writes, there are two in any case.
        delete_checkpoint: bool. Whether to remove the backup when the training
            is over. Defaults to `True`.

    Raises:
        ValueError: If an argument does not fit, and in `fit` if the folder
            holds something else, or a backup of which nothing can be read.
        OSError: In `fit`, if the backup cannot be written; the last one stays.

    Example:

    ```python
    model.fit(
        x, y, epochs=100,
        callbacks=[keras_mtl.callbacks.BackupAndRestore("backup")],
    )
    ```
    """

    def __init__(
        self,
        backup_dir: str | os.PathLike,
        save_freq: str | int | bool = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ):
        folder = optional_path("backup_dir", backup_dir)
        if folder is None or "://" in os.fspath(backup_dir):
            raise ValueError(
                "`backup_dir` must be a folder of this machine, where renaming "
                "a file replaces another one at once. Received: "
                f"backup_dir={backup_dir!r}"
            )
        if save_freq != "epoch" and save_freq is not False:
            integer_from(1, "save_freq", save_freq)
        super().__init__(
            os.fspath(backup_dir),
            save_freq,
            double_checkpoint,
            delete_checkpoint,
        )
        self._folder = folder

    def on_train_begin(self, logs: Any = None) -> None:
        # Keras' copies one backup over the other where that cannot be read.
        load_backup(self)

    def on_train_end(self, logs: Any = None) -> None:
        if not self.delete_checkpoint:
            return
        # First what says that there is a backup: a kill then leaves none.
        for name in (STATES, KERAS_STATE, *WEIGHTS, *KERAS_FILES):
            (self._folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # who else has files there
            self._folder.rmdir()

    def _mtl_is_due(self, batch: int) -> bool:
        # Of a number, which false is too, Keras' saves after every batch.
        if self.save_freq is False:
            return False
        return super()._mtl_is_due(batch)

    def _mtl_save(self) -> None:
        states = self._read()[: 2 if self.double_checkpoint else 1]
        used = [state["weights"] for state in states]
        name = next(name for name in WEIGHTS if name not in used)
        make_folder(self._folder)
        self._write_weights(self._folder / name)
        epoch, batch = place_of(self)
        new = {
            "epoch": epoch,
            "batch": batch,
            "weights": name,
            # A subclassed model would know its tasks in its first batch only.
            "task_names": getattr(self.model, "task_names", None),
            "seeds": {
                path: _numpy(seed).tolist()
                for path, seed in _seeds(self.model).items()
            },
        }
        states = [new, *states][: 2 if self.double_checkpoint else 1]
        write_whole(self._folder / STATES, json.dumps(states))
        self._tidy([state["weights"] for state in states])

    def _write_weights(self, path: Path) -> None:
        try:
            self.model.save_weights(path)
            to_disk(path)
            # Before another file says that it is there.
            folder_to_disk(path.parent)
        except Exception as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise OSError(
                f"'{path}' could not be written. The backup before it is "
                f"whole. It said: {error}"
            ) from error

    def _tidy(self, used: list[str]) -> None:
        """Removes weights that no state is of, and a backup by Keras."""
        for name in (*WEIGHTS, *KERAS_FILES):
            if name not in used:
                (self._folder / name).unlink(missing_ok=True)

    def _mtl_load(self) -> None:
        """Restores the last backup that can be read."""
        self._check_is_built()
        states = self._read()
        if states:
            self._make_variables(states[0].get("task_names"))
        for older, state in enumerate(states, 1):
            path = self._folder / state["weights"]
            try:
                self.model.load_weights(_loadable(path))
            except Exception as error:
                if older == len(states):
                    raise ValueError(
                        f"The backup '{path}' cannot be restored into this "
                        "model. Remove the folder to train anew. It said: "
                        f"{error}"
                    ) from error
                warnings.warn(
                    f"The backup '{path}' cannot be restored, and the one "
                    f"before it is taken. It said: {error}",
                    stacklevel=2,
                )
            else:
                _restore_seeds(self.model, state)
                start_at(self.model, state["epoch"])
                return

    def _make_variables(self, task_names: list[str] | None) -> None:
        """Makes what a method and the optimizer remember, to be loaded."""
        has_methods = hasattr(self.model, "method_state")
        if has_methods and awaits_tasks(self.model):
            if task_names is None:
                # A backup of Keras'. The optimizer has to begin anew: what
                # the method may train comes in the first batch.
                return
            build_methods(self.model, task_names)
        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.model.trainable_variables)

    def _check_is_built(self) -> None:
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a model that is built before `fit`, by "
                "a call on a batch or by `build`. Received: the model "
                f"'{self.model.name}', which is not"
            )

    def _read(self) -> list[State]:
        """What is backed up, the last one first."""
        path = self._folder / STATES
        if not path.exists():
            return self._read_backup_by_keras()
        try:
            states = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            states = None
        is_list = isinstance(states, list) and len(states) > 0
        if not is_list or not all(map(_is_state, states)):
            raise ValueError(
                f"'{path}' says nothing of a backup. Give another "
                "`backup_dir`, or remove it to train anew. Received: "
                f"{path.read_bytes()[:80]!r}"
            )
        return states

    def _read_backup_by_keras(self) -> list[State]:
        states = []
        for ending in ("", ".bkp"):
            path = self._folder / f"{KERAS_STATE}{ending}"
            weights = f"{KERAS_WEIGHTS}{ending}"
            if not path.exists() or not (self._folder / weights).exists():
                continue
            # Its file is cut short by a kill.
            with contextlib.suppress(ValueError, TypeError):
                state = json.loads(path.read_text(encoding="utf-8"))
                state = {**state, "weights": weights}
                states += [state] if _is_state(state) else []
        return states


def _seeds(model: keras.Model) -> dict[str, keras.Variable]:
    """The states of random layers by path: variables that no file holds."""
    others = {id(v) for v in (*model.weights, *model.metrics_variables)}
    for layer in (model, *layers_within(model)):
        # Files of weights hold all that a method remembers.
        method_state = getattr(layer, "method_state", None)
        others |= {id(v) for v in getattr(method_state, "variables", ())}
    seeds = {}
    for variable in model.variables:
        if id(variable) not in others:
            seeds[_unused(variable.path, seeds)] = variable
    return seeds


def _unused(path: str, used: Collection[str]) -> str:
    """The path, with a number if another variable has the same."""
    numbered = (f"{path}:{number}" for number in itertools.count(2))
    return next(p for p in itertools.chain([path], numbered) if p not in used)


def _restore_seeds(model: keras.Model, state: State) -> None:
    if "seeds" not in state:
        return  # a backup of Keras'
    seeds, saved = _seeds(model), state["seeds"]
    found = _by_path(saved, list(seeds)) if isinstance(saved, dict) else None
    if found is None or any(
        np.shape(found[path]) != seed.shape for path, seed in seeds.items()
    ):
        warnings.warn(
            "The backup holds the states of other random layers, such as "
            "Dropout, than the model has. They begin anew, so the training "
            "will not be what it would have been. Received states of: "
            f"{list(saved)}; the model has: {list(seeds)}",
            stacklevel=2,
        )
        return
    for path, seed in seeds.items():
        seed.assign(np.array(found[path], seed.dtype))


def _by_path(saved: State, paths: list[str]) -> State | None:
    """What is saved, by the paths that it has in this process."""
    if set(saved) == set(paths):
        return saved
    # Keras counts all that has no name, also what the process made before.
    if [_uncounted(p) for p in saved] == [_uncounted(p) for p in paths]:
        return dict(zip(paths, saved.values(), strict=True))
    return None


def _uncounted(path: str) -> str:
    return re.sub(r"_\d+(?=/|$|:)", "", path)


def _numpy(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)


def _loadable(path: Path) -> Path:
    """The same weights under a name that Keras takes for weights."""
    if path.suffix != ".bkp":
        return path
    return Path(shutil.copyfile(path, path.with_name(WEIGHTS[0])))


def _are_names(found: Any) -> bool:
    if found is None:
        return True
    return isinstance(found, list) and all(isinstance(n, str) for n in found)


def _is_state(state: Any) -> bool:
    return (
        is_table(state, ("epoch", "batch", "weights"))
        and is_integer(state["epoch"])
        and state["epoch"] >= 0
        and isinstance(state.get("seeds", {}), (dict, list))
        and _are_names(state.get("task_names"))
        and state["weights"] in (*WEIGHTS, *KERAS_FILES)
    )
