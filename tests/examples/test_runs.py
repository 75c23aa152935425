import dataclasses
import json
import threading
import time

import numpy as np
import pytest

from examples import runs


@dataclasses.dataclass(frozen=True)
class Config:
    method: str = "sum"
    epochs: int = 2


class TestBatches:
    def test_dicts_and_arrays_in_one_order(self):
        rows = np.arange(10)
        batches = runs.Batches(({"a": rows, "b": -rows}, rows), 4, seed=0)
        orders = []
        for epoch in (0, 1, 0):
            batches.set_epoch(epoch)
            parts = [batches[index] for index in range(len(batches))]
            assert [len(y) for _, y in parts] == [4, 4, 2]
            for x, y in parts:
                np.testing.assert_array_equal(x["a"], y)
                np.testing.assert_array_equal(x["b"], -y)
            orders.append(np.concatenate([y for _, y in parts]))
            np.testing.assert_array_equal(np.sort(orders[-1]), rows)
        np.testing.assert_array_equal(orders[0], orders[2])
        assert not np.array_equal(orders[0], orders[1])

    def test_seed(self):
        rows = np.arange(10)
        orders = [runs.Batches((rows, rows), 10, s)[0][0] for s in (0, 1)]
        assert not np.array_equal(*orders)


class TestOpenRecord:
    def test_a_new_one(self, tmp_path):
        record = runs.open_record(tmp_path / "run.json", Config())
        assert record["config"] == {"method": "sum", "epochs": 2}
        assert record["history"] == []
        assert record["environment"]["keras"]

    def test_one_that_is_there_takes_more_epochs(self, tmp_path):
        path = tmp_path / "folder" / "run.json"
        record = runs.open_record(path, Config())
        runs.write_json(path, {**record, "history": [1, 2]})
        again = runs.open_record(path, Config(epochs=9))
        assert again["history"] == [1, 2]
        assert again["config"]["epochs"] == 9

    def test_refuses_one_of_another_configuration(self, tmp_path):
        path = tmp_path / "run.json"
        runs.write_json(path, runs.open_record(path, Config()))
        with pytest.raises(ValueError, match="`output_dir`.*'sum', 'mgda'"):
            runs.open_record(path, Config(method="mgda"))

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"a": 1}', '{"config": null}', "\x00" * 9]
    )
    def test_refuses_what_is_no_run(self, tmp_path, text):
        path = tmp_path / "run.json"
        path.write_text(text)
        with pytest.raises(ValueError, match="run.json' must hold.*Received"):
            runs.open_record(path, Config())


class TestAlone:
    def test_waits_for_another_process(self, tmp_path, capsys):
        path, done = tmp_path / "run.json", []

        def other():
            with runs.alone(path):
                done.append("second")

        thread = threading.Thread(target=other)
        with runs.alone(path):
            thread.start()
            time.sleep(0.3)
            done.append("first")
        thread.join(60)
        assert done == ["first", "second"]
        assert "Another process is at run.json" in capsys.readouterr().out
        assert list(tmp_path.iterdir()) == []


class TestWriteJson:
    def test_what_was_there_stays_when_it_fails(self, tmp_path):
        path = tmp_path / "run.json"
        runs.write_json(path, {"a": 1})
        with pytest.raises(TypeError):
            runs.write_json(path, {"a": object()})
        assert json.loads(path.read_text()) == {"a": 1}


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
