"""Files are whole after kills and on full disks, and shared without harm."""

import contextlib
import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

from keras_mtl.utils import files
from keras_mtl.utils.files import append_row
from keras_mtl.utils.files import read_rows
from keras_mtl.utils.files import replacing
from keras_mtl.utils.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
KEY = "config"
ROWS = [{KEY: {"seed": seed}, "loss": seed / 3} for seed in range(4)]
NAMES = ["rows.jsonl", "my runs.jsonl", "läufe – 1.jsonl", "a'b\"c[*].jsonl"]

# What other processes do to a file, without the import of Keras.
PROGRAM = """
import importlib.util, sys
found = importlib.util.spec_from_file_location("files", sys.argv[1])
files = importlib.util.module_from_spec(found)
found.loader.exec_module(files)
path, first = sys.argv[2], int(sys.argv[3])
for seed in range(first, first + 100):
    files.append_row(path, {"config": seed, "text": "x" * 500})
    files.write_whole(path + ".state", "y" * 1000 + str(seed))
"""
HOLD = (
    PROGRAM.split("for seed")[0]
    + """
lock = files.try_lock(path)
print(lock is not None, flush=True)
sys.stdin.read()
"""
)


def start(program, path, *arguments, **kwargs):
    return subprocess.Popen(
        [sys.executable, "-c", program, files.__file__, path, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **kwargs,
    )


def kill(other):
    other.kill()
    # Closes its pipes, too.
    other.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def lines(rows):
    return "".join(f"{json.dumps(row)}\n" for row in rows)


@contextlib.contextmanager
def full_disk(size):
    """No file of this process can be longer than so many bytes.

    Nor can that which pytest's own output goes to, hence not for a whole test.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


class TestWriteWhole:
    @pytest.mark.parametrize("name", [*NAMES, "n" * 250])
    def test_text_comes_back(self, tmp_path, name):
        path = tmp_path / "new" / "folder" / name
        write_whole(path, "äöü – 1")
        write_whole(str(path), "äöü – 2")
        assert path.read_text(encoding="utf-8") == "äöü – 2"
        assert names(path.parent) == [name]

    def test_a_full_disk_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "state.json"
        write_whole(path, "old")
        with full_disk(2000), pytest.raises(OSError, match="state.json'"):
            write_whole(path, "new" * 10_000)
        assert path.read_text() == "old"
        assert names(tmp_path) == ["state.json"]

    def test_an_interrupt_leaves_the_old_file(self, tmp_path):
        path = tmp_path / "state.json"
        write_whole(path, "old")
        with pytest.raises(KeyboardInterrupt):
            with replacing(path) as temporary:
                temporary.write_text("half")
                raise KeyboardInterrupt
        assert path.read_text() == "old"
        assert names(tmp_path) == ["state.json"]

    def test_a_new_file_has_the_permissions_of_any_other(self, tmp_path):
        (tmp_path / "other").touch()
        write_whole(tmp_path / "state.json", "")
        append_row(tmp_path / "rows.jsonl", ROWS[0])
        assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1

    @pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
    def test_permissions_stay(self, tmp_path, mode):
        path = tmp_path / "state.json"
        path.touch()
        path.chmod(mode)
        write_whole(path, "new")
        assert stat.S_IMODE(path.stat().st_mode) == mode

    def test_a_link_stays_a_link(self, tmp_path):
        (tmp_path / "store").mkdir()
        link = tmp_path / "state.json"
        link.symlink_to(tmp_path / "store" / "real.json")
        for text in ("first", "second"):
            write_whole(link, text)
            assert link.is_symlink()
            assert (tmp_path / "store" / "real.json").read_text() == text
        assert names(tmp_path / "store") == ["real.json"]

    def test_a_pipe_is_written_to(self, tmp_path):
        path = tmp_path / "pipe"
        os.mkfifo(path)
        found = []
        reader = threading.Thread(target=lambda: found.append(path.read_text()))
        reader.start()
        write_whole(path, "text")
        reader.join(10)
        assert found == ["text"]
        assert stat.S_ISFIFO(path.stat().st_mode)

    def test_a_folder_is_no_file(self, tmp_path):
        (tmp_path / "state.json").mkdir()
        with pytest.raises(IsADirectoryError, match="state.json'"):
            write_whole(tmp_path / "state.json", "text")
        assert names(tmp_path) == ["state.json"]

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "file").write_text("old")
        with pytest.raises(OSError, match="file/state.json'"):
            write_whole(tmp_path / "file" / "state.json", "text")

    def test_no_right_to_write(self, tmp_path, monkeypatch):
        """As for who is not root, whom nothing is denied."""
        path = tmp_path / "state.json"
        write_whole(path, "old")
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(PermissionError, match="denied.*state.json'"):
            write_whole(path, "new")
        assert path.read_text() == "old"


@pytest.fixture
def done(monkeypatch):
    """What is renamed, and which files and folders the disk is asked for."""
    found = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor):
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        found.append("folder " + Path(path).name if is_folder else "file")
        fsync(descriptor)

    def watched_replace(source, target):
        found.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    return found


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="names of open files"
)
class TestOnDisk:
    """What a machine that stops would else have lost."""

    def test_names_follow_the_contents(self, tmp_path, done):
        write_whole(tmp_path / "state.json", "{}")
        assert done == ["file", "rename", f"folder {tmp_path.name}"]

    def test_new_folders_are_there_before(self, tmp_path, done):
        write_whole(tmp_path / "new" / "deep" / "state.json", "{}")
        assert sorted(done[:2]) == ["folder new", f"folder {tmp_path.name}"]
        assert done[2:] == ["file", "rename", "folder deep"]

    def test_the_first_row_names_the_file(self, tmp_path, done):
        for row in ROWS[:2]:
            append_row(tmp_path / "rows.jsonl", row)
        assert done == ["file", f"folder {tmp_path.name}", "file"]

    def test_a_file_system_that_knows_it_for_files_only(
        self, tmp_path, monkeypatch
    ):
        def refuse(descriptor):
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr(os, "fsync", refuse)
        write_whole(tmp_path / "new" / "state.json", "{}")
        assert (tmp_path / "new" / "state.json").read_text() == "{}"


class TestRows:
    @pytest.mark.parametrize("name", NAMES)
    def test_come_back(self, tmp_path, name):
        path = tmp_path / "new" / name
        for row in ROWS:
            append_row(path, row)
        assert read_rows(path, KEY) == ROWS
        assert path.read_text() == lines(ROWS)
        assert names(path.parent) == [name]

    def test_no_file_holds_none(self, tmp_path):
        assert read_rows(tmp_path / "none.jsonl", KEY) == []
        (tmp_path / "empty.jsonl").touch()
        assert read_rows(tmp_path / "empty.jsonl", KEY) == []

    def test_a_full_disk_leaves_whole_lines(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        append_row(path, ROWS[0])
        room = path.stat().st_size + 20
        with full_disk(room), pytest.raises(OSError, match="rows.jsonl'"):
            append_row(path, ROWS[1])
        assert path.read_text() == lines(ROWS[:1])
        append_row(path, ROWS[2])
        assert read_rows(path, KEY) == [ROWS[0], ROWS[2]]
        assert names(tmp_path) == ["rows.jsonl"]

    @pytest.mark.parametrize("cut", range(1, len(lines(ROWS[1:2])) + 1))
    def test_a_line_cut_anywhere(self, tmp_path, cut):
        """By a kill, with the next process reading, or only adding."""
        for reads in (True, False):
            path = tmp_path / f"rows-{reads}.jsonl"
            path.write_text(lines(ROWS[:2])[:-cut])
            whole = 2 if cut == 1 else 1
            torn = cut not in (1, len(lines(ROWS[1:2])))
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                if reads:
                    assert read_rows(path, KEY) == ROWS[:whole]
                append_row(path, ROWS[2])
            assert len(caught) == torn
            if torn:
                assert lines(ROWS[1:2])[:-cut].strip() in str(caught[0].message)
            assert path.read_text() == lines(ROWS[:whole] + ROWS[2:3])

    @pytest.mark.parametrize("cut", [1, 5, 12, 20, 30])
    def test_the_next_line_was_glued_to_it(self, tmp_path, cut):
        path = tmp_path / "rows.jsonl"
        half = json.dumps(ROWS[0])[:-cut]
        path.write_text(half + lines(ROWS[1:]))
        with pytest.warns(UserWarning, match="rows.jsonl' holds 1 part"):
            assert read_rows(path, KEY) == ROWS[1:]
        assert path.read_text() == lines(ROWS[1:])
        assert read_rows(path, KEY) == ROWS[1:]

    def test_what_a_machine_that_stopped_left(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(lines(ROWS[:1]).encode() + bytes(100))
        append_row(path, ROWS[1])
        assert path.read_text() == lines(ROWS[:2])

    def test_what_an_editor_left(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        text = "\ufeff" + lines(ROWS[:2]).replace("\n", "\r\n") + "\r\n"
        path.write_bytes(text.rstrip("\r\n").encode())
        assert read_rows(path, KEY) == ROWS[:2]
        append_row(path, ROWS[2])
        assert read_rows(path, KEY) == ROWS[:3]

    @pytest.mark.parametrize(
        "text",
        [
            b"a,b\n1,2\n",
            b"[1, 2]\n",
            b"3",
            b'"text"\n',
            b'{\n  "config": 1\n}\n',
            b"\xff\xfe{\x00}\x00\n\x00",
            b"\x89PNG\r\n\x1a\n",
            b"[" * 100_000,
        ],
    )
    def test_other_files_are_refused_and_stay(self, tmp_path, text):
        path = tmp_path / "notes.txt"
        path.write_bytes(lines(ROWS).encode() + text)
        with pytest.raises(ValueError, match="notes.txt' must hold.*Received"):
            read_rows(path, KEY)
        assert path.read_bytes() == lines(ROWS).encode() + text

    def test_who_may_only_read(self, tmp_path, monkeypatch):
        path = tmp_path / "rows.jsonl"
        path.write_text(lines(ROWS)[:-5])

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied", "rows.jsonl.lock")

        monkeypatch.setattr(files, "try_lock", refuse)
        with pytest.warns(UserWarning, match="1 part"):
            assert read_rows(path, KEY) == ROWS[:-1]
        assert path.read_text() == lines(ROWS)[:-5]

    def test_one_that_json_cannot_hold(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        with pytest.raises(TypeError):
            append_row(path, {KEY: object()})
        assert names(tmp_path) == []

    def test_a_link_and_its_file_are_one(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        (tmp_path / "link").symlink_to(path)
        append_row(path, ROWS[0])
        append_row(tmp_path / "link", ROWS[1])
        lock = files.try_lock(path)
        assert files.try_lock(tmp_path / "link") is None
        files.unlock(lock)
        assert path.read_text() == lines(ROWS[:2])


class TestProcesses:
    def test_lose_and_tear_nothing(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        others = [start(PROGRAM, path, str(100 * n)) for n in range(3)]
        for other in others:
            other.communicate(timeout=60)
            assert other.returncode == 0
        seeds = [row[KEY] for row in read_rows(path, KEY)]
        assert sorted(seeds) == list(range(300))
        state = Path(f"{path}.state").read_text()
        assert state.startswith("y" * 1000) and int(state[1000:]) % 100 == 99
        assert names(tmp_path) == ["rows.jsonl", "rows.jsonl.state"]

    def test_killed_ones_leave_whole_files(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        for count in range(4):
            other = start(PROGRAM, path, "0")
            size = path.stat().st_size if path.exists() else 0
            while not path.exists() or path.stat().st_size == size:
                time.sleep(0.001)
            time.sleep(0.007 * count)
            kill(other)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a line cut in two
                rows = read_rows(path, KEY)
            assert {len(row["text"]) for row in rows} == {500}
            state = Path(f"{path}.state")
            assert not state.exists() or len(state.read_text()) > 1000

    def test_hold_a_lock_until_they_end(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        other = start(HOLD, path, "0")
        assert other.stdout.readline() == "True\n"
        assert files.try_lock(path) is None
        with pytest.raises(TimeoutError, match="rows.jsonl' is in use by"):
            with files.locked(path, patience=0.1):
                raise AssertionError
        kill(other)
        lock = files.try_lock(path)
        assert lock is not None
        files.unlock(lock)
        assert names(tmp_path) == []

    def test_claims(self, tmp_path):
        path = tmp_path / "rows.jsonl"
        mine = files.claim(path, "a")
        assert files.claim(path, "a") is None
        assert files.claimed(path, ["b", "a"]) == ["a"]
        files.unlock(mine)
        assert files.claimed(path, ["b", "a"]) == []
        other = start(HOLD, f"{path}.{files._digest('b')}", "0")
        assert other.stdout.readline() == "True\n"
        assert files.claimed(path, ["b", "a"]) == ["b"]
        kill(other)
        assert files.claimed(path, ["b", "a"]) == []
        assert names(tmp_path) == []

    def test_one_that_went_away_gives_its_claim_back(self, tmp_path):
        mine = files.claim(tmp_path / "rows.jsonl", "a")
        assert mine is not None
        del mine
        again = files.claim(tmp_path / "rows.jsonl", "a")
        assert again is not None
        files.unlock(again)

    def test_takers_of_one_process_share(self, tmp_path):
        first = files.try_lock(tmp_path / "state", by_process=True)
        second = files.try_lock(tmp_path / "state", by_process=True)
        assert first is not None and second is not None
        files.unlock(second)


def test_without_filelock(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(ImportError, match=r"pip install 'keras_mtl\[sel"):
        append_row(tmp_path / "rows.jsonl", ROWS[0])
    write_whole(tmp_path / "state.json", "needs no lock")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
