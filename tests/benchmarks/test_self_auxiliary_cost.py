"""What self-auxiliaries cost, but for the times."""

import json

import keras
import numpy as np
import pytest
from absl import app
from absl import flags
from absl.testing import flagsaver

import keras_mtl
from benchmarks import self_auxiliary_cost


def test_the_stripped_model_is_the_plain_one():
    models = self_auxiliary_cost.make_models("small", False)
    plain, stripped = models["plain"], models["stripped"]
    assert not isinstance(stripped, keras_mtl.MultiTaskModel)
    assert stripped.count_params() == plain.count_params()
    # A head for each of two tasks: 50 features, 10 classes.
    heads = models["self-auxiliaries"].count_params() - plain.count_params()
    assert heads == 2 * 510
    x, _ = self_auxiliary_cost.Images(3).batch()
    for task, found in stripped(x).items():
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(found),
            keras.ops.convert_to_numpy(plain(x)[task]),
        )


@pytest.mark.slow
def test_the_program_prints_and_writes_its_table(capsys, tmp_path):
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["self_auxiliary_cost"])
    path = tmp_path / "results.json"
    with flagsaver.flagsaver(
        lenet="small", cost_batch=2, cost_rounds=1, cost_output=str(path)
    ):
        self_auxiliary_cost.main(["self_auxiliary_cost"])
    assert "| train | self-auxiliaries |" in capsys.readouterr().out
    report = json.loads(path.read_text())
    results = report["results"]
    assert results["predict"]["plain"]["ratio"] == 1.0
    assert results["predict"]["stripped"]["milliseconds"] > 0
    assert results["train"]["self-auxiliaries"]["ratio"] > 0
    parameters = report["parameters"]
    assert parameters["stripped"] == parameters["plain"]


def test_unknown_arguments():
    with pytest.raises(app.UsageError, match="Unknown arguments"):
        self_auxiliary_cost.main(["self_auxiliary_cost", "more"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
