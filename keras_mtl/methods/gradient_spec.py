"""What an aggregator must know of gradients to make its state."""

from typing import NamedTuple


class GradientSpec(NamedTuple):
    """Tasks and shapes of the gradients of one model.

    Attributes:
        num_tasks: Number of tasks T.
        group_shape: Leading axes of the Gram matrices `[..., T, T]`: in a
            model `(G,)`, for G layers or variables; `(1,)` where the
            granularity is the whole model.
        shapes: Shapes of the variables, whose gradients `transform` is given;
            `None` where there are none, outside of a model.
        task_names: Names of the tasks; `None` outside of a model.
    """

    num_tasks: int
    group_shape: tuple[int, ...] = ()
    shapes: tuple[tuple[int, ...], ...] | None = None
    task_names: tuple[str, ...] | None = None
