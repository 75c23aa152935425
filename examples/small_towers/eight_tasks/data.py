"""Made data of the kind that a content recommendation platform has."""

import numpy as np

# Share of positive labels: satisfaction is seldom said, clicks are common.
CLASSIFICATION = {
    "satisfied": 0.05,
    "survey": 0.02,
    "like": 0.08,
    "share": 0.03,
    "click": 0.3,
    "return": 0.4,
}
REGRESSION = ("watch_time", "session_time")
TASKS = (*CLASSIFICATION, *REGRESSION)

NUM_USERS = 1000
NUM_ITEMS = 500
NUM_LATENT = 8  # of the taste of a user, and of an item
NUM_CONTEXT = 20
NUM_FACTORS = 6  # what the tasks have in common
# Standard deviation of what no feature tells, beside one that they tell.
NOISE = 1.0

Examples = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def draw(sizes: dict[str, int], seed: int = 0) -> dict[str, Examples]:
    """Draws users, items, and what they do with each other.

    Users and items have tastes that no feature shows but their ids. What
    happens depends on products of the two, and on context (the hour,
    the device) through a random network; six factors of it are common to all
    tasks, each of which weighs them in its own way.

    Args:
        sizes: Numbers of examples by part, such as `{"train": 100}`.
        seed: int. The platform is the same for all parts.

    Returns:
        A dict with `(x, y)` for each part. `x` has `"user"` and `"item"`,
        `int32` arrays `(n,)`, and `"context"`, `(n, 20)`; `y` a `float32` array
        `(n, 1)` for each task: 0 or 1, or a number of mean 0 and variance 1.
    """
    rng = np.random.default_rng(seed)
    world = {
        "users": rng.normal(size=(NUM_USERS, NUM_LATENT)),
        "items": rng.normal(size=(NUM_ITEMS, NUM_LATENT)),
        "hidden": rng.normal(size=(NUM_LATENT + NUM_CONTEXT, 64)),
        "factors": rng.normal(size=(64, NUM_FACTORS)),
        "tasks": rng.normal(size=(NUM_FACTORS, len(TASKS))),
    }
    return {
        part: _examples(size, world, np.random.default_rng((seed, index)))
        for index, (part, size) in enumerate(sizes.items())
    }


def _examples(
    size: int, world: dict[str, np.ndarray], rng: np.random.Generator
) -> Examples:
    x = {
        "user": rng.integers(NUM_USERS, size=size).astype("int32"),
        "item": rng.integers(NUM_ITEMS, size=size).astype("int32"),
        "context": rng.normal(size=(size, NUM_CONTEXT)).astype("float32"),
    }
    taste = world["users"][x["user"]] * world["items"][x["item"]]
    seen = np.concatenate([taste, x["context"]], axis=1)
    hidden = np.tanh(0.3 * seen @ world["hidden"])
    told = hidden @ world["factors"] @ world["tasks"]
    told = (told - told.mean(axis=0)) / told.std(axis=0)
    values = told + NOISE * rng.normal(size=told.shape)
    return x, {
        task: _label(task, column)[:, None].astype("float32")
        for task, column in zip(TASKS, values.T, strict=True)
    }


def _label(task: str, values: np.ndarray) -> np.ndarray:
    if task in REGRESSION:
        return (values - values.mean()) / values.std()
    return values > np.quantile(values, 1 - CLASSIFICATION[task])
