"""What tells one run from another."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Config:
    """All that the numbers of a run depend on.

    Attributes:
        method: One of `plan.METHODS`.
        learning_rate: Of the optimizer, at its start.
        weight: Of self-auxiliaries; None for other methods.
        pool_size: Their pool length; None pools nothing.
        copies: Of each tower for PTA-F; None for other methods.
        alpha: Weight of the loss of `watch`; that of `rating` is `1 - alpha`.
        seed: Of initial weights and batches. The data stay the same.
        optimizer: `"adam"`, or `"adagrad"` as published.
        schedule: `"constant"`, as published, or `"cosine"`, which falls to 0.
        epochs: Passes over the training examples.
        batch_size: Examples in a training step.
        data: `"1m"` or `"stand_in"`.
    """

    method: str
    learning_rate: float
    weight: float | None = None
    pool_size: int | None = None
    copies: int | None = None
    alpha: float = 0.5
    seed: int = 0
    optimizer: str = "adam"
    schedule: str = "constant"
    epochs: int = 1
    batch_size: int = 1024
    data: str = "1m"

    @property
    def name(self) -> str:
        settings = {
            "rate": self.learning_rate,
            "weight": self.weight,
            "pool": self.pool_size,
            "copies": self.copies,
            "alpha": self.alpha,
            "epochs": self.epochs,
            "batch": self.batch_size,
            "seed": self.seed,
        }
        parts = [f"{k}{v:g}" for k, v in settings.items() if v is not None]
        kinds = [self.data, self.optimizer, self.schedule, self.method]
        return "-".join([*kinds, *parts])
