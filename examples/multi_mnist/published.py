"""The settings of the methods: published ones, where there are any."""

from typing import Any

import keras

# Their losses are 0.5 * left + 0.5 * right.
TASK_WEIGHT = 0.5
LEARNING_RATE = 8e-4
# By method, for MNIST and for Fashion-MNIST.
LEARNING_RATES = {
    "self_auxiliary": (6e-4, 7e-4),
    "pta_f2": (6e-4, 7e-4),
    "pta_f3": (1.1e-3, 1.1e-3),
    "pta_f4": (4e-4, 5e-4),
    "uncertainty": (1e-3, 1e-3),
    "mgda_ub": (3e-3, 7e-4),
}

# Weight and temperature of the self-auxiliary heads, tuned by their authors.
SELF_AUXILIARY = {
    "mnist": {"weight": 2.0, "temperature": 20.0},
    "fashion_mnist": {"weight": 3.0, "temperature": 30.0},
}
# In the small network the one-layer head would equal the main one.
SMALL_BOTTLENECK = {"mnist": 8, "fashion_mnist": 9}

# Towers of the size of the main ones, as `add_auxiliary_towers` takes them.
TOWERS = {
    "big_towers": {"copies": 1, "frozen": False},
    # What the authors' code does where the paper has large towers trained:
    # their variables never reach the optimizer.
    "pta_f1": {"copies": 1},
    "pta_f2": {"copies": 2},
    "pta_f3": {"copies": 3},
    "pta_f4": {"copies": 4},
}

# MGDA at the representation: what becomes of the batch there. Their heads have
# the weights of their tasks, too.
BATCH_REDUCTION = {"mnist": "mean", "fashion_mnist": "flatten"}

# What methods cannot do without, or have as published.
ARGUMENTS: dict[str, dict[str, Any]] = {
    # Half as much again for the left task as equal weights, half for the right.
    "constant": {"weights": [1.5, 0.5]},
    # The right task comes in over the first thousand steps.
    "schedule": {
        "schedules": {
            "right": keras.optimizers.schedules.PolynomialDecay(
                0.0, decay_steps=1000, end_learning_rate=1.0
            )
        }
    },
    # The start and the bounds of the authors' code, which trains log(sigma)
    # from 1, between 0.01 and 10: log(variance) is twice that.
    "uncertainty": {
        "parameterization": "log_sigma",
        "initial_log_variance": 2.0,
        "min_log_variance": 0.02,
        "max_log_variance": 20.0,
    },
}

# What the weights of a method add up to, where it is not the number of tasks:
# always, or where the tasks are equal. The losses are not halved for these.
WEIGHT_SUMS = {
    **dict.fromkeys(("mgda", "mgda_ub", "mean", "crmogm", "mo_co"), 1.0),
    **dict.fromkeys(("mo_do", "sdmgrad", "imtlg", "excess_mtl"), 1.0),
    **dict.fromkeys(("random", "cagrad", "dual_proj", "upgrad"), 1.0),
    **dict.fromkeys(("famo", "random_loss_weighting", "cosmos"), 1.0),
    **dict.fromkeys(("geometric_mean", "uwso"), 1.0),
    "tchebycheff": 0.5,
    "stch": 0.5,
}


def default_learning_rate(parts: list[str], source: str) -> float:
    """The published learning rate, or that of the sum for as long a step.

    Args:
        parts: Of the method's name.
        source: `"mnist"` or `"fashion_mnist"`.
    """
    fashion = source == "fashion_mnist"
    for name, rates in LEARNING_RATES.items():
        if name in parts:
            return rates[fashion]
    rate = LEARNING_RATE
    for part in parts:
        rate /= WEIGHT_SUMS.get(part, 1.0)
    return rate


def task_weight(parts: list[str], num_tasks: int) -> float:
    """What the loss of each task is multiplied by.

    A single task has its whole loss. So have the tasks where the method makes
    weights that add up to one, and with uncertainty, as published.
    """
    weighs = any(part in WEIGHT_SUMS or part == "uncertainty" for part in parts)
    return 1.0 if weighs or num_tasks == 1 else TASK_WEIGHT
