"""The toy problem: where all methods end, and how they get there."""

import functools

import numpy as np
import pytest

from examples.censoring import toy


@functools.cache
def path(name, optimizer):
    return toy.run(toy.SETTINGS[name], optimizer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, expected, tolerance",
    [
        ("multi-task", [1 / 11] * 4, 1e-3),
        # Adam follows the rounding of gradients that vanish, so that how near
        # it comes is no number to hit.
        ("projection", [0] * 4, 0.02),
    ],
)
def test_ends_with_adam(name, expected, tolerance):
    distances = toy.distances(path(name, toy.ADAM))
    np.testing.assert_allclose(distances, expected, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, expected, tolerance",
    [
        ("multi-task", 0.0909, 1e-4),
        ("projection", 0.0007, 1e-4),
        ("unweighted cosine", 0.997, 1e-3),
    ],
)
def test_ends_with_gradient_descent(name, expected, tolerance):
    distance = toy.distances(path(name, toy.DESCENT))[0]
    np.testing.assert_allclose(distance, expected, atol=tolerance)


@pytest.mark.slow
def test_projection_is_multi_task_until_the_tasks_conflict():
    multi, projected = (
        path(name, toy.DESCENT) for name in ("multi-task", "projection")
    )
    radius = np.linalg.norm(multi, axis=-1, keepdims=True)
    dots = ((radius - 1) * multi * (multi - [2, 0])).sum(axis=-1)
    for start in range(4):
        until = int(np.argmax(dots[:, start] < 0)) + 1
        np.testing.assert_allclose(
            projected[:until, start], multi[:until, start], atol=1e-5
        )
        gap = np.abs(projected[until:, start] - multi[until:, start])
        assert gap.max() > 0.05


def test_paths_go_step_by_step():
    steps = path("projection", toy.DESCENT)
    assert steps.shape == (2001, 4, 2)
    np.testing.assert_allclose(steps[0], toy.STARTS)
    # The first step from (0, 2): the gradients are (0, 2) and 0.1 (-4, 4).
    np.testing.assert_allclose(steps[1, 0], [0.004, 1.976], atol=1e-6)


@pytest.mark.slow
def test_starts_do_not_disturb_each_other(monkeypatch):
    monkeypatch.setitem(toy.STEPS, toy.DESCENT, 500)
    monkeypatch.setattr(toy, "STARTS", toy.STARTS[:1])
    alone = toy.run(toy.SETTINGS["projection"], toy.DESCENT)
    together = path("projection", toy.DESCENT)[:501]
    np.testing.assert_allclose(alone[:, 0], together[:, 0], atol=1e-6)


def test_table_and_figure(tmp_path):
    paths = {name: np.zeros((3, 4, 2)) for name in toy.SETTINGS}
    lines = toy.table(paths, toy.ADAM).splitlines()
    assert lines[0] == "Distance from (1, 0) after 5,000 steps of Adam:"
    assert lines[6] == ("| projection | 1.0000 | 1.0000 | 1.0000 | 1.0000 |")
    toy.plot(paths, toy.ADAM, tmp_path / "toy.png")
    assert (tmp_path / "toy.png").stat().st_size > 20_000


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__]))
