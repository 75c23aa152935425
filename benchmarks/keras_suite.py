"""Keras' own tests with `MultiTaskModel` in the place of `keras.Model`.

It takes the path of a checkout of Keras and runs test files of it: all with
`MultiTaskModel` as it is, those that compile a model with a loss also with
`"sum"` as its aggregator, and those that did not pass with the stock model.
It prints which pass with that alone. Keras is imported from the checkout, too.

  git clone --branch v3.15.1 https://github.com/keras-team/keras
  python -m benchmarks.keras_suite --keras=keras
  KERAS_BACKEND=jax python -m benchmarks.keras_suite --keras=keras
  python -m benchmarks.keras_suite --keras=keras \
    --keras_tests=models/model_test.py

Some tests need packages of their own (grain, pandas, orbax-checkpoint,
onnxruntime); where one is missing, they fail with the stock model as well.
"""

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from absl import app
from absl import flags

ROOT = Path(__file__).resolve().parent.parent
# Ours, and how the table calls it.
MODELS = {"none": "aggregator=None", "sum": '"sum"'}
# Below keras/src. Folders stand for all tests in them.
TESTS = (
    "models",
    "trainers/trainer_test.py",
    "trainers/compile_utils_test.py",
    "trainers/epoch_iterator_test.py",
    "saving",
    "legacy/saving",
    "callbacks",
    "export",
    "utils/summary_utils_test.py",
    "utils/jax_layer_test.py",
    "wrappers",
    "distillation",
    "quantizers",
    "optimizers/optimizer_test.py",
    "optimizers/multi_optimizer_test.py",
    "backend/jax/trainer_test.py",
    "backend/jax/distribution_lib_test.py",
    "backend/tensorflow/distribute_test.py",
    "backend/tensorflow/saved_model_test.py",
    "layers/layer_test.py",
)

_KERAS = flags.DEFINE_string("keras", None, "A checkout of Keras 3.15.")
_TESTS = flags.DEFINE_list(
    "keras_tests", list(TESTS), "Test files and folders, below keras/src."
)
_SECONDS = flags.DEFINE_integer(
    "seconds", 120, "Longest time for a test.", lower_bound=1
)
_SELECT = flags.DEFINE_string(
    "select",
    # Weights of large files in pieces: minutes, in a stock model.
    "not efficientnet",
    "As `-k` of pytest.",
)
_XLA = flags.DEFINE_bool(
    "keras_xla",
    True,
    "Whether TensorFlow compiles with XLA where a test does not say.",
)
_OUTPUT = flags.DEFINE_string(
    "keras_output",
    None,
    "Folder for what became of every test. What it holds already is not run "
    "again.",
)


