"""The count of TorchJD's tests, without a checkout of TorchJD."""

import importlib.util

import pytest

from benchmarks import torchjd_suite

RECORDS = [
    {"test": "a/test_mgda.py::test_x[1]", "outcome": "passed", "calls": ["M"]},
    {"test": "a/test_mgda.py::test_y", "outcome": "passed", "calls": []},
    {
        "test": "a/test_sum.py::test_x",
        "outcome": "failed",
        "calls": ["S"],
        "reason": "AssertionError: not close",
    },
]


def test_table():
    lines = torchjd_suite.table(RECORDS)
    assert lines[2:5] == [
        "| mgda | 2 | 2 | 1 | 1 |",
        "| sum | 0 | 1 | 0 | 1 |",
        "| all | 2 | 3 | 1 | 2 |",
    ]
    assert lines[-2:] == [
        "a/test_sum.py::test_x",
        "    AssertionError: not close",
    ]


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("torchjd") is None, reason="needs TorchJD"
)
def test_runs_tests_with_our_methods(tmp_path):
    folder = tmp_path / torchjd_suite.FOLDER
    folder.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (folder / "test_mine.py").write_text(
        "import torch\n"
        "from torchjd.aggregation import UPGradWeighting\n"
        "def test_exact():\n"
        "    gram = torch.tensor([[18., -22.], [-22., 38.]])\n"
        "    exact = torch.tensor([10 / 9, 15 / 19])\n"
        "    assert torch.allclose(UPGradWeighting()(gram), exact, atol=1e-6)\n"
        "def test_name():\n"
        "    assert False, 'no'\n",
        encoding="utf-8",
    )
    exact, name = torchjd_suite.run_tests(
        tmp_path, [""], results=tmp_path / "results.jsonl"
    )
    assert exact["outcome"] == "passed"
    assert exact["calls"] == ["UPGradWeighting"]
    assert name["outcome"] == "failed" and "no" in name["reason"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
