"""Where methods that take a preference end, along five preference rays.

The problem of two objectives of the papers (Exact Pareto Optimal search, Pareto
multi-task learning), whose front is concave but for its ends, as a
`MultiTaskModel` whose only variable is the point x. Writes one JSON file a
method into --output_dir, then a table of the angles to the wanted rays and of
the distances to the front, and the figure rays.png.

  python -m examples.small_towers.rays --output_dir=results/rays

Methods whose file is there are not run again.
"""

import dataclasses
import pathlib
from typing import Any

import keras
import numpy as np
from absl import app
from absl import flags

from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.runs import alone
from examples.runs import open_record
from examples.runs import read_record
from examples.runs import write_json
from examples.small_towers.rays import problem
from keras_mtl import aggregators
from keras_mtl import pareto
from keras_mtl import weightings
from keras_mtl.utils.files import write_whole

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

_METHOD = flags.DEFINE_list("method", list(METHODS), "Only these methods.")
_STEPS = flags.DEFINE_integer(
    "steps", 600, "Steps of gradient descent.", lower_bound=1
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "results/rays", "Where runs, table and figure are kept."
)
_REPORT = flags.DEFINE_boolean(
    "report", False, "Run nothing; report what --output_dir holds."
)


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


def table(ends: dict[str, np.ndarray]) -> str:
    """A method a line: degrees to each ray, and distance to the front."""
    rays = wanted_rays(ends)
    degrees = np.degrees(np.arctan2(rays[:, 1], rays[:, 0]))
    header = "".join(f" ray at {wanted:.0f}° |" for wanted in degrees)
    lines = [f"| method |{header}", "|---|" + "---:|" * len(rays)]
    for name, losses in ends.items():
        angles = pareto.ray_angle(losses, 1 / rays)
        distances = distances_to_front(losses)
        cells = "".join(
            f" {angle:.2f}°, {distance:.3f} |"
            for angle, distance in zip(angles, distances, strict=True)
        )
        lines.append(f"| {name} |{cells}")
    return "\n".join(lines)


def wanted_rays(ends: dict[str, np.ndarray]) -> np.ndarray:
    """Directions of losses `[num_rays, 2]`."""
    num_rays = max(map(len, ends.values()))
    return pareto.loss_ray(pareto.preference_rays(2, num_rays))


def distances_to_front(losses: np.ndarray) -> np.ndarray:
    """From each of the losses `[N, 2]` to the nearest point of the front."""
    apart = losses[:, None] - problem.front(20_001)
    return np.linalg.norm(apart, axis=-1).min(axis=1)


def plot(ends: dict[str, np.ndarray], path: pathlib.Path) -> None:
    """The front, the wanted rays, and where each method ends."""
    figure, (axis,) = new_figure(1, (7.2, 5.0))
    axis.plot(*problem.front().T, color="#B0B0B0", linewidth=3, label="front")
    for ray in wanted_rays(ends):
        end = 1.6 * ray / np.linalg.norm(ray)
        axis.plot([0, end[0]], [0, end[1]], "k--", linewidth=0.8)
    # Rings within rings, where methods end at one point.
    sizes = np.linspace(150, 40, len(ends))
    for name, style, size in zip(ends, styles(len(ends)), sizes, strict=True):
        axis.scatter(
            *ends[name].T,
            s=size,
            marker=style["marker"],
            facecolors="none",
            edgecolors=style["color"],
            linewidths=1.5,
            label=name,
            zorder=2,
            clip_on=False,
        )
    axis.set(xlabel="first objective", ylabel="second objective")
    axis.set(xlim=(0, 1.1), ylim=(0, 1.1), aspect="equal", anchor="W")
    axis.legend(loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)
    save_figure(figure, path)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_OUTPUT_DIR.value)
    unknown = set(_METHOD.value) - set(METHODS)
    if unknown:
        raise app.UsageError(
            f"--method: unknown: {sorted(unknown)}. There are {list(METHODS)}."
        )
    if not _REPORT.value:
        for name in _METHOD.value:
            run(Config(name, _STEPS.value), folder)
            print(f"{name}: done", flush=True)
    ends = load(folder)
    if not ends:
        raise app.UsageError(f"--output_dir holds no run: {folder}")
    text = table(ends)
    write_whole(folder / "rays.md", text + "\n")
    plot(ends, folder / "rays.png")
    print("\n" + text)


if __name__ == "__main__":
    app.run(main)
