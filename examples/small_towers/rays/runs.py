"""A method along five rays, one after the other."""

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np

from examples.runs import alone
from examples.runs import open_record
from examples.runs import read_record
from examples.runs import write_json
from examples.small_towers.rays import problem
from keras_mtl import aggregators
from keras_mtl import pareto
from keras_mtl import weightings

# By name, what `compile` takes for a preference. The number of STCH is its mu.
METHODS = {
    "EPO": lambda r: {"aggregator": aggregators.EPO(r)},
    "STCH 0.1": lambda r: {"weighting": weightings.STCH(0.1, preference=r)},
    "STCH 0.01": lambda r: {"weighting": weightings.STCH(0.01, preference=r)},
    "Tchebycheff": lambda r: {
        "weighting": weightings.Tchebycheff(preference=r)
    },
    "PBI": lambda r: {
        "weighting": weightings.PBI(5.0, preference=pareto.loss_ray(r))
    },
    "COSMOS": lambda r: {
        "weighting": weightings.COSMOS(2.0, preference=pareto.loss_ray(r))
    },
    "weighted sum": lambda r: {
        "aggregator": "sum",
        "loss_weights": dict(zip(problem.TASKS, 2 * r, strict=True)),
    },
}


@dataclasses.dataclass(frozen=True)
class Config:
    """A method on all rays; the learning rate decays by a cosine to zero."""

    method: str
    steps: int = 600
    learning_rate: float = 0.1
    num_rays: int = 5


def train(config: Config, ray: int) -> np.ndarray:
    """The two objectives `[2]` where one training ends."""
    preference = pareto.preference_rays(2, config.num_rays)[ray]
    model = problem.build_model(problem.start(seed=ray))
    rate = keras.optimizers.schedules.CosineDecay(
        config.learning_rate, config.steps
    )
    model.compile(
        keras.optimizers.SGD(rate),
        loss=dict.fromkeys(problem.TASKS, problem.objective),
        jit_compile=False,
        **METHODS[config.method](preference),
    )
    x, y = problem.data(config.steps)
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0)
    return problem.evaluate(problem.point_of(model))


def run(config: Config, folder: pathlib.Path) -> dict[str, Any]:
    """All rays of a method, those that are not in its file."""
    path = folder / f"rays-{config.method.replace(' ', '_')}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with alone(path):
        record = open_record(path, config)
        for ray in range(len(record["history"]), config.num_rays):
            record["history"].append(train(config, ray).tolist())
            write_json(path, record)
    return record


def load(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Where each method ends, `[num_rays, 2]`, by its name."""
    records = [read_record(p) for p in sorted(folder.glob("rays-*.json"))]
    ends = {r["config"]["method"]: np.array(r["history"]) for r in records}
    return {name: ends[name] for name in METHODS if name in ends}
