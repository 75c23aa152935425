"""Tries many generated trainings, in chunks, and goes on where it stopped.

    python -m tests.generated.run_cases results.jsonl --cases=2000

One line of JSON a case. A chunk that was interrupted is begun again. With the
same `--cases` and `--chunk` the cases are the same on every machine.
"""

import json
import time
import traceback
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from absl import app
from absl import flags
from hypothesis import HealthCheck
from hypothesis import Phase
from hypothesis import given
from hypothesis import seed
from hypothesis import settings

from tests.generated.cases import Case
from tests.generated.cases import cases
from tests.generated.check import check

CASES = flags.DEFINE_integer("cases", 2000, "How many cases.", lower_bound=1)
CHUNK = flags.DEFINE_integer("chunk", 25, "Cases a chunk.", lower_bound=1)
FIRST = flags.DEFINE_integer("first_chunk", 0, "Number of the first chunk.")


def result_of(case: Case) -> dict[str, Any]:
    """The verdict on one case, or the error that it ended in."""
    keras.utils.set_random_seed(0)
    start = time.process_time()
    try:
        verdict = check(case)
        found = {"passed": verdict.passed, **verdict._asdict()}
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-6:]
        found = {
            "passed": False,
            "error": f"{type(error).__name__}: {str(error)[:500]}",
            "traceback": [f"{f.filename}:{f.lineno}" for f in place],
        }
    seconds = round(time.process_time() - start, 2)
    return {**found, "seconds": seconds, "case": repr(case)}


def run_chunk(number: int, size: int) -> list[dict[str, Any]]:
    """The results of a chunk, which its number determines."""
    results = []

    @seed(number)
    @settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def run(case: Case) -> None:
        results.append({"chunk": number, **result_of(case)})

    run()
    return results


def read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def report(results: list[dict[str, Any]]) -> None:
    failed = [r for r in results if not r["passed"]]
    spread = [r for r in results if r.get("spread") is not None]
    skipped = [r for r in results if r.get("skipped")]
    print(
        f"{len(results)} cases: {len(failed)} failed, {len(spread)} told by "
        f"disturbances, {len(skipped)} skipped",
        flush=True,
    )


def main(arguments: list[str]) -> None:
    if len(arguments) != 2:
        raise app.UsageError("Give the path of the file of results.")
    path = Path(arguments[1])
    done = {result["chunk"] for result in read(path)}
    count = -(-CASES.value // CHUNK.value)
    for number in range(FIRST.value, FIRST.value + count):
        if number in done:
            continue
        lines = [
            json.dumps(r, default=float) for r in run_chunk(number, CHUNK.value)
        ]
        # Whole chunks only: one write, which a kill does not cut in two.
        with path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))
        report(read(path))


if __name__ == "__main__":
    tf.config.experimental.enable_tensor_float_32_execution(False)
    app.run(main)
