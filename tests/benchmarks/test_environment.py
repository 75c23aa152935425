import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy
import pytest

from benchmarks.environment import environment

ROOT = Path(__file__).resolve().parents[2]


def test_says_where_and_how():
    about = environment([], rounds=3, optimizer="sgd")
    assert about["backend"] == keras.backend.backend()
    assert f"numpy {numpy.__version__}" in about["versions"]
    assert about["settings"] == "rounds=3, optimizer=sgd"
    assert all(about.values())


@pytest.mark.slow
def test_programs_share_it_and_not_their_flags():
    program = (
        "from absl import flags\n"
        "from benchmarks import weights_time\n"
        "own = flags.FLAGS.flags_by_module_dict()\n"
        "print([n for n in own if n.startswith('benchmarks')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "['benchmarks.weights_time']"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
