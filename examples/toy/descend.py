"""Adam on the toy problem: one compiled loop a method, on the device."""

import dataclasses
import json
import os
import pathlib
import time
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_mtl
from examples.runs import alone
from examples.runs import read_record
from examples.toy import methods
from examples.toy.problem import PROBLEMS
from examples.toy.problem import Problem
from examples.toy.problem import evaluate
from keras_mtl.utils.files import write_whole

Tensor = Any
LEARNING_RATE = 1e-3
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
# Points of each path that are kept, beside the start.
NUM_KEPT = 350
# What methods take for the lowest value of an objective, times its scale. The
# value is that of FAMO's authors.
BOUND = -21.0


@dataclasses.dataclass(frozen=True)
class Config:
    """All that a path depends on."""

    method: str
    kind: str
    problem: str = "nash_mtl"
    steps: int | None = None

    def resolved(self) -> "Config":
        """The same with the published number of steps, if there is none."""
        steps = self.steps or PROBLEMS[self.problem].steps
        return dataclasses.replace(self, steps=steps)

    @property
    def name(self) -> str:
        return f"{self.problem}-{self.kind}-{self.method}"


def run(config: Config, output_dir: str | os.PathLike) -> dict[str, Any]:
    """Runs a method from all starts, unless its file is there.

    Args:
        config: The run.
        output_dir: Where `<name>.json` is written.

    Returns:
        A dict with `config`, `backend`, `seconds` (with compilation) and
        `paths`, lists `[S, points, 2]`.

    Raises:
        ValueError: The file is of a run with another configuration.
    """
    config = config.resolved()
    path = pathlib.Path(output_dir) / f"{config.name}.json"
    with alone(path):
        return _run(config, path)


def _run(config: Config, path: pathlib.Path) -> dict[str, Any]:
    record = read_record(path)
    if record is not None:
        if record["config"] != dataclasses.asdict(config):
            raise ValueError(
                f"`output_dir` holds {path.name} of a run with another "
                "configuration. Choose another `output_dir` or remove it. "
                f"Received: {config}, there: {record['config']}"
            )
        return record
    make = methods.choose(config.kind).makers[config.method]
    problem = PROBLEMS[config.problem]
    begin = time.perf_counter()
    paths = descend(
        methods.start(config.kind, make, len(problem.starts)),
        problem,
        config.steps,
    )
    record = {
        "config": dataclasses.asdict(config),
        "backend": keras.backend.backend(),
        "seconds": round(time.perf_counter() - begin, 2),
        "paths": np.round(paths, 4).tolist(),
    }
    write_whole(path, json.dumps(record))
    return record


def descend(
    method: methods.Aggregation | methods.Weighted,
    problem: Problem,
    steps: int,
) -> np.ndarray:
    """Takes so many steps of Adam from all starts at once.

    Methods that look at losses see them above their lower bounds: some divide
    by a loss or take its logarithm. The gradients are the same.

    Args:
        method: What makes updates.
        problem: The problem.
        steps: How many steps.

    Returns:
        Array `[S, points, 2]`, the starts and up to 350 points of each path.
    """
    stride = max(1, steps // NUM_KEPT)
    kept = steps // stride

    def whole(starts: Tensor, *state: Tensor) -> Tensor:
        zeros = ops.zeros_like(starts)
        values = (starts, zeros, zeros, ops.zeros(()), *state)

        def step(_: Tensor, held: tuple) -> tuple:
            return _step(method, problem, held)

        def stretch(index: Tensor, held: tuple) -> tuple:
            path, *values = held
            values = ops.fori_loop(0, stride, step, tuple(values))
            path = ops.slice_update(path, (index, 0, 0), values[0][None])
            return path, *values

        path = ops.zeros((kept, *starts.shape))
        return ops.fori_loop(0, kept, stretch, (path, *values))[0]

    starts = ops.convert_to_tensor(np.array(problem.starts, "float32"))
    state = [ops.convert_to_tensor(v.value) for v in method.variables]
    path = keras_mtl.testing.compiled(whole)(starts, *state)
    path = keras.ops.convert_to_numpy(path)
    return np.concatenate([np.array([problem.starts]), path]).swapaxes(0, 1)


def _step(
    method: methods.Aggregation | methods.Weighted,
    problem: Problem,
    values: tuple,
) -> tuple:
    """One step of Adam, with all state as values: loops take no variables."""
    points, momentum, velocity, count, *state = values
    bounds = BOUND * problem.scales
    with keras.StatelessScope(
        list(zip(method.variables, state, strict=True))
    ) as scope:
        losses, gradients = evaluate(points, problem.scales)
        update = method.update(losses - bounds, gradients)
        count = count + 1
        momentum = BETA_1 * momentum + (1 - BETA_1) * update
        velocity = BETA_2 * velocity + (1 - BETA_2) * update * update
        mean = momentum / (1 - BETA_1**count)
        square = velocity / (1 - BETA_2**count)
        points = points - LEARNING_RATE * mean / (ops.sqrt(square) + EPSILON)
        after, _ = evaluate(points, problem.scales)
        method.observe(losses - bounds, after - bounds, gradients)
    state = [
        ops.cast(scope.get_current_value(v), v.dtype) for v in method.variables
    ]
    return points, momentum, velocity, count, *state
