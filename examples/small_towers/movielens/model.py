"""The network of the paper, and each method compiled as published."""

from typing import Any

import keras
import numpy as np
from keras import ops

import keras_mtl
from examples.runs import default_jit
from examples.small_towers.movielens.config import Config

TASKS = ("watch", "rating")
SINGLE = {f"single_{task}": task for task in TASKS}
# Widths of the embeddings, as in the authors' code.
WIDTHS = {
    "user": 40,
    "gender": 5,
    "age": 10,
    "occupation": 20,
    "zip": 20,
    "movie": 40,
    "title": 20,
    "genres": 20,
}
UNITS = 200
PADDING = 0
REPRESENTATION = "shared"
# The authors add up the losses of a batch of 100. Adam and Adagrad do not care,
# but for their start, and the variances of Uncertainty do.
SUMMED = 100
# A mean over what is watched is twice the sum over it, divided by all.
WATCHED = 0.5


def tasks_of(method: str) -> tuple[str, ...]:
    """The tasks that a method trains."""
    return (SINGLE[method],) if method in SINGLE else TASKS


def build_model(
    config: Config, x: dict[str, np.ndarray], num_ids: dict[str, int]
) -> keras_mtl.MultiTaskModel:
    """The network, with what a method adds, compiled.

    Args:
        config: The run.
        x: Features of the training examples.
        num_ids: By feature, how many ids there are.
    """
    tasks = tasks_of(config.method)
    model = _add_towers(_network(tasks, x, num_ids), config)
    model.compile(
        _optimizer(config, len(x["user"])),
        loss={task: _loss(task) for task in tasks},
        loss_weights=loss_weights(config),
        missing_label={"rating": np.nan} if "rating" in tasks else None,
        jit_compile=default_jit(),
        **_method(config),
    )
    return model


def _optimizer(config: Config, examples: int) -> keras.optimizers.Optimizer:
    rate: Any = config.learning_rate
    if config.schedule == "cosine":
        steps = config.epochs * (examples // config.batch_size)
        rate = keras.optimizers.schedules.CosineDecay(rate, max(1, steps))
    if config.optimizer == "adam":
        return keras.optimizers.Adam(rate)
    # That of TensorFlow 1, which starts at 0.1 and adds nothing.
    return keras.optimizers.Adagrad(
        rate, initial_accumulator_value=0.1, epsilon=1e-12
    )


def _network(
    tasks: tuple[str, ...], x: dict[str, np.ndarray], num_ids: dict[str, int]
) -> keras_mtl.MultiTaskModel:
    """A layer that is shared and one a task, each of 200 units with ReLU."""
    inputs, embedded = {}, []
    for name, width in WIDTHS.items():
        shape = x[name].shape[1:]
        inputs[name] = keras.Input(shape, dtype="int32", name=name)
        features = keras.layers.Embedding(
            num_ids[name],
            width,
            # As columns of features start.
            embeddings_initializer=keras.initializers.TruncatedNormal(
                stddev=width**-0.5
            ),
        )(inputs[name])
        if shape:
            features = _mean(features, inputs[name])
        embedded.append(features)
    shared = keras.layers.Dense(UNITS, "relu", name=REPRESENTATION)(
        keras.layers.Concatenate()(embedded)
    )
    outputs = {
        task: keras.layers.Dense(1, name=task)(
            keras.layers.Dense(UNITS, "relu")(shared)
        )
        for task in tasks
    }
    return keras_mtl.MultiTaskModel(inputs, outputs)


def _mean(features: Any, ids: Any) -> Any:
    """The mean over words or genres, without the padding."""
    # As a product: with a mask in the layers, this takes twice as long.
    known = ops.cast(ids != PADDING, "float32")[:, None]
    return (known @ features)[:, 0] / ops.sum(known, axis=-1)


def _add_towers(
    model: keras_mtl.MultiTaskModel, config: Config
) -> keras_mtl.MultiTaskModel:
    if config.method == "pta_f":
        return keras_mtl.add_auxiliary_towers(
            model, REPRESENTATION, copies=config.copies
        )
    if config.method.startswith("self_auxiliary"):
        return keras_mtl.add_self_auxiliaries(
            model,
            REPRESENTATION,
            weight=config.weight,
            pool_size=config.pool_size,
        )
    return model


def _loss(task: str) -> keras.losses.Loss:
    if task == "watch":
        return keras.losses.BinaryCrossentropy(from_logits=True)
    return keras.losses.MeanSquaredError()


def loss_weights(config: Config) -> dict[str, float]:
    """Weights that make means the sums over a batch that the authors have.

    Uncertainty weighs for itself: there the authors leave `alpha` out.
    """
    tasks = tasks_of(config.method)
    weights = {
        "watch": SUMMED * config.alpha,
        "rating": SUMMED * (1 - config.alpha) * WATCHED,
    }
    if config.method == "uncertainty":
        weights = {"watch": SUMMED, "rating": SUMMED * WATCHED}
    return {task: weights[task] for task in tasks}


def _method(config: Config) -> dict[str, Any]:
    if config.method == "uncertainty":
        # Start and bounds of the authors, for log(sigma): 1, 0.01 and 10.
        return {
            "weighting": keras_mtl.weightings.Uncertainty(
                regression_tasks=["rating"],
                initial_log_variance=2.0,
                min_log_variance=0.02,
                max_log_variance=20.0,
                parameterization="log_sigma",
            )
        }
    if config.method == "mgda_ub":
        # The mode that the authors chose for MovieLens; weights are of losses.
        return {
            "aggregator": "mgda",
            "representation": REPRESENTATION,
            "representation_reduction": "sum",
            "scale_heads": True,
        }
    if config.method == "pcgrad":
        return {"aggregator": keras_mtl.aggregators.PCGrad(seed=config.seed)}
    return {}
