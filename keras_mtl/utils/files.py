"""Files that are whole: written at once, line by line, by one at a time."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]

# Whoever holds a lock to add a line is done in a moment. One that is not has
# stopped, and to wait for it would be to wait for ever.
PATIENCE_SECONDS = 60.0
# Of a torn line, what a warning shows.
SHOWN = 300


def write_whole(path: str | os.PathLike, text: str) -> None:
    """Writes a text file as a whole, or leaves what is there as it is.

    A process that is killed and a disk that is full leave the old file. Its
    permissions stay, and a link goes on pointing to it. Folders are made.

    Args:
        path: The file. Devices and pipes, as `/dev/stdout`, are written to.
        text: What it is to hold, in UTF-8.

    Raises:
        OSError: If it cannot be written; it names `path`.
    """
    with _naming(path):
        if os.path.exists(path) and not os.path.isfile(path):
            Path(path).write_text(text, encoding="utf-8")
            return
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def replacing(
    path: str | os.PathLike, temporary: str | None = None
) -> Iterator[Path]:
    """Gives a file to write, and at the end puts it in the place of `path`.

    Args:
        path: The file.
        temporary: Name of the file to write, in the folder of `path`. By
            default one that no other process has.

    Yields:
        The file to write. It is removed if writing fails.
    """
    target = _real(path)
    make_folder(target.parent)
    if temporary is None:
        unique = f"{os.getpid()}-{secrets.token_hex(4)}"
        temporary = f".{target.name[:40]}.{unique}.tmp"
    if target.exists() and not os.access(target, os.W_OK):
        # Its folder would let it be replaced, but it says that it is to stay.
        raise PermissionError(errno.EACCES, "Permission denied", str(target))
    written = target.with_name(temporary)
    try:
        yield written
        to_disk(written)
        if target.exists():
            shutil.copymode(target, written)
        os.replace(written, target)
        folder_to_disk(target.parent)
    except BaseException:
        written.unlink(missing_ok=True)
        raise


def to_disk(path: Path) -> None:
    """Waits until the disk has a file.

    A machine that stops would else leave its name without its contents.
    """
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def folder_to_disk(folder: Path) -> None:
    """Waits until the disk has the names of the files in a folder.

    A machine that stops would else have an old file under a name, or none.
    """
    if os.name == "nt":  # keeps the names itself, and opens no folders
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        # One may write into a folder that one may not read.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems know it for files only.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Makes a folder, and those that it is in, where they are missing."""
    missing = [f for f in (folder, *folder.parents) if not f.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        folder_to_disk(made.parent)


def append_row(path: str | os.PathLike, row: Row) -> None:
    """Adds a line of JSON to a file, whole or not at all.

    Several processes may add to one file. A line that a killed one has left
    unfinished is taken out first; see `read_rows`.

    Args:
        path: The file; it and its folder are made when they are missing.
        row: What JSON can hold. All rows of a file begin with the same key.

    Raises:
        OSError: If it cannot be written; it names `path`.
    """
    line = json.dumps(row).encode() + b"\n"
    target = _real(path)
    with _naming(path):
        make_folder(target.parent)
        with locked(path):
            if not _ends_a_line(target):
                _mend(target, next(iter(row)))
            _append(target, line)


def read_rows(path: str | os.PathLike, key: str) -> list[Row]:
    """Reads a file of JSON lines, and takes out what is torn.

    A killed process or a full disk leaves a part of a line, and older versions
    wrote the next one behind it. Such parts are left out with a warning that
    quotes them, and removed from the file where that is allowed.

    Args:
        path: The file. None is no rows.
        key: With which the rows of this file begin.

    Raises:
        ValueError: If a line is no JSON object that could begin so.
        OSError: If the file cannot be read.
    """
    target = _real(path)
    if not target.exists():
        return []
    rows, torn = _parse(target, key)
    if not torn:
        return rows
    try:
        # Another process may be writing what looks torn: it has the lock.
        with locked(path):
            return _mend(target, key)
    except OSError:  # who only reads may have no right to write
        _warn(target, torn)
        return rows


@contextlib.contextmanager
def locked(
    path: str | os.PathLike, patience: float = PATIENCE_SECONDS
) -> Iterator[None]:
    """Keeps other processes that lock the same file out.

    Args:
        path: The file. The lock is `<path>.lock` beside it while it is held,
            and ends with the process, however that ends.
        patience: Seconds to wait for another process, or -1 for ever.

    Raises:
        TimeoutError: If another one has it still; it names `path`.
    """
    lock = try_lock(path, patience)
    if lock is None:
        raise TimeoutError(
            f"'{os.fspath(path)}' is in use by another process, which has "
            f"held '{_lock_path(path)}' for more than {patience:g} seconds."
        )
    try:
        yield
    finally:
        unlock(lock)


def try_lock(
    path: str | os.PathLike,
    patience: float = 0.0,
    by_process: bool = False,
) -> Any:
    """Takes the lock of a file, if no one has it.

    Args:
        path: The file; see `locked`.
        patience: Seconds to wait for another one, or -1 for ever.
        by_process: Whether another taker in this process shares the lock.

    Returns:
        What `unlock` takes, or `None` if another one has it. It is given back
        when nothing refers to it.

    Raises:
        ImportError: If filelock is not installed.
        OSError: If the lock cannot be made; it names `path`.
    """
    filelock = _import_filelock()
    place = _lock_path(path)
    with _naming(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(
            place, thread_local=False, is_singleton=by_process
        )
        try:
            lock.acquire(timeout=patience)
        except filelock.Timeout:
            return None
    return lock


def unlock(lock: Any) -> None:
    """Gives back what `try_lock` has taken."""
    if _is_native(lock):
        # While it is held, so that it is nobody else's. Who waits for it sees
        # that it is gone and makes a new one.
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)
    lock.release(force=True)


def claim(path: str | os.PathLike, key: str) -> Any:
    """Takes one part of what several processes share, such as one of many runs.

    Args:
        path: The file in which they keep their results.
        key: What tells the parts apart.

    Returns:
        What `unlock` takes, or `None` if another one is at this part.
    """
    return try_lock(f"{_real(path)}.{_digest(key)}")


def claimed(path: str | os.PathLike, keys: list[str]) -> list[str]:
    """Those of the parts that others are at."""
    target = _real(path)
    names = {place.name for place in target.parent.glob("*.lock")}
    found = []
    for key in keys:
        if f"{target.name}.{_digest(key)}.lock" in names:
            lock = claim(path, key)
            if lock is None:
                found.append(key)
            else:  # of a process that was killed
                unlock(lock)
    return found


def _real(path: str | os.PathLike) -> Path:
    """The file itself, where `path` is a link to it."""
    return Path(os.path.realpath(path))


def _lock_path(path: str | os.PathLike) -> Path:
    target = _real(path)
    return target.with_name(f"{target.name}.lock")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _import_filelock() -> Any:
    try:
        import filelock
    except ImportError as error:
        raise ImportError(
            "A file that several processes may use is locked with filelock, "
            "which is not installed. Run: pip install 'keras_mtl[selection]'"
        ) from error
    return filelock


def _is_native(lock: Any) -> bool:
    """Whether the system holds the lock, and the file itself says nothing.

    Where a file system knows no locks, filelock writes who has it into the
    file, and removes that itself.
    """
    filelock = _import_filelock()
    is_unix = isinstance(lock, filelock.UnixFileLock)
    with contextlib.suppress(OSError):
        return is_unix and os.stat(lock.lock_file).st_size == 0
    return False


@contextlib.contextmanager
def _naming(path: str | os.PathLike) -> Iterator[None]:
    """Errors of the system name the file that the user gave."""
    try:
        yield
    except TimeoutError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.filename not in (None, os.fspath(path)):
            reason = f"{reason} ('{error.filename}')"
        raise OSError(error.errno, reason, os.fspath(path)) from error


def _append(target: Path, line: bytes) -> None:
    # Without a buffer, which would write the rest of a line when it is closed.
    with target.open("ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
            if not size:
                folder_to_disk(target.parent)
        except BaseException:
            file.truncate(size)
            raise


def _ends_a_line(target: Path) -> bool:
    if not target.exists() or target.stat().st_size == 0:
        return True
    with target.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _mend(target: Path, key: str) -> list[Row]:
    """Takes what is torn out of a file that is locked; returns its rows."""
    rows, torn = _parse(target, key)
    if torn or not _ends_a_line(target):
        write_whole(target, "".join(f"{json.dumps(row)}\n" for row in rows))
    if torn:
        _warn(target, torn)
    return rows


def _warn(target: Path, torn: list[str]) -> None:
    shown = "; ".join(part[:SHOWN] for part in torn)
    warnings.warn(
        f"'{target}' holds {len(torn)} part(s) of lines whose process was "
        f"killed or found the disk full. They are left out: {shown}",
        stacklevel=4,
    )


def _parse(target: Path, key: str) -> tuple[list[Row], list[str]]:
    """The rows of a file, and the parts of rows."""
    rows, torn = [], []
    # Some editors write a byte order mark. What is no UTF-8 is no JSON either.
    text = target.read_bytes().decode("utf-8-sig", "replace")
    for line in text.split("\n"):
        line = line.strip("\0 \t\r")
        if not line:
            continue
        whole = _row(line)
        if whole is not None:
            rows.append(whole)
            continue
        found, parts = _split(line, f'{{"{key}"')
        if not found and not parts:
            raise ValueError(
                f"'{target}' must hold one JSON object a line, each of which "
                f"begins with {key!r}. Received: the line {line[:SHOWN]}"
            )
        rows += found
        torn += parts
    return rows, torn


def _split(line: str, start: str) -> tuple[list[Row], list[str]]:
    """Rows and parts of rows in a line that several wrote without an end."""
    before, *parts = line.split(start)
    rows, torn = [], []
    if before:
        # Nothing but the beginning of a beginning can come first.
        if not start.startswith(before):
            return [], []
        torn.append(before)
    for part in parts:
        row = _row(start + part)
        if row is None:
            torn.append(start + part)
        else:
            rows.append(row)
    return rows, torn


def _row(text: str) -> Row | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
