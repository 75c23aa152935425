"""Losses to task gradients, on the backend that Keras runs on."""

import keras

if keras.backend.backend() == "tensorflow":
    from keras_mtl.backend.tensorflow import TrainStep
elif keras.backend.backend() == "jax":
    from keras_mtl.backend.jax import TrainStep
else:
    raise ImportError(
        "keras_mtl takes task gradients on the TensorFlow and JAX backends. "
        f"Received: backend '{keras.backend.backend()}'. Set the environment "
        "variable KERAS_BACKEND to 'tensorflow' or 'jax' before Keras is "
        "imported."
    )

__all__ = ["TrainStep"]
