"""Results are kept as they come, and nothing is run twice."""

import pytest

from examples.censoring import sweep
from examples.censoring.methods import Setting
from examples.censoring.program import Cell

CELLS = [Cell(Setting("multi_task", w), s) for w in (0.1, 1.0) for s in (0, 1)]


def measure(cell):
    return {"loss": 10 * cell.setting.weight + cell.seed}


def test_a_killed_sweep_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "deep" / "runs.jsonl"
    calls = []

    def run(cell):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(cell)
        return measure(cell)

    with pytest.raises(KeyboardInterrupt):
        sweep.sweep(path, CELLS, run)
    assert calls == CELLS[:3]
    with open(path, "a") as file:
        file.write('{"config": {"setting"')  # killed while writing
    calls.clear()
    with pytest.warns(UserWarning, match="1 part"):
        sweep.sweep(path, CELLS, run)
    assert calls == CELLS[3:]
    rows = sweep.read(path)
    assert [row["loss"] for row in rows] == [measure(c)["loss"] for c in CELLS]
    assert all(row["seconds"] >= 0 for row in rows)
    sweep.sweep(path, CELLS, pytest.fail)


def test_what_flags_name_twice_runs_once(tmp_path):
    path = tmp_path / "runs.jsonl"
    sweep.sweep(path, CELLS + CELLS[:1], measure)
    assert len(sweep.read(path)) == len(CELLS)


def test_what_another_process_ran_meanwhile_is_not_run_again(tmp_path):
    path = tmp_path / "runs.jsonl"
    calls = []

    def run(cell):
        if not calls:
            sweep.sweep(path, CELLS[2:], measure)  # the other process
        calls.append(cell)
        return measure(cell)

    sweep.sweep(path, CELLS, run)
    assert calls == CELLS[:2]


def test_what_another_process_is_at_is_left_to_it(tmp_path):
    path = tmp_path / "runs.jsonl"
    calls = []

    def run(cell):
        calls.append(cell)
        if len(calls) == 1:
            sweep.sweep(path, CELLS, run)  # the other process
        return measure(cell)

    sweep.sweep(path, CELLS, run)
    assert calls == CELLS
    assert [path.name for path in tmp_path.iterdir()] == ["runs.jsonl"]


def test_a_cell_that_two_processes_ran_counts_once(tmp_path):
    path = tmp_path / "runs.jsonl"
    sweep.sweep(path, CELLS, measure)
    path.write_text(path.read_text() * 2)
    assert len(sweep.read(path)) == len(CELLS)


def test_no_file_is_no_result(tmp_path):
    assert sweep.read(tmp_path / "none.jsonl") == []


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
