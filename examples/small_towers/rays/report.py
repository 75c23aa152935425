"""The table of angles and distances, and the figure."""

import pathlib

import numpy as np

from examples.figures import new_figure
from examples.figures import save_figure
from examples.figures import styles
from examples.small_towers.rays import problem
from keras_mtl import pareto


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