def run_tests(
    checkout: Path,
    tests: list[str],
    *,
    model: str,
    results: Path,
    only: list[str] | None = None,
    seconds: int = 120,
    select: str = "",
    xla: bool = True,
) -> dict[str, dict]:
    """Runs tests of Keras with one model.

    Args:
        checkout: Of Keras.
        tests: Files and folders below `keras/src`.
        model: A key of `MODELS`, or "stock".
        results: File of JSON lines to write, and not to repeat.
        only: Tests to run of these, all if `None`.
        seconds: Longest time for a test.
        select: Expression that names tests, as for `pytest -k`.
        xla: Whether TensorFlow compiles with XLA where a test does not say.

    Returns:
        Test to what became of it: `outcome` and, where it did not pass,
        `reason`.
    """
    for test in tests:
        if not (checkout / "keras" / "src" / test).exists():
            raise ValueError(
                f"`tests` should be files and folders below {checkout}/keras/"
                f"src. Received: {test!r}, which is not there"
            )
    if only == []:
        return {}
    command = [
        *(sys.executable, "-m", "pytest", "-q", "--tb=no"),
        "--continue-on-collection-errors",
        *("-p", "benchmarks.keras_suite_plugin", "-p", "no:cacheprovider"),
        *("-c", str(checkout / "pyproject.toml"), f"--rootdir={checkout}"),
        *("-k", select, "-o", "addopts="),
        *("--assert=plain", f"--results={results}"),
        *(f"--model={model}", f"--seconds={seconds}"),
        *(str(checkout / "keras" / "src" / test) for test in tests),
    ]
    if not xla:
        command.append("--no-xla")
    # Keras' checkout has a folder named `benchmarks`, too: ours comes first.
    paths = [str(ROOT), str(checkout), os.environ.get("PYTHONPATH", "")]
    environment = {
        # They compile much and compute little.
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "MPLBACKEND": "Agg",
        **os.environ,
        # Options of tests around this one, which would want other processes.
        "PYTEST_ADDOPTS": "",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    with tempfile.TemporaryDirectory() as folder:
        if only is not None:
            chosen = Path(folder) / "only"
            chosen.write_text("\n".join(only), encoding="utf-8")
            command.append(f"--only={chosen}")
        return run_to_the_end(command, environment, Path(folder), results)


def run_to_the_end(
    command: list[str], environment: dict, folder: Path, results: Path
) -> dict[str, dict]:
    """Runs pytest, and again after a test that took the process with it."""
    before = -1
    while before < len(found := read_results(results)):
        before = len(found)
        done = subprocess.run(command, cwd=folder, env=environment, check=False)
        # All ran; some failed; some files do not import; there was no test.
        if done.returncode in (0, 1, 2, 5):
            return read_results(results)
    raise RuntimeError(
        f"pytest ended with {done.returncode} before the first test: {command}"
    )


def read_results(path: Path) -> dict[str, dict]:
    """The last that was written of each test."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return {record["test"]: record for record in records}


def run_with_all(folder: Path, run: Callable[..., dict]) -> dict[str, dict]:
    """Results by model; of the stock one where ours did not pass.

    Args:
        folder: Where results are, and go.
        run: `run_tests` but for what is said here.
    """
    none = run(model="none", results=folder / "none.jsonl")
    compiled = [test for test, r in none.items() if r.get("compiles")]
    summed = run(model="sum", results=folder / "sum.jsonl", only=compiled)
    failed = {
        test: None
        for results in (none, summed)
        for test, record in results.items()
        if record["outcome"] not in ("passed", "skipped")
    }
    stock = run(model="stock", results=folder / "stock.jsonl", only=[*failed])
    return {"none": none, "sum": summed, "stock": stock}


def fail_with_ours(results: dict[str, dict], model: str) -> dict[str, str]:
    """Tests that the stock model alone passes, and why they fail."""
    stock = results["stock"]
    return {
        test: record.get("reason", record["outcome"])
        for test, record in results[model].items()
        if record["outcome"] not in ("passed", "skipped")
        and stock.get(test, {}).get("outcome") == "passed"
    }


def file_of(test: str) -> str:
    return test.split("::")[0].removeprefix("keras/src/")


def table(results: dict[str, dict]) -> list[str]:
    """How many tests of each file pass, and fail with ours alone."""
    lines = ["| tests |", "|---|"]
    columns = []
    for model, name in MODELS.items():
        lines[0] += f" pass with {name} | fail with it alone |"
        lines[1] += "---:|---:|"
        outcomes = results[model].items()
        columns += [
            [test for test, r in outcomes if r["outcome"] == "passed"],
            list(fail_with_ours(results, model)),
        ]
    for file in sorted({file_of(test) for test in results["none"]}):
        counts = [
            str([file_of(test) for test in column].count(file))
            for column in columns
        ]
        lines.append(f"| {file} | " + " | ".join(counts) + " |")
    totals = [str(len(column)) for column in columns]
    lines.append("| all | " + " | ".join(totals) + " |")
    for model, name in MODELS.items():
        for test, reason in fail_with_ours(results, model).items():
            lines += ["", f"{name}: {test}", f"    {reason}"]
    return lines


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    checkout = Path(_KERAS.value).resolve()
    if not (checkout / "conftest.py").exists():
        raise app.UsageError(
            f"`--keras` should be a checkout of Keras. Received: {checkout}"
        )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(_OUTPUT.value or folder).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        run = functools.partial(
            run_tests,
            checkout,
            _TESTS.value,
            seconds=_SECONDS.value,
            select=_SELECT.value,
            xla=_XLA.value,
        )
        print("\n".join(table(run_with_all(folder, run))))


if __name__ == "__main__":
    flags.mark_flag_as_required("keras")
    app.run(main)
