"""The network that all libraries train in the benchmarks."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Network:
    """Dense ReLU layers that all tasks share, and one head a task.

    A head is a hidden layer of its own and one output, or the output alone.

    Attributes:
        num_tasks: T.
        input_dim: Features of an example.
        units: Width of each shared layer.
        depth: Number of shared layers.
        head_units: Width of the hidden layer of each head; 0 for none.
        batch_size: Examples in a step.
    """

    num_tasks: int
    input_dim: int = 64
    units: int = 512
    depth: int = 3
    head_units: int = 64
    batch_size: int = 256

    @property
    def tasks(self) -> list[str]:
        return [f"task{t}" for t in range(self.num_tasks)]

    def batch(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Random features `[batch, input_dim]` and labels `[batch, 1]`."""
        rng = np.random.default_rng(0)

        def normal(width: int) -> np.ndarray:
            return rng.normal(size=(self.batch_size, width)).astype("float32")

        return normal(self.input_dim), {task: normal(1) for task in self.tasks}
