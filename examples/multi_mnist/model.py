"""The LeNet of the MultiMNIST experiments, in three sizes."""

import keras

# Shared and per-task dense layers. The paper's figure with the sizes is lost;
# these are the counts that its text and its code fit best.
SIZES = {"small": (1, 1), "medium": (2, 2), "large": (3, 3)}
TASKS = ("left", "right")
REPRESENTATION = "representation"


def build_lenet(
    size="large", tasks=TASKS, model_class=keras.Model, image_size=36
):
    """Builds the network with a shared trunk and one head for each task.

    Args:
        size: `"small"`, `"medium"`, `"large"`, or a pair of ints: how many
            dense layers all tasks share, and how many each task has.
        tasks: Names of the tasks, each with ten classes.
        model_class: `keras.Model` or `keras_mtl.MultiTaskModel`.
        image_size: Height and width of the images.

    Returns:
        A model from images `(image_size, image_size, 1)` with values 0 to 255
        to a dict of logits `(10,)`. The layer that all heads read is called
        `"representation"`.
    """
    if isinstance(size, str) and size not in SIZES:
        raise ValueError(
            f"`size` must be one of {list(SIZES)} or a pair of ints. "
            f"Received: size={size!r}"
        )
    num_shared, num_task = SIZES[size] if isinstance(size, str) else size
    if num_shared < 1 or num_task < 1:
        raise ValueError(
            f"`size` must hold two counts of at least 1. Received: size={size}"
        )
    layers = keras.layers
    inputs = keras.Input((image_size, image_size, 1), name="image")
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(10, 5, activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(20, 5, activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for index in range(num_shared):
        last = index == num_shared - 1
        name = REPRESENTATION if last else f"shared_{index}"
        x = layers.Dense(50, activation="relu", name=name)(x)
    outputs = {task: _head(x, task, num_task) for task in tasks}
    return model_class(inputs, outputs)


def _head(x, task, num_layers):
    for index in range(num_layers - 1):
        x = keras.layers.Dense(
            50, activation="relu", name=f"{task}_hidden_{index}"
        )(x)
    return keras.layers.Dense(10, name=task)(x)
