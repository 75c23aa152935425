"""TorchJD's own tests of aggregators, with our methods under its names.

It takes the path of a checkout of TorchJD, runs its tests/unit/aggregation with
our methods in the place of its own (benchmarks/torchjd_adapter.py), and prints
for each method how many pass, how many of these called our method (the others
look at attributes and names alone), and why the rest fails. TorchJD is imported
from the checkout, too, so that tests and library are of one version.

  git clone https://github.com/SimplexLab/TorchJD
  python -m benchmarks.torchjd_suite --torchjd=TorchJD
  python -m benchmarks.torchjd_suite --torchjd=TorchJD \
    --torchjd_tests=test_mgda.py

It needs PyTorch and what TorchJD needs: pip install -e '.[test,benchmarks]'.
"""

import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from absl import app
from absl import flags

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("tests") / "unit" / "aggregation"

_TORCHJD = flags.DEFINE_string("torchjd", None, "A checkout of TorchJD.")
_TESTS = flags.DEFINE_list(
    "torchjd_tests",
    [""],
    "Test files below tests/unit/aggregation; all by default.",
)
_STOCK = flags.DEFINE_bool("stock", False, "Run TorchJD's own methods.")


def run_tests(
    checkout: Path, tests: list[str], *, results: Path, stock: bool = False
) -> list[dict]:
    """Runs tests of TorchJD.

    Args:
        checkout: Of TorchJD.
        tests: Files below its folder of tests of aggregators; "" is all.
        results: File of JSON lines to write.
        stock: Whether TorchJD's own methods stay.

    Returns:
        What became of every test: `test`, `outcome`, `calls` and, where it did
        not pass, `reason`.
    """
    paths = [ROOT, checkout / "src", checkout / "tests"]
    if os.environ.get("PYTHONPATH"):
        paths.append(Path(os.environ["PYTHONPATH"]))
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--tb=no"),
        *("-p", "benchmarks.torchjd_suite_plugin", "-p", "no:cacheprovider"),
        *("-c", str(checkout / "pyproject.toml"), f"--rootdir={checkout}"),
        f"--results={results}",
        *(["--stock"] if stock else []),
        *(str(checkout / FOLDER / test) for test in tests),
    ]
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        # Options of tests around this one, which would want other processes.
        "PYTEST_ADDOPTS": "",
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths),
    }
    done = subprocess.run(command, env=environment, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with {done.returncode}: {command}")
    lines = results.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def method_of(test: str) -> str:
    """The file that a test stands in: `"mgda"`, or `"values"` of all."""
    return Path(test.split("::")[0]).stem.removeprefix("test_")


def table(records: list[dict]) -> list[str]:
    """How many tests pass by method, and why others do not."""
    lines = [
        "| tests of | pass | of | of those that call ours, pass | of |",
        "|---|---:|---:|---:|---:|",
    ]
    groups = collections.defaultdict(list)
    for record in records:
        groups[method_of(record["test"])].append(record)
    for name, group in [*sorted(groups.items()), ("all", records)]:
        calling = [record for record in group if record["calls"]]
        counts = [
            count
            for part in (group, calling)
            for count in (
                sum(record["outcome"] == "passed" for record in part),
                len(part),
            )
        ]
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    for record in records:
        if record["outcome"] != "passed":
            reason = record.get("reason", record["outcome"])
            lines += ["", record["test"], f"    {reason}"]
    return lines


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    checkout = Path(_TORCHJD.value or "").resolve()
    if not (checkout / FOLDER).is_dir():
        raise app.UsageError(
            f"`--torchjd` should be a checkout of TorchJD. Received: {checkout}"
        )
    with tempfile.TemporaryDirectory() as folder:
        records = run_tests(
            checkout,
            _TESTS.value,
            results=Path(folder) / "results.jsonl",
            stock=_STOCK.value,
        )
    print("\n".join(table(records)))


if __name__ == "__main__":
    flags.mark_flag_as_required("torchjd")
    app.run(main)
